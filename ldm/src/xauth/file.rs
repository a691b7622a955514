//! The Xauthority file: entries of a big-endian `u16` family and four length-prefixed byte strings (Xau(3)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};
use zeroize::{Zeroize, Zeroizing};

use super::{Cookie, PROTOCOL};

/// Connections of this machine (`AF_UNIX` and loopback); the address is the host name.
pub const FAMILY_LOCAL: u16 = 256;
/// Any connection.
pub const FAMILY_WILD: u16 = 65535;

/// No real file comes near: an entry has about 60 bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What went wrong with an authority file.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Look at the path: a missing directory, a full or read-only file system, or permissions.
    #[error("X authority file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is larger than 1 MiB, so it is no authority file. Check `XAUTHORITY`.
    #[error("X authority file {0} is over 1 MiB; check XAUTHORITY")]
    TooLarge(PathBuf),
    /// Name or host name longer than the format allows.
    #[error("an X authority entry is too long")]
    Entry,
}

/// One line of `xauth list`.
pub struct Entry {
    /// [`FAMILY_LOCAL`], [`FAMILY_WILD`], 0 (IPv4), 6 (IPv6), or another of X.h.
    pub family: u16,
    /// Host name or address, by family.
    pub address: Vec<u8>,
    /// Display number in decimal; empty for any.
    pub number: Vec<u8>,
    /// Protocol, such as [`PROTOCOL`].
    pub name: Vec<u8>,
    /// The cookie.
    pub data: Zeroizing<Vec<u8>>,
}

impl Entry {
    fn cookie(family: u16, address: &[u8], number: Option<u32>, cookie: &Cookie) -> Self {
        Self {
            family,
            address: address.to_vec(),
            number: number.map(|n| n.to_string().into_bytes()).unwrap_or_default(),
            name: PROTOCOL.into(),
            data: Zeroizing::new(cookie.expose().to_vec()),
        }
    }
}

/// The entries by which clients of this machine find `cookie` for display `:number`: by host name, and, because that may
/// change during a session (DHCP), for any host. `None` fits any display, for a server that has yet to choose its number.
pub fn entries_for(number: Option<u32>, cookie: &Cookie) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(2);
    if let Ok(host) = nix::unistd::gethostname() {
        entries.push(Entry::cookie(FAMILY_LOCAL, host.as_bytes(), number, cookie));
    }
    entries.push(Entry::cookie(FAMILY_WILD, &[], number, cookie));
    entries
}

/// Writes `entries` to `path`, 0600: into a new file beside it (never through a link that somebody put there), then renamed
/// over it. With `owner`, the file belongs to that user before it has its name.
pub fn write(path: &Path, entries: &[Entry], owner: Option<(Uid, Gid)>) -> Result<(), AuthorityError> {
    let bytes = encode(entries)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| io_error(path, io::Error::other(e)))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", u64::from_ne_bytes(random)));
    let temporary = PathBuf::from(name);
    let written = write_new(&temporary, &bytes, owner).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        io_error(path, source)
    })
}

