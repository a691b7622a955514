//! [`Greeter`]: a greeter that the scenario plays itself, over `ldm-fake-greeter` as its long arm.
//!
//! The daemon starts `ldm-fake-greeter SOCKET` as it would any greeter. That connects to the scenario's socket, tells
//! what it was started with, and then carries bytes between the scenario and the daemon.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ldm_protocol::greetd::{self, AuthMessageType, DEFAULT_SESSION, ErrorType, Request, Response, SESSION_COMMAND};
use ldm_protocol::{Failure, FailureKind, Secret, frame};
use serde::{Deserialize, Serialize};

use crate::wait;

/// What a greeter was started with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Its process.
    pub pid: i32,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Descriptors that were open in it, with what they were.
    pub descriptors: BTreeMap<String, String>,
}

/// How a login went.
#[derive(Debug)]
pub enum Outcome {
    /// The user is authenticated.
    In,
    /// It failed.
    Refused {
        /// Whether the answers were wrong.
        kind: ErrorType,
        /// The sentence for greeters that know no better.
        text: String,
        /// What exactly failed.
        failure: Option<Failure>,
    },
}

/// What was said in a login, and how it ended.
#[derive(Debug)]
pub struct Conversation {
    /// One line a message: its type, `: `, its text.
    pub said: Vec<String>,
    /// The end.
    pub outcome: Outcome,
}

impl Conversation {
    /// Fails unless the user got in.
    pub fn expect_in(self) -> Result<Vec<String>> {
        match self.outcome {
            Outcome::In => Ok(self.said),
            Outcome::Refused { text, failure, .. } => {
                wait::note_failure();
                bail!("the login was refused: {text} ({failure:?}); the server had said {:?}", self.said)
            }
        }
    }

    /// Fails unless it was refused, and gives the failure.
    pub fn expect_refused(self) -> Result<Refusal> {
        match self.outcome {
            Outcome::In => bail!("the login succeeded; the server had said {:?}", self.said),
            Outcome::Refused { kind, text, failure } => {
                let failure = failure.with_context(|| format!("the daemon gave no failure with “{text}”"))?;
                Ok(Refusal { said: self.said, kind, text, failure })
            }
        }
    }
}

/// A login that was refused.
#[derive(Debug)]
pub struct Refusal {
    /// What was said before.
    pub said: Vec<String>,
    /// Whether the answers were wrong.
    pub kind: ErrorType,
    /// The sentence for greeters that know no better.
    pub text: String,
    /// What exactly failed.
    pub failure: Failure,
}

impl Refusal {
    /// Fails unless it was refused for this.
    pub fn expect(self, kind: FailureKind) -> Result<Self> {
        if self.failure.kind != kind {
            wait::note_failure();
        }
        ensure!(
            self.failure.kind == kind,
            "refused with {:?} instead of {kind:?}; said before: {:?}",
            self.failure,
            self.said
        );
        ensure!(!self.text.is_empty(), "{kind:?} came without a sentence for other greeters");
        Ok(self)
    }
}

/// A running greeter.
pub struct Greeter {
    stream: UnixStream,
    hello: Hello,
}

