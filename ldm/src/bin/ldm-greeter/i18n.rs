//! The greeter's own words, in the user's language.
//!
//! Whole sentences through gettext, domain `ldm`; what a server says is shown as it comes and never translated.

use std::env;
use std::path::PathBuf;

pub(crate) use gettextrs::gettext;

use crate::model::Notice;

/// The gettext domain of all of LDM.
const DOMAIN: &str = "ldm";

/// What gettext takes for the name of a catalogue's head.
const HEAD: &str = "";

/// Where packages put catalogues.
const LOCALE_DIR: &str = "/usr/share/locale";

/// Finds the catalogues; without one every text stays English. GTK has set the locale when it started.
pub(crate) fn init() {
    let bound = gettextrs::bindtextdomain(DOMAIN, directory())
        .and_then(|_| gettextrs::bind_textdomain_codeset(DOMAIN, "UTF-8"))
        .and_then(|_| gettextrs::textdomain(DOMAIN));
    if let Err(error) = bound {
        crate::say(&format!("no translations: {error}"));
    }
    // Translators: "default:RTL" if your language is written from right to left, else "default:LTR".
    let right_to_left = gettext("default:LTR") == "default:RTL";
    // GTK goes by the locale, which may be C.UTF-8 or without a catalogue here.
    gtk4::Widget::set_default_direction(if right_to_left {
        gtk4::TextDirection::Rtl
    } else {
        gtk4::TextDirection::Ltr
    });
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

/// Whether the texts come from a catalogue, which then has a head.
pub(crate) fn translates() -> bool {
    !gettext(HEAD).is_empty()
}

/// Fills the placeholder `{name}` of a translated sentence.
pub(crate) fn fill(sentence: &str, name: &str, value: &str) -> String {
    sentence.replace(&format!("{{{name}}}"), value)
}

/// The sentence for what went wrong.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Failure(failure) => failure.text(|sentence| gettext(sentence)),
        Notice::Foreign(text) => text.clone(),
        Notice::EmptyName => gettext("Type your user name first."),
        Notice::TooLong => gettext("This is too long to be right, so nothing was sent. Type it again."),
        // Translators: for administrators; --cmd is typed as it stands here.
        Notice::NoCommand => gettext(
            "You are logged in, but this greeter was not told which session to start. Ask the administrator to set --cmd.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_filled_in_again() {
        assert_eq!(fill("Log in to {server}", "server", "{server}"), "Log in to {server}");
    }
}
