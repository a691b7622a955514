//! Programs started from elsewhere: local applications (session → client) and remote applications (client → session).
//!
//! Requests go through properties of the X root window, which every X client can write: whoever reads them trusts nothing in
//! them. A request is one line of JSON, appended to the queue property; the reader takes and deletes the whole queue at once.
//! Answers are lines of JSON, appended to [`ANSWERS`] on the window that the request names, else on the root window.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Queue of requests for programs on the client: `UTF8_STRING`, format 8, appended to.
pub const LOCAL_QUEUE: &str = "_LDM_LOCALAPPS";
/// Queue of requests for programs on the server, likewise.
pub const REMOTE_QUEUE: &str = "_LDM_REMOTEAPPS";
/// Where answers are appended.
pub const ANSWERS: &str = "_LDM_APPS_ANSWERS";
/// Selection that the reader of the queues owns: without an owner nobody will answer.
pub const SELECTION: &str = "_LDM_APPS";
/// The original's one slot for a command line to run on the client.
pub const OLD_LOCAL: &str = "LTSP_COMMAND";
/// Its flag, `true` for one after the other.
pub const OLD_LOCAL_WAIT: &str = "LTSP_COMMAND_WAIT";
/// The original's one slot for a command line to run on the server.
pub const OLD_REMOTE: &str = "LTSP_RCOMMAND";
/// Its flag.
pub const OLD_REMOTE_WAIT: &str = "LTSP_RCOMMAND_WAIT";

/// A word of a command line, or a path: any bytes but NUL. In JSON a string, or `{"base64": "…"}` for what is no UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WordJson", into = "WordJson")]
pub struct Word(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WordJson {
    Text(String),
    Bytes { base64: String },
}

impl From<WordJson> for Word {
    fn from(json: WordJson) -> Self {
        match json {
            WordJson::Text(text) => Self(text.into_bytes()),
            // What cannot be decoded becomes a word that is refused like every word with a NUL in it.
            WordJson::Bytes { base64 } => Self(STANDARD.decode(base64).unwrap_or_else(|_| vec![0])),
        }
    }
}

impl From<Word> for WordJson {
    fn from(word: Word) -> Self {
        match String::from_utf8(word.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes { base64: STANDARD.encode(error.into_bytes()) },
        }
    }
}

/// What is to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments. With `open`, one address or path instead.
    pub argv: Vec<Word>,
    /// Working directory; the home where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Word>,
    /// Variables. Only those that [`is_variable`] knows are set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Open `argv`'s one word with whatever is meant for it there, instead of running it.
    #[serde(default)]
    pub open: bool,
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by who asks; answers carry it.
    #[serde(default)]
    pub id: String,
    /// What to start.
    #[serde(flatten)]
    pub program: Program,
    /// Whether its end is to be told.
    #[serde(default)]
    pub wait: bool,
    /// X window whose [`ANSWERS`] property takes the answers; the root window where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub id: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens to a program that was asked for. `Started` or `Refused` comes first; `Ended` follows `Started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It runs.
    Started,
    /// It does not.
    Refused {
        /// Why.
        reason: Refusal,
        /// A fact about it: a path, an errno text.
        #[serde(default)]
        detail: String,
    },
    /// It has ended.
    Ended {
        /// Exit status, or 128 + signal.
        status: i32,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Last lines of its standard error.
        #[serde(default)]
        stderr: Vec<String>,
    },
}

/// Why a program is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Switched off by the administrator, or not possible here; `detail` says what.
    Off,
    /// Not among the programs that the administrator allows.
    NotAllowed,
    /// There is no such program.
    NotFound,
    /// The request makes no sense or is over a limit.
    BadRequest,
    /// Too many at once.
    TooMany,
    /// Anything else; see `detail`.
    Failed,
}

impl Refusal {
    /// Exit status with which a command that asked for the program tells this, in the manner of env(1).
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Off => 123,
            Self::BadRequest | Self::TooMany | Self::Failed => 125,
            Self::NotAllowed => 126,
            Self::NotFound => 127,
        }
    }
}

/// Exit status of a command that asked for a program and got no answer.
pub const NO_ANSWER: u8 = 124;

/// Whether a request may set this variable: those that say how a program is to appear, none that say what it does.
pub fn is_variable(name: &str) -> bool {
    matches!(name, "LANG" | "LANGUAGE" | "DESKTOP_STARTUP_ID" | "XDG_ACTIVATION_TOKEN" | "TZ")
        || name.strip_prefix("LC_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase()))
}
