//! `ldm login`: the login of a thin client, from a terminal and on the display at hand.
//!
//! Runs under the user's own uid, needs no root and drops none. It does what the session worker does, with the same code, in one
//! process: the user already trusts it with everything they have.

mod chooser;
mod private_dir;
pub mod sound_test;
mod target;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use ldm_protocol::client::Access;
use ldm_protocol::{Failure, FailureKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::audio::{Settings, Sound};
use crate::auth::Cancelled;
use crate::config::SoundDaemon;
use crate::display::{Display, DisplayError, DisplaySpec};
use crate::sys::{self, Account};
use crate::worker::protocol::{self, Connect, LocalDisplay, Services, Start};
use crate::worker::{Remote, RemoteSession};
use private_dir::PrivateDir;
use target::Target;
use terminal::Terminal;

/// What ssh(1) exits with when it is ssh itself that failed.
const FAILED: u8 = 255;
/// 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// As many as OpenSSH's client asks for a password.
const ATTEMPTS: usize = 3;
/// Where unknown hosts may be entered for all users.
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

/// Log in to a server from this terminal; its session appears on this display.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Server, with a user name if it is not yours, and a port if it is not 22.
    #[arg(value_name = "[USER@]SERVER[:PORT]")]
    target: String,

    /// Session to start, by its id; asked for if there are several.
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Keep this computer's sound out of the session.
    #[arg(long)]
    no_sound: bool,

    /// Open the session in a window of its own (Xephyr).
    #[arg(long)]
    window: bool,

    /// Known-hosts file, instead of ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts; may be given several times.
    #[arg(long, value_name = "FILE")]
    known_hosts: Vec<PathBuf>,
}