fn write_new(path: &Path, bytes: &[u8], owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    if let Some((uid, gid)) = owner {
        nix::unistd::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn encode(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, AuthorityError> {
    let len = |e: &Entry| 10 + e.address.len() + e.number.len() + e.name.len() + e.data.len();
    let mut out = Zeroizing::new(Vec::with_capacity(entries.iter().map(len).sum()));
    for entry in entries {
        out.extend_from_slice(&entry.family.to_be_bytes());
        for field in [&entry.address, &entry.number, &entry.name, &*entry.data] {
            let len = u16::try_from(field.len()).map_err(|_| AuthorityError::Entry)?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(field);
        }
    }
    Ok(out)
}

/// Reads the entries of a file.
pub fn read(path: &Path) -> Result<Vec<Entry>, AuthorityError> {
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| io_error(path, e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(AuthorityError::TooLarge(path.to_owned()));
    }
    Ok(parse(&bytes))
}

/// The whole entries at the start of `bytes`; like libXau, what follows a broken one is not looked at.
pub fn parse(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some(entry) = take_entry(&mut rest) {
        entries.push(entry);
    }
    entries
}

fn take_entry(rest: &mut &[u8]) -> Option<Entry> {
    Some(Entry {
        family: take_u16(rest)?,
        address: take_field(rest)?,
        number: take_field(rest)?,
        name: take_field(rest)?,
        data: Zeroizing::new(take_field(rest)?),
    })
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    let (bytes, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u16::from_be_bytes(*bytes))
}

fn take_field(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let len = usize::from(take_u16(rest)?);
    let (field, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(field.to_vec())
}

/// The cookie for display `number` of the machine `host` (`None`: this one), as libxcb would choose it.
///
/// `host` is the address in the entry's own form: 4 bytes for family 0, 16 for family 6.
pub fn find(entries: Vec<Entry>, host: Option<&[u8]>, number: u32) -> Option<Cookie> {
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    let number = number.to_string();
    let fits = |entry: &Entry| {
        let here = match (entry.family, host) {
            (FAMILY_WILD, _) => true,
            (FAMILY_LOCAL, None) => entry.address == hostname.as_bytes(),
            (0, Some(address)) => address.len() == 4 && entry.address == address,
            (6, Some(address)) => address.len() == 16 && entry.address == address,
            _ => false,
        };
        here && (entry.number.is_empty() || entry.number == number.as_bytes()) && entry.name == PROTOCOL.as_bytes()
    };
    let mut found = None;
    for mut entry in entries {
        if found.is_none() && fits(&entry) {
            found = Cookie::from_slice(&entry.data);
        }
        entry.data.zeroize();
    }
    found
}

fn io_error(path: &Path, source: io::Error) -> AuthorityError {
    AuthorityError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn xauth_reads_what_is_written_here() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authority");
        let cookie = Cookie::generate().unwrap();
        write(&path, &entries_for(Some(7), &cookie), None).unwrap();
        let list = Command::new("xauth").arg("-f").arg(&path).arg("list").output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert_eq!(list.matches(cookie.to_hex().as_str()).count(), 2, "{list}");
        assert!(list.contains("/unix:7  MIT-MAGIC-COOKIE-1"), "{list}");
    }

    #[test]
    fn what_xauth_writes_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authority");
        let xauth = |args: &[&str]| {
            let status = Command::new("xauth").arg("-q").arg("-f").arg(&path).args(args).status().unwrap();
            assert!(status.success());
        };
        let (local, remote, other) = ("0".repeat(32), "1".repeat(32), "2".repeat(32));
        xauth(&["add", ":8", ".", &other]);
        xauth(&["add", ":9", ".", &local]);
        xauth(&["add", "192.0.2.1:9", ".", &remote]);
        let found = |host: Option<&[u8]>, number| {
            find(read(&path).unwrap(), host, number).map(|c| c.to_hex().as_str().to_owned())
        };
        assert_eq!(found(None, 9), Some(local));
        assert_eq!(found(Some(&[192, 0, 2, 1]), 9), Some(remote));
        assert_eq!(found(None, 8), Some(other));
        assert_eq!(found(None, 1), None);
        assert_eq!(found(Some(&[192, 0, 2, 2]), 9), None);
    }

    #[test]
    fn the_file_is_private_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("authority"), dir.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, &path).unwrap();
        write(&path, &entries_for(None, &Cookie::generate().unwrap()), None).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        let meta = fs::symlink_metadata(&path).unwrap();
        assert!(meta.is_file());
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "a temporary file is left");
        let missing = write(&dir.path().join("no/authority"), &[], None).unwrap_err();
        assert!(missing.to_string().contains("no/authority"));
    }

    #[test]
    fn broken_files_give_what_is_whole() {
        let cookie = Cookie::generate().unwrap();
        let bytes = encode(&entries_for(Some(3), &cookie)).unwrap();
        assert_eq!(parse(&bytes).len(), 2);
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).len() < 2);
        }
        assert!(parse(&[0xff; 100]).is_empty());
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large");
        File::create(&large).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(read(&large), Err(AuthorityError::TooLarge(_))));
        assert!(matches!(read(&dir.path().join("none")), Err(AuthorityError::Io { .. })));
    }
}
