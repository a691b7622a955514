//! What a process has taken: memory, processor, bytes from the network.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Its proportional set size in MiB (proc_pid_smaps(5)): pages that are shared count in parts.
pub fn pss(pid: i32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// Its processor time in seconds, user and system (proc_pid_stat(5)).
pub fn processor_time(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("too short")?.parse()?) };
    // USER_HZ is 100 on every Linux that LDM runs on.
    Ok((ticks()? + ticks()?) / 100.0)
}

/// Nanoseconds that its first thread has run, and how often it was put to work (schedstat of proc(5)). Others come and go.
pub fn scheduled(pid: i32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (ran, _waited, times) = (numbers.next(), numbers.next(), numbers.next());
    Ok((ran.context("no time")?, times.context("no count")?))
}

/// Bytes that its TCP connections have received (ss(8)); 0 if it has none.
pub fn received(pid: i32) -> Result<f64> {
    let output = Command::new("ss").args(["-HtinpO", "state", "established"]).output().context("ss")?;
    ensure!(output.status.success(), "ss: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let own = format!("pid={pid},");
    Ok(text.lines().filter(|line| line.contains(&own)).filter_map(bytes_received).sum())
}

fn bytes_received(line: &str) -> Option<f64> {
    line.split_whitespace().find_map(|word| word.strip_prefix("bytes_received:"))?.parse().ok()
}
