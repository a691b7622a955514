//! Known-hosts files, as sshd(8) documents them under "SSH_KNOWN_HOSTS FILE FORMAT".
//!
//! Runs in the session worker. The files belong to the administrator and are trusted, but one mistyped line must not make
//! the others useless: it is skipped, and the log says where it stands.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Largest file that is read. 100,000 Ed25519 lines fit.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Longest line. A 16,384-bit RSA key takes 2,800 characters.
const MAX_LINE: usize = 16 * 1024;

/// The port for which host names stand without brackets.
pub(super) const DEFAULT_PORT: u16 = 22;

/// A server, under the names by which it is looked up.
#[derive(Debug, Clone)]
pub(super) struct HostName {
    /// Lower case, as OpenSSH does before it compares or hashes.
    pub(super) plain: String,
    /// `host`, or `[host]:port`.
    pub(super) full: String,
}

impl HostName {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let plain = host.to_lowercase();
        let full = if port == DEFAULT_PORT { plain.clone() } else { format!("[{plain}]:{port}") };
        Self { plain, full }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// A host's own key.
    Key,
    /// `@cert-authority`: signs host certificates.
    Authority,
    /// `@revoked`: never to be used.
    Revoked,
}

/// The first field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// `|1|salt|HMAC-SHA1(salt, name)`
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// Comma list of patterns.
    Patterns(String),
}

impl Hosts {
    fn parse(field: &str) -> Result<Self, Malformed> {
        let Some(hashed) = field.strip_prefix('|') else { return Ok(Self::Patterns(field.to_lowercase())) };
        let mut parts = hashed.split('|');
        let (Some("1"), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed("unknown kind of hashed name"));
        };
        let decode = |part| STANDARD.decode(part).map_err(|_| Malformed("hashed name is not base64"));
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if salt.len() != 20 || hash.len() != 20 {
            return Err(Malformed("hashed name has the wrong length"));
        }
        Ok(Self::Hashed { salt, hash })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
            Self::Patterns(list) => {
                let mut found = false;
                for pattern in list.split(',') {
                    match pattern.strip_prefix('!') {
                        // One negated match spoils the line, wherever it stands.
                        Some(pattern) if wildcard(pattern, name) => return false,
                        Some(_) => {}
                        None => found |= wildcard(pattern, name),
                    }
                }
                found
            }
        }
    }
}

/// `*` stands for any characters, `?` for exactly one.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` if what follows it does not fit.
    let mut retry = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&want) if want == '?' || want == c => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&c| c == '*'))
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) marker: Marker,
    hosts: Hosts,
    /// `ssh-ed25519` and so on, the same as inside the blob.
    pub(super) algorithm: String,
    /// The key as it goes over the wire.
    pub(super) blob: Vec<u8>,
}

/// Why a line is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Entry {
    /// `None` for an empty line or a comment.
    fn parse(line: &str) -> Result<Option<Self>, Malformed> {
        if line.len() > MAX_LINE {
            return Err(Malformed("line too long"));
        }
        let mut fields = line.split_ascii_whitespace();
        let Some(first) = fields.next().filter(|field| !field.starts_with('#')) else { return Ok(None) };
        let (marker, hosts) = match first {
            "@cert-authority" => (Marker::Authority, fields.next()),
            "@revoked" => (Marker::Revoked, fields.next()),
            other if other.starts_with('@') => return Err(Malformed("unknown marker")),
            other => (Marker::Key, Some(other)),
        };
        let (Some(hosts), Some(algorithm), Some(blob)) = (hosts, fields.next(), fields.next()) else {
            return Err(Malformed("too few fields"));
        };
        let hosts = Hosts::parse(hosts)?;
        let blob = STANDARD.decode(blob).map_err(|_| Malformed("key is not base64"))?;
        if blob_algorithm(&blob) != Some(algorithm.as_bytes()) {
            return Err(Malformed("key is not of the type that is named before it"));
        }
        Ok(Some(Self { marker, hosts, algorithm: algorithm.to_owned(), blob }))
    }

    fn is_for(&self, name: &str) -> bool {
        self.hosts.matches(name)
    }
}

/// The algorithm name at the start of a key blob (RFC 4253 §6.6).
fn blob_algorithm(blob: &[u8]) -> Option<&[u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    // Something must follow the name, or there is no key.
    (rest.len() > length).then(|| rest.get(..length)).flatten()
}

/// All lines of all files.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownHosts {
    entries: Vec<Entry>,
}

