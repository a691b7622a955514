//! However a session ends, all of its processes end, and no other.

use std::time::{Duration, Instant};

use ldm_protocol::client::Elsewhere;
use ldm_protocol::helper::{Refusal, SessionEvent, SessionRequest};
use nix::sys::signal::Signal;

use crate::harness::{Lines, Process, Server};

/// Leaves a child, a double-forked daemon and one without our environment, reports all, then stays.
const FAMILY: &str = r#"
sleep 1000 & echo "child $!" >>"$REPORTS"
(setsid sh -c 'echo "daemon $$" >>"$REPORTS"; exec sleep 1000' &)
(setsid env -i REPORTS="$REPORTS" sh -c 'echo "bare $$" >>"$REPORTS"; exec sleep 1000' &)
echo "command $$" >>"$REPORTS"
"#;
const MEMBERS: [&str; 4] = ["child", "daemon", "bare", "command"];

/// The members' processes, in whatever order they reported.
fn members(reports: &Lines) -> Vec<Process> {
    let mut members = Vec::new();
    while members.len() < MEMBERS.len() {
        let line = reports.next();
        if let Some((name, pid)) = line.split_once(' ')
            && MEMBERS.contains(&name)
        {
            members.push(Process::of(pid.parse().unwrap()));
        }
    }
    members
}

#[test]
fn the_end_of_stdin_ends_daemons_too() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nwait"));
    let reports = server.reports();
    let mut running = server.start(&server.request("x"));
    running.started();
    let members = members(&reports);
    assert!(members.iter().all(|p| !p.has_ended()));
    let begin = Instant::now();
    running.close_stdin();
    assert_eq!(running.ended(), (143, false, vec![]));
    assert!(members.iter().all(Process::has_ended), "all ended before the event");
    assert!(begin.elapsed() < Duration::from_secs(3), "nothing had to be killed, so nothing was waited for");
}

#[test]
fn a_logout_ends_what_it_leaves_behind() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nread go <\"$HOME/go\"\nexit 5"));
    nix::unistd::mkfifo(&server.home("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reports = server.reports();
    let running = server.start(&server.request("x"));
    running.started();
    let members = members(&reports);
    std::fs::write(server.home("go"), "go\n").unwrap();
    let (status, too_short, _) = running.ended();
    assert_eq!((status, too_short), (5, true));
    assert!(members.iter().all(Process::has_ended));
}

#[test]
fn signals_end_a_session() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let server = Server::new();
        server.session("x", "echo \"command $$\" >>\"$REPORTS\"; exec sleep 1000");
        let reports = server.reports();
        let running = server.start(&server.request("x"));
        running.started();
        let command = reports.pid("command");
        running.signal(signal);
        assert_eq!(running.ended(), (143, false, vec![]), "{signal}");
        assert!(command.has_ended());
    }
}

#[test]
fn a_client_that_stops_reading_ends_it() {
    let server = Server::new();
    server.session("x", "echo \"command $$\" >>\"$REPORTS\"; exec sleep 1000");
    let reports = server.reports();
    let (read, write) = std::io::pipe().unwrap();
    let mut command = server.command("session");
    command.stdout(write);
    // Holds stdin open to the end.
    let mut child = command.spawn().unwrap();
    drop(command);
    let request = serde_json::to_vec(&server.request("x")).unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), &[&request[..], b"\n"].concat()).unwrap();
    let process = reports.pid("command");
    drop(read);
    process.wait();
    let stdin = child.stdin.take();
    child.wait().unwrap();
    drop(stdin);
}

#[test]
fn who_ignores_sigterm_is_killed_after_three_seconds() {
    let server = Server::new();
    server.session(
        "x",
        "trap '' TERM HUP INT\nsh -c 'echo \"stopped $$\" >>\"$REPORTS\"; kill -STOP $$; sleep 1000' &\n\
         echo \"command $$\" >>\"$REPORTS\"; while :; do sleep 1000; done",
    );
    let reports = server.reports();
    let mut running = server.start(&server.request("x"));
    running.started();
    let first = reports.next();
    assert!(first.starts_with("Xsession"));
    let processes =
        [reports.next(), reports.next()].map(|line| Process::of(line.split_once(' ').unwrap().1.parse().unwrap()));
    let begin = Instant::now();
    running.close_stdin();
    assert_eq!(running.ended(), (137, false, vec![]));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(6), "{took:?}");
    assert!(processes.iter().all(Process::has_ended));
}

