//! The X authority file of a direct display (`LDM_DIRECTX`): one MIT-MAGIC-COOKIE-1 entry in a private file of its own, so
//! that neither the user's `~/.Xauthority` nor another session's is touched, and no cookie is on a command line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ldm_protocol::helper::DirectDisplay;

use crate::sys;

const PROTOCOL: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// Bytes of its cookie.
const COOKIE: usize = 16;
/// `FamilyWild`: the entry is for every address (Xauth(3)).
const FAMILY_WILD: u16 = 0xffff;

/// Why a direct display cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// Not `HOST:N` or `HOST:N.SCREEN`. The client is defective.
    #[error("not a display that can be reached over TCP")]
    Display,
    /// Not 32 hexadecimal digits. The client is defective.
    #[error("not a MIT-MAGIC-COOKIE-1")]
    Cookie,
    /// The file cannot be made.
    #[error("cannot write an X authority file: {0}")]
    Io(#[from] io::Error),
}

/// The file; it is removed when this is dropped.
#[derive(Debug)]
pub struct AuthorityFile {
    path: PathBuf,
    /// The directory made for it, when there is no private one already.
    directory: Option<PathBuf>,
}

impl AuthorityFile {
    /// Writes the file for `direct` into `runtime_dir` if that is private, else into a new private directory.
    ///
    /// # Errors
    /// [`DirectError`].
    pub fn write(direct: &DirectDisplay, runtime_dir: Option<&Path>) -> Result<Self, DirectError> {
        let number = display_number(&direct.display).ok_or(DirectError::Display)?;
        let cookie = sys::from_hex(&direct.cookie, COOKIE).ok_or(DirectError::Cookie)?;
        let file = if let Some(dir) = runtime_dir.filter(|dir| is_private(dir)) {
            Self { path: dir.join(format!("ldm-xauth-{}", sys::random_hex()?)), directory: None }
        } else {
            let dir = nix::unistd::mkdtemp(&std::env::temp_dir().join("ldm-xauth-XXXXXX")).map_err(io::Error::from)?;
            Self { path: dir.join("Xauthority"), directory: Some(dir) }
        };
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.path)?;
        out.write_all(&entry(number, &cookie))?;
        Ok(file)
    }

    /// For `XAUTHORITY`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AuthorityFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(dir) = &self.directory {
            let _ = fs::remove_dir(dir);
        }
    }
}

// The octal mask is how permissions are read.
#[allow(clippy::verbose_bit_mask)]
fn is_private(dir: &Path) -> bool {
    dir.symlink_metadata()
        .is_ok_and(|m| m.is_dir() && m.mode() & 0o077 == 0 && m.uid() == nix::unistd::geteuid().as_raw())
}

/// The number in `HOST:N[.SCREEN]`.
fn display_number(display: &str) -> Option<&str> {
    let (host, number) = display.rsplit_once(':')?;
    let (number, screen) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| (1..=5).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let host_ok = !host.is_empty()
        && host.len() <= 255
        && !host.starts_with('-')
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c));
    (host_ok && digits(number) && digits(screen)).then_some(number)
}

/// One entry: family, then address, display number, protocol name and data, each with its length; numbers are big-endian.
fn entry(number: &str, cookie: &[u8]) -> Vec<u8> {
    let mut bytes = FAMILY_WILD.to_be_bytes().to_vec();
    for field in [&[], number.as_bytes(), PROTOCOL, cookie] {
        // Every field is bounded far below this.
        let len = u16::try_from(field.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn displays_and_cookies() {
        for (display, number) in [
            ("tc17:7", Some("7")),
            ("10.0.0.7:7.0", Some("7")),
            ("[fe80::1]:10", Some("10")),
            ("fe80::1:10", Some("10")),
            (":0", None),
            ("unix:/x:0", None),
            ("tc17:", None),
            ("tc17:x", None),
            ("-tc:1", None),
            ("tc17:1.", None),
            ("a b:1", None),
        ] {
            assert_eq!(display_number(display), number, "{display}");
        }
        assert_eq!(sys::from_hex(&"0f".repeat(16), COOKIE), Some(vec![0x0f; 16]));
        for bad in ["", "0f", &"0f".repeat(17), &"0g".repeat(16), &"0f".repeat(1_000_000)] {
            assert_eq!(sys::from_hex(bad, COOKIE), None);
        }
    }

    #[test]
    fn the_file_is_private_and_goes() {
        let direct = DirectDisplay { display: "tc:7".into(), cookie: "ab".repeat(16) };
        let private = tempfile::tempdir().unwrap();
        fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let public = tempfile::tempdir().unwrap();
        fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (runtime_dir, used) in [(None, false), (Some(private.path()), true), (Some(public.path()), false)] {
            let file = AuthorityFile::write(&direct, runtime_dir).unwrap();
            let path = file.path().to_owned();
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
            let bytes = fs::read(&path).unwrap();
            assert_eq!(&bytes[..9], b"\xff\xff\0\0\0\x017\0\x12");
            assert!(bytes.ends_with(&[0xab; 16]));
            assert_eq!(runtime_dir.is_some_and(|dir| path.starts_with(dir)), used);
            drop(file);
            assert!(!path.exists());
            assert_eq!(path.parent().unwrap().exists(), used);
        }
    }
}
