//! Logins that nobody types: guests, countdowns, automatic logins.

use super::*;
use crate::config::Password;
use crate::seat::Guest;

fn guest() -> Guest {
    Guest {
        username: "kiosk".into(),
        password: Some(Password::new(Secret::new("sesame").unwrap())),
        key: None,
        servers: Vec::new(),
        button: true,
        countdown: None,
        auto: false,
    }
}

fn with(guest: Guest) -> Policy {
    Policy { guest: Some(guest), ..policy() }
}

fn button() -> Policy {
    with(guest())
}

fn auto() -> Policy {
    with(Guest { auto: true, button: false, ..guest() })
}

const FRESH: &str = "start -> start-display
    ready -> start-greeter";
/// After [`FRESH`], where guests are offered.
const HELLO: &str = "ask hello -> seat srv None guest";
/// The start of an automatic login.
const AUTO: &str = "start -> start-display
    ready -> worker 1";
/// After [`AUTO`].
const AUTO_ASKED: &str = "w1 connected -> login kiosk
    w1 info Welcome -> answer null
    w1 secret Password: -> answer sesame";
/// After [`AUTO_ASKED`].
const AUTO_STARTING: &str = "w1 authenticated ->
    w1 sessions xfce icewm -> publish xfce,icewm; session icewm";

#[test]
fn a_guest_is_asked_nothing() {
    play_all(
        button(),
        &[
            FRESH,
            HELLO,
            "ask guest -> worker 1
            w1 connected -> login kiosk
            w1 info Welcome -> answer null
            w1 secret Password: -> answer sesame
            w1 error Your account expires soon -> answer null
            w1 authenticated -> success
            ask sessions ->
            w1 sessions xfce icewm -> publish xfce,icewm; sessions xfce,icewm icewm default
            # and nothing is remembered for the next one
            ask run ldm-session xfce -> success
            link-closed -> session xfce
            greeter-exit ->
            w1 started ->
            w1 ended -> drop-worker; stop-display
            display-exit -> start-display
            ready -> start-greeter",
        ],
    );
}

#[test]
fn guests_are_for_those_who_offer_them() {
    play_all(policy(), &[GREETING, "ask guest -> misuse there are no guests here"]);
    // An automatic login alone is no button.
    play_all(
        auto(),
        &[
            AUTO,
            "w1 unreachable -> log; drop-worker; start-greeter
            ask hello -> seat srv Some(ServerUnreachable)
            ask guest -> misuse there are no guests here",
        ],
    );
    // A countdown is offered without a button, too.
    play_all(
        with(Guest { button: false, countdown: Some(7), ..guest() }),
        &[FRESH, "ask hello -> seat srv None countdown 7\nask guest -> worker 1"],
    );
    play_all(button(), &[FRESH, HELLO, CONNECTING, ASKED, "ask guest -> misuse a session is already being configured"]);
}

#[test]
fn what_a_guest_cannot_answer_ends_the_login_and_is_not_asked() {
    for (question, more) in [
        ("w1 visible One-time code:", ""),
        ("w1 secret Password:", "w1 secret Password: -> answer sesame"),
        ("w1 secret New password:", "w1 secret Password: -> answer sesame"),
        ("w1 denied", "w1 secret Password: -> answer sesame"),
        ("w1 expired", "w1 secret Password: -> answer sesame"),
    ] {
        let after = "ask hello -> seat srv None guest\nask create alice -> worker 2\nw2 connected -> login alice";
        let refused = format!("{question} -> log; drop-worker; error GuestRefused\n{after}");
        play_all(button(), &[FRESH, HELLO, "ask guest -> worker 1\nw1 connected -> login kiosk", more, &refused]);
        // Without a greeter: with one, which says why.
        let refused = format!(
            "{question} -> log; drop-worker; start-greeter\nask hello -> seat srv Some(GuestRefused)\nw1 exit ->"
        );
        play_all(auto(), &[AUTO, "w1 connected -> login kiosk", more, &refused]);
    }
}

