//! The session: a command on the server whose windows come here.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ldm_protocol::helper::{
    self, DirectDisplay, Refusal, SessionEvent, SessionRequest, UserRecord, VERSION, is_plain_path, to_argument,
};
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use zeroize::{Zeroize, Zeroizing};

use super::lines::Lines;
use super::protocol::Start;
use super::remote::told;
use super::{client, fallback};
use crate::ssh::{ByteStream, Connection, ExitStatus, Outcome, Stdin, Stdout, X11Request};
use crate::x11::{DisplayName, Forward, ForwardError};
use crate::xauth::Cookie;

/// What is run on the server.
const SESSION: &str = "ldm-server-helper session";

/// Time for the session's command to be started: a home on a busy file server takes long.
const START_TIME: Duration = Duration::from_mins(1);

/// Time for programs to end when they are asked to, with their windows still there.
const KIND_TIME: Duration = Duration::from_secs(1);

/// Time for the server to end every process of the session: it gives them 3 s itself.
const STOP_TIME: Duration = Duration::from_secs(8);

/// Status of a session that was ended from here and told none: 128 + SIGTERM.
pub(super) const STOPPED: i32 = 143;

/// A request is shorter by far.
const LINE: usize = 16 * 1024;

/// Accepted X clients that wait to be served.
const QUEUE: usize = 16;

/// A session that runs. Dropping it ends it, as soon as the server notices.
pub struct RemoteSession {
    /// Open for as long as the session may live.
    stdin: Option<Stdin>,
    events: Events,
    outcome: Outcome,
    server: String,
    /// Serves the session's X clients.
    clients: Option<JoinHandle<()>>,
    /// Serves the connections of its sound.
    sound: Option<AbortOnDropHandle<()>>,
    user: Option<UserRecord>,
    directory: Option<String>,
    notices: Vec<Failure>,
}

/// What the two programs that start sessions say.
struct Events {
    lines: Lines<Stdout>,
    fallback: Option<fallback::Events>,
}

