//! The session's own directory: sockets, settings and menu entries that are gone with it. Its path names the session to other
//! commands of this helper.
//!
//! It is made in the user's runtime directory where there is a private one, else in `/tmp`, always with mkdir(2) and never
//! where something is already, so nobody can have prepared it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ldm_protocol::helper::is_plain_path;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::os::fd::AsRawFd;

use crate::account::Account;
use crate::processes::Marker;
use crate::request::note;
use crate::{regular_file, sys};

/// The file in it that holds the session's [`Marker`].
pub const TOKEN: &str = "token";

/// Longest such file.
pub(crate) const TOKEN_SIZE: usize = 256;

/// Where it is made for users without a private directory.
const SHARED: &str = "/tmp";

/// What every name starts with.
const PREFIX: &str = "ldm-";

/// Suffix of a socket that sshd listens on and no session has taken yet.
pub const SOCKET: &str = ".sound";

/// A socket that is younger may be about to be listened on.
const SETTLED: Duration = Duration::from_mins(1);

/// A session's directory; it is removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// systemd-tmpfiles(8) takes what is old out of `/tmp`, but not what is locked: sessions may last for weeks.
    lock: Option<Flock<File>>,
}

impl Directory {
    /// Makes one for the session of `marker`: beside the socket `DIRECTORY/ldm-RANDOM.sound` as `DIRECTORY/ldm-RANDOM`, else
    /// under a name of its own.
    ///
    /// # Errors
    /// Where there is something of this name already, or others may write.
    pub fn make(account: &Account, socket: Option<&Path>, marker: &Marker) -> io::Result<Self> {
        let path = match socket {
            Some(socket) => socket.with_extension(""),
            None => base(account).join(format!("{PREFIX}{}", sys::random_hex()?)),
        };
        if !path.parent().is_some_and(is_safe) {
            return Err(io::Error::other("others may write to the directory above it"));
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        let mut directory = Self { path, lock: None };
        // Whatever the umask took away.
        fs::set_permissions(&directory.path, fs::Permissions::from_mode(0o700))?;
        // Some file systems have no locks.
        directory.lock = Flock::lock(File::open(&directory.path)?, FlockArg::LockSharedNonblock).ok();
        directory.write(TOKEN, marker.as_str().as_bytes())?;
        Ok(directory)
    }

    /// Where it is: a plain path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new file (mode 0600) in it, and gives its path.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(content)?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            note(&format!("{} cannot be removed: {error}", self.path.display()));
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where directories are made.
fn base(account: &Account) -> &Path {
    let own = account.runtime_dir.as_deref().filter(|dir| dir.to_str().is_some_and(is_plain_path) && is_private(dir));
    own.unwrap_or(Path::new(SHARED))
}

// The octal masks are how permissions are read.
#[allow(clippy::verbose_bit_mask)]
fn is_private(dir: &Path) -> bool {
    dir.symlink_metadata().is_ok_and(|m| m.is_dir() && m.mode() & 0o077 == 0 && m.uid() == own_uid())
}

/// Whether nobody else can rename or remove what we make there.
#[allow(clippy::verbose_bit_mask)]
fn is_safe(dir: &Path) -> bool {
    dir.metadata().is_ok_and(|m| {
        m.is_dir() && (m.uid() == 0 || m.uid() == own_uid()) && (m.mode() & 0o022 == 0 || m.mode() & 0o1000 != 0)
    })
}

fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// What may be directories of this user's sessions.
pub fn all(account: &Account) -> Vec<PathBuf> {
    let mut bases = vec![base(account), Path::new(SHARED)];
    bases.dedup();
    let entries = bases.into_iter().filter_map(|base| base.read_dir().ok()).flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)));
    let own = |path: &PathBuf| path.symlink_metadata().is_ok_and(|m| m.is_dir() && m.uid() == own_uid());
    named.map(|entry| entry.path()).filter(own).collect()
}

/// Removes what sessions of this user left whose helpers are dead, and sockets that sshd does not listen on any more.
pub fn remove_stale(account: &Account) {
    for base in [base(account), Path::new(SHARED)] {
        remove_stale_in(base);
    }
}

fn remove_stale_in(base: &Path) {
    let Ok(entries) = base.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.uid() != own_uid() {
            continue;
        }
        let result = if metadata.is_dir() && is_orphaned(&path) {
            remove(&path)
        } else if name.ends_with(SOCKET) && metadata.file_type().is_socket() && is_settled(&metadata) && is_dead(&path)
        {
            fs::remove_file(&path)
        } else {
            Ok(())
        };
        if let Err(error) = result {
            note(&format!("{} cannot be removed: {error}", path.display()));
        }
    }
}

