//! The worker's end of the socket pair to the local session.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;

use ldm_protocol::frame::{Decoder, FrameError, encode_within};
use ldm_protocol::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zeroize::Zeroizing;

use super::protocol::{FromLocal, ToLocal};
use crate::sys;

/// Environment variable with the number of the descriptor that leads to the local session.
pub const FD_VARIABLE: &str = "LDM_WORKER_LOCAL_FD";

/// The socket that the worker was started with, if it was.
pub fn inherited() -> io::Result<Option<StdUnixStream>> {
    let Some(number) = std::env::var_os(FD_VARIABLE) else { return Ok(None) };
    let number = number.to_str().and_then(|n| n.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    let stream = StdUnixStream::from(sys::inherited_fd(number)?);
    stream.set_nonblocking(true)?;
    Ok(Some(stream))
}

/// Both directions, to be used side by side: the local session need not read before it writes.
pub struct Link {
    /// What it says.
    pub reader: Reader,
    /// What it is told.
    pub writer: Writer,
}

impl Link {
    /// Takes the socket over; in a runtime.
    pub fn new(stream: StdUnixStream) -> io::Result<Self> {
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        let decoder = Decoder::with_limit(limits::LOCAL_FRAME);
        Ok(Self { reader: Reader { stream: reader, decoder }, writer: Writer(writer) })
    }
}

/// What the local session says.
pub struct Reader {
    stream: OwnedReadHalf,
    decoder: Decoder,
}

impl Reader {
    /// The next message; `None` once the local session has ended. May be dropped at any await.
    pub async fn next(&mut self) -> io::Result<Option<FromLocal>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.next_message().map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut buffer).await? {
                0 if self.decoder.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.decoder.push(buffer.get(..count).unwrap_or_default()),
            }
        }
    }
}

/// A message as it is sent.
pub struct Frame(Zeroizing<Vec<u8>>);

impl Frame {
    /// Writes it down.
    ///
    /// # Errors
    /// Over [`limits::LOCAL_FRAME`]: control characters take six bytes each in JSON.
    pub fn new(message: &ToLocal) -> Result<Self, FrameError> {
        encode_within(limits::LOCAL_FRAME, message).map(Self)
    }
}

/// What the local session is told.
pub struct Writer(OwnedWriteHalf);

impl Writer {
    /// Sends one frame. Dropped before its end, it leaves a broken stream.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.0.write_all(&frame.0).await
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ldm_protocol::apps::{Event, Program, Word};
    use ldm_protocol::frame;

    use super::*;

    #[tokio::test]
    async fn messages_both_ways_and_the_end() {
        let (here, mut there) = StdUnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let mut link = Link::new(here).unwrap();
        // The greatest request that the queue lets through: base64 takes a third more.
        let argv = vec![Word(vec![0xff; limits::APP_BYTES - 1])];
        let run = ToLocal::Run { number: 1, program: Program { argv, ..Program::default() } };
        let program = Program { argv: vec![Word(vec![1; limits::APP_BYTES - 1])], ..Program::default() };
        assert!(Frame::new(&ToLocal::Run { number: 2, program }).is_err());
        let reader = {
            let mut there = there.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut prefix = [0; frame::PREFIX];
                io::Read::read_exact(&mut there, &mut prefix).unwrap();
                let mut payload = vec![0; u32::from_ne_bytes(prefix) as usize];
                io::Read::read_exact(&mut there, &mut payload).unwrap();
                frame::decode::<ToLocal>(&payload).unwrap()
            })
        };
        link.writer.send(&Frame::new(&run).unwrap()).await.unwrap();
        assert_eq!(reader.join().unwrap(), run);
        let said = [FromLocal::Ready(Ok(())), FromLocal::Program { number: 1, event: Event::Started }];
        for message in &said {
            frame::write(&mut there, message).unwrap();
        }
        there.write_all(&[1]).unwrap();
        for message in said {
            assert_eq!(link.reader.next().await.unwrap(), Some(message));
        }
        there.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(link.reader.next().await.is_err(), "it ended within a frame");
    }
}
