//! Everything that can break does, in the greeter, during authentication and in the session: each time the seat is back at
//! a usable greeter soon, and nothing is left running on either side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::scene::{RECOVERY, screen_of};
use ldm_tests::sshd::children;
use ldm_tests::{Daemon, Desk, Greeter, Lab, Relay, Scene, Sshd, User, sweep, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn kill_now(pid: i32) -> Result<()> {
    Ok(kill(Pid::from_raw(pid), Signal::SIGKILL)?)
}

/// After a fault in the session: a greeter within the time, told of this failure, and nothing left on the server.
fn back_at_a_greeter(scene: &mut Scene, kind: FailureKind) -> Result<Greeter> {
    let mut greeter = scene.daemon.greeter_within(RECOVERY)?;
    let failure = greeter.seat()?.failure.context("the greeter was told of no failure")?;
    ensure!(failure.kind == kind, "{failure:?} instead of {kind:?}");
    Ok(greeter)
}

/// Everything works as before the fault.
fn still_works(mut scene: Scene, greeter: Greeter) -> Result<()> {
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.daemon.greeter_within(RECOVERY)?;
    scene.finish()
}

#[test]
fn greeter_killed_while_idle() -> Result<()> {
    let mut scene = Scene::new()?;
    let greeter = scene.daemon.greeter()?;
    kill_now(greeter.hello().pid)?;
    let greeter = scene.daemon.greeter_within(RECOVERY)?;
    still_works(scene, greeter)
}

#[test]
fn greeter_killed_during_authentication() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    kill_now(greeter.hello().pid)?;
    let greeter = scene.daemon.greeter_within(RECOVERY)?;
    scene.daemon.wait_for_no_worker()?;
    still_works(scene, greeter)
}

#[test]
fn greeter_killed_after_authentication() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    kill_now(greeter.hello().pid)?;
    let greeter = scene.daemon.greeter_within(RECOVERY)?;
    // Nobody else may walk in with that login.
    scene.daemon.wait_for_no_worker()?;
    still_works(scene, greeter)
}

#[test]
fn a_greeter_that_always_dies_is_started_again_ever_more_slowly() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let greeter = scene.daemon.greeter()?;
        times.push(Instant::now());
        kill_now(greeter.hello().pid)?;
    }
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[3] > gaps[0] && gaps[3] > Duration::from_millis(500), "no growing delay: {gaps:?}");
    let greeter = scene.daemon.greeter()?;
    still_works(scene, greeter)
}

/// A seat that starts its own X server.
fn own_x() -> Result<(Lab, Sshd, User, Daemon)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let daemon = Daemon::builder(&lab)
        .set("LDM_XSERVER", "/usr/bin/Xvfb -screen 0 1280x800x24")
        .server(&sshd, sshd.port())?
        .start()?;
    Ok((lab, sshd, user, daemon))
}

fn x_of(daemon: &Daemon) -> Result<i32> {
    // The kernel's list may leave some out while others go.
    wait::until("the daemon's X server", wait::STEP, || {
        children(daemon.pid()).into_iter().find(|pid| sweep::command_line(*pid).contains("Xvfb"))
    })
}

/// A new greeter on a new X server that can be used.
fn new_display(daemon: &mut Daemon, old: i32) -> Result<Greeter> {
    let greeter = daemon.greeter_within(RECOVERY)?;
    assert_ne!(x_of(daemon)?, old, "the X server is the old one");
    Ok(greeter)
}

#[test]
fn a_fresh_x_server_for_each_login_and_none_for_a_mistyped_password() -> Result<()> {
    let (lab, sshd, user, mut daemon) = own_x()?;
    lab.secret("Lab-mistyped-password");
    let mut greeter = daemon.greeter()?;
    let first = x_of(&daemon)?;
    greeter.login(&user.name, &["Lab-mistyped-password"])?.expect_refused()?.expect(FailureKind::Denied)?;
    assert_eq!(x_of(&daemon)?, first);
    let screen = screen_of(&lab, &greeter)?;
    let desk = Desk { user: &user };
    desk.prepare()?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    greeter.start(Some("desk"))?;
    desk.wait_until_up()?;
    screen.wait_for(&desk.title(), wait::STEP)?;
    assert!(
        !sweep::command_line(first).contains("-listen"),
        "the X server listens to the network: {}",
        sweep::command_line(first)
    );
    desk.end()?;
    let greeter = new_display(&mut daemon, first)?;
    drop(greeter);
    user.wait_for_no_process(wait::STEP)?;
    daemon.stop()?;
    drop(sshd);
    Ok(())
}

