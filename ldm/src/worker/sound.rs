//! The session's sound: where the server listens for it, and what serves the connections that come.
//!
//! The server is asked before the session is started, together with something else that is waited for anyway, so that sound
//! costs a login no round trip.

use std::sync::Arc;

use ldm_protocol::helper::{self, is_plain_path};
use ldm_protocol::{Failure, FailureKind};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::protocol::Sound;
use super::session::serve_each;
use crate::audio::{self, Endpoint, SoundCookie};
use crate::ssh::{self, ByteStream, Connection};

/// Connections that wait to be served.
const QUEUE: usize = 16;

/// Where sockets are made for users without a directory of their own. They are made with mode 0600 (`StreamLocalBindMask`).
const SHARED: &str = "/tmp";

/// A place on the server that is listened at for one session's sound. What connects before the session runs waits.
#[derive(Debug)]
pub(super) struct Listening {
    place: Place,
    streams: mpsc::Receiver<ByteStream>,
}

#[derive(Debug)]
enum Place {
    Socket(String),
    Port(u16, SoundCookie),
}

impl Listening {
    /// Asks the server for a socket in `directory`, and for a port of its loopback where it forwards no sockets.
    ///
    /// # Errors
    /// [`FailureKind::NoSound`] where it does neither.
    pub(super) async fn ask(connection: &Connection, directory: Option<&str>) -> Result<Self, Failure> {
        let no_sound = |why: &str| {
            tracing::warn!(server = connection.server(), "no sound: {why}");
            Failure::new(FailureKind::NoSound).server(connection.server()).detail(why)
        };
        let path = socket_path(directory).map_err(|error| no_sound(&error.to_string()))?;
        let (sender, streams) = mpsc::channel(QUEUE);
        if connection.listen_socket(&path, sender.clone()).await {
            return Ok(Self { place: Place::Socket(path), streams });
        }
        tracing::info!(path, "the server listens at no socket of ours (AllowStreamLocalForwarding); asking for a port");
        let cookie = SoundCookie::generate().map_err(|error| no_sound(&error.to_string()))?;
        match connection.listen_port(sender).await {
            Some(port) => Ok(Self { place: Place::Port(port, cookie), streams }),
            None => Err(no_sound(
                "The server's sshd forwards neither sockets nor ports: its sshd_config needs AllowStreamLocalForwarding yes, \
                 and no DisableForwarding yes.",
            )),
        }
    }

    /// What the server's helper is told.
    pub(super) fn request(&self) -> helper::Sound {
        match &self.place {
            Place::Socket(path) => helper::Sound::Socket { path: path.clone() },
            Place::Port(port, cookie) => helper::Sound::Port { port: *port, cookie: (*cookie.to_hex()).clone() },
        }
    }

    /// Serves what connects, until that is dropped.
    pub(super) fn serve(self, sound: &Sound) -> AbortOnDropHandle<()> {
        let cookie = match self.place {
            Place::Socket(_) => None,
            Place::Port(_, cookie) => Some(cookie),
        };
        let endpoint = Endpoint { socket: sound.socket.clone(), microphone: sound.microphone, cookie };
        let endpoint = Arc::new(endpoint);
        AbortOnDropHandle::new(tokio::spawn(serve_each(self.streams, move |stream| {
            let endpoint = Arc::clone(&endpoint);
            async move {
                if let Err(error) = audio::serve(stream, &endpoint).await {
                    tracing::info!("a connection for sound: {error}");
                }
            }
        })))
    }
}

/// Sound that goes to the server and comes back, with no session in between: what `ldm sound-test` measures.
#[derive(Debug)]
pub struct SoundLoop {
    place: helper::Sound,
    /// What clients must show, if anything.
    pub cookie: Option<SoundCookie>,
    _serving: AbortOnDropHandle<()>,
}

impl SoundLoop {
    pub(super) async fn begin(
        connection: &Connection,
        directory: Option<&str>,
        sound: &Sound,
    ) -> Result<Self, Failure> {
        let listening = Listening::ask(connection, directory).await?;
        let place = listening.request();
        let cookie = match &listening.place {
            Place::Socket(_) => None,
            Place::Port(_, cookie) => Some(cookie.clone()),
        };
        Ok(Self { place, cookie, _serving: listening.serve(sound) })
    }

    /// Connects to it on the server, as a session's program does.
    pub(super) async fn dial(&self, connection: &Connection) -> Result<ByteStream, ssh::SshError> {
        match &self.place {
            helper::Sound::Socket { path } => connection.dial_socket(path).await,
            helper::Sound::Port { port, .. } => connection.dial_port(*port).await,
        }
    }

    /// What is left on the server: sshd does not remove its sockets.
    pub(super) fn leftover(&self) -> Option<&str> {
        match &self.place {
            helper::Sound::Socket { path } => Some(path),
            helper::Sound::Port { .. } => None,
        }
    }
}

/// A fresh name: sshd binds over nothing that is there, and names tell nobody anything.
fn socket_path(directory: Option<&str>) -> Result<String, getrandom::Error> {
    let random = (getrandom::u64()?, getrandom::u64()?);
    let path = |directory: &str| format!("{directory}/ldm-{:016x}{:016x}.sound", random.0, random.1);
    let own = directory.map(|directory| path(directory.trim_end_matches('/')));
    Ok(own.filter(|path| is_plain_path(path)).unwrap_or_else(|| path(SHARED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_a_fresh_and_plain_path() {
        let path = socket_path(Some("/run/user/1000/")).unwrap();
        assert!(path.starts_with("/run/user/1000/ldm-") && path.contains(".sound") && is_plain_path(&path), "{path}");
        assert_ne!(path, socket_path(Some("/run/user/1000")).unwrap());
        for odd in [None, Some("/run/$(x)"), Some("run"), Some(&*format!("/{}", "x".repeat(60)))] {
            assert!(socket_path(odd).unwrap().starts_with("/tmp/ldm-"), "{odd:?}");
        }
    }
}
