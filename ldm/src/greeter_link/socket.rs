//! The listening socket and the frames on it.

use std::io;
use std::path::Path;
use std::time::Duration;

use ldm_protocol::frame::{self, Decoder};
use ldm_protocol::greetd::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::sys::{self, Account};

/// A greeter that does not take an answer for this long has hung.
const WRITE: Duration = Duration::from_secs(5);
/// After a broken connection the next one waits this long, so that a broken greeter cannot keep us busy.
const COOL_DOWN: Duration = Duration::from_millis(200);

/// Requests that may wait for their answers: one, the cancellation of that one, and room to spare for greeters that are sloppy
/// with what is answered at once.
const UNANSWERED: usize = 8;

/// What comes from the greeter. Connections are numbered.
#[derive(Debug)]
pub enum FromGreeter {
    /// A request on this connection.
    Request(u64, Request),
    /// The connection was closed between two messages, or the greeter died.
    Closed,
    /// The connection was closed by us, because of this.
    Broken(String),
}

/// What is to be done with the connection.
#[derive(Debug)]
pub enum ToGreeter {
    /// Answer on this connection; nothing happens if it is another one by now.
    Reply(u64, Response),
    /// Close it.
    Close,
}

/// The socket cannot be made. Nothing can be done without it; see the cause.
#[derive(Debug, thiserror::Error)]
#[error("the greeter's socket {path} cannot be made")]
pub struct LinkError {
    path: std::path::PathBuf,
    source: io::Error,
}

/// The listening socket, and what serves it.
pub struct Link {
    listener: UnixListener,
    /// Who may connect besides root.
    uid: u32,
}

impl Link {
    /// Listens at `path`, for `account` alone.
    pub fn listen(path: &Path, account: &Account) -> Result<Self, LinkError> {
        let failed = |source| LinkError { path: path.to_owned(), source };
        let listener = UnixListener::bind(path).map_err(failed)?;
        sys::set_mode(path, 0o600).map_err(failed)?;
        sys::give_to(path, account).map_err(failed)?;
        Ok(Self { listener, uid: account.uid })
    }

    /// Serves one connection after the other, until `commands` ends.
    pub async fn serve(self, events: Sender<FromGreeter>, mut commands: Receiver<ToGreeter>) {
        let mut number = 0;
        loop {
            // Commands first: those that wait are about a connection that is gone, and must not meet the next one.
            let stream = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(_) => continue,
                    None => return,
                },
                accepted = self.listener.accept() => accepted.map(|(stream, _)| stream),
            };
            let stream = match stream.and_then(|stream| self.admit(stream)) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the greeter's socket was refused");
                    tokio::time::sleep(COOL_DOWN).await;
                    continue;
                }
            };
            number += 1;
            let event = match serve(number, stream, &events, &mut commands).await {
                End::Closed => FromGreeter::Closed,
                End::Broken(why) => FromGreeter::Broken(why),
                End::AllOver => return,
            };
            let broken = matches!(event, FromGreeter::Broken(_));
            if events.send(event).await.is_err() {
                return;
            }
            if broken {
                tokio::time::sleep(COOL_DOWN).await;
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<UnixStream> {
        let uid = stream.peer_cred()?.uid();
        if uid == self.uid || uid == 0 {
            return Ok(stream);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("user id {uid} is not the greeter's")))
    }
}

enum End {
    Closed,
    Broken(String),
    AllOver,
}

