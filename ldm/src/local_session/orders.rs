//! What the daemon tells a local session at its start.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ldm_protocol::helper::UserRecord;
use ldm_protocol::{frame, limits};
use serde::{Deserialize, Serialize};

use crate::localapps::protocol::FromLocal;
use crate::sys::Spawn;

/// Name of the hidden subcommand.
pub const COMMAND: &str = "local-session";
/// The descriptor of the socket pair to the worker.
pub(super) const WORKER_FD: i32 = 3;
/// The variable that holds the orders. Nobody but root can read the environment of a process of root's.
pub(super) const VARIABLE: &str = "LDM_LOCAL_ORDERS";

/// What a local session is to do.
#[derive(Serialize, Deserialize)]
pub struct Orders {
    /// The user as the server told; checked before anything is done with it.
    pub user: UserRecord,
    /// The name that was typed at the login, which the server has let in.
    pub login: String,
    /// This client's display, such as `:7`.
    pub display: String,
    /// Its MIT-MAGIC-COOKIE-1; `None` if it asks for none.
    pub cookie: Option<[u8; 16]>,
    /// `LOCAL_APPS_WHITELIST`; empty: all programs.
    pub allowed: Vec<String>,
    /// `LOCAL_APPS_GROUPS`.
    pub groups: Vec<String>,
    /// `LOCAL_APPS_EXTRAMOUNTS`.
    pub extra_mounts: Vec<PathBuf>,
    /// `SSH_FOLLOW_SYMLINKS`.
    pub follow_symlinks: Option<bool>,
    /// `LOCAL_APPS_OPEN`; empty: nothing is opened.
    pub open: Vec<String>,
    /// `LANG` of programs.
    pub language: Option<String>,
    /// The session's sound on this client ([`crate::audio::Sound::socket`]).
    pub sound: Option<PathBuf>,
    /// Virtual terminal of the display, if it is known.
    pub vt: Option<u8>,
    /// Where local sessions have their directories; outlives the daemon.
    pub directory: PathBuf,
    /// User id of the session worker.
    pub worker: u32,
}

/// The process that obeys `orders`, to be started by the daemon; `worker` is its end of the socket pair.
pub fn spawn(orders: &Orders, worker: OwnedFd) -> Spawn {
    // A map of strings with string keys cannot fail to become JSON; were it to, the other end refuses the empty text.
    let text = serde_json::to_string(orders).unwrap_or_default();
    let mut spawn = Spawn::this_program()
        .arg(COMMAND)
        .fd(WORKER_FD, worker)
        .env(VARIABLE, text)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .umask(0o022)
        .die_with_us();
    // For logind, by way of PAM: who is at the seat may use its devices.
    let session = [("XDG_SEAT", "seat0"), ("XDG_SESSION_CLASS", "user"), ("XDG_SESSION_TYPE", "x11")];
    spawn = spawn.envs(session).env("DISPLAY", &orders.display);
    if let Some(vt) = orders.vt {
        spawn = spawn.env("XDG_VTNR", vt.to_string());
    }
    spawn
}

/// Tells the worker that no programs can be started; the first words on its socket.
pub fn refuse(worker: OwnedFd, why: &str) {
    let ready = FromLocal::Ready(Err(why.to_owned()));
    let Ok(bytes) = frame::encode_within(limits::LOCAL_FRAME, &ready) else { return };
    // It fits into an empty socket; a worker that has gone needs no answer.
    let _ = UnixStream::from(worker).write_all(&bytes);
}
