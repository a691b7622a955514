//! Forwarded X11 channels: from a byte stream that comes out of the server to the client's display.
//!
//! Runs in the session worker (user `ldm`) and in `ldm login`. The stream is the network's and hostile until its first
//! packet has shown the fake cookie that was given to the server; after that it is an X client like any other, and its bytes
//! are moved and never looked at. This module knows nothing of SSH.

mod copy;
mod name;
mod setup;

pub use name::{BadDisplayName, DisplayName};
pub use setup::SetupError;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::xauth::Cookie;

/// A client sends its first packet at once; who does not holds a channel for nothing.
const SETUP_TIME: Duration = Duration::from_secs(30);

/// Why a forwarded channel was not, or no longer, connected to the display. It concerns this one X client: close its channel,
/// log the text, and leave the session alone.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The first packet was refused: somebody on the server tried the port without the cookie.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The display cannot be reached: its X server has ended, or the name is wrong.
    #[error("the display {name} cannot be reached: {source}")]
    Connect {
        /// The display.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The channel or the display's socket failed: one of both has ended.
    #[error("the connection of an X client failed: {0}")]
    Io(#[from] io::Error),
}

/// What is needed to let the X clients of one session onto the display.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The client's display.
    pub display: DisplayName,
    /// What the display asks for; `None` if nothing.
    pub real: Option<Cookie>,
    /// What the server was given instead, and its clients must show.
    pub fake: Cookie,
}

impl Forward {
    /// Serves one channel until either side ends it.
    pub async fn serve(&self, mut channel: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), ForwardError> {
        let setup = tokio::time::timeout(SETUP_TIME, setup::read(&mut channel, &self.fake))
            .await
            .map_err(|_| SetupError::TooSlow)??;
        let first = setup.with_cookie(self.real.as_ref());
        let unreachable = |source| ForwardError::Connect { name: self.display.to_string(), source };
        if let Some(path) = self.display.socket() {
            let display = UnixStream::connect(path).await.map_err(unreachable)?;
            let (reader, writer) = display.into_split();
            join(channel, reader, writer, &first).await
        } else {
            let display = TcpStream::connect(self.display.address()).await.map_err(unreachable)?;
            display.set_nodelay(true)?;
            let (reader, writer) = display.into_split();
            join(channel, reader, writer, &first).await
        }
    }
}

/// Moves bytes both ways. The end of the channel is handed on as a half close, because the display may still have
/// answers; the end of the display is the end of everything, for nobody is left to read.
async fn join(
    channel: impl AsyncRead + AsyncWrite + Unpin,
    mut from_display: impl AsyncRead + Unpin,
    mut to_display: impl AsyncWrite + Unpin,
    first: &[u8],
) -> Result<(), ForwardError> {
    let (mut from_client, mut to_client) = tokio::io::split(channel);
    to_display.write_all(first).await?;
    let requests = async {
        copy::copy(&mut from_client, &mut to_display).await?;
        // The display may have gone just now; the other direction tells.
        let _ = to_display.shutdown().await;
        io::Result::Ok(())
    };
    let replies = async {
        copy::copy(&mut from_display, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::pin!(requests, replies);
    tokio::select! {
        result = &mut replies => Ok(result?),
        // Also after an error: what the display said last (an X error, say) is worth more than the broken pipe it left.
        _ = &mut requests => Ok(replies.await?),
    }
}

#[cfg(test)]
mod tests;
