//! What a local session leaves on this client if it is killed: written down before it is made, and removed by the next start
//! of a daemon or of a local session.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::userdb::RECORDS;
use crate::sys;

/// Directories of local sessions begin so; the rest is the process id.
const PREFIX: &str = "local-";
/// The list within.
const LIST: &str = "remains.json";
/// What our mounts are, as the kernel calls it.
pub(super) const SSHFS: &str = "fuse.sshfs";

/// What is to be removed.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    /// The process that made it, and when that was started (proc_pid_stat(5), field 22).
    owner: (i32, u64),
    /// The user made for the session: name and number.
    user: Option<(String, u32)>,
    /// Files in [`RECORDS`].
    records: Vec<PathBuf>,
    mounts: Vec<PathBuf>,
    /// Made as mount points, or on the way to them.
    directories: Vec<PathBuf>,
}

/// The directory of one local session with its list. What is on the list is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Remains {
    dir: PathBuf,
    list: List,
}

/// A user that a local session which runs has made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) uid: u32,
}

impl Remains {
    /// Makes the directory, which all may enter.
    pub(super) fn new(base: &Path) -> io::Result<Self> {
        let pid = std::process::id().cast_signed();
        let dir = base.join(format!("{PREFIX}{pid}"));
        if dir.exists() {
            // Of an earlier process of this number, which has been swept.
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        sys::set_mode(&dir, 0o755)?;
        let owner = (pid, started(pid).unwrap_or_default());
        let remains = Self { dir, list: List { owner, ..List::default() } };
        remains.write()?;
        Ok(remains)
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A user is about to be made.
    pub(super) fn user(&mut self, name: &str, uid: u32) -> io::Result<()> {
        self.list.user = Some((name.to_owned(), uid));
        self.write()
    }

    /// A file of a user's record is about to be made.
    pub(super) fn record(&mut self, path: &Path) -> io::Result<()> {
        self.list.records.push(path.to_owned());
        self.write()
    }

    /// A directory is about to be made.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.list.directories.push(path.to_owned());
        self.write()
    }

    /// Something is about to be mounted.
    pub(super) fn mount(&mut self, path: &Path) -> io::Result<()> {
        self.list.mounts.push(path.to_owned());
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let new = self.dir.join("remains.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&self.list)?)?;
        fs::rename(new, self.dir.join(LIST))
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        remove(&self.dir, &self.list);
    }
}

/// Removes what local sessions that were killed have left; the users of those that run.
pub(super) fn sweep(base: &Path) -> Vec<Guest> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let (name, dir) = (entry.file_name(), entry.path());
        let Some(pid) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.parse().ok()) else {
            continue;
        };
        let list = fs::read(dir.join(LIST)).ok().and_then(|text| serde_json::from_slice::<List>(&text).ok());
        match (list, started(pid)) {
            (Some(list), now) if now.is_none_or(|now| (pid, now) != list.owner) => {
                tracing::warn!(pid, "removing what a local session that was killed has left");
                remove(&dir, &list);
            }
            (Some(list), _) => guests.extend(list.user.map(|(name, uid)| Guest { name, uid })),
            (None, None) => remove(&dir, &List::default()),
            // It has just been started.
            (None, Some(_)) => {}
        }
    }
    guests
}

fn remove(dir: &Path, list: &List) {
    let failed = |path: &Path, error: io::Error| {
        tracing::warn!(path = %path.display(), %error, "what a local session has left cannot be removed");
    };
    if let Some((_, uid)) = &list.user {
        sys::end_user(*uid);
    }
    for path in list.mounts.iter().rev() {
        // Something else may be mounted there by now.
        while mount_at(path).is_some_and(|kind| kind == SSHFS) {
            if let Err(error) = sys::unmount(path) {
                failed(path, error);
                break;
            }
        }
    }
    for path in list.records.iter().filter(|path| path.parent() == Some(Path::new(RECORDS))) {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            failed(path, error);
        }
    }
    for path in list.directories.iter().rev() {
        // Only if it is empty: what somebody has put there meanwhile is not ours.
        match fs::remove_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed(path, error),
        }
    }
    // Programs may have mounted something in their runtime directory, where it must not be entered.
    for (path, _) in mounts().into_iter().rev().filter(|(path, _)| path.starts_with(dir)) {
        if let Err(error) = sys::unmount(&path) {
            return failed(&path, error);
        }
    }
    if let Err(error) = fs::remove_dir_all(dir) {
        failed(dir, error);
    }
}

