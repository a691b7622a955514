//! Daemon (root) ↔ session worker (user `ldm`): the frames of [`ldm_protocol::frame`] on a socket pair.
//!
//! One worker serves one login attempt and, if it succeeds, its session. The daemon never reads what the network sent: the
//! worker sanitises every text before it puts it into an [`Event`], and the daemon bounds frames like any other peer's.

use std::path::PathBuf;

use ldm_protocol::client::{Access, Elsewhere, Transport};
use ldm_protocol::greetd::AuthMessageType;
use ldm_protocol::helper::{DirectDisplay, Info, Keyboard, UserRecord};
use ldm_protocol::{Failure, Secret};
use serde::{Deserialize, Serialize};

/// Daemon to worker, in this order: `Connect`, `Login`, `Answer`…, `Look`…, `Start`. Closing the socket pair ends everything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Connect and check the host key; nothing is authenticated yet. Answered with `Connected` or `Failed`.
    Connect(Connect),
    /// Authenticate as this user. Answered with `Message`s and then `Authenticated` or `Failed`.
    Login {
        /// Checked by the daemon: not empty, bounded, no control characters.
        username: String,
        /// A guest's private key (OpenSSH's format, without a passphrase), to be tried first.
        key: Option<PathBuf>,
    },
    /// Where `Connect` said that users are looked at: this one may have a session. Until then nothing of theirs is touched.
    Allowed,
    /// Answer to the last `Message`; `None` acknowledges `info` and `error`.
    Answer {
        /// What the user typed.
        response: Option<Secret>,
    },
    /// Look once more, after `Sessions`, for the user's other sessions on the server. Answered with `Elsewhere`.
    Look,
    /// Start the session. Answered with `Started` and later `Ended`, or with `Failed`.
    Start(Box<Start>),
    /// End the session kindly; `Ended` follows once the server has cleaned up.
    Stop,
}

/// Where to connect, and whom to trust there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connect {
    /// Candidates in order; the first that answers is used. `HOST` or `HOST:PORT` or `[IPV6]:PORT`.
    pub servers: Vec<String>,
    /// Port for servers that name none.
    pub port: u16,
    /// Known-hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), all are read.
    pub known_hosts: Vec<PathBuf>,
    /// Trust on first use: an unknown host's key is appended to this file. `None`: unknown keys are refused.
    pub trust_first_use: Option<PathBuf>,
    /// Locale in which session names are wanted.
    pub locale: Option<String>,
    /// Whether the session list is wanted (not when the session is forced): saves a round trip.
    pub want_info: bool,
    /// Whether the daemon looks at who has logged in, and says [`Command::Allowed`], before anything else is done on the server.
    pub checked: bool,
    /// Whether the session will have sound: its endpoint on the server is asked for ahead.
    pub want_sound: bool,
}

/// What to start, and on which display.
#[derive(Debug, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // each is a wish of its own
pub struct Start {
    /// Id of the session; `None`: the server's default.
    pub session: Option<String>,
    /// Write the choice to the user's `~/.dmrc` on the server.
    pub remember: bool,
    /// Locale of the session.
    pub language: Option<String>,
    /// `LDM_XSESSION`.
    pub xsession: Option<String>,
    /// The client's display.
    pub display: LocalDisplay,
    /// `LDM_DIRECTX`: give the session this display instead of forwarded channels. A name without host (`:7`) is completed
    /// with the address of this client that leads to the server.
    pub direct: Option<DirectDisplay>,
    /// What the session gets besides its windows.
    pub services: Services,
    /// Write the language to the user's `~/.dmrc`, too.
    pub remember_language: bool,
    /// The language is a default: what the server remembers for the user goes first.
    pub language_is_default: bool,
    /// `CLIENT_ENV`: `KEY=VALUE`.
    pub env: Vec<String>,
    /// The keyboard here.
    pub keyboard: Option<Keyboard>,
    /// Help in seeing, hearing and typing that is on here.
    pub access: Access,
    /// End the user's other sessions on the server first.
    pub end_others: bool,
    /// No others than these, which the user was asked about; where there are more, the session is not started.
    pub end_only: Option<Vec<String>>,
}

/// What a session gets besides its windows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Services {
    /// `SOUND`.
    pub sound: Option<Sound>,
    /// `LOCAL_APPS`: a local session will be at the worker's second socket.
    pub local_apps: bool,
    /// `LOCAL_APPS_MENU`.
    pub menu: Option<Menu>,
    /// `LOCAL_APPS_OPEN` is set: addresses are opened here.
    pub open: bool,
    /// `REMOTE_APPS`.
    pub remote_apps: bool,
}

/// The client's sound as the worker reaches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Socket of a daemon that speaks PulseAudio's native protocol. It need not be there yet.
    pub socket: PathBuf,
    /// Whether the session may record.
    pub microphone: bool,
}

/// The menu of local applications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// Base names of `.desktop` files; empty: all that there are.
    pub items: Vec<String>,
}

/// The X display of this client, as the worker reaches it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct LocalDisplay {
    /// Display name such as `:7` or `:7.0`.
    pub name: String,
    /// The real MIT-MAGIC-COOKIE-1, 16 bytes; `None` if the server asks for none.
    pub cookie: Option<[u8; 16]>,
}

impl std::fmt::Debug for LocalDisplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDisplay").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Worker to daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The host key is good.
    Connected {
        /// The server chosen, as configured.
        server: String,
        /// What was agreed upon with it, sanitised.
        transport: Box<Transport>,
    },
    /// The server's PAM conversation asks or says something; wait for `Answer` before the next.
    Message {
        /// How to show it.
        style: AuthMessageType,
        /// Sanitised.
        text: String,
    },
    /// The user is who they say. If the list was wanted, `Sessions` follows.
    Authenticated,
    /// What the server offers, sanitised.
    Sessions(Box<Info>),
    /// The user's other sessions on the server, sanitised.
    Elsewhere(Vec<Elsewhere>),
    /// The session's command runs on the server.
    Started {
        /// The server's record of the user, as it came: whoever acts on it checks it. `None` where the server has no helper.
        user: Option<Box<UserRecord>>,
    },
    /// Something is missing in the session that runs, and the user is to be told. The session goes on.
    Notice(Failure),
    /// The session has ended normally, with this exit status.
    Ended {
        /// Exit status, or 128 + signal.
        status: i32,
    },
    /// It failed and the worker is about to end. [`ldm_protocol::FailureKind::Denied`] alone means: ask again.
    Failed(Failure),
}
