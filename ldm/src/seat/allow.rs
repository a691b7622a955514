//! Who may log in here: `LDM_USER_ALLOW`, `LDM_USER_DENY` and `LDM_LIMIT_ONE_SESSION`.
//!
//! The name is looked at twice: as it was typed, before a server hears it, and as the server spells it, with its groups, before
//! anything of the user's is touched. Where a rule is there and the server does not say who the user is, nobody gets in.

use ldm_protocol::client::Elsewhere;
use ldm_protocol::helper::UserRecord;
use ldm_protocol::{Failure, FailureKind};

use super::Policy;
use crate::config::Config;

/// Names, and groups with `@` before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    allow: Vec<String>,
    deny: Vec<String>,
}

/// What becomes of a user's other sessions on the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limit {
    /// They go on.
    #[default]
    Off,
    /// They end.
    End,
    /// They end, if the user agrees.
    Ask,
}

/// Whether the server has to say who the user is, and what of theirs runs there, before anything else is done.
pub(super) fn checks_users(config: &Config) -> bool {
    !Rules::of(config).is_empty() || Limit::of(config) != Limit::Off
}

impl Policy {
    /// [`checks_users`].
    pub(super) fn checks_users(&self) -> bool {
        !self.rules.is_empty() || self.limit != Limit::Off
    }
}

impl Limit {
    /// `LDM_LIMIT_ONE_SESSION` and `LDM_LIMIT_ONE_SESSION_PROMPT`, which means nothing alone.
    pub(super) fn of(config: &Config) -> Self {
        match (config.limit_one_session, config.limit_one_session_prompt) {
            (true, true) => Self::Ask,
            (true, false) => Self::End,
            (false, _) => Self::Off,
        }
    }
}

impl Rules {
    /// As configured.
    pub(super) fn of(config: &Config) -> Self {
        Self { allow: config.user_allow.clone(), deny: config.user_deny.clone() }
    }

    /// Everybody may.
    pub(super) fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a server may be asked about a name as it was typed. What only the server knows is left to [`Self::admit`]: groups,
    /// and what a name of another domain comes to.
    pub(super) fn may_ask(&self, typed: &str) -> bool {
        let named = |rule: &String| !rule.starts_with('@') && same(rule, typed);
        if self.deny.iter().any(named) {
            return false;
        }
        let names_only = !self.allow.is_empty() && !self.allow.iter().any(|rule| rule.starts_with('@'));
        !names_only || plain(typed) != typed || self.allow.iter().any(named)
    }

    /// Whether this user may have a session, and if not, why, for the log. `typed` is what the server let in, and the one thing
    /// that a program of the user's on the server cannot make up.
    pub(super) fn admit(&self, typed: &str, record: Option<&UserRecord>) -> Result<(), String> {
        if self.is_empty() {
            return Ok(());
        }
        let Some(user) = record else {
            return Err("the server did not say who this is and what groups they are in".to_owned());
        };
        let groups = || user.groups.iter().chain([&user.group]).map(|group| &group.name);
        // Who is kept out stays out in any spelling.
        let denied = |rule: &&String| match rule.strip_prefix('@') {
            Some(group) => groups().any(|name| same(name, group)),
            None => [typed, plain(typed), &user.name, plain(&user.name)].into_iter().any(|name| same(name, rule)),
        };
        if let Some(rule) = self.deny.iter().find(denied) {
            return Err(format!("LDM_USER_DENY has {rule}"));
        }
        // Who is let in is named as the server spells it.
        let is_typed = same(plain(typed), plain(&user.name));
        let allowed = |rule: &String| match rule.strip_prefix('@') {
            Some(group) => groups().any(|name| name == group),
            None => rule == &user.name && is_typed,
        };
        if self.allow.is_empty() || self.allow.iter().any(allowed) {
            return Ok(());
        }
        Err(format!("LDM_USER_ALLOW has neither {} nor a group of theirs", user.name))
    }
}

/// Directories take names in any case.
fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// A name without its domain: `DOMAIN\user`, `user@domain`.
fn plain(name: &str) -> &str {
    let name = name.rsplit_once('\\').map_or(name, |(_, name)| name);
    name.split_once('@').map_or(name, |(name, _)| name).trim()
}

/// What is told where a user's other sessions stand in the way.
pub(super) fn elsewhere(sessions: &[Elsewhere]) -> Failure {
    let one = |session: &Elsewhere| {
        let client = if session.client.is_empty() { "another client" } else { &session.client };
        format!("{client}, since {}", utc(session.since))
    };
    let detail = sessions.iter().map(one).collect::<Vec<_>>().join("; ");
    Failure::new(FailureKind::LoggedInElsewhere).detail(&detail)
}

