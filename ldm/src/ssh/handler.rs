//! What the server may do to us: answers to russh's callbacks.
//!
//! russh's own answers are yes to every channel the server opens; ours are no, except for X11 channels after an `x11-req` of
//! ours was granted, and for connections to the one place where it listens for us ([`super::forward`]). Nothing the server asks
//! for on its own (agent, other forwards, sessions) exists here.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ldm_protocol::client::Transport;
use ldm_protocol::{limits, text};
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio::sync::{Semaphore, mpsc, watch};

use super::channel::ByteStream;
use super::forward::{Forward, Place};
use super::host_key::HostKeys;
use super::inbox::{Inbox, Verdict};
use super::{Reason, forward};

/// X11 channels that may be open at once: as many clients as an X server takes by default (`-maxclients 256`).
pub const MAX_X11_CHANNELS: usize = 256;

/// Banners kept for the user; a server that sends more is not worth reading.
const BANNERS: usize = 16;

/// Why the connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The server rejected the last method and knows no other that we know.
    NoMoreMethods,
    /// What the server sent is no SSH that we can read. For the log.
    Broken(String),
    /// For the log.
    Lost(String),
}

/// What the handler and the connection's other parts have in common.
#[derive(Debug)]
pub(super) struct Shared {
    channels: Mutex<HashMap<ChannelId, Arc<Inbox>>>,
    held: Arc<AtomicUsize>,
    x11: Mutex<Option<mpsc::Sender<ByteStream>>>,
    x11_room: Arc<Semaphore>,
    forward: Mutex<Option<Arc<Forward>>>,
    ended: watch::Sender<Option<End>>,
    refused: Mutex<Option<Reason>>,
    agreed: Mutex<Transport>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            channels: Mutex::default(),
            held: Arc::default(),
            x11: Mutex::default(),
            x11_room: Arc::new(Semaphore::new(MAX_X11_CHANNELS)),
            forward: Mutex::default(),
            ended: watch::Sender::new(None),
            refused: Mutex::default(),
            agreed: Mutex::default(),
        })
    }

    /// The account of a channel; made at first sight.
    pub(super) fn inbox(&self, id: ChannelId) -> Arc<Inbox> {
        Arc::clone(lock(&self.channels).entry(id).or_insert_with(|| Inbox::new(&self.held)))
    }

    fn known(&self, id: ChannelId) -> Option<Arc<Inbox>> {
        lock(&self.channels).get(&id).cloned()
    }

    pub(super) fn forget(&self, id: ChannelId) {
        if let Some(inbox) = lock(&self.channels).remove(&id) {
            inbox.abandon();
        }
    }

    /// What the server was asked to listen on.
    pub(super) fn forward(&self) -> Option<Arc<Forward>> {
        lock(&self.forward).clone()
    }

    /// Replaces that, and gives what it was.
    pub(super) fn set_forward(&self, forward: Option<Arc<Forward>>) -> Option<Arc<Forward>> {
        std::mem::replace(&mut *lock(&self.forward), forward)
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&self) -> End {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| End::Lost("ended".to_owned()))
    }

    /// Why the host key was refused, if it was.
    pub(super) fn refused(&self) -> Option<Reason> {
        lock(&self.refused).take()
    }

    /// What the two sides agreed upon; the server's name is not known here.
    pub(super) fn agreed(&self) -> Transport {
        lock(&self.agreed).clone()
    }

    fn end(&self, end: End) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(end);
            first
        });
        *lock(&self.x11) = None;
        *lock(&self.forward) = None;
        for inbox in lock(&self.channels).values() {
            inbox.set_closed();
        }
    }
}

/// What a callback ends the connection with.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandlerError {
    /// russh's own finding.
    #[error(transparent)]
    Protocol(#[from] russh::Error),
    /// See [`Shared::refused`].
    #[error("host key refused")]
    HostKey,
}

pub(super) struct Handler {
    shared: Arc<Shared>,
    keys: HostKeys,
    banners: mpsc::Sender<String>,
}

impl Handler {
    pub(super) fn new(shared: Arc<Shared>, keys: HostKeys) -> (Self, mpsc::Receiver<String>) {
        let (banners, receiver) = mpsc::channel(BANNERS);
        (Self { shared, keys, banners }, receiver)
    }

    fn close_unread(&self, id: ChannelId, inbox: &Inbox, session: &mut Session) -> Result<(), HandlerError> {
        tracing::warn!("channel {}: closed, because nobody reads it and the buffers are full", id.number());
        session.close(id)?;
        inbox.set_closed();
        self.shared.forget(id);
        Ok(())
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // Also when the task was ended without a word, or panicked.
        self.shared.end(End::Lost("connection task ended".to_owned()));
    }
}

