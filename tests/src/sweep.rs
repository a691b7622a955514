//! Removing what a killed run has left: its users with their processes, PAM files and directories.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use crate::{account, client, stage, workplace};

/// The file in a lab's directory that names the process it belongs to.
pub const OWNER: &str = "owner";

/// This process, in a form that a later process with the same number does not match.
pub fn owner() -> String {
    format!("{} {}", std::process::id(), start_time(std::process::id()).unwrap_or_default())
}

/// Whether the process that [`owner`] named still runs.
pub fn is_alive(owner: &str) -> bool {
    let mut words = owner.split_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok());
    let start = words.next().and_then(|word| word.parse().ok());
    pid.is_some_and(|pid| start.is_some() && start_time(pid) == start)
}

/// Field 22 of proc_pid_stat(5).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Sweeps, once in this process.
pub fn once() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(all);
}

/// Sweeps everything whose owner has gone.
pub fn all() {
    for (name, uid, owner) in account::lab_users() {
        if !is_alive(&owner) {
            kill_all_of(uid);
            account::remove_sessions_of(uid);
            account::remove(&name);
        }
    }
    sweep_dir(Path::new("/etc/pam.d"), |path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().next().and_then(|line| line.strip_prefix("# owner ")).map(str::to_owned)
    });
    sweep_dir(Path::new("/tmp"), |path| {
        // A stage without a living owner is still good for the next run.
        (!stage::is_stage(path)).then(|| fs::read_to_string(path.join(OWNER)).ok()).flatten()
    });
}

fn sweep_dir(dir: &Path, owner: impl Fn(&Path) -> Option<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(workplace::PREFIX) {
            continue;
        }
        if owner(&path).is_some_and(|owner| !is_alive(&owner)) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let guest = name.strip_prefix(workplace::PREFIX).and_then(|name| name.strip_prefix(client::GUESTS));
            if let Some(uid) = guest.and_then(|uid| uid.parse().ok()).filter(|uid| client::NUMBERS.contains(uid)) {
                kill_all_of(uid);
            }
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Kills every process of a lab user. Only ever called with the uid of a user that a lab made.
pub fn kill_all_of(uid: u32) {
    // A process may fork while the list is read: look again until nobody is left.
    for _ in 0..50 {
        let pids = processes_of(uid);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The processes of a user that are not zombies.
pub fn processes_of(uid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        if field("State:").starts_with(['Z', 'X']) {
            continue;
        }
        if field("Uid:").split_whitespace().next().and_then(|word| word.parse::<u32>().ok()) == Some(uid) {
            found.push(pid);
        }
    }
    found
}

/// What a process was started as, for a message.
pub fn command_line(pid: i32) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned())
        .unwrap_or_default()
}

/// Runs a program and says whether it succeeded; its output is dropped.
pub fn quietly(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
