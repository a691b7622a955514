//! The greeter: exec → mapped, and memory, beside a bare GTK 4 window with the same settings.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use ldm_protocol::frame;
use ldm_protocol::greetd::{ErrorType, Request, Response, Seat};
use ldm_tests::{Lab, Program, XServer, stage};

use crate::clock;
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

/// What one run of a greeter shows.
struct Sample {
    mapped: f64,
    pss: f64,
    /// Percent of a processor, and how often it was put to work in a second.
    idle: Option<(f64, f64)>,
}

/// All measurements, in the environment that the daemon gives its greeter.
pub fn all(place: &Place, rounds: usize) -> Result<[Metric; 4]> {
    let mut start = Metric::new("greeter: exec → mapped", "ms", "ratio ≤ 2");
    let mut size = Metric::new("greeter at rest (PSS)", "MiB", "ratio ≤ 2");
    let mut idle = Metric::new("greeter at rest: processor", "%", "< 0.1").bases(2);
    let mut woken = Metric::new("greeter at rest: put to work", "/s", "the clock's alone, once a minute").bases(2);
    // It lives on, with the directories that it has made for its greeter.
    let ldm = Ldm::new("ldm", place, place.sshd.port(), Start::Bare, true)?;
    let env = ldm.greeter().context("no greeter")?.hello().env.clone();
    let x = XServer::new(&place.lab)?;
    let socket = place.lab.file("bench-greetd.sock");
    let listener = UnixListener::bind(&socket)?;
    std::thread::spawn(move || serve(&listener));
    for round in 0..rounds {
        for (name, program, further) in
            [("bare GTK 4 window", "ldm-bench-window", LIGHT), ("ldm-greeter", "ldm-greeter", &[])]
        {
            let mut env = env.clone();
            env.insert("GREETD_SOCK".to_owned(), socket.display().to_string());
            env.extend(further.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
            let sample =
                stage::target().and_then(|bin| run(&place.lab, &x, &bin.join(program), &env, round < IDLE_ROUNDS));
            let sample = sample.map_err(|e| format!("{e:#}"));
            let part = |part: fn(&Sample) -> f64| sample.as_ref().map(part).map_err(|e| anyhow::anyhow!("{e}"));
            start.add(name, part(|sample| sample.mapped));
            size.add(name, part(|sample| sample.pss));
            if let Ok(Sample { idle: Some((percent, times)), .. }) = sample {
                idle.add(name, Ok(percent));
                woken.add(name, Ok(times));
            }
        }
    }
    Ok([start.done(), size.done(), idle.done(), woken.done()])
}

fn run(lab: &Lab, x: &XServer, program: &Path, env: &BTreeMap<String, String>, idle: bool) -> Result<Sample> {
    let screen = x.screen();
    let mut watch = Watch::new(&screen)?;
    let mut command = Command::new(program);
    command.env_clear().envs(env).env("DISPLAY", &screen.display).env("XAUTHORITY", &screen.authority);
    let log = lab.log("bench-greeter");
    let out = fs::File::create(&log)?;
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let from = clock::now()?;
    let mut running = Program::adopt("greeter", &mut command, &log)?;
    let mapped = watch.mapped(LIMIT).with_context(|| running.log_text())?.saturating_sub(from);
    // Not waiting for an event: "at rest" is what this number means.
    std::thread::sleep(REST);
    let pss = memory::pss(running.pid())?;
    let idle = if idle { Some(watch_idle(running.pid())?) } else { None };
    running.kill();
    Ok(Sample { mapped: mapped.as_secs_f64() * 1000.0, pss, idle })
}

fn watch_idle(pid: i32) -> Result<(f64, f64)> {
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
