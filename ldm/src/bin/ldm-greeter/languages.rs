//! Languages by the names they give themselves, and which of a server's locales is meant by a choice.

use ldm_protocol::language::territory;

/// `code<TAB>name`, of languages and of those of their varieties that are told apart by more than a country.
const NAMES: &str = include_str!("languages.tsv");

/// The parts of `ll_CC.codeset@modifier` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    language: &'a str,
    territory: Option<&'a str>,
    modifier: Option<&'a str>,
}

fn parts(code: &str) -> Parts<'_> {
    let (rest, modifier) = code.split_once('@').map_or((code, None), |(rest, modifier)| (rest, Some(modifier)));
    let rest = rest.split('.').next().unwrap_or(rest);
    let (language, territory) = rest.split_once('_').map_or((rest, None), |(l, t)| (l, Some(t)));
    Parts { language, territory, modifier }
}

fn own_name(code: &str) -> Option<&'static str> {
    NAMES.lines().filter_map(|line| line.split_once('\t')).find(|(known, _)| *known == code).map(|(_, name)| name)
}

/// What to call `code` in a list beside `others`: a country is named only where two would be called the same.
pub(crate) fn name<S: AsRef<str>>(code: &str, others: &[S]) -> String {
    let these = parts(code);
    if matches!(these.language, "C" | "POSIX") {
        return code.to_owned();
    }
    let Some(language) = own_name(these.language) else { return code.to_owned() };
    let full = these.territory.and_then(|territory| own_name(&format!("{}_{territory}", these.language)));
    let same = |other: &Parts| other.language == these.language && *other != these;
    let alone = !others.iter().any(|other| same(&parts(other.as_ref())));
    let mut name = match (these.territory, full) {
        // What is written otherwise or meant otherwise always says so.
        (Some(_), Some(full)) if !alone || !full.starts_with(language) || these.language == "pt" => full.to_owned(),
        (Some(territory), None) if !alone => format!("{language} ({territory})"),
        _ => language.to_owned(),
    };
    if let Some(modifier) = these.modifier.filter(|_| !alone) {
        name = format!("{name} [{modifier}]");
    }
    name
}

/// Those of the server's `locales` that are worth a choice: each once, and in UTF-8 where there is that.
pub(crate) fn offered(locales: &[String]) -> Vec<String> {
    let english = locales.iter().any(|locale| parts(locale).language == "en");
    let mut offered: Vec<String> = Vec::new();
    for locale in locales {
        let these = parts(locale);
        if these.language == "POSIX" || these.language == "C" && (english || !in_utf8(locale)) {
            continue;
        }
        match offered.iter_mut().find(|other| parts(other) == these) {
            Some(other) if in_utf8(locale) && !in_utf8(other) => other.clone_from(locale),
            Some(_) => {}
            None => offered.push(locale.clone()),
        }
    }
    offered
}

fn in_utf8(locale: &str) -> bool {
    locale.to_ascii_lowercase().replace('-', "").contains("utf8")
}

