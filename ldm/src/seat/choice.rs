//! Which session in which language: the admin's word, the user's, the server's memory.

use ldm_protocol::greetd::{DEFAULT_SESSION, SESSION_COMMAND, Sessions};
use ldm_protocol::helper::{self, Info};
use ldm_protocol::{Failure, FailureKind};

use super::{Policy, language};

/// What the worker is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Id; `None`: the server's default.
    pub session: Option<String>,
    /// Whether the server is to remember it for this user.
    pub remember: bool,
    /// Locale; `None`: the server's.
    pub language: Option<String>,
    /// Whether the server is to remember that, too.
    pub remember_language: bool,
    /// It is the admin's default, and what this user chose before is not known here (a forced session is started unasked).
    pub language_is_default: bool,
    /// What was asked for and this server has not: for the log.
    pub missing_language: Option<String>,
    /// The admin's default that would have counted, and this server has not: for the log.
    pub missing_default: Option<String>,
    /// The only sessions elsewhere that may end for it; `None`: as configured.
    pub end_only: Option<Vec<String>>,
}

/// What `start_session` asks for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    /// It is what the greeter starts where nobody picks another.
    pub(super) unasked: bool,
}

/// The list for our own greeter.
pub(super) fn offer(policy: &Policy, info: &Info) -> Sessions {
    Sessions {
        sessions: info.sessions.clone(),
        preselected: preselected(policy, info),
        forced: policy.force_session.clone(),
        remembered: info.remembered.as_ref().is_some_and(|id| info.sessions.iter().any(|s| &s.id == id)),
        gone: info.gone.clone().filter(|_| policy.force_session.is_none()),
        languages: if policy.force_language.is_some() { Vec::new() } else { info.languages.clone() },
        language: preselected_language(policy, info),
        elsewhere: Vec::new(),
    }
}

/// What is used where nobody chooses another: what the server remembers for this user, else the admin's, as far as it is installed.
fn preselected_language(policy: &Policy, info: &Info) -> Option<String> {
    if policy.force_language.is_some() {
        return None;
    }
    let of = |wanted: &Option<String>| wanted.as_ref().and_then(|wanted| language::installed(wanted, &info.languages));
    of(&info.remembered_language).or_else(|| of(&policy.language))
}

/// The language of the session that is to be started.
#[derive(Default)]
struct Language {
    locale: Option<String>,
    remember: bool,
    is_default: bool,
    missing: Option<String>,
}

/// The admin's word, the user's, the server's memory, the admin's default; else the server's own.
fn language(policy: &Policy, info: &Info, ours: bool, env: &[String]) -> Language {
    if let Some(forced) = &policy.force_language {
        return Language { locale: Some(forced.clone()), ..Language::default() };
    }
    let picked = env.iter().filter_map(|v| v.strip_prefix("LANG=")).find(|l| helper::is_locale(l));
    let found = match picked {
        // A server without the helper says nothing of its languages.
        Some(picked) if info.languages.is_empty() => Some(picked.to_owned()),
        Some(picked) => language::installed(picked, &info.languages),
        None => None,
    };
    let Some(found) = found else {
        let locale = info.remembered_language.clone().or_else(|| policy.language.clone());
        let is_default = info.version == 0;
        return Language { locale, remember: false, is_default, missing: picked.map(str::to_owned) };
    };
    // A default of the admin's that the user left alone is not their choice; and other greeters send their own language.
    let chosen = preselected_language(policy, info).as_ref() != Some(&found);
    Language { remember: ours && chosen, locale: Some(found), ..Language::default() }
}

/// What is used where nobody chooses: what the server remembers for this user, else the admin's, as far as it is offered.
fn preselected(policy: &Policy, info: &Info) -> Option<String> {
    let offered = |id: &&String| info.sessions.iter().any(|s| &s.id == *id);
    info.remembered.as_ref().filter(offered).or(policy.session.as_ref().filter(offered)).cloned()
}

/// The admin's default session where the user has none of their own and the server does not offer it.
fn missing_default(policy: &Policy, info: &Info) -> Option<String> {
    let unforced = policy.session.as_ref().filter(|_| policy.force_session.is_none());
    unforced.filter(|_| preselected(policy, info).is_none()).cloned()
}