#[test]
fn a_guest_with_a_key_has_no_password() {
    let key = Guest { key: Some("/etc/ldm/guest".into()), ..guest() };
    play_all(
        with(key),
        &[
            FRESH,
            HELLO,
            "ask guest -> worker 1
            w1 connected -> login kiosk by /etc/ldm/guest
            w1 authenticated -> success",
        ],
    );
    // Whoever types has none of it.
    let key = Guest { key: Some("/etc/ldm/guest".into()), ..guest() };
    play_all(with(key), &[FRESH, HELLO, "ask create kiosk -> worker 1\nw1 connected -> login kiosk"]);
}

#[test]
fn guests_have_servers_of_their_own() {
    let elsewhere = || with(Guest { servers: vec!["g1".into(), "g2".into()], ..guest() });
    play_all(elsewhere(), &[FRESH, HELLO, "ask guest -> worker 1 at g1,g2\nw1 connected -> login kiosk"]);
    // A connection that was made ahead for others is of no use, nor a guest's for them.
    play_all(
        elsewhere(),
        &[
            FRESH,
            HELLO,
            "ask prepare -> worker 1; success
            ask guest -> drop-worker; worker 2 at g1,g2
            ask cancel -> misuse cancelled; success
            ask create alice -> drop-worker; worker 3",
        ],
    );
    // Where they are the same, it is.
    play_all(button(), &[FRESH, HELLO, "ask prepare -> worker 1; success\nw1 connected ->\nask guest -> login kiosk"]);
    let mut seat = Seat::new(elsewhere(), Instant::now());
    for (chosen, want) in [("g2", "worker 1 at g2"), ("other", "worker 1 at g1,g2")] {
        seat = Seat::new(seat.policy, Instant::now());
        seat.chosen = Some(chosen.into());
        let mut step = |event| seat.step(Instant::now(), parse_event(event)).iter().map(show).collect::<Vec<_>>();
        for event in ["start", "ready"] {
            step(event);
        }
        assert_eq!(step("ask guest"), [want]);
    }
}

#[test]
fn a_connection_made_ahead_that_died_unseen_is_made_again_for_a_guest() {
    play_all(
        button(),
        &[
            FRESH,
            HELLO,
            "ask prepare -> worker 1; success
            ask guest ->
            w1 lost -> drop-worker; worker 2
            w2 connected -> login kiosk
            w2 lost -> log; drop-worker; error ConnectionLost",
        ],
    );
}

#[test]
fn a_connection_made_ahead_is_not_made_again_once_somebody_is_in() {
    let key = Guest { key: Some("/etc/ldm/guest".into()), ..guest() };
    play_all(
        with(key),
        &[
            FRESH,
            HELLO,
            "ask prepare -> worker 1; success
            w1 connected ->
            ask guest -> login kiosk by /etc/ldm/guest
            w1 authenticated -> success
            w1 lost -> log; drop-worker
            ask sessions -> error ConnectionLost
            ask create alice -> worker 2",
        ],
    );
}

#[test]
fn a_guest_at_the_greeter_waits_for_no_server_for_ever() {
    let countdown = || with(Guest { countdown: Some(7), ..guest() });
    let begun = [FRESH, "ask hello -> seat srv None guest countdown 7\nask guest -> worker 1"];
    let late = "+90000 tick -> log; drop-worker; error ServerSilent\nask guest -> worker 2";
    play_all(countdown(), &[&begun[..], &[late]].concat());
    play_all(countdown(), &[&begun[..], &["w1 connected -> login kiosk\nw1 info Wait -> answer null", late]].concat());
    // Somebody who is in may take their time, and so may somebody who types.
    let mut seat = Seat::new(countdown(), Instant::now());
    for event in ["start", "ready", "ask guest", "w1 connected", "w1 authenticated", "w1 sessions xfce"] {
        seat.step(Instant::now(), parse_event(event));
    }
    assert_eq!(seat.deadline(), None);
    let mut seat = Seat::new(countdown(), Instant::now());
    for event in ["start", "ready", "ask create alice", "w1 connected"] {
        seat.step(Instant::now(), parse_event(event));
    }
    assert_eq!(seat.deadline(), None);
}

