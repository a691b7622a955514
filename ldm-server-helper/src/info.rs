//! `info`: what this server offers to this user.

use ldm_protocol::helper::{self, Info, InfoRequest, SessionEntry, is_locale};
use ldm_protocol::{limits, text};

use crate::account::Account;
use crate::languages::{self, Listing};
use crate::request::note;
use crate::{dmrc, elsewhere, load, sessions, user, xsession};

/// Collects everything. The answer is bounded by [`Info::sanitised`], far below [`ldm_protocol::limits::HELPER_LINE`].
pub fn collect(account: &Account, request: &InfoRequest) -> Info {
    // Runs while the files are read.
    let listing = Listing::start();
    let locale = request.locale.as_deref().filter(|l| is_locale(l)).or(account.locale.as_deref());
    let sessions: Vec<_> = sessions::list(account, locale).iter().filter_map(sessions::XSession::to_entry).collect();
    let choices = account.home.as_deref().map(dmrc::remembered).unwrap_or_default();
    let (remembered, gone) = split(choices.session, &sessions);
    let languages = listing.finish();
    let remembered_language = choices.language.and_then(|wanted| {
        let found = languages::installed(&wanted, &languages);
        if found.is_none() {
            let wanted = text::sanitise_line(&wanted, limits::LANGUAGE);
            note(&format!("the remembered language {wanted} is not installed (any more)"));
        }
        found
    });
    Info {
        version: helper::VERSION,
        hostname: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        remembered,
        gone,
        remembered_language,
        sessions,
        language: languages::own(),
        xsession: xsession::choose(None).ok().flatten().map(|path| path.to_string_lossy().into_owned()),
        runtime_dir: account
            .runtime_dir
            .as_ref()
            .filter(|dir| dir.is_dir())
            .and_then(|dir| dir.to_str())
            .map(str::to_owned),
        load: load::now(),
        user: user::complete(),
        elsewhere: elsewhere::list(account),
        languages,
    }
    .sanitised()
}

/// The remembered session as one that is offered, or as one that is not (any more). Display managers write `default` for
/// none.
fn split(id: Option<String>, sessions: &[SessionEntry]) -> (Option<String>, Option<String>) {
    match id {
        Some(id) if sessions.iter().any(|session| session.id == id) => (Some(id), None),
        Some(id) if ["default", "failsafe"].contains(&id.as_str()) => (None, None),
        other => (None, other),
    }
}
