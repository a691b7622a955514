//! [`ByteStream`]: a channel as a byte stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelId, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::handler::Shared;
use super::inbox::Inbox;

/// How long a channel that we are done with waits for the server to close it too.
const LINGER: Duration = Duration::from_secs(5);

/// Asks for X11 forwarding with [`super::Connection::exec`].
pub struct X11Request {
    /// The cookie that the server is told; never the real one.
    pub fake_cookie: [u8; 16],
    /// Screen number.
    pub screen: u32,
    /// Where accepted channels go. Dropping the receiver refuses all further ones.
    pub streams: mpsc::Sender<ByteStream>,
}

impl fmt::Debug for X11Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X11Request").field("screen", &self.screen).finish_non_exhaustive()
    }
}

/// A channel that carries nothing but bytes: a forwarded connection, a subsystem. What the far end sends is read, what is written
/// goes there. Dropping it closes the channel. Read it steadily: one that is not read at all while the server goes on sending
/// is closed when 64 MiB wait on its connection. Who asks for what is sent (SFTP) bounds that by asking.
pub struct ByteStream {
    /// Gone only while it is dropped.
    stream: Option<ChannelStream<Msg>>,
    inbox: Arc<Inbox>,
    closed: Closed,
    id: ChannelId,
    shared: Arc<Shared>,
    /// Its place among the channels that the server may open.
    _room: Option<OwnedSemaphorePermit>,
}

impl ByteStream {
    /// To be made before the server learns that its channel is accepted, so that nothing comes uncounted.
    pub(super) fn new(channel: Channel<Msg>, shared: &Arc<Shared>, room: Option<OwnedSemaphorePermit>) -> Self {
        let id = channel.id();
        let inbox = shared.inbox(id);
        inbox.set_plain();
        let closed = Closed::new(&inbox);
        Self { stream: Some(channel.into_stream()), inbox, closed, id, shared: Arc::clone(shared), _room: room }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut ChannelStream<Msg>>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.id.number()).finish()
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        self.inbox.abandon();
        let (Some(mut stream), Ok(runtime)) = (self.stream.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (inbox, shared, id) = (Arc::clone(&self.inbox), Arc::clone(&self.shared), self.id);
        // russh forgets a channel for good only when the server closes it first, so it gets the chance to.
        runtime.spawn(async move {
            let _ = stream.shutdown().await;
            let drain = async {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = inbox.closed() => {}
                () = drain => {}
                () = tokio::time::sleep(LINGER) => {}
            }
            shared.forget(id);
            drop(stream);
        });
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = self.stream()?.poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        if read > 0 {
            self.inbox.read(read);
        }
        poll
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.stream()?.poll_write(cx, buf) {
            Poll::Pending => self.closed.poll_broken(cx),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// The end of a channel, for its writer: russh leaves one that waits for window waiting for ever.
pub(super) struct Closed {
    wait: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    done: bool,
}

impl Closed {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Self { wait: Box::pin(inbox.closed()), done: false }
    }

    pub(super) fn poll_broken<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.done = self.done || self.wait.as_mut().poll(cx).is_ready();
        if self.done { Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) } else { Poll::Pending }
    }
}
