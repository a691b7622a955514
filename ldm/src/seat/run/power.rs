//! Restarting, switching off and suspending this client: what of it can be done, who would lose work, and doing it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ldm_protocol::client::Power;
use ldm_protocol::{limits, text};

use crate::config::Config;
use crate::seat::client::PowerTold;
use crate::sys::{Output, Spawn};

/// Where programs are found, whatever our own environment says.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The program that is used where none is configured and systemd runs.
const SYSTEMCTL: &str = "systemctl";
/// It is there where systemd is the one that runs (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// What the kernel can do (`Documentation/admin-guide/pm/sleep-states.rst`).
const STATES: &str = "/sys/power/state";
/// A file for each session that logind knows of.
const SESSIONS: &str = "/run/systemd/sessions";
/// It says what it has to say and ends, long before the machine does.
const PATIENCE: Duration = Duration::from_secs(10);
/// After SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// Sessions that are looked at, and how much of each.
const MOST: usize = 256;
const SESSION: u64 = 16 * 1024;

/// What can be done of what is configured.
pub(super) fn offered(config: &Config) -> Vec<Power> {
    let mut offered = Vec::new();
    for &action in &config.power {
        let can_sleep = || fs::read_to_string(STATES).is_ok_and(|states| states.split_whitespace().any(|s| s == "mem"));
        let words = command(&config.power_program, action, Path::new(BOOTED).exists());
        let found = words.first().is_some_and(|program| is_installed(program));
        if found && (action != Power::Suspend || can_sleep()) && !offered.contains(&action) {
            offered.push(action);
        }
    }
    offered
}

pub(super) fn is_installed(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    std::env::split_paths(PATH).any(|dir| dir.join(program).is_file())
}

/// The words of the command; none where there is no way to do it.
fn command(program: &[String], action: Power, booted: bool) -> Vec<String> {
    let word = match action {
        Power::Reboot => "reboot",
        Power::ShutDown => "poweroff",
        Power::Suspend => "suspend",
    };
    if program == [SYSTEMCTL] && !booted {
        // Other init systems have no word for sleep in common.
        return if action == Power::Suspend { Vec::new() } else { vec![format!("/sbin/{word}")] };
    }
    program.iter().cloned().chain([word.to_owned()]).collect()
}

/// Does it, unless somebody is logged in and nobody has confirmed it.
pub(super) async fn act(program: Vec<String>, action: Power, confirmed: bool) -> PowerTold {
    if !confirmed {
        let users = tokio::task::spawn_blocking(|| logged_in(Path::new(SESSIONS))).await.unwrap_or_default();
        if !users.is_empty() {
            return PowerTold::Confirm(users);
        }
    }
    let words = command(&program, action, Path::new(BOOTED).exists());
    let Some((program, args)) = words.split_first() else {
        return PowerTold::Failed("there is no program for it".to_owned());
    };
    tracing::info!(?action, program, "asked for by the greeter");
    let started = Spawn::new(program).args(args).env("PATH", PATH).output(Output::Tail).start();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return PowerTold::Failed(format!("{program}: {}", error.source)),
    };
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    match ended {
        Ok(Ok(status)) if status.success() => PowerTold::Done,
        Ok(Ok(status)) => {
            let words = child.last_words().await;
            let why = words.into_iter().rev().find(|line| !line.trim().is_empty());
            PowerTold::Failed(why.unwrap_or_else(|| format!("{program}: {status}")))
        }
        Ok(Err(error)) => PowerTold::Failed(format!("{program}: {error}")),
        Err(_) => {
            let _ = child.terminate(GRACE).await;
            PowerTold::Failed(format!("{program} did not end within {} s", PATIENCE.as_secs()))
        }
    }
}

/// Who has a session here, as logind writes it down in `directory`.
fn logged_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let users: BTreeSet<String> = entries.flatten().take(MOST).filter_map(|entry| user_of(&entry.path())).collect();
    users.into_iter().take(limits::LOGGED_IN).collect()
}

/// The user of a session that is one, and goes on.
fn user_of(file: &Path) -> Option<String> {
    // `ID.ref` beside it is a FIFO.
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut said = Vec::new();
    File::open(file).ok()?.take(SESSION).read_to_end(&mut said).ok()?;
    let said = String::from_utf8_lossy(&said);
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    // Also `user-early`, as systemd 256 calls root's, and its like.
    let of_user = value("CLASS").split('-').next() == Some("user");
    if !of_user || value("STATE") == "closing" {
        return None;
    }
    let user = text::sanitise_line(value("USER"), limits::USERNAME);
    (!user.is_empty()).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_each_action_and_init_system() {
        let systemctl = [SYSTEMCTL.to_owned()];
        let own = ["/opt/power".to_owned(), "--now".to_owned()];
        for (program, action, booted, want) in [
            (&systemctl[..], Power::Reboot, true, &["systemctl", "reboot"][..]),
            (&systemctl, Power::ShutDown, true, &["systemctl", "poweroff"]),
            (&systemctl, Power::Suspend, true, &["systemctl", "suspend"]),
            (&systemctl, Power::ShutDown, false, &["/sbin/poweroff"]),
            (&systemctl, Power::Suspend, false, &[]),
            (&own, Power::Suspend, false, &["/opt/power", "--now", "suspend"]),
        ] {
            assert_eq!(command(program, action, booted), want);
        }
    }

    #[test]
    fn only_what_can_be_done_is_offered() {
        let config = |program: &str| {
            let mut config = Config::default();
            config.power = vec![Power::Reboot, Power::Reboot];
            config.power_program = vec![program.to_owned()];
            config
        };
        assert_eq!(offered(&config("/bin/sh")), [Power::Reboot]);
        assert_eq!(offered(&config("sh")), [Power::Reboot]);
        assert_eq!(offered(&config("/no/such/program")), []);
        assert_eq!(offered(&config("no-such-program")), []);
    }

    #[test]
    fn only_users_sessions_count() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("1", "# logind\nUID=1000\nUSER=bob\nACTIVE=1\nCLASS=user\nSTATE=active\n");
        write("2", "UID=1000\nUSER=bob\nCLASS=user\nSTATE=online\n");
        write("3", "USER=alice\u{1b}[1m\nCLASS=user\n");
        write("4", "USER=ldm-greeter\nCLASS=greeter\nSTATE=active\n");
        write("5", "USER=carol\nCLASS=user\nSTATE=closing\n");
        write("6", "CLASS=user\n");
        write("8", "USER=root\nCLASS=user-early\nSTATE=active\n");
        write("9", "USER=bob\nCLASS=manager\nSTATE=active\n");
        write("7", &format!("USER={}\n", "x".repeat(100_000)));
        nix::unistd::mkfifo(&directory.path().join("1.ref"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(logged_in(directory.path()), ["alice", "bob", "root"]);
        assert!(logged_in(Path::new("/no/such/directory")).is_empty());
    }
}
