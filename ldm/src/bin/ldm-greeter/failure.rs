//! A failure as a screen of its own: what kind of thing went wrong, as a heading, and the code by which the administrator's
//! guide knows it.

use ldm_protocol::FailureKind;

use crate::i18n::gettext;

/// The failure's name in the protocol, in the log and in the guide.
pub(crate) fn code(kind: FailureKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(code)) => code,
        _ => String::new(),
    }
}

/// The heading over the sentence.
pub(crate) fn heading(kind: FailureKind) -> String {
    use FailureKind as F;
    match kind {
        F::ServerUnknown => gettext("The server was not found"),
        F::ServerRefused | F::ServerUnreachable | F::ServerSilent => gettext("No answer from the server"),
        F::ServerIncompatible | F::NoMethod => gettext("The server cannot be used"),
        F::HostKeyUnknown | F::HostKeyChanged | F::HostKeyRevoked => gettext("The server cannot be trusted"),
        F::Denied | F::BadUsername | F::PasswordExpired => gettext("You could not be logged in"),
        F::LoggedInElsewhere => gettext("You are logged in already"),
        F::NotAllowed | F::GuestRefused | F::NoSession => gettext("You may not log in here"),
        F::ConnectionLost | F::LinkLost => gettext("The connection was lost"),
        F::NoX11 | F::SessionGone | F::SessionFailed | F::SessionTooShort => gettext("The session did not start"),
        F::SessionLost | F::SessionTaken | F::DisplayLost => gettext("The session has ended"),
        F::NoSound | F::NoLocalApps | F::NoHome | F::NoMenu => gettext("Something is missing in this session"),
        F::PowerFailed | F::CommandFailed => gettext("This computer could not do that"),
        F::Internal => gettext("An error in the login program"),
    }
}

/// Whether the user is told to leave it alone: to try again is then not what the first key does.
pub(crate) fn warns(kind: FailureKind) -> bool {
    use FailureKind as F;
    matches!(kind, F::HostKeyUnknown | F::HostKeyChanged | F::HostKeyRevoked | F::NotAllowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_try_again_is_not_advised_where_the_sentence_says_not_to_log_in() {
        for &kind in FailureKind::ALL {
            let says_so = ldm_protocol::Failure::new(kind).to_string().contains("not log in");
            assert!(!says_so || warns(kind), "{kind:?}");
        }
        assert!(warns(FailureKind::HostKeyChanged) && !warns(FailureKind::ServerUnreachable));
    }

    #[test]
    fn every_failure_has_a_code_and_a_heading() {
        for &kind in FailureKind::ALL {
            let code = code(kind);
            assert!(!code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()));
            assert!(!heading(kind).is_empty());
        }
    }
}
