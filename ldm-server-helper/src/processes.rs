//! The processes of one session: which they are, and ending them.
//!
//! A process belongs to a session when it descends from its helper, which is a *subreaper* (prctl(2)) so that double-forked
//! ones stay descendants, or when it is this user's and carries the session's [`Marker`] in its environment, which finds what
//! another process started on the session's behalf. So a `tmux`, `screen`, `nohup` or `setsid` started in the session ends
//! with it, while another session of the same user is never touched.
//!
//! What survives: services of the user's service manager (`systemd --user`, `systemd-run --user`, D-Bus services on the user's
//! bus), which all of the user's sessions share and which logind ends with the last of them; they carry the marker of
//! whatever session uploaded its environment last, so it means nothing there. And processes that changed to another uid, which
//! this user may not signal.
//!
//! A helper that is killed itself (SIGKILL) can end nothing. Its direct child gets SIGTERM from the kernel, unless it has
//! become a set-id program meanwhile, as Debian's Xsession does on its way through ssh-agent; the session's windows then go
//! when the client closes the X11 channels. The user's next session ends what is left, known by a marker whose helper is
//! dead ([`leftovers`]). ssh-agent, whose environment nobody may read, notices within 10 s that its session is gone.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::sys;

/// The variable that marks a session's processes.
pub const VARIABLE: &str = "LDM_SESSION_TOKEN";

/// From SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(3);
/// From SIGTERM to a second one. dbus-launch, which is in most sessions, sleeps 3 s inside its handler, and every logout would
/// last as long; the second signal wakes it.
const REMINDER: Duration = Duration::from_secs(1);
/// From SIGKILL to giving up on what hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// From asking another session's helper to killing it: it may need all of the above.
const HELPER_ENDS: Duration = Duration::from_secs(7);
/// How often to look again where the kernel gives no descriptors of processes.
const TICK: Duration = Duration::from_millis(50);
/// How often and how soon to look again at a process that seems to have no environment.
const EXEC_LOOKS: u32 = 5;
const EXEC_TICK: Duration = Duration::from_millis(2);
/// Descriptors held open at once; `RLIMIT_NOFILE` is 1024 by default.
const WATCHED: usize = 512;
/// Bytes of an environment that are looked at.
const ENVIRONMENT: u64 = 4 * 1024 * 1024;

/// Value of [`VARIABLE`]: `PID-STARTED-PIDNS-RANDOM` of the helper. The first three say whether it is still alive; the last
/// is unique even where process ids are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// A new one for this process.
    ///
    /// # Errors
    /// When `/proc` or the random source cannot be read.
    pub fn new() -> io::Result<Self> {
        let pid = own_pid();
        let own = Process::read(pid).ok_or_else(|| io::Error::other("/proc is not there"))?;
        Ok(Self(format!("{pid}-{}-{}-{}", own.started, pid_namespace()?, sys::random_hex()?)))
    }

    /// For the session's environment.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One that [`Marker::as_str`] gave; `None` for what cannot be one.
    pub fn parse(value: &str) -> Option<Self> {
        let numbers = value.split('-').take(3).filter(|part| part.parse::<u64>().is_ok()).count();
        (numbers == 3 && value.len() < 200).then(|| Self(value.to_owned()))
    }

    /// Whether its session began before that of `other`, by the clock that nobody sets (`starttime` of proc_pid_stat(5)); of two
    /// that began within its tick one alone did.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let began = |marker: &Self| marker.0.split('-').nth(1).and_then(|part| part.parse::<u64>().ok());
        (began(self), &self.0) < (began(other), &other.0)
    }

    /// What tells its session from the user's others that run: the helper's process, its start and its namespace. Not the
    /// marker itself, which is the session's own.
    pub fn number(&self) -> String {
        self.0.split('-').take(3).collect::<Vec<_>>().join("-")
    }

    /// The helper that made it, to be waited for: readable when it has ended. `None` when it has, or where there are no
    /// descriptors of processes.
    pub fn helper(&self) -> Option<OwnedFd> {
        let mut parts = self.0.split('-');
        let (pid, started) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        match Handle::open(Process { pid, parent: 0, started, ended: false })? {
            Handle::Descriptor(fd) => Some(fd),
            Handle::Number(_) => None,
        }
    }

    /// The helper that made it, if it lives, where its number means what it meant there, and is this user's.
    fn process(&self) -> Option<Process> {
        let mut parts = self.0.split('-');
        let pid: i32 = parts.next()?.parse().ok()?;
        let started: u64 = parts.next()?.parse().ok()?;
        let here = parts.next()?.parse::<u64>().ok() == pid_namespace().ok();
        let process = Process::read(pid).filter(|process| here && process.started == started && !process.ended)?;
        is_own(pid).then_some(process)
    }

    /// Whether its session's helper is known to live.
    pub fn is_alive(&self) -> bool {
        self.process().is_some()
    }

    /// Whether this is the marker of a session whose helper is known to be dead.
    pub fn is_dead(value: &str) -> bool {
        pid_namespace().is_ok_and(|namespace| Self::is_orphaned(value, namespace))
    }

    /// Whether the helper that made it can be known to be dead. Not from another pid namespace (a container that shares the
    /// user's home), where its id means nothing.
    fn is_orphaned(value: &str, namespace: u64) -> bool {
        let mut parts = value.split('-');
        let (Some(pid), Some(started), Some(ns)) = (parts.next(), parts.next(), parts.next()) else { return false };
        let (Ok(pid), Ok(started), Ok(ns)) = (pid.parse::<i32>(), started.parse::<u64>(), ns.parse::<u64>()) else {
            return false;
        };
        ns == namespace && Process::read(pid).is_none_or(|helper| helper.started != started || helper.ended)
    }
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