impl KnownHosts {
    /// Reads these files. What cannot be read is reported to the log and counts as empty: then keys are unknown, which is
    /// the safe side.
    pub(super) fn load<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut all = Self::default();
        for path in paths {
            match read(path) {
                Ok(text) => all.add(&text, path),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    tracing::debug!("known hosts: there is no {}", path.display());
                }
                Err(error) => tracing::warn!("known hosts: {}: {error}", path.display()),
            }
        }
        all
    }

    /// Adds the lines of one file.
    pub(super) fn add(&mut self, text: &str, path: &Path) {
        for (number, line) in text.lines().enumerate() {
            match Entry::parse(line) {
                Ok(entry) => self.entries.extend(entry),
                Err(why) => tracing::warn!("known hosts: {}:{}: skipped: {why}", path.display(), number + 1),
            }
        }
    }

    /// Lines with this marker for the server, under its full name only.
    pub(super) fn exactly<'a>(&'a self, host: &'a HostName, marker: Marker) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.marker == marker && entry.is_for(&host.full))
    }

    /// Lines with this marker for the server: under its full name, and under its name without a port. OpenSSH takes the
    /// latter too, so that one line serves all the ports of a machine.
    pub(super) fn any<'a>(&'a self, host: &'a HostName, marker: Marker) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.marker == marker && (entry.is_for(&host.full) || entry.is_for(&host.plain)))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other("larger than 16 MiB, ignored"));
    }
    // A stray Latin-1 byte in a comment must not hide the other lines.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn matches(hosts: &str, host: &str, port: u16) -> bool {
        let mut known = KnownHosts::default();
        known.add(&format!("{hosts} {KEY} comment\n"), Path::new("test"));
        assert_eq!(known.entries.len(), 1, "{hosts}");
        known.exactly(&HostName::new(host, port), Marker::Key).next().is_some()
    }

    #[test]
    fn names() {
        for (hosts, host, port, want) in [
            ("srv", "srv", 22, true),
            ("srv", "SRV", 22, true),
            ("SRV", "srv", 22, true),
            ("srv", "srv2", 22, false),
            ("srv", "srv", 2222, false),
            ("[srv]:2222", "srv", 2222, true),
            ("[srv]:2222", "srv", 2223, false),
            ("[srv]:2222", "srv", 22, false),
            ("a,srv,10.0.0.1", "srv", 22, true),
            ("a,srv,10.0.0.1", "10.0.0.1", 22, true),
            ("::1", "::1", 22, true),
            ("[::1]:2222", "::1", 2222, true),
            ("*", "anything", 22, true),
            ("*", "anything", 2222, true),
            ("*.example.org", "srv.example.org", 22, true),
            ("*.example.org", "example.org", 22, false),
            ("*.example.org", "srv.example.org", 2222, false),
            ("[*.example.org]:2222", "srv.example.org", 2222, true),
            ("srv?", "srv1", 22, true),
            ("srv?", "srv", 22, false),
            ("srv?", "srv12", 22, false),
            ("*.example.org,!bad.example.org", "srv.example.org", 22, true),
            ("*.example.org,!bad.example.org", "bad.example.org", 22, false),
            ("!bad.example.org,*.example.org", "bad.example.org", 22, false),
            ("!bad", "good", 22, false),
            // Made by `ssh-keygen -H`.
            ("|1|aehDEwpgG7FpkoG1Ux+84Nn7/JM=|17392IGkqgNug4XYjelJrHeuNN8=", "srv.example.org", 22, true),
            ("|1|aehDEwpgG7FpkoG1Ux+84Nn7/JM=|17392IGkqgNug4XYjelJrHeuNN8=", "SRV.example.org", 22, true),
            ("|1|aehDEwpgG7FpkoG1Ux+84Nn7/JM=|17392IGkqgNug4XYjelJrHeuNN8=", "srv.example.org", 2222, false),
            ("|1|Z7dWigE3UVJSveiY6t7cf0WkrpE=|7GYqFxe39ecEK8kqQZ2/PqSYcI8=", "srv.example.org", 2222, true),
            ("|1|Z7dWigE3UVJSveiY6t7cf0WkrpE=|7GYqFxe39ecEK8kqQZ2/PqSYcI8=", "srv.example.org", 22, false),
        ] {
            assert_eq!(matches(hosts, host, port), want, "{hosts} for {host}:{port}");
        }
    }

    #[test]
    fn malformed_lines_are_skipped_and_the_others_are_not() {
        let mut known = KnownHosts::default();
        let text = format!(
            "# comment\n\n  \t\nsrv\nsrv ssh-ed25519\nsrv ssh-rsa {b64}\nsrv ssh-ed25519 !!!\n@unknown srv {KEY}\n|2|x|y {KEY}\n\
             |1|x {KEY}\n|1|AAAA|AAAA {KEY}\n{long} {KEY}\nold 1024 35 1234567\n@revoked srv {KEY}\n  srv\t{KEY}\r\n",
            b64 = KEY.split(' ').next_back().unwrap(),
            long = "x".repeat(MAX_LINE),
        );
        known.add(&text, Path::new("test"));
        let markers: Vec<_> = known.entries.iter().map(|entry| entry.marker).collect();
        assert_eq!(markers, [Marker::Revoked, Marker::Key]);
    }

    #[test]
    fn wildcards_do_not_explode() {
        assert!(!wildcard(&"*a".repeat(100), &"a".repeat(50)));
        assert!(wildcard("*a*b*", "xxaxxbxx"));
        assert!(!wildcard(&format!("{}b", "*a".repeat(30)), &"a".repeat(10_000)));
        assert!(wildcard("", "") && !wildcard("", "a") && wildcard("**", ""));
    }

    #[test]
    fn a_line_without_port_serves_all_ports_when_asked() {
        let mut known = KnownHosts::default();
        known.add(&format!("srv {KEY}\n"), Path::new("test"));
        let host = HostName::new("srv", 2222);
        assert_eq!(known.any(&host, Marker::Key).count(), 1);
        assert_eq!(known.exactly(&host, Marker::Key).count(), 0);
    }

    #[test]
    fn a_file_too_large_counts_as_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        assert!(KnownHosts::load([file.path()]).entries.is_empty());
        assert!(KnownHosts::load([Path::new("/nonexistent/known_hosts")]).entries.is_empty());
    }
}
