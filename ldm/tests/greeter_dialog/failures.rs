//! What the keys do on the screen of a failure.

use super::*;

fn fails(lab: &mut Lab, kind: FailureKind) {
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