/// An Xorg without hardware.
const DUMMY: &str = r#"
Section "Device"
  Identifier "dummy"
  Driver "dummy"
EndSection
Section "Screen"
  Identifier "screen"
  Device "dummy"
  DefaultDepth 24
EndSection
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoEnableDevices" "false"
  Option "DontVTSwitch" "true"
EndSection
"#;

#[test]
#[allow(clippy::print_stderr)]
fn xorg_itself_is_started_and_a_session_shown_on_it() -> Result<()> {
    if std::fs::File::options().read(true).write(true).open("/dev/tty0").is_err() {
        eprintln!("skipped: Xorg as root needs a console, and there is no /dev/tty0 here");
        return Ok(());
    }
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let config = lab.file("xorg.conf");
    std::fs::write(&config, DUMMY)?;
    let xorg = format!(
        "/usr/lib/xorg/Xorg -config {} -logfile {} -novtswitch -sharevts -noreset",
        config.display(),
        lab.log("xorg").display()
    );
    let mut daemon = Daemon::builder(&lab).set("LDM_XSERVER", &xorg).server(&sshd, sshd.port())?.start()?;
    let mut greeter = daemon.greeter()?;
    let screen = screen_of(&lab, &greeter)?;
    let desk = Desk { user: &user };
    desk.prepare()?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    greeter.start(Some("desk"))?;
    desk.wait_until_up()?;
    screen.wait_for(&desk.title(), wait::STEP)?;
    desk.end()?;
    daemon.greeter_within(RECOVERY)?;
    user.wait_for_no_process(wait::STEP)?;
    daemon.stop()
}

#[test]
fn x_killed_while_idle() -> Result<()> {
    let (_lab, _sshd, user, mut daemon) = own_x()?;
    let greeter = daemon.greeter()?;
    let old = x_of(&daemon)?;
    kill_now(old)?;
    drop(greeter);
    let mut greeter = new_display(&mut daemon, old)?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    drop(greeter);
    daemon.stop()
}

#[test]
fn x_killed_during_authentication() -> Result<()> {
    let (_lab, _sshd, user, mut daemon) = own_x()?;
    let mut greeter = daemon.greeter()?;
    greeter.login_to_question(&user.name)?;
    let old = x_of(&daemon)?;
    kill_now(old)?;
    let mut greeter = new_display(&mut daemon, old)?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    drop(greeter);
    daemon.stop()
}

#[test]
fn x_killed_in_session() -> Result<()> {
    let (_lab, _sshd, user, mut daemon) = own_x()?;
    let desk = Desk { user: &user };
    desk.prepare()?;
    let mut greeter = daemon.greeter()?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    greeter.start(Some("desk"))?;
    desk.wait_until_up()?;
    let old = x_of(&daemon)?;
    kill_now(old)?;
    let mut greeter = new_display(&mut daemon, old)?;
    let failure = greeter.seat()?.failure.context("the greeter was told of no failure")?;
    assert_eq!(failure.kind, FailureKind::DisplayLost, "{failure:?}");
    user.wait_for_no_process(Duration::from_secs(10))?;
    drop(greeter);
    daemon.stop()
}

#[test]
fn worker_killed_before_a_login() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    kill_now(scene.daemon.wait_for_worker()?)?;
    scene.daemon.wait_for_no_worker()?;
    still_works(scene, greeter)
}

#[test]
fn worker_killed_during_authentication() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    kill_now(scene.daemon.wait_for_worker()?)?;
    // Whatever is answered now, it fails, and not as a wrong password.
    greeter
        .send(&Request::PostAuthMessageResponse { response: Some(ldm_protocol::Secret::new(&scene.user.password)?) })?;
    let refusal = greeter.converse(&[])?.expect_refused()?;
    assert_ne!(refusal.failure.kind, FailureKind::Denied, "{refusal:?}");
    still_works(scene, greeter)
}

