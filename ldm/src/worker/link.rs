//! The socket pair to the daemon.

use std::io;
use std::sync::Arc;

use ldm_protocol::Secret;
use ldm_protocol::frame::{Decoder, encode};
use ldm_protocol::greetd::AuthMessageType;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::protocol::{Command, Event};
use crate::auth::{Cancelled, Conversation};

/// Commands that wait to be obeyed; the daemon sends one and then waits for its event.
const QUEUE: usize = 4;

/// Commands from the daemon and events to it.
pub(super) struct Link<W> {
    commands: mpsc::Receiver<Command>,
    events: Events<W>,
}

/// Where events go. Shared, so that somebody is left to tell the daemon when the task that has the rest has panicked.
pub(super) struct Events<W>(Arc<Mutex<W>>);

impl<W> Clone for Events<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: AsyncWrite + Send + Unpin> Events<W> {
    pub(super) fn new(writer: W) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Tells the daemon.
    pub(super) async fn send(&self, event: &Event) -> io::Result<()> {
        let frame = encode(event).map_err(io::Error::other)?;
        let mut writer = self.0.lock().await;
        writer.write_all(&frame).await?;
        writer.flush().await
    }
}

impl<W: AsyncWrite + Send + Unpin> Link<W> {
    /// Reads in a task of its own, so that the daemon's end is noticed at any time: `hangup` is cancelled then.
    pub(super) fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        events: Events<W>,
        hangup: CancellationToken,
    ) -> Self {
        let (sender, commands) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let _guard = hangup.drop_guard();
            if let Err(error) = read(reader, sender).await {
                tracing::error!(%error, "the connection to the daemon failed");
            }
        });
        Self { commands, events }
    }

    /// The next command; `None` once the daemon has closed.
    pub(super) async fn command(&mut self) -> Option<Command> {
        self.commands.recv().await
    }

    /// Tells the daemon.
    pub(super) async fn send(&self, event: &Event) -> io::Result<()> {
        self.events.send(event).await
    }

    /// For those that tell it something beside the attempt.
    pub(super) fn events(&self) -> Events<W> {
        self.events.clone()
    }
}

async fn read(mut reader: impl AsyncRead + Unpin, commands: mpsc::Sender<Command>) -> io::Result<()> {
    let mut decoder = Decoder::new();
    // It may carry an answer.
    let mut buffer = Zeroizing::new([0; 4096]);
    loop {
        let count = reader.read(buffer.as_mut_slice()).await?;
        if count == 0 {
            return Ok(());
        }
        decoder.push(buffer.get(..count).unwrap_or_default());
        while let Some(command) = decoder.next_message().map_err(io::Error::other)? {
            // Nobody reads any more: the attempt has ended, and the process with it.
            let Ok(()) = commands.send(command).await else { return Ok(()) };
        }
    }
}

impl<W: AsyncWrite + Send + Unpin> Conversation for Link<W> {
    async fn message(&mut self, style: AuthMessageType, text: &str) -> Result<Option<Secret>, Cancelled> {
        self.send(&Event::Message { style, text: text.to_owned() }).await.map_err(|_| Cancelled)?;
        match self.command().await {
            Some(Command::Answer { response }) => Ok(response),
            _ => Err(Cancelled),
        }
    }
}
