//! What can go wrong at a login, as a closed list. The text is made where it is shown, through gettext.

use serde::{Deserialize, Serialize};

use crate::{limits, text};

/// What went wrong, as far as the user's next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The server refused the answers. The same for a wrong name and a wrong password, as the server intends.
    Denied,
    /// The name cannot be a user name: empty, too long, or with control characters. Nothing was sent.
    BadUsername,
    /// No address is known for the server's name.
    ServerUnknown,
    /// The server's machine answered that nothing listens at the port.
    ServerRefused,
    /// No answer to the connection request, or no route.
    ServerUnreachable,
    /// Connected, but no SSH greeting or key exchange within the time limit.
    ServerSilent,
    /// What answers does not speak SSH as we do (no common algorithm, broken protocol).
    ServerIncompatible,
    /// The host key is in none of the known-hosts files. `detail` is its fingerprint.
    HostKeyUnknown,
    /// A different host key is known for this server. `detail` is the fingerprint of the one presented.
    HostKeyChanged,
    /// The host key is marked `@revoked`. `detail` is its fingerprint.
    HostKeyRevoked,
    /// The server offers no way to log in that we can use.
    NoMethod,
    /// The password has expired and the server does not let it be changed here.
    PasswordExpired,
    /// The connection was lost before the session began.
    ConnectionLost,
    /// The server forwards no X11: `X11Forwarding no`, or no `xauth` there.
    NoX11,
    /// The server does not let this user run a session at all (shell, quota, `MaxSessions`).
    NoSession,
    /// The chosen session is no longer offered. `session` is its id.
    SessionGone,
    /// The session's program could not be started. `detail` says why.
    SessionFailed,
    /// The session ended within seconds. `detail` holds its last words.
    SessionTooShort,
    /// The session ran, and what looked after it on the server is gone: killed, out of memory. `detail` says how.
    SessionLost,
    /// The connection was lost while the session ran.
    LinkLost,
    /// The X server ended during the session.
    DisplayLost,
    /// The session runs without sound. `detail` says why.
    NoSound,
    /// The session runs, and programs on this computer cannot be started from it. `detail` says why.
    NoLocalApps,
    /// Programs on this computer run without the user's home on the server. `detail` says why.
    NoHome,
    /// Programs on this computer are missing from the session's menu. `detail` says why.
    NoMenu,
    /// The administrator lets this user log in elsewhere, but not at this client (`LDM_USER_ALLOW`, `LDM_USER_DENY`).
    NotAllowed,
    /// The user has a session on the server, and may have one only. `detail` tells where and since when.
    LoggedInElsewhere,
    /// The session was ended because its user has begun another one elsewhere. `detail` is the client.
    SessionTaken,
    /// A guest's login was refused, or asks for more than is configured.
    GuestRefused,
    /// The client could not be restarted, switched off or suspended. `detail` says why.
    PowerFailed,
    /// A command of the administrator's menu could not be run. `detail` says why.
    CommandFailed,
    /// A defect in LDM; `detail` is for its maintainers.
    Internal,
}