/// Why it ended without a session's status.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    /// The failure says what to do.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// The display cannot be used.
    #[error("{0}")]
    Display(#[from] DisplayError),
    /// Set `DISPLAY`: run it in a desktop.
    #[error("there is no DISPLAY to show the session on; run this in a desktop")]
    NoDisplay,
    /// The name of the server cannot be read.
    #[error("{0}")]
    Target(#[from] target::BadTarget),
    /// The user gave up.
    #[error("the login was given up")]
    Cancelled,
    /// Signals or runtime.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Cancelled> for LoginError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<Failure> for LoginError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Logs in, and waits for the session's end. Logging is set up by the caller.
pub fn run(args: &Args) -> ExitCode {
    // A core file would hold the password.
    let _ = sys::harden();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return explain(&error.into()),
    };
    let result = runtime.block_on(login(args));
    // A thread may still wait for the terminal.
    runtime.shutdown_background();
    match result {
        Ok(status) => ExitCode::from(u8::try_from(status & 0xff).unwrap_or(FAILED)),
        Err(error) => explain(&error),
    }
}

fn explain(error: &LoginError) -> ExitCode {
    terminal::complain(&format!("ldm login: {error}"));
    match error {
        LoginError::Failed(failure) if failure.kind == FailureKind::HostKeyUnknown => {
            terminal::complain(
                "If this is the server's fingerprint, enter its key in ~/.ssh/known_hosts: log in once with ssh, which asks.",
            );
        }
        LoginError::Cancelled => return ExitCode::from(INTERRUPTED),
        _ => {}
    }
    ExitCode::from(FAILED)
}

/// A session on a display, while both are there.
struct Running {
    session: RemoteSession,
    remote: Remote,
    display: Display,
    /// With the task that keeps its daemon.
    sound: Option<(Sound, JoinHandle<()>)>,
    /// For the window's authority file, and the sound daemon.
    _directory: PrivateDir,
}

async fn login(args: &Args) -> Result<i32, LoginError> {
    let mut interrupts = Interrupts::new()?;
    let mut running = tokio::select! {
        running = begin(args) => running?,
        // What was begun is dropped: the terminal's echo comes back, and the server ends what it may have started.
        () = interrupts.next() => return Err(LoginError::Cancelled),
    };
    let ended = tokio::select! {
        result = running.session.ended() => Some(result),
        // Closing the window is a logout.
        why = running.display.exited() => {
            tracing::info!(why, "the display has ended");
            None
        }
        () = interrupts.next() => None,
    };
    let result = if let Some(result) = ended {
        result
    } else {
        tokio::select! {
            result = running.session.end() => result,
            () = interrupts.next() => return Err(LoginError::Cancelled),
        }
    };
    if result.as_ref().is_err_and(|failure| failure.kind == FailureKind::SessionLost) {
        drop(running.session);
        running.remote.tidy().await;
    }
    running.remote.close().await;
    if let Some((sound, task)) = running.sound.take() {
        drop(sound);
        let _ = task.await;
    }
    running.display.stop().await;
    Ok(result?)
}

/// Everything up to the session's start.
async fn begin(args: &Args) -> Result<Running, LoginError> {
    let target: Target = args.target.parse()?;
    if std::env::var_os("DISPLAY").is_none() {
        return Err(LoginError::NoDisplay);
    }
    let mut terminal = Terminal::open();
    // Before the user types a password, not after.
    let here = if args.window { None } else { Some(current_display().await?) };
    let mut remote = authenticate(&args.known_hosts, &target, &mut terminal).await?;
    let session = match &args.session {
        Some(id) => Some(id.clone()),
        None if terminal.is_interactive() => chooser::choose(&mut remote, &mut terminal).await?,
        None => None,
    };
    let directory = PrivateDir::new()?;
    let display = match here {
        Some(display) => display,
        None => window(&target, &directory).await?,
    };
    let sound = if args.no_sound { None } else { start_sound(&directory, &terminal) };
    let microphone = true;
    let services = Services {
        sound: sound.as_ref().map(|(sound, _)| protocol::Sound { socket: sound.socket().to_owned(), microphone }),
        ..Services::default()
    };
    let start = Start {
        session,
        remember: false,
        language: None,
        xsession: None,
        display: LocalDisplay {
            name: display.name().to_string(),
            cookie: display.cookie().map(|cookie| *cookie.expose()),
        },
        direct: None,
        services,
        remember_language: false,
        language_is_default: true,
        env: Vec::new(),
        keyboard: None,
        access: Access::default(),
        end_others: false,
        end_only: None,
    };
    let session = remote.start(start).await?;
    for notice in session.notices() {
        terminal.tell(&notice.to_string());
    }
    Ok(Running { session, remote, display, sound, _directory: directory })
}

/// This user's sound: of the daemon that runs, else of one for this session. Volumes are the user's own affair.
fn start_sound(directory: &PrivateDir, terminal: &Terminal) -> Option<(Sound, JoinHandle<()>)> {
    let settings = Settings { daemon: SoundDaemon::Auto, volume: None, microphone: true, local: false };
    let prepared = Account::current()
        .map_err(|error| error.to_string())
        .and_then(|account| Sound::prepare(settings, &account, directory.path()).map_err(|error| error.to_string()));
    match prepared {
        Ok((sound, task)) => Some((sound, tokio::spawn(task))),
        Err(why) => {
            terminal.tell(&format!("The session will have no sound: {why}"));
            None
        }
    }
}

/// Connects and authenticates, and asks again after a wrong answer.
async fn authenticate(known_hosts: &[PathBuf], target: &Target, terminal: &mut Terminal) -> Result<Remote, LoginError> {
    let mut known_hosts = known_hosts.to_vec();
    if known_hosts.is_empty() {
        known_hosts.extend(std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh/known_hosts")));
        known_hosts.push(SYSTEM_KNOWN_HOSTS.into());
    }
    let to = Connect { servers: vec![target.server.clone()], port: target::PORT, known_hosts, ..Connect::default() };
    let user = target.user()?;
    let mut attempts = 1;
    loop {
        let mut remote = Remote::connect(&to).await?;
        match remote.authenticate(&user, None, terminal).await.ok_or(LoginError::Cancelled)? {
            Ok(()) => return Ok(remote),
            Err(failure) if failure.kind == FailureKind::Denied && terminal.is_interactive() && attempts < ATTEMPTS => {
                terminal.tell(&failure.to_string());
                attempts += 1;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// The display we are on.
async fn current_display() -> Result<Display, LoginError> {
    let name = std::env::var("DISPLAY").map_err(|_| LoginError::NoDisplay)?;
    let authority = authority().filter(|path| path.exists());
    Ok(Display::attach(&name, authority.as_deref()).await?)
}

/// Where X clients of this user look for their cookies.
fn authority() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".Xauthority"));
    std::env::var_os("XAUTHORITY").map(PathBuf::from).or_else(home)
}

/// A window that is a display.
async fn window(target: &Target, directory: &PrivateDir) -> Result<Display, LoginError> {
    let title = format!("LDM: {}", target.server);
    let mut spec = DisplaySpec::new(directory.path());
    spec.program = "Xephyr".into();
    spec.args = ["-screen", "1280x800", "-resizeable", "-title", &title].map(OsString::from).into();
    for name in ["DISPLAY", "XAUTHORITY", "HOME", "LANG"] {
        spec.env.extend(std::env::var_os(name).map(|value| (name.into(), value)));
    }
    Ok(Display::start(&spec).await?)
}

/// Signals that ask for an end.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
