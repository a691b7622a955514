//! [`Daemon`]: `ldm` on a display of the lab, with a greeter that the scenario plays itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::account::Kind;
use crate::greeter::Greeter;
use crate::program::{self, Program};
use crate::sshd::children;
use crate::xserver::Screen;
use crate::{Lab, Sshd, User, XServer, sweep, wait};

/// How to start a daemon; [`Daemon::builder`].
pub struct Builder<'a> {
    lab: &'a Lab,
    keys: BTreeMap<String, String>,
    display: Option<Screen>,
    arguments: Vec<String>,
    user: Option<&'a User>,
    greeter_user: Option<User>,
    by: Vec<String>,
    own_greeter: bool,
}

impl<'a> Builder<'a> {
    /// Sets a key of the configuration.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.keys.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The value of a key that was set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// Leaves a key at its default.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.keys.remove(key);
        self
    }

    /// Logs in to this server, through a relay if its port is another one.
    pub fn server(self, sshd: &Sshd, port: u16) -> Result<Self> {
        let known_hosts = sshd.known_hosts(self.lab, port)?;
        Ok(self.set("LDM_SERVER", &format!("127.0.0.1:{port}")).set("LDM_KNOWN_HOSTS", &known_hosts.to_string_lossy()))
    }

    /// Uses a display that runs already.
    #[must_use]
    pub fn on(mut self, screen: Screen) -> Self {
        self.display = Some(screen);
        self
    }

    /// Adds an argument to the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Runs as this user instead of root.
    #[must_use]
    pub fn as_user(mut self, user: &'a User) -> Self {
        self.user = Some(user);
        self
    }

    /// Runs greeters as this user instead of one of their own; whatever else it runs may outlive the daemon.
    #[must_use]
    pub fn greeter_user(mut self, user: User) -> Self {
        self.greeter_user = Some(user);
        self
    }

    /// Starts it through this command, which executes what follows it.
    #[must_use]
    pub fn by(mut self, words: &[&str]) -> Self {
        self.by = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Leaves the greeter to the daemon: it is the program `ldm-greeter` beside it.
    #[must_use]
    pub fn own_greeter(mut self) -> Self {
        self.own_greeter = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Daemon> {
        Daemon::start(self)
    }
}

/// A running `ldm`.
pub struct Daemon {
    program: Program,
    control: UnixListener,
    // Removed after the program has ended.
    greeter_user: User,
    greeter_user_is_shared: bool,
    worker_user: User,
}

impl Daemon {
    /// A daemon with the scenario's own greeter and the most verbose log.
    pub fn builder(lab: &Lab) -> Builder<'_> {
        let keys = BTreeMap::from([("LDM_LOGLEVEL".to_owned(), "7".to_owned())]);
        Builder {
            lab,
            keys,
            display: None,
            arguments: Vec::new(),
            user: None,
            greeter_user: None,
            by: Vec::new(),
            own_greeter: false,
        }
    }

    /// A daemon on this display for this server.
    pub fn new(lab: &Lab, x: &XServer, sshd: &Sshd) -> Result<Self> {
        Self::builder(lab).on(x.screen()).server(sshd, sshd.port())?.start()
    }

    fn start(mut builder: Builder<'_>) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let lab = builder.lab;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let bin = lab.bin()?;
        let socket = lab.file(&format!("greeter-{number}.sock"));
        let control = UnixListener::bind(&socket)?;
        control.set_nonblocking(true)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
        let greeter_user_is_shared = builder.greeter_user.is_some();
        let greeter_user = match builder.greeter_user.take() {
            Some(user) => user,
            None => User::create(lab, Kind::System, "")?,
        };
        let worker_user = User::create(lab, Kind::System, "")?;
        let own = |key: &str, value: String| (key.to_owned(), value);
        let defaults = [
            own("LDM_GREETER", format!("{} {}", bin.join("ldm-fake-greeter").display(), socket.display())),
            own("LDM_GREETER_USER", greeter_user.name.clone()),
            own("LDM_WORKER_USER", worker_user.name.clone()),
            // What is remembered is the scenario's own, and not this machine's.
            own("LDM_STATE_DIR", lab.file("state").to_string_lossy().into_owned()),
        ];
        for (key, value) in defaults {
            builder.keys.entry(key).or_insert(value);
        }
        if builder.own_greeter {
            builder.keys.remove("LDM_GREETER");
        }
        let mut text = String::from("[Default]\n");
        for (key, value) in &builder.keys {
            writeln!(text, "{key} = {value}")?;
        }
        let config = lab.file(&format!("lts-{number}.conf"));
        fs::write(&config, text)?;
        let mut command = if let Some(user) = builder.user {
            user.command(&bin.join("ldm"))
        } else {
            let words = builder.by.iter().map(OsString::from).chain([bin.join("ldm").into()]).collect::<Vec<_>>();
            let (first, rest) = words.split_first().context("at least ldm")?;
            let mut command = program::asked_to_end(first);
            command.args(rest).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            command
        };
        command.arg("--config").arg(&config).args(&builder.arguments);
        if let Some(screen) = &builder.display {
            command.args(["--display", &screen.display]).env("XAUTHORITY", &screen.authority);
        }
        let program = Program::start("ldm", &mut command, &lab.log("ldm"))?;
        Ok(Self { program, control, greeter_user, greeter_user_is_shared, worker_user })
    }

    /// The daemon's process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.program.pid()
    }

    /// Its log's text.
    pub fn log_text(&self) -> String {
        self.program.log_text()
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        self.program.log()
    }

    /// The user its greeters run as.
    pub fn greeter_user(&self) -> &User {
        &self.greeter_user
    }

    /// The user its workers run as.
    pub fn worker_user(&self) -> &User {
        &self.worker_user
    }

    /// The next greeter that the daemon starts.
    pub fn greeter(&mut self) -> Result<Greeter> {
        self.greeter_within(wait::STEP)
    }

    /// The next greeter, if it comes in time.
    pub fn greeter_within(&mut self, limit: Duration) -> Result<Greeter> {
        let stream = wait::try_until("a greeter", limit, || match self.control.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                anyhow::ensure!(self.program.is_running(), "the daemon has ended");
                Ok(None)
            }
            Err(e) => Err(e.into()),
        });
        let stream: UnixStream =
            stream.with_context(|| format!("the daemon's log:\n{}", wait::tail(self.program.log())))?;
        Greeter::new(stream)
    }

    /// Whether a greeter has been started that nobody has taken.
    pub fn has_new_greeter(&self) -> bool {
        use std::os::fd::AsFd;
        let mut fds = [nix::poll::PollFd::new(self.control.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// The worker process of the login or session under way.
    pub fn worker(&self) -> Option<i32> {
        children(self.pid()).into_iter().find(|pid| {
            let mut words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.retain(|byte| *byte != b'\r');
            words.split(|byte| *byte == 0).nth(1) == Some(b"worker")
        })
    }

    /// Waits for a worker.
    pub fn wait_for_worker(&self) -> Result<i32> {
        wait::until("a worker", wait::STEP, || self.worker())
    }

    /// Waits until neither a worker nor anything else is left below the users of workers.
    pub fn wait_for_no_worker(&self) -> Result<()> {
        self.worker_user.wait_for_no_process(wait::STEP)
    }

    /// Asks the daemon to end and checks that nothing of it is left.
    pub fn stop(&mut self) -> Result<()> {
        let below = descendants(self.pid());
        self.program.signal(Signal::SIGTERM);
        self.program.wait(wait::STEP)?;
        let left = || -> Vec<String> {
            below
                .iter()
                .filter(|(pid, start)| start.is_some() && start_of(*pid) == *start)
                .map(|(pid, _)| sweep::command_line(*pid))
                .collect()
        };
        wait::until("the daemon's children to end", Duration::from_secs(5), || left().is_empty().then_some(()))
            .with_context(|| format!("left running: {:?}", left()))?;
        if !self.greeter_user_is_shared {
            self.greeter_user.wait_for_no_process(Duration::from_secs(5))?;
        }
        self.worker_user.wait_for_no_process(Duration::from_secs(5))
    }
}

/// Every process below `pid`, with its start time.
pub fn descendants(pid: i32) -> Vec<(i32, Option<String>)> {
    let mut all: Vec<i32> = Vec::new();
    let mut next = children(pid);
    while let Some(pid) = next.pop() {
        next.extend(children(pid));
        all.push(pid);
    }
    all.into_iter().map(|pid| (pid, start_of(pid))).collect()
}

fn start_of(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    // A zombie has ended.
    (words.first() != Some(&"Z")).then(|| words.get(19).map(|word| (*word).to_owned())).flatten()
}

/// Real, effective and saved user of a process, and its groups (proc_pid_status(5)).
pub fn identity(pid: i32) -> Result<(Vec<u32>, Vec<u32>)> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let numbers = |name: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    Ok((numbers("Uid:"), numbers("Groups:")))
}
