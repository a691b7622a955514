//! The SSH connection of one login: host keys, authentication, exec channels, subsystems, forwarded channels.
//!
//! Runs in the session worker as user `ldm` (or under the user's own uid in `ldm login`). Everything the server sends is
//! hostile, also after its host key was found to be good: a server may be taken over, a client must not be.
//!
//! | module | |
//! |---|---|
//! | `target` | which server |
//! | `connect`, `link`, `algorithms` | TCP, key exchange |
//! | `host_key`, `known_hosts` | whether it is that server |
//! | `authenticate` | who we are |
//! | `handler` | what the server may do to us |
//! | `forward` | where the server listens for us |
//! | `exec`, `channel`, `inbox` | byte streams, and what is held of them |
//!
//! Round trips from the last answer to the running command: two for keyboard-interactive, one to open the channel, half a
//! one for the requests, which go out together.

mod algorithms;
mod authenticate;
mod channel;
mod connect;
mod error;
mod exec;
mod forward;
mod handler;
mod host_key;
mod inbox;
mod known_hosts;
mod link;
mod target;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ldm_protocol::client::Transport;
use russh::client::{AuthResult, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{Channel, ChannelOpenFailure, Disconnect};
use tokio::sync::mpsc;

pub use channel::{ByteStream, X11Request};
pub use connect::connect;
pub use error::{Reason, SshError};
pub use exec::{Exec, ExitStatus, Outcome, STDERR_TAIL, Stdin, Stdout};
pub use forward::MAX_FORWARDED;
pub use handler::MAX_X11_CHANNELS;
pub use target::Target;

use crate::auth::Conversation;
use forward::{Forward, Place};
use handler::{End, Handler, Shared};
use link::Monitor;

/// For saying goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// With `MaxSessions 1` a server has room for a command only when it has put away the one before, which it does a moment after
/// that has ended. It is asked again after this long, then after twice as long, and so on…
const ROOM: Duration = Duration::from_millis(20);

/// …so many times: 2.5 s in all.
const ROOM_ATTEMPTS: u32 = 7;

/// Largest private key file.
const MAX_KEY_FILE: usize = 64 * 1024;

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct HostKeyPolicy {
    /// Known-hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), all are read; missing ones are empty.
    pub known_hosts: Vec<PathBuf>,
    /// Trust on first use: the key of a host nobody knows is appended here. `None`: it is refused.
    pub trust_first_use: Option<PathBuf>,
}

/// An SSH connection whose host key is good. Dropping it cuts it, whatever else still uses it.
pub struct Connection {
    server: String,
    handle: Handle<Handler>,
    shared: Arc<Shared>,
    monitor: Monitor,
    banners: mpsc::Receiver<String>,
    /// Opened ahead, for the next command.
    spare: Mutex<Option<Channel<Msg>>>,
    /// A session channel was granted on this connection.
    opened: AtomicBool,
}

impl Connection {
    fn new(
        target: &Target,
        handle: Handle<Handler>,
        shared: Arc<Shared>,
        monitor: Monitor,
        banners: mpsc::Receiver<String>,
    ) -> Self {
        Self {
            server: target.name.clone(),
            handle,
            shared,
            monitor,
            banners,
            spare: Mutex::default(),
            opened: AtomicBool::new(false),
        }
    }

    /// The server's name as configured.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What was agreed upon with it, sanitised.
    pub fn transport(&self) -> Transport {
        Transport { server: self.server.clone(), ..self.shared.agreed() }
    }

    /// The address of this client, as its own system has it.
    pub fn local_address(&self) -> Option<IpAddr> {
        self.monitor.local_address()
    }

    /// Authenticates: keyboard-interactive, else `password`. After any error the connection is of no more use.
    ///
    /// # Errors
    /// [`Reason::Denied`] is the only one that a new attempt with other answers can change.
    pub async fn authenticate<C: Conversation>(&mut self, user: &str, conversation: &mut C) -> Result<(), SshError> {
        let login = authenticate::Login {
            handle: &mut self.handle,
            shared: &self.shared,
            monitor: &self.monitor,
            banners: &mut self.banners,
            user,
            conversation,
        };
        login.run().await.map_err(|reason| SshError::new(&self.server, reason))
    }

    /// Authenticates with the private key in this file (no passphrase).
    ///
    /// # Errors
    /// [`Reason::BadKey`], [`Reason::Denied`], [`Reason::Lost`].
    pub async fn authenticate_key(&mut self, user: &str, key: &Path) -> Result<(), SshError> {
        self.try_key(user, key).await.map_err(|reason| SshError::new(&self.server, reason))
    }

    async fn try_key(&mut self, user: &str, path: &Path) -> Result<(), Reason> {
        let bad = |why: String| Reason::BadKey(format!("{}: {why}", path.display()));
        let key = read_key(path).map_err(|error| bad(error.to_string()))?;
        let key = decode_secret_key(&key, None).map_err(|error| bad(error.to_string()))?;
        let lost = |_| Reason::Lost("the connection ended".to_owned());
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => match self.handle.best_supported_rsa_hash().await.map_err(lost)? {
                Some(Some(hash)) => Some(hash),
                // The server has not said, or only knows SHA-1, which we do not.
                _ => Some(HashAlg::Sha512),
            },
            _ => None,
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        match self.handle.authenticate_publickey(user, key).await.map_err(lost)? {
            AuthResult::Success => Ok(()),
            AuthResult::Failure { .. } if self.handle.is_closed() => Err(self.why_lost().await),
            AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => Err(self.why_lost().await),
            AuthResult::Failure { .. } => Err(Reason::Denied),
        }
    }

    /// Opens the channel of the next [`Self::exec`] ahead of time, for instance while the user chooses a session: that saves
    /// the command a round trip. Whatever goes wrong here, `exec` will tell.
    pub async fn open_ahead(&self) {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare().is_none()
            && let Ok(channel) = self.open().await
        {
            *spare() = Some(channel);
        }
    }

    /// A new session channel; waits for the room of one that has just ended.
    async fn open(&self) -> Result<Channel<Msg>, russh::Error> {
        let mut attempt = 0;
        loop {
            match self.handle.channel_open_session().await {
                Err(russh::Error::ChannelOpenFailure(_))
                    if self.opened.load(Ordering::Relaxed) && attempt < ROOM_ATTEMPTS =>
                {
                    tokio::time::sleep(ROOM * 2u32.pow(attempt)).await;
                    attempt += 1;
                }
                Ok(channel) => {
                    self.opened.store(true, Ordering::Relaxed);
                    return Ok(channel);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a command through the user's shell on the server. With `x11`, its windows come as [`ByteStream`]s; both requests
    /// go out together.
    ///
    /// # Errors
    /// [`Reason::NoX11`], [`Reason::NoSession`], [`Reason::Lost`].
    pub async fn exec(&self, command: &str, x11: Option<X11Request>) -> Result<Exec, SshError> {
        self.exec_with_input(command, x11, &[]).await
    }

    /// [`Connection::exec`] with the start of standard input, which goes out as soon as the server takes it. OpenSSH opens
    /// a session channel with a window of zero and grants more when it has started the command, so what the command must
    /// know at once is better off on its command line: here it costs a round trip more.
    ///
    /// # Errors
    /// As for [`Connection::exec`].
    pub async fn exec_with_input(
        &self,
        command: &str,
        x11: Option<X11Request>,
        input: &[u8],
    ) -> Result<Exec, SshError> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let channel = match spare {
            Some(channel) => Ok(channel),
            None => self.open().await,
        };
        let result = match channel {
            Ok(channel) => exec::run(channel, &self.shared, command, x11, input).await,
            Err(error) => Err(not_opened(&error)),
        };
        self.explained(result).await
    }

    /// Adds what is known of the connection's end.
    async fn explained<T>(&self, result: Result<T, Reason>) -> Result<T, SshError> {
        match result {
            Ok(value) => Ok(value),
            Err(Reason::Lost(_)) => Err(SshError::new(&self.server, self.why_lost().await)),
            Err(reason) => Err(SshError::new(&self.server, reason)),
        }
    }

    /// Opens a subsystem of the server (RFC 4254 section 6.5), such as `sftp`.
    ///
    /// # Errors
    /// [`Reason::NoSubsystem`], [`Reason::NoSession`], [`Reason::Lost`].
    pub async fn subsystem(&self, name: &str) -> Result<ByteStream, SshError> {
        let result = match self.open().await {
            Ok(channel) => exec::subsystem(channel, &self.shared, name).await,
            Err(error) => Err(not_opened(&error)),
        };
        self.explained(result).await
    }

    /// Connects to a unix socket of the server (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// [`Reason::NoSession`], [`Reason::Lost`].
    pub async fn dial_socket(&self, path: &str) -> Result<ByteStream, SshError> {
        let channel = self.handle.channel_open_direct_streamlocal(path).await;
        self.dialled(channel).await
    }

    /// Connects to a port of the server's loopback (RFC 4254 section 7.2).
    ///
    /// # Errors
    /// [`Reason::NoSession`], [`Reason::Lost`].
    pub async fn dial_port(&self, port: u16) -> Result<ByteStream, SshError> {
        let to = forward::LOOPBACK;
        let channel = self.handle.channel_open_direct_tcpip(to, port.into(), to, 0).await;
        self.dialled(channel).await
    }

    async fn dialled(&self, channel: Result<Channel<Msg>, russh::Error>) -> Result<ByteStream, SshError> {
        let result = channel.map(|channel| ByteStream::new(channel, &self.shared, None));
        self.explained(result.map_err(|error| not_opened(&error))).await
    }

    /// Asks the server to listen at a unix socket of this path. What connects to it comes through `streams`; dropping the
    /// receiver refuses all further ones. One place is listened at at a time. Returns whether it does; why not is in its log.
    pub async fn listen_socket(&self, path: &str, streams: mpsc::Sender<ByteStream>) -> bool {
        self.listen(Place::Socket(path.to_owned()), streams).await.is_some()
    }

    /// The same at a port of its loopback, which every user of the server can reach. Returns the port.
    pub async fn listen_port(&self, streams: mpsc::Sender<ByteStream>) -> Option<u16> {
        match self.listen(Place::Port(None), streams).await? {
            Place::Port(port) => port,
            Place::Socket(_) => None,
        }
    }

    async fn listen(&self, place: Place, streams: mpsc::Sender<ByteStream>) -> Option<Place> {
        let (forward, grant) = Forward::new(place.clone(), streams);
        self.shared.set_forward(Some(forward));
        let granted = match &place {
            Place::Socket(path) => self.handle.streamlocal_forward(path).await.is_ok().then_some(place),
            Place::Port(_) => {
                let port = self.handle.tcpip_forward(forward::LOOPBACK, 0).await;
                port.ok().and_then(|port| Place::port(forward::LOOPBACK, port))
            }
        };
        if granted.is_none() {
            self.shared.set_forward(None);
        }
        grant.send_replace(granted.clone());
        granted
    }

    /// Ends [`Self::listen_socket`] or [`Self::listen_port`]; connections that there are stay. OpenSSH leaves the socket's file.
    pub async fn stop_listening(&self) {
        let Some(place) = self.shared.set_forward(None).and_then(|forward| forward.granted()) else { return };
        let result = match place {
            Place::Socket(path) => self.handle.cancel_streamlocal_forward(path).await,
            Place::Port(port) => {
                self.handle.cancel_tcpip_forward(forward::LOOPBACK, port.unwrap_or_default().into()).await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "the server goes on listening");
        }
    }

    /// Waits until the connection is gone, for whatever reason. May be called any number of times, also concurrently.
    pub async fn closed(&self) -> SshError {
        SshError::new(&self.server, lost(self.shared.ended().await))
    }

    /// Says goodbye and ends the connection.
    pub async fn close(self) {
        let goodbye = async {
            if self.handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
                self.shared.ended().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    async fn why_lost(&self) -> Reason {
        match tokio::time::timeout(GOODBYE, self.shared.ended()).await {
            Ok(End::NoMoreMethods) => Reason::Denied,
            Ok(end) => lost(end),
            Err(_) => Reason::Lost("unknown".to_owned()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // russh ends when the last sender is gone, and every stream of a channel is one.
        self.monitor.sever();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

fn lost(end: End) -> Reason {
    match end {
        End::NoMoreMethods => Reason::NoMethod,
        End::Broken(why) | End::Lost(why) => Reason::Lost(why),
    }
}

fn not_opened(error: &russh::Error) -> Reason {
    match error {
        russh::Error::ChannelOpenFailure(why) => Reason::NoSession(open_failure(why).to_owned()),
        _ => Reason::Lost(String::new()),
    }
}

/// The server's own text is not kept by russh.
fn open_failure(why: &ChannelOpenFailure) -> &'static str {
    match why {
        ChannelOpenFailure::AdministrativelyProhibited => "the server prohibits sessions",
        ChannelOpenFailure::ResourceShortage => "the server has no room for another session",
        _ => "the server cannot open a session",
    }
}

fn read_key(path: &Path) -> std::io::Result<zeroize::Zeroizing<String>> {
    use std::io::Read;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_KEY_FILE + 1));
    // A FIFO would never come to an end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    std::fs::File::open(path)?.take(MAX_KEY_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_KEY_FILE {
        return Err(std::io::Error::other("too large for a private key"));
    }
    Ok(text)
}
