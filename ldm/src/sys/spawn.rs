//! Starting a program: with nothing inherited that was not asked for.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString, c_int, c_uint};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::libc;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Account, Child};

/// Where a child's standard output and error go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Into our log, line by line, sanitised and bounded.
    Log,
    /// Wherever ours go.
    Inherit,
    /// Into our log likewise, at level debug; [`Child::last_words`] gives the last lines of its standard error.
    Tail,
    /// Nowhere.
    Null,
}

/// What a program said before it ended; not sanitised.
#[derive(Debug)]
pub struct Captured {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{program} cannot be started")]
pub struct SpawnError {
    /// The program, as configured.
    pub program: String,
    /// Why: not found, not executable, user change refused.
    pub source: io::Error,
}

/// A program to be started.
///
/// The child gets the environment and the descriptors named here and nothing else, standard input is `/dev/null`, and it
/// leads a session of its own unless [`Spawn::same_group`] says otherwise. The user is changed between `fork` and `exec`,
/// never in this process, so threads do not matter.
#[derive(Debug)]
pub struct Spawn {
    program: OsString,
    arg0: Option<OsString>,
    seen_as: Option<OsString>,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    fds: Vec<(RawFd, OwnedFd)>,
    output: Output,
    account: Option<Account>,
    stdio: Option<OwnedFd>,
    cwd: Vec<PathBuf>,
    umask: Option<u32>,
    own_group: bool,
    keep_group: bool,
    die_with_us: bool,
}

impl Spawn {
    /// A program by path, or by name to be found in the `PATH` that the child is given.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arg0: None,
            seen_as: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            fds: Vec::new(),
            output: Output::Log,
            account: None,
            stdio: None,
            cwd: Vec::new(),
            umask: None,
            own_group: true,
            keep_group: false,
            die_with_us: false,
        }
    }

    /// This program again, in a fresh process image that inherits no runtime.
    pub fn this_program() -> Self {
        let mut spawn = Self::new(super::THIS_PROGRAM);
        spawn.arg0 = Some("ldm".into());
        spawn
    }

    /// The name by which other programs see it (`argv[0]`); the log keeps the program's own.
    #[must_use]
    pub fn seen_as(mut self, name: impl Into<OsString>) -> Self {
        self.seen_as = Some(name.into());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's otherwise empty environment.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(key.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets variables of the child's otherwise empty environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(vars.into_iter().map(|(k, v)| (k.as_ref().to_owned(), v.as_ref().to_owned())));
        self
    }

    /// Passes our own value of these variables on, where we have one.
    #[must_use]
    pub fn env_from_ours(self, keys: &[&str]) -> Self {
        let vars: Vec<_> = keys.iter().filter_map(|k| std::env::var_os(k).map(|v| (*k, v))).collect();
        self.envs(vars)
    }

    /// Gives the child this descriptor as its number `number` (3 or more).
    #[must_use]
    pub fn fd(mut self, number: RawFd, fd: OwnedFd) -> Self {
        self.fds.push((number, fd));
        self
    }

    /// Where its output goes; [`Output::Log`] by default.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Runs it as this user. Needs root unless it is the user we are.
    #[must_use]
    pub fn account(mut self, account: &Account) -> Self {
        self.account = Some(account.clone());
        self
    }

    /// Makes this its standard input and output, instead of `/dev/null` and what [`Spawn::output`] says.
    #[must_use]
    pub fn stdio(mut self, fd: OwnedFd) -> Self {
        self.stdio = Some(fd);
        self
    }

    /// Its working directory; `/` by default, so that no mount is kept busy. Named several times: the first that it can enter,
    /// as its own user; of the others its standard error says that they cannot be.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd.push(dir.as_ref().to_owned());
        self
    }

    /// Its file mode creation mask.
    #[must_use]
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// Stays in our session and process group: signals to our group reach it too.
    #[must_use]
    pub fn same_group(mut self) -> Self {
        self.own_group = false;
        self
    }

    /// When it has ended, what is left of its process group goes on.
    #[must_use]
    pub fn keep_group(mut self) -> Self {
        self.keep_group = true;
        self
    }

    /// The kernel kills it (SIGTERM) when the thread that starts it ends, however that ends. Start it from a thread that
    /// lives as long as the process.
    #[must_use]
    pub fn die_with_us(mut self) -> Self {
        self.die_with_us = true;
        self
    }

    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(self) -> Result<Child, SpawnError> {
        let program = self.program.to_string_lossy().into_owned();
        let Self { own_group, keep_group, output, .. } = self;
        let name = self.log_name();
        let _starting = super::strays::starting();
        match self.start_inner() {
            Ok(inner) => Ok(Child::new(inner, name, own_group, keep_group, output == Output::Tail)),
            Err(source) => Err(SpawnError { program, source }),
        }
    }

    /// Runs it to its end and returns what it said, of which no more than `most` bytes are taken from each stream. Dropped, it
    /// kills it.
    pub async fn capture(self, most: usize) -> Result<Captured, SpawnError> {
        let program = self.program.to_string_lossy().into_owned();
        self.capture_inner(most).await.map_err(|source| SpawnError { program, source })
    }

    async fn capture_inner(self, most: usize) -> io::Result<Captured> {
        let (name, own_group) = (self.log_name(), self.own_group);
        let (mut child, out, err) = {
            let _starting = super::strays::starting();
            let mut inner = self.output(Output::Log).start_inner()?;
            let (out, err) = (inner.stdout.take(), inner.stderr.take());
            (Child::new(inner, name, own_group, false, false), out, err)
        };
        let (stdout, stderr) = tokio::join!(read_some(out, most), read_some(err, most));
        Ok(Captured { stdout: stdout?, stderr: stderr?, status: child.wait().await? })
    }

    fn log_name(&self) -> String {
        let path = self.arg0.as_deref().unwrap_or(&self.program);
        let base = Path::new(path).file_name().unwrap_or(path).to_string_lossy().into_owned();
        match (&self.arg0, self.args.first()) {
            (Some(_), Some(subcommand)) => format!("{base} {}", subcommand.to_string_lossy()),
            _ => base,
        }
    }

    fn start_inner(self) -> io::Result<tokio::process::Child> {
        let highest = self.fds.iter().map(|(number, _)| *number).max().unwrap_or(2);
        if self.fds.iter().any(|(number, _)| *number <= 2) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // std's own pipe, which reports a failed exec, must not get a number that the child will overwrite.
        let mut placeholders = Vec::new();
        loop {
            let file = File::open("/dev/null")?;
            if file.as_raw_fd() > highest {
                break;
            }
            placeholders.push(file);
        }
        let sources = self
            .fds
            .iter()
            .map(|(number, fd)| Ok((duplicate_above(fd, highest)?, *number)))
            .collect::<io::Result<Vec<_>>>()?;

        let mut command = std::process::Command::new(&self.program);
        if let Some(arg0) = self.seen_as.as_ref().or(self.arg0.as_ref()) {
            std::os::unix::process::CommandExt::arg0(&mut command, arg0);
        }
        command.args(&self.args).env_clear().envs(&self.env).stdin(Stdio::null());
        let stdio = || match self.output {
            Output::Log | Output::Tail => Stdio::piped(),
            Output::Inherit => Stdio::inherit(),
            Output::Null => Stdio::null(),
        };
        command.stdout(stdio()).stderr(stdio());
        if let Some(fd) = &self.stdio {
            command.stdin(fd.try_clone()?).stdout(fd.try_clone()?);
        }
        let dirs = self.cwd.iter().map(PathBuf::as_path).chain(self.cwd.is_empty().then_some(Path::new("/")));

        let mut child = InChild {
            descriptors: sources.iter().map(|(fd, number)| (fd.as_raw_fd(), *number)).collect(),
            to_close: gaps(sources.iter().map(|(_, number)| *number).collect()),
            // A process that is not root can only stay what it is; setgroups would be refused.
            account: self.account.as_ref().filter(|a| super::is_root() || !a.is_current()).cloned(),
            umask: self.umask,
            dirs: dirs.map(enterable).collect::<Result<_, _>>()?,
            own_group: self.own_group,
            die_with: self.die_with_us.then(nix::unistd::getpid),
        };
        // SAFETY: `InChild::prepare` makes only system calls that are async-signal-safe and allocates nothing.
        #[allow(unsafe_code)]
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, move || child.prepare());
        }
        let spawned = tokio::process::Command::from(command).kill_on_drop(true).spawn();
        drop(placeholders);
        spawned
    }
}

