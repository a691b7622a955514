//! Carries out what the state machine decides: the one loop of the daemon, on one thread.
//!
//! Every part (display, greeter, worker, socket) is a task that owns its process, reports into one bounded queue and is
//! waited for at the end. The loop itself never waits for a part.

mod access;
mod client;
mod last_user;
mod layouts;
mod power;
mod services;
mod sessions;
mod state;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use ldm_protocol::client::Access;
use ldm_protocol::greetd::BUILT_IN_LOOK;
use ldm_protocol::{Failure, text};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::{Action, Event, Guest, Limit, Policy, Rules, Seat, Told};
use crate::audio::Sound;
use crate::config::Config;
use crate::display::{Display, DisplayError, DisplaySpec};
use crate::greeter_link::{Directory, DirectoryError, FromGreeter, Greeter, Link, LinkError, ToGreeter};
use crate::local_session;
use crate::log::chain;
use crate::sys::{self, Account, AccountError};
use crate::worker::protocol::{Command, LocalDisplay};

/// Events that wait; who has more to say waits.
const QUEUE: usize = 32;
/// Commands that wait for a part. A part that lets more pile up has hung.
const COMMANDS: usize = 64;
/// Longest line about a failure.
const LOG_LINE: usize = 1000;
/// An X server that is no longer wanted has this long to finish its start, so that it can be ended kindly.
const DISPLAY_STARTS: Duration = Duration::from_secs(5);
/// A notice has nothing to finish.
const NOTICE_ENDS: Duration = Duration::from_secs(1);
/// At the end parts have this long to end; each has its own, shorter limits.
const FAREWELL: Duration = Duration::from_secs(10);

