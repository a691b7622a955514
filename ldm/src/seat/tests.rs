//! Scenarios as transcripts: `[+MS] event -> actions`, one step a line. Everything a step does must be written there.

use std::time::Duration;

use ldm_protocol::greetd::{AuthMessageType, ErrorType, Request, Response};
use ldm_protocol::helper::{Info, SessionEntry};
use ldm_protocol::{Failure, FailureKind, Secret};
use tokio::time::Instant;

use super::{Action, Event, Policy, Seat};
use crate::worker::protocol::{self, Command};

fn play(policy: Policy, transcript: &str) {
    play_all(policy, &[transcript]);
}

fn play_all(policy: Policy, transcripts: &[&str]) {
    let mut now = Instant::now();
    let mut seat = Seat::new(policy, now);
    for (number, line) in transcripts.join("\n").lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mut event, want) = line.split_once("->").unwrap_or_else(|| panic!("{line}"));
        if let Some((wait, rest)) = event.strip_prefix('+').and_then(|e| e.split_once(' ')) {
            now += Duration::from_millis(wait.parse().unwrap());
            event = rest;
            let due = seat.deadline().is_some_and(|at| at <= now);
            assert!(due || event.trim() != "tick", "no tick is due: line {number}: {line}");
        }
        let got: Vec<_> = seat.step(now, parse_event(event.trim())).iter().map(show).collect();
        assert_eq!(got.join("; ").trim_end(), want.trim(), "line {number}: {line}\nstate: {:?}", seat.state());
    }
}

fn parse_event(text: &str) -> Event {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "start" => Event::Start,
        "ready" => Event::DisplayReady,
        "display-exit" => Event::DisplayExited("signal 9".into()),
        "greeter-exit" => Event::GreeterExited("signal 9".into()),
        "link-closed" => Event::LinkClosed,
        "link-broken" => Event::LinkBroken("bad frame".into()),
        "shutdown" => Event::Shutdown,
        "tick" => Event::Tick,
        "ask" => Event::Request(parse_request(rest)),
        "w1" | "w2" | "w3" => {
            let id = word[1..].parse().unwrap();
            if rest == "exit" { Event::WorkerExited(id) } else { Event::Worker(id, parse_worker(rest)) }
        }
        other => panic!("no event {other}"),
    }
}

fn parse_request(text: &str) -> Request {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "create" => Request::CreateSession { username: rest.trim_matches('"').replace("\\n", "\n") },
        "answer" => Request::PostAuthMessageResponse { response: Some(Secret::new(rest).unwrap()) },
        "null" => Request::PostAuthMessageResponse { response: None },
        "run" => Request::StartSession { cmd: rest.split(' ').map(str::to_owned).collect(), env: vec![] },
        "cancel" => Request::CancelSession,
        "hello" => Request::LdmHello { version: 1 },
        "hello-9" => Request::LdmHello { version: 9 },
        "prepare" => Request::LdmPrepare,
        "sessions" => Request::LdmSessions,
        other => panic!("no request {other}"),
    }
}

fn parse_worker(text: &str) -> protocol::Event {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let message = |style| protocol::Event::Message { style, text: rest.to_owned() };
    let failed = |kind| protocol::Event::Failed(Failure::new(kind));
    match word {
        "connected" => protocol::Event::Connected { server: "srv".into() },
        "visible" => message(AuthMessageType::Visible),
        "secret" => message(AuthMessageType::Secret),
        "info" => message(AuthMessageType::Info),
        "error" => message(AuthMessageType::Error),
        "authenticated" => protocol::Event::Authenticated,
        "sessions" => protocol::Event::Sessions(Box::new(Info {
            sessions: rest
                .split(' ')
                .map(|id| SessionEntry { id: id.into(), name: id.to_uppercase(), comment: None })
                .collect(),
            remembered: Some("icewm".into()),
            ..Info::default()
        })),
        "started" => protocol::Event::Started,
        "ended" => protocol::Event::Ended { status: 0 },
        "denied" => failed(FailureKind::Denied),
        "lost" => failed(FailureKind::ConnectionLost),
        "link-lost" => failed(FailureKind::LinkLost),
        "too-short" => failed(FailureKind::SessionTooShort),
        "no-x11" => failed(FailureKind::NoX11),
        other => panic!("no worker event {other}"),
    }
}

fn show(action: &Action) -> String {
    let session = |s: &Option<String>| s.clone().unwrap_or_else(|| "default".into());
    match action {
        Action::StartDisplay => "start-display".into(),
        Action::StopDisplay => "stop-display".into(),
        Action::StartGreeter => "start-greeter".into(),
        Action::TerminateGreeter => "terminate-greeter".into(),
        Action::KillGreeter => "kill-greeter".into(),
        Action::CloseLink => "close-link".into(),
        Action::PublishSessions(list) => {
            format!("publish {}", list.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(","))
        }
        Action::StartWorker(id) => format!("worker {id}"),
        Action::Tell(Command::Login { username }) => format!("login {username}"),
        Action::Tell(Command::Answer { response }) => {
            format!("answer {}", response.as_ref().map_or("null", Secret::expose))
        }
        Action::Tell(Command::Stop) => "stop-session".into(),
        Action::Tell(other) => panic!("{other:?}"),
        Action::StartSession(c) => {
            format!("session {}{}", session(&c.session), if c.remember { " remember" } else { "" })
        }
        Action::DropWorker => "drop-worker".into(),
        Action::Failed(_) => "log".into(),
        Action::Exit(status) => format!("exit {status}"),
        Action::Reply(response) => match response {
            Response::Success => "success".into(),
            Response::Error { error_type, failure: Some(failure), .. } => {
                let auth = if *error_type == ErrorType::AuthError { "auth-error" } else { "error" };
                format!("{auth} {:?}", failure.kind)
            }
            Response::Error { description, .. } => format!("misuse {description}"),
            Response::AuthMessage { auth_message_type, auth_message } => {
                format!("{auth_message_type:?} {auth_message}")
            }
            Response::LdmSeat(s) => format!("seat {} {:?}", s.server, s.failure.as_ref().map(|f| f.kind)),
            Response::LdmSessions(s) => format!(
                "sessions {} {} {}",
                s.sessions.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(","),
                session(&s.preselected),
                session(&s.forced)
            ),
        },
    }
}

fn policy() -> Policy {
    Policy { server: "srv".into(), ..Policy::default() }
}

const GREETING: &str = "start -> start-display
    ready -> start-greeter
    ask hello -> seat srv None";
/// After [`GREETING`].
const CONNECTING: &str = "ask create alice -> worker 1";
/// After [`CONNECTING`]: the password was asked for.
const ASKED: &str = "w1 connected -> login alice
    w1 secret Password: -> Secret Password:";
/// After [`ASKED`]: the answer was sent.
const ANSWERED: &str = "ask answer x -> answer x";
/// After [`ANSWERED`].
const CHOOSING: &str = "w1 authenticated -> success
    w1 sessions xfce icewm -> publish xfce,icewm";
/// After [`CHOOSING`].
const STARTING: &str = "ask run ldm-session xfce -> success
    link-closed -> session xfce remember
    greeter-exit ->";
/// After [`STARTING`].
const SESSION: &str = "w1 started ->";

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
            "ask hello-9 -> misuse this ldm speaks version 1 of its messages
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
        let actions = seat.step(now, Event::Worker(1, protocol::Event::Connected { server: "s".into() }));
        assert!(matches!(&actions[..], [Action::Tell(Command::Login { username })] if username == good), "{actions:?}");
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