/// Up to `most` bytes; who goes on writing then meets a closed pipe.
async fn read_some(stream: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most.try_into().unwrap_or(u64::MAX)).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A copy of `fd` with a number over `highest`, closed on exec.
fn duplicate_above(fd: &OwnedFd, highest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an open descriptor and an integer.
    #[allow(unsafe_code)]
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, highest + 1) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl has just made this descriptor, nobody else knows it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The ranges of descriptors from 3 on that are not in `numbers`.
fn gaps(mut numbers: Vec<RawFd>) -> Vec<(c_uint, c_uint)> {
    numbers.sort_unstable();
    let mut from = 3;
    let mut out = Vec::new();
    for number in numbers.into_iter().filter_map(|n| c_uint::try_from(n).ok()) {
        if from < number {
            out.push((from, number - 1));
        }
        from = number + 1;
    }
    out.push((from, c_uint::MAX));
    out
}

/// What happens in the child between `fork` and `exec`. Everything is computed before; here are only system calls.
struct InChild {
    descriptors: Vec<(RawFd, RawFd)>,
    to_close: Vec<(c_uint, c_uint)>,
    account: Option<Account>,
    umask: Option<u32>,
    /// With what is said where one cannot be entered.
    dirs: Vec<(CString, Vec<u8>)>,
    own_group: bool,
    die_with: Option<nix::unistd::Pid>,
}