/// Whether trying again would end the same way: a packet over russh's limit of 256 KiB, a text that is not UTF-8.
fn is_broken(error: &HandlerError) -> bool {
    use russh::Error::{IndexOutOfBounds, PacketSize, SshEncoding, Utf8};
    matches!(error, HandlerError::Protocol(IndexOutOfBounds | PacketSize(_) | SshEncoding(_) | Utf8(_)))
}

pub(super) async fn refuse(kind: &str, reply: ChannelOpenHandle) {
    tracing::warn!("the server wanted to open a channel that nobody asked for ({kind}): refused");
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
}

/// Accepts a channel of the server's if there is still room for it and its consumer takes it.
pub(super) async fn accept(
    kind: &str,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
    shared: &Arc<Shared>,
    room: &Arc<Semaphore>,
    streams: &mpsc::Sender<ByteStream>,
) {
    let why = match (Arc::clone(room).try_acquire_owned(), streams.try_reserve()) {
        (Ok(room), Ok(place)) => {
            let stream = ByteStream::new(channel, shared, Some(room));
            reply.accept().await;
            place.send(stream);
            return;
        }
        (Err(_), _) => "too many are open",
        (_, Err(_)) => "its receiver is gone or behind",
    };
    tracing::warn!("a channel of the server was refused ({kind}): {why}");
    reply.reject(ChannelOpenFailure::ResourceShortage).await;
}

impl client::Handler for Handler {
    type Error = HandlerError;

    async fn kex_done(
        &mut self,
        _secret: Option<&[u8]>,
        names: &Names,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let cipher: &str = names.cipher.as_ref();
        // One that authenticates by itself needs no other, whatever was agreed upon (RFC 5647 section 5.1).
        let own = cipher.contains("gcm") || cipher.contains("poly1305");
        let word = |name: &str| text::sanitise_line(name, limits::SESSION_NAME);
        *lock(&self.shared.agreed) = Transport {
            server: String::new(),
            software: word(&String::from_utf8_lossy(session.remote_sshid())),
            key_exchange: word(names.kex.as_ref()),
            host_key: word(names.key.as_str()),
            cipher: word(cipher),
            mac: if own { String::new() } else { word(names.server_mac.as_ref()) },
        };
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), HandlerError> {
        let _ = self.banners.try_send(text::sanitise(banner, limits::PROMPT));
        Ok(())
    }

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, HandlerError> {
        match self.keys.check(presented) {
            Ok(()) => Ok(true),
            Err(reason) => {
                *lock(&self.shared.refused) = Some(reason);
                Err(HandlerError::HostKey)
            }
        }
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), HandlerError> {
        match self.shared.known(id) {
            Some(inbox) if inbox.arrived(data.len()).await == Verdict::Close => self.close_unread(id, &inbox, session),
            _ => Ok(()),
        }
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        _ext: u32,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        match self.shared.known(id) {
            Some(inbox) if inbox.extended_arrived(data.len()).await == Verdict::Close => {
                self.close_unread(id, &inbox, session)
            }
            _ => Ok(()),
        }
    }

    async fn channel_success(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        // Here and not where the reply is awaited: the first X11 channel may come in the same segment as this reply.
        if let Some(streams) = self.shared.known(id).and_then(|inbox| inbox.answered_x11()) {
            *lock(&self.shared.x11) = Some(streams);
        }
        Ok(())
    }

    async fn channel_failure(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        if let Some(inbox) = self.shared.known(id) {
            inbox.answered_x11();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), HandlerError> {
        if let Some(inbox) = self.shared.known(id) {
            inbox.set_closed();
        }
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        let Some(streams) = lock(&self.shared.x11).clone() else {
            refuse("x11", reply).await;
            return Ok(());
        };
        accept("x11", channel, reply, &self.shared, &self.shared.x11_room, &streams).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        match Place::port(connected_address, connected_port) {
            Some(place) => forward::offered(&self.shared, place, channel, reply).await,
            None => refuse("forwarded-tcpip", reply).await,
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        forward::offered(&self.shared, Place::Socket(socket_path.to_owned()), channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        refuse("auth-agent", reply).await;
        Ok(())
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }

    async fn server_channel_open_unknown(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        refuse("unknown type", reply).await;
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        refuse("session", reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        refuse("direct-tcpip", reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), HandlerError> {
        refuse("direct-streamlocal", reply).await;
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<HandlerError>) -> Result<(), HandlerError> {
        let (end, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let message = text::sanitise_line(&info.message, limits::LOG_TAIL_LINE);
                (End::Lost(format!("the server says: {message}")), Ok(()))
            }
            DisconnectReason::Error(HandlerError::Protocol(russh::Error::NoAuthMethod)) => {
                (End::NoMoreMethods, Err(HandlerError::Protocol(russh::Error::NoAuthMethod)))
            }
            DisconnectReason::Error(error) if is_broken(&error) => (End::Broken(error.to_string()), Err(error)),
            DisconnectReason::Error(error) => (End::Lost(error.to_string()), Err(error)),
        };
        self.shared.end(end);
        result
    }
}
