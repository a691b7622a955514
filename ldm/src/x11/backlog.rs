//! Copying with few and large reads and writes, and, towards the display, without ever holding up the other channels.
//!
//! All channels share one connection, whose reader waits when one channel's queue is full. Most of the time that is right: an
//! X server that is slower than the network slows the network down. But while a client has grabbed the X server
//! (`GrabServer`), no other client's socket is read; if then one of those fills its queue, the grabber's own next
//! request, the `UngrabServer`, would wait behind it for ever. So a full queue that does not move is given more room.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ForwardError;

/// What is allocated while things flow: two of the largest SSH packets.
const USUAL: usize = 64 * 1024;
/// How much waits for a display that reads, but slowly.
const FLOWING: usize = 1024 * 1024;
/// How much waits for a display that does not read at all. A client can make the X server itself allocate more.
const STALLED: usize = 64 * 1024 * 1024;
/// A display that reads nothing for this long is taken for grabbed.
const GRABBED: Duration = Duration::from_millis(250);
/// A display that reads nothing for this long with all the room full: this client is given up.
pub(super) const GIVE_UP: Duration = Duration::from_secs(30);

/// Bytes that were read and wait to be written: `buffer[start..end]`.
struct Backlog {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    ended: bool,
}

enum Step {
    Wrote,
    Full,
    Done,
}

impl Backlog {
    fn new() -> Self {
        Self { buffer: vec![0; USUAL], start: 0, end: 0, limit: FLOWING, ended: false }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Makes room at the end of the buffer; `false` if the limit is reached.
    fn make_room(&mut self) -> bool {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > USUAL {
                self.buffer = vec![0; USUAL];
                self.limit = FLOWING;
            }
        }
        if self.end < self.buffer.len() {
            return true;
        }
        if self.start >= self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
            return true;
        }
        if self.buffer.len() >= self.limit {
            return false;
        }
        self.buffer.resize((self.buffer.len() * 2).min(self.limit), 0);
        true
    }

    /// One read; what was read is at the end of the backlog.
    fn poll_fill(&mut self, cx: &mut Context<'_>, reader: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<()>> {
        let Some(free) = self.buffer.get_mut(self.end..) else { return Poll::Pending };
        let mut free = ReadBuf::new(free);
        match Pin::new(reader).poll_read(cx, &mut free) {
            Poll::Ready(Ok(())) => {
                let read = free.filled().len();
                self.end += read;
                self.ended = read == 0;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, writer: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        match Pin::new(writer).poll_write(cx, waiting) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.start += written;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads all that is there, up to the usual size, then writes; goes on reading while the writer will not take it.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<Step>> {
        let mut writable = true;
        loop {
            let mut readable = !self.ended;
            while readable && (self.len() < USUAL || !writable) {
                if !self.make_room() {
                    return Poll::Ready(Ok(Step::Full));
                }
                match self.poll_fill(cx, reader) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => break,
                }
                readable = !self.ended;
            }
            if self.len() == 0 {
                return if self.ended { Poll::Ready(Ok(Step::Done)) } else { Poll::Pending };
            }
            if !writable {
                return Poll::Pending;
            }
            match self.poll_drain(cx, writer) {
                Poll::Ready(result) => {
                    result?;
                    return Poll::Ready(Ok(Step::Wrote));
                }
                Poll::Pending => writable = false,
            }
        }
    }
}

/// Copies until `reader` ends, and goes on reading while `writer` is stuck.
pub(super) async fn copy(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<(), ForwardError> {
    let mut backlog = Backlog::new();
    loop {
        match poll_fn(|cx| backlog.poll_step(cx, reader, writer)).await? {
            Step::Wrote => {}
            Step::Done => return Ok(()),
            Step::Full => {
                let patience = if backlog.limit < STALLED { GRABBED } else { GIVE_UP };
                match tokio::time::timeout(patience, poll_fn(|cx| backlog.poll_drain(cx, writer))).await {
                    Ok(result) => result?,
                    Err(_) if backlog.limit < STALLED => backlog.limit = STALLED,
                    Err(_) => return Err(ForwardError::Stalled),
                }
            }
        }
    }
}

/// Copies until `reader` ends, and reads no faster than `writer` takes it.
pub(super) async fn copy_blocking(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut backlog = Backlog::new();
    loop {
        let more = poll_fn(|cx| {
            if backlog.len() == 0 {
                (backlog.start, backlog.end) = (0, 0);
                std::task::ready!(backlog.poll_fill(cx, reader))?;
                if backlog.ended {
                    return Poll::Ready(Ok::<_, io::Error>(false));
                }
            }
            std::task::ready!(backlog.poll_drain(cx, writer))?;
            Poll::Ready(Ok(true))
        })
        .await?;
        if !more {
            return Ok(());
        }
    }
}
