//! The client's sound daemon: one that runs, or one that is started for a session and ends with it.
//!
//! Runs in the daemon of the seat (root) and in `ldm login`. What is started runs as the worker's user, in a directory of its
//! own, and is started again when it dies. Root reads nothing that it says but for the lists of pactl(1), line by line.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::programs::{self, Kind, Places};
use crate::config::SoundDaemon;
use crate::sys::{self, Account, Spawn};

/// The socket of a daemon for the whole system.
const SYSTEM: &str = "/run/pulse/native";
/// A daemon has this long to end when asked to.
const GRACE: Duration = Duration::from_secs(2);
/// A daemon has this long to listen.
const READY: Duration = Duration::from_secs(15);
/// Between two looks whether it listens.
const LOOK: Duration = Duration::from_millis(50);
/// Wait before the first new start; doubled by each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait.
const MOST_WAIT: Duration = Duration::from_secs(30);
/// Who has lived this long is healthy again.
const STABLE: Duration = Duration::from_secs(10);
/// WirePlumber finds devices a moment after it began, and does not say when it has found them all.
const DEVICES: Duration = Duration::from_secs(3);
/// pactl(1) answers at once or hangs.
const PACTL_TIME: Duration = Duration::from_secs(10);
/// Longest list of devices that is read.
const LIST: usize = 64 * 1024;

/// There is no sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// Install one, or name the socket of one that runs.
    #[error("there is no sound daemon: {0} is not installed")]
    NotInstalled(String),
    /// The directory cannot be made.
    #[error("{path} cannot be written: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a session's sound is to be like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `SOUND_DAEMON`.
    pub daemon: SoundDaemon,
    /// `VOLUME` and `MIC_VOLUME` in percent; `None` leaves them as they are.
    pub volume: Option<(u8, u8)>,
    /// `MICROPHONE`, for local programs.
    pub microphone: bool,
    /// Whether programs on this client are to be let in: see [`local_access`].
    pub local: bool,
}

/// The sound of one session. Dropping it tells its task to end the daemon.
#[derive(Debug)]
pub struct Sound {
    socket: PathBuf,
    _stop: oneshot::Sender<()>,
}

impl Sound {
    /// Prepares it below `base`, which is ours. The task that is returned finds or starts the daemon, keeps it up and ends it.
    pub fn prepare(
        settings: Settings,
        account: &Account,
        base: &Path,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), SoundError> {
        let source = Source::choose(&settings.daemon)?;
        let mut random = [0; 8];
        let top = |random: [u8; 8]| base.join(format!("sound-{:016x}", u64::from_ne_bytes(random)));
        let failed = |path: PathBuf| move |source| SoundError::Directory { path, source };
        getrandom::fill(&mut random).map_err(io::Error::other).map_err(failed(top(random)))?;
        let remove = Remove(top(random));
        let places = Places::make(top(random), account).map_err(failed(top(random)))?;
        let (stop, stopped) = oneshot::channel();
        let sound = Self { socket: places.link(), _stop: stop };
        let keeper = Keeper { settings, account: account.clone(), places, _remove: remove };
        Ok((sound, keeper.keep(source, stopped)))
    }

