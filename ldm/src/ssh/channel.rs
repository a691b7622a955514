//! [`X11Stream`]: a forwarded X11 channel as a byte stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelId, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;

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
    pub streams: mpsc::Sender<X11Stream>,
}

impl fmt::Debug for X11Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X11Request").field("screen", &self.screen).finish_non_exhaustive()
    }
}

/// One forwarded X11 connection: what the X client sends is read, what the X server says is written. Dropping it closes
/// the channel. Read it steadily: one that is not read at all while the server goes on sending is closed when 64 MiB wait on its
/// connection.
pub struct X11Stream {
    /// Gone only while it is dropped.
    stream: Option<ChannelStream<Msg>>,
    inbox: Arc<Inbox>,
    closed: Closed,
    id: ChannelId,
    shared: Arc<Shared>,
}

impl X11Stream {
    pub(super) fn new(channel: Channel<Msg>, shared: &Arc<Shared>) -> Self {
        let id = channel.id();
        let inbox = shared.inbox(id);
        let closed = Closed::new(&inbox);
        Self { stream: Some(channel.into_stream()), inbox, closed, id, shared: Arc::clone(shared) }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut ChannelStream<Msg>>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl fmt::Debug for X11Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("X11Stream").field(&self.id.number()).finish()
    }
}

impl Drop for X11Stream {
    fn drop(&mut self) {
        self.shared.x11_closed();
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

impl AsyncRead for X11Stream {
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

impl AsyncWrite for X11Stream {
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
