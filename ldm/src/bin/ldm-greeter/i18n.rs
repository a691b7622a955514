//! The greeter's own words, in the user's language.
//!
//! Whole sentences through gettext, domain `ldm`; what a server says is shown as it comes and never translated.

use gettextrs::gettext;

use crate::model::Notice;

/// The gettext domain of all of LDM.
const DOMAIN: &str = "ldm";

/// Where catalogues are, unless `LDM_LOCALEDIR` names another folder.
const LOCALE_DIR: &str = "/usr/share/locale";

/// Finds the catalogues; without one every text stays English. GTK has set the locale when it started.
pub(crate) fn init() {
    let dir = std::env::var_os("LDM_LOCALEDIR").unwrap_or_else(|| LOCALE_DIR.into());
    let bound = gettextrs::bindtextdomain(DOMAIN, std::path::PathBuf::from(dir))
        .and_then(|_| gettextrs::bind_textdomain_codeset(DOMAIN, "UTF-8"))
        .and_then(|_| gettextrs::textdomain(DOMAIN));
    if let Err(error) = bound {
        crate::say(&format!("no translations: {error}"));
    }
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
