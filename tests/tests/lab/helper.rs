//! `ldm-server-helper` over OpenSSH's client: the server's half of a session by itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_protocol::helper::{Client, Info, InfoRequest, Refusal, SessionEvent, SessionRequest, VERSION};
use ldm_tests::{Desk, Lab, Sshd, User, XServer, wait};

use crate::parts::ssh;

/// A helper session over `ssh -Y`.
struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<SessionEvent>,
}

impl Session {
    fn start(mut client: Command, x: &XServer, request: &SessionRequest) -> Result<Self> {
        client.env("DISPLAY", x.display()).env("XAUTHORITY", x.authority());
        client.args(["-Y", "ldm-server-helper session"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = client.spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        writeln!(stdin, "{}", serde_json::to_string(request)?)?;
        let out = BufReader::new(child.stdout.take().context("no stdout")?);
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line)
                    && sender.send(event).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { child, stdin: Some(stdin), events })
    }

    fn next(&self) -> Result<SessionEvent> {
        self.events.recv_timeout(Duration::from_secs(20)).context("no event from the helper")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(session: &str) -> SessionRequest {
    SessionRequest {
        version: VERSION,
        session: Some(session.to_owned()),
        client: Client { hostname: Some("tc1".into()), ..Client::default() },
        ..SessionRequest::default()
    }
}

fn server() -> Result<(Lab, Sshd, User, XServer)> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    Ok((lab, sshd, user, x))
}

#[test]
fn info_lists_what_the_server_offers() -> Result<()> {
    let (lab, sshd, user, _x) = server()?;
    Desk::offer(&lab, "desk", "")?;
    let mut client = ssh(&lab, &sshd, sshd.port(), &user)?;
    let mut child = client.arg("ldm-server-helper info").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    writeln!(stdin, "{}", serde_json::to_string(&InfoRequest { version: VERSION, locale: None })?)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the helper failed");
    let info: Info = serde_json::from_slice(&output.stdout)?;
    let ids: Vec<&str> = info.sessions.iter().map(|session| session.id.as_str()).collect();
    assert!(ids.contains(&"desk") && ids.contains(&"xfce"), "{ids:?}");
    assert_eq!(info.xsession.as_deref(), Some("/etc/X11/Xsession"));
    Ok(())
}

#[test]
fn a_session_runs_and_takes_everything_with_it_when_its_input_ends() -> Result<()> {
    let (lab, sshd, user, x) = server()?;
    Desk::offer(
        &lab,
        "desk",
        "setsid sh -c 'setsid sleep 100000 &'\n(trap '' TERM HUP; sleep 100001; sleep 100001) &",
    )?;
    let desk = Desk { user: &user };
    desk.prepare()?;
    let mut session = Session::start(ssh(&lab, &sshd, sshd.port(), &user)?, &x, &request("desk"))?;
    ensure!(matches!(session.next()?, SessionEvent::Started { .. }), "not started");
    desk.wait_until_up()?;
    x.screen().wait_for(&desk.title(), wait::STEP)?;
    let env = desk.env()?;
    for (name, want) in
        [("DESKTOP_SESSION", "desk"), ("XDG_CURRENT_DESKTOP", "Lab:desk"), ("LTSP_CLIENT_HOSTNAME", "tc1")]
    {
        assert_eq!(env.get(name).map(String::as_str), Some(want), "{name} in {env:?}");
    }
    drop(session.stdin.take());
    user.wait_for_no_process(Duration::from_secs(8))?;
    x.screen().wait_until_gone(&desk.title(), wait::STEP)
}

#[test]
fn a_session_takes_everything_with_it_when_the_client_dies() -> Result<()> {
    let (lab, sshd, user, x) = server()?;
    Desk::offer(&lab, "desk", "setsid sh -c 'setsid sleep 100000 &'")?;
    let desk = Desk { user: &user };
    desk.prepare()?;
    let mut session = Session::start(ssh(&lab, &sshd, sshd.port(), &user)?, &x, &request("desk"))?;
    desk.wait_until_up()?;
    session.child.kill()?;
    user.wait_for_no_process(Duration::from_secs(10))
}

#[test]
fn a_normal_end_is_told_with_its_status_and_a_short_one_with_its_last_words() -> Result<()> {
    let (lab, sshd, user, x) = server()?;
    let script = lab.script("sessions/short", "echo 'no battery' >&2; exit 3")?;
    lab.session("short", "Short", &script.to_string_lossy())?;
    let session = Session::start(ssh(&lab, &sshd, sshd.port(), &user)?, &x, &request("short"))?;
    ensure!(matches!(session.next()?, SessionEvent::Started { .. }), "not started");
    let SessionEvent::Ended { status, too_short, last_words, .. } = session.next()? else { panic!("no end") };
    assert_eq!((status, too_short), (3, true));
    assert!(last_words.iter().any(|line| line.contains("no battery")), "{last_words:?}");
    Ok(())
}

#[test]
fn what_is_not_offered_is_refused() -> Result<()> {
    let (lab, sshd, user, x) = server()?;
    for id in ["gone", "../../tmp/x", "-x"] {
        let session = Session::start(ssh(&lab, &sshd, sshd.port(), &user)?, &x, &request(id))?;
        let SessionEvent::Refused { reason, .. } = session.next()? else { panic!("{id} was not refused") };
        assert!(matches!(reason, Refusal::Gone | Refusal::BadRequest), "{id}: {reason:?}");
    }
    Ok(())
}
