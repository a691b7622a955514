//! The light set-up of GTK: environment variables, which it reads when it starts.
//!
//! A bare GTK 4 window costs 122 ms and 116 MB as it comes and 33 ms and 19 MB so. What the administrator or the daemon has
//! set already stays as it is.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use ldm_protocol::greetd::BUILT_IN_LOOK;
use ldm_protocol::helper::is_locale;

use crate::density;
use crate::model::Kept;
use crate::xserver::Connected;

/// `1`: what is needed by assistive programs is loaded.
const ACCESSIBLE: &str = "LDM_GREETER_A11Y";

/// How large GTK draws everything.
const SCALE: &str = "GDK_SCALE";

/// GTK's own switch for it.
const A11Y: &str = "GTK_A11Y";

/// The user name that was in the entry before a restart.
const NAME: &str = "LDM_GREETER_NAME";

/// Name or folder of the theme.
const THEME: &str = "LDM_THEME";

/// The language that was chosen.
const LANGUAGE: &str = "LDM_GREETER_LANGUAGE";

/// `1`: the session was to be asked for.
const ASK: &str = "LDM_GREETER_ASK";

/// `1`: how the last session ended was told.
const TOLD: &str = "LDM_GREETER_TOLD";

/// Set if standard input is the connection to the daemon.
const INHERITED: &str = "LDM_GREETER_LINK";

/// Seconds, instead of 60.
const IDLE: &str = "LDM_GREETER_IDLE";

/// What a notice tells.
const NOTICE: &str = "LDM_NOTICE";

const LIGHT: [(&str, &str); 7] = [
    // Software drawing without OpenGL: keeps Mesa out, which is most of the cost.
    ("GSK_RENDERER", "cairo"),
    ("GDK_DEBUG", "gl-disable"),
    ("GDK_BACKEND", "x11"),
    // No file manager's volumes, no settings daemon, no portals: nothing that would ask a session bus.
    ("GIO_USE_VFS", "local"),
    ("GSETTINGS_BACKEND", "memory"),
    ("GTK_USE_PORTAL", "0"),
    // The theme is the whole look: GTK's own style sheet would be read for nothing.
    ("GTK_THEME", "Empty"),
];

/// Whether assistive programs are to be served.
pub(crate) fn accessible() -> bool {
    env::var_os(ACCESSIBLE).as_deref() == Some(OsStr::new("1"))
}

/// The theme that the daemon names.
pub(crate) fn theme() -> Option<String> {
    env::var(THEME).ok()
}

/// What to go on with after a restart.
pub(crate) fn kept() -> Kept {
    kept_in(|key| env::var(key).ok())
}

fn kept_in(get: impl Fn(&str) -> Option<String>) -> Kept {
    Kept {
        username: get(NAME).unwrap_or_default(),
        language: get(LANGUAGE).filter(|language| is_locale(language)),
        ask_for_session: get(ASK).as_deref() == Some("1"),
        told: get(TOLD).as_deref() == Some("1"),
    }
}

/// The environment in which [`kept`] finds the same.
fn keep(kept: &Kept) -> [(&'static str, &str); 4] {
    let language = kept.language.as_deref().unwrap_or_default();
    let word = |yes| if yes { "1" } else { "0" };
    [(NAME, &kept.username), (LANGUAGE, language), (ASK, word(kept.ask_for_session)), (TOLD, word(kept.told))]
}

/// How long nobody may touch anything before what was typed is dropped.
pub(crate) fn idle() -> Duration {
    let seconds = env::var(IDLE).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.filter(|seconds| *seconds > 0).unwrap_or(60))
}

/// What `--notice` is to tell, as JSON.
pub(crate) fn notice() -> String {
    env::var(NOTICE).unwrap_or_default()
}

/// Whether the connection to the daemon is standard input.
pub(crate) fn inherits_link() -> bool {
    env::var_os(INHERITED).is_some()
}

