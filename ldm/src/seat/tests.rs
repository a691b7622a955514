//! Scenarios as transcripts: `[+MS] event -> actions`, one step a line. Everything a step does must be written there.

mod allowed;
mod client;
mod crashes;
mod guests;
mod local;
mod logins;

use std::time::Duration;

use ldm_protocol::client::{Elsewhere, Load, MenuItem, Power, Server, SoundTest, Transport};
use ldm_protocol::greetd::{self, AuthMessageType, ErrorType, Request, Response};
use ldm_protocol::helper::{Group, Info, SessionEntry, UserRecord};
use ldm_protocol::{Failure, FailureKind, Secret};
use tokio::time::Instant;

use super::client::{PowerTold, Told};
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
        "local-exit" => Event::LocalExited(rest.parse().unwrap(), None),
        "local-killed" => Event::LocalExited(rest.parse().unwrap(), Some("signal 9".into())),
        "link-closed" => Event::LinkClosed,
        "link-broken" => Event::LinkBroken("bad frame".into()),
        "shutdown" => Event::Shutdown,
        "tick" => Event::Tick,
        "ask" => Event::Request(parse_request(rest)),
        "told" => Event::Client(parse_told(rest)),
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
        "run" | "run-unasked" => Request::StartSession {
            cmd: rest.split(' ').map(str::to_owned).collect(),
            env: vec![],
            unasked: word == "run-unasked",
        },
        "cancel" => Request::CancelSession,
        "hello" => Request::LdmHello { version: greetd::VERSION },
        "hello-9" => Request::LdmHello { version: 9 },
        "prepare" => Request::LdmPrepare,
        "sessions" => Request::LdmSessions,
        "guest" => Request::LdmGuest,
        "end-others" => Request::LdmEndOthers,
        "servers" => Request::LdmServers,
        "server" => Request::LdmServer { name: (!rest.is_empty()).then(|| rest.into()) },
        "menu" => Request::LdmMenu { number: rest.parse().unwrap() },
        "reboot" => Request::LdmPower { action: Power::Reboot, confirmed: rest == "confirmed" },
        "suspend" => Request::LdmPower { action: Power::Suspend, confirmed: false },
        "shown" => Request::LdmShown,
        "facts" => Request::LdmFacts,
        "sound-test" => Request::LdmSoundTest,
        "layout" => Request::LdmLayout { group: rest.parse().unwrap() },
        other => panic!("no request {other}"),
    }
}

fn parse_told(text: &str) -> Told {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "up" => Told::Server(Server { name: rest.into(), up: Some(true), load: Some(Load::Low) }),
        "down" => Told::Server(Server { name: rest.into(), up: Some(false), load: None }),
        "asked" => Told::ServersAsked,
        "command" => Told::Command(if rest.is_empty() { Ok(()) } else { Err(rest.into()) }),
        "power" => Told::Power(match rest.split_once(' ') {
            Some(("confirm", users)) => PowerTold::Confirm(users.split(',').map(str::to_owned).collect()),
            Some(("failed", why)) => PowerTold::Failed(why.into()),
            _ => PowerTold::Done,
        }),
        "played" => Told::Sound(SoundTest::Played),
        "died" => Told::Died,
        other => panic!("nothing is told as {other}"),
    }
}

fn parse_worker(text: &str) -> protocol::Event {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let message = |style| protocol::Event::Message { style, text: rest.to_owned() };
    let failed = |kind| protocol::Event::Failed(Failure::new(kind));
    match word {
        "connected" => {
            let server = if rest.is_empty() { "srv" } else { rest };
            let transport = Transport { server: server.into(), ..Transport::default() };
            protocol::Event::Connected { server: server.into(), transport: Box::new(transport) }
        }
        "visible" => message(AuthMessageType::Visible),
        "secret" => message(AuthMessageType::Secret),
        "info" => message(AuthMessageType::Info),
        "error" => message(AuthMessageType::Error),
        "authenticated" => protocol::Event::Authenticated,
        "sessions" => protocol::Event::Sessions(Box::new(parse_info(rest))),
        "elsewhere" => protocol::Event::Elsewhere(rest.split_whitespace().map(at).collect()),
        "started" => protocol::Event::Started {
            user: (!rest.is_empty()).then(|| Box::new(UserRecord { name: rest.into(), ..UserRecord::default() })),
        },
        "ended" => protocol::Event::Ended { status: 0 },
        "denied" => failed(FailureKind::Denied),
        "lost" => failed(FailureKind::ConnectionLost),
        "unreachable" => failed(FailureKind::ServerUnreachable),
        "expired" => failed(FailureKind::PasswordExpired),
        "elsewhere-again" => failed(FailureKind::LoggedInElsewhere),
        "taken" => failed(FailureKind::SessionTaken),
        "link-lost" => failed(FailureKind::LinkLost),
        "too-short" => failed(FailureKind::SessionTooShort),
        "notice" => protocol::Event::Notice(Failure::new(FailureKind::NoSound)),
        "no-x11" => failed(FailureKind::NoX11),
        other => panic!("no worker event {other}"),
    }
}

