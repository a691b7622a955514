//! The X sessions this server offers: `xsessions/*.desktop` of every data directory.
//!
//! An id belongs to the first directory that has a usable file of that name; a hidden file there masks the ones further down.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ldm_protocol::helper::SessionEntry;
use ldm_protocol::limits;

use crate::account::Account;
use crate::command_line::CommandLine;
use crate::desktop_entry::{self, SessionFile, SessionKeys};
use crate::regular_file;

/// Names taken from one directory. More is no list of sessions but an attack or an accident.
const MAX_NAMES: usize = 20_000;
/// Files read in all for one list.
const MAX_FILES: usize = 512;

/// A session that can be started here and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XSession {
    /// Id: the file's base name.
    pub id: String,
    /// Localised name, as the file has it.
    pub name: String,
    /// Localised comment, as the file has it.
    pub comment: Option<String>,
    /// Its command.
    pub command: CommandLine,
    /// Where the command's program was found.
    pub program: PathBuf,
    /// `DesktopNames`.
    pub desktop_names: Vec<String>,
}

impl XSession {
    /// As it is sent to the client.
    pub fn to_entry(&self) -> Option<SessionEntry> {
        SessionEntry { id: self.id.clone(), name: self.name.clone(), comment: self.comment.clone() }.sanitised()
    }
}

/// Why an id cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// No directory offers it (any more). The user chooses another one.
    #[error("no session of this name")]
    Gone,
    /// It is offered, but this program is not there or not executable. The administrator installs it.
    #[error("{0}: no such program")]
    NotExecutable(String),
}

/// Every session that can be started, by name; at most [`limits::SESSIONS`].
pub fn list(account: &Account, locale: Option<&str>) -> Vec<XSession> {
    let mut seen = HashSet::new();
    let mut sessions = Vec::new();
    let mut files = 0;
    for dir in &account.data_dirs {
        for id in ids(&dir.join("xsessions")) {
            if files == MAX_FILES || sessions.len() == limits::SESSIONS {
                break;
            }
            if seen.contains(&id) {
                continue;
            }
            files += 1;
            let Some(file) = read(&dir.join("xsessions"), &id, locale) else { continue };
            if let SessionFile::Session(keys) = file
                && let Ok(session) = startable(account, &id, keys)
            {
                sessions.push(session);
            }
            seen.insert(id);
        }
    }
    sessions.sort_by_cached_key(|s| (s.name.to_lowercase(), s.id.clone()));
    sessions
}

/// One session by its id.
///
/// # Errors
/// [`Absent`].
pub fn find(account: &Account, id: &str, locale: Option<&str>) -> Result<XSession, Absent> {
    if !SessionEntry::is_valid_id(id) {
        return Err(Absent::Gone);
    }
    match account.data_dirs.iter().find_map(|dir| read(&dir.join("xsessions"), id, locale)) {
        Some(SessionFile::Session(keys)) => startable(account, id, keys),
        Some(SessionFile::Masking) | None => Err(Absent::Gone),
    }
}

/// The valid ids of one directory, sorted, so that a cut list is always cut at the same place.
fn ids(dir: &Path) -> Vec<String> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let mut ids: Vec<String> = entries
        .take(MAX_NAMES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".desktop").map(str::to_owned))
        .filter(|id| SessionEntry::is_valid_id(id))
        .collect();
    ids.sort_unstable();
    ids
}

fn read(dir: &Path, id: &str, locale: Option<&str>) -> Option<SessionFile> {
    let bytes = regular_file::read(&dir.join(format!("{id}.desktop")), desktop_entry::MAX_BYTES).ok()?;
    SessionFile::parse(&bytes, locale)
}

