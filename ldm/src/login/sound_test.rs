//! `ldm sound-test`: plays and records the way a session does, and says what it measured.
//!
//! Everything is done by the client's own programs (pacat, parec, pactl) at a private socket. What connects there goes through
//! the guard to the sound daemon; with a server it goes to the place where the server listens for a session's sound first, and
//! comes back from there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ldm_protocol::text;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::private_dir::PrivateDir;
use super::target::Target;
use super::terminal::{self, Terminal};
use super::{Interrupts, LoginError, authenticate};
use crate::audio::{self, Endpoint, SoundCookie, tone};
use crate::config::{self, Config};
use crate::log;
use crate::sys::{self, Account, Captured, Spawn};
use crate::worker::protocol::Sound;
use crate::worker::{Remote, SoundLoop};

/// Something did not work; the text says what.
const FAILED: u8 = 1;
/// How long the tone is, in seconds.
const TONE: u32 = 3;
/// A program that takes longer hangs.
const PROGRAM_TIME: Duration = Duration::from_secs(15);
/// The recording begins before the tone and ends after it.
const MARGIN: Duration = Duration::from_millis(500);
/// Longest text of a program.
const TEXT: usize = 64 * 1024;
/// Questions to the daemon, one after the other.
const PINGS: u32 = 50;

/// Play and record a tone, as a session does, and say what was measured.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go through this server and back; without it, test this client alone.
    #[arg(value_name = "[USER@]SERVER[:PORT]")]
    target: Option<String>,

    /// Known-hosts file, instead of ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts; may be given several times.
    #[arg(long, value_name = "FILE")]
    known_hosts: Vec<PathBuf>,

    /// Configuration in lts.conf syntax. Root's default is /etc/ldm/lts.conf.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Tests; the exit status is 0 if playing worked, and recording where there is something to record from.
pub fn run(args: &Args) -> ExitCode {
    let _ = sys::harden();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    let result = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            result = test(args) => result,
            () = interrupts.next() => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
        }
    });
    runtime.shutdown_background();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => complain(&error),
    }
}

fn complain(error: &dyn std::error::Error) -> ExitCode {
    terminal::complain(&format!("ldm sound-test: {error}"));
    ExitCode::from(FAILED)
}

/// One line of the report. Names of devices come from the hardware, and those of daemons from the network.
fn say(line: &str) {
    // Not `println!`, which panics when standard output is closed.
    let _ = writeln!(io::stdout(), "{}", text::sanitise_line(line, 500));
}

async fn test(args: &Args) -> Result<bool, LoginError> {
    let config = match &args.config {
        None if !sys::is_root() => Config::default(),
        file => {
            let loaded = config::load(file.as_deref()).map_err(|error| io::Error::other(log::chain(&error)))?;
            loaded.warnings.iter().for_each(|warning| terminal::complain(warning));
            loaded.config
        }
    };
    for program in ["pactl", "pacat", "parec"] {
        if !audio::is_installed(program) {
            say(&format!("{program} is not installed here: install pulseaudio-utils."));
            return Ok(false);
        }
    }
    // Before anything is started: the user may have to type a password.
    let remote = match &args.target {
        Some(target) => {
            let target: Target = target.parse()?;
            let mut remote = authenticate(&args.known_hosts, &target, &mut Terminal::open()).await?;
            // Where the user's own directory is, as before a session.
            remote.info(None).await?;
            Some(remote)
        }
        None => None,
    };
    let directory = PrivateDir::new()?;
    let account = if sys::is_root() {
        // The daemon's own directory is below it.
        sys::set_mode(directory.path(), 0o711)?;
        Account::find(&config.worker_user).map_err(io::Error::other)?
    } else {
        Account::current().map_err(io::Error::other)?
    };
    let settings = audio::Settings {
        daemon: config.sound_daemon.clone(),
        volume: sys::is_root().then_some((config.volume, config.mic_volume)),
        microphone: config.microphone,
        // The daemon takes its own user for a client, and not root: root comes in as programs of this client do.
        local: sys::is_root(),
    };
    let (sound, task) = match audio::Sound::prepare(settings, &account, directory.path()) {
        Ok(prepared) => prepared,
        Err(error) => {
            say(&format!("{error}. Install pulseaudio, or pipewire-pulse and wireplumber, on this client."));
            return Ok(false);
        }
    };
    let daemon = tokio::spawn(task);
    let socket = if sys::is_root() { audio::local_socket(sound.socket()) } else { sound.socket().to_owned() };
    let endpoint = Endpoint { socket, microphone: config.microphone, cookie: None };
    let worked = if let Some(remote) = remote {
        through_server(remote, directory.path(), endpoint).await
    } else {
        say("Way: this client alone; name a server to go through it and back.");
        let listener = UnixListener::bind(directory.path().join("test"))?;
        tokio::select! {
            worked = measure(directory.path(), None) => worked.map_err(LoginError::from),
            error = here(&listener, &endpoint) => Err(error.into()),
        }
    };
    drop(sound);
    let _ = daemon.await;
    worked
}

