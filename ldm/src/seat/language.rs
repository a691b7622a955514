//! Which of a server's locales a greeter means by a language.

use ldm_protocol::language::territory;

/// The locale of `languages` that `wanted` names: it itself; with the codeset UTF-8; of a language alone the one of its own
/// territory (`de` → `de_DE.UTF-8`); else any of that language. A modifier (`@latin`) is part of the language.
pub(super) fn installed(wanted: &str, languages: &[String]) -> Option<String> {
    let has = |name: &str| languages.iter().find(|language| *language == name).cloned();
    if let Some(same) = has(wanted) {
        return Some(same);
    }
    let (name, modifier) = match wanted.split_once('@') {
        Some((name, modifier)) => (name, format!("@{modifier}")),
        None => (wanted, String::new()),
    };
    let (name, codeset) = name.split_once('.').map_or((name, None), |(name, codeset)| (name, Some(codeset)));
    if codeset.is_some_and(|codeset| !["utf8", "utf-8"].contains(&codeset.to_ascii_lowercase().as_str())) {
        return None;
    }
    if let Some(same) = has(&format!("{name}.UTF-8{modifier}")) {
        return Some(same);
    }
    let language = name.split('_').next().unwrap_or(name);
    has(&format!("{language}_{}.UTF-8{modifier}", territory(language))).or_else(|| {
        let same = |l: &&String| {
            l.strip_prefix(language).is_some_and(|rest| rest.starts_with('_')) && modifier_of(l) == modifier
        };
        languages.iter().find(same).cloned()
    })
}

fn modifier_of(locale: &str) -> &str {
    locale.find('@').and_then(|at| locale.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_locale_of_its_own_territory_first() {
        let languages: Vec<String> = [
            "C.UTF-8",
            "de_AT.UTF-8",
            "de_DE.UTF-8",
            "en_AG.UTF-8",
            "en_US.UTF-8",
            "fr_CA.UTF-8",
            "sr_RS.UTF-8",
            "sr_RS.UTF-8@latin",
        ]
        .map(str::to_owned)
        .to_vec();
        for (wanted, want) in [
            ("de", Some("de_DE.UTF-8")),
            ("de_DE", Some("de_DE.UTF-8")),
            ("de_AT", Some("de_AT.UTF-8")),
            ("de_CH", Some("de_DE.UTF-8")),
            ("de_AT.utf8", Some("de_AT.UTF-8")),
            ("en", Some("en_US.UTF-8")),
            ("fr", Some("fr_CA.UTF-8")),
            ("fr_FR.UTF-8", Some("fr_CA.UTF-8")),
            ("C", Some("C.UTF-8")),
            ("sr@latin", Some("sr_RS.UTF-8@latin")),
            ("sr", Some("sr_RS.UTF-8")),
            ("de_DE.ISO-8859-1", None),
            ("d", None),
            ("ja", None),
            ("", None),
        ] {
            assert_eq!(installed(wanted, &languages).as_deref(), want, "{wanted}");
        }
        assert_eq!(installed("de", &[]), None);
    }
}