impl Events {
    /// The next event; `None` when there will be no more. May be dropped at any await.
    async fn next(&mut self) -> Option<SessionEvent> {
        while let Ok(Some(line)) = self.lines.next().await {
            let event = match &mut self.fallback {
                Some(fallback) => fallback.push(&line),
                None => serde_json::from_slice(&line).ok(),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

impl RemoteSession {
    /// `None`: there is no helper.
    pub(super) async fn start_with_helper(
        connection: &Connection,
        start: &Start,
        sound: Option<helper::Sound>,
    ) -> Option<Result<Self, Failure>> {
        let request = request(connection, start, sound);
        let prepared = if request.direct.is_some() || matches!(request.sound, Some(helper::Sound::Port { .. })) {
            line(&request).map(|line| (SESSION.to_owned(), line))
        } else {
            to_argument(&request).map(|argument| (format!("{SESSION} {argument}"), Zeroizing::default()))
        };
        if let Some(helper::Sound::Port { mut cookie, .. }) = request.sound {
            cookie.zeroize();
        }
        match prepared {
            Ok((command, input)) => Self::start(connection, start, &command, &input, None).await.transpose(),
            Err(error) => Some(Err(Failure::new(FailureKind::Internal).detail(&error.to_string()))),
        }
    }

    pub(super) async fn start_with_fallback(
        connection: &Connection,
        start: &Start,
        sound: Option<helper::Sound>,
    ) -> Result<Self, Failure> {
        let failed = |why: &str| Failure::new(FailureKind::SessionFailed).server(connection.server()).detail(why);
        if start.direct.is_some() {
            return Err(failed("LDM_DIRECTX needs ldm-server-helper on the server."));
        }
        if start.end_others {
            tracing::warn!(
                "without ldm-server-helper on the server nobody's other sessions there are known or ended (LDM_LIMIT_ONE_SESSION)"
            );
        }
        let input = fallback::start_input(&request(connection, start, sound))
            .ok_or_else(|| failed("The session's name cannot be used."))?;
        let events = Some(fallback::Events::default());
        match Self::start(connection, start, &fallback::command(), input.as_bytes(), events).await? {
            Some(session) => Ok(session),
            None => Err(Failure::new(FailureKind::NoSession).server(connection.server())),
        }
    }

    /// Runs `command`, gives it `input` and waits for the session's start. `None` if it ended and said nothing.
    async fn start(
        connection: &Connection,
        start: &Start,
        command: &str,
        input: &[u8],
        fallback: Option<fallback::Events>,
    ) -> Result<Option<Self>, Failure> {
        let server = connection.server().to_owned();
        let (x11, clients) = match start.direct {
            None => {
                let (request, clients) = forward(start).map_err(|failure| failure.server(&server))?;
                (Some(request), Some(clients))
            }
            Some(_) => (None, None),
        };
        let exec = connection.exec_with_input(command, x11, input).await.map_err(told)?;
        let mut session = Self {
            stdin: Some(exec.stdin),
            events: Events { lines: Lines::new(exec.stdout), fallback },
            outcome: exec.outcome,
            server,
            clients,
            sound: None,
            user: None,
            directory: None,
            notices: Vec::new(),
        };
        let event = tokio::time::timeout(START_TIME, session.events.next()).await;
        let id = start.session.as_deref().unwrap_or_default();
        match event {
            Ok(Some(SessionEvent::Started { session: what, user, directory, no_sound })) => {
                super::remote::notes(&session.outcome.stderr_tail());
                session.user = user.filter(is_bounded);
                session.directory = directory.filter(|directory| is_plain_path(directory));
                if let Some(why) = no_sound {
                    session.notice(session.failure(FailureKind::NoSound).detail(&why));
                }
                tracing::info!(session = text::sanitise_line(&what, limits::SESSION_NAME), "the session runs");
                Ok(Some(session))
            }
            Ok(Some(SessionEvent::Refused { reason, detail })) => Err(session.refused(reason, &detail, id)),
            Ok(Some(ended @ SessionEvent::Ended { .. })) => match session.verdict(ended) {
                Ok(_) => Err(session.failure(FailureKind::SessionTooShort)),
                Err(failure) => Err(failure),
            },
            Ok(None) => {
                let status = session.outcome.wait().await;
                if status == ExitStatus::Lost {
                    return Err(told(connection.closed().await));
                }
                if session.outcome.password_expired() {
                    return Err(session.failure(FailureKind::PasswordExpired));
                }
                tracing::info!(?status, stderr = session.outcome.stderr_tail(), "no session was started");
                if was_killed(&status) {
                    // It was there, and may have left something that another session must not be started beside.
                    let why = format!("ldm-server-helper ended with status {}.", status.code());
                    return Err(session.failure(FailureKind::SessionFailed).session(id).detail(&why));
                }
                Ok(None)
            }
            Err(_) => Err(session
                .failure(FailureKind::SessionFailed)
                .detail(&format!("It did not start within {} s.", START_TIME.as_secs()))),
        }
    }

    /// Ends what serves its sound when it ends itself.
    pub(super) fn set_sound(&mut self, serving: Option<AbortOnDropHandle<()>>) {
        self.sound = serving;
    }

    /// Adds to [`Self::notices`].
    pub(super) fn notice(&mut self, failure: Failure) {
        let text = text::sanitise_line(&failure.to_string(), limits::PROMPT);
        // Whoever is told logs it.
        tracing::debug!("the session lacks something: {text}");
        self.notices.push(failure);
    }

    /// The server's record of who runs the session, bounded but not checked; `None` where the server has no helper.
    pub fn user(&self) -> Option<&UserRecord> {
        self.user.as_ref()
    }

    /// The session's own directory on the server, which names the session to other commands there ([`is_plain_path`]); `None`
    /// where the server has no helper.
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// What is missing in the session that runs, for the user.
    pub fn notices(&self) -> &[Failure] {
        &self.notices
    }

    /// Waits for the session's end: its exit status, or what went wrong. May be dropped at any await, and called again.
    pub async fn ended(&mut self) -> Result<i32, Failure> {
        loop {
            match self.events.next().await {
                Some(event @ SessionEvent::Ended { .. }) => return self.verdict(event),
                Some(other) => tracing::debug!(?other, "unexpected"),
                None => break,
            }
        }
        match self.outcome.wait().await {
            ExitStatus::Lost => Err(self.failure(FailureKind::LinkLost)),
            status => {
                let why = format!("ldm-server-helper ended with status {}.", status.code());
                Err(self.failure(FailureKind::SessionLost).detail(&why))
            }
        }
    }

    /// Asks the server to end the session; [`RemoteSession::ended`] then tells when that is done.
    pub async fn stop(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.shutdown().await;
        }
    }

    /// Ends the session and waits, not for ever.
    pub async fn end(&mut self) -> Result<i32, Failure> {
        self.stop().await;
        if let Ok(result) = tokio::time::timeout(KIND_TIME, self.ended()).await {
            return result;
        }
        // What still runs may only go when its display does.
        self.hide();
        if let Ok(result) = tokio::time::timeout(STOP_TIME, self.ended()).await {
            return result;
        }
        // Nobody waits for it any more; the end of the connection is the next hint to the server.
        tracing::warn!("the server did not end the session in time");
        Ok(STOPPED)
    }

    /// Takes the session off the display, and silences it.
    fn hide(&self) {
        if let Some(clients) = &self.clients {
            clients.abort();
        }
        if let Some(sound) = &self.sound {
            sound.abort();
        }
    }

    fn failure(&self, kind: FailureKind) -> Failure {
        Failure::new(kind).server(&self.server)
    }

    fn refused(&self, reason: Refusal, detail: &str, id: &str) -> Failure {
        let failure = match reason {
            Refusal::Gone => self.failure(FailureKind::SessionGone),
            Refusal::NoDisplay => self.failure(FailureKind::NoX11),
            Refusal::Elsewhere => self.failure(FailureKind::LoggedInElsewhere),
            Refusal::BadRequest => self.failure(FailureKind::Internal),
            Refusal::NotExecutable | Refusal::Failed => self.failure(FailureKind::SessionFailed),
        };
        failure.session(id).detail(if detail.is_empty() { "The server did not say why." } else { detail })
    }

    fn verdict(&self, event: SessionEvent) -> Result<i32, Failure> {
        let SessionEvent::Ended { status, milliseconds, too_short, last_words, taken_by } = event else { return Ok(0) };
        tracing::info!(status, milliseconds, "the session has ended");
        if let Some(client) = taken_by.filter(|_| self.stdin.is_some()) {
            let client = text::sanitise_line(&client, limits::SESSION_NAME);
            return Err(self.failure(FailureKind::SessionTaken).detail(&client));
        }
        // Who asked for the end is not to be told that it came soon.
        if !too_short || self.stdin.is_none() {
            return Ok(status);
        }
        let words = last_words
            .iter()
            .take(limits::LOG_TAIL_LINES)
            .map(|line| text::sanitise_line(line, limits::LOG_TAIL_LINE))
            .collect::<Vec<_>>()
            .join("\n");
        let words = if words.is_empty() { format!("exit status {status}") } else { words };
        Err(self.failure(FailureKind::SessionTooShort).detail(&words))
    }
}

impl Drop for RemoteSession {
    fn drop(&mut self) {
        self.hide();
    }
}

/// Whether a signal ended it, as sshd or the shell between says. A program that is not there is 127.
fn was_killed(status: &ExitStatus) -> bool {
    matches!(status, ExitStatus::Signal(_)) || (129..=192).contains(&status.code())
}

/// A request with a cookie in it, for standard input. It has room from the start, so that no copy is left behind by growth.
fn line(request: &SessionRequest) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE));
    serde_json::to_writer(&mut *line, request)?;
    line.push(b'\n');
    Ok(line)
}

