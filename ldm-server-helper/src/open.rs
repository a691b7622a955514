//! `ltsp-open`, which is also `ldm-server-helper open`: the session has a file or an address opened on the client. Where one
//! machine is server and client, this program may be called by a local program of the client, which its environment tells.

use std::ffi::OsString;
use std::process::ExitCode;

use ldm_apps::{Queue, open};

use crate::localapp;

/// The words that follow this program's name or its command `open`. `None`: it was started for something else.
pub fn words(command_line: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    localapp::words_of(open::NAME, "open", command_line)
}

/// Asks, and gives the exit status.
pub fn run(words: Vec<OsString>) -> ExitCode {
    open::run(open::queue(Queue::Local), words)
}
