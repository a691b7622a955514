//! The real greeter on an Xvfb without a window manager, typed at by xdotool, with a daemon played by the test.
//!
//! What is asserted is what the daemon hears. A test waits for that and never for a time: the greeter handles what the
//! daemon has said before it handles later keys.
#![cfg(feature = "greeter")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "greeter_dialog/ahead.rs"]
mod ahead;
#[path = "greeter_dialog/buttons.rs"]
mod buttons;
#[path = "greeter_dialog/entries.rs"]
mod entries;
#[path = "greeter_dialog/failures.rs"]
mod failures;
#[path = "greeter_dialog/left.rs"]
mod left;
#[path = "greeter_dialog/reader.rs"]
mod reader;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ldm_protocol::client::{Elsewhere, Power, Server};
use ldm_protocol::greetd::{AuthMessageType, ErrorType, Request, Response, Seat, Sessions};
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{Failure, FailureKind, frame, limits};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// An X server, the greeter on it and the daemon's end of the socket.
struct Lab {
    x: Child,
    display: String,
    greeter: Child,
    listener: UnixListener,
    daemon: UnixStream,
    _dir: TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in [&mut self.greeter, &mut self.x] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Lab {
    /// `None` where there is no Xvfb or xdotool.
    fn new(args: &[&str], theme: impl FnOnce(&TempDir) -> Option<String>) -> Option<Self> {
        Self::with(args, &[], theme)
    }

    /// A greeter that waits this many seconds for somebody to touch anything.
    fn idling(seconds: &str) -> Option<Self> {
        let mut lab = Self::with(&[], &[("LDM_GREETER_IDLE", seconds)], |_| None)?;
        lab.greet(Seat::default(), "Log in");
        Some(lab)
    }

    fn with(args: &[&str], env: &[(&str, &str)], theme: impl FnOnce(&TempDir) -> Option<String>) -> Option<Self> {
        if !installed("Xvfb") || !installed("xdotool") {
            eprintln!("skipped: Xvfb and xdotool are needed");
            return None;
        }
        let mut x = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-noreset", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(x.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());

        let dir = TempDir::new().unwrap();
        let path = dir.path().join("greetd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ldm-greeter"));
        // English alone, whatever `make` has put beside the program.
        command
            .args(args)
            .env("LDM_LOCALEDIR", dir.path())
            .envs(env.iter().copied())
            .env("DISPLAY", &display)
            .env("GREETD_SOCK", &path)
            .env("LC_ALL", "C")
            .env_remove("LDM_THEME");
        if let Some(theme) = theme(&dir) {
            command.args(["--theme", &theme]);
        }
        let greeter = command.stderr(Stdio::piped()).spawn().unwrap();
        let daemon = accept(&listener);
        Some(Self { x, display, greeter, listener, daemon, _dir: dir })
    }

    /// A greeter whose daemon is LDM, ready for keys.
    fn greeted() -> Option<Self> {
        Self::seated(Seat { hostname: "tc1".into(), server: "srv".into(), ..Seat::default() })
    }

    /// The same with this seat.
    fn seated(seat: Seat) -> Option<Self> {
        let mut lab = Self::new(&[], |_| None)?;
        assert!(matches!(lab.hear(), Request::LdmHello { .. }));
        lab.say(&Response::LdmSeat(Box::new(seat)));
        assert!(matches!(lab.hear(), Request::LdmFacts));
        lab.say(&Response::LdmFacts(Box::default()));
        lab.wait_for_window();
        Some(lab)
    }

    /// Answers a greeter that has begun, as a daemon without a help page, and waits for its window.
    fn greet(&mut self, seat: Seat, title: &str) {
        assert!(matches!(self.hear(), Request::LdmHello { .. }));
        self.say(&Response::LdmSeat(Box::new(seat)));
        assert!(matches!(self.hear(), Request::LdmFacts));
        self.refuse();
        self.wait_for_title(title);
    }

