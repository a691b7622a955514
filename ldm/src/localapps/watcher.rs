//! Reads the properties and writes the answers: an X client in a thread of its own.
//!
//! In a thread, because an X server may serve another client alone for as long as that one likes (`GrabServer`), and that one may
//! reach it through this very process: whoever waits here must not keep the session's channels waiting. It waits for events and
//! never polls.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ldm_protocol::apps::{Event as AppEvent, Program, Refusal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Asker;
use super::properties::{Found, Properties};
use crate::x11::DisplayName;
use crate::xauth::Cookie;

/// Bytes of requests that may wait to be handed on. What is more is refused.
const ROOM: usize = 8 * 1024 * 1024;

/// What a request takes of it besides its words and variables.
const OVERHEAD: usize = 512;

/// Answers that may wait for a busy X server. None comes without a request, and no request is read meanwhile.
const ANSWERS: usize = 16 * 1024;

/// How soon a lost connection to the X server is made again, and how late at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A request, as it was found.
#[derive(Debug)]
pub struct Asked {
    /// What to start.
    pub program: Program,
    /// Whom to answer; nobody, where one of the original's slots was used.
    pub asker: Option<Asker>,
    /// One after the other, of those that say so: the original's notion of waiting.
    pub in_turn: bool,
    /// Its share of [`ROOM`].
    _room: OwnedSemaphorePermit,
}

impl Asked {
    /// As if it had been found, for tests.
    #[cfg(test)]
    pub(crate) fn new(program: Program, asker: Option<Asker>, in_turn: bool) -> Self {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned();
        Self { program, asker, in_turn, _room: room.expect("a new one has room") }
    }
}

/// Requests, in their order.
#[derive(Debug)]
pub struct Requests {
    /// For this client.
    pub local: mpsc::UnboundedReceiver<Asked>,
    /// For the server.
    pub remote: mpsc::UnboundedReceiver<Asked>,
}

