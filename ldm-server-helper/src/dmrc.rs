//! `~/.dmrc`: what this user chose last, in the form that display managers share (`[Desktop]`, `Session=`, `Language=`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::regular_file::{self, ReadError};
use crate::sys;

const MAX_BYTES: usize = 64 * 1024;
const GROUP: &str = "[Desktop]";
const SESSION: &str = "Session";
const LANGUAGE: &str = "Language";

/// What the file remembers; whether it is still there is not looked at here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The session's id.
    pub session: Option<String>,
    /// The locale.
    pub language: Option<String>,
}

/// What is to be remembered from now on; of each, `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes<'a> {
    /// The session's id; `Some(None)` forgets it.
    pub session: Option<Option<&'a str>>,
    /// The locale; `Some(None)` forgets it.
    pub language: Option<Option<&'a str>>,
}

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

/// What is remembered.
pub fn remembered(home: &Path) -> Choices {
    let mut choices = Choices::default();
    let Ok(bytes) = regular_file::read(&home.join(".dmrc"), MAX_BYTES) else { return choices };
    let Ok(text) = String::from_utf8(bytes) else { return choices };
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == GROUP;
        } else if inside {
            for (key, place) in [(SESSION, &mut choices.session), (LANGUAGE, &mut choices.language)] {
                if place.is_none()
                    && let Some(value) = value_of(line, key)
                {
                    *place = Some(value.replace(r"\\", r"\")).filter(|value| !value.is_empty());
                }
            }
        }
    }
    choices
}

/// Remembers what `changes` says. Other keys stay. The file is replaced as a whole, never written through a link.
///
/// # Errors
/// [`WriteError`]; the old file is then still there.
pub fn remember(home: &Path, changes: Changes<'_>) -> Result<(), WriteError> {
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
    let new = with(&old, changes);
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

fn value_of<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    let (key, value) = line.split_once('=')?;
    (key.trim() == wanted).then(|| value.trim())
}

fn with(old: &str, changes: Changes<'_>) -> String {
    let keys: Vec<(&str, Option<&str>)> = [(SESSION, changes.session), (LANGUAGE, changes.language)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let settings: String = keys
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}\n", value.as_ref()?.replace('\\', r"\\"))))
        .collect();
    let mut new = String::with_capacity(old.len() + 128);
    let (mut inside, mut seen) = (false, false);
    for line in old.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed == GROUP;
        } else if inside && keys.iter().any(|(key, _)| value_of(trimmed, key).is_some()) {
            continue;
        }
        new.push_str(line);
        new.push('\n');
        if inside && trimmed == GROUP && !seen {
            seen = true;
            new.push_str(&settings);
        }
    }
    if !seen && !settings.is_empty() {
        new.push_str(GROUP);
        new.push('\n');
        new.push_str(&settings);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: Option<&str>) -> Changes<'_> {
        Changes { session: Some(id), ..Changes::default() }
    }

    #[test]
    fn edits_only_its_key() {
        for (old, id, new) in [
            ("", Some("x"), "[Desktop]\nSession=x\n"),
            ("", None, ""),
            ("[Desktop]\nLanguage=de\nSession=old", Some("x"), "[Desktop]\nSession=x\nLanguage=de\n"),
            ("[Desktop]\nSession = a\nLayout=us\n", None, "[Desktop]\nLayout=us\n"),
            ("# c\n[Other]\nSession=o\n", Some(r"a\b"), "# c\n[Other]\nSession=o\n[Desktop]\nSession=a\\\\b\n"),
        ] {
            assert_eq!(with(old, session(id)), new, "{old:?}");
        }
    }

    #[test]
    fn both_keys_at_once_and_each_by_itself() {
        let both = Changes { session: Some(Some("x")), language: Some(Some("de_DE.UTF-8")) };
        let language = Changes { language: Some(Some("fr_FR.UTF-8")), ..Changes::default() };
        assert_eq!(with("", both), "[Desktop]\nSession=x\nLanguage=de_DE.UTF-8\n");
        let old = "[Desktop]\nSession=old\nLanguage=de\nLayout=us\nLanguage=again\n";
        assert_eq!(with(old, language), "[Desktop]\nLanguage=fr_FR.UTF-8\nSession=old\nLayout=us\n");
        assert_eq!(with(old, Changes::default()), old);
        let home = tempfile::tempdir().unwrap();
        remember(home.path(), both).unwrap();
        remember(home.path(), session(None)).unwrap();
        assert_eq!(remembered(home.path()), Choices { session: None, language: Some("de_DE.UTF-8".into()) });
    }

    #[test]
    fn remembers_and_forgets() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".dmrc");
        assert_eq!(remembered(home.path()).session, None);
        remember(home.path(), session(Some(r"odd \ näme"))).unwrap();
        assert_eq!(remembered(home.path()).session.as_deref(), Some(r"odd \ näme"));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        remember(home.path(), session(Some("other"))).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        remember(home.path(), session(None)).unwrap();
        assert_eq!(remembered(home.path()).session, None);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn never_through_a_link_nor_from_a_device() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        fs::write(&target, "[Desktop]\nSession=linked\n").unwrap();
        let path = home.path().join(".dmrc");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(remembered(home.path()).session.as_deref(), Some("linked"));
        assert!(matches!(remember(home.path(), session(Some("x"))), Err(WriteError::Foreign)));
        assert_eq!(fs::read_to_string(&target).unwrap(), "[Desktop]\nSession=linked\n");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(remembered(home.path()).session, None);
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(matches!(remember(home.path(), session(Some("x"))), Err(WriteError::Unreadable(_))));
    }
}
