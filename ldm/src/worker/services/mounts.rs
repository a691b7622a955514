//! The user's files for programs on this client: SFTP channels, each joined with a socket of the local session.

use std::path::PathBuf;

use ldm_protocol::{Failure, FailureKind};
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::Remote;

/// Serves what is asked for; ends every channel when it is dropped.
pub(super) async fn serve(remote: &Remote, mut wanted: mpsc::Receiver<PathBuf>, notices: mpsc::Sender<Failure>) {
    let mut joined = JoinSet::new();
    loop {
        tokio::select! {
            Some(socket) = wanted.recv() => {
                // Before the channel, so that the local session sees its end if there is none.
                let mut local = match UnixStream::connect(&socket).await {
                    Ok(local) => local,
                    Err(error) => {
                        tracing::error!(%error, socket = %socket.display(), "the local session's socket");
                        continue;
                    }
                };
                match remote.sftp().await {
                    Ok(mut channel) => {
                        joined.spawn(async move { copy_bidirectional(&mut local, &mut channel).await });
                    }
                    Err(failure) if failure.kind == FailureKind::NoHome => drop(notices.try_send(failure)),
                    // The connection itself has ended.
                    Err(_) => {}
                }
            }
            Some(ended) = joined.join_next() => tracing::debug!(?ended, "an SFTP channel has ended"),
            else => std::future::pending().await,
        }
    }
}
