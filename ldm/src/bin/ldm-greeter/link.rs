//! The greeter's end of the socket in `GREETD_SOCK`: one request at a time, each with one response.
//!
//! `cancel_session` alone goes out while an answer is due, so that giving up need not wait for a server that is silent. A
//! daemon that reads one request after the other loses nothing by it; the answers come in the same order.
//!
//! Runs in GTK's main loop; the daemon at the other end is trusted, but its frames are bounded like anyone's.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use gtk4::gio::{self, Cancellable, IOErrorEnum, prelude::*};
use gtk4::glib::{self, ControlFlow, IOCondition};
use ldm_protocol::frame::{self, Decoder, FrameError};
use ldm_protocol::greetd::{ErrorType, Request, Response};

/// How long the daemon may leave a request unread before the greeter gives up on it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no link, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Started by hand: a greeter is started by a daemon, which sets this.
    #[error("GREETD_SOCK is not set: the greeter is to be started by ldm or greetd")]
    NoSocket,
    /// The daemon is gone, or the socket is another user's.
    #[error("{path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why it cannot be used.
        source: io::Error,
    },
    /// The daemon ended or gave up on this greeter.
    #[error("the daemon closed the connection")]
    Closed,
    /// The connection failed.
    #[error("the connection to the daemon failed: {0}")]
    Socket(#[from] glib::Error),
    /// What came is not greetd's protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The connection.
pub(crate) struct Link {
    socket: gio::Socket,
    decoder: Decoder,
    waiting: VecDeque<Request>,
    /// Requests whose responses are due.
    due: usize,
    /// The first of them is an `ldm_hello`.
    greeting: bool,
}

impl Link {
    /// Takes over the connection that a restarted greeter inherits as its standard input, or makes one.
    pub(crate) fn open(inherited: bool) -> Result<Self, LinkError> {
        let socket = if inherited {
            let fd = io::stdin().as_fd().try_clone_to_owned().map_err(FrameError::Io)?;
            adopt(fd)?
        } else {
            connect()?
        };
        Ok(Self { socket, decoder: Decoder::new(), waiting: VecDeque::new(), due: 0, greeting: false })
    }

    /// The descriptor, for a greeter that restarts itself and goes on with the same connection.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Sends the request, now or as soon as those before it have their responses.
    pub(crate) fn send(&mut self, request: Request) -> Result<(), LinkError> {
        if self.waiting.is_empty() && matches!(request, Request::CancelSession) {
            return self.write(&request);
        }
        self.waiting.push_back(request);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), LinkError> {
        if self.due > 0 {
            return Ok(());
        }
        let Some(request) = self.waiting.pop_front() else { return Ok(()) };
        self.write(&request)
    }

    fn write(&mut self, request: &Request) -> Result<(), LinkError> {
        self.greeting = self.due == 0 && matches!(request, Request::LdmHello { .. });
        self.due += 1;
        let bytes = frame::encode(request)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.socket.send(rest, Cancellable::NONE) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(e) if e.matches(IOErrorEnum::WouldBlock) => {
                    self.socket.condition_timed_wait(IOCondition::OUT, timeout(), Cancellable::NONE)?;
                }
                // Reading tells it, in its turn; a plain greetd may have closed over the request before.
                Err(e) if e.matches(IOErrorEnum::BrokenPipe) => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Reads once, and sends the next request if a response came.
    fn receive(&mut self) -> Result<Vec<Response>, LinkError> {
        let mut buffer = [0; 4096];
        let got = match self.socket.receive(buffer.as_mut_slice(), Cancellable::NONE) {
            Ok(got) => got,
            Err(e) if e.matches(IOErrorEnum::WouldBlock) => return Ok(Vec::new()),
            // A daemon that closes with our request unread resets the connection.
            Err(e) if e.matches(IOErrorEnum::BrokenPipe) => 0,
            Err(e) => return Err(e.into()),
        };
        let Some(bytes) = buffer.get(..got).filter(|bytes| !bytes.is_empty()) else { return Err(LinkError::Closed) };
        self.decoder.push(bytes);
        let mut responses = Vec::new();
        while let Some(response) = self.decoder.next_message()? {
            self.due = self.due.saturating_sub(1);
            self.greeting = false;
            responses.push(response);
            self.flush()?;
        }
        Ok(responses)
    }

    /// A plain greetd closes the connection over an unknown request: connect again and do without `ldm_hello`.
    fn reconnect(&mut self) -> Result<Response, LinkError> {
        self.socket = connect()?;
        self.decoder = Decoder::new();
        self.due = 0;
        self.greeting = false;
        self.flush()?;
        Ok(Response::Error { error_type: ErrorType::Error, description: "greetd".to_owned(), failure: None })
    }
}

fn timeout() -> i64 {
    i64::try_from(WRITE_TIMEOUT.as_micros()).unwrap_or(i64::MAX)
}

fn connect() -> Result<gio::Socket, LinkError> {
    let path = PathBuf::from(std::env::var_os("GREETD_SOCK").ok_or(LinkError::NoSocket)?);
    let stream = UnixStream::connect(&path).map_err(|source| LinkError::Connect { path, source })?;
    adopt(stream.into())
}

fn adopt(fd: OwnedFd) -> Result<gio::Socket, LinkError> {
    let socket = gio::Socket::from_fd(fd)?;
    socket.set_blocking(false);
    Ok(socket)
}

/// Hands every response to `deliver` as it comes, until the link fails, which it is told once.
pub(crate) fn watch(link: &Rc<RefCell<Link>>, deliver: Rc<dyn Fn(Result<Response, LinkError>)>) {
    let socket = link.borrow().socket.clone();
    let link = Rc::clone(link);
    let readable = IOCondition::IN | IOCondition::HUP | IOCondition::ERR;
    let step = move |_: &gio::Socket, _| {
        let received = link.borrow_mut().receive();
        match received {
            Ok(responses) => {
                for response in responses {
                    deliver(Ok(response));
                }
                ControlFlow::Continue
            }
            Err(LinkError::Closed) if link.borrow().greeting => {
                let answer = link.borrow_mut().reconnect();
                let connected = answer.is_ok();
                deliver(answer);
                if connected {
                    watch(&link, Rc::clone(&deliver));
                }
                ControlFlow::Break
            }
            Err(error) => {
                deliver(Err(error));
                ControlFlow::Break
            }
        }
    };
    // Before the keyboard's: a prompt that has come is in place for keys that were pressed after it.
    let priority = glib::Priority::HIGH;
    SocketExtManual::create_source(&socket, readable, Cancellable::NONE, None, priority, step).attach(None);
}
