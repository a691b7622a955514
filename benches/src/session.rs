//! The far end of a session under measurement: `ldm-bench-mark`, running on the server, as seen from here.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_tests::{Lab, stage, wait};

/// How long anything may take before it counts as not happening.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Where the marks of sessions arrive.
pub struct Sessions {
    listener: UnixListener,
    command: String,
}

impl Sessions {
    /// Puts the program where every user reaches it, and listens.
    pub fn new(lab: &Lab) -> Result<Self> {
        let program = lab.file("ldm-bench-mark");
        fs::copy(stage::target()?.join("ldm-bench-mark"), &program).context("ldm-bench-mark is not built")?;
        let socket: PathBuf = lab.file("mark.sock");
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, command: format!("{} {}", program.display(), socket.display()) })
    }

    /// The command line to run in a session.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The next session that runs its command, and when it did. Waiting here takes nothing from the measurement: the
    /// session itself looks at the clock.
    pub fn next(&self) -> Result<(Session, Duration)> {
        let stream = wait::try_until("a session to run its command", LIMIT, || match self.listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e.into()),
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        let mut session = Session { lines: BufReader::new(stream) };
        let at = session.line()?.parse().context("not a mark")?;
        Ok((session, Duration::from_nanos(at)))
    }
}

/// A session that waits for commands. It ends when this is dropped.
pub struct Session {
    lines: BufReader<UnixStream>,
}

impl Session {
    /// Runs a shell command in the session and gives what it printed.
    pub fn run(&mut self, line: &str) -> Result<String> {
        ensure!(!line.contains('\n'), "one line only");
        writeln!(self.lines.get_mut(), "{line}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the session has ended");
        line.pop();
        Ok(line)
    }
}
