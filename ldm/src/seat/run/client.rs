//! What is about the client and not about a login: facts for the greeter, servers, menu, power, sound test, keyboard.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ldm_protocol::client::{Facts, MenuItem, Power, Server, SoundTest};
use ldm_protocol::greetd::{self, Response};
use ldm_protocol::helper::Keyboard;
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::layouts::Setup;
use super::{Driver, Event, Input, Part, last_user, power};
use crate::audio::{self, Sound, tone};
use crate::greeter_link::ToGreeter;
use crate::log::chain;
use crate::probe;
use crate::seat::client::Told;
use crate::sys::{self, Account, Spawn, SpawnError};
use crate::worker::protocol::Command;

/// The probe has 3 s for each server, all at once.
const PROBE: Duration = Duration::from_secs(8);
/// A server is told of twice at most, and there are 64 at most.
const PROBE_LINES: usize = 256;
/// A menu's command has this long to end after SIGTERM.
const COMMAND_ENDS: Duration = Duration::from_secs(2);
/// How long the tone is, in seconds.
const TONE: u32 = 1;
/// Playing takes longer than the tone, but not much.
const PLAYING: Duration = Duration::from_secs(10);
/// What is read of a player's complaints.
const TEXT: usize = 4096;
/// Addresses on the help page.
const ADDRESSES: usize = 16;

/// What runs, or is chosen, beside the logins.
#[derive(Default)]
pub(super) struct Choices {
    /// The server that was chosen.
    pub(super) server: Option<String>,
    /// Place of the layout that the session is to begin with.
    pub(super) group: u8,
    /// The display has other layouts than at its start.
    rotated: bool,
    /// Commands of the menu.
    commands: Vec<Beside>,
    /// One was run since the last session began, and may have left something in the background.
    commands_ran: bool,
    sound_test: Option<Beside>,
}

/// A command of the menu that runs, or a sound test that plays.
struct Beside {
    /// Dropping it ends that.
    stop: oneshot::Sender<()>,
    /// Closed when all of it has ended.
    ended: oneshot::Receiver<()>,
}

impl Beside {
    /// It and what its task needs of it: when to end, and what to drop at last.
    fn new() -> (Self, oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((stop, stopped), (over, ended)) = (oneshot::channel(), oneshot::channel());
        (Self { stop, ended }, stopped, over)
    }

    /// Has it end.
    fn end(self) -> oneshot::Receiver<()> {
        self.ended
    }
}

impl Driver {
    /// What the greeter shows besides, as configured.
    pub(super) fn facts(&self) -> greetd::Seat {
        let config = &self.config;
        let menu = config.menu_items.iter().filter(|(number, _)| config.menu_commands.contains_key(number));
        let menu =
            menu.map(|(&number, name)| MenuItem { number, name: text::sanitise_line(name, limits::SESSION_NAME) });
        greetd::Seat {
            servers: if config.servers.len() > 1 { config.servers.clone() } else { Vec::new() },
            username: self.last_user(),
            menu: menu.collect(),
            power: power::offered(config),
            language_forced: config.force_language.is_some(),
            session_forced: config.force_session.is_some(),
            clock: config.clock_format.clone(),
            monitor: config.monitor.clone(),
            blank: config.blanking,
            access: self.access,
            assistants: self.assistants(),
            ..greetd::Seat::default()
        }
    }

    /// Who logged in last; nobody, and no trace of anybody, where that is not to be remembered.
    fn last_user(&self) -> Option<String> {
        let directory = &self.config.state_dir;
        if self.config.remember_user {
            return last_user::read(directory);
        }
        // Without root there is nothing of ours to forget.
        if let Err(error) = last_user::forget(directory)
            && sys::is_root()
        {
            tracing::warn!(%error, directory = %directory.display(), "who logged in last stays remembered");
        }
        None
    }

    pub(super) fn remember_user(&self, name: &str) {
        if let Err(error) = last_user::write(&self.config.state_dir, name) {
            let directory = self.config.state_dir.display();
            tracing::warn!(%error, %directory, "who logged in last is not remembered");
        }
    }

