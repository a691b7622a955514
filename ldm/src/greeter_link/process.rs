//! The greeter's process: which program, and what it is given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ldm_protocol::Failure;

use super::Directory;
use crate::pam;
use crate::sys::{Account, Child, Output, Spawn, SpawnError};

/// Our own greeter.
const OURS: &str = "ldm-greeter";
/// Where programs are found, whatever our own environment says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the greeter's own language and clock depend on.
const LOCALE: &[&str] = &["LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LC_TIME", "LC_CTYPE", "TZ"];

/// The greeter could not be started. Correct `LDM_GREETER`, or install the program.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// See the cause.
    #[error("{0}: {source}", source = .0.source)]
    Spawn(#[from] SpawnError),
}

/// What is to be started, decided once.
#[derive(Debug, Clone)]
pub struct Greeter {
    /// `LDM_GREETER`; empty: our own.
    pub command: Vec<String>,
    /// Its user.
    pub account: Account,
    /// `LDM_THEME`.
    pub theme: Option<String>,
    /// Language where our own environment names none.
    pub language: Option<String>,
    /// Virtual terminal of the display, if it is known.
    pub vt: Option<u8>,
}

impl Greeter {
    /// Starts it on `display`; its X authority file must be in `directory` already.
    pub fn start(&self, display: &str, directory: &Directory) -> Result<Child, StartError> {
        let (program, args) = match self.command.split_first() {
            Some((program, args)) => (OsString::from(program), args),
            None => (own_greeter().into_os_string(), &[][..]),
        };
        let session = pam::service(&self.account);
        let spawn = match &session {
            // PAM wants a process of its own, which then starts the greeter.
            Some(service) => pam::spawn(service, &self.account).arg(program).args(args),
            None => Spawn::new(program).args(args).account(&self.account),
        };
        Ok(spawn
            .envs(self.environment(display, directory))
            .cwd(directory.home())
            .umask(0o077)
            .output(Output::Log)
            .die_with_us()
            .start()?)
    }

    /// Has our own greeter tell this on `display`, over the session that runs there.
    pub fn announce(&self, failure: &Failure, display: &str, directory: &Directory) -> Result<Child, StartError> {
        let text = serde_json::to_string(failure).unwrap_or_default();
        Ok(Spawn::new(own_greeter())
            .arg("--notice")
            .account(&self.account)
            .envs(self.environment(display, directory))
            .env("LDM_NOTICE", text)
            // GTK would start a message bus of its own and leave it behind.
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .cwd(directory.home())
            .umask(0o077)
            .output(Output::Log)
            .die_with_us()
            .start()?)
    }

    fn environment(&self, display: &str, directory: &Directory) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |key: &str, value: &std::ffi::OsStr| env.push((key.into(), value.to_owned()));
        let language = self.language.as_deref().unwrap_or("C.UTF-8");
        set("LANG", language.as_ref());
        for key in LOCALE {
            if let Some(value) = std::env::var_os(key) {
                set(key, &value);
            }
        }
        let mut path = OsString::from(PATH);
        if let Some(dir) = own_directory() {
            // Last: for our own greeter behind a wrapper, in a tree that is not installed.
            path.push(":");
            path.push(dir);
        }
        set("PATH", &path);
        set("DISPLAY", display.as_ref());
        set("XAUTHORITY", directory.authority().as_ref());
        set("GREETD_SOCK", directory.socket().as_ref());
        let mut data = directory.data().into_os_string();
        data.push(":/usr/local/share:/usr/share");
        set("XDG_DATA_DIRS", &data);
        set("HOME", directory.home().as_ref());
        set("USER", self.account.name.as_ref());
        set("LOGNAME", self.account.name.as_ref());
        set("SHELL", "/bin/sh".as_ref());
        set("XDG_SEAT", "seat0".as_ref());
        set("XDG_SESSION_CLASS", "greeter".as_ref());
        set("XDG_SESSION_TYPE", "x11".as_ref());
        if let Some(vt) = self.vt {
            set("XDG_VTNR", vt.to_string().as_ref());
        }
        if let Some(theme) = &self.theme {
            set("LDM_THEME", theme.as_ref());
        }
        env
    }
}

fn own_directory() -> Option<PathBuf> {
    std::env::current_exe().ok()?.parent().map(Path::to_owned)
}

/// Our greeter beside this program, or where packages put programs that users do not call, or in `PATH`.
fn own_greeter() -> PathBuf {
    let Some(dir) = own_directory() else { return OURS.into() };
    [dir.join(OURS), dir.join("../libexec/ldm").join(OURS), dir.join("../lib/ldm").join(OURS)]
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| OURS.into())
}
