//! [`Program`]: a child process that ends with its value, and with the test if that is killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A command that is killed when the thread that starts it ends: setpriv(1) arms that and then becomes the program.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    dying_of("KILL", program)
}

/// [`command`] for a program that is asked to end, because it has something to clean up.
pub fn asked_to_end(program: impl AsRef<std::ffi::OsStr>) -> Command {
    dying_of("TERM", program)
}

fn dying_of(signal: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// A running program whose output goes to a log.
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with its standard output and error in `log`, unless they are redirected already.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Self::adopt(name, command, log)
    }

    /// Starts `command` as it is.
    pub fn adopt(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} does not start: {command:?}"))?;
        Ok(Self { child, name: name.to_owned(), log: log.to_owned() })
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its log's text.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait::try_until(&format!("the end of {name}"), limit, || Ok(self.child.try_wait()?))
            .with_context(|| format!("its log ends with:\n{}", wait::tail(&self.log)))
    }

    /// Asks it to end, kills it after 5 s.
    pub fn stop(&mut self) {
        if !self.is_running() {
            return;
        }
        self.signal(Signal::SIGTERM);
        if self.wait(Duration::from_secs(5)).is_err() {
            self.kill();
        }
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}
