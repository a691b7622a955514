//! The greeter's process: which program, and what it is given.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ldm_protocol::Failure;

use super::Directory;
use crate::pam;
use crate::sys::{Account, Child, Output, Spawn, SpawnError, has_locale};

/// Our own greeter.
const OURS: &str = "ldm-greeter";
/// Where programs are found, whatever our own environment says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the greeter's own language and the way it writes the time depend on.
const LOCALE: &[&str] = &["LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LC_TIME", "LC_CTYPE"];

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
    /// Its locale; without one, our own environment's.
    pub language: Option<String>,
    /// Virtual terminal of the display, if it is known.
    pub vt: Option<u8>,
}

impl Greeter {
    /// Starts it on `display`; its X authority file must be in `directory` already. `bus` is the socket of its message bus, and
    /// `spoken` whether a screen reader will be there.
    pub fn start(
        &self,
        display: &str,
        directory: &Directory,
        bus: Option<&Path>,
        spoken: bool,
    ) -> Result<Child, StartError> {
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
            .envs(bus_address(bus))
            .envs(spoken.then_some(("LDM_GREETER_A11Y", "1")))
            .cwd(directory.home())
            .umask(0o077)
            .output(Output::Log)
            .die_with_us()
            .start()?)
    }

    /// What programs beside the greeter are given.
    pub fn beside(&self, display: &str, directory: &Directory, bus: Option<&Path>) -> Beside {
        let mut env = self.environment(display, directory);
        env.extend(bus_address(bus));
        Beside { account: self.account.clone(), env, home: directory.home() }
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
        for (key, value) in locale(self.language.as_deref(), |key| std::env::var_os(key), has_locale) {
            set(key, &value);
        }
        if let Some(zone) = std::env::var_os("TZ") {
            set("TZ", &zone);
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

/// A place beside the greeter for programs that help its user: the same user, display and message bus.
#[derive(Debug)]
pub struct Beside {
    account: Account,
    env: Vec<(OsString, OsString)>,
    home: PathBuf,
}

impl Beside {
    /// Starts a program there; `socket` becomes its descriptor 3.
    pub fn start(&self, command: &[String], socket: Option<OwnedFd>) -> Result<Child, StartError> {
        let (program, args) = command.split_first().map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
        let spawn = Spawn::new(program)
            .args(args)
            .account(&self.account)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .cwd(&self.home)
            .umask(0o077)
            .output(Output::Log)
            .die_with_us();
        let spawn = match socket {
            Some(socket) => spawn.fd(3, socket),
            None => spawn,
        };
        Ok(spawn.start()?)
    }
}

fn bus_address(socket: Option<&Path>) -> Option<(OsString, OsString)> {
    let mut address = OsString::from("unix:path=");
    address.push(socket?);
    Some(("DBUS_SESSION_BUS_ADDRESS".into(), address))
}

/// The variables for the language that is `wanted`, else for the one our environment (`get`) names. An empty one keeps away
/// what PAM would set.
///
/// A thin client's image often `has` no locale but C.UTF-8. gettext then still finds the catalogues by `LANGUAGE`, which it
/// does not read in the C locale that an unknown name would end in.
fn locale(
    wanted: Option<&str>,
    get: impl Fn(&str) -> Option<OsString>,
    has: impl Fn(&str) -> bool,
) -> Vec<(&'static str, OsString)> {
    let get = |key: &str| get(key).filter(|value| !value.is_empty());
    let named = match wanted {
        Some(wanted) => Some(wanted.into()),
        None => get("LC_ALL").or_else(|| get("LC_MESSAGES")).or_else(|| get("LANG")),
    };
    let translations = get("LANGUAGE").filter(|_| wanted.is_none());
    let Some(named) = named else { return vec![("LANG", "C.UTF-8".into())] };
    if !has(wanted.unwrap_or_default()) {
        return vec![
            ("LANG", "C.UTF-8".into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("LANGUAGE", translations.unwrap_or(named)),
        ];
    }
    match wanted {
        Some(_) => {
            LOCALE.iter().map(|&key| (key, if key == "LANG" { named.clone() } else { OsString::new() })).collect()
        }
        None => LOCALE.iter().filter_map(|&key| Some((key, get(key)?))).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with(wanted: Option<&str>, ours: &[(&str, &str)], has: bool) -> Vec<(&'static str, String)> {
        let get = |key: &str| ours.iter().find(|(name, _)| *name == key).map(|(_, value)| OsString::from(value));
        let all = locale(wanted, get, |_| has).into_iter();
        all.map(|(key, value)| (key, value.to_string_lossy().into_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    fn pairs(expected: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
    }

    #[test]
    fn the_configured_language_goes_before_our_own() {
        let ours = [("LANG", "C.UTF-8"), ("LANGUAGE", "en"), ("LC_ALL", "en_GB.UTF-8")];
        assert_eq!(with(Some("de_DE.UTF-8"), &ours, true), pairs(&[("LANG", "de_DE.UTF-8")]));
        assert_eq!(with(None, &ours, true), pairs(&[ours[0], ours[1], ours[2]]));
        assert_eq!(with(None, &[], true), pairs(&[("LANG", "C.UTF-8")]));
    }

    #[test]
    fn a_language_whose_locale_is_missing_is_spoken_all_the_same() {
        let utf8 = [("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")];
        let spoken = |language| pairs(&[utf8[0], utf8[1], ("LANGUAGE", language)]);
        assert_eq!(with(Some("he_IL.UTF-8"), &[("LANGUAGE", "en")], false), spoken("he_IL.UTF-8"));
        assert_eq!(with(None, &[("LANG", "de_AT.UTF-8"), ("LC_ALL", "")], false), spoken("de_AT.UTF-8"));
        assert_eq!(with(None, &[("LANG", "de_AT.UTF-8"), ("LANGUAGE", "bar:de")], false), spoken("bar:de"));
    }

    #[test]
    fn the_c_library_is_asked() {
        assert!(has_locale("C") && !has_locale("xx_YY.UTF-8") && !has_locale("a\0b"));
    }
}
