//! What follows when a part ends, or is to end, at any point.

use super::*;

#[test]
fn a_connection_made_ahead_that_died_unseen_is_made_again() {
    let again = "w2 connected -> login alice
        w2 secret Password: -> Secret Password:
        w2 lost -> log; drop-worker";
    for died in ["w1 lost", "w1 exit"] {
        let again = format!("{died} -> drop-worker; worker 2\nw1 exit ->\n{again}");
        // Before the name was sent, and after.
        let first = "ask prepare -> worker 1; success";
        play_all(policy(), &[GREETING, first, "ask create alice ->", &again]);
        play_all(policy(), &[GREETING, first, "w1 connected ->\nask create alice -> login alice", &again]);
    }
    // Once, and not for what trying again does not change.
    play_all(
        policy(),
        &[
            GREETING,
            "ask prepare -> worker 1; success
            ask create alice ->
            w1 lost -> drop-worker; worker 2
            w2 lost -> log; drop-worker; error ConnectionLost
            ask prepare -> worker 3; success
            ask create alice ->
            w3 denied -> drop-worker; auth-error Denied",
        ],
    );
    // Not once something was asked.
    play_all(
        policy(),
        &[
            GREETING,
            "ask prepare -> worker 1; success
            w1 connected ->
            ask create alice -> login alice
            w1 secret Password: -> Secret Password:
            ask answer x -> answer x
            w1 lost -> log; drop-worker; error ConnectionLost",
        ],
    );
}

#[test]
fn the_worker_fails_at_each_point() {
    for event in ["w1 lost", "w1 exit", "w1 started", "w1 authenticated", "w1 ended", "w1 secret x"] {
        let kind = if event == "w1 lost" { "ConnectionLost" } else { "Internal" };
        // While connecting.
        play_all(
            policy(),
            &[GREETING, CONNECTING, &format!("{event} -> log; drop-worker; error {kind}\nask create a -> worker 2")],
        );
        // While a question is shown: told with the next request. Nobody is interrupted.
        let unasked = [GREETING, CONNECTING, ASKED];
        for request in ["answer x", "create a"] {
            let lines = format!("{event} -> log; drop-worker\nask {request} -> error {kind}\nask create b -> worker 2");
            play_all(policy(), &[&unasked[..], &[lines.as_str()]].concat());
        }
        play_all(policy(), &[&unasked[..], &[&format!("{event} -> log; drop-worker\nask cancel -> success")]].concat());
        // While choosing.
        let choosing = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING];
        for request in ["sessions", "run ldm-session xfce"] {
            let lines = format!("{event} -> log; drop-worker\nask {request} -> error {kind}\nask create b -> worker 2");
            play_all(policy(), &[&choosing[..], &[lines.as_str()]].concat());
        }
    }
    let fresh = "display-exit -> start-display\nready -> start-greeter";
    // While the server thinks.
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, "w1 exit -> log; drop-worker; error Internal"]);
    // While the greeter leaves.
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            "ask run ldm-session xfce -> success
            w1 lost -> log; drop-worker; terminate-greeter
            greeter-exit -> stop-display",
            fresh,
            "ask hello -> seat srv Some(ConnectionLost)",
        ],
    );
    // While the session starts, and in it.
    let starting = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING];
    for (also, event, kind) in [
        ("", "w1 no-x11", "NoX11"),
        ("", "w1 exit", "Internal"),
        ("", "+90000 tick", "Internal"),
        (SESSION, "w1 link-lost", "LinkLost"),
        (SESSION, "w1 too-short", "SessionTooShort"),
        (SESSION, "w1 exit", "Internal"),
        (SESSION, "w1 started", "Internal"),
    ] {
        let lines = format!("{event} -> log; drop-worker; stop-display\n{fresh}\nask hello -> seat srv Some({kind})");
        // Told until a login is begun.
        let told = format!(
            "ask hello -> seat srv Some({kind})\nask create a -> worker 2\nw2 lost -> log; drop-worker; error ConnectionLost\nask hello -> seat srv None"
        );
        play_all(policy(), &[&starting[..], &[also, lines.as_str(), told.as_str()]].concat());
    }
}

