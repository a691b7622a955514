//! The first packet of an X client (X protocol, "Connection Setup"): the only one that is looked at.
//!
//! ```text
//! 0      byte order of the client: 'B' or 'l'
//! 2..6   protocol version, major and minor
//! 6..8   n, length of the authorisation protocol's name
//! 8..10  d, length of the authorisation data
//! 12..   name, padded to a multiple of 4; data, padded likewise
//! ```

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

use crate::xauth::{COOKIE_LEN, Cookie, PROTOCOL};

/// Bytes before the name.
const HEADER: usize = 12;
/// The name with its padding.
const NAME: usize = PROTOCOL.len().next_multiple_of(4);
/// Where the cookie stands. It needs no padding.
const COOKIE_AT: usize = HEADER + NAME;
const _: () = assert!(COOKIE_LEN.is_multiple_of(4));

/// Why the first packet was refused. Nothing of it is quoted: it may hold somebody's cookie.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not X11 at all.
    #[error("an X client was refused: what it sent is not the X protocol")]
    NotX11,
    /// X11, but with no authorisation, or another one. On the server, look at `XAUTHORITY` of that program.
    #[error("an X client was refused: it did not show a {PROTOCOL}")]
    Protocol,
    /// A cookie, but not this session's.
    #[error("an X client was refused: it showed a wrong cookie")]
    WrongCookie,
    /// It connected and said nothing.
    #[error("an X client was refused: its first packet did not come in time")]
    TooSlow,
    /// It went away before its first packet was whole.
    #[error("an X client ended before its first packet: {0}")]
    Io(#[from] io::Error),
}

/// An accepted first packet.
#[derive(Debug)]
pub(super) struct Setup {
    header: [u8; HEADER],
}

/// Reads the first packet and nothing more. No length in it is believed: there is but one right one.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), fake: &Cookie) -> Result<Setup, SetupError> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let word = |bytes: [u8; 2]| match header {
        [b'B', ..] => Some(u16::from_be_bytes(bytes)),
        [b'l', ..] => Some(u16::from_le_bytes(bytes)),
        _ => None,
    };
    let [_, _, _, _, _, _, n0, n1, d0, d1, _, _] = header;
    let name_len = usize::from(word([n0, n1]).ok_or(SetupError::NotX11)?);
    let data_len = usize::from(word([d0, d1]).ok_or(SetupError::NotX11)?);
    if name_len != PROTOCOL.len() || data_len != COOKIE_LEN {
        return Err(SetupError::Protocol);
    }
    let mut name = [0; NAME];
    stream.read_exact(&mut name).await?;
    let mut data = Zeroizing::new([0; COOKIE_LEN]);
    stream.read_exact(data.as_mut_slice()).await?;
    if !name.starts_with(PROTOCOL.as_bytes()) {
        return Err(SetupError::Protocol);
    }
    if fake.matches(data.as_slice()) { Ok(Setup { header }) } else { Err(SetupError::WrongCookie) }
}

impl Setup {
    /// The packet for the display: the same client, with the display's own cookie or with none.
    pub(super) fn with_cookie(&self, real: Option<&Cookie>) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(COOKIE_AT + COOKIE_LEN));
        let [order, pad, v0, v1, v2, v3, n0, n1, d0, d1, ..] = self.header;
        let lengths = if real.is_some() { [n0, n1, d0, d1] } else { [0; 4] };
        out.extend_from_slice(&[order, pad, v0, v1, v2, v3]);
        out.extend_from_slice(&lengths);
        out.extend_from_slice(&[0, 0]);
        if let Some(cookie) = real {
            out.extend_from_slice(PROTOCOL.as_bytes());
            out.resize(COOKIE_AT, 0);
            out.extend_from_slice(cookie.expose());
        }
        out
    }
}
