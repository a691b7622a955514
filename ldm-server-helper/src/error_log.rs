//! `~/.xsession-errors`: where a session's output goes, and the last lines this session wrote there.
//!
//! Debian's Xsession opens the file itself and appends; other scripts empty or replace it. Output before Xsession, and of
//! sessions without one, goes there through the descriptor opened here.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ldm_protocol::{limits, text};
use nix::fcntl::OFlag;

/// The last lines are looked for in this many bytes.
const TAIL: u64 = 64 * 1024;

/// The file, open for appending.
#[derive(Debug)]
pub struct ErrorLog {
    path: PathBuf,
    open: io::Result<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Size when this session began.
    start: u64,
}

impl ErrorLog {
    /// Opens or creates it, readable by the user alone. A link, or a file that is not the user's own, is not used; the
    /// session's output is then lost, which is no reason not to start it.
    pub fn open(home: &Path) -> Self {
        let path = home.join(".xsession-errors");
        Self { open: Open::new(&path), path }
    }

    /// Standard output or error of the session's command.
    pub fn stdio(&self) -> Stdio {
        self.file().map_or_else(Stdio::null, Stdio::from)
    }

    /// Another descriptor of the file; `None` when it is not used.
    pub fn file(&self) -> Option<File> {
        self.open.as_ref().ok().and_then(|open| open.file.try_clone().ok())
    }

    /// The last lines this session wrote, sanitised; at most [`limits::LOG_TAIL_LINES`].
    pub fn last_words(&self) -> Vec<String> {
        match self
            .open
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|open| open.tail(&self.path).map_err(|e| e.to_string()))
        {
            Ok(tail) => last_lines(&tail, limits::LOG_TAIL_LINES, |line| !is_routine(line)),
            Err(error) => vec![text::sanitise_line(&format!("~/.xsession-errors: {error}"), limits::LOG_TAIL_LINE)],
        }
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file of this user alone"));
        }
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Self { file, identity: (metadata.dev(), metadata.ino()), start: metadata.len() })
    }

    fn tail(&self, path: &Path) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // Replaced or emptied since: all of it is this session's.
        let same = (metadata.dev(), metadata.ino()) == self.identity && metadata.len() >= self.start;
        let start = if same { self.start } else { 0 };
        file.seek(SeekFrom::Start(start.max(metadata.len().saturating_sub(TAIL))))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    }
}

/// The last lines that count, sanitised; at most `count`.
pub(crate) fn last_lines(tail: &[u8], count: usize, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let tail = String::from_utf8_lossy(tail);
    let lines = tail.lines().rev().map(|line| text::sanitise_line(line, limits::LOG_TAIL_LINE - '…'.len_utf8()));
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty() && counts(line)).take(count).collect();
    lines.reverse();
    lines
}

/// What Debian's Xsession writes about every session, after the words that matter as well as before them.
fn is_routine(line: &str) -> bool {
    ["dbus-update-activation-environment: ", "Xsession: X session started for "]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_this_sessions_lines() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".xsession-errors");
        std::fs::write(&path, "old\n").unwrap();
        let log = ErrorLog::open(home.path());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(log.last_words().is_empty());
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"1\n\n2\n3\n4\n5\ndbus-update-activation-environment: setting PWD=/\n\x1b[31m6\xff\n").unwrap();
        assert_eq!(log.last_words(), ["2", "3", "4", "5", "6\u{fffd}"]);
        // Emptied, as some Xsession scripts do.
        std::fs::write(&path, "a\n").unwrap();
        assert_eq!(log.last_words(), ["a"]);
        // Replaced.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "replaced by a longer one\n").unwrap();
        assert_eq!(log.last_words(), ["replaced by a longer one"]);
    }

    #[test]
    fn a_link_is_not_written() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, home.path().join(".xsession-errors")).unwrap();
        let log = ErrorLog::open(home.path());
        assert!(log.open.is_err());
        assert!(log.last_words().first().unwrap().starts_with("~/.xsession-errors: "));
    }

    #[test]
    fn a_long_line_is_cut() {
        let home = tempfile::tempdir().unwrap();
        let log = ErrorLog::open(home.path());
        std::fs::write(home.path().join(".xsession-errors"), vec![b'x'; 1_000_000]).unwrap();
        let words = log.last_words();
        assert_eq!((words.len(), words.first().unwrap().len()), (1, limits::LOG_TAIL_LINE));
    }
}