#[test]
fn the_greeter_dies_at_each_point() {
    let again = "+200 tick -> start-greeter\nask create bob -> worker 2";
    play_all(policy(), &[GREETING, "greeter-exit -> log\n+200 tick -> start-greeter\nask create bob -> worker 1"]);
    play_all(policy(), &[GREETING, CONNECTING, "link-closed ->\ngreeter-exit -> log; drop-worker", again]);
    play_all(policy(), &[GREETING, CONNECTING, ASKED, "greeter-exit -> log; drop-worker", again]);
    play_all(
        policy(),
        &[GREETING, CONNECTING, ASKED, ANSWERED, "link-closed -> drop-worker\ngreeter-exit -> log", again],
    );
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, "greeter-exit -> log; drop-worker", again]);
    // Again and again: the wait grows, and a stable life makes it short again.
    play_all(
        policy(),
        &[
            GREETING,
            "greeter-exit -> log
            +200 tick -> start-greeter
            greeter-exit -> log
            +400 tick -> start-greeter
            greeter-exit -> log
            +800 tick -> start-greeter
            +10000 greeter-exit -> log
            +200 tick -> start-greeter",
        ],
    );
}

#[test]
fn a_greeter_that_is_never_seen_gets_the_built_in_look() {
    let own = || Policy { own_greeter: true, ..policy() };
    let begin = "start -> start-display\nready -> start-greeter";
    // It dies twice, with and without a word; once may have been chance.
    for word in ["", "ask hello -> seat srv None"] {
        play_all(
            own(),
            &[
                begin,
                word,
                "greeter-exit -> log\n+200 tick -> start-greeter",
                word,
                "greeter-exit -> withdraw-theme; log; log\n+400 tick -> start-greeter",
                // That is not the theme's doing.
                "greeter-exit -> log\n+800 tick -> start-greeter\ngreeter-exit -> log",
            ],
        );
    }
    // It hangs: once is enough.
    for word in ["", "ask hello -> seat srv None", "ask hello -> seat srv None\nask facts -> facts None None None"] {
        let hangs = "+30000 tick -> withdraw-theme; log; kill-greeter\ngreeter-exit -> log\n+200 tick -> start-greeter";
        play_all(own(), &[begin, word, hangs, "+100000 ask hello -> seat srv None\nask create a -> worker 1"]);
    }
    // It is seen: whatever comes then is not the theme's doing, and one that died before is forgotten.
    let seen = "ask hello -> seat srv None\nask shown -> success";
    let dies = "greeter-exit -> log\n+200 tick -> start-greeter";
    play_all(
        own(),
        &[begin, dies, seen, "+10000 greeter-exit -> log\n+200 tick -> start-greeter\ngreeter-exit -> log"],
    );
    // It has started itself again.
    let again = "+100000 ask hello -> seat srv None\n+30000 tick -> withdraw-theme; log; kill-greeter";
    play_all(own(), &[begin, seen, again]);
    // It waits for a server, and cannot say so.
    let waits = "ask hello -> seat srv None\nask create a -> worker 1\n+30000 tick ->\nw1 lost -> log; drop-worker; error ConnectionLost";
    play_all(own(), &[begin, waits, "ask shown -> success\n+1 shutdown -> terminate-greeter"]);
    // Other people's greeters know nothing of that.
    play_all(policy(), &[GREETING, "+100000 greeter-exit -> log\n+200 tick -> start-greeter\ngreeter-exit -> log"]);
}

#[test]
fn a_greeter_that_does_not_leave_is_ended() {
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            "ask run ldm-session xfce -> success
            +5000 tick -> terminate-greeter
            +3000 tick -> kill-greeter
            greeter-exit -> session xfce remember",
        ],
    );
    // Also when it has closed its connection and the session runs.
    play_all(
        policy(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            "ask run ldm-session xfce -> success
            link-closed -> session xfce remember
            w1 started ->
            +5000 tick -> terminate-greeter
            +3000 tick -> kill-greeter
            greeter-exit ->
            w1 ended -> drop-worker; stop-display",
        ],
    );
}

#[test]
fn a_greeter_that_breaks_the_protocol() {
    play_all(policy(), &[GREETING, CONNECTING, ASKED, "link-broken -> log; drop-worker\nask create bob -> worker 2"]);
    play_all(policy(), &[GREETING, "link-broken -> log\nask create bob -> worker 1"]);
}

