//! Programs on this client that are started from the session (`LOCAL_APPS`), and the other way round: what the session worker
//! has to do with them.
//!
//! Requests come through properties of the root window ([`ldm_protocol::apps`]), which [`Watcher`] reads in a thread of its own
//! and [`queue`] makes sense of. Every X client of the session can write them: nothing in them is believed. What may be started
//! is decided by others: the local session on this client ([`protocol`], [`Link`]), the user's own rights on the server.

mod link;
mod properties;
pub mod protocol;
pub mod queue;
mod watcher;

pub use link::{FD_VARIABLE, Frame, Link, Reader, Writer, inherited};
pub use watcher::{Asked, Requests, Watcher};

/// Who asked for a program, and is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The request's name.
    pub id: String,
    /// The window that takes answers; the root window if there is none.
    pub window: Option<u32>,
    /// Whether the program's end is to be told.
    pub wait: bool,
}
