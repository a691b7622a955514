//! `ltsp-remoteapps` and `ltsp-open`, which are also `ldm remoteapp` and `ldm open`: a program on this client asks for one in the
//! session on the server.
//!
//! Runs as the user, with nothing but the display to ask on.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use ldm_apps::{Queue, command, open as opening};

/// The name under which the program is linked.
const NAME: &str = "ltsp-remoteapps";

/// The subcommand of the same meaning.
pub const COMMAND: &str = "remoteapp";

/// The subcommand that is `ltsp-open`.
pub const OPEN_COMMAND: &str = "open";

/// Does what the program was called for under one of these names; `None` when it was called otherwise.
pub fn by_name(command_line: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut words = command_line.into_iter();
    let called = words.next()?;
    let name = Path::new(&called).file_name()?;
    if name == OsStr::new(NAME) {
        return Some(run(words));
    }
    (name == OsStr::new(opening::NAME)).then(|| open(words))
}

/// `ltsp-remoteapps` with these words.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    command::run(NAME, "Start a program on the server, in the session.", Queue::Remote, words)
}

/// `ltsp-open` with these words. On a machine that is client and server a program of the session may call it, which its
/// environment tells.
pub fn open(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    opening::run(opening::queue(Queue::Remote), words)
}