#[test]
fn an_automatic_login_needs_no_greeter_and_comes_again_after_the_logout() {
    play_all(
        auto(),
        &[
            AUTO,
            AUTO_ASKED,
            AUTO_STARTING,
            "w1 started ->
            +20000 w1 ended -> drop-worker; stop-display
            display-exit -> start-display
            +200 ready -> worker 2",
        ],
    );
    // With a forced session there is no list to wait for.
    play_all(
        Policy { force_session: Some("kiosk".into()), ..auto() },
        &[AUTO, AUTO_ASKED, "w1 authenticated -> session kiosk"],
    );
}

#[test]
fn sessions_that_end_soon_make_the_wait_longer() {
    play_all(
        auto(),
        &[
            AUTO,
            AUTO_ASKED,
            AUTO_STARTING,
            "w1 started ->
            w1 ended -> drop-worker; stop-display
            display-exit -> start-display
            ready ->
            +200 tick -> worker 2
            w2 connected -> login kiosk
            w2 authenticated ->
            w2 sessions xfce icewm -> publish xfce,icewm; session icewm
            w2 started ->
            w2 ended -> drop-worker; stop-display
            display-exit -> start-display
            ready ->
            +400 tick -> worker 3",
        ],
    );
}

#[test]
fn an_automatic_login_that_fails_is_told_and_not_tried_again() {
    let told = |kind: &str| {
        format!(
            "ask hello -> seat srv Some({kind})
            # not even when the greeter crashes, or somebody tries in vain
            greeter-exit -> log
            +200 tick -> start-greeter
            ask hello -> seat srv Some({kind})
            ask create alice -> worker 2
            w2 connected -> login alice
            w2 secret P -> Secret P
            ask answer x -> answer x
            w2 denied -> drop-worker; auth-error Denied
            greeter-exit -> log
            +400 tick -> start-greeter"
        )
    };
    let at_each = [AUTO, AUTO_ASKED, "w1 authenticated ->"];
    for steps in 1..=at_each.len() {
        for (event, kind) in [("w1 lost", "ConnectionLost"), ("w1 exit", "Internal"), ("w1 ended", "Internal")] {
            let fails = format!("{event} -> log; drop-worker; start-greeter");
            play_all(auto(), &[&at_each[..steps], &[fails.as_str(), told(kind).as_str()]].concat());
        }
        // Nobody is there who could give up waiting.
        let late = "+90000 tick -> log; drop-worker; start-greeter";
        play_all(auto(), &[&at_each[..steps], &[late, told("ServerSilent").as_str()]].concat());
    }
    // While the session starts, and in it.
    for (started, event, kind) in [
        ("", "w1 no-x11", "NoX11"),
        ("", "+90000 tick", "Internal"),
        ("w1 started ->", "w1 too-short", "SessionTooShort"),
        ("w1 started ->", "w1 link-lost", "LinkLost"),
        ("w1 started ->", "w1 taken", "SessionTaken"),
        ("w1 started ->", "w1 exit", "Internal"),
    ] {
        let fails = format!("{event} -> log; drop-worker; stop-display\ndisplay-exit -> start-display");
        let told = format!("ready -> start-greeter\n{}", told(kind));
        play_all(auto(), &[AUTO, AUTO_ASKED, AUTO_STARTING, started, &fails, &told]);
    }
}

#[test]
fn an_automatic_login_does_without_no_session_that_is_configured() {
    let kiosk = |session: Option<&str>| Policy { session: session.map(str::to_owned), ..auto() };
    let starts = |told| format!("w1 authenticated ->\nw1 sessions xfce -> publish xfce; {told}");
    play_all(kiosk(None), &[AUTO, AUTO_ASKED, &starts("session default")]);
    let fails = starts("log; drop-worker; start-greeter\nask hello -> seat srv Some(SessionGone)");
    play_all(kiosk(Some("kiosk")), &[AUTO, AUTO_ASKED, &fails]);
}

