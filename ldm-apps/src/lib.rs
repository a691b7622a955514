//! The asking side of local and remote applications: a program in the session asks for one on the client, and the other way
//! round (`ldm_protocol::apps`).
//!
//! Runs as the user, in the session (`ldm-server-helper localapp`, which is `ltsp-localapps`) and on the client
//! (`ldm remoteapp`, which is `ltsp-remoteapps`). It trusts the X server of `DISPLAY`, as every program with windows there does;
//! answers on it are bounded, and sanitised before a terminal sees them.

mod channel;
pub mod command;
pub mod open;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ldm_protocol::apps::{self, Event, Program};
use ldm_protocol::limits;

/// Time for a request to be confirmed or refused: a client that is busy starting the session answers late.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the program is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// On the client.
    Local,
    /// On the server.
    Remote,
}

impl Queue {
    /// The property.
    fn name(self) -> &'static str {
        match self {
            Self::Local => apps::LOCAL_QUEUE,
            Self::Remote => apps::REMOTE_QUEUE,
        }
    }
}

/// Why there is no answer to a request.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// `DISPLAY` is missing or wrong, or its X server cannot be reached. Run the command in the session.
    #[error("the display cannot be reached: {0}")]
    NoDisplay(String),
    /// Nobody reads requests on this display: it is no thin client's, or its session is over.
    #[error("this display belongs to no session of an LTSP client")]
    NoClient,
    /// The request is over a limit of [`limits`]. Give the program less.
    #[error("the command line is longer than {} words or {} bytes", limits::APP_WORDS, limits::APP_BYTES)]
    TooLong,
    /// The display's properties are kept from being written: by a program of this session.
    #[error("the request cannot be written to the display: {0}")]
    Blocked(String),
    /// Nobody answered within 10 s. Whether the program will still be started is not known; look at the client's log.
    #[error("no answer came within {} s; the program may or may not be started", PATIENCE.as_secs())]
    Silent,
    /// The display or the session ended while the program ran.
    #[error("the session has ended before the program did")]
    Lost,
}

/// Asks for a program, on the X display of the environment. Without `wait` the answer is [`Event::Started`] or
/// [`Event::Refused`], with it [`Event::Ended`] instead of `Started`, as late as that is.
///
/// # Errors
/// [`SubmitError`], when there is no answer.
pub fn submit(queue: Queue, program: Program, wait: bool) -> Result<Event, SubmitError> {
    let bytes: usize = program.argv.iter().map(|word| word.0.len() + 1).sum();
    if program.argv.len() > limits::APP_WORDS || bytes > limits::APP_BYTES {
        return Err(SubmitError::TooLong);
    }
    let (answers, events) = mpsc::channel();
    // In a thread, because every step may wait for an X server that serves somebody else alone (GrabServer). One that is given
    // up goes with the process.
    std::thread::Builder::new()
        .name("request".into())
        .spawn(move || {
            let result = channel::ask(queue.name(), program, wait, |event| drop(answers.send(Ok(event))));
            if let Err(error) = result {
                let _ = answers.send(Err(error));
            }
        })
        .map_err(|e| SubmitError::NoDisplay(e.to_string()))?;
    let first = events.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => SubmitError::Silent,
            RecvTimeoutError::Disconnected => SubmitError::Lost,
        })
    })?;
    if wait && first == Event::Started {
        return events.recv().unwrap_or(Err(SubmitError::Lost));
    }
    Ok(first)
}
