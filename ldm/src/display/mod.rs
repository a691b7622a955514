//! The X display of this client: a server started here, or one that already runs.
//!
//! Runs in the daemon (root) and in `ldm login`. It starts and watches X servers and speaks not one byte of X11 with them:
//! the only bytes read from one are the digits it writes to `-displayfd` (Xserver(1)).

mod attached;
mod server;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use crate::sys::SpawnError;
use crate::x11::{BadDisplayName, DisplayName};
use crate::xauth::{self, AuthorityError, Cookie, NoRandomness};

/// How an X server is to be started.
#[derive(Debug, Clone)]
pub struct DisplaySpec {
    /// Name (found in `PATH`) or path; `Xorg` if the admin says nothing.
    pub program: OsString,
    /// Arguments before those that are added here.
    pub args: Vec<OsString>,
    /// Display number; `None`: the server takes a free one.
    pub number: Option<u32>,
    /// Virtual terminal, for servers that take `vtN` (Xorg).
    pub vt: Option<u32>,
    /// Listen on TCP too, for `LDM_DIRECTX` alone.
    pub listen_tcp: bool,
    /// Private directory for the server's authority file.
    pub directory: PathBuf,
    /// Environment besides `PATH`, for servers that are themselves X clients (Xephyr).
    pub env: Vec<(OsString, OsString)>,
    /// How long it may take until it accepts clients.
    pub ready_within: Duration,
}

impl DisplaySpec {
    /// Time within which an X server is ready: probing old graphics hardware takes seconds.
    pub const READY_WITHIN: Duration = Duration::from_secs(30);

    /// `Xorg` with a free number, its authority file in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            program: "Xorg".into(),
            args: Vec::new(),
            number: None,
            vt: None,
            listen_tcp: false,
            directory: directory.into(),
            env: Vec::new(),
            ready_within: Self::READY_WITHIN,
        }
    }
}

/// Why there is no display.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// Correct the configuration or `DISPLAY`.
    #[error(transparent)]
    Name(#[from] BadDisplayName),
    /// Look at the directory, or at `XAUTHORITY`.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Nothing can be done.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Install the X server, or correct its path.
    #[error("{error}: {source}", source = error.source)]
    Spawn {
        /// Which program, and why.
        #[from]
        error: SpawnError,
    },
    /// It ended before it was ready; its own messages are in the log. Trying again may help, if something else held the
    /// display number or the graphics device.
    #[error("the X server {program} ended before it was ready ({status}); its messages are in the log")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
    },
    /// It was not ready in time and was ended.
    #[error("the X server {program} was not ready within {} s", within.as_secs())]
    NotReady {
        /// The program.
        program: String,
        /// The time limit.
        within: Duration,
    },
    /// What it wrote to `-displayfd` is no number: it is no X server.
    #[error("{program} did not tell its display number, so it is no X server")]
    NoNumber {
        /// The program.
        program: String,
    },
    /// Nothing answers at the display that was named. Start its X server first.
    #[error("the display {name} does not answer: {source}")]
    NoServer {
        /// The display.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A system call failed.
    #[error("the X server cannot be watched: {0}")]
    Io(#[from] io::Error),
}

enum Kind {
    Started(Box<server::Server>),
    Attached(attached::Attached),
}

/// A display that accepts clients. Dropping it kills the X server, if it was started here.
pub struct Display {
    name: DisplayName,
    cookie: Option<Cookie>,
    kind: Kind,
}

impl Display {
    /// Starts an X server with a new cookie, and returns once it accepts clients.
    pub async fn start(spec: &DisplaySpec) -> Result<Self, DisplayError> {
        let cookie = Cookie::generate()?;
        let (server, number) = server::Server::start(spec, &cookie).await?;
        Ok(Self { name: DisplayName::local(number), cookie: Some(cookie), kind: Kind::Started(Box::new(server)) })
    }

    /// Uses the display `name` of an X server that already runs, with the cookie for it in `xauthority`, if there is one.
    pub async fn attach(name: &str, xauthority: Option<&Path>) -> Result<Self, DisplayError> {
        let name: DisplayName = name.parse()?;
        let (attached, addresses) = attached::Attached::new(&name).await?;
        let cookie = match xauthority {
            Some(path) => attached::cookie(path, &name, &addresses)?,
            None => None,
        };
        Ok(Self { name, cookie, kind: Kind::Attached(attached) })
    }

    /// Its name, for `DISPLAY`.
    pub fn name(&self) -> &DisplayName {
        &self.name
    }

    /// The real cookie; `None` if the server asks for none.
    pub fn cookie(&self) -> Option<&Cookie> {
        self.cookie.as_ref()
    }

    /// Whether it was started here, and so may be ended here.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Started(_))
    }

    /// Writes an authority file for clients that run as `owner`. Without a cookie the file is empty.
    pub fn write_authority(&self, path: &Path, owner: Option<(Uid, Gid)>) -> Result<(), AuthorityError> {
        let entries = self.cookie.as_ref().map(|cookie| xauth::entries_for(Some(self.name.number()), cookie));
        xauth::write(path, &entries.unwrap_or_default(), owner)
    }

    /// Waits until the X server has ended, and says how. May be called again, and dropped at any await.
    pub async fn exited(&mut self) -> String {
        match &mut self.kind {
            Kind::Started(server) => server.exited().await,
            Kind::Attached(attached) => attached.exited().await,
        }
    }

    /// Ends the X server, if it was started here: kindly, then not.
    pub async fn stop(self) {
        if let Kind::Started(server) = self.kind {
            server.stop().await;
        }
    }
}

#[cfg(test)]
mod tests;