impl Greeter {
    /// Takes over a greeter that has connected.
    pub fn new(mut stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(45)))?;
        let hello = frame::read(&mut stream)?.context("the greeter ended at once")?;
        Ok(Self { stream, hello })
    }

    /// What it was started with.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// A variable of its environment.
    pub fn env(&self, name: &str) -> Result<&str> {
        self.hello.env.get(name).map(String::as_str).with_context(|| format!("the greeter has no {name}"))
    }

    /// One request, one response.
    pub fn request(&mut self, request: &Request) -> Result<Response> {
        self.send(request)?;
        self.receive()
    }

    /// A request whose response is not waited for.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        Ok(frame::write(&mut self.stream, request)?)
    }

    /// The response to a request that was sent.
    pub fn receive(&mut self) -> Result<Response> {
        frame::read(&mut self.stream).context("no response")?.context("the daemon closed the greeter's socket")
    }

    /// Bytes as they are, however wrong.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(std::io::Write::write_all(&mut self.stream, bytes)?)
    }

    /// Whether the daemon, or the end of the greeter, has closed the connection within `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let _ = self.stream.set_read_timeout(Some(limit));
        let mut byte = [0];
        let read = std::io::Read::read(&mut self.stream, &mut byte);
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(45)));
        match read {
            Ok(n) => n == 0,
            Err(e) => !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }

    /// The seat's facts.
    pub fn seat(&mut self) -> Result<greetd::Seat> {
        match self.request(&Request::LdmHello { version: greetd::VERSION })? {
            Response::LdmSeat(seat) => Ok(*seat),
            other => bail!("instead of the seat: {other:?}"),
        }
    }

    /// Logs in: answers the questions in order, acknowledges the rest, until it ends.
    pub fn login(&mut self, user: &str, answers: &[&str]) -> Result<Conversation> {
        self.send(&Request::CreateSession { username: user.to_owned() })?;
        self.converse(answers)
    }

    /// Logs a guest in.
    pub fn guest(&mut self) -> Result<Conversation> {
        self.send(&Request::LdmGuest)?;
        self.converse(&[])
    }

    /// [`Greeter::login`] from the response that comes next.
    pub fn converse(&mut self, answers: &[&str]) -> Result<Conversation> {
        let mut answers = answers.iter();
        let mut said = Vec::new();
        loop {
            let response = self.receive().with_context(|| format!("after {said:?}"))?;
            let outcome = match response {
                Response::Success => Outcome::In,
                Response::Error { error_type, description, failure } => {
                    Outcome::Refused { kind: error_type, text: description, failure }
                }
                Response::AuthMessage { auth_message_type, auth_message, .. } => {
                    said.push(format!("{}: {auth_message}", word(auth_message_type)));
                    let response = match auth_message_type {
                        AuthMessageType::Info | AuthMessageType::Error => None,
                        AuthMessageType::Visible | AuthMessageType::Secret => {
                            let answer =
                                answers.next().with_context(|| format!("no answer is left; asked: {said:?}"))?;
                            Some(Secret::new(answer)?)
                        }
                    };
                    self.send(&Request::PostAuthMessageResponse { response })?;
                    continue;
                }
                other => bail!("unexpected in a login: {other:?}"),
            };
            return Ok(Conversation { said, outcome });
        }
    }

    /// Begins a login and stops at the first question, which it returns.
    pub fn login_to_question(&mut self, user: &str) -> Result<String> {
        Ok(self.login_to_question_of(user)?.0)
    }

    /// The same, and the server that asks, if the daemon says that.
    pub fn login_to_question_of(&mut self, user: &str) -> Result<(String, Option<String>)> {
        self.send(&Request::CreateSession { username: user.to_owned() })?;
        loop {
            match self.receive()? {
                Response::AuthMessage { auth_message_type: AuthMessageType::Info | AuthMessageType::Error, .. } => {
                    self.send(&Request::PostAuthMessageResponse { response: None })?;
                }
                Response::AuthMessage { auth_message, server, .. } => return Ok((auth_message, server)),
                other => bail!("instead of a question: {other:?}"),
            }
        }
    }

    /// The server's sessions.
    pub fn sessions(&mut self) -> Result<greetd::Sessions> {
        match self.request(&Request::LdmSessions)? {
            Response::LdmSessions(sessions) => Ok(sessions),
            other => bail!("instead of sessions: {other:?}"),
        }
    }

    /// Chooses a session (`None`: the default) and ends, so that it starts.
    pub fn start(mut self, session: Option<&str>) -> Result<()> {
        self.choose(session, &[])?;
        self.leave()
    }

    /// Chooses a session.
    pub fn choose(&mut self, session: Option<&str>, env: &[&str]) -> Result<()> {
        let cmd = vec![SESSION_COMMAND.to_owned(), session.unwrap_or(DEFAULT_SESSION).to_owned()];
        let env = env.iter().map(|&variable| variable.to_owned()).collect();
        match self.request(&Request::StartSession { cmd, env, unasked: false })? {
            Response::Success => Ok(()),
            other => bail!("the session was not accepted: {other:?}"),
        }
    }

    /// Ends the greeter and waits for that.
    pub fn leave(self) -> Result<()> {
        let pid = self.hello.pid;
        drop(self.stream);
        wait::until("the greeter's end", wait::STEP, || {
            (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        })
    }
}

fn word(kind: AuthMessageType) -> &'static str {
    match kind {
        AuthMessageType::Visible => "visible",
        AuthMessageType::Secret => "secret",
        AuthMessageType::Info => "info",
        AuthMessageType::Error => "error",
    }
}
