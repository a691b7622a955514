//! Logins that nobody types: guests (`ldm_guest`, the greeter's countdown) and `LDM_AUTOLOGIN`, which needs no greeter.
//!
//! The seat answers the server's one question itself. Whatever else the server asks is no guest's to answer: the login fails,
//! and nobody tries again but a person, or a countdown.

use std::path::PathBuf;
use std::time::Duration;

use ldm_protocol::greetd::{AuthMessageType, DEFAULT_SESSION, SESSION_COMMAND};
use ldm_protocol::{Failure, FailureKind, Secret};

use tokio::time::Instant;

use super::choice::{Choice, Wish};
use super::login::{Login, Owed, is_username};
use super::machine::State;
use super::{Action, Seat};
use crate::config::{Config, Password};
use crate::worker::protocol::Command;

/// How long a guest's login may take. Perhaps nobody is there who could give it up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A countdown to a login whose last try has just failed leaves time to read why.
const READING: u32 = 30;

/// Whom a guest is, and how guests get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Login name.
    pub username: String,
    /// `LDM_PASSWORD`; `None`: the name.
    pub password: Option<Password>,
    /// `LDM_GUEST_KEY`, instead of a password.
    pub key: Option<PathBuf>,
    /// Where guests may log in; empty: where everybody does.
    pub servers: Vec<String>,
    /// `LDM_GUESTLOGIN`.
    pub button: bool,
    /// `LDM_LOGIN_TIMEOUT`, in seconds.
    pub countdown: Option<u32>,
    /// `LDM_AUTOLOGIN`.
    pub auto: bool,
}

impl Guest {
    /// As configured for a client of this name; `None` where nobody logs in without typing. The error is for the log.
    pub(super) fn of(config: &Config, hostname: &str) -> Result<Option<Self>, String> {
        let old = config.timeout_time.filter(|_| config.timeout_enabled);
        let countdown = config.login_timeout.or(old).filter(|seconds| *seconds > 0);
        if !config.guest_login && !config.autologin && countdown.is_none() {
            return Ok(None);
        }
        let username = match (&config.host_to_username, &config.username) {
            (Some((pattern, replacement)), _) if hostname.contains(pattern.as_str()) => {
                hostname.replacen(pattern.as_str(), replacement, 1)
            }
            (Some((pattern, _)), _) => {
                let place = config.place("HOST_TO_USERNAME").map(|place| format!("{place}: ")).unwrap_or_default();
                return Err(format!(
                    "{place}HOST_TO_USERNAME: this client is called “{hostname}”, without “{pattern}” in it, and has no guests"
                ));
            }
            (None, Some(name)) => name.clone(),
            (None, None) => hostname.to_owned(),
        };
        if !is_username(&username) {
            return Err(format!("“{username}” can be no user's name: there are no guests here (LDM_USERNAME)"));
        }
        let servers = [&config.guest_servers, &config.autologin_servers];
        Ok(Some(Self {
            username,
            password: config.password.clone(),
            key: config.guest_key.clone(),
            servers: servers.into_iter().find(|servers| !servers.is_empty()).cloned().unwrap_or_default(),
            button: config.guest_login,
            countdown,
            auto: config.autologin,
        }))
    }

    fn secret(&self) -> Option<Secret> {
        Secret::new(self.password.as_ref().map_or(self.username.as_str(), Password::expose)).ok()
    }
}

/// What a guest's login has besides.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// Without a greeter.
    automatic: bool,
    /// When it is given up.
    until: Option<Instant>,
    answered: bool,
    /// What the server said last, for the log.
    words: Option<String>,
}

impl Seat {
    /// Whether the greeter may ask for a guest.
    pub(super) fn offers_guest(&self) -> bool {
        self.policy.guest.as_ref().is_some_and(|guest| guest.button)
    }

    /// The greeter's countdown.
    pub(super) fn countdown(&self) -> Option<u32> {
        let guest = self.policy.guest.as_ref().filter(|_| !self.guest_refused);
        let seconds = guest.and_then(|guest| guest.countdown)?;
        Some(if self.failure.is_some() { seconds.max(READING) } else { seconds })
    }

    /// `ldm_guest`.
    pub(super) fn guest(&mut self) {
        let asked = self.policy.guest.as_ref().filter(|guest| guest.button || guest.countdown.is_some());
        let Some(username) = asked.map(|guest| guest.username.clone()) else {
            return self.misused("there are no guests here");
        };
        if !self.may_create() {
            return;
        }
        self.failure = None;
        self.connect_guest(username, false);
    }

