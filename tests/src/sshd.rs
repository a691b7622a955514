//! [`Sshd`]: a private OpenSSH server with PAM on 127.0.0.1, with its own keys and configuration.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::program::{self, Program};
use crate::{Lab, account, sweep, wait, workplace};

/// How to start a server; [`Sshd::builder`].
pub struct Builder<'a> {
    lab: &'a Lab,
    lines: Vec<String>,
    pam: Option<String>,
    helper: bool,
    path: Option<String>,
    port: Option<u16>,
}

impl Builder<'_> {
    /// Adds a line to sshd_config(5), before the lab's own: the first value wins.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Uses this PAM stack instead of Debian's for sshd.
    #[must_use]
    pub fn pam(mut self, stack: &str) -> Self {
        self.pam = Some(stack.to_owned());
        self
    }

    /// Whether `ldm-server-helper` is installed on this server.
    #[must_use]
    pub fn helper(mut self, installed: bool) -> Self {
        self.helper = installed;
        self
    }

    /// The search path of commands on the server.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// On this port, as a server that comes back has.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Writes a file for the configuration to name.
    pub fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.lab.file(name);
        // A failure shows at once: sshd or PAM does not find it.
        let _ = fs::write(&path, text);
        path
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Result<Sshd> {
        Sshd::start(&self)
    }
}

/// A running server.
pub struct Sshd {
    program: Program,
    port: u16,
    dir: PathBuf,
    pam_file: Option<PathBuf>,
}

