//! [`Secret`]: an answer that is wiped from memory when it is dropped. [`hex`]: cookies in writing, likewise.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::limits;

/// A user's answer to a prompt.
///
/// Not `Clone`, not `Display`, and `Debug` shows only that it is there, so that it cannot reach a log by accident. The
/// buffer is allocated at its greatest size at once: growth would leave copies behind that nobody wipes.
pub struct Secret(Zeroizing<String>);

/// Bytes in hexadecimal, in a buffer that is wiped.
pub fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    // Room for all of it at once: growth would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    text.extend(digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
    text
}

/// The answer is longer than [`limits::ANSWER`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the answer is longer than {} bytes", limits::ANSWER)]
pub struct TooLong;

impl Secret {
    /// Copies `text` into a wiped buffer; the caller still owns, and wipes, its own copy.
    ///
    /// # Errors
    /// [`TooLong`]: ask again, the text can be no real answer.
    pub fn new(text: &str) -> Result<Self, TooLong> {
        if text.len() > limits::ANSWER {
            return Err(TooLong);
        }
        let mut buffer = String::with_capacity(limits::ANSWER);
        buffer.push_str(text);
        Ok(Self(Zeroizing::new(buffer)))
    }

    /// The answer itself. Whoever calls this must not let it outlive the call it is passed to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the user answered with nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a string of at most {} bytes", limits::ANSWER)
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Secret, E> {
        Secret::new(v).map_err(E::custom)
    }

    // serde_json hands over an owned string when it has unescaped one: wipe it once it is copied.
    fn visit_string<E: de::Error>(self, mut v: String) -> Result<Secret, E> {
        let secret = Secret::new(&v).map_err(E::custom);
        v.zeroize();
        secret
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SecretVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let secret = Secret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
    }

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        assert_eq!(*hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert!(hex(&[]).is_empty());
    }

    #[test]
    fn keeps_every_character() {
        let text = "  blank\tends \u{1f512}\"\\ ";
        let json = serde_json::to_string(&Secret::new(text).unwrap()).unwrap();
        let back: Secret = serde_json::from_str(&json).unwrap();
        assert_eq!(back.expose(), text);
    }

    #[test]
    fn refuses_what_is_too_long() {
        assert_eq!(Secret::new(&"x".repeat(limits::ANSWER + 1)).unwrap_err(), TooLong);
        let json = format!("\"{}\"", "x".repeat(limits::ANSWER + 1));
        assert!(serde_json::from_str::<Secret>(&json).is_err());
        assert!(Secret::new(&"x".repeat(limits::ANSWER)).is_ok());
    }
}
