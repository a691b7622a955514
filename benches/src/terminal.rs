//! A program on a pseudo-terminal, answered as a quick typist would: as soon as it asks.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;

use crate::clock;
use crate::session::LIMIT;

/// A program and the other side of its terminal.
pub struct Terminal {
    child: Child,
    master: Option<File>,
}

impl Terminal {
    /// Starts `program`, whose controlling terminal this becomes. It ends with us.
    pub fn start(program: &str, arguments: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let pty = openpty(None, None)?;
        let slave = || pty.slave.try_clone();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "setsid", "--ctty", program])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(env.iter().copied())
            .stdin(slave()?)
            .stdout(slave()?)
            .stderr(slave()?)
            .spawn()
            .with_context(|| program.to_owned())?;
        Ok(Self { child, master: Some(File::from(pty.master)) })
    }

    /// Its process: each program before it has become the next.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for a question that contains `prompt`, answers it, and gives the moment of the answer.
    pub fn answer(&mut self, prompt: &str, answer: &str) -> Result<Duration> {
        let mut master = self.master.take().context("answered already")?;
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&said).contains(prompt) {
            let mut fds = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::try_from(LIMIT)?)? == 0 {
                bail!("it does not ask; it said {:?}", String::from_utf8_lossy(&said));
            }
            match master.read(&mut buffer) {
                Ok(n @ 1..) => said.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                _ => bail!("it ended; it said {:?}", String::from_utf8_lossy(&said)),
            }
        }
        let line = format!("{answer}\n");
        let at = clock::now()?;
        master.write_all(line.as_bytes())?;
        // What it says from now on must not fill the terminal; the thread ends with the program.
        std::thread::spawn(move || while matches!(master.read(&mut buffer), Ok(1..)) {});
        Ok(at)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
