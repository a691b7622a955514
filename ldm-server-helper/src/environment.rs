//! The session's own variables, on top of what sshd and PAM gave.
//!
//! They are set before the user's profile is read, so that it can use them, and once more after it, so that it cannot
//! change what the login decided.

use std::path::Path;

use ldm_protocol::helper::{Client, Keyboard, SessionRequest, may_set};
use ldm_protocol::{limits, text};

use crate::languages;
use crate::sessions::XSession;

/// Its value goes before what the profile leaves of it, instead of taking its place.
pub const DATA_DIRS: &str = "XDG_DATA_DIRS";

/// The same.
pub const CONFIG_DIRS: &str = "XDG_CONFIG_DIRS";

/// The program that opens files and addresses on the client.
pub const OPEN: &str = "ltsp-open";

/// A variable and its value; `None` removes it.
pub type Setting = (&'static str, Option<String>);

/// Names a session to the programs in it.
pub fn of_session(session: Option<&XSession>, has_session_class: bool) -> Vec<Setting> {
    let mut settings = vec![("XDG_SESSION_TYPE", Some("x11".to_owned()))];
    if !has_session_class {
        settings.push(("XDG_SESSION_CLASS", Some("user".to_owned())));
    }
    // What is not known is removed: these may linger from the shell that a test or an administrator started us from.
    let id = session.map(|s| s.id.clone());
    for name in ["DESKTOP_SESSION", "XDG_SESSION_DESKTOP", "GDMSESSION"] {
        settings.push((name, id.clone()));
    }
    let desktop = session.map(|s| s.desktop_names.join(":")).filter(|names| !names.is_empty());
    settings.push(("XDG_CURRENT_DESKTOP", desktop));
    settings
}

/// Sets a language that is installed. `LC_ALL` would override it and therefore goes; a user's own `LC_TIME` and the like stay.
pub fn of_language(locale: &str) -> Vec<Setting> {
    vec![("LANG", Some(locale.to_owned())), ("LANGUAGE", languages::translations(locale)), ("LC_ALL", None)]
}

/// What the client's administrator wants every session to have (`CLIENT_ENV`), and, in the second list, the names of what may not
/// be set so ([`may_set`]).
pub fn of_administrator(variables: &[String]) -> (Vec<(String, String)>, Vec<String>) {
    let (mut settings, mut refused) = (Vec::new(), Vec::new());
    for variable in variables.iter().take(limits::CLIENT_VARIABLES) {
        match variable.split_once('=') {
            Some((name, value))
                if may_set(name) && variable.len() <= limits::CLIENT_VARIABLE && !value.contains(char::is_control) =>
            {
                settings.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                let name = variable.split('=').next().unwrap_or_default();
                refused.push(text::sanitise_line(name, limits::LANGUAGE));
            }
        }
    }
    (settings, refused)
}

/// The keyboard at the client, for desktops that set one of their own.
pub fn of_keyboard(keyboard: &Keyboard) -> Vec<Setting> {
    keyboard.variables().map(|(name, value)| (name, Some(value.to_owned()))).collect()
}

/// Facts about the client, each reduced to the characters it can have.
pub fn of_client(client: &Client) -> Vec<Setting> {
    let clean = |value: &Option<String>, also: &str| {
        let value: String = value
            .as_deref()
            .unwrap_or_default()
            .chars()
            .filter(|&c| c.is_ascii_alphanumeric() || also.contains(c))
            .take(limits::SESSION_NAME)
            .collect();
        Some(value).filter(|v| !v.is_empty())
    };
    let facts = [
        ("LTSP_CLIENT", clean(&client.address, ".:%_-")),
        ("LTSP_CLIENT_HOSTNAME", clean(&client.hostname, "._-")),
        ("LTSP_CLIENT_MAC", clean(&client.mac, ":-")),
    ];
    facts.into_iter().filter(|(_, value)| value.is_some()).collect()
}

/// What leads a session's programs to entries for its menu in `share`, and to the client with addresses that they open.
pub fn of_services(request: &SessionRequest, share: &Path, has_open: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    if request.menu || request.open_on_client {
        settings.push((DATA_DIRS, share.to_str().map(str::to_owned)));
    }
    if request.open_on_client && has_open {
        settings.push(("BROWSER", Some(OPEN.to_owned())));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;

    fn value<'a>(settings: &'a [Setting], name: &str) -> Option<&'a Option<String>> {
        settings.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    #[test]
    fn a_session_is_named_four_times() {
        let session = XSession {
            id: "odd id".into(),
            name: "n".into(),
            comment: None,
            command: CommandLine::parse("x").unwrap(),
            program: "/x".into(),
            desktop_names: vec!["XFCE".into(), "GNOME".into()],
        };
        let settings = of_session(Some(&session), false);
        for name in ["DESKTOP_SESSION", "XDG_SESSION_DESKTOP", "GDMSESSION"] {
            assert_eq!(value(&settings, name), Some(&Some("odd id".into())));
        }
        assert_eq!(value(&settings, "XDG_CURRENT_DESKTOP"), Some(&Some("XFCE:GNOME".into())));
        assert_eq!(value(&settings, "XDG_SESSION_CLASS"), Some(&Some("user".into())));
        assert_eq!(value(&of_session(None, true), "XDG_SESSION_CLASS"), None);
        assert_eq!(value(&of_session(None, true), "DESKTOP_SESSION"), Some(&None));
    }

    #[test]
    fn client_facts_are_reduced() {
        let client = Client {
            address: Some("fe80::1%eth0\n".into()),
            hostname: Some("tc$(x) 17".into()),
            mac: Some("\u{1b};".into()),
        };
        assert_eq!(
            of_client(&client),
            [("LTSP_CLIENT", Some("fe80::1%eth0".into())), ("LTSP_CLIENT_HOSTNAME", Some("tcx17".into()))]
        );
    }

    #[test]
    fn the_administrators_variables_are_bounded_and_checked() {
        let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (settings, refused) =
            of_administrator(&list(&["SCHOOL=north side", "LD_PRELOAD=/x", "novalue", "E=", "X=a\nb", "\u{1b}[1m=x"]));
        assert_eq!(settings, [("SCHOOL".into(), "north side".into()), ("E".into(), String::new())]);
        assert_eq!(refused, ["LD_PRELOAD", "novalue", "X", ""]);
        let many = vec![format!("A={}", "x".repeat(limits::CLIENT_VARIABLE)); 2 * limits::CLIENT_VARIABLES];
        assert_eq!(of_administrator(&many).1.len(), limits::CLIENT_VARIABLES);
    }

    #[test]
    fn a_language_beats_lc_all() {
        let settings = of_language("C.UTF-8");
        assert_eq!(settings, [("LANG", Some("C.UTF-8".into())), ("LANGUAGE", None), ("LC_ALL", None)]);
    }
}
