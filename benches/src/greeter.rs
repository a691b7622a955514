//! The greeter: exec → mapped and painted, memory and what it does at rest, beside a bare GTK 4 window with the same settings
//! and beside other greeters.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use ldm_protocol::frame;
use ldm_protocol::greetd::{ErrorType, Request, Response, Seat};
use ldm_tests::{Lab, Program, XServer, stage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock;
use crate::lightdm;
use crate::mapped::Watch;
use crate::memory;
use crate::peer::{Ldm, Place, Start};
use crate::report::Metric;
use crate::session::LIMIT;

/// After this long a greeter has painted, loaded its pictures and is at rest.
const REST: Duration = Duration::from_secs(1);

/// GTK's cursor blinks for ten seconds after the last key, at every frame of the screen; then all is still.
const STILL: Duration = Duration::from_secs(12);

/// So long it is then watched doing nothing.
const IDLE: Duration = Duration::from_secs(3);

/// Rounds in which it is.
const IDLE_ROUNDS: usize = 2;

/// The light set-up, which the bare window does not make for itself.
const LIGHT: &[(&str, &str)] = &[("GSK_RENDERER", "cairo"), ("GDK_DEBUG", "gl-disable"), ("GTK_A11Y", "none")];

/// Where else programs may be, which only root starts.
const SYSTEM: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];

