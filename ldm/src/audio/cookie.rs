//! The secret that stands before a forwarded port.

use ldm_protocol::secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a cookie of the native protocol (`PA_NATIVE_COOKIE_LENGTH`).
pub const COOKIE_LEN: usize = ldm_protocol::limits::SOUND_COOKIE;

/// A cookie of PulseAudio's native protocol: whoever has it and reaches the port may play and record.
///
/// Wiped when dropped; `Debug` shows only that it is there.
#[derive(Clone)]
pub struct SoundCookie(Zeroizing<Vec<u8>>);

impl SoundCookie {
    /// A new one from the system's random source.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new(vec![0; COOKIE_LEN]);
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes as clients of libpulse read them from `PULSE_COOKIE`.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Hexadecimal, as it goes to the server's helper.
    pub fn to_hex(&self) -> Zeroizing<String> {
        secret::hex(&self.0)
    }

    /// Whether `presented` is this cookie, in a time that depends on its length alone.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_slice().ct_eq(presented).into()
    }
}

impl std::fmt::Debug for SoundCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SoundCookie(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_differ_hide_and_are_compared_whole() {
        let (a, b) = (SoundCookie::generate().unwrap(), SoundCookie::generate().unwrap());
        assert!(a.matches(&a.0) && !a.matches(&b.0) && !a.matches(&a.0[..255]) && !a.matches(&[]));
        assert_eq!(format!("{a:?}"), "SoundCookie(..)");
        assert_eq!(a.to_hex().len(), 512);
        assert_eq!(a.to_hex()[..2], format!("{:02x}", a.0[0]));
    }
}