/// Puts the light set-up and the scale for these monitors into the environment, where they are missing. Before GTK starts.
pub(crate) fn ensure(accessible: bool, connected: &Connected) -> io::Result<()> {
    let mut changes = changes(accessible, |key| env::var_os(key));
    // The administrator's own choice stays.
    let panels = connected.as_ref().map(|(x, screen)| density::panels(x, *screen)).unwrap_or_default();
    let scale = density::scale(&panels).to_string();
    if scale != "1" && env::var_os(SCALE).is_none() {
        changes.push((SCALE, Some(&scale)));
    }
    ldm::sys::set_environment(changes)
}

/// What the environment lacks; `None` is to be removed.
fn changes<'a>(accessible: bool, get: impl Fn(&str) -> Option<OsString>) -> Vec<(&'a str, Option<&'a str>)> {
    let mut changes: Vec<_> =
        LIGHT.into_iter().filter(|(key, _)| get(key).is_none()).map(|(key, value)| (key, Some(value))).collect();
    let refused = get(A11Y);
    if accessible {
        if get(ACCESSIBLE).as_deref() != Some(OsStr::new("1")) {
            changes.push((ACCESSIBLE, Some("1")));
        }
        // The daemon's light set-up, perhaps; whoever asked for accessibility meant more.
        if refused.as_deref() == Some(OsStr::new("none")) {
            changes.push((A11Y, None));
        }
    } else if refused.is_none() {
        changes.push((A11Y, Some("none")));
    }
    changes
}

/// Starts this program again, on the same connection, with or without what serves assistive programs. Returns only if that
/// fails.
pub(crate) fn restart(link: OwnedFd, kept: &Kept, accessible: bool) -> io::Error {
    let mut command = match again() {
        Ok(command) => command,
        Err(error) => return error,
    };
    if accessible {
        command.env(ACCESSIBLE, "1").env_remove(A11Y);
    } else {
        command.env(ACCESSIBLE, "0").env(A11Y, "none");
    }
    command.env(INHERITED, "1").envs(keep(kept)).stdin(Stdio::from(link)).exec()
}

/// Starts this program again with the built-in look, and on a new connection: an answer may be on its way on the old one. Returns
/// only if that fails.
pub(crate) fn without_theme() -> io::Error {
    let mut command = match again() {
        Ok(command) => command,
        Err(error) => return error,
    };
    command.env(THEME, BUILT_IN_LOOK).env_remove(INHERITED).stdin(Stdio::null()).exec()
}

fn again() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)], accessible: bool) -> Vec<(&'static str, Option<&'static str>)> {
        let get = |key: &str| set.iter().rev().find(|(k, _)| *k == key).map(|(_, value)| OsString::from(value));
        changes(accessible, get)
    }

    #[test]
    fn a_restart_goes_on_with_what_was_chosen() {
        for kept in [
            Kept {
                username: "J\u{fc}rgen ".into(),
                language: Some("pt_BR".into()),
                ask_for_session: true,
                told: false,
            },
            Kept { language: Some("sr_RS.UTF-8@latin".into()), told: true, ..Kept::default() },
            Kept::default(),
        ] {
            let all = keep(&kept).map(|(key, value)| (key, value.to_owned()));
            assert_eq!(kept_in(|key| all.iter().find(|(k, _)| *k == key).map(|(_, value)| value.clone())), kept);
        }
        assert_eq!(kept_in(|_| None), Kept::default());
        assert_eq!(kept_in(|key| (key == LANGUAGE).then(|| "../de".into())), Kept::default());
    }

    #[test]
    fn what_is_set_stays_and_what_is_missing_is_set() {
        assert_eq!(with(&[], false).len(), LIGHT.len() + 1);
        assert!(!with(&[("GSK_RENDERER", "gl")], false).iter().any(|(key, _)| *key == "GSK_RENDERER"));
        let mut all = LIGHT.to_vec();
        all.push((A11Y, "none"));
        assert_eq!(with(&all, false), []);
    }

    #[test]
    fn accessibility_that_is_asked_for_is_not_refused() {
        let mut all = LIGHT.to_vec();
        all.push((A11Y, "none"));
        assert_eq!(with(&all, true), [(ACCESSIBLE, Some("1")), (A11Y, None)]);
        all.push((ACCESSIBLE, "1"));
        all.push((A11Y, "atspi"));
        assert_eq!(with(&all, true), []);
    }
}
