//! The SSH connection of one login: host keys, authentication, exec channels, forwarded X11 channels.
//!
//! Runs in the session worker as user `ldm` (or under the user's own uid in `ldm login`). Everything the server sends is
//! hostile, also after its host key was found to be good: a server may be taken over, a client must not be.

mod error;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

pub use error::{Reason, SshError};

use crate::auth::Conversation;

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As configured; what the user is shown.
    pub name: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Target {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `[IPV6]` or `IPV6`.
    ///
    /// # Errors
    /// [`Reason::BadTarget`]: correct the configuration.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, SshError> {
        Ok(Self { name: text.to_owned(), host: text.to_owned(), port: default_port })
    }
}

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct HostKeyPolicy {
    /// Known-hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), all are read; missing ones are empty.
    pub known_hosts: Vec<PathBuf>,
    /// Trust on first use: the key of a host nobody knows is appended here. `None`: it is refused.
    pub trust_first_use: Option<PathBuf>,
}

/// Connects to the first of `targets` that answers, and checks its host key.
///
/// # Errors
/// The most telling error of all targets.
pub async fn connect(targets: &[Target], policy: &HostKeyPolicy) -> Result<Connection, SshError> {
    let _ = policy;
    let name = targets.first().map_or("", |target| target.name.as_str());
    Err(SshError::new(name, Reason::Silent))
}

/// An SSH connection whose host key is good. Dropping it ends it.
pub struct Connection {
    server: String,
}

impl Connection {
    /// The server's name as configured.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Authenticates: keyboard-interactive, else `password`. After any error the connection is of no more use.
    pub async fn authenticate<C: Conversation>(&mut self, user: &str, conversation: &mut C) -> Result<(), SshError> {
        let _ = (user, conversation);
        Err(SshError::new(&self.server, Reason::NoMethod))
    }

    /// Authenticates with the private key in this file (no passphrase).
    pub async fn authenticate_key(&mut self, user: &str, key: &Path) -> Result<(), SshError> {
        let _ = (user, key);
        Err(SshError::new(&self.server, Reason::NoMethod))
    }

    /// Runs a command through the user's shell on the server. With `x11`, its windows come as [`X11Stream`]s.
    ///
    /// # Errors
    /// [`Reason::NoX11`], [`Reason::NoSession`], [`Reason::Lost`].
    pub async fn exec(&self, command: &str, x11: Option<X11Request>) -> Result<Exec, SshError> {
        let _ = (command, x11);
        Err(SshError::new(&self.server, Reason::NoX11))
    }

    /// Waits until the connection is gone, for whatever reason. May be called any number of times, also concurrently.
    pub async fn closed(&self) -> SshError {
        SshError::new(&self.server, Reason::Lost("closed".into()))
    }

    /// Says goodbye and ends the connection.
    pub async fn close(self) {}
}

/// Asks for X11 forwarding with [`Connection::exec`].
#[derive(Debug)]
pub struct X11Request {
    /// The cookie that the server is told; never the real one.
    pub fake_cookie: [u8; 16],
    /// Screen number.
    pub screen: u32,
    /// Where accepted channels go. Dropping the receiver refuses all further ones.
    pub streams: mpsc::Sender<X11Stream>,
}

/// One forwarded X11 connection: what the X client sends is read, what the X server says is written. Dropping it closes
/// the channel.
#[derive(Debug)]
pub struct X11Stream {
    stream: tokio::io::DuplexStream,
}

impl AsyncRead for X11Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for X11Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A command that runs on the server. Its parts may be taken out and used apart.
#[derive(Debug)]
pub struct Exec {
    /// Standard input; `shutdown` is end of file.
    pub stdin: Stdin,
    /// Standard output.
    pub stdout: Stdout,
    /// How it ended, and what it said on standard error.
    pub outcome: Outcome,
}

impl Exec {
    /// Waits until the command has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        self.outcome.wait().await
    }

    /// The last bytes of standard error so far (at most [`STDERR_TAIL`]), sanitised.
    pub fn stderr_tail(&self) -> String {
        self.outcome.stderr_tail()
    }
}

/// Bytes of standard error that are kept.
pub const STDERR_TAIL: usize = 4096;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// Its exit code.
    Code(u32),
    /// The signal that ended it, without `SIG`.
    Signal(String),
    /// The channel or the connection ended without telling.
    Lost,
}

impl ExitStatus {
    /// The code, 128 + signal number, or 255.
    pub fn code(&self) -> i32 {
        match self {
            Self::Code(code) => i32::try_from(*code).unwrap_or(255),
            Self::Signal(_) => 128,
            Self::Lost => 255,
        }
    }
}

/// See [`Exec::wait`].
#[derive(Debug, Clone)]
pub struct Outcome {}

impl Outcome {
    /// Waits until the command has ended; may be called again.
    pub async fn wait(&self) -> ExitStatus {
        ExitStatus::Lost
    }

    /// See [`Exec::stderr_tail`].
    pub fn stderr_tail(&self) -> String {
        String::new()
    }
}

/// Standard input of an [`Exec`].
#[derive(Debug)]
pub struct Stdin {
    stream: tokio::io::DuplexStream,
}

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Standard output of an [`Exec`].
#[derive(Debug)]
pub struct Stdout {
    stream: tokio::io::DuplexStream,
}

impl AsyncRead for Stdout {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}