#[test]
fn after_a_failure_a_persons_logout_leads_to_it_again() {
    play_all(
        auto(),
        &[
            AUTO,
            "w1 unreachable -> log; drop-worker; start-greeter
            ask hello -> seat srv Some(ServerUnreachable)
            ask create alice -> worker 2
            w2 connected -> login alice
            w2 authenticated -> success
            w2 sessions xfce -> publish xfce
            ask run ldm-session xfce -> success
            greeter-exit -> session xfce remember
            w2 started ->
            +20000 w2 ended -> drop-worker; stop-display
            display-exit -> start-display
            +200 ready -> worker 3",
        ],
    );
}

#[test]
fn a_countdown_after_a_failure_leaves_time_to_read() {
    play_all(
        with(Guest { auto: true, countdown: Some(5), ..guest() }),
        &[
            AUTO,
            "w1 unreachable -> log; drop-worker; start-greeter
            ask hello -> seat srv Some(ServerUnreachable) guest countdown 30
            ask guest -> worker 2
            w2 unreachable -> log; drop-worker; error ServerUnreachable
            ask hello -> seat srv None guest countdown 5",
        ],
    );
}

#[test]
fn a_guest_who_was_refused_does_not_knock_again_by_itself() {
    let countdown = || with(Guest { countdown: Some(5), ..guest() });
    // Whichever greeter comes, until somebody has had a session.
    let stays = "ask hello -> seat srv None guest
        greeter-exit -> log
        +200 tick -> start-greeter
        ask hello -> seat srv None guest
        ask create alice -> worker 2
        w2 connected -> login alice
        w2 authenticated -> success
        w2 sessions xfce -> publish xfce
        ask run ldm-session xfce -> success
        greeter-exit -> session xfce remember
        w2 started ->
        w2 ended -> drop-worker; stop-display
        display-exit -> start-display
        ready -> start-greeter
        ask hello -> seat srv None guest countdown 5";
    let begun = [FRESH, "ask hello -> seat srv None guest countdown 5\nask guest -> worker 1"];
    let refused = "w1 connected -> login kiosk\nw1 denied -> log; drop-worker; error GuestRefused";
    play_all(countdown(), &[&begun[..], &[refused, stays]].concat());
    // Also if the administrator's rules do so, who can be asked for nothing else.
    let config = crate::config::parse(std::path::Path::new("lts.conf"), b"[Default]\nLDM_USER_DENY = @kiosks").unwrap();
    let policy = Policy { rules: crate::seat::Rules::of(&config.config), ..countdown() };
    let refused = "w1 connected -> login kiosk
        w1 authenticated ->
        w1 sessions xfce user=kiosk,kiosks -> log; drop-worker; error NotAllowed
        ask hello -> seat srv None guest
        # The button still asks.
        ask guest -> worker 2";
    play_all(policy, &[&begun[..], &[refused]].concat());
    // A server that is down may come back.
    let down =
        "w1 unreachable -> log; drop-worker; error ServerUnreachable\nask hello -> seat srv None guest countdown 5";
    play_all(countdown(), &[&begun[..], &[down]].concat());
}

#[test]
fn the_display_dies_during_an_automatic_login() {
    let told = "+200 tick -> start-display\nready -> start-greeter\nask hello -> seat srv Some(DisplayLost)";
    let dies = "display-exit -> log; drop-worker; close-link\nw1 exit ->";
    let at_each = [AUTO, AUTO_ASKED, AUTO_STARTING, "w1 started ->"];
    for steps in 1..=at_each.len() {
        play_all(auto(), &[&at_each[..steps], &[dies, told]].concat());
    }
    // One that does not start at all is none of its business.
    play(
        auto(),
        "start -> start-display
        display-exit -> log; close-link
        +200 tick -> start-display
        ready -> worker 1",
    );
    play_all(Policy { attached: true, ..auto() }, &[AUTO, "display-exit -> log; drop-worker; close-link; exit 3"]);
}