/// What becomes of a wish. `ours`: the greeter showed the preselected session, so that "default" means just that.
pub(super) fn choose(policy: &Policy, info: &Info, ours: bool, wish: &Wish) -> Result<Choice, Failure> {
    let Wish { cmd, env, unasked } = wish;
    let language = self::language(policy, info, ours, env);
    let choice = |session, remember| Choice {
        session,
        remember,
        language: language.locale,
        remember_language: language.remember,
        language_is_default: language.is_default,
        missing_language: language.missing,
        missing_default: missing_default(policy, info),
        end_only: None,
    };
    if let Some(forced) = &policy.force_session {
        return Ok(choice(Some(forced.clone()), false));
    }
    let chosen = match parse(cmd) {
        Some(id) if id == DEFAULT_SESSION => None,
        Some(id) if info.sessions.iter().any(|s| s.id == id) => Some(id),
        Some(id) => return Err(gone(&id, info)),
        None => return Err(gone(&cmd.join(" "), info)),
    };
    if chosen.is_none() && !ours {
        return Ok(choice(preselected(policy, info), false));
    }
    let remember = !unasked && chosen != info.remembered;
    Ok(choice(chosen, remember))
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

    fn wish(cmd: &[&str], env: &[&str]) -> Wish {
        Wish { cmd: words(cmd), env: words(env), unasked: false }
    }

    fn chosen(
        policy: &Policy,
        remembered: Option<&str>,
        ours: bool,
        cmd: &[&str],
    ) -> Result<(Option<String>, bool), String> {
        choose(policy, &info(remembered), ours, &wish(cmd, &[]))
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
        // What nobody has picked is nobody's choice, whatever was remembered.
        for (remembered, id) in [(None, "xfce"), (None, "default"), (Some("icewm"), "xfce"), (Some("icewm"), "default")]
        {
            let wish = Wish { unasked: true, ..wish(&["ldm-session", id], &["LANG=de_AT.UTF-8"]) };
            let choice = choose(&none, &info(remembered), true, &wish).unwrap();
            assert_eq!((choice.session.as_deref(), choice.remember), (Some(id).filter(|id| *id != "default"), false));
            assert!(choice.remember_language, "that is another choice");
        }
        for (policy, remembered, want) in [
            (&none, None, None),
            (&admin, None, None),
            (&gone, None, Some("kde")),
            (&gone, Some("kde"), Some("kde")),
            // It would not have counted.
            (&gone, Some("xfce"), None),
            (&Policy { force_session: Some("kiosk".into()), ..gone.clone() }, None, None),
        ] {
            let choice = choose(policy, &info(remembered), true, &wish(&default, &[])).unwrap();
            assert_eq!(choice.missing_default.as_deref(), want, "{policy:?} {remembered:?}");
        }
        assert_eq!(offer(&admin, &info(Some("xfce"))).preselected.as_deref(), Some("xfce"));
        assert_eq!(offer(&admin, &info(None)).preselected.as_deref(), Some("icewm"));
        assert_eq!(offer(&gone, &info(None)).preselected, None);
        assert_eq!(offer(&forced, &info(None)).forced.as_deref(), Some("kiosk"));
    }

    fn locales() -> Vec<String> {
        ["C.UTF-8", "de_AT.UTF-8", "de_DE.UTF-8", "fr_CA.UTF-8"].map(str::to_owned).to_vec()
    }

    #[test]
    fn who_decides_the_language() {
        let admin = Policy { language: Some("de_DE.UTF-8".into()), ..Policy::default() };
        let forced = Policy { force_language: Some("C".into()), ..admin.clone() };
        let none = Policy::default();
        for (policy, remembered, ours, env, want) in [
            (&none, None, true, &[][..], (None, false, None)),
            (&admin, None, true, &[], (Some("de_DE.UTF-8"), false, None)),
            // What the user chose before goes before the admin's default, and what they choose now before both.
            (&admin, Some("fr_CA.UTF-8"), true, &[], (Some("fr_CA.UTF-8"), false, None)),
            (&admin, Some("fr_CA.UTF-8"), true, &["LD_PRELOAD=x", "LANG=de"], (Some("de_DE.UTF-8"), true, None)),
            (&admin, Some("fr_CA.UTF-8"), true, &["LANG=fr"], (Some("fr_CA.UTF-8"), false, None)),
            (&none, None, true, &["LANG=de_AT"], (Some("de_AT.UTF-8"), true, None)),
            (&none, None, false, &["LANG=de_AT"], (Some("de_AT.UTF-8"), false, None)),
            (&admin, None, true, &["LANG=de"], (Some("de_DE.UTF-8"), false, None)),
            (&admin, Some("fr_CA.UTF-8"), true, &["LANG=ja"], (Some("fr_CA.UTF-8"), false, Some("ja"))),
            (&admin, None, true, &["LANG=$(x)"], (Some("de_DE.UTF-8"), false, None)),
            (&forced, Some("fr_CA.UTF-8"), true, &["LANG=fr"], (Some("C"), false, None)),
        ] {
            let info = Info { languages: locales(), remembered_language: remembered.map(str::to_owned), ..info(None) };
            let choice = choose(policy, &info, ours, &wish(&["ldm-session", "xfce"], env)).unwrap();
            let got = (choice.language.as_deref(), choice.remember_language, choice.missing_language.as_deref());
            assert_eq!(got, want, "{policy:?} {remembered:?} {ours} {env:?}");
        }
        // Where the session is forced nobody has asked the server what it remembers.
        let kiosk = Policy { force_session: Some("kiosk".into()), ..admin.clone() };
        let choice = choose(&kiosk, &Info::default(), true, &Wish::default()).unwrap();
        assert_eq!((choice.language.as_deref(), choice.language_is_default), (Some("de_DE.UTF-8"), true));
        // A server that does not tell its languages is taken at the user's word.
        let choice = choose(&none, &info(None), true, &wish(&["ldm-session", "xfce"], &["LANG=fr_FR.UTF-8"]));
        assert_eq!(choice.unwrap().language.as_deref(), Some("fr_FR.UTF-8"));
    }

    #[test]
    fn what_the_greeter_is_told_of_languages_and_of_what_is_gone() {
        let info = Info {
            languages: locales(),
            remembered_language: Some("fr_CA.UTF-8".into()),
            gone: Some("kde".into()),
            ..info(None)
        };
        let admin = Policy { language: Some("de".into()), ..Policy::default() };
        let told = offer(&admin, &info);
        assert_eq!((told.language.as_deref(), told.languages.len()), (Some("fr_CA.UTF-8"), 4));
        assert_eq!((told.gone.as_deref(), told.remembered), (Some("kde"), false));
        let told = offer(&admin, &Info { remembered_language: None, remembered: Some("xfce".into()), ..info.clone() });
        assert_eq!((told.language.as_deref(), told.remembered), (Some("de_DE.UTF-8"), true));
        let forced = Policy { force_language: Some("C".into()), force_session: Some("x".into()), ..admin };
        let told = offer(&forced, &info);
        assert!(told.languages.is_empty() && told.language.is_none() && told.gone.is_none());
    }
}