/// A seat cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Create the user, or name another in the configuration.
    #[error("{key}: {source}; create the user, or name another one")]
    Account {
        /// The key that names the user.
        key: &'static str,
        /// What is wrong with it.
        source: AccountError,
    },
    /// The user of this process is in no database. Run it as one that is.
    #[error(transparent)]
    Current(#[from] AccountError),
    /// The seat's directory cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The greeter's socket cannot be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[from] std::io::Error),
}

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--display`: a display that runs already.
    pub display: Option<String>,
    /// `--once`.
    pub once: bool,
}

/// What arrives in the queue.
#[derive(Debug)]
pub(super) enum Input {
    Seat(Event),
    Display(LocalDisplay),
    Greeter(FromGreeter),
}

/// Runs the seat to its end; the exit status.
pub async fn run(config: Config, options: Options) -> Result<u8, SetupError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    if let Err(error) = sys::adopt_orphans() {
        tracing::warn!(%error, "what greeters leave running cannot be ended");
    }
    let (mut driver, mut inputs) = Driver::new(config, &options)?;
    let mut seat = Seat::new(driver.policy(&options), Instant::now());
    let mut event = Some(Event::Start);
    loop {
        if let Some(event) = event.take() {
            for action in seat.step(Instant::now(), event) {
                if let Some(status) = driver.carry_out(action) {
                    driver.end(inputs).await;
                    return Ok(status);
                }
            }
        }
        let deadline = seat.deadline();
        let sleep = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now));
        event = tokio::select! {
            Some(input) = inputs.recv() => Some(driver.take(input)),
            Some(ended) = driver.tasks.join_next_with_id() => driver.joined(ended),
            () = sleep, if deadline.is_some() => Some(Event::Tick),
            _ = terminate.recv() => Some(Event::Shutdown),
            _ = interrupt.recv() => Some(Event::Shutdown),
            _ = hangup.recv() => Some(Event::Shutdown),
        };
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Display,
    Greeter,
    Socket,
    Worker(u64),
    Notice,
    Local(u64),
    Sound,
    Beside,
    /// Something that a greeter asked for besides the login.
    Client,
}

struct Driver {
    config: Config,
    greeter: Greeter,
    worker_account: Account,
    directory: Directory,
    attach: Option<String>,
    events: mpsc::Sender<Input>,
    tasks: JoinSet<()>,
    parts: HashMap<Id, Part>,
    to_link: mpsc::Sender<ToGreeter>,
    /// The connection of the last request: where answers go.
    connection: u64,
    display: Option<LocalDisplay>,
    stop_display: Option<oneshot::Sender<()>>,
    to_greeter: Option<mpsc::Sender<Signal>>,
    to_worker: Option<(u64, mpsc::Sender<Command>)>,
    /// One for each notice; dropping it closes the notice.
    notices: Vec<oneshot::Sender<()>>,
    /// Our end of the socket pair between the worker and a local session, until there is one.
    local_end: Option<OwnedFd>,
    stop_local: Option<oneshot::Sender<()>>,
    /// Of the session that runs or begins.
    sound: Option<Sound>,
    /// What is switched on at the greeter, and for its sessions.
    access: Access,
    /// Programs beside the greeter that runs.
    beside: Option<access::Running>,
    /// Closed when the programs beside the last greeter have ended.
    beside_ended: Option<oneshot::Receiver<()>>,
    /// Message buses so far.
    buses: u64,
    /// What is to be remembered of that; dropping it has the last of it written.
    keep_access: watch::Sender<Access>,
    choices: client::Choices,
}

impl Driver {
    fn new(config: Config, options: &Options) -> Result<(Self, mpsc::Receiver<Input>), SetupError> {
        let (greeter_account, worker_account) = accounts(&config)?;
        let directory = Directory::make(&greeter_account)?;
        directory.publish(&[])?;
        prepare_first_use(&config, &worker_account);
        local_session::sweep(directory.base());
        let link = Link::listen(&directory.socket(), &greeter_account)?;
        let (events, inputs) = mpsc::channel(QUEUE);
        let (to_link, link_commands) = mpsc::channel(COMMANDS);
        let greeter = Greeter {
            command: config.greeter.clone(),
            account: greeter_account,
            theme: config.theme.clone(),
            language: config.greeter_language().cloned(),
            vt: config.vt,
        };
        let access = access::remembered(&config.state_dir, config.access);
        let mut driver = Self {
            config,
            greeter,
            worker_account,
            directory,
            attach: options.display.clone(),
            events,
            tasks: JoinSet::new(),
            parts: HashMap::new(),
            to_link,
            connection: 0,
            display: None,
            stop_display: None,
            to_greeter: None,
            to_worker: None,
            notices: Vec::new(),
            local_end: None,
            stop_local: None,
            sound: None,
            access,
            beside: None,
            beside_ended: None,
            buses: 0,
            keep_access: watch::channel(access).0,
            choices: client::Choices::default(),
        };
        if driver.config.directx {
            tracing::warn!(
                "LDM_DIRECTX is on: everything that sessions show and everything that is typed into them goes over the \
                 network in the clear"
            );
        }
        driver.start_keeping();
        let events = driver.events.clone();
        driver.spawn(Part::Socket, async move {
            let (to_us, mut from_link) = mpsc::channel(1);
            let forward = async {
                while let Some(event) = from_link.recv().await {
                    if events.send(Input::Greeter(event)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::join!(link.serve(to_us, link_commands), forward);
        });
        Ok((driver, inputs))
    }

    fn policy(&self, options: &Options) -> Policy {
        let config = &self.config;
        let hostname = sys::hostname();
        let guest = Guest::of(config, &hostname).unwrap_or_else(|why| {
            tracing::warn!("{}", text::sanitise_line(&why, LOG_LINE));
            None
        });
        Policy {
            rules: Rules::of(config),
            limit: Limit::of(config),
            guest,
            hostname,
            server: config.servers.first().cloned().unwrap_or_default(),
            facts: self.facts(),
            session: config.session.clone(),
            force_session: config.force_session.clone(),
            language: config.language.clone(),
            force_language: config.force_language.clone(),
            local_apps: config.local_apps,
            own_greeter: config.greeter.is_empty(),
            layouts: self.layouts(),
            remember_user: config.remember_user,
            attached: self.attach.is_some(),
            once: options.once,
        }
    }

    fn spawn(&mut self, part: Part, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.parts.insert(handle.id(), part);
    }

    /// What a message from a part means to the seat.
    fn take(&mut self, input: Input) -> Event {
        match input {
            Input::Seat(event) => {
                if let Event::DisplayExited(_) = event {
                    self.display = None;
                    self.stop_display = None;
                } else if let Event::GreeterExited(_) = event {
                    self.to_greeter = None;
                    self.beside = None;
                    self.tell_link(ToGreeter::Close);
                } else if let Event::WorkerExited(_) = event {
                    self.sound = None;
                }
                event
            }
            Input::Display(local) => {
                tracing::info!("the display {} is ready", local.name);
                self.display = Some(local);
                Event::DisplayReady
            }
            Input::Greeter(FromGreeter::Request(connection, request)) => {
                self.connection = connection;
                Event::Request(request)
            }
            Input::Greeter(FromGreeter::Closed) => Event::LinkClosed,
            Input::Greeter(FromGreeter::Broken(why)) => Event::LinkBroken(why),
        }
    }

    /// A part's task has ended. It has reported before, unless it panicked.
    fn joined(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) -> Option<Event> {
        let error = match ended {
            Ok((id, ())) => {
                self.parts.remove(&id);
                return None;
            }
            Err(error) => error,
        };
        let part = self.parts.remove(&error.id())?;
        tracing::error!(?part, "a task of the daemon died; this is a defect");
        let why = "its task died".to_owned();
        match part {
            Part::Display => Some(self.take(Input::Seat(Event::DisplayExited(why)))),
            Part::Greeter => Some(self.take(Input::Seat(Event::GreeterExited(why)))),
            Part::Worker(id) => Some(self.take(Input::Seat(Event::WorkerExited(id)))),
            Part::Local(id) => Some(Event::LocalExited(id, Some(why))),
            Part::Client => Some(Event::Client(Told::Died)),
            Part::Sound | Part::Notice | Part::Beside => None,
            // Nobody can log in without it; the service manager starts us again.
            Part::Socket => Some(Event::Shutdown),
        }
    }

    /// Does it; the exit status if that was the last.
    fn carry_out(&mut self, action: Action) -> Option<u8> {
        match action {
            Action::StartDisplay => self.start_display(),
            Action::StopDisplay => {
                if let Some(stop) = self.stop_display.take() {
                    let _ = stop.send(());
                }
            }
            Action::StartGreeter => self.start_greeter(),
            Action::WithdrawTheme => self.greeter.theme = Some(BUILT_IN_LOOK.to_owned()),
            Action::TerminateGreeter => self.signal_greeter(Signal::SIGTERM),
            Action::KillGreeter => self.signal_greeter(Signal::SIGKILL),
            Action::Reply(response) => self.tell_link(ToGreeter::Reply(self.connection, response)),
            Action::CloseLink => self.tell_link(ToGreeter::Close),
            Action::PublishSessions(sessions) => {
                if let Err(error) = self.directory.publish(&sessions) {
                    tracing::warn!(error = %chain(&error), "foreign greeters see no session list");
                }
            }
            Action::StartWorker(id, servers) => self.start_worker(id, servers),
            Action::Tell(command) => self.tell_worker(command),
            Action::StartSession(choice) => self.start_session(choice),
            Action::DropWorker => {
                (self.to_worker, self.local_end) = (None, None);
                // They are about a session that is over.
                self.notices.clear();
            }
            Action::Announce(failure) => self.announce(&failure),
            Action::StartLocal(id, login, user) => self.start_local(id, login, user),
            Action::StopLocal => self.stop_local = None,
            Action::ProbeServers => self.probe_servers(),
            Action::UseServer(name) => self.choices.server = name,
            Action::RunCommand(number) => self.run_command(number),
            Action::Power { action, confirmed } => self.power(action, confirmed),
            Action::TestSound => self.test_sound(),
            Action::Facts(facts) => self.tell_facts(*facts),
            Action::UseLayout(group) => self.choices.group = group,
            Action::RememberUser(name) => self.remember_user(&name),
            Action::SetAccess(access) => self.set_access(access),
            // The last words of a session are in it, and may be anything.
            Action::Failed(what) => tracing::warn!("{}", text::sanitise_line(&what, LOG_LINE)),
            Action::Exit(status) => return Some(status),
        }
        None
    }

    fn start_display(&mut self) {
        let (stop, stopped) = oneshot::channel();
        self.stop_display = Some(stop);
        let source = match &self.attach {
            Some(name) => Source::Attach(name.clone(), user_authority()),
            None => Source::Start(Box::new(self.display_spec())),
        };
        let owner = sys::is_root().then(|| {
            let account = &self.greeter.account;
            (nix::unistd::Uid::from_raw(account.uid), nix::unistd::Gid::from_raw(account.gid))
        });
        let (authority, events, keyboard) = (self.directory.authority(), self.events.clone(), self.keyboard());
        self.spawn(Part::Display, async move {
            let why = serve_display(source, authority, owner, keyboard, &events, stopped).await;
            let _ = events.send(Input::Seat(Event::DisplayExited(why))).await;
        });
    }

    fn display_spec(&self) -> DisplaySpec {
        let mut spec = DisplaySpec::new(self.directory.path());
        if let Some((program, args)) = self.config.xserver.split_first() {
            spec.program = program.into();
            spec.args = args.iter().map(OsString::from).collect();
        }
        spec.vt = self.config.vt.map(u32::from);
        spec.listen_tcp = self.config.directx;
        // For servers that are windows on another display.
        spec.env = ["DISPLAY", "XAUTHORITY", "HOME"]
            .iter()
            .filter_map(|key| std::env::var_os(key).map(|value| (OsString::from(key), value)))
            .collect();
        spec
    }

    fn start_greeter(&mut self) {
        self.reset_keyboard();
        if let Err(error) = self.directory.fresh_home() {
            tracing::warn!(error = %chain(&error), "the greeter keeps its old home");
        }
        let display = self.display.as_ref().map(|d| d.name.clone()).unwrap_or_default();
        let (commands, mut signals) = mpsc::channel(COMMANDS);
        self.to_greeter = Some(commands);
        let bus = self.start_beside(&display);
        let started = self.greeter.start(&display, &self.directory, bus.as_deref(), self.access.screen_reader);
        let events = self.events.clone();
        self.spawn(Part::Greeter, async move {
            let why = match started {
                Ok(mut child) => loop {
                    tokio::select! {
                        status = child.wait() => break status.map_or_else(|e| e.to_string(), |s| s.to_string()),
                        Some(signal) = signals.recv() => child.signal(signal),
                    }
                },
                Err(error) => error.to_string(),
            };
            sys::end_strays().await;
            let _ = events.send(Input::Seat(Event::GreeterExited(why))).await;
        });
    }

    fn announce(&mut self, failure: &Failure) {
        let display = self.display.as_ref().map(|d| d.name.clone()).unwrap_or_default();
        match self.greeter.announce(failure, &display, &self.directory) {
            Ok(mut child) => {
                let (keep, ended) = oneshot::channel::<()>();
                self.notices.push(keep);
                self.spawn(Part::Notice, async move {
                    tokio::select! {
                        _ = child.wait() => {}
                        _ = ended => drop(child.terminate(NOTICE_ENDS).await),
                    }
                    // Such as the message bus that GTK starts where there is none.
                    sys::end_strays().await;
                });
            }
            Err(error) => tracing::warn!(%error, "the user is not told"),
        }
    }

    fn signal_greeter(&self, signal: Signal) {
        if let Some(greeter) = &self.to_greeter {
            // A full queue of signals holds this one already.
            let _ = greeter.try_send(signal);
        }
    }

    fn tell_link(&self, command: ToGreeter) {
        if self.to_link.try_send(command).is_err() {
            tracing::error!("the greeter's socket does not take answers");
        }
    }

    /// Waits until every part has ended. Letting go of their queues tells them.
    async fn end(self, mut inputs: mpsc::Receiver<Input>) {
        let Self {
            events,
            mut tasks,
            to_link,
            to_worker,
            to_greeter,
            stop_display,
            stop_local,
            sound,
            directory,
            notices,
            choices,
            beside,
            keep_access,
            ..
        } = self;
        drop((
            events,
            to_link,
            to_worker,
            to_greeter,
            stop_display,
            stop_local,
            sound,
            notices,
            choices,
            beside,
            keep_access,
        ));
        let all = async {
            loop {
                tokio::select! {
                    ended = tasks.join_next() => if ended.is_none() { return },
                    // Their last words, which nobody needs any more.
                    Some(_) = inputs.recv() => {}
                }
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::error!("some parts do not end; they are killed");
        }
        drop(directory);
    }
}

enum Source {
    Start(Box<DisplaySpec>),
    Attach(String, Option<PathBuf>),
}

/// Keeps a display until it ends or is to be ended; why it ended.
async fn serve_display(
    source: Source,
    authority: PathBuf,
    owner: Option<(nix::unistd::Uid, nix::unistd::Gid)>,
    keyboard: layouts::Setup,
    events: &mpsc::Sender<Input>,
    mut stopped: oneshot::Receiver<()>,
) -> String {
    let start = async {
        let display = match source {
            Source::Start(spec) => Display::start(&spec).await?,
            Source::Attach(name, file) => Display::attach(&name, file.as_deref()).await?,
        };
        display.write_authority(&authority, owner)?;
        keyboard.apply(&display.name().to_string()).await;
        Ok::<_, DisplayError>(display)
    };
    tokio::pin!(start);
    let mut display = tokio::select! {
        result = &mut start => match result {
            Ok(display) => display,
            Err(error) => return error.to_string(),
        },
        _ = &mut stopped => {
            // Killed while it takes over the console, it would leave that in graphics mode.
            if let Ok(Ok(display)) = tokio::time::timeout(DISPLAY_STARTS, start).await {
                display.stop().await;
            }
            return "stopped".to_owned();
        }
    };
    let local = LocalDisplay { name: display.name().to_string(), cookie: display.cookie().map(|c| *c.expose()) };
    let _ = events.send(Input::Display(local)).await;
    tokio::select! {
        why = display.exited() => why,
        _ = &mut stopped => {
            display.stop().await;
            "stopped".to_owned()
        }
    }
}

/// The language of this client.
fn own_language() -> Option<String> {
    std::env::var("LANG").ok().filter(|language| ldm_protocol::helper::is_locale(language))
}

/// The X authority file of whoever started us (Xau(3)).
fn user_authority() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".Xauthority"));
    std::env::var_os("XAUTHORITY").map(PathBuf::from).or_else(home).filter(|path| path.exists())
}

/// The greeter's and the worker's user.
fn accounts(config: &Config) -> Result<(Account, Account), SetupError> {
    if !sys::is_root() {
        let current = Account::current()?;
        tracing::info!(
            user = current.name,
            "not started as root: the greeter and the connection run as this user too, and there are no virtual terminals"
        );
        return Ok((current.clone(), current));
    }
    let find = |key, name: &str| Account::find(name).map_err(|source| SetupError::Account { key, source });
    Ok((find("LDM_GREETER_USER", &config.greeter_user)?, find("LDM_WORKER_USER", &config.worker_user)?))
}

/// The worker's user must be able to add keys where trust on first use keeps them.
fn prepare_first_use(config: &Config, account: &Account) {
    let Some(dir) = config.trust_first_use.as_deref().and_then(std::path::Path::parent) else { return };
    tracing::warn!("LDM_TRUST_FIRST_USE is on: a server that is met for the first time is trusted whoever it is");
    if dir.exists() {
        return;
    }
    if let Err(error) = std::fs::create_dir(dir).and_then(|()| sys::give_to(dir, account)) {
        tracing::warn!(dir = %dir.display(), %error, "keys of new servers cannot be remembered");
    }
}
