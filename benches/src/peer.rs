//! The two that are compared, made to do the same thing: log in, on this display, and run this command.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_protocol::Secret;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::daemon::Builder;
use ldm_tests::sound::SoundDaemon;
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Greeter, Lab, Sshd, User, XServer};

use crate::clock;
use crate::session::{LIMIT, Sessions};
use crate::terminal::Terminal;

/// What all measurements share: one server, one user, one display.
pub struct Place {
    // Dropped in this order: the lab last, with the directory of all others.
    /// Marks of sessions.
    pub sessions: Sessions,
    /// The display.
    pub x: XServer,
    /// The server.
    pub sshd: Sshd,
    /// Who logs in.
    pub user: User,
    /// The directory.
    pub lab: Lab,
}

impl Place {
    /// Starts it all.
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let sessions = Sessions::new(&lab)?;
        lab.session("mark", "Mark", sessions.command())?;
        lab.session("window", "Window", "xterm")?;
        let user = User::new(&lab)?;
        let sshd = Sshd::builder(&lab).line("MaxStartups 100:30:200").start()?;
        let x = XServer::new(&lab)?;
        Ok(Self { sessions, x, sshd, user, lab })
    }

    /// The display.
    pub fn screen(&self) -> Screen {
        self.x.screen()
    }

    /// Waits until nothing of the last session is left, so that it takes nothing from the next.
    pub fn settle(&self) -> Result<()> {
        self.user.wait_for_no_process(LIMIT)
    }
}

/// How the session's command is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// By a shell and nothing else, as `ssh SERVER COMMAND` does.
    Bare,
    /// Through Debian's Xsession, as a desktop is.
    Xsession,
}

/// OpenSSH's client, on a terminal.
pub struct OpenSsh {
    /// How it is called in the report.
    pub name: String,
    options: Vec<String>,
    env: [(String, String); 3],
    user: (String, String),
    start: Start,
}

impl OpenSsh {
    /// `ssh -Y` to this port, with further options.
    pub fn new(name: &str, place: &Place, port: u16, start: Start, further: &[&str]) -> Result<Self> {
        let known_hosts = place.sshd.known_hosts(&place.lab, port)?;
        let mut options: Vec<String> = ["-Y", "-F", "none", "-p", &port.to_string()].map(str::to_owned).into();
        for option in [
            &format!("UserKnownHostsFile={}", known_hosts.display()),
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "PubkeyAuthentication=no",
            "PreferredAuthentications=keyboard-interactive",
            "LogLevel=ERROR",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options.extend(further.iter().map(|&option| option.to_owned()));
        options.push(format!("{}@127.0.0.1", place.user.name));
        let screen = place.screen();
        let env = [
            ("DISPLAY", screen.display),
            ("XAUTHORITY", screen.authority.display().to_string()),
            ("HOME", place.lab.path().display().to_string()),
        ];
        let user = (place.user.name.clone(), place.user.password.clone());
        Ok(Self { name: name.to_owned(), options, env: env.map(|(k, v)| (k.to_owned(), v)), user, start })
    }

    /// Logs in and runs `command`; the session lives as long as the terminal.
    pub fn login(&self, command: &str) -> Result<SshLogin> {
        let command = match self.start {
            Start::Bare => command.to_owned(),
            Start::Xsession => format!("/etc/X11/Xsession \"{command}\""),
        };
        let mut arguments: Vec<&str> = self.options.iter().map(String::as_str).collect();
        arguments.push(&command);
        let env: Vec<_> = self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let started = clock::now()?;
        let mut terminal = Terminal::start("ssh", &arguments, &env)?;
        let answered = terminal.answer("assword:", &self.user.1).with_context(|| format!("ssh as {}", self.user.0))?;
        Ok(SshLogin { terminal, started, answered })
    }
}

/// A login with `ssh`, and the two moments from which it can be timed.
pub struct SshLogin {
    /// Where it runs.
    pub terminal: Terminal,
    /// Its start: what somebody waits for who gave name and password to a program that runs `ssh`.
    pub started: Duration,
    /// The answer to its own prompt: what somebody waits for who typed it there.
    pub answered: Duration,
}

/// The daemon, with a greeter that types as soon as it is asked.
pub struct Ldm {
    /// How it is called in the report.
    pub name: String,
    daemon: Daemon,
    next: Option<Greeter>,
    user: (String, String),
    list: bool,
}

impl Ldm {
    /// A daemon that logs in at this port. With `list` the greeter asks for the sessions first, as it does unless one is
    /// forced.
    pub fn new(name: &str, place: &Place, port: u16, start: Start, list: bool) -> Result<Self> {
        let mut builder =
            Daemon::builder(&place.lab).on(place.screen()).server(&place.sshd, port)?.set("LDM_LOGLEVEL", "4");
        if start == Start::Bare {
            // What the administrator may set: a script that gets the command as its one argument.
            let script = place.lab.file("bare-xsession");
            if !script.exists() {
                place.lab.script("bare-xsession", "exec $1")?;
            }
            builder = builder.set("LDM_XSESSION", &script.to_string_lossy());
        }
        if !list {
            builder = builder.set("LDM_FORCE_SESSION", "mark");
        }
        Self::start(name, place, builder, list)
    }