async fn through_server(remote: Remote, directory: &Path, endpoint: Endpoint) -> Result<bool, LoginError> {
    let sound = Sound { socket: endpoint.socket, microphone: endpoint.microphone };
    let there = remote.begin_sound_loop(&sound).await?;
    let kind = if there.cookie.is_some() { "a port with a cookie" } else { "a unix socket" };
    say(&format!("Way: through {kind} on {}, and back.", remote.server()));
    let listener = UnixListener::bind(directory.join("test"))?;
    let worked = tokio::select! {
        worked = measure(directory, there.cookie.as_ref()) => worked.map_err(LoginError::from),
        error = around(&listener, &remote, &there) => Err(error),
    };
    remote.end_sound_loop(there).await;
    remote.close().await;
    worked
}

/// Joins what connects with the daemon, until that fails.
async fn here(listener: &UnixListener, endpoint: &Endpoint) -> io::Error {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let endpoint = endpoint.clone();
                tokio::spawn(async move {
                    if let Err(error) = audio::serve(stream, &endpoint).await {
                        tracing::warn!("{error}");
                    }
                });
            }
            Err(error) => return error,
        }
    }
}

/// Joins what connects with the place where the server listens, until that fails.
async fn around(listener: &UnixListener, remote: &Remote, there: &SoundLoop) -> LoginError {
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error.into(),
        };
        match remote.dial_sound(there).await {
            Ok(mut channel) => {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut channel).await });
            }
            Err(failure) => return failure.into(),
        }
    }
}

/// Measures at the socket `test` in `directory`; whether all worked that has to.
async fn measure(directory: &Path, cookie: Option<&SoundCookie>) -> io::Result<bool> {
    let bench = Bench { directory, cookie: cookie.map(|_| directory.join("cookie")) };
    if let (Some(path), Some(cookie)) = (&bench.cookie, cookie) {
        std::fs::write(path, cookie.expose())?;
    }
    let info = bench.run("pactl", &["info"]).await?;
    if !info.status.success() {
        say(&format!(
            "The sound daemon does not answer: {}. Look into the log of ldm for lines about sound.",
            info.stderr.trim().trim_end_matches('.')
        ));
        return Ok(false);
    }
    let fact = |name: &str| {
        let line = info.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or("unknown").to_owned()
    };
    say(&format!("Sound daemon: {} {}.", fact("Server Name"), fact("Server Version")));
    let (speakers, source) = (fact("Default Sink"), fact("Default Source"));
    say(&format!("Speakers: {speakers}."));
    let sources = bench.run("pactl", &["list", "short", "sources"]).await?.stdout;
    let microphone = sources.lines().filter_map(|line| line.split('\t').nth(1)).any(|name| !name.ends_with(".monitor"));
    if microphone {
        say(&format!("Microphone: {source}."));
    } else {
        say("Microphone: none. Recording what is played instead.");
    }
    if speakers == "auto_null" {
        say("These are no speakers but a stand-in: no sound card was found. Look at “aplay -l” and the card's driver.");
    }
    match bench.ping(cookie).await {
        Ok(times) => say(&format!("Round trip to the daemon: {} ms, at most {} ms.", millis(times.0), millis(times.1))),
        Err(error) => say(&format!("The daemon does not answer questions: {error}.")),
    }
    bench.play_and_record(&source).await
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// Programs at the test's socket.
struct Bench<'a> {
    directory: &'a Path,
    cookie: Option<PathBuf>,
}

