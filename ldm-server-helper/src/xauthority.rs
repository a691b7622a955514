//! The X authority file of a direct display (`LDM_DIRECTX`): one MIT-MAGIC-COOKIE-1 entry in the session's directory, so that
//! neither the user's `~/.Xauthority` nor another session's is touched, and no cookie is on a command line.

use std::io;
use std::path::PathBuf;

use ldm_protocol::helper::DirectDisplay;

use crate::directory::Directory;
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

/// Writes the file for `direct` into the session's directory, and gives its path, for `XAUTHORITY`.
///
/// # Errors
/// [`DirectError`].
pub fn write(direct: &DirectDisplay, directory: &Directory) -> Result<PathBuf, DirectError> {
    let number = display_number(&direct.display).ok_or(DirectError::Display)?;
    let cookie = sys::from_hex(&direct.cookie, COOKIE).ok_or(DirectError::Cookie)?;
    Ok(directory.write("Xauthority", &entry(number, &cookie))?)
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
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use crate::account::Account;
    use crate::processes::Marker;

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
        let directory = Directory::make(&Account::default(), None, &Marker::new().unwrap()).unwrap();
        let path = write(&direct, &directory).unwrap();
        assert!(path.starts_with(directory.path()));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[..9], b"\xff\xff\0\0\0\x017\0\x12");
        assert!(bytes.ends_with(&[0xab; 16]));
        drop(directory);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
}