    /// A daemon whose sessions may start programs on this machine, which is server and client.
    pub fn with_local_apps(name: &str, place: &Place) -> Result<Self> {
        let builder = Daemon::builder(&place.lab).by(&ldm_tests::client::same_machine());
        Self::with(name, place, builder.set("SOUND", "False").set("LOCAL_APPS", "True"))
    }

    /// A daemon whose sessions have this sound.
    pub fn with_sound(name: &str, place: &Place, sound: &SoundDaemon) -> Result<Self> {
        Self::with(name, place, Daemon::builder(&place.lab).set("SOUND_DAEMON", &sound.socket().to_string_lossy()))
    }

    fn with(name: &str, place: &Place, builder: Builder<'_>) -> Result<Self> {
        let builder = builder.on(place.screen()).server(&place.sshd, place.sshd.port())?;
        Self::start(name, place, builder.set("LDM_LOGLEVEL", "4"), true)
    }

    fn start(name: &str, place: &Place, builder: Builder<'_>, list: bool) -> Result<Self> {
        let mut daemon = builder.start()?;
        let next = Some(daemon.greeter()?);
        let user = (place.user.name.clone(), place.user.password.clone());
        Ok(Self { name: name.to_owned(), daemon, next, user, list })
    }

    /// Logs in and starts a session.
    pub fn login(&mut self, session: &str) -> Result<LdmLogin> {
        let mut greeter = match self.next.take() {
            Some(greeter) => greeter,
            None => self.daemon.greeter_within(LIMIT)?,
        };
        greeter.login_to_question(&self.user.0)?;
        let response = Some(Secret::new(&self.user.1)?);
        let answered = clock::now()?;
        let mut answer = greeter.request(&Request::PostAuthMessageResponse { response })?;
        while matches!(answer, Response::AuthMessage { .. }) {
            answer = greeter.request(&Request::PostAuthMessageResponse { response: None })?;
        }
        ensure!(matches!(answer, Response::Success), "the login failed: {answer:?}");
        if self.list {
            greeter.sessions()?;
        }
        let chosen = clock::now()?;
        greeter.start(Some(session))?;
        Ok(LdmLogin { answered, chosen })
    }

    /// Waits for the greeter that follows the session, so that its start takes nothing from the next measurement.
    pub fn settle(&mut self) -> Result<()> {
        if self.next.is_none() {
            self.next = Some(self.daemon.greeter_within(LIMIT)?);
        }
        Ok(())
    }

    /// Whether its users choose a session.
    pub fn lists(&self) -> bool {
        self.list
    }

    /// The greeter that waits for its user.
    pub fn greeter(&self) -> Option<&Greeter> {
        self.next.as_ref()
    }

    /// The client's processes in a session: daemon and worker.
    pub fn processes(&self) -> Vec<i32> {
        std::iter::once(self.daemon.pid()).chain(self.daemon.worker()).collect()
    }
}

/// The two moments from which a login with `ldm` can be timed.
pub struct LdmLogin {
    /// The last answer to the server.
    pub answered: Duration,
    /// The choice of a session, which is the user's last word where there is more than one.
    pub chosen: Duration,
}

/// Ends the xterms of a session as a user who closes the window would.
pub fn close_windows(place: &Place) {
    for pid in place.user.processes() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "xterm" {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
    }
}
