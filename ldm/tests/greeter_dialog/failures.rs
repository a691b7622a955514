//! What the keys do on the screen of a failure.

use super::*;

pub(super) fn fails(lab: &mut Lab, kind: FailureKind) {
    let failure = Some(Failure::new(kind).server("srv"));
    lab.say(&Response::Error { error_type: ErrorType::Error, description: "failed".into(), failure });
}

#[test]
fn a_key_too_many_tries_again_only_where_that_can_do_no_harm() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("alice");
    fails(&mut lab, FailureKind::ServerUnreachable);
    lab.key("Return");
    assert_eq!(lab.hear_create(), "alice");
    fails(&mut lab, FailureKind::HostKeyChanged);
    // At "Back": the name is asked for, and what is typed there is a name.
    lab.key("Return");
    lab.name("bob");
    fails(&mut lab, FailureKind::NotAllowed);
    lab.key("Return");
    lab.name("carol");
}

/// A greeter after a session that was lost, at the screen that says so.
fn after(kind: FailureKind, seat: Seat) -> Option<Lab> {
    Lab::seated(Seat { failure: Some(Failure::new(kind).server("srv")), ..seat })
}

#[test]
fn the_end_of_the_last_session_is_left_for_the_name_by_one_key() {
    for kind in [FailureKind::LinkLost, FailureKind::SessionTooShort, FailureKind::HostKeyChanged] {
        for key in ["Return", "Escape", "space"] {
            // The name that is known is not taken for somebody who tries again.
            let Some(mut lab) = after(kind, Seat { username: Some("pupil".into()), ..Seat::default() }) else { return };
            lab.key(key);
            lab.name("alice");
        }
    }
}

#[test]
fn who_types_without_reading_how_the_last_session_ended_types_a_name() {
    let Some(mut lab) = after(FailureKind::LinkLost, Seat::default()) else { return };
    lab.name("Alice");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("s3cret");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("s3cret"));
    // One that failed here has no entry that it could be seen in.
    fails(&mut lab, FailureKind::ConnectionLost);
    lab.type_text("more");
    lab.key("Return");
    assert_eq!(lab.hear_create(), "Alice");
}

#[test]
fn after_a_failure_a_guest_is_counted_down_for_until_somebody_reads_it() {
    let seat = || Seat { guest: true, countdown: Some(2), ..Seat::default() };
    let Some(mut lab) = after(FailureKind::LinkLost, seat()) else { return };
    assert!(matches!(lab.hear(), Request::LdmGuest));
    let Some(mut lab) = after(FailureKind::LinkLost, Seat { countdown: Some(600), ..seat() }) else { return };
    lab.key("Return");
    lab.name("alice");
}