    /// Refuses what was asked, as a daemon that does not know it.
    fn refuse(&mut self) {
        self.say(&Response::Error { error_type: ErrorType::Error, description: "not offered".into(), failure: None });
    }

    fn hear(&mut self) -> Request {
        match self.read().expect("a request") {
            Some(request) => request,
            None => panic!("the greeter has ended: {:?}", self.end()),
        }
    }

    /// The next request, but for the one that says that the first frame is drawn: that is answered here.
    fn read(&mut self) -> Result<Option<Request>, frame::FrameError> {
        loop {
            match frame::read(&mut self.daemon) {
                Ok(Some(Request::LdmShown)) => self.say(&Response::Success),
                other => return other,
            }
        }
    }

    fn say(&mut self, response: &Response) {
        frame::write(&mut self.daemon, response).unwrap();
    }

    fn asks(&mut self, kind: AuthMessageType, text: &str) {
        let (auth_message_type, auth_message) = (kind, text.to_owned());
        self.say(&Response::AuthMessage { auth_message_type, auth_message, server: None });
    }

    fn hear_answer(&mut self) -> Option<String> {
        match self.hear() {
            Request::PostAuthMessageResponse { response } => response.map(|secret| secret.expose().to_owned()),
            other => panic!("not an answer: {other:?}"),
        }
    }

    fn hear_create(&mut self) -> String {
        match self.hear() {
            Request::CreateSession { username } => username,
            other => panic!("not create_session: {other:?}"),
        }
    }

    fn wait_for_window(&self) {
        self.wait_for_title("Log in");
    }

    /// The window says in the language in use what is to be done.
    fn wait_for_title(&self, title: &str) {
        let start = Instant::now();
        // It also fails where a window goes while it looks at all of them.
        while !Command::new("xdotool")
            .args(["search", "--onlyvisible", "--name", title])
            .env("DISPLAY", &self.display)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(start.elapsed() < PATIENCE, "no window is called {title}");
        }
    }

    fn xdotool(&self, args: &[&str]) {
        let status =
            Command::new("xdotool").args(args).env("DISPLAY", &self.display).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    }

    fn type_text(&self, text: &str) {
        self.xdotool(&["type", "--delay", "2", text]);
    }

    fn key(&self, key: &str) {
        self.xdotool(&["key", key]);
    }

    /// Waits, while the greeter does for a question, until it has handled every key so far: it takes one between two messages,
    /// unless the next one is there already.
    fn handles_keys(&mut self) {
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(5));
            self.asks(AuthMessageType::Info, "Welcome");
            assert_eq!(self.hear_answer(), None);
        }
    }

    /// Types a name and sees it sent.
    fn name(&mut self, name: &str) {
        self.type_text(name);
        assert!(matches!(self.hear(), Request::LdmPrepare));
        self.say(&Response::Success);
        self.key("Return");
        assert_eq!(self.hear_create(), name);
    }

    /// Waits for the greeter's end; what it wrote to its log comes with it.
    fn end(&mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.greeter.try_wait().unwrap() {
                let mut log = String::new();
                self.greeter.stderr.take().unwrap().read_to_string(&mut log).unwrap();
                return (status, log);
            }
            assert!(start.elapsed() < PATIENCE, "the greeter does not end");
            std::thread::yield_now();
        }
    }
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn denied() -> Response {
    let failure = Some(Failure::new(FailureKind::Denied).server("srv"));
    Response::Error { error_type: ErrorType::AuthError, description: "denied".into(), failure }
}

