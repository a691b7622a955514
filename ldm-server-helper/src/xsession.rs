//! The Xsession script, which turns a command into a session as this server's distribution means it.

use std::path::{Path, PathBuf};

use crate::account::is_program;

/// Where distributions keep it: Debian, Red Hat, SUSE.
const KNOWN: [&str; 3] = ["/etc/X11/Xsession", "/etc/X11/xinit/Xsession", "/etc/X11/xdm/Xsession"];

/// The script asked for by `LDM_XSESSION` cannot be used. The administrator corrects the setting or installs the script.
#[derive(Debug, thiserror::Error)]
#[error("{}: not an executable file with an absolute path", .0.display())]
pub struct NoSuchScript(PathBuf);

/// The script to use: the one asked for, else the first of the known ones, else none.
///
/// # Errors
/// [`NoSuchScript`] for one that was asked for; there is no silent fallback from an administrator's choice.
pub fn choose(wanted: Option<&str>) -> Result<Option<PathBuf>, NoSuchScript> {
    match wanted.map(Path::new) {
        Some(path) if path.is_absolute() && is_program(path) => Ok(Some(path.to_owned())),
        Some(path) => Err(NoSuchScript(path.to_owned())),
        None => Ok(KNOWN.iter().map(PathBuf::from).find(|path| is_program(path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_program_is_taken() {
        assert_eq!(choose(Some("/bin/sh")).unwrap(), Some("/bin/sh".into()));
        for wanted in ["sh", "bin/sh", "", "/no/such", "/etc/passwd", "/bin", "/dev/null"] {
            assert!(choose(Some(wanted)).is_err(), "{wanted}");
        }
    }
}
