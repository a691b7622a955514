//! `ldm login`: the same from a terminal, without root.

use std::fs::{self, File};
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ldm_tests::{Desk, Lab, Program, Sshd, User, XServer, wait};

/// A terminal in which a user of the client runs `ldm login`.
struct Terminal {
    program: Program,
    keyboard: ChildStdin,
}

struct Place {
    x: XServer,
    client: User,
    user: User,
    sshd: Sshd,
    lab: Lab,
}

impl Place {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        Desk::offer(&lab, "desk", "")?;
        let sshd = Sshd::new(&lab)?;
        let (user, client) = (User::new(&lab)?, User::new(&lab)?);
        let x = XServer::new(&lab)?;
        let ssh = client.home.join(".ssh");
        fs::create_dir(&ssh)?;
        fs::copy(sshd.known_hosts(&lab, sshd.port())?, ssh.join("known_hosts"))?;
        let authority = client.home.join(".Xauthority");
        fs::copy(x.authority(), &authority)?;
        for path in [&ssh, &ssh.join("known_hosts"), &authority] {
            std::os::unix::fs::chown(path, Some(client.uid), Some(client.gid))?;
        }
        Ok(Self { x, client, user, sshd, lab })
    }

    fn log_in(&self, arguments: &str) -> Result<Terminal> {
        let record = self.lab.log("terminal");
        let mut command = self.client.command("script".as_ref());
        let login = format!(
            "{} login {arguments} {}@127.0.0.1:{}",
            self.lab.bin()?.join("ldm").display(),
            self.user.name,
            self.sshd.port()
        );
        command
            .args(["--quiet", "--flush", "--return", "--command", &login, "/dev/null"])
            .env("DISPLAY", self.x.display())
            .env("XAUTHORITY", self.client.home.join(".Xauthority"))
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(File::create(&record)?)
            .stderr(Stdio::null());
        let mut program = Program::adopt("ldm login", &mut command, &record)?;
        let keyboard = program.child().stdin.take().context("no keyboard")?;
        Ok(Terminal { program, keyboard })
    }
}

impl Terminal {
    fn answer(&mut self, question: &str, answer: &str) -> Result<()> {
        wait::for_line(self.program.log(), question, wait::STEP)?;
        Ok(writeln!(self.keyboard, "{answer}")?)
    }
}

#[test]
fn login_from_a_terminal_exits_with_the_sessions_status() -> Result<()> {
    let place = Place::new()?;
    let desk = Desk { user: &place.user };
    desk.prepare()?;
    let mut terminal = place.log_in("--session desk")?;
    terminal.answer("Password:", &place.user.password)?;
    desk.wait_until_up().with_context(|| terminal.program.log_text())?;
    place.x.screen().wait_for(&desk.title(), wait::STEP)?;
    desk.work()?;
    desk.end_with(7)?;
    let status = terminal.program.wait(wait::STEP)?;
    assert_eq!(status.code(), Some(7), "{}", terminal.program.log_text());
    place.user.wait_for_no_process(wait::STEP)?;
    place.client.wait_for_no_process(wait::STEP)
}

#[test]
fn login_asks_again_after_a_wrong_password_and_ends_with_the_terminal() -> Result<()> {
    let place = Place::new()?;
    place.lab.secret("Lab-mistyped-password");
    let desk = Desk { user: &place.user };
    desk.prepare()?;
    let mut terminal = place.log_in("--session desk")?;
    terminal.answer("Password:", "Lab-mistyped-password")?;
    wait::until("the second question", wait::STEP, || {
        (terminal.program.log_text().matches("Password:").count() > 1).then_some(())
    })
    .with_context(|| terminal.program.log_text())?;
    terminal.answer("Password:", &place.user.password)?;
    desk.wait_until_up()?;
    // The terminal's window is closed: SIGHUP to all in it.
    terminal.program.kill();
    place.user.wait_for_no_process(wait::STEP)?;
    place.client.wait_for_no_process(wait::STEP)
}

#[test]
fn a_session_opens_in_a_window_of_its_own() -> Result<()> {
    let place = Place::new()?;
    let desk = Desk { user: &place.user };
    desk.prepare()?;
    let mut terminal = place.log_in("--session desk --window")?;
    terminal.answer("Password:", &place.user.password)?;
    desk.wait_until_up().with_context(|| terminal.program.log_text())?;
    let screen = place.x.screen();
    let xephyr = || screen.windows().iter().any(|title| title.starts_with("LDM: ")).then_some(());
    wait::until("a Xephyr window", wait::STEP, xephyr)?;
    assert!(!screen.windows().contains(&desk.title()), "the session's windows are beside it: {:?}", screen.windows());
    desk.work()?;
    desk.end()?;
    assert_eq!(terminal.program.wait(wait::STEP)?.code(), Some(0), "{}", terminal.program.log_text());
    wait::until("the window to close", wait::STEP, || xephyr().is_none().then_some(()))?;
    place.client.wait_for_no_process(wait::STEP)
}

#[test]
fn login_to_nowhere_fails_with_a_sentence() -> Result<()> {
    let place = Place::new()?;
    let port = ldm_tests::sshd::free_port()?;
    let mut command = place.client.command(&place.lab.bin()?.join("ldm"));
    command.args(["login", &format!("somebody@127.0.0.1:{port}")]).env("DISPLAY", place.x.display());
    let output = command.stdin(Stdio::null()).output()?;
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("accepts no logins") && text.contains(&port.to_string()), "{text}");
    Ok(())
}

#[test]
fn a_panel_started_from_a_terminal_does_not_hang_the_display_either() -> Result<()> {
    let place = Place::new()?;
    let script = place.lab.script("sessions/panel", "tint2 &\nexec openbox")?;
    place.lab.session("panel", "Panel", &script.to_string_lossy())?;
    let mut terminal = place.log_in("--session panel")?;
    terminal.answer("Password:", &place.user.password)?;
    let screen = place.x.screen();
    screen.wait_for("tint2", wait::STEP)?;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let mut look = screen.command("timeout");
        let seen = look.args(["5", "xwd", "-silent", "-root", "-out", "/dev/null"]).status()?;
        assert!(seen.success(), "the display is grabbed for good");
    }
    Ok(())
}