#[test]
fn two_sessions_of_one_user_are_independent() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nwait"));
    let reports = server.reports();
    let mut one = server.start(&server.request("x"));
    one.started();
    let of_one = members(&reports);
    let mut two = server.start(&server.request("x"));
    two.started();
    let of_two = members(&reports);
    one.close_stdin();
    one.ended();
    assert!(of_one.iter().all(Process::has_ended));
    assert!(of_two.iter().all(|p| !p.has_ended()), "the other session was touched");
    two.close_stdin();
    two.ended();
    assert!(of_two.iter().all(Process::has_ended));
}

#[test]
fn a_new_session_can_end_the_others_which_say_so() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nwait"));
    server.session("xy", "exec sleep 1000");
    let reports = server.reports();
    let one = server.start(&server.request_of("x", "tc1"));
    one.started();
    let of_one = members(&reports);
    let other = server.start(&server.request_of("x", "tc2"));
    other.started();
    let of_other = members(&reports);
    let mut two = server.start(&SessionRequest { end_others: true, ..server.request_of("xy", "tc3") });
    two.started();
    assert!(of_one.iter().chain(&of_other).all(Process::has_ended), "ended before the new one starts");
    for ended in [one, other] {
        let SessionEvent::Ended { taken_by, too_short, .. } = ended.event() else { panic!("not ended") };
        assert_eq!((taken_by.as_deref(), too_short), (Some("tc3"), false));
    }
    two.close_stdin();
    let SessionEvent::Ended { taken_by, .. } = two.event() else { panic!("not ended") };
    assert_eq!(taken_by, None);
}

#[test]
fn only_the_sessions_that_were_named_end() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nwait"));
    server.session("xy", "exec sleep 1000");
    let reports = server.reports();
    let id_of = |name: &str| {
        let info = super::info::info(&server, "");
        info.elsewhere.into_iter().find(|other| other.client == name).map(|other| other.id)
    };
    let one = server.start(&server.request_of("x", "names-1"));
    one.started();
    let of_one = members(&reports);
    let named = id_of("names-1").unwrap();
    assert!(Elsewhere::is_valid_id(&named), "{named}");
    // One that begins between question and answer.
    let other = server.start(&server.request_of("x", "names-2"));
    other.started();
    let of_other = members(&reports);
    let asks = |only: Vec<String>| SessionRequest {
        end_others: true,
        end_only: Some(only),
        ..server.request_of("xy", "names-3")
    };
    let strange = "x".repeat(100_000);
    for only in [vec![], vec![named.clone()], vec!["1-2-3".into(), String::new(), strange]] {
        let mut refused = server.start(&asks(only));
        let SessionEvent::Refused { reason, detail } = refused.event() else { panic!("started") };
        assert_eq!(reason, Refusal::Elsewhere);
        assert!(detail.contains("names-2"), "{detail}");
        refused.wait();
        assert!(of_one.iter().chain(&of_other).all(|p| !p.has_ended()), "ended although nothing starts");
    }
    assert_eq!(id_of("names-3"), None, "one that did not start is left");
    let both = vec![named, id_of("names-2").unwrap()];
    let mut two = server.start(&asks(both));
    two.started();
    assert!(of_one.iter().chain(&of_other).all(Process::has_ended));
    for ended in [one, other] {
        let SessionEvent::Ended { taken_by, .. } = ended.event() else { panic!("not ended") };
        assert_eq!(taken_by.as_deref(), Some("names-3"));
    }
    two.close_stdin();
    two.ended();
}

