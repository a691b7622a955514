//! `~/.dmrc`: the session this user chose last, in the form that display managers share (`[Desktop]`, `Session=`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::regular_file::{self, ReadError};
use crate::sys;

const MAX_BYTES: usize = 64 * 1024;
const GROUP: &str = "[Desktop]";

/// Why the choice was not written. None of it keeps a session from starting.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A link, a FIFO or somebody else's file: left as it is.
    #[error("~/.dmrc is not a regular file of this user")]
    Foreign,
    /// No text, or too large: left as it is.
    #[error("~/.dmrc cannot be understood: {0}")]
    Unreadable(#[from] ReadError),
    /// The home cannot be written: quota, permissions.
    #[error("~/.dmrc cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The remembered id.
pub fn remembered(home: &Path) -> Option<String> {
    let bytes = regular_file::read(&home.join(".dmrc"), MAX_BYTES).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == GROUP;
        } else if inside && let Some(value) = session_value(line) {
            return Some(value.replace(r"\\", r"\"));
        }
    }
    None
}

/// Remembers `id`, or with `None` forgets what was remembered. Other keys stay. The file is replaced as a whole, never
/// written through a link.
///
/// # Errors
/// [`WriteError`]; the old file is then still there.
pub fn remember(home: &Path, id: Option<&str>) -> Result<(), WriteError> {
    let path = home.join(".dmrc");
    let (old, mode) = match path.symlink_metadata() {
        Ok(m) if m.is_file() && m.uid() == nix::unistd::geteuid().as_raw() => {
            let text = String::from_utf8(regular_file::read(&path, MAX_BYTES)?)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            (text, m.permissions().mode() & 0o777)
        }
        Ok(_) => return Err(WriteError::Foreign),
        Err(e) if e.kind() == io::ErrorKind::NotFound => (String::new(), 0o644),
        Err(e) => return Err(e.into()),
    };
    let new = with_session(&old, id);
    if new == old {
        return Ok(());
    }
    let temporary = home.join(format!(".dmrc.{}", sys::random_hex()?));
    let written = write_new(&temporary, &new, mode).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask must not narrow what was there before.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    // A power cut must not leave an empty file under the old name.
    file.sync_all()
}

fn session_value(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    (key.trim() == "Session").then(|| value.trim())
}

fn with_session(old: &str, id: Option<&str>) -> String {
    let setting = id.map(|id| format!("Session={}\n", id.replace('\\', r"\\")));
    let mut new = String::with_capacity(old.len() + 128);
    let (mut inside, mut seen) = (false, false);
    for line in old.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed == GROUP;
        } else if inside && session_value(trimmed).is_some() {
            continue;
        }
        new.push_str(line);
        new.push('\n');
        if inside && trimmed == GROUP && !seen {
            seen = true;
            new.push_str(setting.as_deref().unwrap_or_default());
        }
    }
    if let Some(setting) = setting.filter(|_| !seen) {
        new.push_str(GROUP);
        new.push('\n');
        new.push_str(&setting);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_only_its_key() {
        for (old, id, new) in [
            ("", Some("x"), "[Desktop]\nSession=x\n"),
            ("", None, ""),
            ("[Desktop]\nLanguage=de\nSession=old", Some("x"), "[Desktop]\nSession=x\nLanguage=de\n"),
            ("[Desktop]\nSession = a\nLayout=us\n", None, "[Desktop]\nLayout=us\n"),
            ("# c\n[Other]\nSession=o\n", Some(r"a\b"), "# c\n[Other]\nSession=o\n[Desktop]\nSession=a\\\\b\n"),
        ] {
            assert_eq!(with_session(old, id), new, "{old:?}");
        }
    }

    #[test]
    fn remembers_and_forgets() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".dmrc");
        assert_eq!(remembered(home.path()), None);
        remember(home.path(), Some(r"odd \ näme")).unwrap();
        assert_eq!(remembered(home.path()).as_deref(), Some(r"odd \ näme"));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        remember(home.path(), Some("other")).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        remember(home.path(), None).unwrap();
        assert_eq!(remembered(home.path()), None);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn never_through_a_link_nor_from_a_device() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        fs::write(&target, "[Desktop]\nSession=linked\n").unwrap();
        let path = home.path().join(".dmrc");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(remembered(home.path()).as_deref(), Some("linked"));
        assert!(matches!(remember(home.path(), Some("x")), Err(WriteError::Foreign)));
        assert_eq!(fs::read_to_string(&target).unwrap(), "[Desktop]\nSession=linked\n");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(remembered(home.path()), None);
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(matches!(remember(home.path(), Some("x")), Err(WriteError::Unreadable(_))));
    }
}
