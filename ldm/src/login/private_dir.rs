//! A directory that nobody else can look into, for as long as it is needed.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Removed when dropped, with what is in it.
pub(super) struct PrivateDir(PathBuf);

impl PrivateDir {
    pub(super) fn new() -> io::Result<Self> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = parent.join(format!("ldm-login-{:016x}", u64::from_ne_bytes(random)));
        // Fails if the name is taken, by whatever kind of file.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