#[test]
fn worker_killed_in_session() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    kill_now(scene.daemon.wait_for_worker()?)?;
    let mut greeter = scene.daemon.greeter_within(RECOVERY)?;
    let failure = greeter.seat()?.failure.context("the greeter was told of no failure")?;
    assert!(matches!(failure.kind, FailureKind::LinkLost | FailureKind::Internal), "{failure:?}");
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    still_works(scene, greeter)
}

#[test]
fn sshd_killed_before_a_login() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    wait::until("sshd to serve it", wait::STEP, || (!scene.sshd.connections().is_empty()).then_some(()))?;
    let port = scene.sshd.port();
    scene.sshd.crash();
    scene.sshd = Sshd::builder(&scene.lab).port(port).start()?;
    // The dead connection is replaced without a word, or told as lost, but the user can go on.
    still_works(scene, greeter)
}

#[test]
fn sshd_killed_during_authentication() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    let port = scene.sshd.port();
    scene.sshd.crash();
    greeter
        .send(&Request::PostAuthMessageResponse { response: Some(ldm_protocol::Secret::new(&scene.user.password)?) })?;
    greeter.converse(&[])?.expect_refused()?.expect(FailureKind::ConnectionLost)?;
    scene.sshd = Sshd::builder(&scene.lab).port(port).start()?;
    still_works(scene, greeter)
}

#[test]
fn sshd_killed_in_session() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let port = scene.sshd.port();
    scene.sshd.crash();
    let greeter = back_at_a_greeter(&mut scene, FailureKind::LinkLost)?;
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    scene.sshd = Sshd::builder(&scene.lab).port(port).start()?;
    still_works(scene, greeter)
}

/// A seat whose server is behind a relay.
fn far_scene() -> Result<(Scene, Relay)> {
    let mut scene = Scene::new()?;
    let relay = Relay::new(scene.sshd.port())?;
    scene.daemon.stop()?;
    scene.daemon = Daemon::builder(&scene.lab).on(scene.x.screen()).server(&scene.sshd, relay.port())?.start()?;
    Ok((scene, relay))
}

#[test]
fn link_cut_before_a_login() -> Result<()> {
    let (mut scene, relay) = far_scene()?;
    let mut greeter = scene.daemon.greeter()?;
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    wait::until("the early connection", wait::STEP, || (relay.bytes() > 1000).then_some(()))?;
    relay.cut();
    still_works(scene, greeter)
}

#[test]
fn link_cut_during_authentication() -> Result<()> {
    let (mut scene, relay) = far_scene()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    relay.cut();
    greeter
        .send(&Request::PostAuthMessageResponse { response: Some(ldm_protocol::Secret::new(&scene.user.password)?) })?;
    greeter.converse(&[])?.expect_refused()?.expect(FailureKind::ConnectionLost)?;
    still_works(scene, greeter)
}

#[test]
fn link_cut_in_session() -> Result<()> {
    let (mut scene, relay) = far_scene()?;
    scene.log_in()?;
    relay.cut();
    let greeter = back_at_a_greeter(&mut scene, FailureKind::LinkLost)?;
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    still_works(scene, greeter)
}

#[test]
fn a_silent_link_is_noticed_within_a_minute() -> Result<()> {
    let (mut scene, relay) = far_scene()?;
    scene.log_in()?;
    relay.fall_silent();
    let began = Instant::now();
    let mut greeter = scene.daemon.greeter_within(Duration::from_mins(1) + RECOVERY)?;
    let failure = greeter.seat()?.failure.context("the greeter was told of no failure")?;
    assert_eq!(failure.kind, FailureKind::LinkLost, "{failure:?}");
    assert!(began.elapsed() > Duration::from_secs(5), "a short silence must not end a session");
    // The server notices by its own means; the lab's has only the end of the connection.
    relay.recover();
    relay.cut();
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    still_works(scene, greeter)
}

#[test]
fn daemon_killed_in_session_leaves_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    scene.daemon.program().kill();
    scene.daemon.worker_user().wait_for_no_process(wait::STEP)?;
    scene.user.wait_for_no_process(Duration::from_secs(15))?;
    Ok(())
}

#[test]
fn daemon_killed_with_a_greeter_leaves_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    scene.daemon.program().kill();
    scene.daemon.worker_user().wait_for_no_process(wait::STEP)?;
    scene.daemon.greeter_user().wait_for_no_process(wait::STEP)
}