#[test]
fn a_wrong_password_then_the_right_one_and_a_session() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("alice");
    lab.asks(AuthMessageType::Info, "Welcome");
    assert_eq!(lab.hear_answer(), None);
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("wr0ng-s3cret");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("wr0ng-s3cret"));
    lab.say(&denied());
    assert_eq!(lab.hear_create(), "alice");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("  r1ght s3cret ");
    lab.key("Tab");
    assert_eq!(lab.hear_answer().as_deref(), Some("  r1ght s3cret "));
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmSessions));
    let entry = |id: &str| SessionEntry { id: id.into(), name: id.to_uppercase(), comment: None };
    let sessions = vec![entry("xfce"), entry("icewm"), entry("kde")];
    lab.say(&Response::LdmSessions(Sessions { sessions, ..Sessions::default() }));
    lab.key("Down");
    lab.key("Down");
    lab.key("Return");
    let Request::StartSession { cmd, env, .. } = lab.hear() else { panic!("not start_session") };
    assert_eq!((cmd, env), (vec!["ldm-session".to_owned(), "icewm".to_owned()], vec![]));
    lab.say(&Response::Success);
    let (status, log) = lab.end();
    assert!(status.success(), "{log}");
    assert_eq!(log, "");
}

#[test]
fn an_expired_password_is_changed() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("bob");
    for (kind, prompt, answer) in [
        (AuthMessageType::Secret, "Password: ", "old"),
        (AuthMessageType::Secret, "You are required to change your password.\nCurrent password: ", "old"),
        (AuthMessageType::Secret, "New password: ", "new"),
        (AuthMessageType::Secret, "Retype new password: ", "new"),
        (AuthMessageType::Visible, "One-time code: ", "123456"),
    ] {
        lab.asks(kind, prompt);
        lab.type_text(answer);
        lab.key("Return");
        assert_eq!(lab.hear_answer().as_deref(), Some(answer), "{prompt}");
    }
    lab.asks(AuthMessageType::Error, "Changed.");
    assert_eq!(lab.hear_answer(), None);
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmSessions));
    lab.say(&Response::LdmSessions(Sessions { forced: Some("kiosk".into()), ..Sessions::default() }));
    let Request::StartSession { cmd, .. } = lab.hear() else { panic!("not start_session") };
    assert_eq!(cmd, ["ldm-session", "kiosk"]);
}

#[test]
fn there_is_no_way_into_gtks_debugger() {
    let Some(mut lab) = Lab::greeted() else { return };
    for key in ["ctrl+shift+i", "ctrl+shift+d"] {
        lab.key(key);
    }
    // The debugger would take the keyboard as soon as its window is there, and these round trips take longer than that.
    lab.name("mallory");
    for answer in ["1", "2", "3"] {
        lab.asks(AuthMessageType::Visible, "Code:");
        lab.type_text(answer);
        lab.key("Return");
        assert_eq!(lab.hear_answer().as_deref(), Some(answer));
    }
    let windows = Command::new("xdotool")
        .args(["search", "--onlyvisible", "--class", "ldm-greeter"])
        .env("DISPLAY", &lab.display)
        .output()
        .unwrap();
    assert_eq!(windows.stdout.lines().count(), 1);
}

#[test]
fn escape_goes_back_and_keeps_the_name() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("half a pass");
    lab.key("Escape");
    lab.key("Escape");
    assert!(matches!(lab.hear(), Request::CancelSession));
    lab.say(&Response::Success);
    lab.key("Return");
    assert_eq!(lab.hear_create(), "carol");
    lab.asks(AuthMessageType::Secret, "Password: ");
    // What was typed before is gone.
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some(""));
}

#[test]
fn escape_does_not_wait_for_a_silent_server() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    lab.key("Escape");
    assert!(matches!(lab.hear(), Request::CancelSession));
    lab.key("Return");
    let cancelled = Response::Error { error_type: ErrorType::Error, description: "cancelled".into(), failure: None };
    lab.say(&cancelled);
    lab.say(&Response::Success);
    assert_eq!(lab.hear_create(), "carol");
    lab.asks(AuthMessageType::Visible, "Code:");
    lab.type_text("12");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("12"));
}

