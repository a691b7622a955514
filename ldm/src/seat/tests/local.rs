//! Programs on this client: the local session comes after the server's and is gone before the next greeter.

use super::*;

fn with_local() -> Policy {
    Policy { local_apps: true, ..policy() }
}

const BEFORE: [&str; 6] = [GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, STARTING];

fn play_after(policy: Policy, transcript: &str) {
    play_all(policy, &[&BEFORE[..], &[transcript]].concat());
}

#[test]
fn it_starts_with_the_session_and_the_next_greeter_waits_for_its_end() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        w1 ended -> drop-worker; stop-local
        w1 exit ->
        local-exit 1 -> stop-display
        display-exit -> start-display
        ready -> start-greeter
        ask create alice -> worker 2",
    );
}

#[test]
fn who_is_not_named_by_the_server_gets_none_but_is_told() {
    play_after(
        with_local(),
        "w1 started -> start-local 1 alice nobody
        local-killed 1 -> log
        w1 ended -> drop-worker; stop-display",
    );
}

#[test]
fn where_it_is_off_there_is_none() {
    play_after(policy(), "w1 started alice ->\n local-exit 1 ->\n w1 ended -> drop-worker; stop-display");
}

#[test]
fn its_end_ends_nothing_else() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        local-killed 1 -> log
        # nobody's
        local-killed 1 ->
        w1 ended -> drop-worker; stop-display",
    );
}

#[test]
fn one_that_ends_before_its_worker_does_as_at_every_logout_is_nothing_to_report() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        local-exit 1 ->
        w1 ended -> drop-worker; stop-display",
    );
}

#[test]
fn a_dead_display_or_worker_ends_it_and_waits_for_it() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        display-exit -> log; drop-worker; stop-local; close-link
        +300 link-closed ->
        local-exit 1 -> start-display
        ready -> start-greeter",
    );
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        w1 exit -> log; drop-worker; stop-local
        local-exit 1 -> stop-display",
    );
}

#[test]
fn a_shutdown_ends_the_session_first_and_then_it() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        shutdown -> stop-session
        w1 ended -> drop-worker; stop-local
        local-exit 1 -> stop-display
        display-exit -> exit 0",
    );
}

#[test]
fn a_session_that_failed_is_told_after_its_end() {
    play_after(
        with_local(),
        "w1 started alice -> start-local 1 alice alice
        w1 link-lost -> log; drop-worker; stop-local
        local-exit 1 -> stop-display
        display-exit -> start-display
        ready -> start-greeter
        ask hello -> seat srv Some(LinkLost)",
    );
}
