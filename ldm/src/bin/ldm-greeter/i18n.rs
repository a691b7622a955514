//! The greeter's own words, in the user's language, which may change at any time.
//!
//! Whole sentences, domain `ldm`; what a server says is shown as it comes, except what [`crate::pam_words`] knows.

use std::cell::RefCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ldm_protocol::helper::is_locale;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::model::Notice;

/// The gettext domain of all of LDM.
const DOMAIN: &str = "ldm";

/// Where packages put catalogues.
const LOCALE_DIR: &str = "/usr/share/locale";

/// What the program is written in.
pub(crate) const ENGLISH: &str = "en";

/// Most languages that are offered.
const LANGUAGES: usize = 200;

/// What is spoken.
struct Language {
    /// Name of its catalogue, or [`ENGLISH`].
    code: String,
    catalogue: Catalogue,
}

thread_local! {
    /// The language that the greeter began with.
    static FIRST: RefCell<String> = const { RefCell::new(String::new()) };
    /// Widgets belong to one thread, and so do their texts.
    static LANGUAGE: RefCell<Option<Language>> = const { RefCell::new(None) };
}

/// The text in the user's language; itself where there is no translation.
pub(crate) fn gettext(text: &str) -> String {
    LANGUAGE.with_borrow(|language| {
        let translation = language.as_ref().and_then(|language| language.catalogue.get(text));
        translation.unwrap_or(text).to_owned()
    })
}

/// Speaks the language that the environment asks for (`LANGUAGE`, `LC_ALL`, `LC_MESSAGES`, `LANG`), if there is a catalogue.
pub(crate) fn init() {
    if !wanted(|key| env::var(key).ok()).iter().any(|wanted| begin(wanted)) {
        begin(ENGLISH);
    }
}

/// Begins with this language. `false`: there is no such catalogue.
pub(crate) fn begin(locale: &str) -> bool {
    let spoken = switch(locale);
    if spoken {
        FIRST.set(current());
    }
    spoken
}

/// Speaks the language again that the greeter began with.
pub(crate) fn switch_back() -> bool {
    FIRST.with_borrow(|first| switch(first))
}

/// What gettext(3) would look for, best first.
fn wanted(get: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let set = |key: &&str| get(key).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).unwrap_or_default();
    // As in gettext(3), C.UTF-8 is a locale like others: it leaves the language to LANGUAGE.
    if matches!(locale.as_str(), "" | "C" | "POSIX") {
        return Vec::new();
    }
    let list = set(&"LANGUAGE").unwrap_or_else(|| locale.clone());
    list.split(':').filter(|one| is_locale(one)).map(str::to_owned).collect()
}

/// Speaks this language from now on: the catalogue of a locale. `false`: there is none, and nothing has changed.
pub(crate) fn switch(locale: &str) -> bool {
    let (language, modifier) = locale.split_once('@').unwrap_or((locale, ""));
    let language = language.split('.').next().unwrap_or_default();
    let base = language.split('_').next().unwrap_or_default();
    let with = format!("{language}@{modifier}");
    for code in [with.as_str(), language, base] {
        if code == ENGLISH || code == "C" {
            adopt(ENGLISH, Catalogue::default());
            return true;
        }
        if !is_locale(code) {
            continue;
        }
        match Catalogue::read(&file(&directory(), code)) {
            Ok(catalogue) => {
                adopt(code, catalogue);
                return true;
            }
            Err(CatalogueError::Read(_)) => {}
            Err(error) => crate::say(&format!("the catalogue “{code}” is not used: {error}")),
        }
    }
    false
}

fn adopt(code: &str, catalogue: Catalogue) {
    LANGUAGE.set(Some(Language { code: code.to_owned(), catalogue }));
    // Translators: "default:RTL" if your language is written from right to left, else "default:LTR".
    let right_to_left = gettext("default:LTR") == "default:RTL";
    if gtk4::is_initialized() {
        // GTK goes by the locale, which may be C.UTF-8 or another language's.
        gtk4::Widget::set_default_direction(if right_to_left {
            gtk4::TextDirection::Rtl
        } else {
            gtk4::TextDirection::Ltr
        });
    }
}

