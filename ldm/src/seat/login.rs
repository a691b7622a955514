//! One login: the greeter's requests on one side, the worker's events on the other. greetd's rules (greetd-ipc(7)), quirks
//! included; strictly one answer to one request.

use ldm_protocol::client::Elsewhere;
use ldm_protocol::greetd::{self, AuthMessageType, ErrorType, Request, Response};
use ldm_protocol::helper::Info;
use ldm_protocol::{Failure, FailureKind, Secret, limits, text};

use super::allow::{self, Limit};
use super::choice::Wish;
use super::guest::Attempt;
use super::machine::{Starting, State};
use super::{Action, Choice, Seat, choice, client, misuse, refusal};
use crate::worker::protocol::{Command, Event};

/// The login that was begun.
#[derive(Debug, Default)]
pub struct Login {
    pub(super) username: String,
    /// Nobody types.
    pub(super) guest: Option<Attempt>,
    /// It uses a connection that was made ahead and has not proved to be alive yet.
    pub(super) ahead: bool,
    /// The request that still waits for its answer.
    pub(super) owed: Option<Owed>,
    /// The message that the greeter shows and has not answered yet.
    asked: Option<AuthMessageType>,
    /// It failed while the greeter was asking the user; to be told at its next request.
    pub(super) lost: Option<Failure>,
    /// The sessions of the server, once they are known.
    info: Option<Info>,
    /// The user's sessions elsewhere that the greeter was told of, and those that may be ended.
    told: Vec<String>,
    agreed: Vec<String>,
    /// `start_session` was refused: the greeter may choose again, or begin again.
    refused: bool,
}

/// A request whose answer depends on the worker.
#[derive(Debug)]
pub(super) enum Owed {
    /// `create_session` or an answer: the next message, success or failure.
    Login,
    /// Nothing: an automatic login waits for the worker.
    Automatic,
    /// `ldm_sessions`.
    Sessions,
    /// `start_session` before the sessions were known.
    Start(Wish),
    /// `start_session` until it is known what of the user's runs elsewhere now.
    Look(Wish),
}

impl Login {
    /// Of this name.
    fn new(username: String) -> Self {
        Self { username, ..Self::default() }
    }

    /// A guest's.
    pub(super) fn of_guest(username: String, guest: Attempt, owed: Owed) -> Self {
        Self { guest: Some(guest), owed: Some(owed), ..Self::new(username) }
    }

    /// The user's sessions elsewhere, if any of them may not be ended: the user is asked about all that would be.
    fn unasked(&self) -> Option<&[Elsewhere]> {
        let all = self.info.as_ref()?.elsewhere.as_slice();
        (!all.iter().all(|other| self.agreed.contains(&other.id))).then_some(all)
    }
}

impl Seat {
    /// A request of the greeter.
    pub(super) fn request(&mut self, request: Request) {
        if self.is_automatic() {
            // Whoever that is, no greeter was started.
            return self.misused("somebody is being logged in");
        }
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
            Request::StartSession { cmd, env, unasked } => self.start(Wish { cmd, env, unasked }, false),
            Request::LdmPrepare => {
                if matches!(self.state, State::Greeting) {
                    self.prepare();
                }
                self.act(Action::Reply(Response::Success));
            }
            Request::LdmSessions => self.sessions(),
            Request::LdmHello { version } => self.hello(version),
            Request::LdmGuest => self.guest(),
            Request::LdmEndOthers => self.end_others(),
            Request::LdmServers
            | Request::LdmServer { .. }
            | Request::LdmMenu { .. }
            | Request::LdmPower { .. }
            | Request::LdmFacts
            | Request::LdmShown
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
        // It has started itself again.
        if self.ours {
            self.greeter_begins();
        }
        self.ours = true;
        let seat = greetd::Seat {
            hostname: self.policy.hostname.clone(),
            server: self.policy.server.clone(),
            failure: self.failure.clone(),
            guest: self.offers_guest(),
            countdown: self.countdown(),
            chosen: self.chosen.clone(),
            ..self.policy.facts.clone()
        };
        self.act(Action::Reply(Response::LdmSeat(Box::new(seat))));
    }

