//! What is typed before it is asked for, or goes on being typed when nobody asks any more, is not seen.

use super::*;

#[test]
fn escape_in_the_middle_of_an_answer_takes_back_the_answer_alone() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    // The question is not there yet, and then it is.
    lab.type_text("half a pass");
    lab.key("Escape");
    lab.type_text("who");
    lab.handles_keys();
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("le");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("whole"));
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("half a pass");
    lab.key("Escape");
    lab.type_text("whole");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("whole"));
}

#[test]
fn what_is_typed_ahead_waits_for_a_hidden_entry() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    // Enter once more is no answer.
    lab.key("Return");
    lab.type_text("s3cretx");
    for key in ["BackSpace", "dead_acute", "e"] {
        lab.key(key);
    }
    lab.handles_keys();
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("s3creté"));
    // Finished before it was asked for; what comes then is for no question that is known.
    lab.type_text("s3cond");
    lab.key("Return");
    lab.type_text("more");
    lab.handles_keys();
    lab.asks(AuthMessageType::Secret, "Password: ");
    assert_eq!(lab.hear_answer().as_deref(), Some("s3cond"));
    lab.type_text("s3en");
    lab.handles_keys();
    lab.asks(AuthMessageType::Visible, "Code: ");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some(""), "it would have been seen");
}

#[test]
fn what_is_typed_ahead_is_not_kept_for_whoever_comes_next() {
    let idle = Duration::from_secs(5);
    let Some(mut lab) = Lab::idling(&idle.as_secs().to_string()) else { return };
    lab.name("carol");
    lab.type_text("s3cret");
    lab.key("Return");
    let left = Instant::now();
    // The server takes its time.
    while left.elapsed() < idle * 3 / 2 {
        lab.handles_keys();
    }
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("mine");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("mine"));
}

#[test]
fn what_is_typed_ahead_in_vain_is_not_seen_as_a_name() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    lab.type_text("s3");
    lab.handles_keys();
    lab.say(&denied());
    // It fails in the middle of a password, and Enter after it is at "Try again".
    lab.type_text("cret");
    lab.key("Return");
    assert_eq!(lab.hear_create(), "carol");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some(""));
    // Whoever has mistyped a name goes back and types the right one as fast as they like.
    lab.say(&denied());
    assert_eq!(lab.hear_create(), "carol");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.key("Escape");
    lab.type_text("dave");
    assert!(matches!(lab.hear(), Request::CancelSession));
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmPrepare));
    lab.say(&Response::Success);
    lab.key("Return");
    assert_eq!(lab.hear_create(), "dave");
}
