//! The state machine: which parts run, and what follows from one of them ending.

use std::time::Duration;

use ldm_protocol::helper::UserRecord;
use ldm_protocol::{Failure, FailureKind};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::client::Client;
use super::login::Login;
use super::shown::Shown;
use super::{Action, EXIT_DISPLAY, EXIT_SESSION, Event, Policy};
use crate::worker::protocol::Command;

/// A greeter that has been told of its session's start may take this long to end by itself (greetd's measure).
const GREETER_LEAVES: Duration = Duration::from_secs(5);
/// A greeter that has been asked to end may take this long.
const GREETER_ENDS: Duration = Duration::from_secs(3);
/// A worker may take this long to end its session kindly: the server gives processes 3 s between TERM and KILL.
const WORKER_STOPS: Duration = Duration::from_secs(6);
/// A connection made ahead is kept this long; sshd's `LoginGraceTime` would end it after two minutes anyway.
const PREPARED: Duration = Duration::from_secs(90);
/// After a connection made ahead failed, none is tried again for this long, however much is typed.
const PREPARE_AGAIN: Duration = Duration::from_secs(2);
/// A worker that says nothing about its session's start for this long is broken; its own limits are shorter.
const SESSION_STARTS: Duration = Duration::from_secs(90);

/// Where the seat stands.
#[derive(Debug)]
pub enum State {
    /// Nobody can be asked yet: the X server is being started.
    StartingDisplay,
    /// The greeter runs or is being started; no login has been begun. A connection may have been made ahead.
    Greeting,
    /// A name was given, and the server is being connected to.
    Connecting(Login),
    /// The server's PAM conversation.
    Authenticating(Login),
    /// The user is who they say, and chooses a session.
    Choosing(Login),
    /// The greeter is to end; then the session is started.
    StartingSession(Starting),
    /// The session runs.
    InSession,
    /// Everything of the last login is being ended.
    Stopping(Then),
    /// A part has crashed; it is started again when its time comes.
    Failed {
        /// When.
        retry_at: Instant,
    },
    /// All is over.
    Ended,
}

/// A session on its way.
#[derive(Debug)]
pub enum Starting {
    /// Until the greeter has ended.
    GreeterEnds(super::Choice),
    /// Until the worker says that it runs.
    Asked {
        /// When to give up.
        until: Instant,
    },
}

/// What comes after [`State::Stopping`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A fresh display and a fresh greeter.
    Restart,
    /// Leaving, with this status.
    Exit(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    Down,
    Starting,
    Up,
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeter {
    Down,
    Up,
    /// It is to end by itself.
    Leaving {
        terminate_at: Instant,
    },
    /// It was asked to end.
    Ending {
        kill_at: Instant,
    },
    Killed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    Down,
    Up(u64),
    /// It ends its programs and removes its user.
    Ending(u64),
}

/// The worker as the seat knows it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: u64,
    /// The servers it may connect to; empty: as configured.
    pub(super) servers: Vec<String>,
    /// The server it is connected to.
    pub(super) server: Option<String>,
    /// Who logs in there.
    pub(super) login: String,
    /// When it is let go of, unless a login claims it before or it ends.
    pub(super) until: Option<Instant>,
}

/// One seat. See [`Seat::step`].
#[derive(Debug)]
pub struct Seat {
    pub(super) policy: Policy,
    pub(super) state: State,
    pub(super) worker: Option<Worker>,
    pub(super) actions: Vec<Action>,
    pub(super) now: Instant,
    /// What the next greeter is to say, until a login is begun.
    pub(super) failure: Option<Failure>,
    /// The greeter that runs has sent `ldm_hello`.
    pub(super) ours: bool,
    pub(super) prepare_again: Instant,
    /// What the user of this session was told.
    pub(super) announced: Vec<FailureKind>,
    /// The server that somebody chose.
    pub(super) chosen: Option<String>,
    /// `LDM_AUTOLOGIN` may be tried: nothing has failed since the start, or since a session that ended as it should.
    pub(super) automatic: bool,
    /// Not before this.
    pub(super) auto_again: Instant,
    /// A guest was refused: no countdown leads to the same again.
    pub(super) guest_refused: bool,
    auto_backoff: Backoff,
    pub(super) client: Client,
    pub(super) shown: Shown,
    workers: u64,
    display: Display,
    greeter: Greeter,
    local: Local,
    locals: u64,
    display_backoff: Backoff,
    greeter_backoff: Backoff,
}

