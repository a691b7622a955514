//! [`Scene`]: one seat and one server, ready for a login, as most scenarios begin; [`Desk`]: the session they use.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::xserver::Screen;
use crate::{Daemon, Greeter, Lab, Sshd, User, XServer, daemon, sshd, sweep, wait};

/// The usual seat. Dropped from the first field to the last.
pub struct Scene {
    /// The daemon, with the scenario's own greeter.
    pub daemon: Daemon,
    /// The client's display.
    pub x: XServer,
    /// A plain user of the server.
    pub user: User,
    /// The server.
    pub sshd: Sshd,
    /// The place of all this.
    pub lab: Lab,
}

impl Scene {
    /// Nothing special.
    pub fn new() -> Result<Self> {
        Self::with(|sshd| sshd, |daemon| Ok(daemon))
    }

    /// With a special server or a special daemon.
    pub fn with(
        server: impl FnOnce(sshd::Builder<'_>) -> sshd::Builder<'_>,
        seat: impl FnOnce(daemon::Builder<'_>) -> Result<daemon::Builder<'_>>,
    ) -> Result<Self> {
        Self::for_user(server, |daemon, _| seat(daemon))
    }

    /// [`Scene::with`] for a daemon that knows the user from the start.
    pub fn for_user(
        server: impl FnOnce(sshd::Builder<'_>) -> sshd::Builder<'_>,
        seat: impl for<'a> FnOnce(daemon::Builder<'a>, &User) -> Result<daemon::Builder<'a>>,
    ) -> Result<Self> {
        let lab = Lab::new()?;
        Desk::offer(&lab, "desk", "")?;
        let sshd = server(Sshd::builder(&lab)).start()?;
        let user = User::new(&lab)?;
        let x = XServer::new(&lab)?;
        let daemon = seat(Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?, &user)?.start()?;
        Ok(Self { daemon, x, user, sshd, lab })
    }

    /// The lab's session as this scene's user meets it.
    pub fn desk(&self) -> Desk<'_> {
        Desk { user: &self.user }
    }

    /// Logs the user in with a new greeter and waits until the session's window can be seen.
    pub fn log_in(&mut self) -> Result<()> {
        let greeter = self.daemon.greeter()?;
        self.log_in_at(greeter)
    }

    /// Logs the user in with this greeter and waits until the session's window can be seen.
    pub fn log_in_at(&mut self, mut greeter: Greeter) -> Result<()> {
        self.desk().prepare()?;
        greeter.login(&self.user.name, &[&self.user.password])?.expect_in()?;
        greeter.start(Some("desk"))?;
        self.desk().wait_until_up()?;
        self.x.screen().wait_for(&self.desk().title(), wait::STEP)
    }

    /// [`Scene::log_out`] from a session that was not too short to be one.
    pub fn work_and_log_out(&self) -> Result<()> {
        self.desk().work()?;
        self.log_out()
    }

    /// Ends the session as a user does, and waits until nothing of it is left on the server. Most scenarios are in a hurry:
    /// the daemon calls their sessions too short, and they do not ask.
    pub fn log_out(&self) -> Result<()> {
        self.desk().end()?;
        self.user.wait_for_no_process(wait::STEP)
    }

    /// Ends the daemon and checks that nothing is left on either side.
    pub fn finish(mut self) -> Result<()> {
        self.daemon.stop()?;
        self.user.wait_for_no_process(wait::STEP)
    }
}

/// The lab's session: a window titled after the user, which waits to be ended. It leaves its environment in `~/env`.
pub struct Desk<'a> {
    /// Whose session it is.
    pub user: &'a User,
}

impl Desk<'_> {
    /// Offers the session on the lab's server under this id. `more` is run, by a shell, before the window opens.
    pub fn offer(lab: &Lab, id: &str, more: &str) -> Result<()> {
        let script = lab.script(
            &format!("sessions/{id}"),
            &format!(
                "echo \"$0\" >\"$HOME/which\"\nenv -0 | tr '\\n\\0' ' \\n' | sort >\"$HOME/env.new\"; mv \"$HOME/env.new\" \"$HOME/env\"\n{more}\n\
                 xterm -title \"desk of $USER\" -e sh -c 'echo up >\"$HOME/up\"; read -r status <\"$HOME/end\"; echo \"$status\" >\"$HOME/status\"'\n\
                 exit \"$(cat \"$HOME/status\")\""
            ),
        )?;
        lab.session(id, &format!("Lab {id}"), &script.to_string_lossy())
    }

    /// What the window is called.
    pub fn title(&self) -> String {
        format!("desk of {}", self.user.name)
    }

    /// Makes what ends the session, and removes the traces of the last one.
    pub fn prepare(&self) -> Result<()> {
        for name in ["up", "env", "which", "end", "status"] {
            let _ = fs::remove_file(self.user.home.join(name));
        }
        let end = self.user.home.join("end");
        nix::unistd::mkfifo(&end, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
        std::os::unix::fs::chown(&end, Some(self.user.uid), Some(self.user.gid))?;
        Ok(())
    }

    /// Waits until the window's program runs.
    pub fn wait_until_up(&self) -> Result<()> {
        sshd::wait_for_file(&self.user.home.join("up"), wait::STEP).map(drop).with_context(|| self.last_words())
    }

    /// Why the session may not have come up.
    pub fn last_words(&self) -> String {
        let processes: Vec<String> = self.user.processes().into_iter().map(sweep::command_line).collect();
        let errors = wait::tail(&self.user.home.join(".xsession-errors"));
        format!("the user's processes: {processes:?}; .xsession-errors:\n{errors}")
    }

    /// The environment of the session's own program.
    pub fn env(&self) -> Result<std::collections::BTreeMap<String, String>> {
        let text = fs::read_to_string(self.user.home.join("env"))?;
        Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// Waits until the session has lasted longer than those that count as failed.
    pub fn work(&self) -> Result<()> {
        let up = fs::metadata(self.user.home.join("up"))?.modified()?;
        wait::until("time to pass", wait::STEP, || up.elapsed().is_ok_and(|age| age > TOO_SHORT).then_some(()))
    }

    /// Ends the session, as its user would.
    pub fn end(&self) -> Result<()> {
        self.end_with(0)
    }

    /// Ends the session with this exit status.
    pub fn end_with(&self, status: u8) -> Result<()> {
        let path = self.user.home.join("end");
        let mut end: File = wait::until("the session to wait for its end", wait::STEP, || {
            // Without a reader this fails instead of waiting for ever.
            File::options().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).ok()
        })?;
        writeln!(end, "{status}")?;
        Ok(())
    }
}

/// The display of a daemon that starts its own X server, as its greeter sees it. The cookie is copied, because the file goes
/// with the greeter.
pub fn screen_of(lab: &Lab, greeter: &Greeter) -> Result<Screen> {
    let authority = lab.file("copied-xauthority");
    fs::copy(Path::new(greeter.env("XAUTHORITY")?), &authority)?;
    Ok(Screen { display: greeter.env("DISPLAY")?.to_owned(), authority })
}

/// A session shorter than this is no session.
pub const TOO_SHORT: Duration = Duration::from_secs(5);

/// How soon after the fault is noticed a seat must be usable again, with several scenarios on two processors: 5 s where it is
/// the only one.
pub const RECOVERY: Duration = Duration::from_secs(15);
