//! [`SshError`]: everything that can go wrong between here and the server.

use ldm_protocol::{Failure, FailureKind};

/// What went wrong, with the server's name as configured. [`SshError::failure`] is what the user is told.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {reason}")]
pub struct SshError {
    /// The server's name as configured.
    pub server: String,
    /// What went wrong there.
    pub reason: Reason,
}

/// What went wrong, whatever the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A target such as `host:port` cannot be read, or there is none: correct the configuration.
    #[error("not a server: {0}")]
    BadTarget(String),
    /// No address is known for the name: check name and DNS.
    #[error("no address found: {0}")]
    Unresolvable(String),
    /// Nothing listens, or the server drops connections (`MaxStartups`): try again in a minute.
    #[error("connection refused: {0}")]
    Refused(String),
    /// No answer to the connection request, or no route: check the network.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Connected, but no key exchange, or no answer to a password, within the time limit.
    #[error("connected, but the server said nothing in time")]
    Silent,
    /// What answers does not speak SSH as we do.
    #[error("incompatible: {0}")]
    Incompatible(String),
    /// The key is in no known-hosts file: add it. The fingerprint.
    #[error("host key is not known: {0}")]
    HostKeyUnknown(String),
    /// Another key is known for this host: find out why. The fingerprint of the key presented.
    #[error("host key has changed: {0}")]
    HostKeyChanged(String),
    /// The key is marked `@revoked`: never use it again. The fingerprint.
    #[error("host key is revoked: {0}")]
    HostKeyRevoked(String),
    /// The server refused the answers: ask again on a new connection.
    #[error("authentication refused")]
    Denied,
    /// The user gave up: nothing to be said.
    #[error("the login was cancelled")]
    Cancelled,
    /// The server offers no method of authentication that we have.
    #[error("no usable way to authenticate")]
    NoMethod,
    /// The key file of [`super::Connection::authenticate_key`] cannot be used.
    #[error("private key: {0}")]
    BadKey(String),
    /// The connection ended: try again. Why, as far as is known.
    #[error("connection lost: {0}")]
    Lost(String),
    /// `x11-req` was refused: allow `X11Forwarding` and install `xauth` on the server.
    #[error("X11 forwarding refused")]
    NoX11,
    /// The server does not offer a subsystem: look for `Subsystem` in its configuration. Its name.
    #[error("no subsystem {0}")]
    NoSubsystem(String),
    /// The session channel or the command was refused: look at the server's log (shell, `MaxSessions`).
    #[error("no session: {0}")]
    NoSession(String),
}

impl SshError {
    pub(super) fn new(server: &str, reason: Reason) -> Self {
        Self { server: server.to_owned(), reason }
    }

    /// What the user is told.
    pub fn failure(&self) -> Failure {
        let (kind, detail) = match &self.reason {
            Reason::Unresolvable(_) => (FailureKind::ServerUnknown, None),
            Reason::Refused(_) => (FailureKind::ServerRefused, None),
            Reason::Unreachable(_) => (FailureKind::ServerUnreachable, None),
            Reason::Silent => (FailureKind::ServerSilent, None),
            Reason::Incompatible(why) => (FailureKind::ServerIncompatible, Some(why)),
            Reason::HostKeyUnknown(key) => (FailureKind::HostKeyUnknown, Some(key)),
            Reason::HostKeyChanged(key) => (FailureKind::HostKeyChanged, Some(key)),
            Reason::HostKeyRevoked(key) => (FailureKind::HostKeyRevoked, Some(key)),
            // A cancelled login is not shown at all; "ask again" is what follows it.
            Reason::Denied | Reason::Cancelled => (FailureKind::Denied, None),
            Reason::NoMethod => (FailureKind::NoMethod, None),
            Reason::BadTarget(why) | Reason::BadKey(why) => (FailureKind::Internal, Some(why)),
            Reason::Lost(why) => (FailureKind::ConnectionLost, Some(why)),
            Reason::NoX11 => (FailureKind::NoX11, None),
            // Whoever asks for one knows what is missing without it.
            Reason::NoSubsystem(name) => (FailureKind::Internal, Some(name)),
            Reason::NoSession(why) => (FailureKind::NoSession, Some(why)),
        };
        let failure = Failure::new(kind).server(&self.server);
        match detail {
            Some(detail) => failure.detail(detail),
            None => failure,
        }
    }
}

impl From<&SshError> for Failure {
    fn from(error: &SshError) -> Self {
        error.failure()
    }
}