impl Seat {
    /// A seat where nothing runs yet.
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            state: State::StartingDisplay,
            worker: None,
            actions: Vec::new(),
            now,
            failure: None,
            ours: false,
            prepare_again: now,
            announced: Vec::new(),
            chosen: None,
            automatic: true,
            auto_again: now,
            guest_refused: false,
            auto_backoff: Backoff::default(),
            client: Client::default(),
            shown: Shown::default(),
            workers: 0,
            display: Display::Down,
            greeter: Greeter::Down,
            local: Local::Down,
            locals: 0,
            display_backoff: Backoff::default(),
            greeter_backoff: Backoff::default(),
        }
    }

    /// Where the seat stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When [`Event::Tick`] is due next.
    pub fn deadline(&self) -> Option<Instant> {
        let greeter = match self.greeter {
            Greeter::Leaving { terminate_at } => Some(terminate_at),
            Greeter::Ending { kill_at } => Some(kill_at),
            Greeter::Down | Greeter::Up | Greeter::Killed => None,
        };
        let state = match self.state {
            State::Failed { retry_at } if self.greeter == Greeter::Down && self.local == Local::Down => Some(retry_at),
            State::StartingSession(Starting::Asked { until }) => Some(until),
            _ => None,
        };
        let worker = self.worker.as_ref().and_then(|w| w.until);
        let shown = self.shown.deadline().filter(|_| self.greeter == Greeter::Up);
        [greeter, state, worker, shown, self.guest_until()].into_iter().flatten().min()
    }

    /// What follows from an event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        self.now = now;
        if !matches!(self.state, State::Ended) {
            self.handle(event);
            self.proceed();
        }
        std::mem::take(&mut self.actions)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Start => self.start_display(),
            Event::DisplayReady => self.display_ready(),
            Event::DisplayExited(why) => self.display_exited(&why),
            Event::GreeterExited(why) => self.greeter_exited(&why),
            Event::Request(request) => self.request(request),
            Event::LinkClosed => self.link_closed(),
            Event::LinkBroken(why) => self.link_broken(&why),
            Event::Worker(id, event) if self.is_current(id) => self.worker_event(event),
            Event::WorkerExited(id) if self.is_current(id) => self.worker_exited(),
            // Of a worker that was let go of.
            Event::Worker(..) | Event::WorkerExited(_) => {}
            Event::LocalExited(id, why) => self.local_exited(id, why),
            Event::Client(told) => self.client_told(told),
            Event::Tick => self.tick(),
            Event::Shutdown => self.shutdown(),
        }
    }

    fn is_current(&self, id: u64) -> bool {
        self.worker.as_ref().is_some_and(|w| w.id == id)
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn report(&mut self, what: String) {
        self.act(Action::Failed(what));
    }

    // --- display ---

    fn start_display(&mut self) {
        self.state = State::StartingDisplay;
        self.display = Display::Starting;
        self.act(Action::StartDisplay);
    }

    fn display_ready(&mut self) {
        if self.display != Display::Starting {
            return;
        }
        self.display = Display::Up;
        self.display_backoff.up(self.now);
        if matches!(self.state, State::StartingDisplay) {
            self.greet();
        }
    }

    fn display_exited(&mut self, why: &str) {
        let asked = self.display == Display::Stopping;
        self.display = Display::Down;
        if asked {
            self.display_backoff.done();
            return;
        }
        if let State::Stopping(Then::Restart) = self.state {
            // The rest is on its way out already; only the wait is new.
            self.report(format!("the display ended while the last login was being ended: {why}"));
            return;
        }
        self.report(format!("the display ended: {why}"));
        if matches!(self.state, State::Stopping(_)) {
            return;
        }
        if matches!(self.state, State::InSession | State::StartingSession(_)) || self.is_automatic() {
            self.failure = Some(Failure::new(FailureKind::DisplayLost));
            self.automatic = false;
        }
        let was_session = matches!(self.state, State::InSession);
        if was_session {
            self.client_ended();
        }
        // No kind end: the session's programs have lost their display already, and the user waits for a new one.
        self.drop_worker();
        self.act(Action::CloseLink);
        if self.greeter != Greeter::Down {
            // Without a display it can neither show nor ask anything.
            self.kill_greeter();
        }
        let retry_at = self.display_backoff.down(self.now);
        self.state = if self.policy.attached {
            State::Stopping(Then::Exit(EXIT_DISPLAY))
        } else if self.policy.once && was_session {
            State::Stopping(Then::Exit(EXIT_SESSION))
        } else {
            State::Failed { retry_at }
        };
    }

    // --- greeter ---

    pub(super) fn start_greeter(&mut self) {
        self.state = State::Greeting;
        self.greeter = Greeter::Up;
        self.ours = false;
        self.client.greeter_gone();
        self.greeter_backoff.up(self.now);
        self.greeter_begins();
        self.act(Action::StartGreeter);
    }

    /// Has the greeter end by itself within [`GREETER_LEAVES`].
    pub(super) fn greeter_leaves(&mut self) {
        self.greeter = Greeter::Leaving { terminate_at: self.now + GREETER_LEAVES };
    }

    fn terminate_greeter(&mut self) {
        if matches!(self.greeter, Greeter::Up | Greeter::Leaving { .. }) {
            self.greeter = Greeter::Ending { kill_at: self.now + GREETER_ENDS };
            self.act(Action::TerminateGreeter);
        }
    }

    fn kill_greeter(&mut self) {
        self.greeter = Greeter::Killed;
        self.act(Action::KillGreeter);
    }

    fn greeter_exited(&mut self, why: &str) {
        let was = std::mem::replace(&mut self.greeter, Greeter::Down);
        self.greeter_gone(was == Greeter::Up);
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::StartingSession(Starting::GreeterEnds(choice)) => self.start_session(choice),
            State::Greeting | State::Connecting(_) | State::Authenticating(_) | State::Choosing(_) => {
                self.report(format!("the greeter ended without a session: {why}"));
                self.drop_worker();
                let retry_at = self.greeter_backoff.down(self.now);
                self.state = State::Failed { retry_at };
            }
            other => {
                if was == Greeter::Up {
                    self.report(format!("the greeter ended: {why}"));
                }
                self.state = other;
            }
        }
    }

    pub(super) fn start_session(&mut self, choice: super::Choice) {
        self.greeter_backoff.done();
        self.announced.clear();
        self.act(Action::StartSession(choice));
        self.state = State::StartingSession(Starting::Asked { until: self.now + SESSION_STARTS });
    }

    fn link_closed(&mut self) {
        self.client.greeter_gone();
        if self.is_automatic() {
            return;
        }
        // Our own greeter closes its one connection as it ends. What remains of it, and of its PAM session, goes while the
        // server starts the session; no window of that can be there sooner.
        if self.ours {
            match std::mem::replace(&mut self.state, State::Greeting) {
                State::StartingSession(Starting::GreeterEnds(choice)) => return self.start_session(choice),
                other => self.state = other,
            }
        }
        // A closed connection ends nothing by itself, there are greeters that make one for each request. But who waits for
        // an answer and hangs up has given up.
        if self.login().is_some_and(|login| login.owed.is_some()) {
            self.abandon();
        }
    }

    fn link_broken(&mut self, why: &str) {
        self.client.greeter_gone();
        self.report(format!("the greeter broke the protocol: {why}"));
        if self.login().is_some() && !self.is_automatic() {
            self.abandon();
        }
    }

    // --- worker ---

    /// Starts a worker that connects to one of these servers; empty: as configured.
    pub(super) fn start_worker(&mut self, servers: Vec<String>) {
        self.workers += 1;
        let worker =
            Worker { id: self.workers, servers: servers.clone(), server: None, login: String::new(), until: None };
        self.worker = Some(worker);
        self.act(Action::StartWorker(self.workers, servers));
    }

    /// Takes the connection that was made ahead to these servers for the login that was begun, or makes one.
    pub(super) fn claim_worker(&mut self, servers: Vec<String>) {
        match &mut self.worker {
            Some(worker) if worker.servers == servers => {
                worker.until = None;
                if let Some(login) = self.login() {
                    login.ahead = true;
                }
            }
            _ => {
                self.drop_worker();
                self.start_worker(servers);
            }
        }
    }

    /// The greeter says that a login is coming.
    pub(super) fn prepare(&mut self) {
        if self.worker.is_none() && self.now >= self.prepare_again {
            self.start_worker(Vec::new());
            self.keep_prepared();
        }
    }

    /// The connection is for the login to come.
    pub(super) fn keep_prepared(&mut self) {
        let until = self.now + PREPARED;
        if let Some(worker) = &mut self.worker {
            worker.until = Some(until);
        }
    }

    /// A connection made ahead has failed.
    pub(super) fn prepare_failed(&mut self) {
        self.prepare_again = self.now + PREPARE_AGAIN;
    }

    pub(super) fn drop_worker(&mut self) {
        if self.worker.take().is_some() {
            self.act(Action::DropWorker);
        }
        if let Local::Up(id) = self.local {
            self.local = Local::Ending(id);
            self.act(Action::StopLocal);
        }
    }

    /// Ends the worker; kindly if there is a session to end.
    fn stop_worker(&mut self, session: bool) {
        let until = self.now + WORKER_STOPS;
        if !session {
            self.drop_worker();
        } else if let Some(worker) = &mut self.worker {
            worker.until = Some(until);
            self.act(Action::Tell(Command::Stop));
        }
    }

    fn worker_exited(&mut self) {
        self.worker_event(crate::worker::protocol::Event::Failed(
            Failure::new(FailureKind::Internal).detail("the session worker ended unexpectedly"),
        ));
    }

    // --- local programs ---

    /// The session runs: its user may start programs here, if anybody may.
    pub(super) fn start_local(&mut self, user: Option<Box<UserRecord>>) {
        self.auto_backoff.up(self.now);
        if self.policy.local_apps && self.local == Local::Down {
            self.locals += 1;
            self.local = Local::Up(self.locals);
            let login = self.worker.as_ref().map(|worker| worker.login.clone()).unwrap_or_default();
            self.act(Action::StartLocal(self.locals, login, user));
        }
    }

    fn local_exited(&mut self, id: u64, why: Option<String>) {
        if self.local != Local::Up(id) && self.local != Local::Ending(id) {
            return;
        }
        self.local = Local::Down;
        if let Some(why) = why {
            self.report(format!("the local session ended: {why}"));
        }
    }

    /// The session is over, or has failed; back to a greeter, or out.
    pub(super) fn session_over(&mut self, failure: Option<Failure>) {
        let ran = matches!(self.state, State::InSession);
        let status = match &failure {
            None => Some(0),
            // The user has had no session yet.
            Some(f) if matches!(f.kind, FailureKind::SessionTooShort | FailureKind::SessionFailed) => None,
            Some(_) => ran.then_some(EXIT_SESSION),
        };
        if let Some(failure) = &failure {
            self.report(format!("the session failed: {failure}"));
            self.client.failed(failure, self.now);
        }
        if ran || failure.is_none() {
            self.client_ended();
        }
        // A failed one is told by a greeter, and not tried again.
        self.automatic = failure.is_none();
        self.guest_refused &= failure.is_some();
        self.auto_again = self.auto_backoff.down(self.now);
        self.failure = failure;
        self.drop_worker();
        self.terminate_greeter();
        self.state = State::Stopping(match status {
            Some(status) if self.policy.once => Then::Exit(status),
            _ => Then::Restart,
        });
    }

    // --- time and the end ---

    fn tick(&mut self) {
        if self.greeter == Greeter::Up && self.greeter_hangs() {
            self.kill_greeter();
        }
        match self.greeter {
            Greeter::Leaving { terminate_at } if self.now >= terminate_at => self.terminate_greeter(),
            Greeter::Ending { kill_at } if self.now >= kill_at => self.kill_greeter(),
            _ => {}
        }
        if self.worker.as_ref().and_then(|w| w.until).is_some_and(|until| self.now >= until) {
            self.drop_worker();
        }
        if let State::StartingSession(Starting::Asked { until }) = self.state
            && self.now >= until
        {
            let failure = Failure::new(FailureKind::Internal).detail("the session worker does not answer");
            self.session_over(Some(failure));
        }
        self.guest_tick();
    }

    fn shutdown(&mut self) {
        let again = matches!(self.state, State::Stopping(Then::Exit(_)));
        let session = matches!(self.state, State::InSession | State::StartingSession(Starting::Asked { .. }));
        if again {
            // Asked twice: no more kindness.
            self.drop_worker();
            if self.greeter != Greeter::Down {
                self.kill_greeter();
            }
            return;
        }
        self.stop_worker(session);
        self.terminate_greeter();
        self.state = State::Stopping(Then::Exit(0));
    }

    /// Goes on as soon as what must end has ended.
    fn proceed(&mut self) {
        match self.state {
            State::Stopping(then) => {
                if self.worker.is_some() || self.greeter != Greeter::Down || self.local != Local::Down {
                    return;
                }
                match self.display {
                    Display::Stopping => {}
                    Display::Starting | Display::Up if !self.policy.attached => {
                        self.display = Display::Stopping;
                        self.act(Action::StopDisplay);
                    }
                    Display::Down | Display::Starting | Display::Up => match then {
                        Then::Exit(status) => {
                            self.state = State::Ended;
                            self.act(Action::Exit(status));
                        }
                        Then::Restart if self.display == Display::Up => self.greet(),
                        Then::Restart => self.start_display(),
                    },
                }
            }
            State::Failed { retry_at } => {
                let busy = self.greeter != Greeter::Down || self.worker.is_some() || self.local != Local::Down;
                if busy || self.now < retry_at {
                    return;
                }
                if self.display == Display::Up { self.greet() } else { self.start_display() }
            }
            _ => {}
        }
    }
}