/// Ids of sessions, `user=NAME,GROUP…`, and `at=CLIENT` for a session elsewhere.
fn parse_info(text: &str) -> Info {
    let mut info = Info { remembered: Some("icewm".into()), ..Info::default() };
    for word in text.split(' ') {
        if let Some(user) = word.strip_prefix("user=") {
            let mut names = user.split(',').map(str::to_owned);
            let name = names.next().unwrap();
            let groups = names.map(|name| Group { name, gid: 1 }).collect();
            info.user = Some(UserRecord { name, groups, ..UserRecord::default() });
        } else if let Some(client) = word.strip_prefix("at=") {
            info.elsewhere.push(at(client));
        } else {
            info.sessions.push(SessionEntry { id: word.into(), name: word.to_uppercase(), comment: None });
        }
    }
    info
}

/// A session at a client whose name ends with a number, which is its id.
fn at(client: &str) -> Elsewhere {
    Elsewhere { client: client.into(), since: 0, id: client.chars().filter(char::is_ascii_digit).collect() }
}

fn show(action: &Action) -> String {
    let session = |s: &Option<String>| s.clone().unwrap_or_else(|| "default".into());
    match action {
        Action::StartDisplay => "start-display".into(),
        Action::StopDisplay => "stop-display".into(),
        Action::StartGreeter => "start-greeter".into(),
        Action::WithdrawTheme => "withdraw-theme".into(),
        Action::TerminateGreeter => "terminate-greeter".into(),
        Action::KillGreeter => "kill-greeter".into(),
        Action::CloseLink => "close-link".into(),
        Action::PublishSessions(list) => {
            format!("publish {}", list.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(","))
        }
        Action::StartWorker(id, servers) if servers.is_empty() => format!("worker {id}"),
        Action::StartWorker(id, servers) => format!("worker {id} at {}", servers.join(",")),
        Action::Tell(Command::Login { username, key: None }) => format!("login {username}"),
        Action::Tell(Command::Login { username, key: Some(key) }) => format!("login {username} by {}", key.display()),
        Action::Tell(Command::Allowed) => "allowed".into(),
        Action::Tell(Command::Look) => "look".into(),
        Action::Tell(Command::Answer { response }) => {
            format!("answer {}", response.as_ref().map_or("null", Secret::expose))
        }
        Action::Tell(Command::Stop) => "stop-session".into(),
        Action::Tell(other) => panic!("{other:?}"),
        Action::StartSession(c) => {
            let only = c.end_only.as_ref().map(|only| format!(" ends {}", only.join(","))).unwrap_or_default();
            format!("session {}{}{only}", session(&c.session), if c.remember { " remember" } else { "" })
        }
        Action::DropWorker => "drop-worker".into(),
        Action::Announce(failure) => format!("announce {:?}", failure.kind),
        Action::StartLocal(id, login, user) => {
            format!("start-local {id} {login} {}", user.as_ref().map_or("nobody", |user| &user.name))
        }
        Action::StopLocal => "stop-local".into(),
        Action::SetAccess(_) => format!("{action:?}"),
        Action::ProbeServers => "probe".into(),
        Action::UseServer(name) => format!("use {}", name.as_deref().unwrap_or("any")),
        Action::RunCommand(number) => format!("command {number}"),
        Action::Power { action, confirmed } => {
            format!("power {action:?}{}", if *confirmed { " confirmed" } else { "" })
        }
        Action::TestSound => "tone".into(),
        Action::UseLayout(group) => format!("layout {group}"),
        Action::RememberUser(name) => format!("remember {name}"),
        Action::Facts(facts) => format!(
            "facts {:?} {:?} {:?}",
            facts.transport.as_ref().map(|t| t.server.as_str()),
            facts.failure.as_ref().map(|(failure, age)| (failure.kind, *age)),
            facts.sound
        ),
        Action::Failed(_) => "log".into(),
        Action::Exit(status) => format!("exit {status}"),
        Action::Reply(response) => match response {
            Response::Success => "success".into(),
            Response::Error { error_type, failure: Some(failure), .. } => {
                let auth = if *error_type == ErrorType::AuthError { "auth-error" } else { "error" };
                format!("{auth} {:?}", failure.kind)
            }
            Response::Error { description, .. } => format!("misuse {description}"),
            Response::AuthMessage { auth_message_type, auth_message, server } => {
                let other = server.as_deref().filter(|server| *server != "srv");
                let server = other.map(|server| format!(" of {server}")).unwrap_or_default();
                format!("{auth_message_type:?} {auth_message}{server}")
            }
            Response::LdmServers { servers } => {
                let one = |s: &Server| format!("{}:{:?}:{:?}", s.name, s.up, s.load);
                format!("servers {}", servers.iter().map(one).collect::<Vec<_>>().join(" "))
            }
            Response::LdmConfirm { users } => format!("confirm {}", users.join(",")),
            Response::LdmFacts(_) => format!("{response:?}"),
            Response::LdmSeat(s) => {
                let guest = if s.guest { " guest" } else { "" };
                let countdown = s.countdown.map(|seconds| format!(" countdown {seconds}")).unwrap_or_default();
                let chosen = s.chosen.as_ref().map(|name| format!(" chosen {name}")).unwrap_or_default();
                format!("seat {} {:?}{guest}{countdown}{chosen}", s.server, s.failure.as_ref().map(|f| f.kind))
            }
            Response::LdmSessions(s) => {
                let elsewhere: Vec<&str> = s.elsewhere.iter().flat_map(|e| [" at ", &e.client]).collect();
                format!(
                    "sessions {} {} {}{}",
                    s.sessions.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(","),
                    session(&s.preselected),
                    session(&s.forced),
                    elsewhere.concat()
                )
            }
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
