//! Processes that left the process group they were started in: a terminal's shell, a message bus that put itself into the
//! background. They would outlive the greeter whose they are.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Children that [`super::Spawn`] started and whose end is waited for.
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
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
    for _ in 0..LOOKS {
        let strays = strays();
        if strays.is_empty() {
            return;
        }
        for pid in strays {
            tracing::debug!(pid = pid.as_raw(), "left behind by a program that has ended; killed");
            let _ = kill(pid, Signal::SIGKILL);
            // Its own children come to us next.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn strays() -> Vec<Pid> {
    let ours = registry();
    children().into_iter().filter(|pid| !ours.contains(pid)).map(Pid::from_raw).collect()
}

/// All children of this process (proc_pid_task_children(5)).
fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn registry() -> MutexGuard<'static, BTreeSet<i32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn started(pid: i32) {
    registry().insert(pid);
}

pub(super) fn ended(pid: i32) {
    registry().remove(&pid);
}
