//! The keyboard of the display: `XKBLAYOUT` and its friends, sticky and slow keys, by setxkbmap(1) and `ldm keyboard`, both as the
//! greeter's user.

use std::path::PathBuf;
use std::time::Duration;

use ldm_protocol::client::Access;
use ldm_protocol::helper::Keyboard;

use super::power;
use crate::config::Config;
use crate::keyboard;
use crate::sys::{Account, Spawn};

/// It needs a few round trips to the X server, which compiles the keyboard.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read of its complaints.
const TEXT: usize = 4096;

/// A keyboard that is to be put on a display.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    keyboard: Keyboard,
    num_lock: Option<bool>,
    /// A display that was used before may be in any layout.
    first_group: bool,
    /// Sticky and slow keys; `None`: as they are.
    help: Option<(bool, bool)>,
    account: Account,
    authority: PathBuf,
    /// Where the configuration speaks of it.
    place: String,
}

impl Setup {
    /// As configured, for a fresh display.
    pub(super) fn new(config: &Config, account: &Account, authority: PathBuf) -> Self {
        let keys = ["XKBLAYOUT", "XKBMODEL", "XKBVARIANT", "XKBOPTIONS", "XKBRULES"];
        let place = keys.iter().find_map(|key| Some(format!("{}: {key}", config.place(key)?)));
        Self {
            keyboard: config.keyboard.clone(),
            num_lock: config.num_lock,
            first_group: false,
            help: None,
            account: account.clone(),
            authority,
            place: place.unwrap_or_default(),
        }
    }

    /// For a display whose keyboard is in use: with this one's layouts, and the first of them switched to.
    pub(super) fn again(mut self, keyboard: Keyboard) -> Self {
        (self.keyboard, self.num_lock) = (keyboard, None);
        self.first()
    }

    /// For a display that has what is configured already.
    pub(super) fn untouched(mut self) -> Self {
        (self.keyboard, self.num_lock) = (Keyboard::default(), None);
        self
    }

    /// The same with the first layout switched to, whoever has switched to another.
    pub(super) fn first(mut self) -> Self {
        self.first_group = true;
        self
    }

    /// The same with sticky and slow keys as they are switched on at this client.
    pub(super) fn with_help(mut self, access: Access) -> Self {
        self.help = Some((access.sticky_keys, access.slow_keys));
        self
    }

    /// Does it. That it cannot be done is no reason to keep anybody from logging in.
    pub(super) async fn apply(self, display: &str) {
        let args = arguments(&self.keyboard);
        if !args.is_empty() {
            if !power::is_installed("setxkbmap") {
                tracing::warn!("{}: setxkbmap is not installed (package x11-xkb-utils)", self.place);
            } else if let Err(why) = self.run(Spawn::new("setxkbmap").args(args), display).await {
                tracing::warn!("{}: the keyboard cannot be set: {why}", self.place);
            }
        }
        let mut locks = Spawn::this_program().arg(keyboard::COMMAND);
        if let Some(on) = self.num_lock {
            locks = locks.args(["--num-lock", if on { "true" } else { "false" }]);
        }
        if self.first_group {
            locks = locks.args(["--group", "0"]);
        }
        if let Some((sticky, slow)) = self.help {
            let word = |on| if on { "true" } else { "false" };
            locks = locks.args(["--sticky-keys", word(sticky), "--slow-keys", word(slow)]);
        }
        if (self.num_lock.is_some() || self.first_group || self.help.is_some())
            && let Err(why) = self.run(locks, display).await
        {
            tracing::warn!("X_NUMLOCK, the layout, sticky and slow keys cannot be switched: {why}");
        }
    }

    async fn run(&self, spawn: Spawn, display: &str) -> Result<(), String> {
        let run = spawn
            .env("PATH", power::PATH)
            .env("DISPLAY", display)
            .env("XAUTHORITY", &self.authority)
            .account(&self.account)
            .die_with_us()
            .capture(TEXT);
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(said)) if said.status.success() => Ok(()),
            Ok(Ok(said)) => {
                let line = said.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                Err(ldm_protocol::text::sanitise_line(line, ldm_protocol::limits::LOG_TAIL_LINE))
            }
            Ok(Err(error)) => Err(error.source.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// For setxkbmap; none where nothing is configured.
fn arguments(keyboard: &Keyboard) -> Vec<String> {
    let mut args = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            args.extend([name.to_owned(), value.to_owned()]);
        }
    };
    add("-rules", &keyboard.rules);
    add("-model", &keyboard.model);
    add("-layout", &keyboard.layout);
    add("-variant", &keyboard.variant);
    if !keyboard.options.is_empty() {
        // Else they are added to those that are there.
        args.extend(["-option", "", "-option", &keyboard.options].map(str::to_owned));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_configured_is_set() {
        assert!(arguments(&Keyboard::default()).is_empty());
        let keyboard = Keyboard {
            layout: "us,de".into(),
            variant: ",nodeadkeys".into(),
            options: "grp:alt_shift_toggle".into(),
            ..Keyboard::default()
        };
        let want = ["-layout", "us,de", "-variant", ",nodeadkeys", "-option", "", "-option", "grp:alt_shift_toggle"];
        assert_eq!(arguments(&keyboard), want);
    }
}
