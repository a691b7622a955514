//! The X server that is the default: Xorg, here with Debian's dummy driver.

use std::fs;

use anyhow::{Result, ensure};
use ldm_tests::scene::screen_of;
use ldm_tests::sshd::children;
use ldm_tests::{Daemon, Desk, Lab, Sshd, User, sweep, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DUMMY: &str = "\
Section \"ServerFlags\"\n  Option \"AutoAddDevices\" \"false\"\nEndSection\n\
Section \"Device\"\n  Identifier \"dummy\"\n  Driver \"dummy\"\n  VideoRam 65536\nEndSection\n\
Section \"Monitor\"\n  Identifier \"monitor\"\n  HorizSync 5.0-1000.0\n  VertRefresh 5.0-200.0\nEndSection\n\
Section \"Screen\"\n  Identifier \"screen\"\n  Device \"dummy\"\n  Monitor \"monitor\"\n  DefaultDepth 24\n\
  SubSection \"Display\"\n    Depth 24\n    Modes \"1280x800\"\n  EndSubSection\nEndSection\n";

fn x_of(daemon: &Daemon) -> Result<i32> {
    // The kernel's list may leave some out while others go.
    wait::until("the daemon's X server", wait::STEP, || {
        children(daemon.pid()).into_iter().find(|pid| sweep::command_line(*pid).contains("Xorg"))
    })
}

#[test]
fn a_session_on_xorg_and_a_fresh_one_after_it() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let config = lab.file("dummy.conf");
    fs::write(&config, DUMMY)?;
    let mut daemon = Daemon::builder(&lab)
        .set("LDM_XSERVER", &format!("Xorg -config {} -logfile {}", config.display(), lab.log("xorg").display()))
        .server(&sshd, sshd.port())?
        .start()?;
    let desk = Desk { user: &user };
    let mut last = None;
    for _ in 0..2 {
        let mut greeter = daemon.greeter()?;
        let x = x_of(&daemon)?;
        ensure!(last.replace(x) != Some(x), "the second user has the first one's X server");
        let line = sweep::command_line(x);
        for wanted in ["-nolisten tcp", "-displayfd", "-auth"] {
            ensure!(line.contains(wanted), "no {wanted}: {line}");
        }
        let screen = screen_of(&lab, &greeter)?;
        desk.prepare()?;
        greeter.login(&user.name, &[&user.password])?.expect_in()?;
        greeter.start(Some("desk"))?;
        desk.wait_until_up()?;
        screen.wait_for(&desk.title(), wait::STEP)?;
        // Without the cookie nobody gets in.
        let mut stranger = std::process::Command::new("xwininfo");
        stranger
            .arg("-root")
            .env("DISPLAY", &screen.display)
            .env("XAUTHORITY", "/nonexistent")
            .env("HOME", "/nonexistent");
        ensure!(!stranger.output()?.status.success(), "anybody may use the display");
        desk.end()?;
        user.wait_for_no_process(wait::STEP)?;
        let _ = fs::remove_file(lab.file("copied-xauthority"));
    }
    // Killed, it comes back.
    let greeter = daemon.greeter()?;
    kill(Pid::from_raw(x_of(&daemon)?), Signal::SIGKILL)?;
    drop(greeter);
    drop(daemon.greeter()?);
    daemon.stop()
}

#[test]
fn the_daemon_ends_with_the_display_that_it_was_given() -> Result<()> {
    let mut scene = ldm_tests::Scene::new()?;
    let greeter = scene.daemon.greeter()?;
    scene.x.program().kill();
    drop(greeter);
    let status = scene.daemon.program().wait(wait::STEP)?;
    ensure!(status.code() == Some(3), "{status}");
    scene.daemon.greeter_user().wait_for_no_process(wait::STEP)?;
    scene.daemon.worker_user().wait_for_no_process(wait::STEP)
}