fn is_bounded(user: &UserRecord) -> bool {
    let ok = user.is_bounded();
    if !ok {
        tracing::warn!("the server's record of the user cannot be used");
    }
    ok
}

fn request(connection: &Connection, start: &Start, sound: Option<helper::Sound>) -> SessionRequest {
    SessionRequest {
        version: VERSION,
        session: start.session.clone(),
        remember: start.remember,
        language: start.language.clone(),
        xsession: start.xsession.clone(),
        client: client::facts(connection.local_address()),
        direct: start.direct.clone().map(|direct| reachable(direct, connection.local_address())),
        sound,
        menu: start.services.menu.is_some(),
        open_on_client: start.services.open,
        remember_language: start.remember_language,
        language_is_default: start.language_is_default,
        env: start.env.clone(),
        keyboard: start.keyboard.clone(),
        access: start.access,
        end_others: start.end_others,
        end_only: start.end_only.clone(),
    }
}

/// The daemon does not know by which of this client's addresses the server reaches it, and leaves it out.
fn reachable(mut direct: DirectDisplay, address: Option<IpAddr>) -> DirectDisplay {
    if direct.display.starts_with(':') {
        let host = match address {
            Some(IpAddr::V4(v4)) => v4.to_string(),
            Some(IpAddr::V6(v6)) => format!("[{v6}]"),
            None => String::new(),
        };
        direct.display.insert_str(0, &host);
    }
    direct
}