impl FailureKind {
    /// The English sentences, which are also gettext's message ids. `{server}`, `{session}` and `{detail}` stand for the
    /// failure's own fields.
    pub fn message(self) -> &'static str {
        match self {
            Self::Denied => "That did not work. Check the user name and the password, and try again.",
            Self::BadUsername => "This cannot be a user name. Type your name as the administrator gave it to you.",
            Self::ServerUnknown => {
                "The server {server} cannot be found by its name. Check the network cable, or ask the administrator."
            }
            Self::ServerRefused => {
                "The server {server} is there but accepts no logins. Wait a minute and try again, or ask the administrator."
            }
            Self::ServerUnreachable => {
                "The server {server} does not answer. Check the network cable, or ask the administrator."
            }
            Self::ServerSilent => {
                "The server {server} accepted the connection but then said nothing. Wait a minute and try again."
            }
            Self::ServerIncompatible => {
                "The server {server} does not speak a protocol that is known here. Ask the administrator."
            }
            Self::HostKeyUnknown => {
                // Translators: the key is the server's SSH host key; {detail} is its fingerprint.
                "The server {server} is not known here, so nothing was sent to it. Ask the administrator to add its key: {detail}"
            }
            Self::HostKeyChanged => {
                // Translators: {detail} is the fingerprint of the SSH host key.
                "The key of the server {server} has changed, so nothing was sent to it. Do not log in; ask the administrator about the key {detail}"
            }
            Self::HostKeyRevoked => {
                // Translators: {detail} is the fingerprint of the SSH host key.
                "The key of the server {server} has been revoked, so nothing was sent to it. Ask the administrator about the key {detail}"
            }
            Self::NoMethod => "The server {server} offers no way to log in from here. Ask the administrator.",
            Self::PasswordExpired => {
                "Your password has expired, and the server {server} does not let you change it here. Ask the administrator."
            }
            Self::ConnectionLost => "The connection to the server {server} was lost. Try again.",
            Self::NoX11 => {
                "The server {server} does not send windows to this computer. Ask the administrator to allow X11 forwarding and to install xauth there."
            }
            Self::NoSession => "The server {server} does not let you start a session. Ask the administrator.",
            Self::SessionGone => "The session “{session}” is not offered by the server {server}. Choose another one.",
            Self::SessionFailed => "The session could not be started: {detail}",
            // Translators: {detail} is what the session's programs wrote last, perhaps in several lines.
            Self::SessionTooShort => "The session ended as soon as it had started. Its last words were: {detail}",
            Self::SessionLost => {
                "The session was ended on the server {server} without a word. Log in again; if it happens again, tell the administrator: {detail}"
            }
            Self::LinkLost => {
                "The connection to the server {server} was lost, and the session has ended. Log in again."
            }
            Self::DisplayLost => "The display had to be restarted, and the session has ended. Log in again.",
            // Translators: {detail} is a technical reason in English, here and in what follows.
            Self::NoSound => "This session has no sound. Ask the administrator: {detail}",
            Self::NoLocalApps => {
                // Translators: this computer is the one the user sits at; the session runs on the server.
                "Programs on this computer cannot be started from this session. Ask the administrator: {detail}"
            }
            Self::NoHome => {
                "Programs on this computer cannot see your files. Save nothing in them, and ask the administrator: {detail}"
            }
            Self::NoMenu => {
                "Programs on this computer are missing from the menu of this session. Ask the administrator: {detail}"
            }
            Self::NotAllowed => {
                // Translators: the user's name and password were right.
                "You may not log in at this computer. Use another one, or ask the administrator."
            }
            Self::LoggedInElsewhere => {
                "You are already logged in to the server {server}. Log out there first, or ask the administrator: {detail}"
            }
            Self::SessionTaken => {
                // Translators: {detail} is the name of that computer.
                "The session here has ended because you logged in at another computer: {detail}"
            }
            Self::GuestRefused => {
                "The server {server} did not let the guest in. Log in with your own name, or tell the administrator."
            }
            Self::PowerFailed => "This computer could not do that. Tell the administrator: {detail}",
            Self::CommandFailed => "This could not be started. Tell the administrator: {detail}",
            Self::Internal => {
                "Something went wrong in the login program. Try again, and tell the administrator: {detail}"
            }
        }
    }

    /// Every kind, for catalogues and tests.
    pub const ALL: &[Self] = &[
        Self::Denied,
        Self::BadUsername,
        Self::ServerUnknown,
        Self::ServerRefused,
        Self::ServerUnreachable,
        Self::ServerSilent,
        Self::ServerIncompatible,
        Self::HostKeyUnknown,
        Self::HostKeyChanged,
        Self::HostKeyRevoked,
        Self::NoMethod,
        Self::PasswordExpired,
        Self::ConnectionLost,
        Self::NoX11,
        Self::NoSession,
        Self::SessionGone,
        Self::SessionFailed,
        Self::SessionTooShort,
        Self::SessionLost,
        Self::LinkLost,
        Self::DisplayLost,
        Self::NoSound,
        Self::NoLocalApps,
        Self::NoHome,
        Self::NoMenu,
        Self::NotAllowed,
        Self::LoggedInElsewhere,
        Self::SessionTaken,
        Self::GuestRefused,
        Self::PowerFailed,
        Self::CommandFailed,
        Self::Internal,
    ];
}

