//! An X server that somebody else started (xinit, Xephyr, Xvfb, a desktop).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;

use super::DisplayError;
use crate::x11::DisplayName;
use crate::xauth::{self, Cookie};

/// Least time between two connections.
const AGAIN: Duration = Duration::from_millis(500);

/// Its end is noticed on a connection that is held and never used. An X server drops clients that say nothing for a minute
/// (Xserver(1), `-to`), so the end of the connection is checked by making another one.
pub(super) struct Attached {
    socket: Option<(PathBuf, UnixStream)>,
}

impl Attached {
    /// Connects; also gives the addresses of a display that is reached over TCP, none for this machine's own.
    pub(super) async fn new(name: &DisplayName) -> Result<(Self, Vec<IpAddr>), DisplayError> {
        let no_server = |source| DisplayError::NoServer { name: name.to_string(), source };
        if let Some(path) = name.socket() {
            let stream = UnixStream::connect(&path).await.map_err(no_server)?;
            return Ok((Self { socket: Some((path, stream)) }, Vec::new()));
        }
        let addresses = tokio::net::lookup_host(name.address()).await.map_err(no_server)?;
        Ok((Self { socket: None }, addresses.map(|a| a.ip()).collect()))
    }

    #[cfg(test)]
    pub(super) fn for_test(path: PathBuf, stream: UnixStream) -> Self {
        Self { socket: Some((path, stream)) }
    }

    pub(super) async fn exited(&mut self) -> String {
        // Over TCP (another ssh, another machine) nothing is held: the session's own clients notice.
        let Some((path, stream)) = &mut self.socket else { return std::future::pending().await };
        loop {
            let since = tokio::time::Instant::now();
            wait_for_end(stream).await;
            // A server with too many clients closes at once: ask again, but not without pause.
            tokio::time::sleep_until(since + AGAIN).await;
            match UnixStream::connect(&path).await {
                Ok(again) => *stream = again,
                Err(error) => return format!("it no longer answers: {error}"),
            }
        }
    }
}

/// Waits until the other side has closed.
async fn wait_for_end(stream: &UnixStream) {
    let mut unexpected = [0; 64];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut unexpected) {
            Ok(0) => return,
            // An X server says nothing before the client does; whatever this is, it is not looked at.
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// The cookie for `name` in the authority file at `path`.
pub(super) fn cookie(path: &Path, name: &DisplayName, addresses: &[IpAddr]) -> Result<Option<Cookie>, DisplayError> {
    // libxcb takes loopback for local: that is how sshd's own displays (`localhost:10.0`) are entered.
    let hosts: Vec<Option<Vec<u8>>> = if name.host().is_none() {
        vec![None]
    } else {
        let of = |ip: &IpAddr| match ip {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) => Some(ip.octets().to_vec()),
        };
        addresses.iter().map(of).collect()
    };
    for host in hosts {
        if let Some(cookie) = xauth::find(xauth::read(path)?, host.as_deref(), name.number()) {
            return Ok(Some(cookie));
        }
    }
    Ok(None)
}
