//! `ldm sound-guard`: what programs of this client reach instead of the sound daemon itself.
//!
//! Runs as the worker's user, beside the daemon. They are started from a session and trusted no more than it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::{Endpoint, serve};
use crate::sys;

/// Programs at once; PulseAudio itself takes 64 clients.
const CLIENTS: usize = 64;

/// Listens at `listen`, in a directory that says who may come, until it is ended.
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
        let endpoint = Arc::clone(endpoint);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &endpoint).await {
                tracing::info!("{error}");
            }
            drop(place);
        });
    }
}
