//! Copying with few and large reads and writes.
//!
//! Nothing is held back: what has been read is written before more is waited for. How much may pile up while the display does
//! not read (another client has grabbed it) is for the connection to decide, which all channels share.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Room for two of the largest SSH packets, or for a large image in a few system calls.
const SIZE: usize = 128 * 1024;

/// Bytes that were read and wait to be written: `buffer[start..end]`.
struct Copy {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

/// Copies until `reader` ends, and reads no faster than `writer` takes it.
pub(super) async fn copy(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut copy = Copy { buffer: vec![0; SIZE].into(), start: 0, end: 0, ended: false };
    while poll_fn(|cx| copy.poll_step(cx, reader, writer)).await? {}
    Ok(())
}

impl Copy {
    /// One write of all that can be read without waiting; `false` at the end.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<bool>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        while !self.ended {
            let Some(free @ [_, ..]) = self.buffer.get_mut(self.end..) else { break };
            let mut free = ReadBuf::new(free);
            match Pin::new(&mut *reader).poll_read(cx, &mut free) {
                Poll::Ready(result) => {
                    result?;
                    self.ended = free.filled().is_empty();
                    self.end += free.filled().len();
                }
                Poll::Pending if self.start == self.end => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if self.start == self.end {
            return Poll::Ready(Ok(false));
        }
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let written = ready!(Pin::new(writer).poll_write(cx, waiting))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.start += written;
        Poll::Ready(Ok(true))
    }
}