    /// Where sessions find it; a daemon may be there a moment later.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// The socket for programs of this client, beside the one that sessions are told. Needs [`Settings::local`].
pub fn local_socket(socket: &Path) -> PathBuf {
    socket.with_file_name("local").join("native")
}

/// The file beside it with the number of the user whose programs these are: many users may share a group.
pub(super) fn local_user(local: &Path) -> Option<PathBuf> {
    Some(local.parent()?.with_file_name("local-user"))
}

/// Lets programs of one user of this client into the sound at [`Sound::socket`], and tells what variables they need.
///
/// They go through the guard like sessions, so that they cannot make the daemon load modules either. Needs
/// [`Settings::local`]. Call it as the user that prepared the sound.
pub fn local_access(socket: &Path, account: &Account) -> io::Result<Vec<(&'static str, String)>> {
    let local = local_socket(socket);
    if sys::is_root()
        && let (Some(dir), Some(user)) = (local.parent(), local_user(&local))
    {
        fs::write(&user, account.uid.to_string())?;
        sys::set_mode(&user, 0o644)?;
        std::os::unix::fs::lchown(dir, None, Some(account.gid))?;
        sys::set_mode(dir, 0o710)?;
    }
    Ok(vec![("PULSE_SERVER", format!("unix:{}", local.display()))])
}

/// Where the sound is to come from.
#[derive(Debug)]
enum Source {
    /// One that runs there. If it does not let us in, the other.
    Running(PathBuf, Option<Kind>),
    Start(Kind),
}

impl Source {
    fn choose(daemon: &SoundDaemon) -> Result<Self, SoundError> {
        let start = |kind: Kind| match kind.missing() {
            None => Ok(kind),
            Some(program) => Err(SoundError::NotInstalled(program.to_owned())),
        };
        match daemon {
            SoundDaemon::Socket(path) => Ok(Self::Running(path.clone(), None)),
            SoundDaemon::PulseAudio => start(Kind::PulseAudio).map(Self::Start),
            SoundDaemon::PipeWire => start(Kind::PipeWire).map(Self::Start),
            SoundDaemon::Auto => {
                let own = start(Kind::PulseAudio).or_else(|_| start(Kind::PipeWire));
                match (running(), own) {
                    (Some(path), own) => Ok(Self::Running(path, own.ok())),
                    (None, Ok(kind)) => Ok(Self::Start(kind)),
                    (None, Err(_)) => {
                        Err(SoundError::NotInstalled("neither pulseaudio nor pipewire with pipewire-pulse".to_owned()))
                    }
                }
            }
        }
    }
}

/// The socket of a daemon that seems to run: the system's, or without root the user's own.
fn running() -> Option<PathBuf> {
    let mut places = vec![PathBuf::from(SYSTEM)];
    if !sys::is_root() {
        if let Some(run) = std::env::var_os("XDG_RUNTIME_DIR") {
            places.insert(0, PathBuf::from(run).join("pulse/native"));
        }
        let named = std::env::var("PULSE_SERVER").ok();
        if let Some(path) = named.as_deref().and_then(|name| name.strip_prefix("unix:")) {
            places.insert(0, path.into());
        }
    }
    places.into_iter().find(|path| path.exists())
}

/// Removes the directory, when all that lived in it have ended.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "cannot be removed");
        }
    }
}

struct Keeper {
    settings: Settings,
    account: Account,
    places: Places,
    _remove: Remove,
}