fn pid_namespace() -> io::Result<u64> {
    Ok(Path::new("/proc/self/ns/pid").metadata()?.ino())
}

/// A line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    pid: i32,
    parent: i32,
    /// Start time in clock ticks since boot: with it a process id is unique.
    started: u64,
    /// A zombie or dead.
    ended: bool,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let mut stat = Vec::new();
        File::open(format!("/proc/{pid}/stat")).ok()?.take(4096).read_to_end(&mut stat).ok()?;
        Self::parse(pid, &String::from_utf8_lossy(&stat))
    }

    /// proc_pid_stat(5). The name in parentheses can hold anything, so the fields count from the last parenthesis.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, parent, started, ended: matches!(state, "Z" | "X" | "x") })
    }
}

/// Every process id there is.
fn pids() -> Vec<i32> {
    let Ok(entries) = Path::new("/proc").read_dir() else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The environment with which a process was started, if that may be read: `NAME=VALUE`, each with a NUL behind it.
///
/// A process that is at execve(2) seems to have none for a moment. Nobody tells when that is over, and there are some that have
/// none for good.
fn environment_of(pid: i32) -> Option<Vec<u8>> {
    for _ in 0..EXEC_LOOKS {
        let mut environment = Vec::new();
        File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRONMENT).read_to_end(&mut environment).ok()?;
        // What has no program is of the kernel's, or a zombie.
        if !environment.is_empty() || Path::new(&format!("/proc/{pid}/exe")).read_link().is_err() {
            return Some(environment);
        }
        std::thread::sleep(EXEC_TICK);
    }
    Some(Vec::new())
}

/// The value of [`VARIABLE`] in a process's environment, if that may be read.
fn marker_of(pid: i32) -> Option<String> {
    marker_in(&environment_of(pid)?)
}