#[test]
fn shutdown_during_an_automatic_login() {
    let display = "display-exit -> exit 0";
    for steps in [&[AUTO][..], &[AUTO, AUTO_ASKED], &[AUTO, AUTO_ASKED, "w1 authenticated ->"]] {
        play_all(auto(), &[steps, &["shutdown -> drop-worker; stop-display", display]].concat());
    }
    play_all(
        auto(),
        &[AUTO, AUTO_ASKED, AUTO_STARTING, "shutdown -> stop-session\nw1 ended -> drop-worker; stop-display", display],
    );
    // While it waits for its time.
    play_all(
        auto(),
        &[
            AUTO,
            AUTO_ASKED,
            AUTO_STARTING,
            "w1 ended -> drop-worker; stop-display
            display-exit -> start-display
            ready ->
            shutdown -> stop-display",
            display,
        ],
    );
}

#[test]
fn once_means_one_automatic_login() {
    let once = || Policy { once: true, ..auto() };
    play_all(
        once(),
        &[
            AUTO,
            AUTO_ASKED,
            AUTO_STARTING,
            "w1 started ->\nw1 ended -> drop-worker; stop-display\ndisplay-exit -> exit 0",
        ],
    );
    play_all(once(), &[AUTO, "w1 unreachable -> log; drop-worker; start-greeter"]);
    // Attached to a display that stays.
    play_all(
        Policy { attached: true, ..auto() },
        &[AUTO, AUTO_ASKED, AUTO_STARTING, "w1 started ->\n+20000 w1 ended -> drop-worker\n+200 tick -> worker 2"],
    );
}

#[test]
fn the_greeter_dies_while_a_guest_logs_in() {
    let dies = "greeter-exit -> log; drop-worker\n+200 tick -> start-greeter\nask guest -> worker 2";
    for more in [
        "",
        "w1 connected -> login kiosk\nw1 secret P -> answer sesame",
        "w1 connected -> login kiosk\nw1 authenticated -> success",
    ] {
        play_all(button(), &[FRESH, HELLO, "ask guest -> worker 1", more, dies]);
    }
    // Whoever hangs up has given up.
    play_all(
        button(),
        &[
            FRESH,
            HELLO,
            "ask guest -> worker 1\nw1 connected -> login kiosk\nlink-closed -> drop-worker\ngreeter-exit -> log",
        ],
    );
}

#[test]
fn the_display_dies_while_an_automatic_login_waits_for_its_time() {
    play_all(
        auto(),
        &[
            AUTO,
            AUTO_ASKED,
            AUTO_STARTING,
            "w1 ended -> drop-worker; stop-display
            display-exit -> start-display
            ready ->
            display-exit -> log; close-link
            +200 tick -> start-display
            ready -> worker 2",
        ],
    );
}

#[test]
fn whoever_speaks_while_there_is_no_greeter_changes_nothing() {
    play_all(
        auto(),
        &[
            AUTO,
            "ask create mallory -> misuse somebody is being logged in
            ask guest -> misuse somebody is being logged in
            ask cancel -> misuse somebody is being logged in
            link-closed ->
            link-broken -> log",
            AUTO_ASKED,
            "ask answer x -> misuse somebody is being logged in",
            AUTO_STARTING,
            "ask create mallory -> misuse this is not the time to log in
            w1 started ->
            ask prepare -> success",
        ],
    );
}

#[test]
fn what_a_worker_says_of_a_connection_leaves_room_for_the_next_greeter() {
    let long = || "\"".repeat(10_000);
    let mut seat = Seat::new(auto(), Instant::now());
    let connected = || {
        let [server, software, key_exchange, host_key, cipher, mac] = [(); 6].map(|()| long());
        let transport = Transport { server, software, key_exchange, host_key, cipher, mac };
        protocol::Event::Connected { server: long(), transport: Box::new(transport) }
    };

    let events = ["start", "ready", "", "w1 denied", "ask hello", "ask facts"];
    let mut told = 0;
    for event in events {
        let event = if event.is_empty() { Event::Worker(1, connected()) } else { parse_event(event) };
        for action in seat.step(Instant::now(), event) {
            let response = match action {
                Action::Reply(response) => response,
                Action::Facts(facts) => Response::LdmFacts(facts),
                _ => continue,
            };
            assert!(ldm_protocol::frame::encode(&response).is_ok(), "{response:.200?}");
            told += 1;
        }
    }
    assert_eq!(told, 2);
}
