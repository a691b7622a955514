//! Sound without a sound card: private daemons whose speakers and microphone are null sinks, signals, and what is left of them
//! in a recording.

use std::f64::consts::TAU;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::account::Kind;
use crate::program::Program;
use crate::{Lab, User, wait};

/// Samples per second; one channel of 16 bit.
pub const RATE: u32 = 44_100;
/// What pacat, paplay and parec are told of it.
pub const FORMAT: [&str; 4] = ["--raw", "--format=s16le", "--rate=44100", "--channels=1"];
/// The loudest sample of a signal.
const AMPLITUDE: f64 = 12_000.0;

/// A tone of this pitch in Hz.
pub fn tone(pitch: f64, seconds: f64) -> Vec<i16> {
    sweep(pitch, pitch, seconds)
}

/// A tone that rises from one pitch to another, so that no two parts of it are alike. It begins loud.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn sweep(from: f64, to: f64, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(RATE)) as u32;
    (0..count)
        .map(|n| {
            let t = f64::from(n) / f64::from(RATE);
            let turns = from * t + (to - from) * t * t / (2.0 * seconds);
            (AMPLITUDE * (TAU * turns + 0.5).sin()) as i16
        })
        .collect()
}

/// As a file that every user may read. Half a second of silence goes before it: what a null sink plays in the first moment of a
/// stream is not all in a recording of its monitor.
pub fn write(path: &Path, samples: &[i16]) -> Result<()> {
    let silence = std::iter::repeat_n(&0, RATE as usize / 2);
    let bytes: Vec<u8> = silence.chain(samples).flat_map(|sample| sample.to_le_bytes()).collect();
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// The samples of a recording.
pub fn read(path: &Path) -> Vec<i16> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// The part of a recording that holds what was played, from the place on where both are most alike.
pub fn aligned<'a>(played: &[i16], recorded: &'a [i16]) -> Result<&'a [i16]> {
    let onset = recorded.iter().position(|sample| sample.unsigned_abs() > 500).context("nothing was recorded")?;
    let head = played.get(..4096.min(played.len())).unwrap_or_default();
    let alike = |start: usize| recorded.get(start..).map_or(0.0, |rest| correlation(head, rest));
    let best = (onset.saturating_sub(300)..onset + 300)
        .max_by(|a, b| alike(*a).total_cmp(&alike(*b)))
        .context("no place to look at")?;
    Ok(recorded.get(best..(best + played.len()).min(recorded.len())).unwrap_or_default())
}

/// How alike two signals are: 1 if they differ by nothing but loudness. What one has more counts as silence in the other.
#[allow(clippy::cast_precision_loss)]
pub fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let sum = |x: &[i16], y: &[i16]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let b = b.get(..a.len().min(b.len())).unwrap_or_default();
    let size = (sum(a, a) * sum(b, b)).sqrt();
    if size > 0.0 { sum(a, b) / size } else { 0.0 }
}

/// Which part of all energy is at this pitch (Goertzel): 1 for a pure tone.
#[allow(clippy::cast_precision_loss)]
pub fn strength(samples: &[i16], pitch: f64) -> f64 {
    let factor = 2.0 * (TAU * pitch / f64::from(RATE)).cos();
    let (mut all, mut at) = (0.0, 0.0);
    // Whole periods of every pitch that is a multiple of 10 Hz.
    for block in samples.chunks_exact(4410) {
        let (mut last, mut before) = (0.0, 0.0);
        for sample in block {
            (last, before) = (f64::from(*sample) + factor * last - before, last);
        }
        at += (last * last + before * before - factor * last * before) * 2.0 / block.len() as f64;
        all += block.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    }
    if all > 0.0 { at / all } else { 0.0 }
}

/// The longest row of zeros.
pub fn longest_silence(samples: &[i16]) -> usize {
    samples.split(|sample| *sample != 0).map(<[i16]>::len).max().unwrap_or_default()
}

/// Lets a command of libpulse find this daemon, with nothing of the caller's.
pub fn at<'a>(command: &'a mut Command, socket: &Path) -> &'a mut Command {
    command.env("PULSE_SERVER", format!("unix:{}", socket.display())).env("LC_ALL", "C.UTF-8")
}

