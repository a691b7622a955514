//! Sessions: real desktops, ones that do not start, ones that do not want to end.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ldm_protocol::greetd::{Request, Response};
use ldm_protocol::{Failure, FailureKind};
use ldm_tests::scene::TOO_SHORT;
use ldm_tests::{Desk, Scene, wait};

/// Starts a session and gives what the next greeter tells, if anything.
fn start_and_fail(scene: &mut Scene, session: &str) -> Result<Failure> {
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    scene.desk().prepare()?;
    greeter.start(Some(session))?;
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("the next greeter was told of no failure")?;
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    // The seat works as ever.
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    Ok(failure)
}

#[test]
fn a_session_that_goes_between_choice_and_start_is_named() -> Result<()> {
    let mut scene = Scene::new()?;
    Desk::offer(&scene.lab, "other", "")?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert!(greeter.sessions()?.sessions.iter().any(|session| session.id == "other"));
    fs::remove_file(scene.lab.file("share/xsessions/other.desktop"))?;
    scene.desk().prepare()?;
    greeter.start(Some("other"))?;
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("the next greeter was told of no failure")?;
    assert_eq!((failure.kind, failure.session.as_deref()), (FailureKind::SessionGone, Some("other")), "{failure:?}");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_that_was_never_offered_is_not_started() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    for id in ["never", "../desk", "-x", "$(touch x)"] {
        greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
        let cmd = vec!["ldm-session".to_owned(), id.to_owned()];
        match greeter.request(&Request::StartSession { cmd, env: Vec::new(), unasked: false })? {
            Response::Error { description, .. } => assert!(!description.is_empty()),
            Response::Success => {
                greeter.leave()?;
                greeter = scene.daemon.greeter()?;
                let failure = greeter.seat()?.failure.context("no failure was told")?;
                assert_eq!(failure.kind, FailureKind::SessionGone, "{failure:?}");
            }
            other => panic!("{other:?}"),
        }
        let _ = greeter.request(&Request::CancelSession)?;
    }
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_whose_program_is_missing_says_so() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.lab.session("never", "Never there", "/nonexistent/program --with arguments")?;
    let program = scene.lab.script("sessions/program", "exec xterm")?;
    scene.lab.session("broken", "Broken", &format!("{} --with arguments", program.display()))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let ids: Vec<String> = greeter.sessions()?.sessions.into_iter().map(|session| session.id).collect();
    assert!(ids.contains(&"broken".to_owned()) && !ids.contains(&"never".to_owned()), "{ids:?}");
    // It goes while the user chooses.
    fs::remove_file(&program)?;
    greeter.start(Some("broken"))?;
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("the next greeter was told of no failure")?;
    assert_eq!(failure.kind, FailureKind::SessionFailed, "{failure:?}");
    assert!(failure.detail.clone().unwrap_or_default().contains(&*program.to_string_lossy()), "{failure:?}");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_helper_that_is_killed_before_the_session_runs_is_not_a_missing_one() -> Result<()> {
    let mut scene = Scene::new()?;
    std::fs::create_dir(scene.lab.file("killed"))?;
    let helper = scene.lab.bin()?.join("ldm-server-helper");
    let script = format!("[ \"$1\" != session ] || kill -KILL $$\nexec {} \"$@\"", helper.display());
    scene.lab.script("killed/ldm-server-helper", &script)?;
    scene.user.write(".bashrc", &format!("PATH={}:$PATH\n", scene.lab.file("killed").display()), 0o644)?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(Some("desk"))?;
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure;
    assert_eq!(failure.map(|failure| failure.kind), Some(ldm_protocol::FailureKind::SessionFailed));
    assert!(!scene.user.home.join("up").exists(), "a session was started all the same");
    drop(greeter);
    scene.finish()
}

#[test]
fn a_session_that_ends_at_once_tells_its_last_words() -> Result<()> {
    let mut scene = Scene::new()?;
    let script = scene.lab.script("sessions/short", "echo 'the panel has \u{1b}[31mno <b>battery</b>' >&2; exit 3")?;
    scene.lab.session("short", "Short", &script.to_string_lossy())?;
    let failure = start_and_fail(&mut scene, "short")?;
    assert_eq!(failure.kind, FailureKind::SessionTooShort, "{failure:?}");
    assert!(failure.detail.clone().unwrap_or_default().contains("the panel has no <b>battery</b>"), "{failure:?}");
    scene.finish()
}

#[test]
fn whatever_the_session_started_ends_with_it() -> Result<()> {
    let mut scene = Scene::new()?;
    let more = "\
        (setsid sh -c 'setsid sleep 100001 & exit' &) &\n\
        nohup sleep 100002 >/dev/null 2>&1 &\n\
        (trap '' TERM HUP INT; while :; do sleep 100003; done) &\n\
        setsid sh -c \"trap '' TERM HUP; cd /; exec sleep 100004\" </dev/null >/dev/null 2>&1 &";
    Desk::offer(&scene.lab, "many", more)?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    scene.desk().prepare()?;
    greeter.start(Some("many"))?;
    scene.desk().wait_until_up()?;
    let sleeping = || {
        let pids = scene.user.processes().into_iter();
        let found = pids.map(ldm_tests::sweep::command_line).filter(|line| line.starts_with("sleep 10000")).count();
        (found == 4).then_some(())
    };
    wait::until("the four sleepers", wait::STEP, sleeping).with_context(|| scene.desk().last_words())?;
    scene.desk().end()?;
    // TERM, 3 s, KILL.
    scene.user.wait_for_no_process(Duration::from_secs(8))?;
    scene.daemon.greeter()?;
    scene.finish()
}

#[test]
fn a_server_without_the_helper_still_gives_a_session() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.helper(false), |daemon| Ok(daemon))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let sessions = greeter.sessions()?;
    // The fallback lists /usr/share/xsessions alone.
    assert!(sessions.sessions.iter().any(|session| session.id == "icewm-session"), "{sessions:?}");
    greeter.start(Some("icewm-session"))?;
    scene.x.screen().wait_for("TaskBar", wait::STEP)?;
    assert!(scene.daemon.log_text().contains("ldm-server-helper"), "what is missing then is not in the log");
    let worker = scene.daemon.wait_for_worker()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), nix::sys::signal::Signal::SIGTERM)?;
    scene.daemon.greeter()?;
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    scene.finish()
}