/// A [`FailureKind`] with the facts its sentence needs. Every field is sanitised when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The server's name as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// A fact in nobody's language: a fingerprint, a path, a program's last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Failure {
    /// A failure with no facts yet.
    pub fn new(kind: FailureKind) -> Self {
        Self { kind, server: None, session: None, detail: None }
    }

    /// Adds the server's name.
    #[must_use]
    pub fn server(mut self, server: &str) -> Self {
        self.server = Some(text::sanitise_line(server, limits::SESSION_NAME));
        self
    }

    /// Adds the session's id.
    #[must_use]
    pub fn session(mut self, id: &str) -> Self {
        self.session = Some(text::sanitise_line(id, limits::SESSION_ID));
        self
    }

    /// Adds a detail; several lines stay several lines.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(text::sanitise(detail, limits::LOG_TAIL_LINES * limits::LOG_TAIL_LINE));
        self
    }

    /// The same with every field as the builders make it. Call it on one that came from another process.
    #[must_use]
    pub fn sanitised(self) -> Self {
        let mut clean = Self::new(self.kind);
        if let Some(server) = self.server {
            clean = clean.server(&server);
        }
        if let Some(id) = self.session {
            clean = clean.session(&id);
        }
        match self.detail {
            Some(detail) => clean.detail(&detail),
            None => clean,
        }
    }

    /// The sentence for the user. `translate` is gettext where there is one, else the identity.
    pub fn text(&self, translate: impl Fn(&str) -> String) -> String {
        let mut out = String::new();
        let message = translate(self.kind.message());
        let mut rest = message.as_str();
        // One pass, so that a placeholder inside a fact is not filled in again.
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            match name {
                "server" => out.push_str(self.server.as_deref().unwrap_or("?")),
                "session" => out.push_str(self.session.as_deref().unwrap_or("?")),
                "detail" => out.push_str(self.detail.as_deref().unwrap_or("-")),
                _ => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

/// English, for logs, terminals and foreign greeters.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(str::to_owned))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_filled_in_once() {
        let failure = Failure::new(FailureKind::HostKeyUnknown).server("srv{detail}").detail("SHA256:abc");
        assert_eq!(
            failure.to_string(),
            "The server srv{detail} is not known here, so nothing was sent to it. Ask the administrator to add its key: SHA256:abc"
        );
    }

    #[test]
    fn one_from_elsewhere_is_bounded_and_plain() {
        let fact = Some("\u{1b}[31mx\n".repeat(10_000));
        let hostile = Failure {
            server: fact.clone(),
            session: fact.clone(),
            detail: fact,
            ..Failure::new(FailureKind::Internal)
        };
        let clean = hostile.sanitised();
        for text in [&clean.server, &clean.session, &clean.detail] {
            let text = text.as_deref().unwrap();
            assert!(text.starts_with('x') && text.len() < 2000 && !text.contains('\u{1b}'), "{text}");
        }
        let good = Failure::new(FailureKind::SessionTooShort).server("srv").detail("a\nb");
        assert_eq!(good.clone().sanitised(), good);
    }

    #[test]
    fn every_kind_says_something_and_fills_its_placeholders() {
        for &kind in FailureKind::ALL {
            let text = Failure::new(kind).server("s").session("x").detail("d").to_string();
            assert!(!text.contains(['{', '}']), "{text}");
            assert!(text.len() > 20, "{text}");
        }
    }
}
