//! One forwarded client, joined with the daemon.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::Endpoint;
use super::guard::{self, Replies, Requests, Violation};

/// A client introduces itself at once; who does not holds a channel for nothing.
const AUTH_TIME: Duration = Duration::from_secs(30);
/// How long a daemon may be away: it is being started, or again after it died.
const DAEMON_TIME: Duration = Duration::from_secs(5);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(100);
/// What is read at once: a few of the 64 KiB in which clients send sound.
const SIZE: usize = 128 * 1024;
/// Answers that wait for their place between the daemon's frames; a client that does not read them is not read either.
const ANSWERS: usize = 16;

/// Serves one client until either side ends it. The error says what to log; it concerns this one client.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(stream: S, endpoint: &Endpoint) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let mut client = Client {
        requests: Requests::new(endpoint.microphone, endpoint.cookie.clone()),
        buffer: vec![0; SIZE].into(),
        onward: Vec::new(),
        back: Vec::new(),
        told: false,
    };
    // The daemon is not bothered before it is clear who is there.
    let introduced = async {
        while client.onward.is_empty() {
            if !client.read(&mut from_client).await? {
                return Ok(false);
            }
        }
        Ok::<_, io::Error>(true)
    };
    match tokio::time::timeout(AUTH_TIME, introduced).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return Ok(()),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "a sound client said nothing")),
    }
    let (mut from_daemon, mut to_daemon) = connect(&endpoint.socket).await?.into_split();
    let (answer, answers) = mpsc::channel(ANSWERS);
    // Held while something is written to the client. Who does not read gets no more questions through: daemons keep answers
    // without end. It is fair, so that recording and playing take turns on a slow network.
    let turn = Mutex::new(());
    let requests = async {
        loop {
            to_daemon.write_all(&client.onward).await?;
            if !client.back.is_empty() && answer.send(std::mem::take(&mut client.back)).await.is_err() {
                return Ok(());
            }
            drop(turn.lock().await);
            if !client.read(&mut from_client).await? {
                // The daemon may have something left to say.
                return to_daemon.shutdown().await;
            }
        }
    };
    let replies = replies(&mut from_daemon, &mut to_client, answers, &turn);
    tokio::pin!(requests, replies);
    tokio::select! {
        result = &mut replies => result,
        result = &mut requests => match result {
            // What the client may have asked for before is not to be done on behalf of one that does not keep the rules.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error),
            _ => replies.await,
        },
    }
}

/// Connects to the daemon, which may be on its way.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + DAEMON_TIME;
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if is_away(&error) && Instant::now() < until => tokio::time::sleep(RETRY).await,
            Err(error) => {
                let text = format!("the sound daemon at {} cannot be reached: {error}", socket.display());
                return Err(io::Error::new(error.kind(), text));
            }
            Ok(stream) => {
                // PulseAudio knows us by our uid, which the kernel attaches to what we send: without this only if the daemon
                // has asked for it by then, which it does a moment after it has taken the connection.
                nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::PassCred, &true)?;
                return Ok(stream);
            }
        }
    }
}

fn is_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock)
}

struct Client {
    requests: Requests,
    buffer: Box<[u8]>,
    /// For the daemon.
    onward: Vec<u8>,
    /// For the client itself.
    back: Vec<u8>,
    /// Whether a refusal has been logged: one is enough to see who asks for what.
    told: bool,
}

impl Client {
    /// Reads once, and replaces `onward`; `false` at the end.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        let read = from.read(&mut self.buffer).await?;
        self.onward.clear();
        let input = self.buffer.get(..read).unwrap_or_default();
        let told = &mut self.told;
        let refused = |command| {
            if !std::mem::replace(told, true) {
                tracing::info!("a sound client was refused {}", guard::name(command));
            }
        };
        self.requests.push(input, &mut self.onward, &mut self.back, refused).map_err(|why| closed("client", why))?;
        Ok(read > 0)
    }
}

fn closed(who: &str, why: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a sound {who} was cut off: {why}"))
}

/// The daemon's frames, with our answers between them.
async fn replies(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut answers: mpsc::Receiver<Vec<u8>>,
    turn: &Mutex<()>,
) -> io::Result<()> {
    let mut frames = Replies::default();
    let mut buffer = vec![0; SIZE];
    let mut out = Vec::new();
    loop {
        let read = tokio::select! {
            Some(answer) = answers.recv(), if frames.between_frames() => {
                let _turn = turn.lock().await;
                to.write_all(&answer).await?;
                // Also what lies between us and the network: the client waits for it.
                to.flush().await?;
                continue;
            }
            read = from.read(&mut buffer) => read?,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let mut input = buffer.get(..read).unwrap_or_default();
        out.clear();
        while !input.is_empty() {
            let taken = frames.advance(input).map_err(|why| closed("daemon", why))?;
            let (now, later) = input.split_at(taken.min(input.len()));
            out.extend_from_slice(now);
            input = later;
            if frames.between_frames()
                && let Ok(answer) = answers.try_recv()
            {
                out.extend_from_slice(&answer);
            }
        }
        let _turn = turn.lock().await;
        to.write_all(&out).await?;
    }
}

#[cfg(test)]
mod tests;
