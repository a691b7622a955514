//! Logins, good and bad, and greeters that misbehave.

use super::*;

#[test]
fn a_login_from_the_first_key_to_the_next_greeter() {
    play(
        policy(),
        "start -> start-display
        ready -> start-greeter
        ask hello -> seat srv None
        ask prepare -> worker 1; success
        ask prepare -> success
        w1 connected ->
        ask create alice -> login alice
        w1 info Welcome -> Info Welcome
        ask null -> answer null
        w1 secret Password: -> Secret Password:
        ask answer s3 -> answer s3
        w1 visible OTP: -> Visible OTP:
        ask answer 123 -> answer 123
        w1 authenticated -> success
        ask sessions ->
        w1 sessions xfce icewm -> publish xfce,icewm; sessions xfce,icewm icewm default
        ask run ldm-session icewm -> success
        link-closed -> session icewm
        greeter-exit ->
        w1 started ->
        w1 ended -> drop-worker; stop-display
        w1 exit ->
        display-exit -> start-display
        ready -> start-greeter
        ask hello -> seat srv None
        ask create bob -> worker 2
        w2 connected -> login bob",
    );
}

#[test]
fn what_nobody_picked_is_not_remembered() {
    for (before, run, remembered) in [
        (CHOOSING, "run", " remember"),
        (CHOOSING, "run-unasked", ""),
        // Also where the server has not said yet what there is.
        ("w1 authenticated -> success", "run-unasked", ""),
    ] {
        let known = before == CHOOSING;
        let start = if known {
            format!("ask {run} ldm-session xfce -> success")
        } else {
            format!("ask {run} ldm-session xfce ->\nw1 sessions xfce icewm -> publish xfce,icewm; success")
        };
        let closed = format!("link-closed -> session xfce{remembered}");
        play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, before, &start, &closed]);
    }
}

#[test]
fn what_a_session_lacks_is_told_once_and_only_while_it_runs() {
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            "w1 notice -> log",
            ASKED,
            ANSWERED,
            CHOOSING,
            STARTING,
            SESSION,
            "w1 notice -> log; announce NoSound
            w1 notice -> log
            w1 ended -> drop-worker; stop-display",
        ],
    );
}

#[test]
fn a_wrong_password_restarts_nothing() {
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 denied -> drop-worker; auth-error Denied
            # tuigreet cancels what greetd may still hold
            ask cancel -> success
            ask create alice -> worker 2
            w2 connected -> login alice
            w2 secret Password: -> Secret Password:",
        ],
    );
}

#[test]
fn a_foreign_greeter_is_told_by_greetds_means() {
    let transcript = "start -> start-display
        ready -> start-greeter
        ask create alice -> worker 1
        w1 connected -> login alice
        # one connection for each request, as gtkgreet makes them
        w1 secret Password: -> Secret Password:
        link-closed ->
        ask answer x -> answer x
        w1 authenticated -> success
        # before the list is there
        ask run startx /usr/bin/env ldm-session default ->
        w1 sessions xfce icewm -> publish xfce,icewm; success
        # it may have closed this after every request
        link-closed ->
        greeter-exit -> session icewm
        w1 too-short -> log; drop-worker; stop-display
        display-exit -> start-display
        ready -> start-greeter
        ask create alice -> Error The session ended as soon as it had started. Its last words were: -; worker 2
        w2 connected ->
        ask null -> login alice
        w2 secret Password: -> Secret Password:";
    play(policy(), transcript);
}

#[test]
fn requests_at_the_wrong_time() {
    play_all(
        policy(),
        &[
            GREETING,
            "ask hello-9 -> misuse this ldm speaks version 2 of its messages
            ask null -> misuse nothing was asked
            ask answer x -> misuse nothing was asked
            ask run ldm-session xfce -> misuse log in first
            ask sessions -> misuse log in first
            ask cancel -> success",
            CONNECTING,
            ASKED,
            "ask create bob -> misuse a session is already being configured
            ask run ldm-session xfce -> misuse log in first
            # null is no empty password
            ask null -> drop-worker; misuse the question needs an answer; null is none
            ask create alice -> worker 2
            w2 connected -> login alice
            w2 info Hi -> Info Hi
            # what is typed at an info goes nowhere
            ask answer secret -> answer null
            w2 secret P -> Secret P
            ask answer -> answer
            w2 authenticated -> success
            ask create bob -> misuse a session is already being configured
            w2 sessions xfce icewm -> publish xfce,icewm
            ask run ldm-session kde -> error SessionGone
            ask run /bin/sh -> error SessionGone
            ask run ldm-session xfce -> success
            ask run ldm-session xfce -> misuse log in first
            ask create bob -> misuse this is not the time to log in
            ask cancel -> misuse the session is being started",
        ],
    );
}

#[test]
fn after_a_refused_session_a_greeter_may_begin_again() {
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            "ask run ldm-session kde -> error SessionGone
            ask create alice -> drop-worker; worker 2",
        ],
    );
}

#[test]
fn names_are_data() {
    for bad in ["\"\"", "\"  \"", "a\\nb", &"x".repeat(513)] {
        play_all(policy(), &[GREETING, &format!("ask create {bad} -> error BadUsername")]);
    }
    for good in ["-oProxyCommand=x", "DOMAIN\\user", "  blank ", "Zoë", &"x".repeat(300)] {
        play_all(policy(), &[GREETING, &format!("ask create \"{good}\" -> worker 1")]);
        let mut seat = Seat::new(policy(), Instant::now());
        let now = Instant::now();
        for event in
            [Event::Start, Event::DisplayReady, Event::Request(Request::CreateSession { username: good.to_owned() })]
        {
            seat.step(now, event);
        }
        let actions = seat
            .step(now, Event::Worker(1, protocol::Event::Connected { server: "s".into(), transport: Box::default() }));
        assert!(
            matches!(&actions[..], [Action::Tell(Command::Login { username, .. })] if username == good),
            "{actions:?}"
        );
    }
}