#[test]
fn directx_goes_past_ssh_and_is_warned_about() -> Result<()> {
    use ldm_tests::{Daemon, Lab, Sshd, User, XServer};
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let relay = ldm_tests::Relay::new(sshd.port())?;
    let user = User::new(&lab)?;
    let x = XServer::listening(&lab)?;
    let daemon =
        Daemon::builder(&lab).on(x.screen()).server(&sshd, relay.port())?.set("LDM_DIRECTX", "True").start()?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    scene.log_in()?;
    let env = scene.desk().env()?;
    assert_eq!(env.get("DISPLAY").map(|d| d.trim_end_matches(".0")), Some(&*format!("127.0.0.1{}", scene.x.display())));
    let warnings = scene.daemon.log_text().lines().filter(|line| line.contains("LDM_DIRECTX")).count();
    assert_eq!(warnings, 1, "{}", scene.daemon.log_text());
    scene.work_and_log_out()?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure, None);
    drop(greeter);
    scene.finish()
}

#[test]
fn a_panel_that_would_share_memory_with_the_display_does_not_hang_it() -> Result<()> {
    let mut scene = Scene::new()?;
    // tint2 grabs the server and asks for a shared segment whose descriptor cannot cross, unless it is told that it is remote.
    let script = scene.lab.script("sessions/panel", "tint2 &\nexec openbox")?;
    scene.lab.session("panel", "Panel", &script.to_string_lossy())?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(Some("panel"))?;
    scene.x.screen().wait_for("tint2", wait::STEP)?;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let mut look = scene.x.screen().command("timeout");
        let seen = look.args(["5", "xwd", "-silent", "-root", "-out", "/dev/null"]).status()?;
        assert!(seen.success(), "the display is grabbed for good");
    }
    scene.finish()
}

/// Starts a real desktop, waits for its windows, ends it as its user would.
fn desktop(session: &str, windows: &[&str], log_out: impl FnOnce(&Scene) -> Result<()>) -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let sessions = greeter.sessions()?;
    assert!(sessions.sessions.iter().any(|offered| offered.id == session), "{session} is not offered: {sessions:?}");
    greeter.start(Some(session))?;
    let screen = scene.x.screen();
    for window in windows {
        screen.wait_for(window, Duration::from_secs(40)).with_context(|| scene.desk().last_words())?;
    }
    let began = Instant::now();
    // A program started in it shows up beside the desktop's own windows.
    let display = scene.user.processes().into_iter().find_map(|pid| {
        let env = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let env = String::from_utf8_lossy(&env).into_owned();
        let value = |name: &str| env.split('\0').find_map(|v| v.strip_prefix(name)).map(str::to_owned);
        value("DESKTOP_SESSION=").and(Some((value("DISPLAY=")?, value("XAUTHORITY="))))
    });
    let (display, authority) = display.context("no process of the session has a DISPLAY")?;
    let mut xterm = scene.user.command("xterm".as_ref());
    xterm.args(["-title", "used", "-e", "sleep", "1000"]).env("DISPLAY", display);
    if let Some(authority) = authority {
        xterm.env("XAUTHORITY", authority);
    }
    let mut xterm = xterm.spawn()?;
    screen.wait_for("used", wait::STEP)?;
    let _ = xterm.kill();
    xterm.wait()?;
    // Shorter ones count as failed.
    wait::until("time to pass", wait::STEP, || (began.elapsed() > TOO_SHORT + Duration::from_secs(1)).then_some(()))?;
    log_out(&scene)?;
    scene.user.wait_for_no_process(Duration::from_secs(15))?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure, None);
    drop(greeter);
    scene.finish()
}

#[test]
fn xfce_starts_is_used_and_ends() -> Result<()> {
    desktop("xfce", &["xfce4-panel"], |scene| {
        let logout = scene.user.processes().into_iter().find_map(|pid| {
            let env = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let env = String::from_utf8_lossy(&env).into_owned();
            env.contains("SESSION_MANAGER=").then_some(env)
        });
        let env = logout.context("no process of the session knows its session manager")?;
        let mut command = scene.user.command("xfce4-session-logout".as_ref());
        command.args(["--logout", "--fast"]);
        for (name, value) in env.split('\0').filter_map(|variable| variable.split_once('=')) {
            command.env(name, value);
        }
        anyhow::ensure!(command.status()?.success(), "xfce4-session-logout failed");
        Ok(())
    })
}

#[test]
fn icewm_starts_is_used_and_ends() -> Result<()> {
    desktop("icewm-session", &["TaskBar"], |scene| {
        let find = || {
            scene.user.processes().into_iter().find(|pid| {
                let line = ldm_tests::sweep::command_line(*pid);
                line.starts_with("icewm-session") || line.ends_with("/icewm-session")
            })
        };
        let pid = find().context("icewm-session does not run")?;
        // It may miss a signal that comes while it begins to wait for one.
        for _ in 0..4 {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
            if wait::until("its end", Duration::from_secs(5), || find().is_none().then_some(())).is_ok() {
                break;
            }
        }
        Ok(())
    })
}
