//! How fast a session draws, what that costs the client's processor, and how much memory the client's processes take.

use anyhow::{Context, Result};

use crate::memory;
use crate::peer::{Ldm, OpenSsh, Place, Start};
use crate::report::Metric;
use crate::session::Session;
use crate::terminal::Terminal;

/// What x11perf(1) draws.
const TESTS: [&str; 4] = ["-putimage500", "-getimage500", "-noop", "-prop"];

/// A session that is open, and the client's processes that serve it.
struct Open {
    name: String,
    session: Session,
    processes: Vec<i32>,
}

/// All measurements that need an open session: those of every peer are open at once and draw in turns.
pub fn all(place: &Place, rounds: usize) -> Result<Vec<Metric>> {
    let port = place.sshd.port();
    let mut terminals: Vec<Terminal> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for (name, options) in [("ssh -Y", &[][..]), ("ssh -Y, aes128-gcm", &["-c", "aes128-gcm@openssh.com"][..])] {
        let ssh = OpenSsh::new(name, place, port, Start::Bare, options)?;
        let terminal = ssh.login(place.sessions.command())?.terminal;
        let (session, _) = place.sessions.next()?;
        open.push(Open { name: name.to_owned(), session, processes: vec![terminal.pid()] });
        terminals.push(terminal);
    }
    let ldm = Ldm::new("ldm", place, port, Start::Bare, true).and_then(|mut ldm| {
        ldm.login("mark")?;
        let (session, _) = place.sessions.next()?;
        open.push(Open { name: ldm.name.clone(), session, processes: ldm.processes() });
        Ok(ldm)
    });
    let mut memory = sizes("memory in session, just begun (PSS)", &open);
    if let Err(e) = &ldm {
        memory.add("ldm", Err(anyhow::anyhow!("{e:#}")));
    }
    let mut metrics = vec![memory];
    let mut cpu = Metric::new("client's processor time per GB received (-putimage500)", "s/GB", "ratio ≤ 1.0");
    for test in TESTS {
        let mut metric = Metric::new(format!("x11perf {test}"), "/s", "ratio ≥ 1.0");
        for _ in 0..rounds {
            for peer in &mut open {
                let before = cost(&peer.processes);
                metric.add(&peer.name, rate(&peer.session.run(&format!("x11perf -repeat 1 -time 1 {test}"))?));
                if test == "-putimage500" {
                    cpu.add(&peer.name, per_gigabyte(before, cost(&peer.processes)));
                }
            }
        }
        metrics.push(metric.done());
    }
    metrics.push(cpu.done());
    metrics.push(sizes("memory in session, after drawing (PSS)", &open));
    Ok(metrics)
}

fn sizes(name: &str, open: &[Open]) -> Metric {
    let mut metric = Metric::new(name, "MiB", "ldm ≤ 12 MiB");
    for peer in open {
        metric.add(&peer.name, peer.processes.iter().map(|&pid| memory::pss(pid)).sum());
    }
    metric.done()
}

/// The operations a second that x11perf reports: `… (  659.0/sec): PutImage …`.
fn rate(output: &str) -> Result<f64> {
    let number = |line: &str| line.split_once("/sec)")?.0.rsplit_once('(')?.1.trim().parse().ok();
    output.lines().rev().find_map(number).with_context(|| format!("x11perf said {output:?}"))
}

/// Processor seconds and bytes received over TCP so far.
fn cost(processes: &[i32]) -> Result<(f64, f64)> {
    let seconds = processes.iter().map(|&pid| memory::processor_time(pid)).sum::<Result<f64>>()?;
    let bytes = processes.iter().map(|&pid| memory::received(pid)).sum::<Result<f64>>()?;
    Ok((seconds, bytes))
}

fn per_gigabyte(before: Result<(f64, f64)>, after: Result<(f64, f64)>) -> Result<f64> {
    let ((from_s, from_b), (to_s, to_b)) = (before?, after?);
    anyhow::ensure!(to_b > from_b + 1e6, "no bytes were counted");
    Ok((to_s - from_s) / (to_b - from_b) * 1e9)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn reads_x11perf() {
        let text =
            "x11perf - X11 performance program\n   1200 reps @   1.5175 msec (   659.0/sec): PutImage 500x500 square\n";
        assert_eq!(rate(text).unwrap(), 659.0);
        assert!(rate("nothing").is_err());
    }
}
