//! A program that was started: its end, its signals, and what it says.

use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use ldm_protocol::{limits, text};
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::strays;

/// Longest line of a child's output that reaches the log; the rest of the line is dropped.
const LINE: usize = 1024;

/// Lines of a child's output that reach the log within [`PERIOD`]. What a program says may be what a server or a greeter makes
/// it say, and the log of a thin client is often in its memory.
const LINES: u32 = 1000;
/// Of a program that has ended no more than this is in the pipe (pipe(7)). What comes after it is of others who write on.
const PIPE: usize = 64 * 1024;

/// See [`LINES`].
const PERIOD: Duration = Duration::from_secs(10);

/// A started program. Dropping it kills it and, if it leads one, its process group.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    name: String,
    pid: i32,
    own_group: bool,
    keep_group: bool,
    status: Option<ExitStatus>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    tail: Option<Tail>,
}

/// Asks the reader of standard error for its last lines.
#[derive(Debug)]
struct Tail {
    ended: CancellationToken,
    lines: oneshot::Receiver<Vec<String>>,
}

impl Child {
    pub(super) fn new(
        mut inner: tokio::process::Child,
        name: String,
        own_group: bool,
        keep_group: bool,
        keep_tail: bool,
    ) -> Self {
        let mut readers = Vec::new();
        if let Some(out) = inner.stdout.take() {
            readers.push(tokio::spawn(Lines::new(&name, keep_tail).log(out)));
        }
        let mut tail = None;
        if let Some(err) = inner.stderr.take() {
            let lines = Lines::new(&name, keep_tail);
            if keep_tail {
                let ended = CancellationToken::new();
                let (sender, receiver) = oneshot::channel();
                readers.push(tokio::spawn(lines.log_and_keep(err, ended.clone(), sender)));
                tail = Some(Tail { ended, lines: receiver });
            } else {
                readers.push(tokio::spawn(lines.log(err)));
            }
        }
        let pid = inner.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        strays::started(pid);
        tracing::debug!(program = %name, pid, "started");
        Self { inner, name, pid, own_group, keep_group, status: None, readers, tail }
    }

    /// Its process id, also that of its process group if it leads one.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its name in the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it has ended; what is left of its process group is then killed, unless it was to be kept. May be called again, and dropped at any
    /// await.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.inner.wait().await?;
        // Its number cannot have been given away while members of the group live; without any this reaches nobody.
        if self.own_group && !self.keep_group {
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

    /// The last lines of its standard error, at most [`limits::APP_STDERR_LINES`], once it has ended. Empty unless it was started
    /// with [`super::Output::Tail`], and the second time.
    pub async fn last_words(&mut self) -> Vec<String> {
        let Some(Tail { ended, lines }) = self.tail.take() else { return Vec::new() };
        ended.cancel();
        lines.await.unwrap_or_default()
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

/// Takes a child's output apart into bounded lines, and copies them into the log.
struct Lines {
    name: String,
    quota: Quota,
    /// Whatever it says is said at level debug.
    quiet: bool,
    line: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    fn new(name: &str, quiet: bool) -> Self {
        let quota = Quota::new(Instant::now());
        Self { name: name.to_owned(), quota, quiet, line: Vec::with_capacity(LINE), last: VecDeque::new() }
    }

    async fn log(mut self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = [0; 512];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.take(buffer.get(..read).unwrap_or_default());
        }
        self.end_line();
    }

    /// Gives the last lines to `lines` once it was `ended` and nothing more is in the pipe. Others who have the pipe may write
    /// on.
    async fn log_and_keep(
        mut self,
        mut stream: impl AsyncRead + Unpin,
        ended: CancellationToken,
        lines: oneshot::Sender<Vec<String>>,
    ) {
        let mut lines = Some(lines);
        let mut left = PIPE;
        let mut buffer = [0; 512];
        loop {
            if left == 0 {
                self.end_line();
                lines.take().map(|lines| lines.send(self.last.drain(..).collect()));
                left = PIPE;
            }
            let read = tokio::select! {
                biased;
                // What was written before the end is in the pipe by now: a read that would wait has come to its end.
                read = tokio::task::unconstrained(stream.read(&mut buffer)) => read,
                () = ended.cancelled(), if lines.is_some() => {
                    left = 0;
                    continue;
                }
            };
            let Ok(read @ 1..) = read else { break };
            if ended.is_cancelled() && lines.is_some() {
                left = left.saturating_sub(read);
            }
            self.take(buffer.get(..read).unwrap_or_default());
            tokio::task::consume_budget().await;
        }
        self.end_line();
        lines.map(|lines| lines.send(self.last.drain(..).collect()));
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE {
                self.line.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        if self.quiet {
            let text = text::sanitise_line(&String::from_utf8_lossy(&self.line), limits::LOG_TAIL_LINE);
            if self.last.len() == limits::APP_STDERR_LINES {
                self.last.pop_front();
            }
            self.last.push_back(text);
        }
        if let Some(dropped) = self.quota.take(Instant::now()) {
            if dropped > 0 {
                tracing::warn!(program = self.name, "said too much: {dropped} lines are not in this log");
            }
            log_line(&self.name, &self.line, self.quiet);
        }
        self.line.clear();
    }
}

fn log_line(name: &str, line: &[u8], quiet: bool) {
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
        _ if quiet => tracing::debug!(program = name, "{text}"),
        b'0'..=b'3' => tracing::error!(program = name, "{text}"),
        b'4' => tracing::warn!(program = name, "{text}"),
        b'7' => tracing::debug!(program = name, "{text}"),
        _ => tracing::info!(program = name, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_writes_on_for_ever_does_not_keep_the_last_words_back() {
        let ended = CancellationToken::new();
        let (sender, lines) = oneshot::channel();
        let reader = Lines::new("test", true).log_and_keep(tokio::io::repeat(b'x'), ended.clone(), sender);
        let reader = tokio::spawn(reader);
        ended.cancel();
        let lines = tokio::time::timeout(Duration::from_mins(1), lines).await.unwrap().unwrap();
        assert_eq!(lines.len(), 1);
        reader.abort();
    }

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
