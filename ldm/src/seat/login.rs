//! One login: the greeter's requests on one side, the worker's events on the other. greetd's rules (greetd-ipc(7)), quirks
//! included; strictly one answer to one request.

use ldm_protocol::greetd::{self, AuthMessageType, ErrorType, Request, Response};
use ldm_protocol::helper::Info;
use ldm_protocol::{Failure, FailureKind, Secret, limits, text};

use super::machine::{Starting, State};
use super::{Action, Seat, choice, client, refusal};
use crate::worker::protocol::{Command, Event};

/// The login that was begun.
#[derive(Debug, Default)]
pub struct Login {
    username: String,
    /// It uses a connection that was made ahead and has not proved to be alive yet.
    ahead: bool,
    /// The request that still waits for its answer.
    pub(super) owed: Option<Owed>,
    /// The message that the greeter shows and has not answered yet.
    asked: Option<AuthMessageType>,
    /// It failed while the greeter was asking the user; to be told at its next request.
    lost: Option<Failure>,
    /// The sessions of the server, once they are known.
    info: Option<Info>,
    /// `start_session` was refused: the greeter may choose again, or begin again.
    refused: bool,
}

/// A request whose answer depends on the worker.
#[derive(Debug)]
pub(super) enum Owed {
    /// `create_session` or an answer: the next message, success or failure.
    Login,
    /// `ldm_sessions`.
    Sessions,
    /// `start_session` before the sessions were known.
    Start { cmd: Vec<String>, env: Vec<String> },
}

impl Seat {
    /// A request of the greeter.
    pub(super) fn request(&mut self, request: Request) {
        if self.client_waits(&request) {
            return;
        }
        if matches!(request, Request::CancelSession) {
            return self.cancel();
        }
        if self.login().is_some_and(|l| l.owed.is_some()) {
            // Answers would be taken for those of other requests from here on.
            self.report("the greeter broke the protocol: a request before the last one was answered".to_owned());
            self.act(Action::CloseLink);
            self.abandon();
            return;
        }
        if !matches!(request, Request::LdmPrepare | Request::LdmHello { .. })
            && !client::is_about_client(&request)
            && let Some(failure) = self.login().and_then(|l| l.lost.take())
        {
            self.fail_login(failure);
            return;
        }
        match request {
            Request::CreateSession { username } => self.create(username),
            Request::PostAuthMessageResponse { response } => self.answer(response),
            Request::StartSession { cmd, env } => self.start(cmd, env),
            Request::LdmPrepare => {
                if matches!(self.state, State::Greeting) {
                    self.prepare();
                }
                self.act(Action::Reply(Response::Success));
            }
            Request::LdmSessions => self.sessions(),
            Request::LdmHello { version } => self.hello(version),
            Request::LdmGuest | Request::LdmEndOthers => self.misused("not offered"),
            Request::LdmServers
            | Request::LdmServer { .. }
            | Request::LdmMenu { .. }
            | Request::LdmPower { .. }
            | Request::LdmFacts
            | Request::LdmSoundTest
            | Request::LdmAccess { .. }
            | Request::LdmLayout { .. } => self.client_request(request),
            Request::CancelSession => {}
        }
    }

    fn hello(&mut self, version: u32) {
        if version != greetd::VERSION {
            self.misused(&format!("this ldm speaks version {} of its messages", greetd::VERSION));
            return;
        }
        self.ours = true;
        let seat = greetd::Seat {
            hostname: self.policy.hostname.clone(),
            server: self.policy.server.clone(),
            failure: self.failure.clone(),
            ..self.policy.facts.clone()
        };
        self.act(Action::Reply(Response::LdmSeat(Box::new(seat))));
    }

    fn create(&mut self, username: String) {
        match &self.state {
            State::Greeting => {}
            State::Choosing(login) if login.refused => self.abandon(),
            State::Connecting(_) | State::Authenticating(_) | State::Choosing(_) => {
                return self.misused("a session is already being configured");
            }
            _ => return self.misused("this is not the time to log in"),
        }
        if !is_username(&username) {
            self.act(Action::Reply(refusal(Failure::new(FailureKind::BadUsername))));
            return;
        }
        let mut login = Login { username, ..Login::default() };
        // A greeter that does not know our messages could not tell why the last session ended.
        if let Some(failure) = self.failure.take().filter(|_| !self.ours) {
            login.asked = Some(AuthMessageType::Error);
            self.act(Action::Reply(message(AuthMessageType::Error, &failure.to_string())));
        } else {
            login.owed = Some(Owed::Login);
        }
        if let Some(worker) = &mut self.worker {
            worker.until = None;
            login.ahead = true;
        } else {
            self.start_worker();
        }
        self.state = State::Connecting(login);
        self.log_in();
    }

