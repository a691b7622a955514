//! An X server started here.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::{DisplayError, DisplaySpec};
use crate::sys::{Child, Spawn};
use crate::xauth::{self, Cookie};

/// The descriptor on which the server tells its number.
const DISPLAY_FD: i32 = 3;
/// After SIGTERM an X server restores the console; this takes a moment and must not be cut short without need.
const GRACE: Duration = Duration::from_secs(5);
/// Digits of a `u32` and a newline.
const NUMBER_LEN: usize = 11;

pub(super) struct Server {
    child: Child,
    _authority: Authority,
}

/// The server's authority file; removed when dropped.
struct Authority(PathBuf);

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Server {
    pub(super) async fn start(spec: &DisplaySpec, cookie: &Cookie) -> Result<(Self, u32), DisplayError> {
        let program = spec.program.to_string_lossy().into_owned();
        let authority = write_authority(spec, cookie)?;
        let (reader, writer) = io::pipe()?;
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let mut spawn =
            Spawn::new(&spec.program).env_from_ours(&["PATH"]).envs(spec.env.iter().cloned()).args(&spec.args);
        if let Some(number) = spec.number {
            spawn = spawn.arg(format!(":{number}"));
        }
        spawn = spawn
            .args(["-displayfd", &DISPLAY_FD.to_string()])
            .fd(DISPLAY_FD, writer.into())
            .arg("-auth")
            .arg(&authority.0)
            .args([if spec.listen_tcp { "-listen" } else { "-nolisten" }, "tcp", "-noreset"]);
        if let Some(vt) = spec.vt {
            spawn = spawn.arg(format!("vt{vt}"));
        }
        let mut server = Self { child: spawn.die_with_us().start()?, _authority: authority };
        match tokio::time::timeout(spec.ready_within, server.ready(reader)).await {
            Ok(Ok(Some(number))) => Ok((server, number)),
            Ok(Ok(None)) => {
                server.stop().await;
                Err(DisplayError::NoNumber { program })
            }
            Ok(Err(status)) => Err(DisplayError::Ended { program, status }),
            Err(_) => {
                server.stop().await;
                Err(DisplayError::NotReady { program, within: spec.ready_within })
            }
        }
    }

    /// The number it chose, or how it ended before that.
    async fn ready(&mut self, mut reader: pipe::Receiver) -> Result<Option<u32>, String> {
        let mut text = Vec::with_capacity(NUMBER_LEN);
        // Up to the newline: a script around the server may keep the other end open for as long as it runs. A program that
        // ends closes it, and then how it ended says more.
        while text.len() < NUMBER_LEN {
            match reader.read_u8().await {
                Ok(b'\n') | Err(_) => break,
                Ok(byte) => text.push(byte),
            }
        }
        if text.is_empty() {
            return Err(self.exited().await);
        }
        Ok(std::str::from_utf8(&text).ok().and_then(|number| number.trim().parse().ok()))
    }

    pub(super) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.child.signal(nix::sys::signal::Signal::SIGKILL);
    }

    pub(super) async fn stop(mut self) {
        if let Err(error) = self.child.terminate(GRACE).await {
            tracing::warn!(%error, "the X server cannot be waited for");
        }
    }
}

/// The file that the server reads its cookie from. It has yet to choose its number, so the entry fits any.
fn write_authority(spec: &DisplaySpec, cookie: &Cookie) -> Result<Authority, DisplayError> {
    // A name of its own for each start: a server that is still ending must not lose its file to the next one.
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = spec.directory.join(format!("xauthority-server-{:016x}", u64::from_ne_bytes(random)));
    xauth::write(&path, &xauth::entries_for(None, cookie), None)?;
    Ok(Authority(path))
}
