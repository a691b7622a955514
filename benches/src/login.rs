//! From the last answer to the session: its command running, its first window, and how many round trips that takes.

use std::time::Duration;

use anyhow::{Result, anyhow};
use ldm_tests::Relay;

use crate::mapped::Watch;
use crate::peer::{self, Ldm, OpenSsh, Place, Start};
use crate::report::Metric;
use crate::session::LIMIT;
use crate::stats;

/// Round-trip times that the relay adds.
const DELAYS_MS: [u32; 3] = [0, 50, 100];

fn between(from: Duration, to: Duration) -> f64 {
    to.saturating_sub(from).as_secs_f64()
}

/// How the two moments of an `ssh` are called.
const SSH: [&str; 2] = ["ssh -Y, from its start", "ssh -Y, from its prompt"];

/// A time, or why there is none, under the name it has in the report.
type Named = (String, Result<f64>);

/// Gives each moment its time, or all of them the reason why there is none.
fn named(names: &[String], times: Result<Vec<f64>>) -> Vec<Named> {
    match times {
        Ok(times) => names.iter().cloned().zip(times.into_iter().map(Ok)).collect(),
        Err(e) => names.iter().map(|name| (name.clone(), Err(anyhow!("{e:#}")))).collect(),
    }
}

/// One login, timed from both moments.
fn ssh_to_command(place: &Place, ssh: &OpenSsh) -> Vec<Named> {
    let times = (|| {
        let login = ssh.login(place.sessions.command())?;
        let (session, runs) = place.sessions.next()?;
        drop(session);
        drop(login.terminal);
        place.settle()?;
        Ok(vec![between(login.started, runs), between(login.answered, runs)])
    })();
    named(&SSH.map(str::to_owned), times)
}

/// One login; where sessions are listed, timed from the choice, too.
fn ldm_to_command(place: &Place, ldm: &mut Ldm) -> Vec<Named> {
    let mut names = vec![ldm.name.clone()];
    if ldm.lists() {
        names.push(format!("{}, from the choice", ldm.name));
    }
    let times = (|| {
        let login = ldm.login("mark")?;
        let (session, runs) = place.sessions.next()?;
        drop(session);
        place.settle()?;
        ldm.settle()?;
        Ok(vec![between(login.answered, runs), between(login.chosen, runs)])
    })();
    named(&names, times)
}

/// The daemon as it forces a session and as it lets the user choose; what does not start is named in `metric`.
fn both(place: &Place, port: u16, start: Start, metric: &mut Metric) -> Vec<Ldm> {
    let kinds = [("ldm, session forced", false), ("ldm, sessions listed", true)];
    kinds
        .into_iter()
        .filter_map(|(name, list)| Ldm::new(name, place, port, start, list).map_err(|e| metric.add(name, Err(e))).ok())
        .collect()
}

/// One login of each.
fn round(place: &Place, ssh: &OpenSsh, ldms: &mut [Ldm]) -> Vec<Named> {
    let mut samples = ssh_to_command(place, ssh);
    samples.extend(ldms.iter_mut().flat_map(|ldm| ldm_to_command(place, ldm)));
    samples
}

/// Last answer submitted → session command running on the server.
pub fn to_command(place: &Place, start: Start, rounds: usize) -> Result<Metric> {
    let (name, target) = match start {
        Start::Bare => ("last answer → session command running", "ratio ≤ 0.6"),
        Start::Xsession => ("the same, both through Debian's Xsession", "none; what a desktop gets"),
    };
    let port = place.sshd.port();
    let mut metric = Metric::new(name, "s", target).bases(2);
    let ssh = OpenSsh::new("ssh -Y", place, port, start, &[])?;
    let mut ldms = both(place, port, start, &mut metric);
    for _ in 0..rounds {
        for (name, sample) in round(place, &ssh, &mut ldms) {
            metric.add(&name, sample);
        }
    }
    Ok(metric.done())
}

/// The same in round trips: the slope over a relay that delays.
pub fn round_trips(place: &Place, rounds: usize) -> Result<[Metric; 2]> {
    let relay = Relay::new(place.sshd.port())?;
    let port = relay.port();
    let mut times = Metric::new("last answer → command, round-trip times 0/50/100 ms", "s", "see the slopes").bases(0);
    let mut slopes = Metric::new("last answer → command, in round trips", "round trips", "≤ 4").bases(2);
    let ssh = OpenSsh::new("ssh -Y", place, port, Start::Bare, &[])?;
    let mut ldms = both(place, port, Start::Bare, &mut times);
    for _ in 0..rounds {
        let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        for delay in DELAYS_MS {
            relay.set_latency(Duration::from_millis(u64::from(delay)) / 2);
            for (name, sample) in round(place, &ssh, &mut ldms) {
                if let Ok(y) = sample {
                    let point = (f64::from(delay) / 1000.0, y);
                    match lines.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, points)) => points.push(point),
                        None => lines.push((name.clone(), vec![point])),
                    }
                }
                times.add(&format!("{name}, {delay} ms"), sample);
            }
        }
        relay.set_latency(Duration::ZERO);
        for (name, points) in &lines {
            if let Some(slope) = stats::slope(points) {
                slopes.add(name, Ok(slope));
            }
        }
    }
    Ok([times.done(), slopes.done()])
}

/// Last answer submitted → first window of the session mapped.
pub fn to_window(place: &Place, rounds: usize) -> Result<Metric> {
    let port = place.sshd.port();
    let mut metric = Metric::new("last answer → first window (xterm) mapped", "s", "ratio ≤ 0.7").bases(2);
    let ssh = OpenSsh::new("ssh -Y", place, port, Start::Bare, &[])?;
    let mut ldm = Ldm::new("ldm", place, port, Start::Bare, true);
    let mut watch = Watch::new(&place.screen())?;
    for _ in 0..rounds {
        let times = (|| {
            watch.drain()?;
            let login = ssh.login("xterm")?;
            let mapped = watch.mapped(LIMIT)?;
            peer::close_windows(place);
            drop(login.terminal);
            place.settle()?;
            Ok(vec![between(login.started, mapped), between(login.answered, mapped)])
        })();
        for (name, sample) in named(&SSH.map(str::to_owned), times) {
            metric.add(&name, sample);
        }
        let Ok(ldm) = &mut ldm else { continue };
        let sample = (|| {
            watch.drain()?;
            let answered = ldm.login("window")?.answered;
            let mapped = watch.mapped(LIMIT)?;
            peer::close_windows(place);
            place.settle()?;
            ldm.settle()?;
            Ok(between(answered, mapped))
        })();
        metric.add(&ldm.name, sample);
    }
    if let Err(e) = ldm {
        metric.add("ldm", Err(e));
    }
    Ok(metric.done())
}