    /// Sends the name as soon as the server is there and the greeter waits.
    fn log_in(&mut self) {
        let connected = self.worker.as_ref().is_some_and(|w| w.server.is_some());
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::Connecting(login) if connected && login.owed.is_some() => {
                let username = login.username.clone();
                if let Some(worker) = &mut self.worker {
                    worker.login.clone_from(&username);
                }
                self.state = State::Authenticating(login);
                self.act(Action::Tell(Command::Login { username, key: None }));
            }
            other => self.state = other,
        }
    }

    fn answer(&mut self, response: Option<Secret>) {
        let connecting = matches!(self.state, State::Connecting(_));
        let Some((login, style)) = self.login().and_then(|l| l.asked.take().map(|style| (l, style))) else {
            return self.misused("nothing was asked");
        };
        let question = matches!(style, AuthMessageType::Visible | AuthMessageType::Secret);
        if question && response.is_none() {
            self.abandon();
            return self.misused("the question needs an answer; null is none");
        }
        login.owed = Some(Owed::Login);
        if connecting {
            self.log_in();
        } else {
            let response = response.filter(|_| question);
            self.act(Action::Tell(Command::Answer { response }));
        }
    }

    fn cancel(&mut self) {
        match &mut self.state {
            State::Connecting(login) | State::Authenticating(login) | State::Choosing(login) => {
                if login.owed.take().is_some() {
                    self.misused("cancelled");
                }
                self.abandon();
                self.act(Action::Reply(Response::Success));
            }
            State::StartingSession(_) => self.misused("the session is being started"),
            // Also after an authentication error, where greetd and its greeters disagree on who clears up.
            _ => self.act(Action::Reply(Response::Success)),
        }
    }

    fn sessions(&mut self) {
        let policy = &self.policy;
        let State::Choosing(login) = &mut self.state else {
            return self.misused("log in first");
        };
        if let Some(info) = &login.info {
            let sessions = choice::offer(policy, info);
            self.act(Action::Reply(Response::LdmSessions(sessions)));
        } else {
            login.owed = Some(Owed::Sessions);
        }
    }

    fn start(&mut self, cmd: Vec<String>, env: Vec<String>) {
        let ours = self.ours;
        let policy = &self.policy;
        let State::Choosing(login) = &mut self.state else {
            return self.misused("log in first");
        };
        let Some(info) = &login.info else {
            login.owed = Some(Owed::Start { cmd, env });
            return;
        };
        match choice::choose(policy, info, ours, &cmd, &env) {
            Ok(choice) => {
                self.act(Action::Reply(Response::Success));
                self.state = State::StartingSession(Starting::GreeterEnds(choice));
                self.greeter_leaves();
            }
            Err(failure) => {
                login.refused = true;
                let failure = match self.worker.as_ref().and_then(|w| w.server.as_deref()) {
                    Some(server) => failure.server(server),
                    None => failure,
                };
                let offered = failure.detail.clone().unwrap_or_default();
                let description = format!("{failure} The command must be one of: {offered}");
                let error = Response::Error { error_type: ErrorType::Error, description, failure: Some(failure) };
                self.act(Action::Reply(error));
            }
        }
    }

    /// An event of the current worker.
    pub(super) fn worker_event(&mut self, event: Event) {
        match event {
            Event::Connected { server, transport } => match &mut self.worker {
                Some(worker) if worker.server.is_none() => {
                    worker.server = Some(server);
                    self.client.connected(*transport);
                    self.log_in();
                }
                _ => self.confused("a second connection"),
            },
            Event::Message { style, text } => match &mut self.state {
                State::Authenticating(login) if login.owed.is_some() => {
                    login.owed = None;
                    login.ahead = false;
                    login.asked = Some(style);
                    self.act(Action::Reply(message(style, &text)));
                }
                _ => self.confused("a message"),
            },
            Event::Authenticated => match std::mem::replace(&mut self.state, State::Greeting) {
                State::Authenticating(mut login) if login.owed.is_some() => {
                    login.owed = None;
                    // The worker sends no list where the session is forced.
                    login.info = self.policy.force_session.is_some().then(Info::default);
                    self.state = State::Choosing(login);
                    self.act(Action::Reply(Response::Success));
                }
                other => {
                    self.state = other;
                    self.confused("an authentication");
                }
            },
            Event::Sessions(info) => self.sessions_came(*info),
            Event::Started { user } => match self.state {
                State::StartingSession(Starting::Asked { .. }) => {
                    self.state = State::InSession;
                    self.client_started();
                    self.start_local(user);
                }
                State::Stopping(_) | State::Failed { .. } => {}
                _ => self.confused("a started session"),
            },
            Event::Ended { .. } => match self.state {
                State::StartingSession(Starting::Asked { .. }) | State::InSession => self.session_over(None),
                State::Stopping(_) | State::Failed { .. } => self.drop_worker(),
                _ => self.confused("an ended session"),
            },
            Event::Notice(failure) => self.noticed(failure),
            Event::Failed(failure) => self.worker_failed(failure),
        }
    }

    fn sessions_came(&mut self, info: Info) {
        let State::Choosing(login) = &mut self.state else { return };
        if login.info.is_some() {
            // Each writes files.
            return self.confused("sessions");
        }
        let info = info.sanitised();
        let entries = info.sessions.clone();
        login.info = Some(info);
        let owed = login.owed.take();
        self.act(Action::PublishSessions(entries));
        match owed {
            Some(Owed::Sessions) => self.sessions(),
            Some(Owed::Start { cmd, env }) => self.start(cmd, env),
            Some(Owed::Login) | None => {}
        }
    }

    /// A connection that was made ahead may have died while nobody looked (sshd's `LoginGraceTime`, a sleeping client). The
    /// user has answered nothing yet and need not know.
    fn connect_again(&mut self, failure: &Failure) -> bool {
        let died = matches!(failure.kind, FailureKind::ConnectionLost | FailureKind::Internal);
        let Some(login) = self.login().filter(|login| login.ahead && died) else { return false };
        let login = std::mem::take(login);
        self.drop_worker();
        self.start_worker();
        self.state = State::Connecting(Login { ahead: false, ..login });
        true
    }

    fn noticed(&mut self, failure: Failure) {
        let failure = failure.sanitised();
        self.report(failure.to_string());
        // Each is a window over the user's work; a worker that was taken over could open many.
        if matches!(self.state, State::StartingSession(Starting::Asked { .. }) | State::InSession)
            && !self.announced.contains(&failure.kind)
        {
            self.announced.push(failure.kind);
            self.act(Action::Announce(failure));
        }
    }

    fn worker_failed(&mut self, failure: Failure) {
        // It is kept, shown and sent: one that does not fit a frame would keep every greeter from learning anything.
        let failure = failure.sanitised();
        if self.connect_again(&failure) {
            return;
        }
        self.client.failed(&failure, self.now);
        match &mut self.state {
            State::Connecting(login) | State::Authenticating(login) | State::Choosing(login) => {
                let owed = login.owed.take();
                if failure.kind != FailureKind::Denied {
                    self.report(format!("the login failed: {failure}"));
                }
                if owed.is_some() {
                    self.fail_login(failure);
                } else {
                    self.drop_worker();
                    if let Some(login) = self.login() {
                        login.lost = Some(failure);
                    }
                }
            }
            State::StartingSession(_) | State::InSession => self.session_over(Some(failure)),
            State::Greeting => {
                // The connection that was made ahead. The user will be told if the login itself fails, too.
                self.drop_worker();
                self.prepare_failed();
                self.report(format!("connecting ahead of the login failed: {failure}"));
            }
            State::StartingDisplay | State::Stopping(_) | State::Failed { .. } | State::Ended => self.drop_worker(),
        }
    }

    /// The worker said something that cannot be said now: it is broken, or worse.
    fn confused(&mut self, what: &str) {
        let failure = Failure::new(FailureKind::Internal).detail(&format!("the session worker sent {what} unasked"));
        self.worker_failed(failure);
    }
}

fn message(style: AuthMessageType, text: &str) -> Response {
    // The worker has sanitised it, and may have put an ellipsis behind; a worker that was taken over has not.
    let text = text::sanitise(text, limits::PROMPT + '…'.len_utf8());
    Response::AuthMessage { auth_message_type: style, auth_message: text }
}

/// Whether `name` may be sent to a server as a user's name. It is only ever data: no shell and no option parser sees it.
fn is_username(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= limits::USERNAME && !name.contains(char::is_control)
}
