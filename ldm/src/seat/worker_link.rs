//! The session worker as the daemon sees it: a process, and a socket pair with frames on it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::time::Duration;

use ldm_protocol::frame::{self, Decoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender};

use super::Event;
use super::run::Input;
use crate::sys::{Account, Child, Spawn, SpawnError, X_FORWARDER};
use crate::worker::protocol::{self, Command};

/// The worker's end of the socket pair.
const WORKER_FD: i32 = 3;
/// Its end of the one to the local session.
const WORKER_LOCAL_FD: i32 = 4;
/// After its socket is closed a worker has this long to end its connection.
const ENDS: Duration = Duration::from_secs(2);
/// After SIGTERM this long.
const GRACE: Duration = Duration::from_secs(1);
/// A worker that does not take a command for this long has hung.
const WRITE: Duration = Duration::from_secs(5);

/// No worker could be started. The cause says whether it is the system or the configured user.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{0}: {source}", source = .0.source)]
    Spawn(#[from] SpawnError),
    #[error("no socket pair: {0}")]
    Socket(#[from] io::Error),
}

/// A worker that has been started.
pub(super) struct Worker {
    id: u64,
    child: Child,
    stream: UnixStream,
}

impl Worker {
    /// Starts it; `local` is its end of the socket pair to the local session.
    pub(super) fn start(id: u64, account: &Account, log_level: u8, local: Option<OwnedFd>) -> Result<Self, StartError> {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut spawn = Spawn::this_program()
            .seen_as(X_FORWARDER)
            .arg("worker")
            .fd(WORKER_FD, theirs.into())
            .env("LDM_WORKER_FD", WORKER_FD.to_string())
            .env("LDM_LOGLEVEL", log_level.to_string())
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &account.home)
            .account(account)
            .umask(0o077)
            .die_with_us();
        if let Some(local) = local {
            spawn = spawn.fd(WORKER_LOCAL_FD, local).env("LDM_WORKER_LOCAL_FD", WORKER_LOCAL_FD.to_string());
        }
        let child = spawn.start()?;
        Ok(Self { id, child, stream: UnixStream::from_std(ours)? })
    }

    /// Relays both ways until either side ends, and then sees the process off.
    pub(super) async fn serve(mut self, events: Sender<Input>, mut commands: Receiver<Command>) {
        let why = self.relay(&events, &mut commands).await;
        // Told before the process has ended: nobody has to wait for that.
        let _ = events.send(Input::Seat(Event::WorkerExited(self.id))).await;
        let Self { mut child, stream, .. } = self;
        drop(stream);
        let status = match tokio::time::timeout(ENDS, child.wait()).await {
            Ok(status) => status,
            Err(_) => child.terminate(GRACE).await,
        };
        match status {
            Ok(status) if status.success() => tracing::debug!(pid = child.pid(), why, "the session worker has ended"),
            Ok(status) => tracing::warn!(pid = child.pid(), why, %status, "the session worker has ended"),
            Err(error) => tracing::error!(pid = child.pid(), %error, "the session worker cannot be waited for"),
        }
    }

    async fn relay(&mut self, events: &Sender<Input>, commands: &mut Receiver<Command>) -> &'static str {
        let mut decoder = Decoder::new();
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    match read {
                        Ok(0) | Err(_) => return "it closed the connection",
                        Ok(n) => decoder.push(buffer.get(..n).unwrap_or_default()),
                    }
                    loop {
                        match decoder.next_message::<protocol::Event>() {
                            Ok(None) => break,
                            Ok(Some(event)) => {
                                if events.send(Input::Seat(Event::Worker(self.id, event))).await.is_err() {
                                    return "the seat has ended";
                                }
                            }
                            Err(error) => {
                                tracing::error!(%error, "the session worker broke the protocol");
                                return "it broke the protocol";
                            }
                        }
                    }
                }
                command = commands.recv() => {
                    let Some(command) = command else { return "it was let go of" };
                    let bytes = match frame::encode(&command) {
                        Ok(bytes) => bytes,
                        Err(error) => {
                            tracing::error!(%error, "a command to the session worker does not fit");
                            return "a command did not fit";
                        }
                    };
                    match tokio::time::timeout(WRITE, self.stream.write_all(&bytes)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return "it closed the connection",
                        Err(_) => return "it does not read its commands",
                    }
                }
            }
        }
    }
}
