//! The session worker: the process that holds the SSH connection of one login.
//!
//! Started by the daemon through `/proc/self/exe` as user `ldm`, with one end of a socket pair; it obeys the [`protocol`] on
//! it and has nothing else. It parses what the network sends, and that is why it is a process of its own. It serves one login
//! attempt, and ends with it, or when the daemon does.

mod client;
mod fallback;
mod lines;
mod link;
pub mod protocol;
mod remote;
mod services;
mod session;
mod sound;

use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ldm_protocol::frame::encode;
use ldm_protocol::helper::Info;
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use link::{Events, Link};
use protocol::{Command, Connect, Event, Start};
pub use remote::Remote;
use services::Wanted;
pub use session::RemoteSession;
pub use sound::SoundLoop;

use crate::{localapps, sys};

/// Environment variable with the number of the descriptor that leads to the daemon.
pub const FD_VARIABLE: &str = "LDM_WORKER_FD";

/// Time for programs on this client to end: they have 3 s, and their files then have to be written.
const SERVICES_END: Duration = Duration::from_secs(6);

/// The worker's whole life. Logging is set up by the caller.
pub fn run() -> ExitCode {
    if let Err(error) = sys::harden() {
        tracing::warn!(%error, "core files and debuggers cannot be kept away");
    }
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        tracing::warn!(%error, "set-user-id programs cannot be kept away");
    }
    sys::private_umask();
    match inherited().and_then(|stream| Ok((stream, localapps::inherited()?, runtime()?))) {
        Ok((stream, local, runtime)) => {
            let result = runtime
                .block_on(async { UnixStream::from_std(stream).map(|stream| serve_stream(stream, local))?.await });
            // A channel that still holds a task must not hold the process.
            runtime.shutdown_background();
            match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            }
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> ExitCode {
    tracing::error!(%error, "the session worker is started by the daemon, with a socket in {FD_VARIABLE}");
    ExitCode::FAILURE
}

fn inherited() -> std::io::Result<StdUnixStream> {
    let number =
        std::env::var(FD_VARIABLE).ok().and_then(|n| n.parse().ok()).ok_or(std::io::ErrorKind::InvalidInput)?;
    let stream = StdUnixStream::from(sys::inherited_fd(number)?);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn serve_stream(stream: UnixStream, local_session: Option<StdUnixStream>) -> std::io::Result<()> {
    let (reader, writer) = stream.into_split();
    serve(reader, writer, local_session).await
}

/// Obeys the daemon until the login attempt is over or the daemon has gone.
async fn serve(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    local_session: Option<StdUnixStream>,
) -> std::io::Result<()> {
    let hangup = CancellationToken::new();
    let events = Events::new(writer);
    let mut link = Link::new(reader, events.clone(), hangup.clone());
    // In a task, so that a panic becomes an event.
    let attempt = tokio::spawn(async move {
        tokio::select! {
            // The daemon's end ends everything: what is dropped here closes the connection, and the server then ends the session.
            () = hangup.cancelled() => Over::Quietly,
            over = attempt(&mut link, local_session) => over,
        }
    });
    let over = attempt.await.unwrap_or_else(|error| {
        tracing::error!(%error, "defect");
        Failure::new(FailureKind::Internal).detail("The session worker stopped working.").into()
    });
    match over {
        Over::Quietly => Ok(()),
        Over::Ended(status) => events.send(&Event::Ended { status }).await,
        Over::Failed(failure) => {
            // One line: the daemon reads the log's own marks at the start of each, and the server's words may hold any.
            let text = text::sanitise_line(&failure.to_string(), limits::PROMPT);
            tracing::info!("the login attempt failed: {text}");
            events.send(&Event::Failed(failure)).await
        }
    }
}

/// How an attempt is over.
enum Over {
    Quietly,
    Ended(i32),
    Failed(Failure),
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One login attempt from `Connect` to the session's end.
async fn attempt<W: AsyncWrite + Send + Unpin>(link: &mut Link<W>, local_session: Option<StdUnixStream>) -> Over {
    match try_attempt(link, local_session).await {
        Ok(over) | Err(over) => over,
    }
}

async fn try_attempt<W: AsyncWrite + Send + Unpin>(
    link: &mut Link<W>,
    local_session: Option<StdUnixStream>,
) -> Result<Over, Over> {
    let to = match link.command().await {
        Some(Command::Connect(to)) => to,
        Some(_) => return Err(disorder()),
        None => return Err(Over::Quietly),
    };
    let remote = Remote::connect(&to).await?;
    let transport = Box::new(remote.transport());
    tell(link, &Event::Connected { server: remote.server().to_owned(), transport }).await?;

    let (mut remote, username, key) = wait_for_login(link, &to, remote).await?;
    remote.authenticate(&username, key.as_deref(), link).await.ok_or(Over::Quietly)??;
    tell(link, &Event::Authenticated).await?;

    let start = wait_for_start(link, &to, &mut remote).await?;
    let services = Wanted::new(&start, local_session);
    let session = tokio::select! {
        session = remote.start(*start) => session?,
        command = link.command() => return Err(match command {
            Some(Command::Stop) => Over::Ended(session::STOPPED),
            Some(_) => disorder(),
            None => Over::Quietly,
        }),
    };
    tell(link, &Event::Started { user: session.user().cloned().map(Box::new) }).await?;
    for notice in session.notices() {
        tell(link, &Event::Notice(notice.clone())).await?;
    }

    let status = in_session(link, &remote, session, services).await?;
    remote.close().await;
    Ok(Over::Ended(status))
}

/// The session until its end, with what goes with it; gives its status.
async fn in_session<W: AsyncWrite + Send + Unpin>(
    link: &mut Link<W>,
    remote: &Remote,
    mut session: RemoteSession,
    services: Wanted,
) -> Result<i32, Over> {
    let ending = CancellationToken::new();
    let directory = session.directory().map(str::to_owned);
    let mut services = Box::pin(services.run(remote, directory.as_deref(), link.events(), ending.clone()));
    let result = tokio::select! {
        result = session.ended() => Some(result),
        command = link.command() => match command {
            Some(Command::Stop) => None,
            Some(_) => return Err(disorder()),
            None => return Err(Over::Quietly),
        },
        () = &mut services => return Err(disorder()),
    };
    // Local programs may still save files to the server while they are being ended.
    ending.cancel();
    let services = tokio::time::timeout(SERVICES_END, services);
    match result {
        Some(Err(failure)) if failure.kind == FailureKind::LinkLost => Err(failure.into()),
        Some(Err(failure)) if failure.kind == FailureKind::SessionLost => {
            // With its windows most of it goes.
            drop(session);
            let _ = tokio::join!(remote.tidy(), services);
            Err(failure.into())
        }
        Some(result) => {
            let _ = services.await;
            Ok(result?)
        }
        None => Ok(tokio::join!(session.end(), services).0?),
    }
}

/// The server closes a connection on which nobody logs in (`LoginGraceTime`); then there is a new one when somebody does.
async fn wait_for_login<W: AsyncWrite + Send + Unpin>(
    link: &mut Link<W>,
    to: &Connect,
    remote: Remote,
) -> Result<(Remote, String, Option<PathBuf>), Over> {
    let mut remote = Some(remote);
    loop {
        let closed = async {
            match &remote {
                Some(remote) => remote.closed().await,
                None => std::future::pending().await,
            }
        };
        let command = tokio::select! {
            biased;
            failure = closed => {
                tracing::debug!(%failure, "the server did not wait for the user");
                remote = None;
                continue;
            }
            command = link.command() => command,
        };
        return match command {
            Some(Command::Login { username, key }) => match remote {
                Some(remote) => Ok((remote, username, key)),
                None => Ok((Remote::connect(to).await?, username, key)),
            },
            Some(Command::Stop) | None => Err(Over::Quietly),
            Some(_) => Err(disorder()),
        };
    }
}

/// Lists the sessions, if they are wanted, while the user may already have chosen.
async fn wait_for_start<W: AsyncWrite + Send + Unpin>(
    link: &mut Link<W>,
    to: &Connect,
    remote: &mut Remote,
) -> Result<Box<Start>, Over> {
    let chosen = |command| match command {
        Some(Command::Start(start)) => Ok(start),
        Some(Command::Stop) | None => Err(Over::Quietly),
        Some(_) => Err(disorder()),
    };
    if to.want_info {
        let info = tokio::select! {
            info = remote.info(to.locale.as_deref()) => info?,
            command = link.command() => return chosen(command),
        };
        tell(link, &sessions(info)).await?;
        if to.checked {
            let command = tokio::select! {
                failure = remote.closed() => return Err(failure.into()),
                command = link.command() => command,
            };
            let Some(Command::Allowed) = command else { return chosen(command) };
        }
        // Not given up for a quick choice: that would leave a channel open on the server and need another.
        remote.get_ready().await;
    }
    loop {
        let command = tokio::select! {
            failure = remote.closed() => return Err(failure.into()),
            command = link.command() => command,
        };
        let Some(Command::Look) = command else { return chosen(command) };
        let others = tokio::select! {
            others = remote.elsewhere() => others?,
            command = link.command() => return chosen(command),
        };
        tell(link, &Event::Elsewhere(others)).await?;
        // It used the channel that was meant for the session.
        remote.get_ready().await;
    }
}

/// The event of these sessions. What goes first where it does not fit a frame is what is missed least; of the user there is all or
/// nothing, because who is in half of their groups may be kept out by the other half.
fn sessions(info: Info) -> Event {
    let mut info = Box::new(info);
    let cuts: [fn(&mut Info); 4] = [
        |info| info.sessions.iter_mut().for_each(|session| session.comment = None),
        |info| info.languages.clear(),
        |info| info.xsession = None,
        |info| info.user = None,
    ];
    for cut in cuts {
        let event = Event::Sessions(info);
        if encode(&event).is_ok() {
            return event;
        }
        let Event::Sessions(whole) = event else { return event };
        info = whole;
        cut(&mut info);
    }
    Event::Sessions(info)
}

/// Tells the daemon; if that fails, it is gone.
async fn tell<W: AsyncWrite + Send + Unpin>(link: &Link<W>, event: &Event) -> Result<(), Over> {
    link.send(event).await.map_err(|error| {
        tracing::error!(%error, "the daemon cannot be told");
        Over::Quietly
    })
}

fn disorder() -> Over {
    Failure::new(FailureKind::Internal).detail("A command came out of order.").into()
}

#[cfg(test)]
mod tests;
