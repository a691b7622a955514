//! Whether the greeter is seen. A theme that cannot be drawn must not cost the client its login.
//!
//! Our own greeter says when its first frame is on the screen (`ldm_shown`). One that hangs before that, or dies twice in a row
//! (as when it needs all memory), is started with the look that is built in from then on, whatever the reason is: of all that
//! greeters are given, a theme is the one thing that nobody may have tried on this client. Other people's greeters are not given
//! one and say nothing of the kind, so nothing follows from theirs.

use std::time::Duration;

use ldm_protocol::greetd::Response;
use tokio::time::Instant;

use super::{Action, Seat};

/// A greeter that shows nothing for this long has hung; on an old client, and from a network, the first one may take several seconds.
/// That decides at once: it would be as long again until nobody could call it chance.
const SHOWS: Duration = Duration::from_secs(30);

/// So many greeters in a row must have died unseen: one may have had another reason.
const DEATHS: u8 = 2;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// When a greeter that is not seen by then is to end.
    until: Option<Instant>,
    deaths: u8,
    /// The theme is not used any more.
    withdrawn: bool,
}

impl Shown {
    /// When something follows from not being seen.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }
}

impl Seat {
    /// A greeter is being started, by us or by itself.
    pub(super) fn greeter_begins(&mut self) {
        let watched = self.policy.own_greeter && !self.shown.withdrawn;
        self.shown.until = watched.then(|| self.now + SHOWS);
    }

    /// It is seen.
    pub(super) fn greeter_shown(&mut self) {
        self.shown.until = None;
        self.shown.deaths = 0;
        self.act(Action::Reply(Response::Success));
    }

    /// It is gone; `by_itself`: nobody asked it to end.
    pub(super) fn greeter_gone(&mut self, by_itself: bool) {
        if self.shown.until.take().is_none() || !by_itself {
            return;
        }
        self.shown.deaths += 1;
        if self.shown.deaths >= DEATHS {
            self.withdraw_theme("the greeter has died twice before it was seen");
        }
    }

    /// Whether it has hung and must go.
    pub(super) fn greeter_hangs(&mut self) -> bool {
        if self.shown.until.is_none_or(|until| self.now < until) {
            return false;
        }
        // It waits for a server, and sends one request after the other.
        if self.login().is_some_and(|login| login.owed.is_some()) {
            self.greeter_begins();
            return false;
        }
        self.withdraw_theme(&format!("the greeter showed nothing for {} s", SHOWS.as_secs()));
        true
    }

    fn withdraw_theme(&mut self, why: &str) {
        self.shown = Shown { withdrawn: true, ..Shown::default() };
        self.act(Action::WithdrawTheme);
        self.report(format!("{why}: from now on it has the built-in look instead of its theme"));
    }
}
