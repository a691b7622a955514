//! Reading the request and writing answers, without buffering: what follows the request on stdin belongs to the session.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ldm_protocol::limits;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

/// How long a client may take for its request, which it sends together with the command.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`limits::HELPER_LINE`]. The client is defective.
    #[error("the request is longer than {} bytes", limits::HELPER_LINE)]
    TooLong,
    /// Nothing came. The client is defective, or gone.
    #[error("no request came")]
    Silent,
    /// stdin cannot be read.
    #[error("the request cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A duplicate of standard input, unbuffered, not inherited by children.
///
/// # Errors
/// When it is closed.
pub fn stdin() -> io::Result<File> {
    let fd: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(File::from(fd))
}

/// One line without its end; empty when the input ended first. What came after it in the same packet is dropped.
///
/// # Errors
/// [`RequestError`].
pub fn read_line(input: &mut File) -> Result<Vec<u8>, RequestError> {
    let deadline = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(
            &mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)],
            PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO),
        ) {
            Ok(0) => return Err(RequestError::Silent),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(io::Error::from(e).into()),
        }
        let n = match input.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        let read = buffer.get(..n).unwrap_or_default();
        let end = read.iter().position(|&b| b == b'\n');
        line.extend_from_slice(read.get(..end.unwrap_or(n)).unwrap_or_default());
        if line.len() > limits::HELPER_LINE {
            return Err(RequestError::TooLong);
        }
        if end.is_some() || n == 0 {
            return Ok(line);
        }
    }
}

/// Writes one message as a line.
///
/// # Errors
/// When the client is gone.
pub fn write_line(message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

/// Says something to whoever reads the channel's stderr, the client's log. That it cannot be written is no reason to stop.
pub fn note(message: &str) {
    let _ = writeln!(io::stderr(), "ldm-server-helper: {message}");
}