#[test]
fn cancelling() {
    // While connecting: the connection serves the next login.
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            "ask cancel -> misuse cancelled; success
            w1 connected ->
            ask create bob -> login bob",
        ],
    );
    // While a question is shown.
    play_all(policy(), &[GREETING, CONNECTING, ASKED, "ask cancel -> drop-worker; success\nw1 lost ->"]);
    // While the server thinks.
    play_all(
        policy(),
        &[GREETING, CONNECTING, ASKED, ANSWERED, "ask cancel -> misuse cancelled; drop-worker; success"],
    );
    // While choosing.
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated -> success
            ask sessions ->
            ask cancel -> misuse cancelled; drop-worker; success
            ask create bob -> worker 2",
        ],
    );
    // Any other request in the place of an answer leaves the answers in disorder.
    play_all(
        policy(),
        &[GREETING, CONNECTING, ASKED, ANSWERED, "ask hello -> log; close-link; drop-worker\nlink-closed ->"],
    );
}

#[test]
fn connections_made_ahead() {
    // Unused ones are dropped in time, and a late login makes its own.
    play_all(
        policy(),
        &[
            GREETING,
            "ask prepare -> worker 1; success
            w1 connected ->
            +90000 tick -> drop-worker
            ask create alice -> worker 2",
        ],
    );
    // One that fails is not tried again at once, and does not stand in the way.
    play_all(
        policy(),
        &[
            GREETING,
            "ask prepare -> worker 1; success
            w1 lost -> drop-worker; log
            ask prepare -> success
            ask create alice -> worker 2
            w2 lost -> log; drop-worker; error ConnectionLost
            +2000 ask prepare -> worker 3; success",
        ],
    );
    // One that is claimed is not dropped any more.
    play_all(
        policy(),
        &[
            GREETING,
            "ask prepare -> worker 1; success
            ask create alice ->
            +100000 w1 connected -> login alice
            ask cancel -> misuse cancelled; drop-worker; success",
        ],
    );
}

#[test]
fn a_forced_session_needs_no_list() {
    let forced = Policy { force_session: Some("kiosk".into()), ..policy() };
    play_all(
        forced,
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated -> success
            ask sessions -> sessions  default kiosk
            ask run ldm-session xfce -> success
            greeter-exit -> session kiosk",
        ],
    );
}

#[test]
fn what_the_worker_sends_is_bounded_again() {
    let mut seat = Seat::new(policy(), Instant::now());
    let now = Instant::now();
    for event in [Event::Start, Event::DisplayReady, Event::Request(parse_request("create a"))] {
        seat.step(now, event);
    }
    seat.step(now, Event::Worker(1, parse_worker("connected")));
    let actions = seat.step(now, Event::Worker(1, parse_worker(&format!("secret {}", "x".repeat(60_000)))));
    let Some(Action::Reply(Response::AuthMessage { auth_message, .. })) = actions.first() else {
        panic!("{actions:?}")
    };
    assert!(auth_message.len() < 5000);
}

#[test]
fn what_a_hostile_worker_says_is_bounded_plain_and_said_once() {
    let now = Instant::now();
    let step = |seat: &mut Seat, event: &str| seat.step(now, parse_event(event));
    let mut seat = Seat::new(policy(), now);
    for line in [GREETING, CONNECTING].join("\n").lines() {
        step(&mut seat, line.split("->").next().unwrap().trim());
    }
    step(&mut seat, "w1 connected");
    let actions = step(&mut seat, "w1 secret \u{1b}]0;x\u{7}Pass\u{202e}word:");
    let Some(Action::Reply(Response::AuthMessage { auth_message, .. })) = actions.first() else {
        panic!("{actions:?}")
    };
    assert_eq!(auth_message, "Password:");

    // What a session that failed leaves for the next greeter must fit a frame, at any length of its facts.
    let mut seat = Seat::new(policy(), now);
    for line in [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING].join("\n").lines() {
        step(&mut seat, line.split("->").next().unwrap().trim());
    }
    let fact = Some("\u{1b}[1mno\n".repeat(9000));
    let failure = Failure {
        server: fact.clone(),
        session: fact.clone(),
        detail: fact,
        ..Failure::new(FailureKind::SessionFailed)
    };
    seat.step(now, Event::Worker(1, protocol::Event::Failed(failure)));
    for event in ["display-exit", "ready"] {
        step(&mut seat, event);
    }
    let actions = step(&mut seat, "ask hello");
    let Some(Action::Reply(reply @ Response::LdmSeat(facts))) = actions.first() else { panic!("{actions:?}") };
    assert!(facts.failure.is_some());
    assert!(ldm_protocol::frame::encode(reply).unwrap().len() < 8192);
}

#[test]
fn a_worker_that_repeats_itself_is_broken() {
    play_all(
        policy(),
        &[GREETING, CONNECTING, ASKED, "w1 connected -> log; drop-worker\nask answer x -> error Internal"],
    );
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, "w1 sessions a -> log; drop-worker"]);
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            STARTING,
            SESSION,
            "w1 connected -> log; drop-worker; stop-display",
        ],
    );
}