#[test]
fn what_the_server_says_is_shown_and_never_obeyed() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("dave");
    let hostile = "<span size='999999'>&broken;</span>\u{1b}[2J\u{202e}%s%n ".repeat(800);
    for _ in 0..40 {
        lab.asks(AuthMessageType::Info, &hostile);
        assert_eq!(lab.hear_answer(), None);
    }
    lab.asks(AuthMessageType::Visible, &hostile);
    let answer = "x".repeat(1000);
    lab.type_text(&answer);
    lab.key("Return");
    assert_eq!(lab.hear_answer(), Some(answer));
    lab.daemon.write_all(&u32::try_from(limits::FRAME + 1).unwrap().to_ne_bytes()).unwrap();
    let (status, log) = lab.end();
    assert!(!status.success());
    assert!(log.contains("over the limit") && !log.contains("Warning") && !log.contains("WARNING"), "{log}");
}

#[test]
fn everything_is_reached_by_the_keyboard_and_what_is_refused_ends_nothing() {
    let Some(mut lab) = Lab::seated(Seat {
        server: "alpha".into(),
        servers: vec!["alpha".into(), "beta".into()],
        power: vec![Power::Reboot],
        guest: true,
        ..Seat::default()
    }) else {
        return;
    };
    // The name stays while the menus are used.
    lab.type_text("al");
    assert!(matches!(lab.hear(), Request::LdmPrepare));
    lab.say(&Response::Success);
    lab.key("F10");
    lab.key("Return");
    assert!(matches!(lab.hear(), Request::LdmServers));
    let server = |name: &str| Server { name: name.into(), up: Some(true), load: None };
    lab.say(&Response::LdmServers { servers: vec![server("alpha"), server("beta")] });
    lab.key("b");
    lab.key("Return");
    let chosen = lab.hear();
    assert!(matches!(&chosen, Request::LdmServer { name: Some(name) } if name == "beta"), "{chosen:?}");
    lab.refuse();
    lab.key("F1");
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.refuse();
    lab.key("Escape");
    lab.type_text("ice");
    lab.key("Return");
    assert_eq!(lab.hear_create(), "alice");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("s3");
    // Help, the bar, and what is typed shown and hidden: nothing of it costs a character.
    for key in ["F1", "F1", "F10", "F10", "F8", "F8", "F10", "Escape"] {
        lab.key(key);
    }
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.refuse();
    lab.type_text("cret");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("s3cret"));
}

#[test]
fn the_computer_is_switched_off_only_when_somebody_has_agreed() {
    let power = vec![Power::ShutDown, Power::Reboot];
    let Some(mut lab) = Lab::seated(Seat { power, ..Seat::default() }) else { return };
    let asks = |lab: &mut Lab| {
        // The last menu, where the arrow key ends, however many there are.
        lab.key("F10");
        for _ in 0..8 {
            lab.key("Right");
        }
        // The list has the keyboard at its beginning.
        lab.key("Return");
        lab.key("Return");
        match lab.hear() {
            Request::LdmPower { action: Power::ShutDown, confirmed } => confirmed,
            other => panic!("not ldm_power: {other:?}"),
        }
    };
    for (answer, agreed) in [("Return", false), ("Escape", false), ("Right", true)] {
        assert!(!asks(&mut lab));
        lab.say(&Response::LdmConfirm { users: vec!["ann".into()] });
        // The question has the keyboard at "Cancel".
        lab.key(answer);
        if agreed {
            lab.key("Return");
            assert!(matches!(lab.hear(), Request::LdmPower { confirmed: true, .. }));
            lab.refuse();
        }
    }
    lab.name("alice");
}

#[test]
fn a_guest_is_counted_down_for_and_anybody_can_stop_that() {
    let seat = || Seat { guest: true, countdown: Some(2), ..Seat::default() };
    let Some(mut lab) = Lab::seated(seat()) else { return };
    assert!(matches!(lab.hear(), Request::LdmGuest));
    lab.say(&Response::Error {
        error_type: ErrorType::Error,
        description: "no".into(),
        failure: Some(Failure::new(FailureKind::GuestRefused).server("srv")),
    });
    // A screen of its own, at "Try again".
    lab.key("Return");
    assert!(matches!(lab.hear(), Request::LdmGuest));
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmSessions));
    let entry = |id: &str| SessionEntry { id: id.into(), name: id.to_uppercase(), comment: None };
    lab.say(&Response::LdmSessions(Sessions { sessions: vec![entry("a"), entry("b")], ..Sessions::default() }));
    let Request::StartSession { cmd, .. } = lab.hear() else { panic!("not start_session") };
    assert_eq!(cmd, ["ldm-session", "default"]);

    let Some(mut lab) = Lab::seated(Seat { countdown: Some(30), ..seat() }) else { return };
    lab.name("alice");
}

