//! Which session in which language: the admin's word, the user's, the server's memory.

use ldm_protocol::greetd::{DEFAULT_SESSION, SESSION_COMMAND, Sessions};
use ldm_protocol::helper::{self, Info};
use ldm_protocol::{Failure, FailureKind};

use super::Policy;

/// What the worker is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Id; `None`: the server's default.
    pub session: Option<String>,
    /// Whether the server is to remember it for this user.
    pub remember: bool,
    /// Locale; `None`: the server's.
    pub language: Option<String>,
}

/// The list for our own greeter.
pub(super) fn offer(policy: &Policy, info: &Info) -> Sessions {
    Sessions {
        sessions: info.sessions.clone(),
        preselected: preselected(policy, info),
        forced: policy.force_session.clone(),
        ..Sessions::default()
    }
}

/// What is used where nobody chooses: what the server remembers for this user, else the admin's, as far as it is offered.
fn preselected(policy: &Policy, info: &Info) -> Option<String> {
    let offered = |id: &&String| info.sessions.iter().any(|s| &s.id == *id);
    info.remembered.as_ref().filter(offered).or(policy.session.as_ref().filter(offered)).cloned()
}

/// What `start_session` asks for. `ours`: the greeter showed the preselected session, so that "default" means just that.
pub(super) fn choose(
    policy: &Policy,
    info: &Info,
    ours: bool,
    cmd: &[String],
    env: &[String],
) -> Result<Choice, Failure> {
    let chosen_language = env.iter().filter_map(|v| v.strip_prefix("LANG=")).find(|l| helper::is_locale(l));
    let language = policy.force_language.clone().or(chosen_language.map(str::to_owned)).or(policy.language.clone());
    if let Some(forced) = &policy.force_session {
        return Ok(Choice { session: Some(forced.clone()), remember: false, language });
    }
    let chosen = match parse(cmd) {
        Some(id) if id == DEFAULT_SESSION => None,
        Some(id) if info.sessions.iter().any(|s| s.id == id) => Some(id),
        Some(id) => return Err(gone(&id, info)),
        None => return Err(gone(&cmd.join(" "), info)),
    };
    if chosen.is_none() && !ours {
        return Ok(Choice { session: preselected(policy, info), remember: false, language });
    }
    Ok(Choice { remember: chosen != info.remembered, session: chosen, language })
}

fn gone(asked: &str, info: &Info) -> Failure {
    let mut offered: Vec<_> = info.sessions.iter().map(|s| s.id.as_str()).collect();
    offered.insert(0, DEFAULT_SESSION);
    let detail = format!("{SESSION_COMMAND} {{{}}}", offered.join(","));
    Failure::new(FailureKind::SessionGone).session(asked).detail(&detail)
}

/// The id in `…wrapper… ldm-session ID`. Greeters split command lines differently, or not at all.
fn parse(cmd: &[String]) -> Option<String> {
    if let [.., word, id] = cmd
        && word == SESSION_COMMAND
    {
        // Already split: the id may hold blanks.
        return Some(unquote(id).to_owned());
    }
    let line = cmd.join(" ");
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once(SESSION_COMMAND) {
        let starts = before.is_empty() || before.ends_with(char::is_whitespace);
        if starts && after.starts_with(char::is_whitespace) {
            let id = unquote(after.trim());
            return (!id.is_empty()).then(|| id.to_owned());
        }
        rest = after;
    }
    None
}