/// Prepares the forwarding of X clients: what to ask the server for, and the task that serves what comes.
fn forward(start: &Start) -> Result<(X11Request, JoinHandle<()>), Failure> {
    let internal = |error: &dyn std::error::Error| Failure::new(FailureKind::Internal).detail(&error.to_string());
    let display = DisplayName::from_str(&start.display.name).map_err(|e| internal(&e))?;
    let fake = Cookie::generate().map_err(|e| internal(&e))?;
    let (streams, accepted) = mpsc::channel(QUEUE);
    let request = X11Request { fake_cookie: *fake.expose(), screen: display.screen(), streams };
    let forward = Arc::new(Forward { display, real: start.display.cookie.map(Cookie::from), fake });
    let clients = serve_each(accepted, move |stream| {
        let forward = Arc::clone(&forward);
        async move {
            match forward.serve(stream).await {
                Ok(()) => {}
                Err(error @ ForwardError::Io(_)) => tracing::debug!("{error}"),
                Err(error) => tracing::warn!("{error}"),
            }
        }
    });
    Ok((request, tokio::spawn(clients)))
}

/// Serves each stream in a task of its own. Ends all of them when it is dropped.
pub(super) async fn serve_each<F: Future<Output = ()> + Send + 'static>(
    mut accepted: mpsc::Receiver<ByteStream>,
    serve: impl Fn(ByteStream) -> F,
) {
    let mut served = JoinSet::new();
    let log = |ended| {
        if let Err(error) = ended {
            tracing::error!("a task that served a channel failed: {error}");
        }
    };
    loop {
        tokio::select! {
            stream = accepted.recv() => {
                let Some(stream) = stream else { break };
                served.spawn(serve(stream));
            }
            Some(ended) = served.join_next() => log(ended),
        }
    }
    while let Some(ended) = served.join_next().await {
        log(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_display_is_named_by_our_address() {
        let direct = |display: &str| DirectDisplay { display: display.into(), cookie: String::new() };
        let named = |display: &str, address: &str| reachable(direct(display), address.parse().ok()).display;
        assert_eq!(named(":7", "192.0.2.1"), "192.0.2.1:7");
        assert_eq!(named(":7", "2001:db8::1"), "[2001:db8::1]:7");
        assert_eq!(named("tc1.example:7", "192.0.2.1"), "tc1.example:7");
    }
}
