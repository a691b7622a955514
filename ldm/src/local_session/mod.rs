//! Programs of the session's user on this client (`LOCAL_APPS`). `ldm local-session` is started by the daemon for each login;
//! it runs as root, and the programs as the user.
//!
//! It believes neither the session worker (user `ldm`), which passes requests on, nor the server, which says who the user is:
//! who that can be and what may be started is decided here.

mod orders;

pub use orders::{COMMAND, Orders, refuse, spawn};