/// Which of the server's `locales` is meant by `choice`, a locale or the name of a catalogue; `None`: none of them.
pub(crate) fn locale<'a>(choice: &str, locales: &'a [String]) -> Option<&'a str> {
    if let Some(same) = locales.iter().find(|locale| *locale == choice) {
        return Some(same);
    }
    let wanted = parts(choice);
    let usual = wanted.territory.map_or_else(|| territory(wanted.language), str::to_owned);
    let rank = |locale: &&String| {
        let found = parts(locale);
        (
            found.modifier == wanted.modifier,
            found.territory.is_some_and(|territory| territory == usual),
            in_utf8(locale),
            found.modifier.is_none(),
        )
    };
    let fits = |locale: &&String| {
        let found = parts(locale);
        // Two ways of writing Chinese are two languages to whoever reads one of them.
        found.language == wanted.language
            && (wanted.language != "zh" || wanted.territory.is_none() || found.territory == wanted.territory)
    };
    let english = || {
        let plain = locales.iter().find(|locale| parts(locale).language == "C");
        plain.filter(|_| wanted.language == "en")
    };
    locales.iter().filter(fits).max_by_key(rank).or_else(english).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_call_themselves_by_their_own_names() {
        for (code, others, want) in [
            ("de", &["de", "en"][..], "Deutsch"),
            ("ja_JP.UTF-8", &["ja_JP.UTF-8"], "日本語"),
            ("de_DE.UTF-8", &["de_DE.UTF-8", "fr_FR.UTF-8"], "Deutsch"),
            ("de_DE.UTF-8", &["de_DE.UTF-8", "de_AT.UTF-8"], "Deutsch (Deutschland)"),
            ("de_LI.UTF-8", &["de_DE.UTF-8", "de_LI.UTF-8"], "Deutsch (LI)"),
            ("pt_BR", &["pt_BR", "de"], "Português (Brasil)"),
            ("zh_CN", &["zh_CN"], "简体中文"),
            ("zh_TW.UTF-8", &["zh_TW.UTF-8"], "繁體中文"),
            ("sr_RS@latin", &["sr_RS", "sr_RS@latin"], "Српски (RS) [latin]"),
            ("xx_YY", &["xx_YY"], "xx_YY"),
            ("C.UTF-8", &["C.UTF-8"], "C.UTF-8"),
            ("", &[""], ""),
        ] {
            assert_eq!(name(code, others), want, "{code}");
        }
    }

    #[test]
    fn a_choice_finds_the_servers_locale() {
        let locales = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (choice, available, want) in [
            ("de", &["de_AT.UTF-8", "de_DE", "de_DE.UTF-8"][..], Some("de_DE.UTF-8")),
            ("de", &["de_AT.utf8", "fr_FR.utf8"], Some("de_AT.utf8")),
            ("de_AT.UTF-8", &["de_DE.UTF-8", "de_AT.UTF-8"], Some("de_AT.UTF-8")),
            ("pt_BR", &["pt_PT.UTF-8", "pt_BR.UTF-8"], Some("pt_BR.UTF-8")),
            ("zh_CN", &["zh_TW.UTF-8"], None),
            ("en", &["C.UTF-8", "de_DE.UTF-8"], Some("C.UTF-8")),
            ("en", &["en_GB.UTF-8", "en_US.UTF-8"], Some("en_US.UTF-8")),
            ("ca", &["ca_ES@valencia", "ca_ES.UTF-8"], Some("ca_ES.UTF-8")),
            // As the daemon means them.
            ("nb", &["nb_NO.UTF-8", "nb_SJ.UTF-8"], Some("nb_NO.UTF-8")),
            ("ca", &["ca_ES.UTF-8", "ca_FR.UTF-8"], Some("ca_ES.UTF-8")),
            ("fi", &[], None),
        ] {
            assert_eq!(locale(choice, &locales(available)), want, "{choice}");
        }
    }

    #[test]
    fn every_language_is_offered_once() {
        let locales = ["C", "C.UTF-8", "POSIX", "de_DE", "de_DE.UTF-8", "de_DE@euro", "fr_FR.utf8"].map(str::to_owned);
        assert_eq!(offered(&locales), ["C.UTF-8", "de_DE.UTF-8", "de_DE@euro", "fr_FR.utf8"]);
        assert_eq!(offered(&["C.UTF-8".to_owned(), "en_US.UTF-8".to_owned()]), ["en_US.UTF-8"]);
    }

    #[test]
    fn every_name_stands_on_a_line_of_its_own() {
        for line in NAMES.lines() {
            let (code, name) = line.split_once('\t').unwrap();
            assert!(ldm_protocol::helper::is_locale(code) && !name.is_empty() && !name.contains('\t'), "{line}");
        }
    }
}