fn is_orphaned(directory: &Path) -> bool {
    let token = regular_file::read(&directory.join(TOKEN), TOKEN_SIZE).ok();
    token.and_then(|token| String::from_utf8(token).ok()).is_some_and(|token| Marker::is_dead(token.trim_end()))
}

fn is_settled(metadata: &fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > SETTLED)
}

/// Whether nobody listens on a socket.
fn is_dead(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(socket) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else { return false };
    UnixAddr::new(path).is_ok_and(|address| connect(socket.as_raw_fd(), &address) == Err(Errno::ECONNREFUSED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn account(root: &tempfile::TempDir) -> Account {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Account { runtime_dir: Some(root.path().to_owned()), ..Account::default() }
    }

    fn root() -> tempfile::TempDir {
        // A plain path, unlike what TMPDIR may say.
        tempfile::Builder::new().prefix("ldm.").tempdir_in("/tmp").unwrap()
    }

    #[test]
    fn it_is_private_and_goes_with_everything_in_it() {
        let root = root();
        let marker = Marker::new().unwrap();
        let directory = Directory::make(&account(&root), None, &marker).unwrap();
        let path = directory.path().to_owned();
        assert!(path.starts_with(root.path()) && is_plain_path(path.to_str().unwrap()), "{}", path.display());
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        let token = path.join(TOKEN);
        assert_eq!(token.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(token).unwrap(), marker.as_str());
        // As systemd-tmpfiles tries before it looks for old files.
        Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusiveNonblock).unwrap_err();
        fs::create_dir_all(path.join("share/icons")).unwrap();
        symlink("/etc", path.join("link")).unwrap();
        drop(directory);
        assert!(!path.exists() && Path::new("/etc/passwd").exists());
    }

    #[test]
    fn nothing_that_is_there_is_used() {
        let root = root();
        let marker = Marker::new().unwrap();
        let socket = root.path().join("ldm-1.sound");
        let make = || Directory::make(&account(&root), Some(&socket), &marker);
        symlink("/tmp", root.path().join("ldm-1")).unwrap();
        make().unwrap_err();
        fs::remove_file(root.path().join("ldm-1")).unwrap();
        fs::create_dir(root.path().join("ldm-1")).unwrap();
        make().unwrap_err();
        fs::remove_dir(root.path().join("ldm-1")).unwrap();
        assert_eq!(make().unwrap().path(), root.path().join("ldm-1"));

        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Directory::make(&Account::default(), Some(&socket), &marker).unwrap_err();
    }

    #[test]
    fn a_runtime_directory_that_others_can_read_is_not_used() {
        let root = root();
        let account = account(&root);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let directory = Directory::make(&account, None, &Marker::new().unwrap()).unwrap();
        assert_eq!(directory.path().parent().unwrap(), Path::new(SHARED));
    }

    #[test]
    fn what_dead_sessions_left_is_removed_and_nothing_else() {
        let root = root();
        let marker = Marker::new().unwrap();
        let alive = Directory::make(&account(&root), None, &marker).unwrap();
        let dead = root.path().join("ldm-dead");
        fs::create_dir_all(dead.join("share")).unwrap();
        // The same process id, started at another time.
        let mut parts: Vec<String> = marker.as_str().split('-').map(str::to_owned).collect();
        parts[1].push('0');
        fs::write(dead.join(TOKEN), parts.join("-")).unwrap();
        let strange = root.path().join("ldm-strange");
        fs::create_dir(&strange).unwrap();
        let bind = |name: &str| UnixListener::bind(root.path().join(name)).unwrap();
        let (_live, stale, young) = (bind("ldm-live.sound"), bind("ldm-stale.sound"), bind("ldm-young.sound"));
        drop((stale, young));
        for name in ["ldm-live.sound", "ldm-stale.sound"] {
            let old = nix::sys::time::TimeSpec::new(1, 0);
            nix::sys::stat::utimensat(
                nix::fcntl::AT_FDCWD,
                &root.path().join(name),
                &old,
                &old,
                nix::sys::stat::UtimensatFlags::FollowSymlink,
            )
            .unwrap();
        }
        remove_stale_in(root.path());
        let exists = |name: &str| root.path().join(name).exists();
        assert!(alive.path().exists() && strange.exists() && exists("ldm-live.sound") && exists("ldm-young.sound"));
        assert!(!dead.exists() && !exists("ldm-stale.sound"));
    }
}