    /// Layouts that there are to choose from.
    pub(super) fn layouts(&self) -> u8 {
        u8::try_from(self.config.keyboard.layouts()).unwrap_or(4)
    }

    /// The servers that are to be connected to.
    pub(super) fn servers(&self) -> Vec<String> {
        self.choices.server.as_ref().map_or_else(|| self.config.servers.clone(), |server| vec![server.clone()])
    }

    pub(super) fn tell_facts(&self, facts: Facts) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (addresses, mac) = network();
        let facts = Facts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses,
            mac,
            failure: facts.failure.map(|(failure, age)| (failure, now.saturating_sub(age))),
            ..facts
        };
        self.tell_link(ToGreeter::Reply(self.connection, Response::LdmFacts(Box::new(facts))));
    }

    // --- servers ---

    pub(super) fn probe_servers(&mut self) {
        let events = self.events.clone();
        let started = start_probe(&self.config.servers, self.config.port, self.config.log_level, &self.worker_account);
        self.spawn(Part::Client, async move {
            match started {
                Ok((mut child, stream)) => {
                    let read = read_probe(stream, &events);
                    if tokio::time::timeout(PROBE, read).await.is_err() {
                        tracing::warn!("not all servers say how they are in time");
                    }
                    let _ = child.terminate(COMMAND_ENDS).await;
                }
                Err(error) => tracing::warn!(%error, "servers cannot be asked how they are"),
            }
            tell(&events, Told::ServersAsked).await;
        });
    }

    // --- menu ---

    pub(super) fn run_command(&mut self, number: u8) {
        self.choices.commands.retain(|command| !command.stop.is_closed());
        let events = self.events.clone();
        let words = self.config.menu_commands.get(&number).cloned().unwrap_or_default();
        let started = match words.split_first() {
            _ if self.choices.commands.len() >= limits::MENU_COMMANDS => Err("too many of them run already".to_owned()),
            Some((program, args)) => self.start_command(program, args),
            None => Err("there is no such command".to_owned()),
        };
        let (command, stopped, over) = Beside::new();
        if started.is_ok() {
            self.choices.commands.push(command);
            self.choices.commands_ran = true;
        }
        self.spawn(Part::Client, async move {
            match started {
                Ok(mut child) => {
                    tell(&events, Told::Command(Ok(()))).await;
                    tokio::select! {
                        status = child.wait() => {
                            match status {
                                Ok(status) => tracing::info!(number, %status, "a command of the menu has ended"),
                                Err(error) => tracing::warn!(number, %error, "a command of the menu cannot be waited for"),
                            }
                            // What it has put into the background goes with the greeter.
                            sys::reap_strays();
                        }
                        _ = stopped => {
                            let _ = child.terminate(COMMAND_ENDS).await;
                            sys::end_strays().await;
                        }
                    }
                }
                Err(why) => tell(&events, Told::Command(Err(why))).await,
            }
            drop(over);
        });
    }

    fn start_command(&self, program: &str, args: &[String]) -> Result<sys::Child, String> {
        let account = Account::current().map_err(|error| error.to_string())?;
        let display = self.display.as_ref().map(|d| d.name.clone()).unwrap_or_default();
        tracing::info!(program, "a command of the menu is run");
        Spawn::new(program)
            .args(args)
            .env("PATH", power::PATH)
            .env("DISPLAY", display)
            .env("XAUTHORITY", self.directory.authority())
            .env("HOME", &account.home)
            .env("USER", &account.name)
            .env("LOGNAME", &account.name)
            .env("SHELL", "/bin/sh")
            .env_from_ours(&["LANG", "LC_ALL", "TZ"])
            .die_with_us()
            .start()
            .map_err(|error| format!("{program}: {}", error.source))
    }

    // --- power ---

    pub(super) fn power(&mut self, action: Power, confirmed: bool) {
        let (events, program) = (self.events.clone(), self.config.power_program.clone());
        self.spawn(Part::Client, async move {
            let told = power::act(program, action, confirmed).await;
            tell(&events, Told::Power(told)).await;
        });
    }

    // --- sound test ---

    pub(super) fn test_sound(&mut self) {
        let events = self.events.clone();
        let failed = |why: String| SoundTest::Failed(Failure::new(FailureKind::NoSound).detail(&why));
        let (result, start) = match self.prepare_tone() {
            Ok(start) => (SoundTest::Playing, Some(start)),
            Err(why) => (failed(why), None),
        };
        let Some((sound, task, file)) = start else {
            return self.spawn(Part::Client, async move { tell(&events, Told::Sound(result)).await });
        };
        let (test, stopped, over) = Beside::new();
        self.choices.sound_test = Some(test);
        let account = self.worker_account.clone();
        self.spawn(Part::Client, async move {
            let play = async {
                let result = tokio::select! {
                    played = play(sound.socket(), &file, &account) => played.map_or_else(failed, |()| SoundTest::Played),
                    // A session has begun, and has a sound daemon of its own.
                    _ = stopped => SoundTest::None,
                };
                drop(sound);
                let _ = std::fs::remove_file(&file);
                tell(&events, Told::Sound(result)).await;
            };
            tokio::join!(play, task);
            drop(over);
        });
    }

    /// A sound daemon as a session has one, and the tone in a file.
    fn prepare_tone(&self) -> Result<(Sound, impl Future<Output = ()> + Send + use<>, PathBuf), String> {
        let config = &self.config;
        if !config.sound {
            return Err("SOUND is off on this client".to_owned());
        }
        if !audio::is_installed("pacat") {
            return Err("pacat is not installed (package pulseaudio-utils)".to_owned());
        }
        let settings = audio::Settings {
            daemon: config.sound_daemon.clone(),
            volume: Some((config.volume, config.mic_volume)),
            microphone: false,
            local: false,
        };
        let file = self.directory.path().join("tone");
        let written = std::fs::write(&file, tone::make(TONE)).and_then(|()| sys::set_mode(&file, 0o644));
        written.map_err(|error| format!("{}: {error}", file.display()))?;
        let prepared = Sound::prepare(settings, &self.worker_account, self.directory.path());
        let (sound, task) = prepared.map_err(|error| error.to_string())?;
        Ok((sound, task, file))
    }

    /// Ends a sound test. What is returned has closed when the sound card is free.
    pub(super) fn end_sound_test(&mut self) -> Option<oneshot::Receiver<()>> {
        self.choices.sound_test.take().map(Beside::end)
    }

    // --- keyboard ---

    /// For a display that starts.
    pub(super) fn keyboard(&mut self) -> Setup {
        (self.choices.rotated, self.choices.group) = (false, 0);
        Setup::new(&self.config, &self.greeter.account, self.directory.authority())
    }

    /// Before a greeter starts: on a display that is not ours the last session may have left its layouts.
    pub(super) fn reset_keyboard(&mut self) {
        self.choices.group = 0;
        if std::mem::take(&mut self.choices.rotated) {
            let setup = self.keyboard().again(self.config.keyboard.clone());
            let display = self.display.as_ref().map(|d| d.name.clone()).unwrap_or_default();
            self.spawn(Part::Client, async move { setup.apply(&display).await });
        }
    }

    /// The keyboard that the session is told of.
    pub(super) fn session_keyboard(&self) -> Option<Keyboard> {
        let keyboard = self.config.keyboard.rotated(self.choices.group);
        (keyboard != Keyboard::default()).then_some(keyboard)
    }

    /// Has the worker start the session, as soon as no command of the menu runs on its display and that has the layout that
    /// was chosen, and sticky and slow keys. The next session, which may begin without a greeter, begins with the first layout
    /// again.
    pub(super) fn tell_start(&mut self, start: Command) {
        let commands: Vec<_> = self.choices.commands.drain(..).map(Beside::end).collect();
        let commands_ran = std::mem::take(&mut self.choices.commands_ran);
        let group = std::mem::take(&mut self.choices.group);
        let turned = group != 0 || self.choices.rotated;
        // The greeter has done so already; but there may have been none, or another one, or another keyboard since.
        let helped = self.access.sticky_keys || self.access.slow_keys;
        // A layout may have been switched to that nobody could tell of any more: the session would type that one, and show
        // the first.
        let switched = self.layouts() > 1;
        if !turned && !switched && !commands_ran && !helped {
            return self.tell_worker(start);
        }
        let Some(worker) = self.to_worker.as_ref().map(|(_, worker)| worker.downgrade()) else { return };
        let mut setup = if turned {
            Some(self.keyboard().again(self.config.keyboard.rotated(group)))
        } else {
            switched.then(|| self.keyboard().untouched().first())
        };
        if helped {
            setup = Some(setup.unwrap_or_else(|| self.keyboard().untouched()).with_help(self.access));
        }
        self.choices.rotated = group != 0;
        let display = self.display.as_ref().map(|d| d.name.clone()).unwrap_or_default();
        self.spawn(Part::Client, async move {
            for ended in commands {
                let _ = ended.await;
            }
            if commands_ran {
                // A window of root's could be typed into by the session's programs.
                sys::end_strays().await;
            }
            if let Some(setup) = setup {
                setup.apply(&display).await;
            }
            // Unless it was let go of meanwhile.
            if let Some(worker) = worker.upgrade() {
                let _ = worker.send(start).await;
            }
        });
    }
}

