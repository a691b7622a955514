//! The TCP connection below SSH.
//!
//! russh reads nothing while it waits for the user's answer to a prompt, and its keepalive runs only after authentication. So
//! the kernel watches over the line in all states, and a [`Monitor`] sees its end while russh does not look.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::algorithms::{KEEPALIVE, KEEPALIVE_MAX};

/// Bytes of the server's greeting that are kept for telling what it is.
const GREETING: usize = 256;

/// The byte stream that russh is given.
#[derive(Debug)]
pub(super) struct Link {
    stream: Arc<TcpStream>,
    greeting: Greeting,
    greeted: bool,
}

/// The first bytes that came, for error messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting(Arc<Mutex<Vec<u8>>>);

impl Greeting {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Returns whether that is enough.
    fn push(&self, bytes: &[u8]) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = GREETING - kept.len().min(GREETING);
        kept.extend(bytes.iter().take(room));
        kept.len() >= GREETING
    }
}

/// Sees the end of the line without reading from it.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    stream: Arc<TcpStream>,
}

impl Monitor {
    /// Waits until the server has closed its side or the line is found dead.
    pub(super) async fn hung_up(&self) {
        loop {
            match self.stream.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {}
                _ => return,
            }
            // Something waits to be read that russh does not want yet: readiness would be reported again at once.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Our own address on this line.
    pub(super) fn local_address(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Cuts the line at once, in both directions.
    pub(super) fn sever(&self) {
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Both);
    }
}

impl Link {
    /// Sets the socket up.
    pub(super) fn new(stream: TcpStream) -> io::Result<(Self, Monitor, Greeting)> {
        // X11 is made of small messages that wait for each other.
        stream.set_nodelay(true)?;
        let seconds = u32::try_from(KEEPALIVE.as_secs()).unwrap_or(15);
        let probes = u32::try_from(KEEPALIVE_MAX).unwrap_or(2);
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &seconds)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &seconds)?;
        setsockopt(&stream, sockopt::TcpKeepCount, &probes)?;
        // Keepalive probes stop while data waits for its acknowledgement; this bounds that wait.
        setsockopt(&stream, sockopt::TcpUserTimeout, &(seconds * (probes + 1) * 1000))?;
        let stream = Arc::new(stream);
        let greeting = Greeting::default();
        let monitor = Monitor { stream: Arc::clone(&stream) };
        Ok((Self { stream, greeting: greeting.clone(), greeted: false }, monitor, greeting))
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    if !self.greeted {
                        let fresh = buf.filled().len().saturating_sub(read);
                        self.greeted = self.greeting.push(buf.filled().get(fresh..).unwrap_or_default());
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that is gone already is no error here; russh would report it instead of the reason why it ends.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
