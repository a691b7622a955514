//! `ldm-server-helper`: LDM on the server, started by sshd on an exec channel **as the user who logged in**.
//!
//! One command over stdin and stdout, then it ends; no configuration, no state, no privilege. `info` says what this server
//! offers ([`info`]), `session` runs one session and ends every process of it ([`session`]). The messages are those of
//! [`ldm_protocol::helper`].
//!
//! Trust: the request comes over the user's own authenticated channel, so it can ask for nothing that the user could not do
//! anyway; it is still bounded and checked, because the thin client is not the server's. `.desktop` files, `~/.dmrc` and
//! `~/.xsession-errors` are somebody's files: bounded, regular, never followed to a device. Everything that goes out is
//! sanitised, and the client does that again.

pub mod access;
pub mod account;
pub mod command_line;
pub mod desktop_entry;
pub mod directory;
pub mod dmrc;
pub mod elsewhere;
pub mod environment;
pub mod error_log;
pub mod info;
pub mod languages;
pub mod launch;
pub mod load;
pub mod localapp;
pub mod menu;
pub mod menu_entry;
pub mod open;
pub mod processes;
pub mod regular_file;
pub mod remoteapp;
pub mod request;
pub mod session;
pub mod session_directory;
pub mod sessions;
pub mod sound;
mod sys;
pub mod user;
pub mod xauthority;
pub mod xsession;
