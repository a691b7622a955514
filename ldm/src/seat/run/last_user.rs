//! `LDM_REMEMBER_USER`: who logged in last, in a file of the daemon's own.
//!
//! Its directory may belong to the worker's user, who keeps known-hosts keys there. So the file counts only if it is ours, and
//! it is replaced as a whole: whatever somebody else has put in its place is not followed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use ldm_protocol::limits;
use nix::fcntl::OFlag;

const FILE: &str = "last-user";

/// Who it was, if that is known.
pub(super) fn read(directory: &Path) -> Option<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(directory.join(FILE)).ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.uid() != crate::sys::uid() || about.mode() & 0o022 != 0 {
        return None;
    }
    let mut name = String::new();
    file.take(limits::USERNAME as u64 + 2).read_to_string(&mut name).ok()?;
    let name = name.strip_suffix('\n')?;
    let good = !name.trim().is_empty() && name.len() <= limits::USERNAME && !name.contains(char::is_control);
    good.then(|| name.to_owned())
}

/// Remembers them.
pub(super) fn write(directory: &Path, name: &str) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let new = directory.join(format!("{FILE}.{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(name.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Remembers nobody.
pub(super) fn forget(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_replaces_and_forgets() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("ldm");
        assert_eq!(read(&directory), None);
        forget(&directory).unwrap();
        for name in ["alice", "DOMAIN\\bob smith"] {
            write(&directory, name).unwrap();
            assert_eq!(read(&directory).as_deref(), Some(name));
        }
        assert_eq!(directory.join(FILE).metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file stays");
        forget(&directory).unwrap();
        assert_eq!(read(&directory), None);
    }

    #[test]
    fn what_is_not_ours_or_no_name_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let target = directory.path().join("target");
        fs::write(&target, "mallory\n").unwrap();
        std::os::unix::fs::symlink(&target, &file).unwrap();
        assert_eq!(read(directory.path()), None, "never through a link");
        write(directory.path(), "alice").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "mallory\n");
        for text in ["", "\n", " \n", "no end", "a\nb\n", "\u{1b}[1m\n", &format!("{}\n", "x".repeat(600))] {
            fs::write(&file, text).unwrap();
            assert_eq!(read(directory.path()), None, "{text:?}");
        }
        fs::write(&file, "alice\n").unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(read(directory.path()), None, "others may have written it");
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(directory.path()), None);
    }
}
