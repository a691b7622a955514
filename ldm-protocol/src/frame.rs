//! greetd IPC framing: a `u32` length in **native** byte order, then that many bytes of UTF-8 JSON (greetd-ipc(7)).
//!
//! Buffers that carried a message are wiped, because any of them may have held an answer.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

use crate::limits;

/// Bytes of the length prefix.
pub const PREFIX: usize = size_of::<u32>();

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced or we were about to send a frame over the limit. Close the connection: the rest of the stream
    /// cannot be trusted.
    #[error("a frame of {0} bytes is over the limit")]
    TooLarge(usize),
    /// The bytes are not the JSON of a known message. Answer with an error, or close. The text names the place, never the content.
    #[error("not a known message (line {line}, column {column})")]
    Malformed {
        /// Line in the JSON text, from 1.
        line: usize,
        /// Column in the JSON text, from 1.
        column: usize,
    },
    /// The stream ended inside a frame. Treat as a crashed peer.
    #[error("the peer closed the connection in the middle of a message")]
    Truncated,
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl From<serde_json::Error> for FrameError {
    fn from(error: serde_json::Error) -> Self {
        // Its own text may quote the value it choked on, which may be an answer.
        Self::Malformed { line: error.line(), column: error.column() }
    }
}

/// The payload length that a prefix announces.
///
/// # Errors
/// [`FrameError::TooLarge`] over [`limits::FRAME`].
pub fn payload_len(prefix: [u8; PREFIX]) -> Result<usize, FrameError> {
    payload_len_within(limits::FRAME, prefix)
}

fn payload_len_within(limit: usize, prefix: [u8; PREFIX]) -> Result<usize, FrameError> {
    let len = usize::try_from(u32::from_ne_bytes(prefix)).unwrap_or(usize::MAX);
    if len > limit { Err(FrameError::TooLarge(len)) } else { Ok(len) }
}

/// Reads one message from the payload of a frame.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(payload)?)
}

/// One message as prefix and payload, of at most [`limits::FRAME`].
pub fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    encode_within(limits::FRAME, message)
}

/// One message as prefix and payload, the payload of at most `limit` bytes.
pub fn encode_within<T: Serialize>(limit: usize, message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // At its greatest size from the start: growing would leave unwiped copies of an answer behind.
    let mut out = Zeroizing::new(Vec::with_capacity(PREFIX + limit));
    out.extend_from_slice(&[0; PREFIX]);
    serde_json::to_writer(Bounded { out: &mut out, limit }, message)
        .map_err(|e| if e.is_io() { FrameError::TooLarge(limit + 1) } else { e.into() })?;
    let len = u32::try_from(out.len() - PREFIX).map_err(|_| FrameError::TooLarge(out.len()))?;
    for (to, from) in out.iter_mut().zip(len.to_ne_bytes()) {
        *to = from;
    }
    Ok(out)
}

struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
}

impl Write for Bounded<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.out.len() + buf.len() > PREFIX + self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.out.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one message from a blocking stream; `None` when the peer closed it between two messages.
pub fn read<T: DeserializeOwned>(stream: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut prefix = [0; PREFIX];
    let mut got = 0;
    while let Some(rest) = prefix.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Truncated),
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let mut payload = Zeroizing::new(vec![0; payload_len(prefix)?]);
    stream
        .read_exact(&mut payload)
        .map_err(|e| if e.kind() == io::ErrorKind::UnexpectedEof { FrameError::Truncated } else { e.into() })?;
    decode(&payload).map(Some)
}

/// Writes one message to a blocking stream.
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?)?;
    Ok(stream.flush()?)
}

/// Collects bytes as they arrive and gives whole messages: the non-blocking reader's side.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(limits::FRAME)
    }
}

impl Decoder {
    /// A decoder with an empty buffer, for frames of at most [`limits::FRAME`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder for frames of at most `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit }
    }

    /// Adds what was read. It never holds more than one frame and one read's worth of bytes if [`Decoder::next_message`] is
    /// called until it gives `None` after each call.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() < self.buffer.len() + bytes.len() {
            let mut larger = Vec::with_capacity((self.buffer.len() + bytes.len()).max(4096).next_power_of_two());
            larger.extend_from_slice(&self.buffer);
            self.buffer.zeroize();
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] as soon as the prefix is there: close the connection.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let len = payload_len_within(self.limit, *prefix)?;
        let Some(payload) = rest.get(..len) else { return Ok(None) };
        let message = decode(payload);
        let used = PREFIX + len;
        let end = self.buffer.len();
        self.buffer.copy_within(used.., 0);
        if let Some(stale) = self.buffer.get_mut(end - used..) {
            stale.zeroize();
        }
        self.buffer.truncate(end - used);
        message.map(Some)
    }

    /// Whether the stream may end here.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::greetd::Request;

    #[test]
    fn refuses_a_large_frame_before_its_payload_is_there() {
        let prefix = u32::try_from(limits::FRAME + 1).unwrap().to_ne_bytes();
        assert!(
            matches!(read::<Request>(&mut prefix.as_slice()), Err(FrameError::TooLarge(n)) if n == limits::FRAME + 1)
        );
        let mut decoder = Decoder::new();
        decoder.push(&u32::MAX.to_ne_bytes());
        assert!(matches!(decoder.next_message::<Request>(), Err(FrameError::TooLarge(_))));
        assert!(matches!(encode(&"x".repeat(limits::FRAME)), Err(FrameError::TooLarge(_))));
    }

    #[test]
    fn whole_messages_from_any_split() {
        let mut bytes = Vec::new();
        for name in ["alice", "bob"] {
            bytes.extend_from_slice(&encode(&Request::CreateSession { username: name.into() }).unwrap());
        }
        for size in 1..bytes.len() {
            let mut decoder = Decoder::new();
            let mut names = Vec::new();
            for part in bytes.chunks(size) {
                decoder.push(part);
                while let Some(Request::CreateSession { username }) = decoder.next_message().unwrap() {
                    names.push(username);
                }
            }
            assert_eq!(names, ["alice", "bob"]);
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn end_of_stream_is_clean_only_between_messages() {
        assert!(read::<Request>(&mut [].as_slice()).unwrap().is_none());
        let whole = encode(&Request::CancelSession).unwrap();
        for cut in 1..whole.len() {
            assert!(matches!(read::<Request>(&mut &whole[..cut]), Err(FrameError::Truncated)));
        }
    }

    #[test]
    fn an_error_never_quotes_the_message() {
        let error =
            decode::<Request>(br#"{"type":"post_auth_message_response","response":{"hunter2":1}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