impl Keeper {
    async fn keep(self, source: Source, mut stopped: oneshot::Receiver<()>) {
        let kind = match source {
            Source::Start(kind) => Some(kind),
            Source::Running(path, None) => {
                self.link(&path);
                None
            }
            Source::Running(path, Some(other)) => {
                let lets_in = tokio::select! {
                    lets_in = self.lets_in(&path) => lets_in,
                    _ = &mut stopped => return,
                };
                if lets_in {
                    self.link(&path);
                    None
                } else {
                    tracing::info!(socket = %path.display(), "the sound daemon there does not let us in; starting another");
                    Some(other)
                }
            }
        };
        if kind.is_some() {
            self.link(&self.places.socket());
        }
        let mut wait = FIRST_WAIT;
        loop {
            let began = Instant::now();
            let end = CancellationToken::new();
            let mut parts = self.start(kind, &end);
            let ended = tokio::select! {
                Some(Ok(who)) = parts.join_next() => Some(who),
                () = self.set_volumes(kind) => None,
                _ = &mut stopped => None,
            };
            end.cancel();
            while parts.join_next().await.is_some() {}
            let Some(who) = ended else { return };
            if began.elapsed() >= STABLE {
                wait = FIRST_WAIT;
            }
            tracing::warn!("{who}; the sound daemon is started again in {} s", wait.as_secs_f32());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = &mut stopped => return,
            }
            wait = (wait * 2).min(MOST_WAIT);
        }
    }

    fn link(&self, daemon: &Path) {
        tracing::info!(socket = %daemon.display(), "sound");
        if let Err(error) = symlink(daemon, self.places.link()) {
            tracing::error!(path = %self.places.link().display(), %error, "no sound: cannot be made");
        }
    }

    /// Starts what has to run; each task tells who ended and how.
    fn start(&self, kind: Option<Kind>, end: &CancellationToken) -> JoinSet<String> {
        let mut spawns = kind.map(|kind| self.places.spawns(kind, &self.account)).unwrap_or_default();
        if self.settings.local {
            let mut guard = Spawn::this_program()
                .args(["sound-guard".as_ref(), self.places.link().as_os_str()])
                .arg(self.places.local().join("native"))
                .account(&self.account)
                .die_with_us();
            if !self.settings.microphone {
                guard = guard.arg("--no-microphone");
            }
            spawns.push(guard);
        }
        let mut parts = JoinSet::new();
        for spawn in spawns {
            let started = spawn.start();
            let end = end.clone();
            parts.spawn(async move {
                let mut child = match started {
                    Ok(child) => child,
                    Err(error) => return format!("{error}: {}", error.source),
                };
                let name = child.name().to_owned();
                tokio::select! {
                    status = child.wait() => match status {
                        Ok(status) => format!("{name} has ended: {status}"),
                        Err(error) => format!("{name} cannot be waited for: {error}"),
                    },
                    () = end.cancelled() => {
                        let _ = child.terminate(GRACE).await;
                        name
                    }
                }
            });
        }
        parts
    }

    /// Sets `VOLUME` and `MIC_VOLUME`, and never ends.
    async fn set_volumes(&self, kind: Option<Kind>) {
        if let Some((speakers, microphone)) = self.settings.volume {
            if !programs::is_installed("pactl") {
                tracing::warn!("pactl is not installed: VOLUME and MIC_VOLUME are left as they are");
            } else if listens(&self.places.link()).await {
                self.set_volume("sink", speakers).await;
                self.set_volume("source", microphone).await;
                if kind == Some(Kind::PipeWire) {
                    tokio::time::sleep(DEVICES).await;
                    self.set_volume("sink", speakers).await;
                    self.set_volume("source", microphone).await;
                }
            } else {
                tracing::warn!("the sound daemon does not listen: no VOLUME is set");
            }
        }
        std::future::pending::<()>().await;
    }

    /// Sets all sinks, or all sources that are no echo of a sink, to `percent`, and unmutes them.
    async fn set_volume(&self, what: &str, percent: u8) {
        let all = match self.pactl(&self.places.link(), &["list", "short", &format!("{what}s")]).await {
            Ok(list) => list,
            Err(error) => {
                tracing::warn!(%error, "pactl does not tell the {what}s: their volume is left as it is");
                return;
            }
        };
        for (index, name) in devices(&all) {
            let settings = [["volume", &format!("{percent}%")], ["mute", "0"]];
            for [setting, value] in settings {
                let done = self.pactl(&self.places.link(), &[&format!("set-{what}-{setting}"), index, value]).await;
                if let Err(error) = done {
                    let name = ldm_protocol::text::sanitise_line(name, 200);
                    tracing::warn!(%error, name, "pactl does not set the {setting} of a {what}");
                }
            }
        }
    }

    /// Whether the daemon at `socket` takes the worker's user for a client. Without pactl(1) it is asked no more than whether
    /// it listens.
    async fn lets_in(&self, socket: &Path) -> bool {
        if programs::is_installed("pactl") {
            self.pactl(socket, &["info"]).await.is_ok()
        } else {
            UnixStream::connect(socket).await.is_ok()
        }
    }

    async fn pactl(&self, socket: &Path, args: &[&str]) -> io::Result<String> {
        let run = client("pactl", socket).args(args).account(&self.account).capture(LIST);
        let said = tokio::time::timeout(PACTL_TIME, run).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let said = said.map_err(|error| error.source)?;
        if said.status.success() {
            return Ok(said.stdout);
        }
        Err(io::Error::other(ldm_protocol::text::sanitise_line(&said.stderr, 200)))
    }
}

/// Waits until a daemon listens at `socket`; `false` if none does. A look now and then, because its file is there before that.
pub async fn listens(socket: &Path) -> bool {
    let until = Instant::now() + READY;
    while UnixStream::connect(socket).await.is_err() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// One of libpulse's programs, for the daemon at `socket`. Its languages are not ours to read.
pub fn client(program: &str, socket: &Path) -> Spawn {
    Spawn::new(program)
        .env("PATH", programs::path())
        .env("LC_ALL", "C.UTF-8")
        .env("PULSE_SERVER", format!("unix:{}", socket.display()))
        // libpulse makes a folder for a cookie in it, which nobody here asks for.
        .env("HOME", "/dev/null")
}

/// Indices and names of a short list. Monitors, which are no microphones, are not among them.
fn devices(list: &str) -> Vec<(&str, &str)> {
    let row = |line| {
        let (index, rest) = str::split_once(line, '\t')?;
        let name = rest.split('\t').next()?;
        (index.parse::<u32>().is_ok() && !name.ends_with(".monitor")).then_some((index, name))
    };
    list.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_a_short_list() {
        let list =
            "0\talsa_output.usb\tm.c\ts16le 2ch 44100Hz\tIDLE\n1\talsa_output.usb.monitor\tm.c\n\nx\ty\n7\tmic\n";
        assert_eq!(devices(list), [("0", "alsa_output.usb"), ("7", "mic")]);
    }
}
