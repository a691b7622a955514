//! Bounded reading of files that somebody else may have prepared.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is a directory, a FIFO, a device or a socket. Leave it alone.
    #[error("not a regular file")]
    NotRegular,
    /// It is larger than the limit. Leave it alone.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The whole of a regular file of at most `max` bytes. A symbolic link is followed to a regular file only.
///
/// # Errors
/// [`ReadError`]; nothing is allocated for what is too large.
pub fn read(path: &Path, max: usize) -> Result<Vec<u8>, ReadError> {
    // Asked before it is opened: opening alone rewinds a tape or waits for a FIFO's writer. Asked again afterwards, because
    // the name may have changed its file in between; O_NONBLOCK keeps even that from blocking.
    if !path.metadata()?.is_file() {
        return Err(ReadError::NotRegular);
    }
    let file = OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path)?;
    from_file(&file, max)
}

/// [`read`] for a file that is open already.
///
/// # Errors
/// [`ReadError`].
pub fn from_file(file: &File, max: usize) -> Result<Vec<u8>, ReadError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if len > max {
        return Err(ReadError::TooLarge(max));
    }
    let mut bytes = Vec::with_capacity(len);
    // It may grow while it is read.
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(ReadError::TooLarge(max)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_what_is_regular_and_small() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let device = dir.path().join("device");
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();

        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert_eq!(read(&link, 5).unwrap(), b"12345");
        assert!(matches!(read(&file, 4), Err(ReadError::TooLarge(4))));
        assert!(matches!(read(&fifo, 5), Err(ReadError::NotRegular)));
        assert!(matches!(read(&device, 5), Err(ReadError::NotRegular)));
        assert!(matches!(read(dir.path(), 5), Err(ReadError::NotRegular)));
        assert!(matches!(read(&dir.path().join("none"), 5), Err(ReadError::Io(_))));
    }
}
