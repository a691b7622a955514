//! PAM sessions on this client: of the greeter (service `ldm-greeter`) and of programs that sessions start here (service
//! `ldm-localapps`). They give an XDG runtime directory, a logind session, limits.
//!
//! Each is opened by a fresh, single-threaded process that runs as root, starts programs under the session's user and closes
//! the session when they have ended: loginuid can be set only once in a process, and PAM modules must not be loaded into the
//! daemon. For the greeter that process is `ldm greeter-session`. It reads nothing but its command line and environment, which
//! come from the daemon. A greeter without a PAM session is better than none, so every failure there is logged and passed over.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use pam_client2::conv_null::Conversation;
use pam_client2::{Context, Flag, Session};
use tokio::signal::unix::{SignalKind, signal};

use crate::log::chain;
use crate::sys::{self, Account, Output, Spawn};

/// Name of the PAM service of greeters.
const SERVICE: &str = "ldm-greeter";
/// Read by pam_systemd before it opens a session.
const FOR_LOGIND: &[&str] = &["XDG_SEAT", "XDG_VTNR", "XDG_SESSION_CLASS", "XDG_SESSION_TYPE", "DISPLAY"];
/// Name of the hidden subcommand.
pub const COMMAND: &str = "greeter-session";
/// Exit status: the greeter could not be started (as env(1) has it).
const NOT_STARTED: u8 = 127;

/// The PAM service for a greeter under `account`; `None` where there can be no session.
pub fn service(account: &Account) -> Option<&'static str> {
    // root needs no session to draw a window, and would get one of class "greeter" for everything it does.
    (sys::is_root() && account.uid != 0 && is_installed(SERVICE)).then_some(SERVICE)
}

/// Whether this client has a PAM service of this name. Where it has not, PAM would take `other`.
pub fn is_installed(service: &str) -> bool {
    ["/etc/pam.d", "/usr/lib/pam.d"].iter().any(|dir| Path::new(dir).join(service).is_file())
}

/// A process that opens a session of `service` and runs in it, as `account`, the command appended to it.
pub fn spawn(service: &str, account: &Account) -> Spawn {
    Spawn::this_program().args([COMMAND, service, &account.name, "--"])
}

/// `ldm greeter-session SERVICE USER -- PROGRAM ARGS…`: the exit status of the program.
pub fn run(service: &str, user: &str, command: &[OsString]) -> u8 {
    let Some((program, args)) = command.split_first() else { return NOT_STARTED };
    let account = match Account::find(user) {
        Ok(account) => account,
        Err(error) => {
            tracing::error!(%error, "the greeter cannot be started");
            return NOT_STARTED;
        }
    };
    within(service, user, |opened| {
        let mut env = opened.unwrap_or_else(|error| {
            tracing::warn!(service, %error, "no PAM session for the greeter");
            Vec::new()
        });
        // Ours win: a PAM module knows nothing about the display.
        env.extend(std::env::vars_os());
        let spawn = Spawn::new(program)
            .args(args)
            .envs(env)
            .account(&account)
            .cwd(std::env::var_os("HOME").as_deref().unwrap_or(OsStr::new("/")))
            .cwd("/")
            .output(Output::Inherit)
            .same_group()
            .die_with_us();
        wait(spawn)
    })
}

/// Opens a session of `service` for `user`, does `inside` with the variables that PAM has set, or with the reason why there is
/// no session, and closes it.
///
/// PAM comes first: this process must not have threads or a runtime while modules run.
pub fn within<T>(
    service: &str,
    user: &str,
    inside: impl FnOnce(Result<Vec<(OsString, OsString)>, pam_client2::Error>) -> T,
) -> T {
    let mut context = match Context::new(service, Some(user), Conversation::new()) {
        Ok(context) => context,
        Err(error) => return inside(Err(error)),
    };
    let session = match open(&mut context) {
        Ok(session) => session,
        Err(error) => return inside(Err(error)),
    };
    let env = session.envlist().iter_tuples().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let result = inside(Ok(env));
    if let Err(error) = session.close(Flag::NONE) {
        tracing::warn!(service, error = ?error.code(), "the PAM session was not closed");
    }
    result
}

fn open(context: &mut Context<Conversation>) -> Result<Session<'_, Conversation>, pam_client2::Error> {
    for key in FOR_LOGIND {
        if let Some(value) = std::env::var_os(key) {
            let mut pair = OsString::from(*key);
            pair.push("=");
            pair.push(value);
            context.putenv(pair)?;
        }
    }
    if let Ok(display) = std::env::var("DISPLAY") {
        let vt = std::env::var("XDG_VTNR").ok().map(|vt| format!("tty{vt}"));
        context.set_tty(Some(vt.as_deref().unwrap_or(&display)))?;
        context.set_xdisplay(Some(&display))?;
    }
    // There is nobody to authenticate; the account must exist and be allowed, though.
    context.acct_mgmt(Flag::NONE)?;
    context.open_session(Flag::NONE)
}

/// Runs the greeter to its end, and passes on the signals that ask us to end.
fn wait(spawn: Spawn) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(watch(spawn)));
    match result {
        Ok(status) => exit_code(status),
        Err(error) => {
            tracing::error!(error = %chain(&*error), "the greeter cannot be started");
            NOT_STARTED
        }
    }
}

async fn watch(spawn: Spawn) -> Result<ExitStatus, Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = spawn.start()?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = terminate.recv() => child.signal(Signal::SIGTERM),
            _ = interrupt.recv() => child.signal(Signal::SIGINT),
            _ = hangup.recv() => child.signal(Signal::SIGHUP),
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        for (raw, want) in [(0, 0), (3 << 8, 3), (9, 137)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), want);
        }
    }

    #[test]
    fn the_greeters_status_is_ours_with_or_without_a_session() {
        if !sys::is_root() {
            return;
        }
        // A service nobody has: PAM falls back to "other", which refuses; the greeter runs all the same.
        let command = ["/bin/sh", "-c", "test $(id -u) != 0 && exit 7"].map(OsString::from);
        assert_eq!(run("ldm-test-no-such-service", "nobody", &command), 7);
        assert_eq!(run("ldm-test-no-such-service", "nobody", &["/nonexistent".into()]), NOT_STARTED);
        assert_eq!(run("ldm-test-no-such-service", "no-such-user", &command), NOT_STARTED);
    }
}