    /// Whether a login may begin; if not, the greeter has been told.
    pub(super) fn may_create(&mut self) -> bool {
        match &self.state {
            State::Greeting => return true,
            State::Choosing(login) if login.refused => {
                self.abandon();
                return true;
            }
            State::Connecting(_) | State::Authenticating(_) | State::Choosing(_) => {
                self.misused("a session is already being configured");
            }
            _ => self.misused("this is not the time to log in"),
        }
        false
    }

    fn create(&mut self, username: String) {
        if !self.may_create() {
            return;
        }
        if !is_username(&username) {
            self.act(Action::Reply(refusal(Failure::new(FailureKind::BadUsername))));
            return;
        }
        if !self.policy.rules.may_ask(&username) {
            // Not the name itself: people type passwords into the wrong field.
            self.report("the name that was typed may not log in here (LDM_USER_ALLOW, LDM_USER_DENY)".to_owned());
            self.act(Action::Reply(refusal(Failure::new(FailureKind::NotAllowed))));
            return;
        }
        self.client.begins(Some(&username));
        let mut login = Login::new(username);
        // A greeter that does not know our messages could not tell why the last session ended.
        if let Some(failure) = self.failure.take().filter(|_| !self.ours) {
            login.asked = Some(AuthMessageType::Error);
            self.act(Action::Reply(message(AuthMessageType::Error, &failure.to_string(), None)));
        } else {
            login.owed = Some(Owed::Login);
        }
        self.state = State::Connecting(login);
        self.claim_worker(Vec::new());
        self.log_in();
    }

    /// Sends the name as soon as the server is there and the greeter waits.
    pub(super) fn log_in(&mut self) {
        let connected = self.worker.as_ref().is_some_and(|w| w.server.is_some());
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::Connecting(login) if connected && login.owed.is_some() => {
                let username = login.username.clone();
                let key = login.guest.as_ref().and_then(|_| self.guest_key());
                if let Some(worker) = &mut self.worker {
                    worker.login.clone_from(&username);
                }
                self.state = State::Authenticating(login);
                self.act(Action::Tell(Command::Login { username, key }));
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
            let mut sessions = choice::offer(policy, info);
            if policy.limit == Limit::Ask {
                sessions.elsewhere = login.unasked().unwrap_or_default().to_vec();
                login.told = sessions.elsewhere.iter().map(|other| other.id.clone()).collect();
            }
            self.act(Action::Reply(Response::LdmSessions(sessions)));
        } else {
            login.owed = Some(Owed::Sessions);
        }
    }

    /// `ldm_end_others`.
    fn end_others(&mut self) {
        match &mut self.state {
            // Nobody agrees to what they were not told of.
            State::Choosing(login) if !login.told.is_empty() => {
                login.agreed = std::mem::take(&mut login.told);
                self.act(Action::Reply(Response::Success));
            }
            _ => self.misused("there is nothing to end"),
        }
    }

    /// `start_session`. `looked`: what of the user's runs elsewhere has been looked for just now.
    fn start(&mut self, wish: Wish, looked: bool) {
        match self.chosen_session(self.ours, &wish) {
            Some(Ok(_)) if self.policy.limit == Limit::Ask && !looked => {
                // It may be long since the user was asked, or was not.
                if let Some(login) = self.login() {
                    login.owed = Some(Owed::Look(wish));
                }
                self.act(Action::Tell(Command::Look));
            }
            Some(Ok(choice)) => {
                self.tell_of_ending();
                self.act(Action::Reply(Response::Success));
                self.state = State::StartingSession(Starting::GreeterEnds(choice));
                self.greeter_leaves();
            }
            Some(Err(failure)) => {
                if let Some(login) = self.login() {
                    login.refused = true;
                }
                let mut description = failure.to_string();
                if failure.kind == FailureKind::SessionGone {
                    let offered = failure.detail.as_deref().unwrap_or_default();
                    description = format!("{description} The command must be one of: {offered}");
                }
                let error = Response::Error { error_type: ErrorType::Error, description, failure: Some(failure) };
                self.act(Action::Reply(error));
            }
            None => match &mut self.state {
                State::Choosing(login) => login.owed = Some(Owed::Start(wish)),
                _ => self.misused("log in first"),
            },
        }
    }