#[allow(unsafe_code)]
impl InChild {
    fn prepare(&mut self) -> io::Result<()> {
        // SAFETY: in all of this block: plain system calls with integers, or with pointers into vectors that live in the
        // parent's memory image and are not changed by anyone.
        unsafe {
            if self.own_group {
                check(libc::setsid())?;
            }
            for &(from, to) in &self.descriptors {
                check(libc::dup2(from, to))?;
            }
            for &(first, last) in &self.to_close {
                // Not closed but marked: std's pipe for the error of exec is among them.
                if libc::close_range(first, last, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) < 0 {
                    mark_one_by_one(first, last);
                }
            }
            if let Some(mask) = self.umask {
                libc::umask(mask);
            }
            if let Some(account) = &self.account {
                check(libc::setgroups(account.groups.len(), account.groups.as_ptr()))?;
                check(libc::setresgid(account.gid, account.gid, account.gid))?;
                check(libc::setresuid(account.uid, account.uid, account.uid))?;
                // Trust nothing: a kernel or a filter that says yes and does no must not leave us root.
                let (mut real, mut effective, mut saved) = (0, 0, 0);
                check(libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved))?;
                let all = [real, effective, saved];
                if all != [account.uid; 3] || (account.uid != 0 && libc::setuid(0) == 0) {
                    return Err(io::Error::from_raw_os_error(libc::EPERM));
                }
            }
            // As the user, who may enter other directories than root.
            let mut entered = Ok(());
            for (dir, complaint) in &self.dirs {
                entered = check(libc::chdir(dir.as_ptr()));
                if entered.is_ok() {
                    break;
                }
                // Nobody need hear it.
                libc::write(2, complaint.as_ptr().cast(), complaint.len());
            }
            entered?;
            if let Some(parent) = self.die_with {
                // After the change of user, which would clear it.
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM))?;
                if libc::getppid() != parent.as_raw() {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
            }
        }
        Ok(())
    }
}

fn enterable(dir: &Path) -> Result<(CString, Vec<u8>), std::ffi::NulError> {
    let complaint = format!("{}: cannot be entered, the program starts elsewhere\n", dir.display());
    Ok((CString::new(dir.as_os_str().as_bytes())?, complaint.into_bytes()))
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// For kernels before 5.11, which do not know the flag.
fn mark_one_by_one(first: c_uint, last: c_uint) {
    for fd in first..=last.min(65_535) {
        let Ok(fd) = c_int::try_from(fd) else { return };
        // SAFETY: F_SETFD with an integer; a number that is not open gives EBADF.
        #[allow(unsafe_code)]
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

#[cfg(test)]
mod tests;
