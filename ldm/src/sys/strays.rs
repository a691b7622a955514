//! Processes that left the process group they were started in: a terminal's shell, a message bus that put itself into the
//! background. They would outlive the greeter whose they are.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Children that [`super::Spawn`] started and whose end is waited for.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// Read while a child is being started and is not in [`OURS`] yet.
static STARTING: RwLock<()> = RwLock::new(());
/// Each look finds one generation, those whose parents the last one killed; what is left then hangs in the kernel. Only our own
/// children are killed: their numbers cannot be given away before we have waited for them.
const LOOKS: u32 = 1000;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// From now on processes whose parent has ended become our children, if they descend from us (prctl(2),
/// `PR_SET_CHILD_SUBREAPER`).
pub fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Kills every child that was adopted, and what descends from it. Call it when the program they came from has ended.
pub async fn end_strays() {
    let mut told = BTreeSet::new();
    for _ in 0..LOOKS {
        let strays = strays();
        if strays.is_empty() {
            return;
        }
        for pid in strays {
            if told.insert(pid) {
                tracing::debug!(pid = pid.as_raw(), "left behind by a program that has ended; killed");
            }
            let _ = kill(pid, Signal::SIGKILL);
            // Its own children come to us next.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for the adopted children that have ended, so that they do not stay zombies. Call it when a child has ended (SIGCHLD);
/// where one is just being started, the next call does it.
pub fn reap_strays() {
    let Ok(_none) = STARTING.try_write() else { return };
    for pid in strays() {
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// Asks everything that descends from us to end, but for the children `spare` and what descends from them, and kills what is
/// still there after `grace`.
pub async fn end_descendants(spare: &[i32], grace: Duration) {
    let until = tokio::time::Instant::now() + grace;
    signal_descendants(spare, rustix::process::Signal::TERM);
    while !below(process_id(), spare).is_empty() {
        reap_strays();
        if tokio::time::Instant::now() >= until {
            signal_descendants(spare, rustix::process::Signal::KILL);
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    end_strays().await;
}

fn signal_descendants(spare: &[i32], signal: rustix::process::Signal) {
    let mut parents = vec![process_id()];
    while let Some(parent) = parents.pop() {
        for child in below(parent, spare) {
            parents.push(child);
            let Some(pid) = rustix::process::Pid::from_raw(child) else { continue };
            match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
                // Unless the number has been given to somebody else meanwhile.
                Ok(process) if below(parent, spare).contains(&child) => {
                    let _ = rustix::process::pidfd_send_signal(process, signal);
                }
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                // Kernels without pidfds: the number, which can hardly have been given away since the look above.
                Err(_) => {
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
        }
    }
}

/// Kills every process of a user, until there are none. For users that exist for one session alone.
pub fn end_user(uid: u32) {
    for _ in 0..LOOKS {
        let pids = processes_of(uid);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
    tracing::warn!(uid, "processes of a user who has logged out cannot be killed");
}

/// Whether any process runs as this user.
pub fn has_processes(uid: u32) -> bool {
    !processes_of(uid).is_empty()
}

/// The processes of a user that have not ended (proc_pid_status(5)).
fn processes_of(uid: u32) -> Vec<i32> {
    let is_theirs = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let real = field("Uid:").split_whitespace().next().and_then(|word| word.parse().ok());
        real == Some(uid) && !field("State:").starts_with(['Z', 'X'])
    };
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).filter(is_theirs).collect()
}

fn strays() -> Vec<Pid> {
    let ours = registry();
    children().into_iter().filter(|pid| !ours.contains(pid)).map(Pid::from_raw).collect()
}

/// All children of this process.
fn children() -> Vec<i32> {
    below(process_id(), &[])
}

fn process_id() -> i32 {
    Pid::this().as_raw()
}

/// All children of a process (proc_pid_task_children(5)), but for some.
fn below(pid: i32, spare: &[i32]) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .filter(|pid| !spare.contains(pid))
        .collect()
}

fn registry() -> MutexGuard<'static, BTreeSet<i32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To be held from before a child is started until [`started`] knows it.
pub(super) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn started(pid: i32) {
    registry().insert(pid);
}

pub(super) fn ended(pid: i32) {
    registry().remove(&pid);
}
