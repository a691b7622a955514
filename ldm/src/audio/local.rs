//! `ldm sound-guard`: what programs of this client reach instead of the sound daemon itself.
//!
//! Runs as the worker's user, beside the daemon. They are started from a session and trusted no more than it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{Endpoint, daemon, serve};
use crate::sys;

/// Programs at once; PulseAudio itself takes 64 clients.
const CLIENTS: usize = 64;

/// Listens at `listen` until it is ended. Its directory says who may come, and the file beside that who of them may enter.
pub fn run(daemon: PathBuf, listen: &Path, microphone: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let endpoint = Arc::new(Endpoint { socket: daemon, microphone, cookie: None });
    match runtime.and_then(|runtime| runtime.block_on(accept(listen, &endpoint))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(socket = %listen.display(), %error, "local programs have no sound");
            ExitCode::FAILURE
        }
    }
}

async fn accept(listen: &Path, endpoint: &Arc<Endpoint>) -> io::Result<()> {
    // Of one that was killed: the directory is ours alone.
    std::fs::remove_file(listen).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    let listener = UnixListener::bind(listen)?;
    sys::set_mode(listen, 0o666)?;
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let (stream, _) = listener.accept().await?;
        if !may_enter(&stream, listen) {
            continue;
        }
        let endpoint = Arc::clone(endpoint);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &endpoint).await {
                tracing::info!("{error}");
            }
            drop(place);
        });
    }
}

/// Root may, who can do anything to the daemon anyway, and the user of the local session.
fn may_enter(stream: &UnixStream, listen: &Path) -> bool {
    let Ok(uid) = stream.peer_cred().map(|peer| peer.uid()) else { return false };
    let user = daemon::local_user(listen).and_then(|path| std::fs::read_to_string(path).ok());
    let may = uid == 0 || user.is_some_and(|user| user == uid.to_string());
    if !may {
        tracing::info!(uid, "another user of this client wanted to have the session's sound");
    }
    may
}