/// A program that is compared.
struct Peer {
    name: &'static str,
    /// Where it is, or why it is not.
    program: Result<PathBuf, String>,
    /// What it gets besides the environment of all.
    env: Vec<(&'static str, String)>,
}

/// What one run of a greeter shows.
struct Sample {
    mapped: f64,
    painted: f64,
    /// Processor time until it had painted.
    worked: f64,
    pss: f64,
    /// Percent of a processor, and how often it was put to work in a second.
    idle: Option<(f64, f64)>,
}

/// All measurements, in the environment that the daemon gives its greeter.
pub fn all(place: &Place, rounds: usize) -> Result<[Metric; 6]> {
    let mut start = Metric::new("greeter: exec → mapped", "ms", "ratio ≤ 2");
    let mut paint = Metric::new("greeter: exec → painted", "ms", "ratio ≤ 2");
    let mut work = Metric::new("greeter: processor time until painted", "ms", "none: what the times above are made of");
    let mut size = Metric::new("greeter at rest (PSS)", "MiB", "ratio ≤ 2");
    let mut idle = Metric::new("greeter at rest: processor", "%", "< 0.1").bases(usize::MAX);
    let mut woken =
        Metric::new("greeter at rest: put to work", "/s", "the clock's alone, once a minute").bases(usize::MAX);
    // It lives on, with the directories that it has made for its greeter.
    let ldm = Ldm::new("ldm", place, place.sshd.port(), Start::Bare, true)?;
    let env = ldm.greeter().context("no greeter")?.hello().env.clone();
    let x = XServer::new(&place.lab)?;
    let peers = peers(&place.lab)?;
    for round in 0..rounds {
        for Peer { name, program, env: further } in &peers {
            let mut env = env.clone();
            env.extend(further.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            let sample = match program {
                Ok(program) => run(&place.lab, &x, program, &env, round < IDLE_ROUNDS).map_err(|e| format!("{e:#}")),
                Err(missing) => Err(missing.clone()),
            };
            let part = |part: fn(&Sample) -> f64| sample.as_ref().map(part).map_err(|e| anyhow::anyhow!("{e}"));
            start.add(name, part(|sample| sample.mapped));
            paint.add(name, part(|sample| sample.painted));
            work.add(name, part(|sample| sample.worked));
            size.add(name, part(|sample| sample.pss));
            if let Ok(Sample { idle: Some((percent, times)), .. }) = sample {
                idle.add(name, Ok(percent));
                woken.add(name, Ok(times));
            }
        }
    }
    Ok([start.done(), paint.done(), work.done(), size.done(), idle.done(), woken.done()])
}

/// The yardstick first.
fn peers(lab: &Lab) -> Result<[Peer; 4]> {
    let greetd = lab.file("bench-greetd.sock");
    let listener = UnixListener::bind(&greetd)?;
    std::thread::spawn(move || serve(&listener));
    let lightdm = lab.file("bench-lightdm.sock");
    let listener = UnixListener::bind(&lightdm)?;
    std::thread::spawn(move || lightdm::serve(&listener));
    let bin = stage::target()?;
    let greetd = ("GREETD_SOCK", greetd.display().to_string());
    let light = || LIGHT.iter().map(|&(key, value)| (key, value.to_owned()));
    Ok([
        Peer { name: "bare GTK 4 window", program: Ok(bin.join("ldm-bench-window")), env: light().collect() },
        Peer { name: "ldm-greeter", program: Ok(bin.join("ldm-greeter")), env: vec![greetd.clone()] },
        Peer {
            name: "lightdm-gtk-greeter",
            program: find("lightdm-gtk-greeter", "Debian's package lightdm-gtk-greeter is not installed"),
            env: vec![("LIGHTDM_GREETER_PIPE", lightdm.display().to_string())],
        },
        Peer {
            name: "ReGreet",
            program: find("regreet", "there is no regreet; it is neither in Debian 12 nor a published crate"),
            env: light().chain([greetd]).collect(),
        },
    ])
}

fn find(program: &str, missing: &str) -> Result<PathBuf, String> {
    let found = SYSTEM.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    found.ok_or_else(|| missing.to_owned())
}

fn run(lab: &Lab, x: &XServer, program: &Path, env: &BTreeMap<String, String>, idle: bool) -> Result<Sample> {
    let screen = x.screen();
    let mut watch = Watch::painting(&screen)?;
    let mut command = Command::new(program);
    command.env_clear().envs(env).env("DISPLAY", &screen.display).env("XAUTHORITY", &screen.authority);
    let log = lab.log("bench-greeter");
    let out = fs::File::create(&log)?;
    // A group of its own: some start helpers, which are to end with them.
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
    let from = clock::now()?;
    let mut running = Program::adopt("greeter", &mut command, &log)?;
    let group = Pid::from_raw(running.pid());
    let sample = look(&mut watch, from, &running, idle);
    let _ = killpg(group, Signal::SIGKILL);
    running.kill();
    sample
}

fn look(watch: &mut Watch, from: Duration, running: &Program, idle: bool) -> Result<Sample> {
    let shown = watch.shown(LIMIT).with_context(|| running.log_text())?;
    let (worked, _) = memory::scheduled(running.pid())?;
    let since = |at: Duration| at.saturating_sub(from).as_secs_f64() * 1000.0;
    // Not waiting for an event: "at rest" is what this number means.
    std::thread::sleep(REST);
    let pss = memory::pss(running.pid())?;
    let idle = if idle { Some(watch_idle(running.pid())?) } else { None };
    let (mapped, painted) = (since(shown.mapped), since(shown.painted));
    Ok(Sample { mapped, painted, worked: Duration::from_nanos(worked).as_secs_f64() * 1000.0, pss, idle })
}

fn watch_idle(pid: i32) -> Result<(f64, f64)> {
    // Here, too, the time is the measure: the cursor stops blinking by itself and tells nobody, and then nothing may happen.
    std::thread::sleep(STILL);
    let before = memory::scheduled(pid)?;
    std::thread::sleep(IDLE);
    let after = memory::scheduled(pid)?;
    #[allow(clippy::cast_precision_loss)] // small numbers
    let (ran, times) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    Ok((ran / 1e9 / IDLE.as_secs_f64() * 100.0, times / IDLE.as_secs_f64()))
}

/// A daemon that knows how to say hello.
fn serve(listener: &UnixListener) {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            while let Ok(Some(request)) = frame::read::<Request>(&mut stream) {
                let response = match request {
                    Request::LdmHello { .. } => Response::LdmSeat(Box::new(Seat {
                        hostname: "tc1".into(),
                        server: "server".into(),
                        ..Seat::default()
                    })),
                    Request::LdmPrepare | Request::CancelSession => Response::Success,
                    _ => Response::Error { error_type: ErrorType::Error, description: String::new(), failure: None },
                };
                if frame::write(&mut stream, &response).is_err() {
                    return;
                }
            }
        });
    }
}