impl Bench<'_> {
    fn socket(&self) -> PathBuf {
        self.directory.join("test")
    }

    fn spawn(&self, program: &str) -> Spawn {
        let spawn = audio::client(program, &self.socket());
        match &self.cookie {
            Some(path) => spawn.env("PULSE_COOKIE", path),
            None => spawn,
        }
    }

    async fn run(&self, program: &str, args: &[&str]) -> io::Result<Captured> {
        let run = self.spawn(program).args(args).capture(TEXT);
        let said = tokio::time::timeout(PROGRAM_TIME, run).await;
        let said = said.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("{program} hangs")))?;
        said.map_err(|error| error.source)
    }

    /// Plays the tone, and records meanwhile.
    async fn play_and_record(&self, source: &str) -> io::Result<bool> {
        let (tone, recording) = (self.directory.join("tone"), self.directory.join("recording"));
        std::fs::write(&tone, tone::make(TONE))?;
        let format = ["--raw", "--format=s16le", "--channels=1", "--latency-msec=200"];
        let rate = format!("--rate={}", tone::RATE);
        let mut recorder = self
            .spawn("parec")
            .args(format)
            .args([&rate, "-d", source])
            .arg(&recording)
            .start()
            .map_err(|e| e.source)?;
        tokio::time::sleep(MARGIN).await;
        let began = Instant::now();
        let tone = tone.to_string_lossy().into_owned();
        let mut args = vec!["-p", "-v", &rate];
        args.extend(format);
        args.push(&tone);
        let played = self.run("pacat", &args).await?;
        let took = began.elapsed();
        tokio::time::sleep(MARGIN).await;
        let _ = recorder.terminate(Duration::from_secs(1)).await;
        let worked = played.status.success();
        // That nothing comes after the end of the tone is no gap.
        let during = played.stderr.split("Got EOF").next().unwrap_or_default();
        let gaps = during.matches("Stream underrun").count();
        if worked {
            say(&format!("Played: {TONE} s of {} Hz in {:.1} s, with {gaps} gaps.", tone::PITCH, took.as_secs_f64()));
            if gaps > 0 {
                say("Gaps: the network or this client is too slow or too busy for sound.");
            }
        } else {
            let why = played.stderr.lines().last().unwrap_or_default().to_owned();
            say(&format!("Playing did not work: {why}."));
        }
        Ok(heard(&std::fs::read(&recording).unwrap_or_default()) && worked)
    }

    /// Median and maximum of round trips through all that is between.
    async fn ping(&self, cookie: Option<&SoundCookie>) -> io::Result<(Duration, Duration)> {
        let mut stream = UnixStream::connect(self.socket()).await?;
        let mut times = Vec::new();
        for packet in audio::probe(cookie, PINGS) {
            let began = Instant::now();
            stream.write_all(&packet).await?;
            let answer = async {
                let mut head = [0; 20];
                stream.read_exact(&mut head).await?;
                let [a, b, c, d, ..] = head;
                let mut rest = vec![0; usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or_default().min(TEXT)];
                stream.read_exact(&mut rest).await?;
                io::Result::Ok(())
            };
            tokio::time::timeout(PROGRAM_TIME, answer).await.map_err(|_| io::ErrorKind::TimedOut)??;
            times.push(began.elapsed());
        }
        // The first was the introduction.
        let mut times = times.split_off(1.min(times.len()));
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Ok((median, times.last().copied().unwrap_or_default()))
    }
}

/// Says what was recorded; whether anything was.
fn heard(recording: &[u8]) -> bool {
    let heard = tone::listen(recording);
    if heard.seconds < f64::from(TONE) / 2.0 {
        say("Recording did not work: nothing came. MICROPHONE may be off; see “pactl list short sources”.");
        return false;
    }
    say(&format!("Recorded: {:.1} s, at {:.1} dBFS at its loudest.", heard.seconds, heard.level));
    say(if heard.tone {
        "The tone was heard."
    } else {
        "The tone was not heard: look at VOLUME, MIC_VOLUME, cables, and which devices are the default ones."
    });
    true
}
