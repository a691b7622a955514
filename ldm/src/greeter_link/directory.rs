//! The seat's private directory: the greeter's socket, its X authority, its home, and the session list for foreign greeters.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ldm_protocol::greetd::{DEFAULT_SESSION, SESSION_COMMAND};
use ldm_protocol::helper::SessionEntry;

use crate::sys::{self, Account};

/// Where root's seats have their directories.
const RUN: &str = "/run/ldm";
/// Seats' directories begin so; the rest is the daemon's process id.
const PREFIX: &str = "seat-";

/// The directory cannot be made or written.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written")]
pub struct DirectoryError {
    path: PathBuf,
    source: io::Error,
}

/// The directory of one seat; removed when dropped. As root `/run/ldm/seat-PID`, which all may enter and root alone may
/// write, else a directory that is the user's alone.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    greeter: Account,
}

impl Directory {
    /// Makes it, for a greeter that runs as `greeter`.
    pub fn make(greeter: &Account) -> Result<Self, DirectoryError> {
        let name = format!("{PREFIX}{}", std::process::id());
        let (base, mode) = if sys::is_root() {
            make_dir(Path::new(RUN), 0o755).or_else(exists_already).map_err(at(Path::new(RUN)))?;
            remove_stale(Path::new(RUN));
            (PathBuf::from(RUN), 0o755)
        } else {
            (user_base()?, 0o700)
        };
        let path = base.join(name);
        // Ours of an earlier life with the same process id, if the base is root's or the user's alone.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
        make_dir(&path, mode).map_err(at(&path))?;
        let this = Self { path, greeter: greeter.clone() };
        for (dir, mode) in [(this.home(), 0o700), (this.data(), 0o755), (this.data().join("xsessions"), 0o755)] {
            make_dir(&dir, mode).map_err(at(&dir))?;
        }
        sys::give_to(&this.home(), greeter).map_err(at(&this.home()))?;
        Ok(this)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it and those of other seats are: what must outlive a daemon that is killed goes there.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The greeter's socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("greetd.sock")
    }

    /// Where the greeter of this number finds its message bus.
    pub fn bus(&self, number: u64) -> PathBuf {
        self.path.join(format!("bus-{number}"))
    }

    /// The greeter's X authority file.
    pub fn authority(&self) -> PathBuf {
        self.path.join("xauthority")
    }

    /// The greeter's home.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// First of the greeter's `XDG_DATA_DIRS`.
    pub fn data(&self) -> PathBuf {
        self.path.join("share")
    }

    /// Empties the greeter's home: the next one begins afresh.
    pub fn fresh_home(&self) -> Result<(), DirectoryError> {
        let home = self.home();
        // Owned by the greeter's user, so anything may be in it; std removes without following links.
        fs::remove_dir_all(&home).or_else(missing_already).map_err(at(&home))?;
        make_dir(&home, 0o700).map_err(at(&home))?;
        sys::give_to(&home, &self.greeter).map_err(at(&home))
    }

    /// Writes the session list for greeters that read `.desktop` files, "Default" first. What was there before goes.
    pub fn publish(&self, sessions: &[SessionEntry]) -> Result<(), DirectoryError> {
        let dir = self.data().join("xsessions");
        for old in fs::read_dir(&dir).map_err(at(&dir))?.flatten() {
            fs::remove_file(old.path()).map_err(at(&old.path()))?;
        }
        let default = SessionEntry {
            id: DEFAULT_SESSION.to_owned(),
            name: "Default".to_owned(),
            comment: Some("What the server starts where nothing is chosen".to_owned()),
        };
        // Greeters sort by file name or by name; the number keeps the server's order for the former.
        for (number, entry) in std::iter::once(&default).chain(sessions).enumerate() {
            let path = dir.join(format!("{number:02}-{}.desktop", file_stem(&entry.id)));
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path).map_err(at(&path))?;
            sys::set_mode(&path, 0o644).map_err(at(&path))?;
            file.write_all(desktop_entry(entry).as_bytes()).map_err(at(&path))?;
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be removed");
        }
    }
}

