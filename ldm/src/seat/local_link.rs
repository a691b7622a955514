//! The local session as the daemon sees it: a process, which speaks with the worker and not with us.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::local_session::{self, Orders};
use crate::sys::{self, Child};

/// It has this long to end its programs (3 s), to unmount and to remove its user.
const ENDS: Duration = Duration::from_secs(15);

/// A socket pair for the worker and the local session.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = Pair::pair()?;
    for end in [&ours, &theirs] {
        end.set_nonblocking(true)?;
    }
    Ok((ours.into(), theirs.into()))
}

/// A local session that has been started.
pub(super) struct Local(Child);

impl Local {
    /// Starts it; `worker` is its end of the socket pair. Why not, otherwise: the worker has been told, too.
    pub(super) fn start(orders: &Orders, worker: OwnedFd, log_level: u8) -> Result<Self, String> {
        let spare = worker.try_clone();
        match local_session::spawn(orders, worker).env("LDM_LOGLEVEL", log_level.to_string()).start() {
            Ok(child) => Ok(Self(child)),
            Err(error) => {
                let why = format!("{error}: {}", error.source);
                if let Ok(spare) = spare {
                    local_session::refuse(spare, &why);
                }
                Err(why)
            }
        }
    }

    /// Waits for its end, or has it end when `stopped` comes or is dropped; how it ended, if not as it should.
    pub(super) async fn serve(self, stopped: oneshot::Receiver<()>) -> Option<String> {
        let Self(mut child) = self;
        let status = tokio::select! {
            status = child.wait() => status,
            _ = stopped => child.terminate(ENDS).await,
        };
        if status.as_ref().is_ok_and(ExitStatus::success) {
            return None;
        }
        // Killed, it has left its programs to us.
        sys::end_strays().await;
        match status {
            // It has said why.
            Ok(status) if status.code().is_some() => None,
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}
