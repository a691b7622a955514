//! Sound: from a byte stream that comes out of the server to this client's sound daemon.
//!
//! [`Sound`] is the daemon as the seat (root) and `ldm login` keep it. [`serve`] runs in the session worker (user `ldm`) and in
//! `ldm login`, and for local programs in `ldm sound-guard`. The stream is the session's and hostile for as long as it lasts:
//! [`guard`] reads its frames and lets through what plays, records and adjusts, and nothing that changes what the daemon is.
//! This module knows nothing of SSH.

mod cookie;
mod daemon;
pub mod guard;
mod local;
mod programs;
mod serve;
pub mod tone;

use std::path::PathBuf;

pub use cookie::{COOKIE_LEN, SoundCookie};
pub use daemon::{Settings, Sound, SoundError, client, listens, local_access, local_socket};
pub use guard::probe;
pub use local::run as guard_local_programs;
pub use programs::is_installed;
pub use serve::serve;

/// Where a session's sound goes, and what it may do there.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// Socket of a daemon that speaks PulseAudio's native protocol. It need not be there yet.
    pub socket: PathBuf,
    /// Whether the session may record.
    pub microphone: bool,
    /// What clients must show in their AUTH, where others than the session's user can reach the forwarded port.
    pub cookie: Option<SoundCookie>,
}