    /// Where nobody is asked: the automatic login if it may be tried, else a greeter.
    pub(super) fn greet(&mut self) {
        let auto = self.policy.guest.as_ref().filter(|guest| guest.auto && self.automatic);
        let Some(username) = auto.map(|guest| guest.username.clone()) else {
            return self.start_greeter();
        };
        if self.now < self.auto_again {
            self.state = State::Failed { retry_at: self.auto_again };
            return;
        }
        self.connect_guest(username, true);
    }

    fn connect_guest(&mut self, username: String, automatic: bool) {
        self.client.begins(None);
        let attempt = Attempt { automatic, until: Some(self.now + PATIENCE), ..Attempt::default() };
        let login = Login::of_guest(username, attempt, if automatic { Owed::Automatic } else { Owed::Login });
        let may = self.policy.rules.may_ask(&login.username);
        self.state = State::Connecting(login);
        if !may {
            return self.refuse("LDM_USER_ALLOW and LDM_USER_DENY do not let this guest in");
        }
        self.claim_worker(self.guest_servers());
        self.log_in();
    }

    /// The server that was chosen is the guests' only if they may log in there.
    fn guest_servers(&self) -> Vec<String> {
        let all = self.policy.guest.as_ref().map(|guest| guest.servers.clone()).unwrap_or_default();
        match &self.chosen {
            Some(chosen) if all.contains(chosen) => vec![chosen.clone()],
            _ => all,
        }
    }

    /// Whether an automatic login is under way: there is no greeter.
    pub(super) fn is_automatic(&self) -> bool {
        self.attempt().is_some_and(|guest| guest.automatic)
    }

    /// When a guest's login is given up. Who is in and chooses a session at the greeter may take their time.
    pub(super) fn guest_until(&self) -> Option<Instant> {
        let waits = |guest: &&Attempt| guest.automatic || !matches!(self.state, State::Choosing(_));
        self.attempt().filter(waits).and_then(|guest| guest.until)
    }

    fn attempt(&self) -> Option<&Attempt> {
        match &self.state {
            State::Connecting(login) | State::Authenticating(login) | State::Choosing(login) => login.guest.as_ref(),
            _ => None,
        }
    }

    /// The file that a guest logs in with.
    pub(super) fn guest_key(&self) -> Option<PathBuf> {
        self.policy.guest.as_ref().and_then(|guest| guest.key.clone())
    }

    /// The server says or asks something in a guest's login.
    pub(super) fn guest_message(&mut self, style: AuthMessageType, text: &str) {
        let secret = self.policy.guest.as_ref().and_then(Guest::secret);
        let Some(attempt) = self.login().and_then(|login| login.guest.as_mut()) else { return };
        let response = match style {
            AuthMessageType::Info | AuthMessageType::Error => {
                attempt.words = Some(text.to_owned());
                None
            }
            AuthMessageType::Secret if !attempt.answered && secret.is_some() => {
                attempt.answered = true;
                secret
            }
            AuthMessageType::Secret | AuthMessageType::Visible => {
                attempt.words = Some(text.to_owned());
                return self.login_failed(Failure::new(FailureKind::GuestRefused));
            }
        };
        self.act(Action::Tell(Command::Answer { response }));
    }

    /// What a person at the client is told of a failure in a guest's login: not that an answer was wrong which nobody gave.
    pub(super) fn guest_failure(&mut self, failure: Failure) -> Failure {
        let Some(attempt) = self.login().and_then(|login| login.guest.as_mut()) else { return failure };
        let words = attempt.words.take().map(|words| format!("; the server said: {words}")).unwrap_or_default();
        if failure.kind != FailureKind::NotAllowed {
            self.report(format!("the guest's login failed: {failure}{words}"));
        }
        let kind = match failure.kind {
            FailureKind::Denied | FailureKind::NoMethod | FailureKind::PasswordExpired => FailureKind::GuestRefused,
            other => other,
        };
        self.guest_refused = matches!(kind, FailureKind::GuestRefused | FailureKind::NotAllowed);
        let server = self.worker.as_ref().and_then(|worker| worker.server.clone());
        Failure { kind, server: failure.server.or(server), ..failure }
    }