#[test]
fn of_two_that_begin_at_once_one_stays_and_the_other_says_so() {
    let server = Server::new();
    server.session("xy", "exec sleep 1000");
    for _ in 0..20 {
        let request = SessionRequest { end_others: true, ..server.request("xy") };
        let both = [server.start(&request), server.start(&request)];
        let mut stay = 0;
        for running in &both {
            stay += match running.event() {
                SessionEvent::Started { .. } => 1,
                SessionEvent::Refused { reason: Refusal::Elsewhere, .. } => 0,
                other => panic!("{other:?}"),
            };
        }
        // One that had started is told why it ends before the other one starts.
        let here = super::info::info(&server, "").elsewhere.len();
        assert_eq!(here, 1, "{stay} have started");
        for mut running in both {
            running.close_stdin();
            running.wait();
        }
    }
}

#[test]
fn a_stopped_helper_is_woken_to_end_its_session() {
    let server = Server::new();
    server.session("x", "echo \"command $$\" >>\"$REPORTS\"; exec sleep 1000");
    server.session("xy", "exec sleep 1000");
    let reports = server.reports();
    let mut hung = server.start(&server.request("x"));
    hung.started();
    let command = reports.pid("command");
    hung.signal(Signal::SIGSTOP);
    let mut next = server.start(&SessionRequest { end_others: true, ..server.request("xy") });
    next.started();
    assert!(command.has_ended());
    hung.wait();
    next.close_stdin();
    next.ended();
}

#[test]
fn what_others_started_for_the_session_ends_with_it() {
    let server = Server::new();
    server.session("x", "echo \"token $LDM_SESSION_TOKEN\" >>\"$REPORTS\"; exec sleep 1000");
    let reports = server.reports();
    let mut running = server.start(&server.request("x"));
    running.started();
    let token = reports.value("token");
    // As a message bus does: started by somebody else, with the session's environment.
    let start =
        |token: &str| std::process::Command::new("sleep").arg("1000").env("LDM_SESSION_TOKEN", token).spawn().unwrap();
    let mut ours = start(&token);
    // Of another helper in another place, so that no other session's start takes it for what a dead one left.
    let (helper, random) = token.rsplit_once('-').unwrap();
    let mut similar = start(&format!("{helper}0-{random}0"));
    let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
    let (of_session, of_nobody) = (Process::of(pid(&ours)), Process::of(pid(&similar)));
    running.close_stdin();
    running.ended();
    assert!(of_session.has_ended());
    assert!(!of_nobody.has_ended());
    ours.wait().unwrap();
    similar.kill().unwrap();
    similar.wait().unwrap();
}

#[test]
fn what_is_started_while_everything_ends_is_found_too() {
    let server = Server::new();
    server.session(
        "x",
        "last_wish() { setsid sh -c 'echo \"late $$\" >>\"$REPORTS\"; exec sleep 1000' & exit 0; }\n\
         trap last_wish TERM; echo ready >>\"$REPORTS\"; while :; do sleep 1000 & wait; done",
    );
    let reports = server.reports();
    let mut running = server.start(&server.request("x"));
    running.started();
    while reports.next() != "ready" {}
    running.close_stdin();
    running.ended();
    // It may have been ended before it could report.
    if let Some(pid) = reports.value_if_any("late") {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} goes on");
    }
}

#[test]
fn the_next_session_ends_what_a_killed_helper_left() {
    let server = Server::new();
    server.session("x", &format!("{FAMILY}\nwait"));
    server.session("xy", "exit 0");
    let reports = server.reports();
    let mut killed = server.start(&server.request("x"));
    killed.started();
    let members = members(&reports);
    // The one without our environment cannot be known to a later helper.
    let marked: Vec<_> = members
        .into_iter()
        .filter(|p| {
            // It is empty while a process becomes another program.
            let environment = loop {
                let environment = std::fs::read(format!("/proc/{}/environ", p.pid)).unwrap();
                if !environment.is_empty() {
                    break environment;
                }
                std::thread::yield_now();
            };
            let marked = String::from_utf8_lossy(&environment).contains("LDM_SESSION_TOKEN=");
            if !marked {
                // Cleaned up here, since nobody else will.
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(p.pid), Signal::SIGKILL).unwrap();
            }
            marked
        })
        .collect();
    assert_eq!(marked.len(), 3);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    let next = server.start(&server.request("xy"));
    next.started();
    assert!(marked.iter().all(Process::has_ended), "ended before the next session starts");
    next.ended();
}