/// A watched display. Dropping it ends the watch, as soon as the X server lets it.
pub struct Watcher {
    answers: mpsc::Sender<(Asker, AppEvent)>,
    wake: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    /// Watches this display.
    pub fn start(display: DisplayName, cookie: Option<Cookie>) -> io::Result<(Self, Requests)> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        // Unbounded, and yet bounded: by the room that each request takes.
        let (to_local, local) = mpsc::unbounded_channel();
        let (to_remote, remote) = mpsc::unbounded_channel();
        let (answers, to_send) = mpsc::channel(ANSWERS);
        let stop = Arc::new(AtomicBool::new(false));
        let room = Arc::new(Semaphore::new(ROOM));
        let watch =
            Watch { display, cookie, woken, stop: Arc::clone(&stop), room, to_local, to_remote, to_send, unsent: None };
        // Not joined: it may be waiting for an X server that serves somebody else, and ends with the process.
        thread::Builder::new().name("local-apps".into()).spawn(move || watch.run())?;
        Ok((Self { answers, wake, stop }, Requests { local, remote }))
    }

    /// Tells the asker.
    pub fn answer(&self, asker: Asker, event: AppEvent) {
        if self.answers.try_send((asker, event)).is_err() {
            tracing::warn!("an answer about a local application is lost: the X server takes none");
        }
        self.wake();
    }

    fn wake(&self) {
        // Full: it is awake.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

struct Watch {
    display: DisplayName,
    cookie: Option<Cookie>,
    woken: UnixStream,
    stop: Arc<AtomicBool>,
    room: Arc<Semaphore>,
    to_local: mpsc::UnboundedSender<Asked>,
    to_remote: mpsc::UnboundedSender<Asked>,
    to_send: mpsc::Receiver<(Asker, AppEvent)>,
    /// An answer during which the connection was lost.
    unsent: Option<(Asker, AppEvent)>,
}

impl Watch {
    fn run(mut self) {
        let mut delay = BACKOFF.0;
        let mut known = false;
        while !self.stop.load(Ordering::Acquire) {
            let began = Instant::now();
            let result = Properties::open(&self.display, self.cookie.as_ref()).and_then(|mut properties| {
                // What is there before the session has begun was not asked for by it. After a loss it was.
                properties.begin(!std::mem::replace(&mut known, true))?;
                self.serve(&mut properties)
            });
            let Err(error) = result else { return };
            if began.elapsed() > BACKOFF.1 {
                delay = BACKOFF.0;
            }
            // The display's end ends the session too; then nobody waits for this thread.
            tracing::warn!(display = %self.display, "requests for local applications cannot be read for a moment: {error}");
            thread::sleep(delay);
            delay = (delay * 2).min(BACKOFF.1);
        }
    }

    /// Reads and answers until the end of the watch, or of the connection.
    fn serve(&mut self, properties: &mut Properties) -> io::Result<()> {
        let mut pace = Pace::new();
        let mut complaints = Complaints::default();
        loop {
            let more = properties.read_events()?;
            while let Some(property) = properties.next_changed() {
                pace.wait();
                let found = properties.take(property)?;
                self.found(found, properties, &mut complaints)?;
            }
            self.send(properties)?;
            if !more && !properties.read_events()? {
                wait(properties.fd(), self.woken.as_fd())?;
            }
            let mut signals = [0; 64];
            while matches!((&self.woken).read(&mut signals), Ok(1..)) {}
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
        }
    }

    fn found(&mut self, found: Found, properties: &mut Properties, complaints: &mut Complaints) -> io::Result<()> {
        match found {
            Found::Nothing => {}
            Found::Queue { value, remote } => {
                for request in super::queue::requests(&value) {
                    match request {
                        Ok((asker, program)) => {
                            if let Err(asker) = self.hand_on(program, Some(asker), false, remote) {
                                refuse(properties, asker, Refusal::TooMany, "", complaints)?;
                            }
                        }
                        Err(bad) => refuse(properties, bad.asker, Refusal::BadRequest, bad.why, complaints)?,
                    }
                }
            }
            Found::TooLong { start, name } => {
                complaints.say(&format!("{name} was thrown away: it was longer than any queue can be"));
                for asker in super::queue::askers(&start) {
                    refuse(properties, Some(asker), Refusal::TooMany, "", complaints)?;
                }
            }
            Found::Odd { name } => complaints.say(&format!("{name} was thrown away: it was of the wrong type")),
            Found::Old { value, in_turn, remote } => match super::queue::old(&value) {
                Ok(Some(program)) => {
                    if self.hand_on(program, None, in_turn, remote).is_err() {
                        complaints.say("there are too many requests");
                    }
                }
                Ok(None) => {}
                Err(why) => complaints.say(why),
            },
        }
        Ok(())
    }

    /// Gives the asker back if there is no room.
    fn hand_on(
        &self,
        program: Program,
        asker: Option<Asker>,
        in_turn: bool,
        remote: bool,
    ) -> Result<(), Option<Asker>> {
        let bytes = u32::try_from(size(&program)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return Err(asker) };
        let to = if remote { &self.to_remote } else { &self.to_local };
        // Nobody receives any more: the session is ending.
        let _ = to.send(Asked { program, asker, in_turn, _room: room });
        Ok(())
    }

    fn send(&mut self, properties: &mut Properties) -> io::Result<()> {
        loop {
            if self.unsent.is_none() {
                self.unsent = self.to_send.try_recv().ok();
            }
            let Some((asker, event)) = &self.unsent else { return properties.flush() };
            properties.answer(asker, event)?;
            self.unsent = None;
        }
    }
}

/// What a request takes of [`ROOM`].
fn size(program: &Program) -> usize {
    let words = program.argv.iter().chain(&program.cwd).map(|word| word.0.len() + size_of_val(word));
    let env = program.env.iter().map(|(name, value)| name.len() + value.len() + 2 * size_of_val(name));
    words.chain(env).sum::<usize>() + OVERHEAD
}

fn refuse(
    properties: &mut Properties,
    asker: Option<Asker>,
    reason: Refusal,
    why: &str,
    complaints: &mut Complaints,
) -> io::Result<()> {
    complaints.say(if why.is_empty() { "there are too many requests" } else { why });
    match asker {
        Some(asker) => properties.answer(&asker, &AppEvent::Refused { reason, detail: why.to_owned() }),
        None => Ok(()),
    }
}

/// Sleeps until the X server or the worker has something.
fn wait(x: impl AsFd, woken: impl AsFd) -> io::Result<()> {
    let mut fds = [PollFd::new(x.as_fd(), PollFlags::POLLIN), PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps a client that writes without end from taking a processor: some readings at once, then one a millisecond.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    const BURST: u32 = 200;
    const STEP: Duration = Duration::from_millis(1);

    fn new() -> Self {
        Self { left: Self::BURST, since: Instant::now() }
    }

    fn wait(&mut self) {
        let steps = self.since.elapsed().as_millis();
        if steps > 0 {
            self.left = self.left.saturating_add(u32::try_from(steps).unwrap_or(Self::BURST)).min(Self::BURST);
            self.since = Instant::now();
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => thread::sleep(Self::STEP),
        }
    }
}

/// What is wrong with properties, for the log: one line a second.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    kept_back: u64,
}

impl Complaints {
    fn say(&mut self, what: &str) {
        if self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            self.kept_back += 1;
            return;
        }
        let more = std::mem::take(&mut self.kept_back);
        self.last = Some(Instant::now());
        tracing::warn!(more, "a request for a local application is refused: {what}");
    }
}

#[cfg(test)]
mod tests {
    use ldm_protocol::apps::Word;

    use super::*;

    #[test]
    fn all_that_is_kept_of_a_request_takes_room() {
        let value = "x".repeat(1000);
        let env = (0..30).map(|n| (format!("LC_{n}"), value.clone())).collect();
        let cwd = Some(Word(vec![b'/'; 4000]));
        let program = Program { argv: vec![Word(vec![0; 5000])], cwd, env, open: false };
        assert!((39_000..60_000).contains(&size(&program)), "{}", size(&program));
    }

    #[test]
    fn a_flood_is_slowed_down() {
        let mut pace = Pace::new();
        let began = Instant::now();
        for _ in 0..Pace::BURST + 20 {
            pace.wait();
        }
        assert!(began.elapsed() >= Pace::STEP * 10, "{:?}", began.elapsed());
    }
}
