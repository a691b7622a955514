//! Who may log in here: rules, and one session for each user.

use super::*;
use crate::seat::{Guest, Limit, Rules};

fn rules(lines: &str) -> Policy {
    let text = format!("[Default]\n{lines}");
    let config = crate::config::parse(std::path::Path::new("lts.conf"), text.as_bytes()).unwrap().config;
    Policy { rules: Rules::of(&config), limit: Limit::of(&config), ..policy() }
}

#[test]
fn a_name_that_may_not_is_told_to_nobody() {
    for lines in ["LDM_USER_DENY = alice", "LDM_USER_DENY = x, ALICE", "LDM_USER_ALLOW = bob"] {
        play_all(
            rules(lines),
            &[
                GREETING,
                "ask prepare -> worker 1; success
                ask create alice -> log; error NotAllowed
                # the next one may
                ask create bob ->
                w1 connected -> login bob",
            ],
        );
    }
}

#[test]
fn whoever_the_server_says_it_is_must_be_allowed_before_anything_else() {
    for lines in ["LDM_USER_ALLOW = @staff", "LDM_USER_ALLOW = alice, @nobody", "LDM_USER_DENY = @pupils, bob"] {
        play_all(
            rules(lines),
            &[
                GREETING,
                CONNECTING,
                ASKED,
                ANSWERED,
                "w1 authenticated ->
                w1 sessions xfce icewm user=alice,alice,staff -> allowed; publish xfce,icewm; success
                ask sessions -> sessions xfce,icewm icewm default
                ask run ldm-session xfce -> success",
            ],
        );
        play_all(
            rules(lines),
            &[
                GREETING,
                CONNECTING,
                ASKED,
                ANSWERED,
                "w1 authenticated ->
                w1 sessions xfce user=bob,pupils -> log; drop-worker; error NotAllowed
                ask create x -> worker 2",
            ],
        );
        // Who is nobody is nobody's friend.
        play_all(
            rules(lines),
            &[
                GREETING,
                CONNECTING,
                ASKED,
                ANSWERED,
                "w1 authenticated ->
                w1 sessions xfce -> log; drop-worker; error NotAllowed",
            ],
        );
    }
}

#[test]
fn what_happens_while_the_record_is_awaited() {
    let waiting = [GREETING, CONNECTING, ASKED, ANSWERED, "w1 authenticated ->"];
    let play = |lines: &str| play_all(rules("LDM_USER_DENY = @pupils"), &[&waiting[..], &[lines]].concat());
    play("w1 lost -> log; drop-worker; error ConnectionLost");
    play("w1 exit -> log; drop-worker; error Internal");
    play("ask cancel -> misuse cancelled; drop-worker; success");
    play("link-closed -> drop-worker");
    play("greeter-exit -> log; drop-worker\n+200 tick -> start-greeter");
    play("display-exit -> log; drop-worker; close-link; kill-greeter");
    play("shutdown -> drop-worker; terminate-greeter");
    play("ask run ldm-session xfce -> log; close-link; drop-worker");
    play("w1 started -> log; drop-worker; error Internal");
    play("w1 authenticated -> log; drop-worker; error Internal");
    play(
        "w1 sessions xfce user=alice -> allowed; publish xfce; success
        w1 sessions xfce user=alice -> log; drop-worker",
    );
}

#[test]
fn a_forced_session_is_no_way_around_the_rules() {
    let forced = |lines: &str| Policy { force_session: Some("kiosk".into()), ..rules(lines) };
    play_all(
        forced("LDM_USER_DENY = @pupils"),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated ->
            w1 sessions xfce user=alice,pupils -> log; drop-worker; error NotAllowed",
        ],
    );
    play_all(
        forced("LDM_LIMIT_ONE_SESSION = y\nLDM_LIMIT_ONE_SESSION_PROMPT = y"),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated ->
            w1 sessions xfce user=alice at=tc2 -> allowed; publish xfce; success
            ask sessions -> sessions xfce default kiosk at tc2
            ask run ldm-session kiosk -> error LoggedInElsewhere",
        ],
    );
}