/// The language that is spoken: a catalogue's name, or [`ENGLISH`].
pub(crate) fn current() -> String {
    LANGUAGE.with_borrow(|language| language.as_ref().map_or(ENGLISH, |language| &language.code).to_owned())
}

/// Every language that can be spoken, in the order of their codes. What comes or goes while the greeter runs is not noticed.
pub(crate) fn installed() -> Vec<String> {
    thread_local! {
        static INSTALLED: Vec<String> = find();
    }
    INSTALLED.with(Clone::clone)
}

fn find() -> Vec<String> {
    let directory = directory();
    let codes = fs::read_dir(&directory).into_iter().flatten().flatten();
    let codes = codes.filter_map(|entry| entry.file_name().into_string().ok());
    let mut codes: Vec<String> =
        codes.filter(|code| is_locale(code) && code != ENGLISH && file(&directory, code).is_file()).collect();
    codes.push(ENGLISH.to_owned());
    codes.sort();
    codes.truncate(LANGUAGES);
    codes
}

fn file(directory: &Path, code: &str) -> PathBuf {
    directory.join(code).join("LC_MESSAGES").join(format!("{DOMAIN}.mo"))
}

/// `LDM_LOCALEDIR`, else what `make install` filled where it put this program, else the packages' folder.
fn directory() -> PathBuf {
    if let Some(dir) = env::var_os("LDM_LOCALEDIR") {
        return dir.into();
    }
    let program = env::current_exe().unwrap_or_default();
    // PREFIX/bin and PREFIX/libexec/ldm
    let prefixes = program.ancestors().skip(2).take(2);
    prefixes.map(|prefix| prefix.join("share/locale")).find(|dir| dir.is_dir()).unwrap_or_else(|| LOCALE_DIR.into())
}

/// Fills the placeholder `{name}` of a translated sentence.
pub(crate) fn fill(sentence: &str, name: &str, value: &str) -> String {
    sentence.replace(&format!("{{{name}}}"), value)
}

/// The sentence for what went wrong.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Failure(failure) => failure.text(gettext),
        Notice::Foreign(text) => text.clone(),
        Notice::EmptyName => gettext("Type your user name first."),
        Notice::TooLong => gettext("This is too long to be right, so nothing was sent. Type it again."),
        // Translators: for administrators; --cmd is typed as it stands here.
        Notice::NoCommand => gettext(
            "You are logged in, but this greeter was not told which session to start. Ask the administrator to set --cmd.",
        ),
        Notice::Gone(session) => fill(
            &gettext("Your last session, “{session}”, is no longer there. Choose another one."),
            "session",
            session,
        ),
        Notice::Idle => gettext("Nobody was here for a while, so what had been typed was removed. Begin again."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_filled_in_again() {
        assert_eq!(fill("Log in to {server}", "server", "{server}"), "Log in to {server}");
    }

    #[test]
    fn the_environment_is_understood_as_gettext_does() {
        for (set, want) in [
            (&[("LANG", "de_DE.UTF-8")][..], &["de_DE.UTF-8"][..]),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")], &[]),
            (&[("LANG", "C.UTF-8"), ("LANGUAGE", "de")], &["de"]),
            (&[("LANG", "C"), ("LANGUAGE", "de")], &[]),
            (&[("LANG", "en_US.UTF-8"), ("LANGUAGE", "pt_BR:../x:de")], &["pt_BR", "de"]),
            (&[("LC_ALL", ""), ("LC_MESSAGES", "fr_FR"), ("LANG", "de_DE")], &["fr_FR"]),
            (&[], &[]),
        ] {
            let get = |key: &str| set.iter().find(|(k, _)| *k == key).map(|(_, value)| (*value).to_owned());
            assert_eq!(wanted(get), want, "{set:?}");
        }
    }

    #[test]
    fn a_language_that_is_not_there_changes_nothing() {
        assert!(switch("en_GB.UTF-8"));
        assert_eq!(current(), ENGLISH);
        assert!(!switch("xx"));
        assert!(!switch("../../etc"));
        assert_eq!(gettext("Back"), "Back");
        assert!(installed().contains(&ENGLISH.to_owned()));
    }
}