#[test]
fn a_session_elsewhere_is_ended_by_whoever_says_so() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("alice");
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmSessions));
    let elsewhere = vec![Elsewhere { client: "tc7".into(), since: 1_790_000_000, ..Elsewhere::default() }];
    let mut answer = |elsewhere: Vec<Elsewhere>| {
        lab.say(&Response::LdmSessions(Sessions { elsewhere, forced: Some("kiosk".into()), ..Sessions::default() }));
        lab.key("Right");
        lab.key("Return");
        assert!(matches!(lab.hear(), Request::LdmEndOthers));
        lab.say(&Response::Success);
        let Request::StartSession { cmd, .. } = lab.hear() else { panic!("not start_session") };
        assert_eq!(cmd, ["ldm-session", "kiosk"]);
        // Another one has begun since.
        let failure = Failure::new(FailureKind::LoggedInElsewhere).detail("tc8");
        let (error_type, description) = (ErrorType::Error, failure.to_string());
        lab.say(&Response::Error { error_type, description, failure: Some(failure) });
        assert!(matches!(lab.hear(), Request::LdmSessions));
    };
    answer(elsewhere.clone());
    answer([elsewhere, vec![Elsewhere { client: "tc8".into(), ..Elsewhere::default() }]].concat());
}

#[test]
fn a_lost_daemon_ends_the_greeter() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.daemon.shutdown(std::net::Shutdown::Both).unwrap();
    let (status, log) = lab.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(log, "ldm-greeter: the daemon closed the connection\n");
}

#[test]
fn a_plain_greetd_is_served() {
    let Some(mut lab) = Lab::new(&["--cmd", "sway --debug"], |_| None) else { return };
    assert!(matches!(lab.hear(), Request::LdmHello { .. }));
    // greetd closes the connection over a request that it does not know.
    lab.daemon.shutdown(std::net::Shutdown::Both).unwrap();
    lab.daemon = accept(&lab.listener);
    lab.wait_for_window();
    lab.type_text("erin");
    lab.key("Return");
    assert_eq!(lab.hear_create(), "erin");
    lab.asks(AuthMessageType::Secret, "Password:");
    lab.type_text("x");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some("x"));
    lab.say(&Response::Success);
    let Request::StartSession { cmd, .. } = lab.hear() else { panic!("not start_session") };
    assert_eq!(cmd, ["sway --debug"]);
    lab.say(&Response::Success);
    assert!(lab.end().0.success());
}

#[test]
fn a_broken_theme_gives_the_default_look_and_one_line_in_the_log() {
    for (file, text, told) in [
        ("theme.ini", "[Theme]\nbackgruond = x.png\n", "theme.ini:2: unknown key “backgruond”"),
        ("style.css", "label {\n  colour: red;\n}\n", "style.css:2: "),
    ] {
        let Some(mut lab) = Lab::new(&[], |dir| {
            std::fs::write(dir.path().join("theme.ini"), "").unwrap();
            std::fs::write(dir.path().join("style.css"), "").unwrap();
            std::fs::write(dir.path().join(file), text).unwrap();
            Some(dir.path().to_str().unwrap().to_owned())
        }) else {
            return;
        };
        assert!(matches!(lab.hear(), Request::LdmHello { .. }));
        lab.wait_for_window();
        lab.daemon.shutdown(std::net::Shutdown::Both).unwrap();
        drop(accept(&lab.listener));
        let (_, log) = lab.end();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        assert!(matches!(lines[..], [line] if line.contains(told)), "{log}");
    }
}
