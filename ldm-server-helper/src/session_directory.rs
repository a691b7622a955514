//! The directory of a session that runs, by which other commands find that session.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ldm_protocol::helper::is_plain_path;

use crate::directory::{TOKEN, TOKEN_SIZE};
use crate::processes::Marker;
use crate::regular_file;

/// A name that is not that of a session's directory: the session is over, or the client is defective.
#[derive(Debug, thiserror::Error)]
#[error("no session of this user has such a directory")]
pub struct NoSuchSession;

/// A session's directory.
#[derive(Debug)]
pub struct SessionDirectory {
    path: PathBuf,
    marker: Marker,
}

impl SessionDirectory {
    /// Finds it, if it is a private directory of this user with a session's token in it.
    ///
    /// # Errors
    /// [`NoSuchSession`].
    pub fn open(path: &str) -> Result<Self, NoSuchSession> {
        let plain = Some(Path::new(path)).filter(|_| is_plain_path(path));
        plain.and_then(Self::read).ok_or(NoSuchSession)
    }

    fn read(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        let private = metadata.mode().trailing_zeros() >= 6 && metadata.uid() == nix::unistd::geteuid().as_raw();
        if !metadata.is_dir() || !private {
            return None;
        }
        let token = regular_file::read(&path.join(TOKEN), TOKEN_SIZE).ok()?;
        let marker = Marker::parse(std::str::from_utf8(&token).ok()?.trim_end())?;
        Some(Self { path: path.to_owned(), marker })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its session's processes carry.
    pub fn marker(&self) -> &Marker {
        &self.marker
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A session's directory, `s` in the temporary one.
    pub(crate) fn directory() -> (tempfile::TempDir, SessionDirectory) {
        let root = tempfile::Builder::new().prefix("ldm-").tempdir_in("/tmp").unwrap();
        let path = root.path().join("s");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path.join(TOKEN), Marker::new().unwrap().as_str()).unwrap();
        let session = SessionDirectory::open(path.to_str().unwrap()).unwrap();
        (root, session)
    }

    #[test]
    fn only_a_private_directory_with_a_token_is_one() {
        let (root, session) = directory();
        let path = session.path().to_str().unwrap().to_owned();
        assert!(SessionDirectory::open(&path).is_ok());
        for bad in ["", "/", "s", "/tmp", "/proc/self", &format!("{path}/../s"), &format!("{path}/token")] {
            assert!(SessionDirectory::open(bad).is_err(), "{bad}");
        }
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(SessionDirectory::open(link.to_str().unwrap()).is_err(), "a link");
        for mode in [0o750, 0o701, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(SessionDirectory::open(&path).is_err(), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        for token in ["", "x", "1-2", "1-x-3-r", &"1-2-3-x".repeat(100)] {
            fs::write(root.path().join("s/token"), token).unwrap();
            assert!(SessionDirectory::open(&path).is_err(), "{token}");
        }
        fs::remove_file(root.path().join("s/token")).unwrap();
        assert!(SessionDirectory::open(&path).is_err(), "no token");
    }
}