/// When a process was started; `None` if there is none that has not ended.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok()).flatten()
}

/// The type of the file system that is mounted at this very path; of the topmost, if there are several.
pub(super) fn mount_at(path: &Path) -> Option<String> {
    mounts().into_iter().rfind(|(point, _)| point == path).map(|(_, kind)| kind)
}

/// Changes of it can be waited for (proc_pid_mounts(5)).
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";

fn mounts() -> Vec<(PathBuf, String)> {
    parse_mounts(&fs::read(MOUNTS).unwrap_or_default())
}

/// Where something is mounted, and what type it has, in the order in which it was mounted.
fn parse_mounts(table: &[u8]) -> Vec<(PathBuf, String)> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some((unescape(point), String::from_utf8_lossy(kind).into_owned()))
    };
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// Blanks and the like are `\OOO` there (proc_pid_mounts(5), getmntent(3)).
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| byte == b'\\');
        out.push(value.unwrap_or(byte));
        rest = if value.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_their_path() {
        let table = b"22 1 0:20 / / rw - ext4 /dev/sda1 rw\n\
            30 22 0:40 / /home/a\\040b rw,nosuid shared:1 - fuse.sshfs ldm:/home/a\\040b rw,user_id=1\n\
            31 22 0:41 / /mnt rw - tmpfs tmpfs rw\n32 31 0:42 / /mnt rw - fuse.sshfs x rw\n\n";
        let mounts: Vec<_> = parse_mounts(table).into_iter().map(|(p, k)| format!("{} {k}", p.display())).collect();
        assert_eq!(mounts, ["/ ext4", "/home/a b fuse.sshfs", "/mnt tmpfs", "/mnt fuse.sshfs"]);
        assert_eq!(mount_at(Path::new("/proc/self")), None);
        assert_eq!(unescape(b"a\\134040\\0x\\"), Path::new("a\\040\\0x\\"));
        assert!(mount_at(Path::new("/proc")).is_some());
    }

    #[test]
    fn only_what_is_on_the_list_of_the_dead_goes_and_only_if_it_is_ours() {
        let base = tempfile::tempdir().unwrap();
        let (kept, made) = (base.path().join("kept"), base.path().join("made"));
        for dir in [&kept, &made] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(kept.join("file"), "x").unwrap();
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        let dir = base.path().join(format!("{PREFIX}{pid}"));
        fs::create_dir(&dir).unwrap();
        let list = List {
            owner: (pid, started(pid).unwrap()),
            user: Some(("a".into(), 4_000_000_000)),
            records: vec![kept.join("file")],
            mounts: vec!["/proc".into()],
            directories: vec![kept.clone(), made.clone()],
        };
        fs::write(dir.join(LIST), serde_json::to_vec(&list).unwrap()).unwrap();
        assert_eq!(sweep(base.path()), [Guest { name: "a".into(), uid: 4_000_000_000 }]);
        assert!(made.exists() && dir.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sweep(base.path()), []);
        assert!(!made.exists() && !dir.exists());
        assert!(kept.join("file").exists() && Path::new("/proc/self").exists());
    }

    #[test]
    fn a_session_that_ends_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let mut remains = Remains::new(base.path()).unwrap();
        let made = base.path().join("made");
        remains.directory(&made).unwrap();
        fs::create_dir(&made).unwrap();
        assert_eq!(sweep(base.path()), []);
        assert!(made.exists());
        drop(remains);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