fn unquote(id: &str) -> &str {
    let id = id.trim();
    ['"', '\''].into_iter().find_map(|q| id.strip_prefix(q)?.strip_suffix(q)).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use ldm_protocol::helper::SessionEntry;

    use super::*;

    fn info(remembered: Option<&str>) -> Info {
        let entry = |id: &str| SessionEntry { id: id.into(), name: id.to_uppercase(), comment: None };
        Info {
            sessions: vec![entry("xfce"), entry("icewm"), entry("two words")],
            remembered: remembered.map(str::to_owned),
            ..Info::default()
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&w| w.to_owned()).collect()
    }

    fn chosen(
        policy: &Policy,
        remembered: Option<&str>,
        ours: bool,
        cmd: &[&str],
    ) -> Result<(Option<String>, bool), String> {
        choose(policy, &info(remembered), ours, &words(cmd), &[])
            .map(|c| (c.session, c.remember))
            .map_err(|f| f.detail.unwrap_or_default())
    }

    #[test]
    fn commands_of_every_shape() {
        let policy = Policy::default();
        for (cmd, want) in [
            (&["ldm-session", "xfce"][..], Some("xfce")),
            (&["ldm-session xfce"], Some("xfce")),
            (&["startx", "/usr/bin/env", "ldm-session", "xfce"], Some("xfce")),
            (&["startx /usr/bin/env ldm-session xfce"], Some("xfce")),
            (&["startx /usr/bin/env", "ldm-session xfce"], Some("xfce")),
            (&["sh", "-c", "exec 'ldm-session' xfce"], None),
            (&["ldm-session", "two words"], Some("two words")),
            (&["ldm-session \"two words\""], Some("two words")),
            (&["ldm-session", "\"two words\""], Some("two words")),
        ] {
            let got = chosen(&policy, None, true, cmd);
            assert_eq!(got.clone().ok().and_then(|c| c.0).as_deref(), want, "{cmd:?} {got:?}");
        }
        for cmd in [
            &[][..],
            &["xfce"],
            &["ldm-session"],
            &["ldm-session", ""],
            &["ldm-session", "../x"],
            &["/bin/sh"],
            &["xldm-session xfce"],
        ] {
            assert_eq!(
                chosen(&policy, None, true, cmd),
                Err("ldm-session {default,xfce,icewm,two words}".to_owned()),
                "{cmd:?}"
            );
        }
    }

    #[test]
    fn who_decides_the_session() {
        let admin = Policy { session: Some("icewm".into()), ..Policy::default() };
        let gone = Policy { session: Some("kde".into()), ..Policy::default() };
        let forced = Policy { force_session: Some("kiosk".into()), session: Some("icewm".into()), ..Policy::default() };
        let default = ["ldm-session", "default"];
        let xfce = ["ldm-session", "xfce"];
        let none = Policy::default();
        for (policy, remembered, ours, cmd, want) in [
            (&none, None, true, default, (None, false)),
            (&none, Some("xfce"), true, default, (None, true)),
            (&none, Some("xfce"), true, xfce, (Some("xfce"), false)),
            (&none, None, true, xfce, (Some("xfce"), true)),
            (&none, None, false, default, (None, false)),
            (&none, Some("xfce"), false, default, (Some("xfce"), false)),
            (&admin, Some("xfce"), false, default, (Some("xfce"), false)),
            (&admin, None, false, default, (Some("icewm"), false)),
            (&admin, None, true, default, (None, false)),
            (&gone, None, false, default, (None, false)),
            (&admin, None, false, xfce, (Some("xfce"), true)),
            (&forced, Some("xfce"), true, xfce, (Some("kiosk"), false)),
            (&forced, None, false, ["/bin/sh", "-c"], (Some("kiosk"), false)),
        ] {
            let want = (want.0.map(str::to_owned), want.1);
            assert_eq!(chosen(policy, remembered, ours, &cmd), Ok(want), "{policy:?} {remembered:?} {ours} {cmd:?}");
        }
        assert_eq!(offer(&admin, &info(Some("xfce"))).preselected.as_deref(), Some("xfce"));
        assert_eq!(offer(&admin, &info(None)).preselected.as_deref(), Some("icewm"));
        assert_eq!(offer(&gone, &info(None)).preselected, None);
        assert_eq!(offer(&forced, &info(None)).forced.as_deref(), Some("kiosk"));
    }

    #[test]
    fn who_decides_the_language() {
        let language = |policy: &Policy, env: &[&str]| {
            choose(policy, &info(None), true, &words(&["ldm-session", "xfce"]), &words(env)).unwrap().language
        };
        let admin = Policy { language: Some("de_DE.UTF-8".into()), ..Policy::default() };
        let forced = Policy { force_language: Some("C".into()), ..admin.clone() };
        assert_eq!(language(&Policy::default(), &[]), None);
        assert_eq!(language(&admin, &[]).as_deref(), Some("de_DE.UTF-8"));
        assert_eq!(language(&admin, &["LD_PRELOAD=x", "LANG=fr_FR.UTF-8"]).as_deref(), Some("fr_FR.UTF-8"));
        assert_eq!(language(&admin, &["LANG=$(x)"]).as_deref(), Some("de_DE.UTF-8"));
        assert_eq!(language(&forced, &["LANG=fr_FR.UTF-8"]).as_deref(), Some("C"));
    }
}