/// A time in seconds since 1970, for logs and for greeters that know no better. Dates are Howard Hinnant's "civil from days".
fn utc(seconds: u64) -> String {
    // Beyond the year 9999 nothing is a date.
    let seconds = seconds.min(253_402_300_799);
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3600, of_day / 60 % 60)
}

#[cfg(test)]
mod tests {
    use ldm_protocol::helper::Group;

    use super::*;

    fn rules(allow: &str, deny: &str) -> Rules {
        let list = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Rules { allow: list(allow), deny: list(deny) }
    }

    fn record(name: &str, groups: &[&str]) -> UserRecord {
        let group = |name: &&str| Group { name: (*name).to_owned(), gid: 1 };
        let mut groups: Vec<Group> = groups.iter().map(group).collect();
        UserRecord { name: name.into(), group: groups.remove(0), groups, ..UserRecord::default() }
    }

    #[test]
    fn names_as_they_are_typed() {
        for (allow, deny, typed, may) in [
            ("", "", "alice", true),
            ("", "alice", "alice", false),
            ("", "alice", "ALICE", false),
            ("", "Alice", "alice", false),
            ("", "@staff", "alice", true),
            ("bob", "", "alice", false),
            ("bob", "", "bob", true),
            ("bob", "", "Bob", true),
            ("bob,@staff", "", "alice", true),
            ("bob", "bob", "bob", false),
            // What this comes to, the server knows.
            ("bob", "", "SCHOOL\\bob", true),
            ("bob", "", "bob@school", true),
        ] {
            assert_eq!(rules(allow, deny).may_ask(typed), may, "{allow} {deny} {typed}");
        }
    }

    #[test]
    fn users_as_the_server_knows_them() {
        for (allow, deny, typed, user, may) in [
            ("", "", "x", record("alice", &["alice"]), true),
            ("alice", "", "alice", record("alice", &["alice"]), true),
            ("alice", "", "ALICE", record("alice", &["alice"]), true),
            ("alice", "", "SCHOOL\\alice", record("alice", &["alice"]), true),
            ("alice", "", "bob", record("bob", &["bob"]), false),
            // Names that differ in case alone may be two users'.
            ("alice", "", "ALICE", record("ALICE", &["x"]), false),
            // A program of bob's says that he is alice.
            ("alice", "", "bob", record("alice", &["alice"]), false),
            ("", "bob", "bob", record("alice", &["alice"]), false),
            ("@staff", "", "alice", record("alice", &["alice", "staff"]), true),
            ("@staff", "", "alice", record("alice", &["staff"]), true),
            ("@staff", "", "alice", record("alice", &["alice", "Staff"]), false),
            ("@staff", "", "staff", record("staff", &["users"]), false),
            ("staff", "", "alice", record("alice", &["staff"]), false),
            ("", "alice", "a.smith", record("alice", &["users"]), false),
            ("", "ALICE", "x", record("alice", &["users"]), false),
            ("", "alice", "x", record("alice@school", &["users"]), false),
            ("", "@Domain Users", "x", record("x", &["x", "domain users"]), false),
            ("@staff", "@pupils", "x", record("x", &["staff", "pupils"]), false),
            ("", "@pupils", "x", record("x", &["staff"]), true),
        ] {
            let verdict = rules(allow, deny).admit(typed, Some(&user));
            assert_eq!(verdict.is_ok(), may, "{allow} {deny} {typed} {user:?}: {verdict:?}");
        }
    }

    #[test]
    fn nobody_gets_in_unknown_where_there_are_rules() {
        assert!(rules("", "").admit("alice", None).is_ok());
        for (allow, deny) in [("alice", ""), ("@staff", ""), ("", "bob"), ("", "@pupils")] {
            assert!(rules(allow, deny).admit("alice", None).is_err());
        }
    }

    #[test]
    fn where_and_since_when() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_190_399, "2026-11-20 15:59 UTC"),
            (u64::MAX, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        let sessions = [Elsewhere { client: "tc1".into(), since: 60, ..Elsewhere::default() }, Elsewhere::default()];
        let failure = elsewhere(&sessions);
        let detail = "tc1, since 1970-01-01 00:01 UTC; another client, since 1970-01-01 00:00 UTC";
        assert_eq!((failure.kind, failure.detail.as_deref()), (FailureKind::LoggedInElsewhere, Some(detail)));
    }
}