async fn tell(events: &mpsc::Sender<Input>, told: Told) {
    let _ = events.send(Input::Seat(Event::Client(told))).await;
}

/// A probe could not be started. The cause says why.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("{0}: {source}", source = .0.source)]
    Spawn(#[from] SpawnError),
    #[error("no socket pair: {0}")]
    Socket(#[from] io::Error),
}

fn start_probe(
    servers: &[String],
    port: u16,
    log_level: u8,
    account: &Account,
) -> Result<(sys::Child, UnixStream), ProbeError> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    let child = Spawn::this_program()
        .args([probe::COMMAND, "--port", &port.to_string(), "--"])
        .args(servers)
        .stdio(OwnedFd::from(theirs))
        .env("LDM_LOGLEVEL", log_level.to_string())
        .env("PATH", power::PATH)
        .account(account)
        .die_with_us()
        .start()?;
    Ok((child, UnixStream::from_std(ours)?))
}

/// Passes on what the probe says, of which no more is taken than it has to say.
async fn read_probe(stream: UnixStream, events: &mpsc::Sender<Input>) {
    let mut lines = BufReader::new(stream);
    for _ in 0..PROBE_LINES {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(limits::PROBE_LINE as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(1..) if line.ends_with(b"\n") => {}
            Ok(_) | Err(_) => return,
        }
        match serde_json::from_slice::<Server>(&line) {
            Ok(server) => tell(events, Told::Server(server)).await,
            Err(_) => return tracing::warn!("the probe says what cannot be understood"),
        }
    }
}