#[test]
fn foreign_greeters_are_refused_too() {
    play_all(
        rules("LDM_USER_DENY = @pupils"),
        &[
            "start -> start-display
            ready -> start-greeter",
            CONNECTING,
            ASKED,
            "link-closed ->
            ask answer x -> answer x
            w1 authenticated ->
            w1 sessions xfce user=alice,pupils -> log; drop-worker; error NotAllowed",
        ],
    );
}

#[test]
fn guests_are_looked_at_like_others() {
    let guest = || Guest {
        username: "kiosk".into(),
        password: None,
        key: None,
        servers: Vec::new(),
        button: true,
        countdown: None,
        auto: false,
    };
    let by_name = || rules("LDM_USER_DENY = kiosk");
    play_all(
        Policy { guest: Some(guest()), ..by_name() },
        &[
            "start -> start-display\nready -> start-greeter\nask guest -> log; error NotAllowed\nask create x -> worker 1",
        ],
    );
    play_all(
        Policy { guest: Some(Guest { auto: true, ..guest() }), ..by_name() },
        &["start -> start-display\nready -> log; start-greeter\nask hello -> seat srv Some(NotAllowed) guest"],
    );
    play_all(
        Policy { guest: Some(Guest { auto: true, ..guest() }), ..rules("LDM_USER_ALLOW = @guests") },
        &["start -> start-display
            ready -> worker 1
            w1 connected -> login kiosk
            w1 secret P -> answer kiosk
            w1 authenticated ->
            w1 sessions xfce user=kiosk,guests -> allowed; publish xfce; session default"],
    );
    play_all(
        Policy { guest: Some(Guest { auto: true, ..guest() }), ..rules("LDM_USER_ALLOW = @guests") },
        &["start -> start-display
            ready -> worker 1
            w1 connected -> login kiosk
            w1 authenticated ->
            w1 sessions xfce user=kiosk -> log; drop-worker; start-greeter
            ask hello -> seat srv Some(NotAllowed) guest"],
    );
    // Nobody can be asked whether another session may end.
    let ask = "LDM_LIMIT_ONE_SESSION = y\nLDM_LIMIT_ONE_SESSION_PROMPT = y";
    play_all(
        Policy { guest: Some(Guest { auto: true, ..guest() }), ..rules(ask) },
        &["start -> start-display
            ready -> worker 1
            w1 connected -> login kiosk
            w1 authenticated ->
            w1 sessions xfce user=kiosk at=tc2 -> allowed; publish xfce; log; drop-worker; start-greeter
            ask hello -> seat srv Some(LoggedInElsewhere) guest"],
    );
}

#[test]
fn one_session_with_a_question() {
    let policy = || rules("LDM_LIMIT_ONE_SESSION = y\nLDM_LIMIT_ONE_SESSION_PROMPT = y");
    let chosen = [
        GREETING,
        CONNECTING,
        ASKED,
        ANSWERED,
        "w1 authenticated ->
        w1 sessions xfce icewm user=alice at=tc2 -> allowed; publish xfce,icewm; success",
    ];
    play_all(
        policy(),
        &[
            &chosen[..],
            &["ask sessions -> sessions xfce,icewm icewm default at tc2
                ask run ldm-session xfce -> error LoggedInElsewhere
                ask end-others -> success
                ask sessions -> sessions xfce,icewm icewm default
                ask run ldm-session xfce -> look
                w1 elsewhere tc2 -> log; success
                link-closed -> session xfce remember ends 2"],
        ]
        .concat(),
    );
    // Nobody agrees to what they were not told of.
    play_all(policy(), &[&chosen[..], &["ask end-others -> misuse there is nothing to end"]].concat());
    play_all(policy(), &[&chosen[..], &["ask cancel -> drop-worker; success\nask create bob -> worker 2"]].concat());
    // Who refuses may let another one log in.
    play_all(
        policy(),
        &[
            &chosen[..],
            &["ask run ldm-session xfce -> error LoggedInElsewhere\nask create bob -> drop-worker; worker 2"],
        ]
        .concat(),
    );
    // Where there is none, there is nothing to ask.
    play_all(policy(), &[GREETING, CONNECTING, ASKED, ANSWERED, "ask end-others -> log; close-link; drop-worker"]);
    play_all(
        policy(),
        &[
            GREETING,
            "ask end-others -> misuse there is nothing to end",
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated ->
            w1 sessions xfce user=alice -> allowed; publish xfce; success
            ask end-others -> misuse there is nothing to end
            ask run-unasked ldm-session xfce -> look
            w1 elsewhere -> success
            link-closed -> session xfce ends ",
        ],
    );
}

#[test]
fn sessions_that_begin_after_the_question_are_asked_about_too() {
    let policy = || rules("LDM_LIMIT_ONE_SESSION = y\nLDM_LIMIT_ONE_SESSION_PROMPT = y");
    let play = |lines: &str| {
        let chosen = [GREETING, CONNECTING, ASKED, ANSWERED, "w1 authenticated ->"];
        let before = "w1 sessions xfce icewm user=alice at=tc2 -> allowed; publish xfce,icewm; success
            ask sessions -> sessions xfce,icewm icewm default at tc2
            ask end-others -> success
            ask run ldm-session xfce -> look";
        play_all(policy(), &[&chosen[..], &[before, lines]].concat());
    };
    play(
        "w1 elsewhere tc2 tc3 -> error LoggedInElsewhere
        ask sessions -> sessions xfce,icewm icewm default at tc2 at tc3
        # not before somebody has agreed to both
        ask run ldm-session xfce -> error LoggedInElsewhere
        ask end-others -> success
        ask run ldm-session xfce -> look
        w1 elsewhere tc3 -> log; success
        link-closed -> session xfce remember ends 2,3
        greeter-exit ->
        # one has begun since
        w1 elsewhere-again -> log; drop-worker; stop-display
        display-exit -> start-display
        ready -> start-greeter
        ask hello -> seat srv Some(LoggedInElsewhere)",
    );
    // What has ended by itself needs no question.
    play("w1 elsewhere -> success\nlink-closed -> session xfce remember ends 2");
    // A helper that names none.
    play("w1 elsewhere tcx -> error LoggedInElsewhere");
    play("w1 lost -> log; drop-worker; error ConnectionLost");
    play("ask cancel -> misuse cancelled; drop-worker; success\nw1 elsewhere tc2 ->");
    play("link-closed -> drop-worker");
    play("greeter-exit -> log; drop-worker\n+200 tick -> start-greeter");
    play("ask sessions -> log; close-link; drop-worker");
    play("w1 sessions xfce -> log; drop-worker; error Internal");
    // It was not asked for.
    play("w1 elsewhere tc2 -> log; success\nw1 elsewhere tc2 -> log; drop-worker; terminate-greeter");
}

#[test]
fn one_session_without_a_question() {
    play_all(
        rules("LDM_LIMIT_ONE_SESSION = y"),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated ->
            w1 sessions xfce icewm user=alice at=tc2 -> allowed; publish xfce,icewm; success
            ask sessions -> sessions xfce,icewm icewm default
            ask end-others -> misuse there is nothing to end
            ask run ldm-session xfce -> log; success",
        ],
    );
    // Off: nobody is told where else somebody is.
    play_all(
        rules("LDM_LIMIT_ONE_SESSION_PROMPT = y"),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated -> success
            w1 sessions xfce user=alice at=tc2 -> publish xfce
            ask sessions -> sessions xfce default default
            ask run ldm-session xfce -> success",
        ],
    );
}

#[test]
fn the_rules_come_before_the_other_sessions() {
    play_all(
        rules("LDM_USER_DENY = @pupils\nLDM_LIMIT_ONE_SESSION = y"),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            "w1 authenticated ->
            w1 sessions xfce user=alice,pupils at=tc2 -> log; drop-worker; error NotAllowed",
        ],
    );
}
