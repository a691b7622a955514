//! The lab: what the scenarios and the demo are made of.
//!
//! Everything real that a login needs, each in a private copy that lives as long as its value: users of this system
//! ([`User`]), an OpenSSH server with PAM ([`Sshd`]), X servers ([`XServer`]), a network that can be slow or cut
//! ([`Relay`]), the daemon ([`Daemon`]) and greeters ([`Greeter`]). It runs as root, on the loopback only. A [`Lab`] owns the
//! directory they share, and looks through every log in it for secrets when it ends.
#![allow(clippy::missing_panics_doc)]

pub mod account;
pub mod assistive;
pub mod client;
pub mod daemon;
pub mod greeter;
pub mod gui;
pub mod program;
pub mod relay;
pub mod scene;
pub mod sound;
pub mod sshd;
pub mod stage;
pub mod sweep;
pub mod wait;
pub mod workplace;
pub mod xserver;

pub use account::{Kind, User};
pub use assistive::Assistant;
pub use client::{Client, Guest, LocalSession};
pub use daemon::Daemon;
pub use greeter::Greeter;
pub use program::Program;
pub use relay::Relay;
pub use scene::{Desk, Scene};
pub use sshd::Sshd;
pub use workplace::Lab;
pub use xserver::XServer;
