//! The greeter: its process, its private directory, and the socket on which it speaks greetd IPC.
//!
//! Runs in the daemon (root, or the one user). The greeter (user `ldm-greeter`, any program that speaks greetd) is not
//! trusted: frames are bounded, one connection is served at a time, only the greeter's own user or root may connect, and
//! who does not read its answers is cut off.

mod directory;
mod process;
mod socket;

pub use directory::{Directory, DirectoryError};
pub use process::{Beside, Greeter, StartError};
pub use socket::{FromGreeter, Link, LinkError, ToGreeter};
