//! One request on the X display, and its answers.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ldm_protocol::apps::{self, Answer, Event as AppEvent, Program, Request};
use ldm_protocol::limits;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpNoDelay;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt, CreateWindowAux, EventMask, PropMode, Property, Window,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::SubmitError;

/// The reader of requests comes back so quickly when its connection was cut, on a busy machine, too. Where there never was one, the
/// user waits this long.
const RETURN_TIME: Duration = Duration::from_millis(1500);

/// The same while a program runs: then there was one, and more is at stake.
const LONG_RETURN_TIME: Duration = Duration::from_secs(10);

/// How long somebody else's property of the wrong type is waited for to be taken away.
const BLOCKED_TIME: Duration = Duration::from_secs(2);

/// Bytes of a ChangeProperty request before its data.
const HEADER: usize = 24;

/// Between two looks in these times.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers to one request: a few lines. `GetProperty` counts in units of four bytes.
const ANSWER_UNITS: u32 = 1024 * 1024 / 4;

impl From<ConnectionError> for SubmitError {
    fn from(_: ConnectionError) -> Self {
        Self::Lost
    }
}

impl From<ReplyError> for SubmitError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => Self::Blocked(format!("{:?}", error.error_kind)),
        }
    }
}

impl From<ReplyOrIdError> for SubmitError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => Self::Blocked(format!("{:?}", error.error_kind)),
            ReplyOrIdError::IdsExhausted => Self::Lost,
        }
    }
}

/// Writes the request and hands on its answers, until the last.
pub(crate) fn ask(
    queue: &str,
    program: Program,
    wait: bool,
    mut tell: impl FnMut(AppEvent),
) -> Result<(), SubmitError> {
    if std::env::var_os("DISPLAY").is_none_or(|name| name.is_empty()) {
        return Err(SubmitError::NoDisplay("DISPLAY is not set; this works in a session only".to_owned()));
    }
    let (x, screen) = x11rb::connect(None).map_err(|e| SubmitError::NoDisplay(e.to_string()))?;
    // A forwarded display is a TCP port, where small requests would wait for each other. Unix sockets refuse this, and need not.
    let _ = setsockopt(&x.stream().as_fd(), TcpNoDelay, &true);
    let root = x.setup().roots.get(screen).ok_or(SubmitError::Lost)?.root;
    let mut channel = Channel::new(x, root, queue)?;
    let mut request = Request { id: random_id()?, program, wait, window: Some(channel.window) };
    let mut line = serde_json::to_vec(&request).map_err(|e| SubmitError::Blocked(e.to_string()))?;
    line.push(b'\n');
    // Longer than any X request without an extension may be, which costs round trips to ask for.
    let long = line.len() + HEADER > channel.x.setup().maximum_request_length as usize * 4;
    if line.len() > limits::APP_REQUEST || long && channel.x.maximum_request_bytes() < line.len() + HEADER {
        return Err(SubmitError::TooLong);
    }
    // Only its name counts from here on.
    request.program = Program::default();
    channel.find_reader(RETURN_TIME)?;
    channel.append(&line)?;
    loop {
        for event in channel.answers(&request.id)? {
            let last = !wait || event != AppEvent::Started;
            tell(event);
            if last {
                return Ok(());
            }
        }
    }
}

struct Channel {
    x: RustConnection,
    root: Window,
    /// Takes the answers.
    window: Window,
    queue: Atom,
    answers: Atom,
    utf8: Atom,
    /// Held by the reader of requests, for as long as it lives.
    selection: Atom,
    reader: Window,
}

impl Channel {
    fn new(x: RustConnection, root: Window, queue: &str) -> Result<Self, SubmitError> {
        // Sent together: one round trip, not three.
        let [queue, answers, utf8, selection] =
            [queue, apps::ANSWERS, "UTF8_STRING", apps::SELECTION].map(|name| x.intern_atom(false, name.as_bytes()));
        let window = x.generate_id()?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        x.create_window(COPY_DEPTH_FROM_PARENT, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?
            .ignore_error();
        let (queue, answers) = (queue?.reply()?.atom, answers?.reply()?.atom);
        let (utf8, selection) = (utf8?.reply()?.atom, selection?.reply()?.atom);
        Ok(Self { x, root, window, queue, answers, utf8, selection, reader: x11rb::NONE })
    }

    /// Finds who reads requests, and asks to be told of their end.
    fn find_reader(&mut self, limit: Duration) -> Result<(), SubmitError> {
        let end = Instant::now() + limit;
        loop {
            self.reader = self.x.get_selection_owner(self.selection)?.reply()?.owner;
            if self.reader != x11rb::NONE {
                let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
                // One that has gone just now does not tell of its end: its error stands for that, and comes as an event.
                self.x.change_window_attributes(self.reader, &aux)?;
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(SubmitError::NoClient);
            }
            sleep(PAUSE);
        }
    }

    fn find_next_reader(&mut self) -> Result<(), SubmitError> {
        self.find_reader(LONG_RETURN_TIME).map_err(|_| SubmitError::Lost)?;
        Ok(self.x.flush()?)
    }

    /// Appends to the queue. What another client has set there with another type is in the way until the reader takes it.
    fn append(&self, line: &[u8]) -> Result<(), SubmitError> {
        let end = Instant::now() + BLOCKED_TIME;
        loop {
            let appended = self.x.change_property8(PropMode::APPEND, self.root, self.queue, self.utf8, line)?.check();
            match appended {
                Ok(()) => return Ok(()),
                Err(ReplyError::X11Error(_)) if Instant::now() < end => sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for answers to the request of this name.
    fn answers(&mut self, id: &str) -> Result<Vec<AppEvent>, SubmitError> {
        loop {
            match self.x.wait_for_event()? {
                Event::PropertyNotify(event) if event.atom == self.answers && event.state == Property::NEW_VALUE => {
                    let asked = self
                        .x
                        .get_property(true, self.window, self.answers, AtomEnum::ANY, 0, ANSWER_UNITS)?
                        .reply()?;
                    if asked.bytes_after > 0 {
                        // Somebody else writes there.
                        self.x.delete_property(self.window, self.answers)?;
                    }
                    let answers =
                        asked.value.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
                    return Ok(answers.filter(|a: &Answer| a.id == id).map(|answer| answer.event).collect());
                }
                Event::DestroyNotify(event) if event.window == self.reader => self.find_next_reader()?,
                Event::Error(error) if error.bad_value == self.reader => self.find_next_reader()?,
                _ => {}
            }
        }
    }
}

/// A name for the request that no other has had: window numbers are used again.
fn random_id() -> Result<String, SubmitError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| SubmitError::Blocked(e.to_string()))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
