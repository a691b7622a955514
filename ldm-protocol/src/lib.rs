//! What LDM's programs say to each other: types, framing and limits.
//!
//! | module | between | wire |
//! |---|---|---|
//! | [`greetd`] | greeter and daemon, on the socket named by `GREETD_SOCK` | greetd IPC frames ([`frame`]) |
//! | [`apps`] | X clients of the session, session worker, local session | JSON in X properties, frames |
//! | [`helper`] | session worker and `ldm-server-helper`, on SSH exec channels | JSON lines |
//! | [`services`] | the same, beside a session that runs | JSON lines |
//!
//! Nothing here does I/O of its own choosing, knows a path or trusts a peer: every reader takes its limit from
//! [`limits`] and refuses before it allocates.
#![forbid(unsafe_code)]

pub mod apps;
pub mod client;
pub mod desktop_entry;
pub mod failure;
pub mod frame;
pub mod greetd;
pub mod helper;
pub mod language;
pub mod limits;
pub mod near;
pub mod secret;
pub mod services;
pub mod text;

pub use failure::{Failure, FailureKind};
pub use secret::Secret;
