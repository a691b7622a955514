//! Programs that the client asks for: in the session's environment, with its end, and what is refused.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use ldm_protocol::apps::{Event, Program, Refusal, Word};
use ldm_protocol::helper::SessionEvent;
use ldm_protocol::services::RemoteRequest;
use nix::sys::signal::Signal;

use crate::harness::{Lines, Running, Server};

/// A session that runs until its input ends, and the reports of it and its programs.
fn session(server: &Server) -> (Running, Lines, String) {
    server.session("x", "echo up >>\"$REPORTS\"\nwhile :; do sleep 1000; done");
    let reports = server.reports();
    // /etc/profile sets a PATH of its own.
    fs::write(server.home(".profile"), format!("PATH={}:$PATH\n", server.path("bin").display())).unwrap();
    let mut command = server.command("session");
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/bus").env("PULSE_SERVER", "unix:/run/pulse");
    let running = Server::start_command(command, &server.request("x"));
    let SessionEvent::Started { directory: Some(directory), .. } = running.event() else { panic!("not started") };
    reports.value("up");
    (running, reports, directory)
}

fn program(words: &[&str]) -> Program {
    Program { argv: words.iter().map(|w| Word(w.as_bytes().to_vec())).collect(), ..Program::default() }
}

/// As sshd runs it: it has nothing of the session's environment.
fn start(server: &Server, directory: &str, program: Program) -> Child {
    let mut helper: Command = server.command("remoteapp");
    let request = RemoteRequest { directory: directory.into(), program };
    let mut child = helper.env_remove("DISPLAY").stderr(Stdio::inherit()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", serde_json::to_string(&request).unwrap()).unwrap();
    child
}

fn events(child: Child) -> Vec<Event> {
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refusal(events: &[Event]) -> (Refusal, &str) {
    let [Event::Refused { reason, detail }] = events else { panic!("{events:?}") };
    (*reason, detail)
}

fn ended(status: i32, signal: Option<i32>, stderr: &[&str]) -> Event {
    Event::Ended { status, signal, stderr: stderr.iter().map(ToString::to_string).collect() }
}

#[test]
fn a_program_has_the_sessions_environment_and_tells_its_end() {
    let server = Server::new();
    let (running, reports, directory) = session(&server);
    let script = "echo \"app $DISPLAY $DBUS_SESSION_BUS_ADDRESS $PULSE_SERVER $DESKTOP_SESSION $LANG ${LD_PRELOAD-unset} $PWD $1\" \
        >>\"$REPORTS\"; echo first >&2; echo \"last $$\" >/dev/null; echo last >&2; exit 7";
    let mut asked = program(&["sh", "-c", script, "sh", "a  'b' $(c)"]);
    asked.env = [("LANG", "C"), ("LD_PRELOAD", "/evil.so")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    asked.cwd = Some(Word(b"/usr".to_vec()));
    let events = events(start(&server, &directory, asked));
    assert_eq!(events, [Event::Started, ended(7, None, &["first", "last"])]);
    let seen = reports.value("app ");
    assert_eq!(seen, "localhost:10.0 unix:path=/run/bus unix:/run/pulse x C unset /usr a  'b' $(c)");
    drop(running);
}

#[test]
fn statuses_and_signals_are_told() {
    let server = Server::new();
    let (_running, _reports, directory) = session(&server);
    for (script, want) in [
        ("exit 0", ended(0, None, &[])),
        ("exit 255", ended(255, None, &[])),
        ("kill -KILL $$", ended(137, Some(9), &[])),
        ("exec 2>&-; exit 3", ended(3, None, &[])),
        ("yes y | head -n 1000 >&2; yes y >&2 & exit 5", ended(5, None, &["y"; 10])),
        ("exec 2>&-; sleep 0.2; exit 4", ended(4, None, &[])),
    ] {
        let events = events(start(&server, &directory, program(&["sh", "-c", script])));
        assert_eq!(events, [Event::Started, want], "{script}");
    }
}

#[test]
fn what_cannot_be_started_is_refused() {
    let server = Server::new();
    let (_running, _reports, directory) = session(&server);
    let asked = |directory: &str, program: Program| events(start(&server, directory, program));
    for word in ["no-such-program", "/no/such/program", "/etc/passwd", "./x"] {
        assert_eq!(refusal(&asked(&directory, program(&[word]))), (Refusal::NotFound, word));
    }
    for other in ["/", "/tmp", "/no/such", "relative", &format!("{directory}/..")] {
        assert_eq!(refusal(&asked(other, program(&["true"]))).0, Refusal::Off, "{other}");
    }
    assert_eq!(refusal(&asked(&directory, program(&[]))).0, Refusal::BadRequest);
    let away = |cwd: &str, word| Program { cwd: Some(Word(cwd.into())), ..program(&[word]) };
    // The client has directories that the server has not, but no other program is run for that.
    assert_eq!(asked(&directory, away("/no/such", "true")), [Event::Started, ended(0, None, &[])]);
    assert_eq!(refusal(&asked(&directory, away("/no/such", "./true"))), (Refusal::NotFound, "./true"));
    assert_eq!(refusal(&asked(&directory, away("tmp", "true"))).0, Refusal::BadRequest);
    for open in [&["-x"][..], &["relative"], &["/a", "/b"]] {
        let asked = asked(&directory, Program { open: true, ..program(open) });
        assert_eq!(refusal(&asked).0, Refusal::BadRequest, "{open:?}");
    }
    for input in [&b""[..], b"\n", b"{}\n", b"{\"directory\":1}\n", &vec![b'x'; 300_000]] {
        let output = server.output("remoteapp", input);
        let event: Event = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((refusal(&[event]).0, output.status.code()), (Refusal::BadRequest, Some(1)));
    }
}

#[test]
fn an_address_is_opened_as_one_word() {
    let server = Server::new();
    server.program("xdg-open", "echo \"open $# $1\" >>\"$REPORTS\"");
    let (_running, reports, directory) = session(&server);
    let address = "https://example.org/?a=b&c=$(d) 'e'".replace(' ', "%20");
    let events = events(start(&server, &directory, Program { open: true, ..program(&[&address]) }));
    assert_eq!(events, [Event::Started, ended(0, None, &[])]);
    assert_eq!(reports.value("open "), format!("1 {address}"));
}

#[test]
fn a_program_ends_with_the_session() {
    let server = Server::new();
    let (mut running, reports, directory) = session(&server);
    let child = start(&server, &directory, program(&["sh", "-c", "echo \"pid $$\" >>\"$REPORTS\"; exec sleep 1000"]));
    let app = reports.pid("pid ");
    running.close_stdin();
    running.ended();
    assert!(app.has_ended(), "it ends before the session's end is told");
    assert_eq!(events(child), [Event::Started, ended(143, Some(15), &[])]);
    let late = events(start(&server, &directory, program(&["true"])));
    assert_eq!(refusal(&late).0, Refusal::Off, "a session that is over starts nothing more");
}

#[test]
fn a_program_ends_with_a_session_whose_helper_was_killed() {
    let server = Server::new();
    let (mut running, reports, directory) = session(&server);
    let script = "(setsid sh -c 'echo \"pid $$\" >>\"$REPORTS\"; exec sleep 1000' &); exec sleep 1000";
    let child = start(&server, &directory, program(&["sh", "-c", script]));
    let daemon = reports.pid("pid ");
    running.signal(Signal::SIGKILL);
    running.wait();
    assert_eq!(events(child), [Event::Started, ended(143, Some(15), &[])]);
    daemon.wait();
}

#[test]
fn what_a_program_leaves_running_can_still_write() {
    let server = Server::new();
    nix::unistd::mkfifo(&server.home("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (mut running, reports, directory) = session(&server);
    // As xdg-open does with a browser.
    let script = "sh -c 'read go <\"$HOME/go\"; echo warning >&2; echo \"alive $$\" >>\"$REPORTS\"; exec sleep 1000' &";
    let events = events(start(&server, &directory, program(&["sh", "-c", script])));
    assert_eq!(events, [Event::Started, ended(0, None, &[])]);
    fs::write(server.home("go"), "go\n").unwrap();
    let browser = reports.pid("alive ");
    assert!(!browser.has_ended());
    running.close_stdin();
    running.ended();
    assert!(browser.has_ended());
    assert!(fs::read_to_string(server.home(".xsession-errors")).unwrap().contains("warning"));
}