    /// What is to be started, or why that cannot be; `None` while the server has not said what there is.
    pub(super) fn chosen_session(&mut self, ours: bool, wish: &Wish) -> Option<Result<Choice, Failure>> {
        let State::Choosing(login @ Login { info: Some(info), guest, .. }) = &self.state else { return None };
        let server = self.worker.as_ref().and_then(|worker| worker.server.as_deref());
        let told = |failure: Failure| match server {
            Some(server) => failure.server(server),
            None => failure,
        };
        let asks = self.policy.limit == Limit::Ask;
        if let Some(others) = login.unasked().filter(|_| asks) {
            return Some(Err(told(allow::elsewhere(others))));
        }
        // A guest's default is what was preselected for them.
        let choice = choice::choose(&self.policy, info, ours && guest.is_none(), wish).map_err(told);
        // Whoever comes next is no friend of theirs.
        let choice = choice.map(|choice| match guest {
            Some(_) => Choice { remember: false, remember_language: false, ..choice },
            None => choice,
        });
        Some(choice.map(|choice| Choice { end_only: asks.then(|| login.agreed.clone()), ..choice }))
    }

    /// Says in the log which sessions end for the one that begins.
    pub(super) fn tell_of_ending(&mut self) {
        let State::Choosing(Login { info: Some(info), username, .. }) = &self.state else { return };
        if self.policy.limit != Limit::Off && !info.elsewhere.is_empty() {
            let others = allow::elsewhere(&info.elsewhere).detail.unwrap_or_default();
            self.report(format!("sessions of {username} end on the server: {others}"));
        }
    }

    /// Keeps the user out, and says why in the log.
    pub(super) fn refuse(&mut self, why: &str) {
        let username = self.login().map(|login| login.username.clone()).unwrap_or_default();
        self.report(format!("{username} may not log in here: {why}"));
        self.login_failed(Failure::new(FailureKind::NotAllowed));
    }