#[test]
fn the_display_dies_at_each_point() {
    let again = "+200 tick -> start-display\nready -> start-greeter\nask hello -> seat srv None";
    let greeter = "greeter-exit ->";
    play(
        policy(),
        "start -> start-display
        display-exit -> log; close-link
        +200 tick -> start-display
        display-exit -> log; close-link
        +400 tick -> start-display
        ready -> start-greeter
        +10000 display-exit -> log; close-link; kill-greeter
        # the greeter must be gone first
        +200 greeter-exit -> start-display",
    );
    play_all(policy(), &[GREETING, "display-exit -> log; close-link; kill-greeter", greeter, again]);
    let login = "display-exit -> log; drop-worker; close-link; kill-greeter";
    play_all(policy(), &[GREETING, CONNECTING, login, greeter, again]);
    play_all(policy(), &[GREETING, CONNECTING, ASKED, login, greeter, again]);
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, login, "w1 exit ->", greeter, again]);
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, login, greeter, again]);
    let told = "+200 tick -> start-display\nready -> start-greeter\nask hello -> seat srv Some(DisplayLost)";
    let session = "display-exit -> log; drop-worker; close-link\nw1 ended ->\nw1 exit ->";
    let starting = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING];
    play_all(policy(), &[&starting[..], &[session, told]].concat());
    play_all(policy(), &[&starting[..], &[SESSION, session, told]].concat());
}

#[test]
fn an_attached_display_is_never_stopped_and_its_end_is_ours() {
    let attached = || Policy { attached: true, ..policy() };
    let session = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING, SESSION];
    play_all(attached(), &[&session[..], &["w1 ended -> drop-worker; start-greeter"]].concat());
    play_all(attached(), &[&session[..], &["display-exit -> log; drop-worker; close-link; exit 3"]].concat());
    play_all(attached(), &[GREETING, "display-exit -> log; close-link; kill-greeter\ngreeter-exit -> exit 3"]);
    play(attached(), "start -> start-display\ndisplay-exit -> log; close-link; exit 3");
    play_all(attached(), &[GREETING, "shutdown -> terminate-greeter\ngreeter-exit -> exit 0"]);
}

#[test]
fn once() {
    let once = || Policy { once: true, ..policy() };
    let starting = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING];
    let session = [&starting[..], &[SESSION]].concat();
    for (event, status) in [("w1 ended -> drop-worker", 0), ("w1 link-lost -> log; drop-worker", 4)] {
        let lines = format!("{event}; stop-display\ndisplay-exit -> exit {status}\nready ->");
        play_all(once(), &[&session[..], &[lines.as_str()]].concat());
    }
    play_all(once(), &[&session[..], &["display-exit -> log; drop-worker; close-link; exit 4"]].concat());
    // What was no session does not count.
    let again = "display-exit -> start-display";
    for lines in ["w1 too-short -> log; drop-worker; stop-display", "w1 no-x11 -> log; drop-worker; stop-display"] {
        play_all(once(), &[&starting[..], &[lines, again]].concat());
    }
}

#[test]
fn shutdown_at_each_point() {
    let display = "display-exit -> exit 0\nshutdown ->";
    let greeter = "greeter-exit -> stop-display";
    play_all(policy(), &["start -> start-display\nshutdown -> stop-display\nready ->", display]);
    play_all(policy(), &[GREETING, "shutdown -> terminate-greeter", greeter, display]);
    for login in [
        &[GREETING, CONNECTING][..],
        &[GREETING, CONNECTING, ASKED],
        &[GREETING, CONNECTING, ASKED, ANSWERED],
        &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING],
    ] {
        play_all(policy(), &[login, &["shutdown -> drop-worker; terminate-greeter", greeter, display]].concat());
    }
    // The session is ended on the server, within reason.
    let starting = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING];
    for session in [starting.to_vec(), [&starting[..], &[SESSION]].concat()] {
        let kind = "shutdown -> stop-session\nw1 ended -> drop-worker; stop-display";
        play_all(policy(), &[&session[..], &[kind, display]].concat());
        let failed = "shutdown -> stop-session\nw1 link-lost -> drop-worker; stop-display";
        play_all(policy(), &[&session[..], &[failed, display]].concat());
        let deaf = "shutdown -> stop-session\n+6000 tick -> drop-worker; stop-display";
        play_all(policy(), &[&session[..], &[deaf, display]].concat());
        let twice = "shutdown -> stop-session\nshutdown -> drop-worker; stop-display";
        play_all(policy(), &[&session[..], &[twice, display]].concat());
    }
    // A deaf greeter is killed; at once when asked twice.
    play_all(policy(), &[GREETING, "shutdown -> terminate-greeter\n+3000 tick -> kill-greeter", greeter, display]);
    play_all(policy(), &[GREETING, "shutdown -> terminate-greeter\nshutdown -> kill-greeter", greeter, display]);
    // While something is being restarted.
    play_all(policy(), &[GREETING, "greeter-exit -> log\nshutdown -> stop-display", display]);
    play(policy(), "start -> start-display\ndisplay-exit -> log; close-link\nshutdown -> exit 0");
    play_all(
        policy(),
        &[&starting[..], &[SESSION, "w1 ended -> drop-worker; stop-display\nshutdown ->", display]].concat(),
    );
}