impl Sshd {
    /// A server as Debian configures it, with X11 forwarding, for the lab's users only.
    pub fn builder(lab: &Lab) -> Builder<'_> {
        Builder { lab, lines: Vec::new(), pam: None, helper: true, path: None, port: None }
    }

    /// [`Sshd::builder`] with nothing changed.
    pub fn new(lab: &Lab) -> Result<Self> {
        Self::builder(lab).start()
    }

    fn start(builder: &Builder<'_>) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let lab = builder.lab;
        let name = format!("{}{}-{}", workplace::PREFIX, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = lab.file(&format!("sshd-{name}"));
        fs::create_dir(&dir)?;
        // sshd insists on this empty directory; Debian's service makes it at each start.
        fs::create_dir_all("/run/sshd")?;
        // A server that comes back after a crash has the keys it had.
        let keys = lab.file("host-keys");
        if !keys.exists() {
            make_keys(&keys)?;
        }
        let mut pam_file = None;
        let program = if let Some(stack) = &builder.pam {
            // Debian's sshd asks PAM for the service it was started as.
            let path = Path::new("/etc/pam.d").join(&name);
            fs::write(&path, format!("# owner {}\n{stack}\n", sweep::owner()))?;
            pam_file = Some(path);
            let link = dir.join(&name);
            symlink("/usr/sbin/sshd", &link)?;
            link
        } else {
            PathBuf::from("/usr/sbin/sshd")
        };
        let log = lab.log("sshd");
        for _ in 0..10 {
            let port = match builder.port {
                Some(port) => port,
                None => free_port()?,
            };
            let config = dir.join("sshd_config");
            fs::write(&config, configuration(builder, &keys, port)?)?;
            let mut command = program::command(&program);
            command.arg("-D").arg("-e").arg("-f").arg(&config).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            let mut running = Program::start("sshd", &mut command, &log)?;
            let listens = format!("Server listening on 127.0.0.1 port {port}.");
            let ready = wait::until("sshd to listen", wait::STEP, || {
                if running.log_text().contains(&listens) {
                    Some(true)
                } else {
                    (!running.is_running()).then_some(false)
                }
            })?;
            if ready {
                return Ok(Self { program: running, port, dir, pam_file });
            }
            if !running.log_text().contains("Address already in use") {
                bail!("sshd does not start:\n{}", wait::tail(&log));
            }
        }
        bail!("sshd finds no free port");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.program.log()
    }

    /// Its log's text.
    pub fn log_text(&self) -> String {
        self.program.log_text()
    }

    /// The listening process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// One of its public keys (`ed25519`, `ecdsa`, `rsa`), as `TYPE BASE64`.
    pub fn public_key(&self, lab: &Lab, kind: &str) -> Result<String> {
        public_key(&lab.file("host-keys").join(kind))
    }

    /// A known-hosts file with this server's keys at this port, which may be a relay's.
    pub fn known_hosts(&self, lab: &Lab, port: u16) -> Result<PathBuf> {
        let mut text = String::new();
        for kind in KEYS {
            writeln!(text, "[127.0.0.1]:{port} {}", self.public_key(lab, kind)?)?;
        }
        let path = self.dir.join(format!("known_hosts-{port}"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The server's processes that serve connections: the children of the one that listens, and theirs.
    pub fn connections(&self) -> Vec<i32> {
        let mut all = children(self.program.pid());
        let below: Vec<i32> = all.iter().flat_map(|pid| children(*pid)).collect();
        all.extend(below);
        all
    }

    /// Kills the server and everything that serves a connection, as if the machine's sshd had crashed.
    pub fn crash(&mut self) {
        let connections = self.connections();
        self.program.kill();
        for pid in connections {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.crash();
        if let Some(path) = &self.pam_file {
            let _ = fs::remove_file(path);
        }
    }
}

/// Kinds of host keys that each server has.
pub const KEYS: &[&str] = &["ed25519", "ecdsa", "rsa"];

/// Makes a key pair of each kind in a new directory.
pub fn make_keys(dir: &Path) -> Result<()> {
    fs::create_dir(dir)?;
    for kind in KEYS {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-N", "", "-C", "", "-t", kind, "-f"]).arg(dir.join(kind));
        if *kind == "rsa" {
            keygen.args(["-b", "2048"]);
        }
        ensure!(keygen.status()?.success(), "ssh-keygen failed");
    }
    Ok(())
}

/// The public half of a key made by [`make_keys`], as `TYPE BASE64`.
pub fn public_key(private: &Path) -> Result<String> {
    let text = fs::read_to_string(private.with_extension("pub"))?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

/// A port nobody listens at now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The child processes of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// How long sshd may take to see that its peer has gone.
pub const NOTICE: Duration = Duration::from_secs(10);

fn configuration(builder: &Builder<'_>, keys: &Path, port: u16) -> Result<String> {
    let lab = builder.lab.path();
    let system = "/usr/local/bin:/usr/bin:/bin:/usr/games";
    let path = match (&builder.path, builder.helper) {
        (Some(path), _) => path.clone(),
        (None, true) => format!("{}:{system}", builder.lab.bin()?.display()),
        (None, false) => system.to_owned(),
    };
    let mut text = String::new();
    for line in &builder.lines {
        text.push_str(line);
        text.push('\n');
    }
    for kind in KEYS {
        writeln!(text, "HostKey {}", keys.join(kind).display())?;
    }
    writeln!(
        text,
        "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nLogLevel VERBOSE\nUsePAM yes\nAllowUsers {users}* {demo}*\n\
         KbdInteractiveAuthentication yes\nPasswordAuthentication yes\nPermitRootLogin no\nX11Forwarding yes\n\
         PrintMotd no\nAcceptEnv LANG LC_*\nUseDNS no\n\
         SetEnv PATH={path} XDG_DATA_DIRS={lab}/share:/usr/local/share:/usr/share",
        users = account::NAME_PREFIX,
        demo = account::DEMO,
        lab = lab.display(),
    )?;
    Ok(text)
}

/// Waits until a file on the server has a text, which it returns.
pub fn wait_for_file(path: &Path, limit: Duration) -> Result<String> {
    wait::until(&format!("text in {}", path.display()), limit, || {
        fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
    })
    .context("a session was to write it")
}