/// Plays the tone as soon as the daemon listens.
async fn play(socket: &Path, file: &Path, account: &Account) -> Result<(), String> {
    if !audio::listens(socket).await {
        return Err("the sound daemon does not start; the log has its words".to_owned());
    }
    let run = audio::client("pacat", socket)
        .args(["-p", "--raw", "--format=s16le", "--channels=1", &format!("--rate={}", tone::RATE)])
        .arg(file)
        .account(account)
        .capture(TEXT);
    match tokio::time::timeout(PLAYING, run).await {
        Ok(Ok(said)) if said.status.success() => Ok(()),
        Ok(Ok(said)) => {
            let line = said.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("pacat failed");
            Err(text::sanitise_line(line, limits::LOG_TAIL_LINE))
        }
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("the sound daemon takes no sound".to_owned()),
    }
}

/// Addresses of this client, and the hardware address of the first interface that has one.
fn network() -> (Vec<String>, Option<String>) {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return (Vec::new(), None) };
    let (mut addresses, mut mac) = (Vec::new(), None);
    for interface in interfaces {
        let up = interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        let Some(address) = interface.address.filter(|_| up) else { continue };
        let ip: std::net::IpAddr = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => v4.ip().into(),
            (_, Some(v6)) if !v6.ip().is_unicast_link_local() => v6.ip().into(),
            _ => continue,
        };
        if ip.is_loopback() || addresses.len() >= ADDRESSES {
            continue;
        }
        mac = mac.or_else(|| sys::hardware_address(&interface.interface_name));
        addresses.push(ip.to_string());
    }
    (addresses, mac)
}