async fn serve(
    number: u64,
    mut stream: UnixStream,
    events: &Sender<FromGreeter>,
    commands: &mut Receiver<ToGreeter>,
) -> End {
    let mut decoder = Decoder::new();
    let mut buffer = zeroize::Zeroizing::new([0; 4096]);
    let mut unanswered: usize = 0;
    loop {
        tokio::select! {
            read = stream.read(buffer.as_mut()) => {
                match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(n) => decoder.push(buffer.get(..n).unwrap_or_default()),
                }
                loop {
                    match decoder.next_message::<Request>() {
                        Ok(None) => break,
                        // Its answers would pile up faster than they are sent.
                        Ok(Some(_)) if unanswered == UNANSWERED => {
                            return End::Broken("too many requests at once".to_owned());
                        }
                        Ok(Some(request)) => {
                            unanswered += 1;
                            if events.send(FromGreeter::Request(number, request)).await.is_err() {
                                return End::AllOver;
                            }
                        }
                        Err(error) => return End::Broken(error.to_string()),
                    }
                }
            }
            command = commands.recv() => match command {
                Some(ToGreeter::Reply(to, response)) if to == number => {
                    unanswered = unanswered.saturating_sub(1);
                    let bytes = match frame::encode(&response) {
                        Ok(bytes) => bytes,
                        Err(error) => return End::Broken(format!("an answer does not fit: {error}")),
                    };
                    match tokio::time::timeout(WRITE, stream.write_all(&bytes)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return End::Closed,
                        Err(_) => return End::Broken("it does not read its answers".to_owned()),
                    }
                }
                Some(ToGreeter::Reply(..)) => {}
                Some(ToGreeter::Close) => return End::Closed,
                None => return End::AllOver,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream as Client;

    use tokio::sync::mpsc;

    use super::*;

    fn info(text: &str) -> Response {
        let auth_message_type = ldm_protocol::greetd::AuthMessageType::Info;
        Response::AuthMessage { auth_message_type, auth_message: text.to_owned(), server: None }
    }

    struct Served {
        path: std::path::PathBuf,
        events: mpsc::Receiver<FromGreeter>,
        commands: mpsc::Sender<ToGreeter>,
        _directory: tempfile::TempDir,
    }

    fn served() -> Served {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let link = Link::listen(&path, &Account::current().unwrap()).unwrap();
        let (to_us, events) = mpsc::channel(4);
        let (commands, from_us) = mpsc::channel(64);
        tokio::spawn(link.serve(to_us, from_us));
        Served { path, events, commands, _directory: directory }
    }

    impl Served {
        async fn event(&mut self) -> FromGreeter {
            tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await.unwrap().unwrap()
        }
    }

    #[tokio::test]
    async fn answers_go_to_the_connection_that_asked() {
        let mut served = served();
        let mut first = Client::connect(&served.path).unwrap();
        frame::write(&mut first, &Request::CancelSession).unwrap();
        assert!(matches!(served.event().await, FromGreeter::Request(1, Request::CancelSession)));
        drop(first);
        assert!(matches!(served.event().await, FromGreeter::Closed));
        let mut second = Client::connect(&served.path).unwrap();
        frame::write(&mut second, &Request::LdmPrepare).unwrap();
        assert!(matches!(served.event().await, FromGreeter::Request(2, Request::LdmPrepare)));
        for (to, text) in [(1, "first"), (2, "second")] {
            let response = info(text);
            served.commands.send(ToGreeter::Reply(to, response)).await.unwrap();
        }
        let answer = tokio::task::spawn_blocking(move || frame::read::<Response>(&mut second)).await.unwrap();
        let answer = answer.unwrap().unwrap();
        assert!(matches!(answer, Response::AuthMessage { auth_message, .. } if auth_message == "second"));
    }

    #[tokio::test]
    async fn garbage_ends_the_connection_and_no_more() {
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\x00\x00\x00{}", b"\x01\x00\x00\x00\xff"] {
            let mut served = served();
            let mut client = Client::connect(&served.path).unwrap();
            client.write_all(bytes).unwrap();
            assert!(matches!(served.event().await, FromGreeter::Broken(_)), "{bytes:?}");
            let mut next = Client::connect(&served.path).unwrap();
            frame::write(&mut next, &Request::CancelSession).unwrap();
            assert!(matches!(served.event().await, FromGreeter::Request(2, _)));
        }
    }

    #[tokio::test]
    async fn closing_the_old_connection_spares_the_next() {
        for _ in 0..20 {
            let mut served = served();
            let mut old = Client::connect(&served.path).unwrap();
            old.write_all(b"\xff\xff\xff\xff").unwrap();
            assert!(matches!(served.event().await, FromGreeter::Broken(_)));
            // Both wait until the socket is served again.
            served.commands.send(ToGreeter::Close).await.unwrap();
            let mut next = Client::connect(&served.path).unwrap();
            frame::write(&mut next, &Request::CancelSession).unwrap();
            tokio::time::pause();
            let event = served.event().await;
            assert!(matches!(event, FromGreeter::Request(2, _)), "{event:?}");
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn requests_that_pile_up_end_the_connection() {
        let mut served = served();
        let mut client = Client::connect(&served.path).unwrap();
        for _ in 0..=UNANSWERED {
            frame::write(&mut client, &Request::LdmPrepare).unwrap();
        }
        for _ in 0..UNANSWERED {
            assert!(matches!(served.event().await, FromGreeter::Request(1, _)));
        }
        let FromGreeter::Broken(why) = served.event().await else { panic!() };
        assert_eq!(why, "too many requests at once");
        // Answered ones do not count, however many they are.
        let mut next = Client::connect(&served.path).unwrap();
        for _ in 0..3 * UNANSWERED {
            frame::write(&mut next, &Request::LdmPrepare).unwrap();
            assert!(matches!(served.event().await, FromGreeter::Request(2, _)));
            served.commands.send(ToGreeter::Reply(2, Response::Success)).await.unwrap();
            let mut stream = next.try_clone().unwrap();
            let answer = tokio::task::spawn_blocking(move || frame::read::<Response>(&mut stream)).await.unwrap();
            assert!(matches!(answer.unwrap().unwrap(), Response::Success));
        }
    }

    #[tokio::test]
    async fn a_greeter_that_does_not_read_is_cut_off() {
        let mut served = served();
        let mut client = Client::connect(&served.path).unwrap();
        frame::write(&mut client, &Request::CancelSession).unwrap();
        assert!(matches!(served.event().await, FromGreeter::Request(1, _)));
        // More than a socket holds; the reader end is never read.
        tokio::time::pause();
        let text = "x".repeat(60_000);
        for _ in 0..16 {
            let response = info(&text);
            served.commands.send(ToGreeter::Reply(1, response)).await.unwrap();
        }
        let FromGreeter::Broken(why) = served.event().await else { panic!() };
        assert_eq!(why, "it does not read its answers");
        drop(client);
    }
}