/// A client's sound daemon of a user of its own. Its speakers are the sink `speakers`, and what is played to the sink `mic` is
/// heard by its microphone, `mic.monitor`. Nothing is ever heard at its source `line`, which like a sound card's is no monitor.
pub struct SoundDaemon {
    program: Program,
    directory: PathBuf,
    _user: User,
}

impl SoundDaemon {
    /// PulseAudio.
    pub fn new(lab: &Lab) -> Result<Self> {
        let user = User::create(lab, Kind::System, "")?;
        let directory = lab.file(&format!("sound-{}", user.name));
        fs::create_dir(&directory)?;
        std::os::unix::fs::chown(&directory, Some(user.uid), Some(user.gid))?;
        let null = |name: &str| format!("load-module module-null-sink sink_name={name} rate={RATE} channels=1\n");
        let script = format!(
            "load-module module-native-protocol-unix socket={} auth-anonymous=1 auth-cookie-enabled=0\n{}{}\
             load-module module-null-source source_name=line\nset-default-sink speakers\nset-default-source mic.monitor\n",
            directory.join("native").display(),
            null("speakers"),
            null("mic")
        );
        let start = lab.file(&format!("sound-{}.pa", user.name));
        fs::write(&start, script)?;
        let mut command = user.command("pulseaudio".as_ref());
        command.args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes", "-F"]);
        command.arg(&start).args(["--realtime=no", "--high-priority=no", "--log-target=stderr"]);
        command.env("XDG_RUNTIME_DIR", &user.home);
        let program = Program::start("pulseaudio", &mut command, &lab.log("pulseaudio"))?;
        let daemon = Self { program, directory, _user: user };
        wait::until("the sound daemon", wait::STEP, || daemon.pactl(&["info"]).ok())?;
        Ok(daemon)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("native")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// What pactl(1) says, asking the daemon itself.
    pub fn pactl(&self, args: &[&str]) -> Result<String> {
        output(at(Command::new("pactl").args(args), &self.socket()))
    }

    /// Begins to record from this source.
    pub fn record(&self, lab: &Lab, source: &str) -> Result<Recorder> {
        let mut command = crate::program::command("parec");
        at(&mut command, &self.socket());
        Recorder::start(lab, command, source)
    }

    /// Plays a signal to this sink, to its end.
    pub fn play(&self, lab: &Lab, sink: &str, samples: &[i16]) -> Result<()> {
        let file = tempfile::Builder::new().prefix("signal").tempfile_in(lab.path())?;
        write(file.path(), samples)?;
        let mut command = Command::new("pacat");
        command.arg("-p").args(FORMAT).args(["-d", sink]).arg(file.path());
        output(at(&mut command, &self.socket())).map(drop)
    }
}

/// A recording that goes on.
pub struct Recorder {
    program: Program,
    file: PathBuf,
}

impl Recorder {
    /// Starts `command`, which is parec(1) with its environment. It has begun to record when this returns.
    pub fn start(lab: &Lab, mut command: Command, source: &str) -> Result<Self> {
        let log = lab.log("parec");
        // Not among the logs, which are shown when a scenario fails.
        let file = lab.path().join(log.with_extension("raw").file_name().unwrap_or_default());
        let out = fs::File::create(&file)?;
        command.args(FORMAT).args(["--latency-msec=20", "-d", source]);
        command.stdin(std::process::Stdio::null()).stdout(out).stderr(fs::File::create(&log)?);
        let mut program = Program::adopt("parec", &mut command, &log)?;
        wait::try_until("a recording", wait::STEP, || {
            ensure!(program.is_running(), "parec has ended: {}", wait::tail(&log));
            Ok(fs::metadata(&file).is_ok_and(|file| file.len() > 0).then_some(()))
        })?;
        Ok(Self { program, file })
    }

    /// What has been recorded, once all that was played has come.
    pub fn stop_after(mut self, samples: usize) -> Result<Vec<i16>> {
        let loud = |recorded: &[i16]| recorded.iter().position(|sample| sample.unsigned_abs() > 500);
        let arrived = wait::until("the signal in the recording", wait::STEP, || {
            let recorded = read(&self.file);
            let onset = loud(&recorded)?;
            (recorded.len() >= onset + samples).then_some(())
        });
        self.program.stop();
        arrived?;
        Ok(read(&self.file))
    }

    /// What has been recorded.
    pub fn stop(mut self) -> Vec<i16> {
        self.program.stop();
        read(&self.file)
    }
}

/// What a command says; an error if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(std::process::Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
