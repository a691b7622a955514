//! Scenarios of guests, and of the countdown to them.

use super::beside::{at, words};
use super::*;

#[test]
fn a_guest_is_counted_down_for_unless_somebody_is_there() {
    let seat = || Seat { guest: true, countdown: Some(2), ..Seat::default() };
    let mut model = at(seat());
    assert_eq!(model.counting(), Some(2));
    play(&mut model, [(Event::Tick, &[], "name"), (Event::Tick, &["LdmGuest"], "waiting")]);
    // Once: what has failed does not begin by itself again.
    play(&mut model, [(failure(FailureKind::GuestRefused), &[], "failed !GuestRefused"), (Event::Back, &[], "name")]);
    assert_eq!(model.counting(), None);

    // But where nobody is there, a server that was down is tried again, not sooner than after a while.
    let mut model = at(seat());
    play(
        &mut model,
        [
            (Event::Guest, &["LdmGuest"], "waiting"),
            (failure(FailureKind::ServerUnreachable), &[], "failed !ServerUnreachable"),
            (Event::Tick, &[], "failed !ServerUnreachable"),
            (Event::Idle, &[], "name !ServerUnreachable"),
            (Event::Tick, &[], "name !ServerUnreachable"),
            (Event::Tick, &["LdmGuest"], "waiting"),
            (failure(FailureKind::GuestRefused), &[], "failed !GuestRefused"),
            (Event::Idle, &[], "name !GuestRefused"),
        ],
    );
    assert_eq!(model.counting(), None);
    let mut model = at(seat());
    play(
        &mut model,
        [
            (Event::Guest, &["LdmGuest"], "waiting"),
            (failure(FailureKind::NotAllowed), &[], "failed !NotAllowed"),
            (Event::Idle, &[], "name !NotAllowed"),
        ],
    );
    assert_eq!(model.counting(), None);

    // Any key stops it, and an entry that is empty again begins it anew, from the top.
    let mut model = at(seat());
    play(&mut model, [(Event::Tick, &[], "name"), (Event::Touched, &[], "name"), (Event::Tick, &[], "name")]);
    assert_eq!(model.counting(), None);
    model.update(TYPED);
    model.update(Event::Typed { empty: true });
    assert_eq!(model.counting(), Some(2));
    // Escape ends it for good.
    model.update(Event::Back);
    model.update(Event::Typed { empty: true });
    assert_eq!(model.counting(), None);

    // Nothing to wait for; and a guest who was refused is not tried again.
    assert_eq!(screen(&at(Seat { countdown: Some(0), ..seat() })), "waiting");
    let refused = Some(Failure::new(FailureKind::GuestRefused));
    let mut model = at(Seat { countdown: Some(0), failure: refused, ..seat() });
    play(
        &mut model,
        [
            (Event::Tick, &[], "failed !GuestRefused"),
            (Event::Idle, &[], "name !GuestRefused"),
            (Event::Tick, &[], "name !GuestRefused"),
        ],
    );
    assert_eq!(model.counting(), None);
    // Help is not read against the clock.
    let mut model = at(seat());
    play(&mut model, [(Event::Help, &[FACTS], "name"), (facts(), &[], "name"), (Event::Tick, &[], "name")]);
    assert_eq!(model.counting(), Some(2));
}

#[test]
fn a_guest_is_counted_down_for_also_while_it_is_told_how_the_last_session_ended() {
    let after = || {
        let failure = Some(Failure::new(FailureKind::LinkLost));
        let model = at(Seat { guest: true, countdown: Some(2), failure, ..Seat::default() });
        assert_eq!(model.counting(), Some(2));
        model
    };
    let shown = "failed !LinkLost";
    // Nobody is there.
    let mut model = after();
    play(
        &mut model,
        [
            (Event::Tick, &[], shown),
            (Event::Tick, &["LdmGuest"], "waiting"),
            // What fails then is tried again only where nobody is there for long.
            (failure(FailureKind::ServerSilent), &[], "failed !ServerSilent"),
            (Event::Tick, &[], "failed !ServerSilent"),
        ],
    );
    assert!(!model.is_of_before());
    // Somebody is, and reads it; and then goes away, from there or from the name.
    for leave in [None, Some((Event::Back, "name", "name")), Some((Event::NameBegun, "name !LinkLost", "name !Idle"))] {
        let mut model = after();
        play(&mut model, [(Event::Touched, &[], shown), (Event::Tick, &[], shown)]);
        let mut left = "name !LinkLost";
        if let Some((event, then, idle)) = leave {
            let typed = matches!(event, Event::NameBegun);
            play(&mut model, [(event, &[], then)]);
            if typed {
                play(&mut model, [(TYPED, &[PREPARE], then), (success(), &[], then)]);
            }
            left = idle;
        }
        assert_eq!(model.counting(), None);
        play(&mut model, [(Event::Idle, &[], left), (Event::Tick, &[], left), (Event::Tick, &["LdmGuest"], "waiting")]);
    }
    // Escape alone is somebody, too.
    let mut model = after();
    play(&mut model, [(Event::Back, &[], "name"), (Event::Tick, &[], "name")]);
    assert_eq!(model.counting(), None);
    play(&mut model, [(Event::Idle, &[], "name")]);
    assert_eq!(model.counting(), Some(2));
}

#[test]
fn a_guest_needs_nobody_to_choose() {
    let start = |id: &str| [format!("start [\"ldm-session\", \"{id}\"] [] unasked")];
    for (preselected, want) in [(Some("mate"), start("mate")), (None, start("default"))] {
        let mut model = at(Seat { guest: true, ..Seat::default() });
        play(&mut model, [(Event::Guest, &["LdmGuest"], "waiting"), (success(), &[SESSIONS], "waiting")]);
        assert!(model.is_guest());
        assert_eq!(words(&model.update(sessions(&["xfce", "mate"], preselected, None))), want);
    }
    let mut model = at(Seat { guest: true, ..Seat::default() });
    play(
        &mut model,
        [
            (Event::Guest, &["LdmGuest"], "waiting"),
            (failure(FailureKind::ServerSilent), &[], "failed !ServerSilent"),
            (Event::Retry, &["LdmGuest"], "waiting"),
        ],
    );
}
