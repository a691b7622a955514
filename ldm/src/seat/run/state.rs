//! Files in `LDM_STATE_DIR`, which the daemon keeps for itself over a restart.
//!
//! The directory may belong to the worker's user, who keeps known-hosts keys there. So a file counts only if it is ours, and it
//! is replaced as a whole: whatever somebody else has put in its place is not followed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// What the file `name` holds, but no more than `most` bytes; `None` if there is none.
pub(super) fn read(directory: &Path, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    // Neither through a link nor, for ever, from a pipe.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(directory.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    // Another name of a file of ours that others cannot read would be shown in the greeter.
    if !about.is_file() || about.uid() != crate::sys::uid() || about.nlink() != 1 || about.mode() & 0o022 != 0 {
        return Err(io::Error::other("not a file of ours"));
    }
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Writes the file `name` whole or not at all.
pub(super) fn write(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let new = directory.join(format!("{name}.{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, directory.join(name))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_ours_alone() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("ldm");
        assert_eq!(read(&directory, "x", 9).unwrap(), None);
        for content in ["first", "second"] {
            write(&directory, "x", content.as_bytes()).unwrap();
            assert_eq!(read(&directory, "x", 4).unwrap().unwrap(), content.as_bytes()[..4]);
        }
        assert_eq!(directory.join("x").metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file stays");
        // A directory cannot be replaced by a file.
        fs::create_dir(directory.join("y")).unwrap();
        write(&directory, "y", b"").unwrap_err();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn what_is_not_ours_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let (file, target) = (directory.path().join("x"), directory.path().join("target"));
        let is_refused = || read(directory.path(), "x", 99).is_err();
        fs::write(&target, "mallory's\n").unwrap();
        std::os::unix::fs::symlink(&target, &file).unwrap();
        assert!(is_refused(), "through a link");
        write(directory.path(), "x", b"ours").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "mallory's\n");
        fs::remove_file(&file).unwrap();
        fs::hard_link(&target, &file).unwrap();
        assert!(is_refused(), "another name of another file");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert!(is_refused(), "others may have written it");
        if crate::sys::is_root() {
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
            assert!(is_refused(), "the worker's");
        }
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(is_refused(), "a pipe");
    }
}