    /// Goes on with an automatic login as soon as the sessions are known: with what is preselected, else with the default. Not
    /// where `LDM_SESSION` names one that is missing: nobody is there to choose another, and the default may be a whole desktop
    /// where a kiosk was meant.
    pub(super) fn start_automatic(&mut self) {
        let cmd = vec![SESSION_COMMAND.to_owned(), DEFAULT_SESSION.to_owned()];
        match self.chosen_session(false, &Wish { cmd, ..Wish::default() }) {
            Some(Ok(Choice { missing_default: Some(missing), .. })) => {
                self.login_failed(
                    Failure::new(FailureKind::SessionGone).session(&missing).detail("LDM_SESSION names it"),
                );
            }
            Some(Ok(choice)) => {
                self.tell_of_ending();
                self.start_session(choice);
            }
            Some(Err(failure)) => self.login_failed(failure),
            None => {}
        }
    }

    /// A guest's login that takes too long is over.
    pub(super) fn guest_tick(&mut self) {
        if self.guest_until().is_some_and(|until| self.now >= until) {
            self.login_failed(Failure::new(FailureKind::ServerSilent));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(hostname: &str, lines: &str) -> Result<Option<Guest>, String> {
        let text = format!("[Default]\nLDM_SERVER = a b\n{lines}");
        Guest::of(&crate::config::parse(Path::new("lts.conf"), text.as_bytes()).unwrap().config, hostname)
    }

    fn guest(hostname: &str, lines: &str) -> Guest {
        of(hostname, lines).unwrap().unwrap()
    }

    #[test]
    fn who_a_guest_is() {
        assert_eq!(of("pc01", "LDM_USERNAME = x\nLDM_GUEST_SERVER = s"), Ok(None), "nobody asked for one");
        let own = guest("pc01", "LDM_GUESTLOGIN = y");
        assert_eq!((own.username.as_str(), own.secret().unwrap().expose()), ("pc01", "pc01"));
        let named = guest("pc01", "LDM_AUTOLOGIN = y\nLDM_USERNAME = kiosk\nLDM_PASSWORD = sesame");
        assert_eq!((named.username.as_str(), named.secret().unwrap().expose()), ("kiosk", "sesame"));
        assert!(named.auto && !named.button && named.countdown.is_none());
        let made = guest("pc01-pc", "LDM_GUESTLOGIN = y\nHOST_TO_USERNAME = pc/guest\nLDM_USERNAME = x");
        assert_eq!(made.username, "guest01-pc", "the first alone");
        let why = of("hall", "LDM_GUESTLOGIN = y\nHOST_TO_USERNAME = pc/guest").unwrap_err();
        assert!(why.starts_with("lts.conf:4: HOST_TO_USERNAME: ") && why.contains("“hall”"), "{why}");
        assert!(of("", "LDM_GUESTLOGIN = y").is_err(), "a client without a name");
        assert!(of("pc", "LDM_GUESTLOGIN = y\nHOST_TO_USERNAME = pc/").is_err(), "nothing is left");
    }

    #[test]
    fn where_guests_log_in() {
        assert_eq!(guest("h", "LDM_GUESTLOGIN = y").servers, [""; 0]);
        assert_eq!(guest("h", "LDM_GUESTLOGIN = y\nLDM_AUTOLOGIN_SERVER = c").servers, ["c"]);
        let both = "LDM_GUESTLOGIN = y\nLDM_AUTOLOGIN_SERVER = c\nLDM_GUEST_SERVER = d e";
        assert_eq!(guest("h", both).servers, ["d", "e"]);
    }

    #[test]
    fn countdowns_new_and_old() {
        for (lines, want) in [
            ("LDM_LOGIN_TIMEOUT = 20", Some(20)),
            ("LDM_TIMEOUT_ENABLED = y\nLDM_TIMEOUT_TIME = 40", Some(40)),
            ("LDM_TIMEOUT_ENABLED = y\nLDM_TIMEOUT_TIME = 40\nLDM_LOGIN_TIMEOUT = 20", Some(20)),
            ("LDM_TIMEOUT_TIME = 40", None),
            ("LDM_TIMEOUT_ENABLED = y", None),
            ("LDM_LOGIN_TIMEOUT = 0", None),
        ] {
            assert_eq!(of("h", lines).unwrap().and_then(|guest| guest.countdown), want, "{lines}");
        }
    }
}
