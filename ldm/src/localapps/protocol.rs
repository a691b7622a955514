//! Session worker (user `ldm`) ↔ local session (root): the frames of [`ldm_protocol::frame`], of at most
//! [`ldm_protocol::limits::LOCAL_FRAME`], on a socket pair.
//!
//! The local session trusts the worker in nothing: what may be started is decided there.

use std::path::PathBuf;

use ldm_protocol::apps::{Event, Program};
use serde::{Deserialize, Serialize};

/// Worker to local session. Closing the socket pair, or shutting down its writing side, ends the local session; it closes its
/// own side when all programs have ended, so until then they can still save their files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToLocal {
    /// Start a program. Answered with `Program` events of this number.
    Run {
        /// Chosen by the worker, new for each.
        number: u64,
        /// What to start.
        program: Program,
    },
}

/// Local session to worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromLocal {
    /// Programs can be started now, or never: `Err` says why in a sentence.
    Ready(Result<(), String>),
    /// The user's files from the server are wanted: open an SFTP channel and join it with this unix socket, which is listened on.
    Mount {
        /// The socket.
        socket: PathBuf,
    },
    /// Local programs go without these directories of the server.
    NotMounted {
        /// Why, in a sentence.
        why: String,
    },
    /// What happens to a program.
    Program {
        /// The request's.
        number: u64,
        /// What.
        event: Event,
    },
}