/// A directory that is this user's alone.
fn user_base() -> Result<PathBuf, DirectoryError> {
    if let Some(run) =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute() && is_private(p))
    {
        let base = run.join("ldm");
        make_dir(&base, 0o700).or_else(exists_already).map_err(at(&base))?;
        remove_stale(&base);
        return Ok(base);
    }
    let base = std::env::temp_dir().join(format!("ldm-{}", sys::uid()));
    make_dir(&base, 0o700).or_else(exists_already).map_err(at(&base))?;
    if !is_private(&base) {
        // In /tmp anybody may have been there first.
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else");
        return Err(DirectoryError { path: base, source });
    }
    remove_stale(&base);
    Ok(base)
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir() && m.uid() == sys::uid() && m.mode().trailing_zeros() >= 6)
}

/// Removes what daemons that were killed left behind.
fn remove_stale(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    // Whatever our umask.
    sys::set_mode(path, mode)
}

fn exists_already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn missing_already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError { path, source }
}

fn file_stem(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' }).take(80).collect()
}

/// A `.desktop` file (Desktop Entry Specification) whose `Exec` names the session by its id.
fn desktop_entry(entry: &SessionEntry) -> String {
    let comment = entry.comment.as_deref().map(|c| format!("Comment={}\n", escape(c))).unwrap_or_default();
    let id = exec_argument(&entry.id);
    format!(
        "[Desktop Entry]\nType=Application\nName={}\n{comment}Exec={SESSION_COMMAND} {id}\n",
        escape(&entry.name),
        id = escape(&id)
    )
}

/// Quoting inside `Exec`: double quotes where anything but plain characters is in it.
fn exec_argument(id: &str) -> String {
    if id.chars().all(|c| c.is_alphanumeric() || "_.-+@:".contains(c)) {
        return id.to_owned();
    }
    let mut out = String::from("\"");
    for c in id.chars() {
        match c {
            '"' | '`' | '$' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Escapes of a string value. Line breaks cannot occur: what is shown was sanitised to one line.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn entry(id: &str, name: &str) -> SessionEntry {
        SessionEntry { id: id.into(), name: name.into(), comment: None }
    }

    #[test]
    fn desktop_entries_are_escaped() {
        let text = desktop_entry(&SessionEntry { comment: Some("a\\b".into()), ..entry("xfce", "Xfce\nExec=evil") });
        assert_eq!(
            text,
            "[Desktop Entry]\nType=Application\nName=Xfce\\nExec=evil\nComment=a\\\\b\nExec=ldm-session xfce\n"
        );
        for (id, want) in [("two words", "\"two words\""), ("a%u", "\"a%%u\""), ("a\"$x`", "\"a\\\\\"\\\\$x\\\\`\"")] {
            let text = desktop_entry(&entry(id, "n"));
            assert!(text.ends_with(&format!("Exec=ldm-session {want}\n")), "{text}");
        }
    }

    #[test]
    fn the_list_is_replaced_and_the_directory_goes() {
        let directory = Directory::make(&Account::current().unwrap()).unwrap();
        let path = directory.path().to_owned();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(path.join("share/xsessions"))
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        directory.publish(&[entry("xfce", "Xfce"), entry("a b/..", "x")]).unwrap();
        assert_eq!(names(), ["00-default.desktop", "01-xfce.desktop", "02-a_b_...desktop"]);
        directory.publish(&[]).unwrap();
        assert_eq!(names(), ["00-default.desktop"]);

        fs::write(directory.home().join("state"), "x").unwrap();
        directory.fresh_home().unwrap();
        assert_eq!(fs::read_dir(directory.home()).unwrap().count(), 0);
        assert_eq!(fs::metadata(directory.home()).unwrap().mode() & 0o777, 0o700);
        drop(directory);
        assert!(!path.exists());
    }
}