fn marker_in(environment: &[u8]) -> Option<String> {
    environment.split(|&b| b == 0).find_map(|setting| {
        let value = setting.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

/// The environments of a session's processes, of the oldest process first.
pub fn environments(marker: &Marker) -> Vec<Vec<u8>> {
    let ours = |&pid: &i32| is_own(pid) && session_marker_of(pid).is_some_and(|m| m == marker.0);
    let mut found: Vec<Process> = pids().into_iter().filter(ours).filter_map(Process::read).collect();
    found.sort_unstable_by_key(|p| (p.started, p.pid));
    // Read once more: the id may be another process's by now.
    let environments = found.into_iter().take(WATCHED).filter_map(|p| environment_of(p.pid));
    environments.filter(|environment| marker_in(environment).is_some_and(|m| m == marker.0)).collect()
}

/// Whether a process is a service of a user's service manager, by the text of its `cgroup` file (cgroups(7)).
fn is_user_service(cgroup: &str) -> bool {
    cgroup.lines().flat_map(|line| line.split('/')).any(|part| part.starts_with("user@") && part.ends_with(".service"))
}

/// The marker that counts: that of a process outside the user's service manager.
fn session_marker_of(pid: i32) -> Option<String> {
    let marker = marker_of(pid)?;
    let mut cgroup = Vec::new();
    File::open(format!("/proc/{pid}/cgroup")).ok()?.take(64 * 1024).read_to_end(&mut cgroup).ok()?;
    (!is_user_service(&String::from_utf8_lossy(&cgroup))).then_some(marker)
}

fn is_own(pid: i32) -> bool {
    let uid = nix::unistd::geteuid().as_raw();
    Path::new(&format!("/proc/{pid}")).metadata().is_ok_and(|m| m.uid() == uid)
}

/// This process and the ones it was started by, which are never a session's.
fn ancestry() -> HashSet<i32> {
    let mut ancestry = HashSet::new();
    let mut pid = own_pid();
    while pid > 0 && ancestry.insert(pid) {
        pid = Process::read(pid).map_or(0, |p| p.parent);
    }
    ancestry
}

/// The living processes of the session of `marker`, whose helper is this process.
fn members(marker: &Marker) -> Vec<Process> {
    let (own, ancestry) = (own_pid(), ancestry());
    let table: HashMap<i32, Process> = pids().into_iter().filter_map(|pid| Some((pid, Process::read(pid)?))).collect();
    let descends = |mut pid: i32| {
        // The table was read while it changed, so it may hold a circle.
        for _ in 0..table.len() {
            match table.get(&pid).map(|p| p.parent) {
                Some(parent) if parent == own => return true,
                Some(parent) if parent > 0 => pid = parent,
                _ => return false,
            }
        }
        false
    };
    let belongs = |p: &Process| {
        !p.ended
            && !ancestry.contains(&p.pid)
            && (descends(p.pid) || is_own(p.pid) && session_marker_of(p.pid).is_some_and(|m| m == marker.0))
    };
    table.values().filter(|p| belongs(p)).copied().collect()
}

/// This user's processes from sessions whose helper is dead.
fn orphans() -> Vec<Process> {
    let Ok(namespace) = pid_namespace() else { return Vec::new() };
    let own: Vec<i32> = pids().into_iter().filter(|&pid| is_own(pid)).collect();
    let orphaned = |pid: &i32| session_marker_of(*pid).is_some_and(|m| Marker::is_orphaned(&m, namespace));
    let mut found: Vec<Process> = own.into_iter().filter(orphaned).filter_map(Process::read).collect();
    if !found.is_empty() {
        let ancestry = ancestry();
        found.retain(|p| !p.ended && !ancestry.contains(&p.pid));
    }
    found
}

/// Ends every process of this helper's session; returns how many could not be ended.
pub fn end(marker: &Marker) -> usize {
    end_all(|| members(marker))
}

/// Ends what an earlier helper left behind when it was killed; returns how many could not be ended.
pub fn leftovers() -> usize {
    end_all(orphans)
}

/// Has the helpers of these sessions end them, and kills those that do not; what is left then is for [`leftovers`].
pub fn end_sessions(markers: &[Marker]) {
    let own = own_pid();
    let helpers = || markers.iter().filter_map(Marker::process).filter(|helper| helper.pid != own).collect();
    let mut hunt = Hunt { find: helpers, untouchable: HashSet::new() };
    if hunt.signal_until_gone(&[Signal::TERM, Signal::CONT], HELPER_ENDS) > 0 {
        hunt.signal_until_gone(&[Signal::KILL], KILL_WAIT);
    }
}

fn end_all(find: impl Fn() -> Vec<Process>) -> usize {
    let mut hunt = Hunt { find, untouchable: HashSet::new() };
    for time in [REMINDER, GRACE.saturating_sub(REMINDER)] {
        // A stopped process acts on SIGTERM only when it goes on.
        if hunt.signal_until_gone(&[Signal::TERM, Signal::CONT], time) == 0 {
            return 0;
        }
    }
    hunt.signal_until_gone(&[Signal::KILL], KILL_WAIT)
}

struct Hunt<F> {
    find: F,
    /// Of another user by now (`su`, `sudo`).
    untouchable: HashSet<(i32, u64)>,
}

impl<F: Fn() -> Vec<Process>> Hunt<F> {
    /// Signals what is found, waits until that has ended, and looks again, because a process may have started others.
    /// Returns how many are left when nothing is found any more or the time is over.
    fn signal_until_gone(&mut self, signals: &[Signal], time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut signalled = HashSet::new();
        loop {
            let mut found = (self.find)();
            found.retain(|p| !self.untouchable.contains(&(p.pid, p.started)));
            // The oldest first: a session manager must not see its clients die and start them again.
            found.sort_unstable_by_key(|p| (p.started, p.pid));
            let mut watched = Vec::new();
            for process in &found {
                let key = (process.pid, process.started);
                let Some(handle) = Handle::open(*process) else { continue };
                if signalled.insert(key) && !handle.send(signals) {
                    self.untouchable.insert(key);
                } else if watched.len() < WATCHED {
                    watched.push(handle);
                }
            }
            let watching = !watched.is_empty();
            if watching && wait(watched, deadline) && Instant::now() < deadline {
                continue;
            }
            let alive = |p: &&Process| {
                let touchable = !self.untouchable.contains(&(p.pid, p.started));
                touchable && Process::read(p.pid).is_some_and(|now| now.started == p.started && !now.ended)
            };
            return found.iter().filter(alive).count();
        }
    }
}

/// A process to be signalled and waited for.
enum Handle {
    /// Exactly this process, whatever becomes of its id.
    Descriptor(OwnedFd),
    /// Where pidfd_open(2) is missing (before Linux 5.3) or forbidden (seccomp(2) in containers).
    Number(Pid),
}

impl Handle {
    /// `None` when the process has ended, even if another one has taken its id since.
    fn open(process: Process) -> Option<Self> {
        use rustix::io::Errno;
        let pid = Pid::from_raw(process.pid)?;
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Self::Descriptor(fd),
            Err(Errno::NOSYS | Errno::PERM) => Self::Number(pid),
            Err(_) => return None,
        };
        // Compared once the descriptor is there: from now on it cannot be another process.
        Process::read(process.pid).is_some_and(|now| now.started == process.started && !now.ended).then_some(handle)
    }

    /// Whether it could be signalled, or is gone already.
    fn send(&self, signals: &[Signal]) -> bool {
        let send = |signal| match self {
            Self::Descriptor(fd) => pidfd_send_signal(fd, signal),
            Self::Number(pid) => kill_process(*pid, signal),
        };
        signals.iter().all(|&signal| send(signal) != Err(rustix::io::Errno::PERM))
    }
}

/// Waits until all have ended or the deadline; whether it is worth looking again.
fn wait(handles: Vec<Handle>, deadline: Instant) -> bool {
    let all = handles.len();
    let descriptor = |handle| match handle {
        Handle::Descriptor(fd) => Some(fd),
        Handle::Number(_) => None,
    };
    let mut pidfds: Vec<OwnedFd> = handles.into_iter().filter_map(descriptor).collect();
    if pidfds.len() < all {
        // Without pidfds nothing tells of the end of processes that are not our children.
        std::thread::sleep(TICK.min(deadline.saturating_duration_since(Instant::now())));
        return true;
    }
    while !pidfds.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled: Vec<PollFd> = pidfds.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
        // Rounded up, so that the last fraction of a millisecond is not spent spinning.
        match poll(&mut polled, PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO)) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(1..) => {
                let ended: Vec<bool> = polled.iter().map(|p| p.any().unwrap_or(true)).collect();
                let mut ended = ended.into_iter();
                pidfds.retain(|_| !ended.next().unwrap_or(true));
            }
            Ok(_) | Err(_) => return false,
        }
        if Instant::now() >= deadline && !pidfds.is_empty() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_sessions_one_is_older() {
        let marker = |text: &str| Marker::parse(text).unwrap();
        for (older, newer) in [("9-99-1-b", "3-100-1-a"), ("7-5-1-a", "7-5-1-b")] {
            let (older, newer) = (marker(older), marker(newer));
            assert!(older.is_older_than(&newer) && !newer.is_older_than(&older) && !older.is_older_than(&older));
        }
    }

    #[test]
    fn process_table_lines() {
        let line = "42 (a) b) (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0 18446744073709551615";
        assert_eq!(Process::parse(42, line), Some(Process { pid: 42, parent: 7, started: 987_654, ended: false }));
        assert!(Process::parse(42, "42 (x) Z 7 42 42 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 5").unwrap().ended);
        for bad in ["", "42", "42 (x", "42 (x) S", "42 (x) S seven"] {
            assert_eq!(Process::parse(42, bad), None, "{bad}");
        }
    }

    #[test]
    fn services_are_told_by_their_cgroup() {
        for (cgroup, service) in [
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service\n", true),
            ("1:name=systemd:/user.slice/user-1000.slice/user@1000.service\n0::/\n", true),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", false),
            ("0::/system.slice/ssh.service\n", false),
            ("0::/\n", false),
            ("", false),
        ] {
            assert_eq!(is_user_service(cgroup), service, "{cgroup}");
        }
    }

    #[test]
    fn a_marker_tells_whether_its_helper_lives() {
        let namespace = pid_namespace().unwrap();
        let marker = Marker::new().unwrap();
        assert!(!Marker::is_orphaned(marker.as_str(), namespace));
        assert!(!Marker::is_orphaned(marker.as_str(), namespace + 1));
        let own = Process::read(own_pid()).unwrap();
        let other_start = format!("{}-{}-{namespace}-x", own.pid, own.started + 1);
        assert!(Marker::is_orphaned(&other_start, namespace));
        assert!(!Marker::is_orphaned(&other_start, namespace + 1), "another namespace's ids mean nothing here");
        for bad in ["", "1", "1-2", "x-y-z-w", "99999999999-1-1-x"] {
            assert!(!Marker::is_orphaned(bad, namespace), "{bad}");
        }
        assert_ne!(marker, Marker::new().unwrap());
    }
}
