//! `LDM_REMEMBER_USER`: who logged in last.

use std::fs;
use std::io;
use std::path::Path;

use ldm_protocol::{limits, text};

use super::state;

const FILE: &str = "last-user";

/// Who it was, if that is known.
pub(super) fn read(directory: &Path) -> Option<String> {
    let line = String::from_utf8(state::read(directory, FILE, limits::USERNAME as u64 + 2).ok()??).ok()?;
    let name = line.strip_suffix('\n')?;
    // It is put into the entry, and one that is not seen as it is would be sent unseen.
    let plain = !name.contains('\n') && text::sanitise(name, limits::USERNAME) == name;
    let good = plain && !name.trim().is_empty();
    good.then(|| name.to_owned())
}

/// Remembers them.
pub(super) fn write(directory: &Path, name: &str) -> io::Result<()> {
    state::write(directory, FILE, format!("{name}\n").as_bytes())
}

/// Remembers nobody.
pub(super) fn forget(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_replaces_and_forgets() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("ldm");
        assert_eq!(read(&directory), None);
        forget(&directory).unwrap();
        for name in ["alice", "DOMAIN\\bob smith"] {
            write(&directory, name).unwrap();
            assert_eq!(read(&directory).as_deref(), Some(name));
        }
        forget(&directory).unwrap();
        assert_eq!(read(&directory), None);
    }

    #[test]
    fn what_is_no_name_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        for text in [
            "",
            "\n",
            " \n",
            "no end",
            "a\nb\n",
            "\u{1b}[1m\n",
            "\u{202e}ecila\n",
            "a\tb\n",
            &format!("{}\n", "x".repeat(600)),
        ] {
            fs::write(directory.path().join(FILE), text).unwrap();
            assert_eq!(read(directory.path()), None, "{text:?}");
        }
    }
}
