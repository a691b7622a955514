//! Display names: `[HOST]:NUMBER[.SCREEN]` (X(7), "DISPLAY NAMES").

use std::path::PathBuf;

/// X displays over TCP are at this port and up.
const TCP_BASE: u16 = 6000;

/// Greatest display number that has a TCP port.
const MAX_NUMBER: u32 = 65_535 - 6000;

/// Where a display is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName {
    host: Option<String>,
    number: u32,
    screen: u32,
}

/// Not a display name. Write it as `:0`, or `HOST:0`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a display name; write it as :0 or HOST:0")]
pub struct BadDisplayName(String);

impl DisplayName {
    /// The display of this machine with that number.
    pub fn local(number: u32) -> Self {
        Self { host: None, number, screen: 0 }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its screen, which a forwarded client should use.
    pub fn screen(&self) -> u32 {
        self.screen
    }

    /// The host to connect to; `None` for a socket of this machine.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The socket of a display of this machine. The one with a path alone: everybody may bind the abstract one of a server
    /// that does not, and would be told the cookie.
    pub fn socket(&self) -> Option<PathBuf> {
        self.host.is_none().then(|| PathBuf::from(format!("/tmp/.X11-unix/X{}", self.number)))
    }

    /// The TCP address of a display on another machine, or behind another ssh.
    pub fn address(&self) -> (&str, u16) {
        let number = u16::try_from(self.number).unwrap_or_default();
        (self.host.as_deref().unwrap_or("localhost"), TCP_BASE.saturating_add(number))
    }
}

impl std::str::FromStr for DisplayName {
    type Err = BadDisplayName;

    fn from_str(text: &str) -> Result<Self, BadDisplayName> {
        let bad = || BadDisplayName(text.chars().take(100).collect());
        let (host, rest) = text.rsplit_once(':').ok_or_else(bad)?;
        let (number, screen) = rest.split_once('.').unwrap_or((rest, "0"));
        let digits = |s: &str| {
            // `u32` would take a sign.
            if s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<u32>().ok() } else { None }
        };
        let number = digits(number).filter(|n| *n <= MAX_NUMBER).ok_or_else(bad)?;
        let screen = digits(screen).ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let known = host.len() <= 255 && host.chars().all(|c| c.is_alphanumeric() || ".-_:%".contains(c));
        // `unix:0` and `HOST/unix:0` are old names for the local socket.
        let local = host.is_empty() || host == "unix" || host.ends_with("/unix");
        match (local, known) {
            (true, _) => Ok(Self { host: None, number, screen }),
            (false, true) => Ok(Self { host: Some(host.to_owned()), number, screen }),
            (false, false) => Err(bad()),
        }
    }
}

impl std::fmt::Display for DisplayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}.{}", self.host.as_deref().unwrap_or_default(), self.number, self.screen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind() {
        for (text, host, number, screen) in [
            (":0", None, 0, 0),
            (":12.3", None, 12, 3),
            ("unix:4", None, 4, 0),
            ("tc1/unix:4", None, 4, 0),
            ("localhost:10.0", Some("localhost"), 10, 0),
            ("192.0.2.1:0", Some("192.0.2.1"), 0, 0),
            ("[::1]:2", Some("::1"), 2, 0),
            ("fe80::1%eth0:2", Some("fe80::1%eth0"), 2, 0),
        ] {
            let name: DisplayName = text.parse().unwrap();
            assert_eq!((name.host(), name.number(), name.screen()), (host, number, screen), "{text}");
        }
        for text in ["", "0", ":", ":x", ":-1", ":+1", ":0.", ":0.x", ":99999", "a b:0", "/tmp/x:0", "h\n:0"] {
            assert!(text.parse::<DisplayName>().is_err(), "{text:?}");
        }
        let name: DisplayName = "localhost:10.0".parse().unwrap();
        assert_eq!((name.socket(), name.address()), (None, ("localhost", 6010)));
        assert_eq!(DisplayName::local(7).socket(), Some("/tmp/.X11-unix/X7".into()));
        assert_eq!(DisplayName::local(7).to_string(), ":7.0");
    }
}
