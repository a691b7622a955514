//! LDM measured side by side with `ssh -Y`: same sshd, same X server, same session command, taking turns.
//!
//! Runs as root on the loopback (users, sshd), like the lab that it is built on. Nothing here fails because something is
//! slow: a measurement says what it saw, and what it could not see.

pub mod clock;
pub mod drawing;
pub mod greeter;
pub mod lightdm;
pub mod local;
pub mod login;
pub mod mapped;
pub mod memory;
pub mod peer;
pub mod report;
pub mod session;
pub mod stats;
pub mod terminal;
