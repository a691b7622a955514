//! X authority: cookies and the files that hold them (Xau(3), Xsecurity(7)).
//!
//! Runs in the daemon (root), in the session worker and in `ldm login`. A file to be read may be anybody's: the reader
//! is bounded and believes no length. Cookies are made here, and go to programs in files alone, never on a command line.

mod file;

pub use file::{AuthorityError, Entry, FAMILY_LOCAL, FAMILY_WILD, entries_for, find, parse, read, write};

use ldm_protocol::secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The one authorisation protocol spoken here.
pub const PROTOCOL: &str = "MIT-MAGIC-COOKIE-1";

/// Bytes of a MIT-MAGIC-COOKIE-1.
pub const COOKIE_LEN: usize = 16;

/// A MIT-MAGIC-COOKIE-1: whoever has it may see and type everything on the display.
///
/// Wiped when dropped; `Debug` shows only that it is there.
#[derive(Clone)]
pub struct Cookie(Zeroizing<[u8; COOKIE_LEN]>);

/// The system has no random bytes to give. Nothing can be started safely then.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes from the system: {0}")]
pub struct NoRandomness(getrandom::Error);

impl Cookie {
    /// A new one from the system's random source.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; COOKIE_LEN]);
        getrandom::fill(bytes.as_mut()).map_err(NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The bytes as they go into the X connection's setup.
    pub fn expose(&self) -> &[u8; COOKIE_LEN] {
        &self.0
    }

    /// The cookie of this length and content; `None` if it is none.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Hexadecimal, as x11-req and `xauth add` take it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        secret::hex(&*self.0)
    }

    /// The inverse of [`Cookie::to_hex`]; `None` if `text` is not exactly 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != COOKIE_LEN * 2 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; COOKIE_LEN]);
        let mut digits = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()));
        for byte in bytes.iter_mut() {
            *byte = digits.next()?? << 4 | digits.next()??;
        }
        Some(Self(bytes))
    }

    /// Whether `presented` is this cookie, in a time that depends on its length alone.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_slice().ct_eq(presented).into()
    }
}

impl From<[u8; COOKIE_LEN]> for Cookie {
    fn from(bytes: [u8; COOKIE_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_differ_and_hide() {
        let (a, b) = (Cookie::generate().unwrap(), Cookie::generate().unwrap());
        assert!(!a.matches(b.expose()));
        assert!(a.matches(a.expose()) && !a.matches(&a.expose()[..15]) && !a.matches(&[]));
        assert_eq!(format!("{a:?}"), "Cookie(..)");
    }

    #[test]
    fn hexadecimal_there_and_back() {
        let cookie = Cookie::from([0, 1, 0x7f, 0x80, 0xff, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf]);
        assert_eq!(cookie.to_hex().as_str(), "00017f80ff05060708090a0b0c0d0eaf");
        assert!(Cookie::from_hex(&cookie.to_hex()).unwrap().matches(cookie.expose()));
        assert!(Cookie::from_hex(&cookie.to_hex().to_uppercase()).unwrap().matches(cookie.expose()));
        for bad in ["", "00", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &"ä".repeat(16)] {
            assert!(Cookie::from_hex(bad).is_none(), "{bad}");
        }
    }
}