fn startable(account: &Account, id: &str, keys: SessionKeys) -> Result<XSession, Absent> {
    let find = |word: &str| account.find_program(word).ok_or_else(|| Absent::NotExecutable(word.to_owned()));
    if let Some(try_exec) = &keys.try_exec {
        find(try_exec)?;
    }
    let program = find(keys.command.program())?;
    let SessionKeys { name, comment, command, desktop_names, .. } = keys;
    Ok(XSession { id: id.to_owned(), name, comment, command, program, desktop_names })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dirs {
        root: tempfile::TempDir,
        account: Account,
    }

    fn dirs() -> Dirs {
        let root = tempfile::tempdir().unwrap();
        let data_dirs = vec![root.path().join("a"), root.path().join("b")];
        for dir in &data_dirs {
            std::fs::create_dir_all(dir.join("xsessions")).unwrap();
        }
        Dirs { root, account: Account { data_dirs, path: vec!["/bin".into()], ..Account::default() } }
    }

    impl Dirs {
        fn put(&self, file: &str, body: &str) {
            let (dir, name) = file.split_once('/').unwrap();
            let text = format!("[Desktop Entry]\n{body}\n");
            std::fs::write(self.root.path().join(dir).join("xsessions").join(name), text).unwrap();
        }

        fn listed(&self) -> Vec<(String, String)> {
            list(&self.account, None).into_iter().map(|s| (s.id, s.name)).collect()
        }
    }

    fn pair(id: &str, name: &str) -> (String, String) {
        (id.to_owned(), name.to_owned())
    }

    #[test]
    fn the_first_directory_wins_and_hidden_masks() {
        let d = dirs();
        d.put("a/one.desktop", "Name=One A\nExec=sh");
        d.put("b/one.desktop", "Name=One B\nExec=sh");
        d.put("a/two.desktop", "Hidden=true");
        d.put("b/two.desktop", "Name=Two\nExec=sh");
        d.put("a/three.desktop", "Name=broken");
        d.put("b/three.desktop", "Name=Three\nExec=sh");
        d.put("a/four.desktop", "Name=Four\nExec=no-such-program");
        d.put("b/four.desktop", "Name=Four B\nExec=sh");
        d.put("b/five.desktop", "Name=Five\nExec=sh\nTryExec=/no/such");
        assert_eq!(d.listed(), [pair("one", "One A"), pair("three", "Three")]);
        assert_eq!(find(&d.account, "two", None), Err(Absent::Gone));
        assert_eq!(find(&d.account, "four", None), Err(Absent::NotExecutable("no-such-program".into())));
        assert_eq!(find(&d.account, "five", None), Err(Absent::NotExecutable("/no/such".into())));
        assert_eq!(find(&d.account, "one", None).unwrap().name, "One A");
        for id in ["../b/xsessions/one", "", "-x", ".hidden", "none"] {
            assert_eq!(find(&d.account, id, None), Err(Absent::Gone), "{id}");
        }
    }

    #[test]
    fn names_that_are_no_ids_and_files_that_are_no_files() {
        let d = dirs();
        d.put("a/-x.desktop", "Name=X\nExec=sh");
        d.put("a/.desktop", "Name=X\nExec=sh");
        d.put("a/x.txt", "Name=X\nExec=sh");
        d.put("a/odd $(id) ; näme.desktop", "Name=Odd\nExec=sh");
        let xsessions = d.root.path().join("a/xsessions");
        nix::unistd::mkfifo(&xsessions.join("fifo.desktop"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", xsessions.join("zero.desktop")).unwrap();
        std::fs::create_dir(xsessions.join("dir.desktop")).unwrap();
        std::fs::write(xsessions.join("huge.desktop"), vec![b'x'; 10_000_000]).unwrap();
        d.put("b/real.txt", "Name=Linked\nExec=sh");
        std::os::unix::fs::symlink(d.root.path().join("b/xsessions/real.txt"), xsessions.join("link.desktop")).unwrap();
        d.put("b/fifo.desktop", "Name=Fifo\nExec=sh");
        assert_eq!(d.listed(), [pair("fifo", "Fifo"), pair("link", "Linked"), pair("odd $(id) ; näme", "Odd")]);
    }

    #[test]
    fn ten_thousand_files_are_bounded_and_stable() {
        let d = dirs();
        for i in 0..10_000 {
            d.put(&format!("a/s{i:05}.desktop"), "Name=S\nExec=sh");
        }
        let listed = d.listed();
        assert_eq!(listed.len(), limits::SESSIONS);
        assert_eq!(listed.first().unwrap().0, "s00000");
        assert!(find(&d.account, "s09999", None).is_ok());
    }
}
