//! The light set-up of GTK: settings that count only before it starts, so the greeter starts itself once more with them.
//!
//! A bare GTK 4 window costs 122 ms and 116 MB as it comes and 33 ms and 19 MB so. What the administrator or the daemon has
//! set already stays as it is; if all of it is there, nothing is started again.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set by ourselves for the second start, so that there is no third.
const READY: &str = "LDM_GREETER_READY";

/// `1`: what is needed by assistive programs is loaded.
const ACCESSIBLE: &str = "LDM_GREETER_A11Y";

/// The user name that was in the entry before a restart.
const NAME: &str = "LDM_GREETER_NAME";

/// Set if standard input is the connection to the daemon.
const INHERITED: &str = "LDM_GREETER_LINK";

const LIGHT: [(&str, &str); 7] = [
    // Software drawing without OpenGL: keeps Mesa out, which is most of the cost.
    ("GSK_RENDERER", "cairo"),
    ("GDK_DEBUG", "gl-disable"),
    ("GDK_BACKEND", "x11"),
    // No file manager's volumes, no settings daemon, no portals: nothing that would ask a session bus.
    ("GIO_USE_VFS", "local"),
    ("GSETTINGS_BACKEND", "memory"),
    ("GTK_USE_PORTAL", "0"),
    // The theme is the whole look: GTK's own style sheet would be read for nothing.
    ("GTK_THEME", "Empty"),
];

/// Whether assistive programs are to be served.
pub(crate) fn accessible() -> bool {
    env::var_os(ACCESSIBLE).as_deref() == Some(OsStr::new("1"))
}

/// The user name to start with.
pub(crate) fn username() -> String {
    env::var(NAME).unwrap_or_default()
}

/// Whether the connection to the daemon is standard input.
pub(crate) fn inherits_link() -> bool {
    env::var_os(INHERITED).is_some()
}

/// Starts this program again with the light set-up, unless it is in place.
pub(crate) fn ensure(accessible: bool) -> io::Result<()> {
    if env::var_os(READY).is_some() || in_place(accessible) {
        return Ok(());
    }
    let mut command = again()?;
    for (key, value) in LIGHT {
        if env::var_os(key).is_none() {
            command.env(key, value);
        }
    }
    if accessible {
        command.env(ACCESSIBLE, "1");
    } else if env::var_os("GTK_A11Y").is_none() {
        command.env("GTK_A11Y", "none");
    }
    Err(command.exec())
}

fn in_place(accessible: bool) -> bool {
    LIGHT.iter().all(|(key, _)| env::var_os(key).is_some()) && (accessible || env::var_os("GTK_A11Y").is_some())
}

/// Starts this program again, on the same connection, with the other choice of accessibility. Returns only if that fails.
pub(crate) fn restart(link: OwnedFd, username: &str) -> io::Error {
    let mut command = match again() {
        Ok(command) => command,
        Err(error) => return error,
    };
    if accessible() {
        command.env(ACCESSIBLE, "0").env("GTK_A11Y", "none");
    } else {
        command.env(ACCESSIBLE, "1").env_remove("GTK_A11Y");
    }
    command.env(INHERITED, "1").env(NAME, username).stdin(Stdio::from(link)).exec()
}

fn again() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).env(READY, "1");
    Ok(command)
}