    /// An event of the current worker.
    pub(super) fn worker_event(&mut self, event: Event) {
        match event {
            Event::Connected { server, transport } => match &mut self.worker {
                Some(worker) if worker.server.is_none() => {
                    // It goes into what is kept for later greeters.
                    worker.server = Some(text::sanitise_line(&server, limits::SERVER));
                    self.client.connected(*transport);
                    self.log_in();
                }
                _ => self.confused("a second connection"),
            },
            Event::Message { style, text } => match &mut self.state {
                State::Authenticating(login) if login.owed.is_some() && login.guest.is_some() => {
                    login.ahead = false;
                    self.guest_message(style, &text);
                }
                State::Authenticating(login) if login.owed.is_some() => {
                    login.owed = None;
                    login.ahead = false;
                    login.asked = Some(style);
                    // A password is asked for under the name of the server that gets it.
                    let server = self.worker.as_ref().and_then(|worker| worker.server.clone()).filter(|_| self.ours);
                    self.act(Action::Reply(message(style, &text, server)));
                }
                _ => self.confused("a message"),
            },
            Event::Authenticated => match std::mem::replace(&mut self.state, State::Greeting) {
                State::Authenticating(login) if login.owed.is_some() => self.authenticated(login),
                other => {
                    self.state = other;
                    self.confused("an authentication");
                }
            },
            Event::Sessions(info) => self.sessions_came(*info),
            Event::Elsewhere(others) => self.looked(others),
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

    fn authenticated(&mut self, mut login: Login) {
        let checks = self.policy.checks_users();
        login.ahead = false;
        // The worker sends no list where the session is forced and nobody is looked at.
        login.info = (self.policy.force_session.is_some() && !checks).then(Info::default);
        let automatic = matches!(login.owed, Some(Owed::Automatic));
        // Whoever may not log in here is told so in the place of a success.
        let succeeds = !checks && !automatic;
        if succeeds {
            login.owed = None;
        }
        self.state = State::Choosing(login);
        if succeeds {
            self.act(Action::Reply(Response::Success));
        } else if automatic {
            self.start_automatic();
        }
    }

    fn sessions_came(&mut self, info: Info) {
        let State::Choosing(login) = &mut self.state else { return };
        if login.info.is_some() {
            // Each writes files.
            return self.confused("sessions");
        }
        let info = info.sanitised();
        if let Err(why) = self.policy.rules.admit(&login.username, info.user.as_ref()) {
            return self.refuse(&why);
        }
        let entries = info.sessions.clone();
        login.info = Some(info);
        let owed = if matches!(login.owed, Some(Owed::Automatic)) { None } else { login.owed.take() };
        if self.policy.checks_users() {
            self.act(Action::Tell(Command::Allowed));
        }
        self.act(Action::PublishSessions(entries));
        match owed {
            Some(Owed::Sessions) => self.sessions(),
            Some(Owed::Start(wish)) => self.start(wish, false),
            Some(Owed::Login) => self.act(Action::Reply(Response::Success)),
            Some(Owed::Automatic | Owed::Look(_)) | None => {}
        }
        if self.is_automatic() {
            self.start_automatic();
        }
    }

    /// What of the user's runs elsewhere now. Where that is not what they agreed to, they are asked again.
    fn looked(&mut self, others: Vec<Elsewhere>) {
        let State::Choosing(login @ Login { owed: Some(Owed::Look(_)), .. }) = &mut self.state else {
            // It answers a greeter that has given up, or nobody.
            return self.confused("sessions elsewhere");
        };
        if let Some(info) = &mut login.info {
            info.elsewhere = Elsewhere::sanitised(others);
        }
        if let Some(Owed::Look(wish)) = login.owed.take() {
            self.start(wish, true);
        }
    }

    /// A connection that was made ahead may have died while nobody looked (sshd's `LoginGraceTime`, a sleeping client). The
    /// user has answered nothing yet and need not know.
    fn connect_again(&mut self, failure: &Failure) -> bool {
        let died = matches!(failure.kind, FailureKind::ConnectionLost | FailureKind::Internal);
        let Some(login) = self.login().filter(|login| login.ahead && died) else { return false };
        let login = std::mem::take(login);
        let servers = self.worker.as_ref().map(|worker| worker.servers.clone()).unwrap_or_default();
        self.drop_worker();
        self.start_worker(servers);
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
                if failure.kind != FailureKind::Denied && login.guest.is_none() {
                    self.report(format!("the login failed: {failure}"));
                }
                self.login_failed(failure);
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

    /// The login that was begun, if one was.
    pub(super) fn login(&mut self) -> Option<&mut Login> {
        match &mut self.state {
            State::Connecting(login) | State::Authenticating(login) | State::Choosing(login) => Some(login),
            _ => None,
        }
    }

    /// The login that was begun has failed. The greeter is told in answer to what it waits for, or to what it asks next; after
    /// an automatic login the next greeter is told.
    pub(super) fn login_failed(&mut self, failure: Failure) {
        let failure = self.guest_failure(failure);
        self.client.failed(&failure, self.now);
        let Some(login) = self.login() else { return };
        match login.owed.take() {
            Some(Owed::Automatic) => {
                self.drop_worker();
                self.automatic = false;
                self.failure = Some(failure);
                self.start_greeter();
            }
            Some(_) => self.fail_login(failure),
            None => {
                login.lost = Some(failure);
                self.drop_worker();
            }
        }
    }

    /// Answers the request whose answer was owed with an error, and forgets the login.
    pub(super) fn fail_login(&mut self, failure: Failure) {
        self.drop_worker();
        self.act(Action::Reply(refusal(failure)));
        self.state = State::Greeting;
    }

    /// Gives the login up. A connection on which nothing was said yet is kept for the next.
    pub(super) fn abandon(&mut self) {
        if let State::Connecting(_) = self.state {
            self.keep_prepared();
        } else {
            self.drop_worker();
        }
        self.state = State::Greeting;
    }

    pub(super) fn misused(&mut self, description: &str) {
        self.act(Action::Reply(misuse(description)));
    }

    /// The worker said something that cannot be said now: it is broken, or worse.
    fn confused(&mut self, what: &str) {
        let failure = Failure::new(FailureKind::Internal).detail(&format!("the session worker sent {what} unasked"));
        self.worker_failed(failure);
    }
}

fn message(style: AuthMessageType, text: &str, server: Option<String>) -> Response {
    // The worker has sanitised it, and may have put an ellipsis behind; a worker that was taken over has not.
    let text = text::sanitise(text, limits::PROMPT + '…'.len_utf8());
    Response::AuthMessage { auth_message_type: style, auth_message: text, server }
}

/// Whether `name` may be sent to a server as a user's name. It is only ever data: no shell and no option parser sees it.
pub(super) fn is_username(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= limits::USERNAME && !name.contains(char::is_control)
}
