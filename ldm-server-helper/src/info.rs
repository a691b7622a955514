//! `info`: what this server offers to this user.

use ldm_protocol::helper::{self, Info, InfoRequest, is_locale};

use crate::account::Account;
use crate::languages::{self, Listing};
use crate::{dmrc, elsewhere, load, sessions, user, xsession};

/// Collects everything. The answer is bounded by [`Info::sanitised`], far below [`ldm_protocol::limits::HELPER_LINE`].
pub fn collect(account: &Account, request: &InfoRequest) -> Info {
    // Runs while the files are read.
    let listing = Listing::start();
    let locale = request.locale.as_deref().filter(|l| is_locale(l)).or(account.locale.as_deref());
    let sessions: Vec<_> = sessions::list(account, locale).iter().filter_map(sessions::XSession::to_entry).collect();
    Info {
        version: helper::VERSION,
        hostname: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        remembered: account.home.as_deref().and_then(dmrc::remembered),
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
        languages: listing.finish(),
        ..Info::default()
    }
    .sanitised()
}
