//! What adds up, and what is pushed: many failed logins, greeters that flood, servers with the least room.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use ldm_protocol::FailureKind;
use ldm_protocol::frame::encode;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::scene::RECOVERY;
use ldm_tests::sshd::children;
use ldm_tests::{Daemon, Desk, Lab, Scene, Sshd, User, sweep, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Open descriptors and child processes, dead ones too, once the daemon has come to rest: a worker's last descriptors are
/// closed a moment after it has ended.
fn held(pid: i32) -> Result<(usize, usize)> {
    let (mut last, mut alike) = ((0, 0), 0);
    wait::try_until("the daemon at rest", wait::STEP, || {
        let now = (fs::read_dir(format!("/proc/{pid}/fd"))?.count(), children(pid).len());
        alike = if now == last { alike + 1 } else { 0 };
        last = now;
        Ok((alike >= 20).then_some(now))
    })
}

#[test]
fn many_failed_logins_leave_nothing_behind() -> Result<()> {
    // A name that cannot be refused before the server is asked, and a server that has no questions: quick failures.
    let mut scene = Scene::with(
        |sshd| sshd.line("KbdInteractiveAuthentication no").line("PasswordAuthentication no").line("MaxStartups 100"),
        |daemon| Ok(daemon),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    let mut fail = |times: usize| -> Result<(usize, usize)> {
        for _ in 0..times {
            greeter.login(&scene.user.name, &[])?.expect_refused()?.expect(FailureKind::NoMethod)?;
        }
        scene.daemon.wait_for_no_worker()?;
        held(scene.daemon.pid())
    };
    let few = fail(3)?;
    let many = fail(200)?;
    assert_eq!(many, few, "descriptors and children");
    drop(greeter);
    scene.finish()
}

#[test]
fn a_greeter_that_floods_is_cut_off_and_the_seat_works_on() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    let frame = encode(&Request::LdmPrepare)?;
    let flood: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 1000).collect();
    // It may be cut off in the middle of it.
    let _ = greeter.send_bytes(&flood);
    while greeter.receive().is_ok() {}
    drop(greeter);
    assert!(!scene.daemon.log_text().contains("does not take answers"), "answers were lost");
    let greeter = scene.daemon.greeter_within(RECOVERY)?;
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn one_channel_at_a_time_is_enough() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("MaxSessions 1"), |daemon| Ok(daemon))?;
    for _ in 0..3 {
        let mut greeter = scene.daemon.greeter_within(RECOVERY)?;
        scene.desk().prepare()?;
        greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
        let offered = greeter.sessions()?.sessions;
        assert!(offered.iter().any(|session| session.id == "desk"), "{offered:?}");
        greeter.start(Some("desk"))?;
        scene.desk().wait_until_up()?;
        scene.log_out()?;
    }
    scene.finish()
}

#[test]
fn one_channel_at_a_time_is_enough_also_without_the_helper() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("MaxSessions 1").helper(false), |daemon| Ok(daemon))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.sessions()?;
    greeter.start(Some("icewm-session"))?;
    scene.x.screen().wait_for("TaskBar", wait::STEP)?;
    scene.daemon.stop()?;
    scene.user.wait_for_no_process(Duration::from_secs(10))
}

#[test]
fn a_helper_killed_in_session_is_told_as_a_lost_session() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let helper = wait::until("the helper", wait::STEP, || {
        sweep::processes_of(scene.user.uid)
            .into_iter()
            .find(|pid| sweep::command_line(*pid).contains("ldm-server-helper"))
    })?;
    kill(Pid::from_raw(helper), Signal::SIGKILL)?;
    let mut greeter = scene.daemon.greeter_within(RECOVERY)?;
    let failure = greeter.seat()?.failure.context("the greeter was told of no failure")?;
    assert_eq!(failure.kind, FailureKind::SessionLost, "{failure:?}");
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    drop(greeter);
    scene.user.wait_for_no_process(Duration::from_secs(20))?;
    scene.finish()
}

#[test]
fn sessions_on_x_servers_of_their_own_leave_nothing_behind() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let mut daemon = Daemon::builder(&lab)
        .set("LDM_XSERVER", "/usr/bin/Xvfb -screen 0 640x480x24")
        .server(&sshd, sshd.port())?
        .start()?;
    let desk = Desk { user: &user };
    let mut counts = Vec::new();
    for _ in 0..5 {
        let mut greeter = daemon.greeter_within(RECOVERY)?;
        daemon.wait_for_no_worker()?;
        let directory =
            fs::read_dir(std::path::Path::new(greeter.env("GREETD_SOCK")?).parent().context("no directory")?)?;
        counts.push((held(daemon.pid())?, directory.count()));
        desk.prepare()?;
        greeter.login(&user.name, &[&user.password])?.expect_in()?;
        greeter.start(Some("desk"))?;
        desk.wait_until_up()?;
        desk.end()?;
        user.wait_for_no_process(wait::STEP)?;
    }
    assert!(counts.iter().all(|count| count == &counts[0]), "descriptors, children and files: {counts:?}");
    daemon.stop()
}

#[test]
fn an_x_server_in_a_script_is_ended_kindly_also_while_it_starts() -> Result<()> {
    let lab = Lab::new()?;
    let (began, ended) = (lab.file("x-began"), lab.file("x-ended"));
    let script = lab.script(
        "x-server",
        &format!(
            "trap 'kill $pid; wait; echo kindly >{ended}; exit 0' TERM\necho began >{began}\nsleep 1\n\
             /usr/bin/Xvfb \"$@\" & pid=$!\nwait $pid",
            began = began.display(),
            ended = ended.display()
        ),
    )?;
    for greet in [false, true] {
        for file in [&began, &ended] {
            let _ = fs::remove_file(file);
        }
        let mut daemon = Daemon::builder(&lab).set("LDM_XSERVER", &script.to_string_lossy()).start()?;
        if greet {
            daemon.greeter_within(RECOVERY)?;
        } else {
            ldm_tests::sshd::wait_for_file(&began, wait::STEP)?;
        }
        daemon.stop()?;
        ldm_tests::sshd::wait_for_file(&ended, wait::STEP)?;
    }
    Ok(())
}

#[test]
fn a_login_begun_and_given_up_many_times_piles_nothing_up() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("MaxStartups 100"), |daemon| Ok(daemon))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    scene.daemon.wait_for_no_worker()?;
    let before = held(scene.daemon.pid())?;
    let mut most = 0;
    for _ in 0..40 {
        greeter.login_to_question(&scene.user.name)?;
        assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
        most = most.max(sweep::processes_of(scene.daemon.worker_user().uid).len());
    }
    assert!(most <= 4, "{most} workers at once");
    scene.daemon.wait_for_no_worker()?;
    assert_eq!(held(scene.daemon.pid())?, before, "descriptors and children");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_daemon_that_is_killed_takes_its_x_server_with_it() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::builder(&lab).set("LDM_XSERVER", "/usr/bin/Xvfb -screen 0 640x480x24").start()?;
    let greeter = daemon.greeter_within(RECOVERY)?;
    let below = ldm_tests::daemon::descendants(daemon.pid());
    assert!(below.len() >= 2, "{below:?}");
    daemon.program().kill();
    drop(greeter);
    for (pid, _) in below {
        wait::until(&format!("the end of {pid}"), wait::STEP, || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (state.is_empty() || state.contains(") Z ")).then_some(())
        })?;
    }
    Ok(())
}
