//! A program that was started: its end, its signals, and what it says.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use ldm_protocol::text;
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::strays;

/// Longest line of a child's output that reaches the log; the rest of the line is dropped.
const LINE: usize = 1024;

/// Lines of a child's output that reach the log within [`PERIOD`]. What a program says may be what a server or a greeter makes
/// it say, and the log of a thin client is often in its memory.
const LINES: u32 = 1000;
/// See [`LINES`].
const PERIOD: Duration = Duration::from_secs(10);

/// A started program. Dropping it kills it and, if it leads one, its process group.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    name: String,
    pid: i32,
    own_group: bool,
    status: Option<ExitStatus>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Child {
    pub(super) fn new(mut inner: tokio::process::Child, name: String, own_group: bool) -> Self {
        let mut readers = Vec::new();
        if let Some(out) = inner.stdout.take() {
            readers.push(tokio::spawn(log_lines(name.clone(), out)));
        }
        if let Some(err) = inner.stderr.take() {
            readers.push(tokio::spawn(log_lines(name.clone(), err)));
        }
        let pid = inner.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        strays::started(pid);
        tracing::debug!(program = %name, pid, "started");
        Self { inner, name, pid, own_group, status: None, readers }
    }

    /// Its process id, also that of its process group if it leads one.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its name in the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it has ended; what is left of its process group is then killed. May be called again, and dropped at any
    /// await.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.inner.wait().await?;
        // Its number cannot have been given away while members of the group live; without any this reaches nobody.
        if self.own_group {
            self.send(Signal::SIGKILL);
        }
        self.status = Some(status);
        strays::ended(self.pid);
        Ok(status)
    }

    /// Sends a signal to it, and to its process group if it leads one. Nothing happens once it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            self.send(signal);
        }
    }

    fn send(&self, signal: Signal) {
        if self.pid <= 1 {
            return;
        }
        let pid = nix::unistd::Pid::from_raw(self.pid);
        let result =
            if self.own_group { nix::sys::signal::killpg(pid, signal) } else { nix::sys::signal::kill(pid, signal) };
        if let Err(error) = result.or_else(|e| if e == nix::Error::ESRCH { Ok(()) } else { Err(e) }) {
            tracing::warn!(program = %self.name, pid = self.pid, %error, "cannot be signalled");
        }
    }

    /// Ends it: SIGTERM, then SIGKILL if it is still there after `grace`.
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        if let Ok(status) = tokio::time::timeout(grace, self.wait()).await {
            return status;
        }
        tracing::warn!(program = %self.name, pid = self.pid, "did not end when asked to; killed");
        self.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        // Readers end by themselves with the pipe, unless a stranger holds it open.
        if self.status.is_none() {
            strays::ended(self.pid);
            for reader in &self.readers {
                reader.abort();
            }
        }
    }
}

/// How much of its output has reached the log lately.
#[derive(Debug)]
struct Quota {
    since: Instant,
    lines: u32,
    dropped: u64,
}

impl Quota {
    fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, dropped: 0 }
    }

    /// Whether one more line may be logged now, and then how many were dropped before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines == LINES {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Copies a child's output into the log, line by line; never holds more than one bounded line.
async fn log_lines(name: String, mut stream: impl AsyncRead + Unpin) {
    let mut quota = Quota::new(Instant::now());
    let mut log = |line: &[u8]| {
        let Some(dropped) = quota.take(Instant::now()) else { return };
        if dropped > 0 {
            tracing::warn!(program = name, "said too much: {dropped} lines are not in this log");
        }
        log_line(&name, line);
    };
    let mut buffer = [0; 512];
    let mut line = Vec::with_capacity(LINE);
    loop {
        let read = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        for &byte in buffer.iter().take(read) {
            if byte == b'\n' {
                log(&line);
                line.clear();
            } else if line.len() < LINE {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        log(&line);
    }
}

fn log_line(name: &str, line: &[u8]) {
    // Our own programs mark a line's level as `<N>` (sd-daemon(3)); others may, too.
    let (level, line) = match line {
        [b'<', level @ b'0'..=b'7', b'>', rest @ ..] => (*level, rest),
        _ => (b'6', line),
    };
    let text = text::sanitise_line(&String::from_utf8_lossy(line), LINE);
    if text.is_empty() {
        return;
    }
    match level {
        b'0'..=b'3' => tracing::error!(program = name, "{text}"),
        b'4' => tracing::warn!(program = name, "{text}"),
        b'7' => tracing::debug!(program = name, "{text}"),
        _ => tracing::info!(program = name, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_too_much_is_cut_short_for_a_while_and_that_is_told() {
        let now = Instant::now();
        let mut quota = Quota::new(now);
        assert!((0..LINES).all(|_| quota.take(now) == Some(0)));
        assert!((0..5).all(|_| quota.take(now + PERIOD / 2).is_none()));
        assert_eq!(quota.take(now + PERIOD), Some(5));
        assert_eq!(quota.take(now + PERIOD), Some(0));
    }
}
