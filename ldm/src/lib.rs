//! LDM, the LTSP Display Manager: library of the daemon of one seat and of its session worker.
//!
//! docs/architecture.md tells which module runs in which process, under which user, and what it may import.

pub mod audio;
pub mod auth;
pub mod config;
pub mod display;
pub mod greeter_link;
pub mod keyboard;
pub mod local_session;
pub mod localapps;
pub mod log;
pub mod login;
pub mod pam;
pub mod probe;
pub mod remoteapp;
pub mod seat;
pub mod ssh;
pub mod sys;
pub mod worker;
pub mod x11;
pub mod xauth;
