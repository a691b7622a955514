//! [`User`]: a temporary user of this system, which is the lab's server.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::{Lab, sweep, wait};

/// What is special about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Nothing.
    #[default]
    Plain,
    /// The password has expired and must be changed at the next login.
    Expired,
    /// A system user with no password and no login, for the daemon's own processes.
    System,
}

/// A user that is removed, with its processes and files, when this is dropped.
pub struct User {
    /// The login name.
    pub name: String,
    /// Its password; the lab knows it for a secret.
    pub password: String,
    /// Its home, below the lab's directory.
    pub home: PathBuf,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

/// What begins the names of all lab users; the lab's sshd lets nobody else in.
pub const NAME_PREFIX: &str = "ldmlab";

/// The name of the demo's user.
pub const DEMO: &str = "ldmdemo";

fn is_ours(name: &str) -> bool {
    name.starts_with(NAME_PREFIX) || name.starts_with(DEMO)
}

impl User {
    /// A plain user with a password that nothing else contains.
    pub fn new(lab: &Lab) -> Result<Self> {
        Self::create(lab, Kind::Plain, &random_password()?)
    }

    /// A user of this kind with this password.
    pub fn create(lab: &Lab, kind: Kind, password: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::named(lab, &format!("{NAME_PREFIX}{}x{number}", std::process::id()), kind, password)
    }

    /// The demo's user, under a name that is easily typed: with a number when another demo runs.
    pub fn demo(lab: &Lab, password: &str) -> Result<Self> {
        let names = std::iter::once(DEMO.to_owned()).chain((2..10).map(|n| format!("{DEMO}{n}")));
        for name in names {
            if nix::unistd::User::from_name(&name)?.is_none() {
                return Self::named(lab, &name, Kind::Plain, password);
            }
        }
        anyhow::bail!("there are demos enough");
    }

    /// The user of this name.
    fn named(lab: &Lab, name: &str, kind: Kind, password: &str) -> Result<Self> {
        ensure!(is_ours(name), "{name} would not be swept");
        let name = name.to_owned();
        let home = lab.file("home").join(&name);
        let gecos = format!("ldm-lab {}", sweep::owner());
        let lock = lock()?;
        let mut add = Command::new("useradd");
        add.args(["--create-home", "--shell", "/bin/bash", "--comment", &gecos, "--home-dir"]).arg(&home);
        if kind == Kind::System {
            add.args(["--system", "--user-group", "--shell", "/usr/sbin/nologin"]);
        }
        run(add.arg(&name))?;
        let entry = nix::unistd::User::from_name(&name)?.context("useradd made no user")?;
        let user = Self { name, password: password.to_owned(), home, uid: entry.uid.as_raw(), gid: entry.gid.as_raw() };
        if kind != Kind::System {
            lab.secret(password);
            user.set_password(password)?;
        }
        if kind == Kind::Expired {
            run(Command::new("chage").args(["--lastday", "0", &user.name]))?;
        }
        drop(lock);
        fs::set_permissions(&user.home, fs::Permissions::from_mode(0o700))?;
        Ok(user)
    }

    fn set_password(&self, password: &str) -> Result<()> {
        let mut child = Command::new("chpasswd").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        writeln!(stdin, "{}:{password}", self.name)?;
        drop(stdin);
        ensure!(child.wait()?.success(), "chpasswd failed for {}", self.name);
        Ok(())
    }

    /// Makes it a member of more groups of the server, separated by commas.
    pub fn join_groups(&self, groups: &str) -> Result<()> {
        let _lock = lock()?;
        run(Command::new("usermod").args(["--append", "--groups", groups, &self.name]))
    }

    /// A command that runs as this user on this machine, outside any session.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string(), "--init-groups"])
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env("LOGNAME", &self.name)
            .env("SHELL", "/bin/bash")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir(&self.home);
        command
    }

    /// Writes a file into the user's home, as theirs.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf> {
        let path = self.home.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        std::os::unix::fs::chown(&path, Some(self.uid), Some(self.gid))?;
        Ok(path)
    }

    /// The user's processes, but for those of systemd's user manager, which logind ends in its own time.
    pub fn processes(&self) -> Vec<i32> {
        let manager = format!("/user@{}.service/", self.uid);
        let is_managed =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&manager));
        sweep::processes_of(self.uid).into_iter().filter(|pid| !is_managed(pid)).collect()
    }

    /// Waits until the user has no process left, and names those that stay.
    pub fn wait_for_no_process(&self, limit: Duration) -> Result<()> {
        let gone = wait::until("the end of the user's processes", limit, || self.processes().is_empty().then_some(()));
        gone.with_context(|| {
            let left: Vec<String> = self.processes().into_iter().map(sweep::command_line).collect();
            format!("still running for {}: {left:?}", self.name)
        })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        sweep::kill_all_of(self.uid);
        // A daemon without root keeps its folder for the next one; this user has no next one. Only if it is empty.
        let _ = fs::remove_dir(std::env::temp_dir().join(format!("ldm-{}", self.uid)));
        if let Ok(_lock) = lock() {
            remove_sessions_of(self.uid);
            remove(&self.name);
        }
    }
}

/// Removes what sessions of this user left where nobody clears up any more: their helpers were killed with them, or a login was
/// given up. The next user may get the same number.
pub fn remove_sessions_of(uid: u32) {
    let entries = fs::read_dir("/tmp").into_iter().flatten().flatten();
    let is_sessions = |name: &str| {
        let random = name.strip_prefix("ldm-").map(|rest| rest.trim_end_matches(".sound"));
        random.is_some_and(|random| random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(is_sessions)) {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.uid() == uid {
            let _ = if metadata.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}

/// Removes a lab user's account; the home goes with its lab.
pub fn remove(name: &str) {
    assert!(is_ours(name), "{name} is not the lab's");
    sweep::quietly("userdel", &["--force", name]);
}

/// Every lab user of this machine: name, number, owner.
pub fn lab_users() -> Vec<(String, u32, String)> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let owner = fields.get(4)?.strip_prefix("ldm-lab ")?;
            let name = fields.first().filter(|name| is_ours(name))?;
            Some(((*name).to_owned(), fields.get(2)?.parse().ok()?, owner.to_owned()))
        })
        .collect()
}

/// The shadow tools wait whole seconds for each other; waiting here first is quicker.
fn lock() -> Result<Flock<File>> {
    let file = File::options().create(true).append(true).open("/run/ldm-lab.lock")?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// 16 hexadecimal digits after a word that makes a leak easy to recognise.
pub fn random_password() -> Result<String> {
    let mut bytes = [0; 8];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(format!("Lab-{:016x}", u64::from_ne_bytes(bytes)))
}
