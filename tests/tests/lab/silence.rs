//! A pulled cable while nobody is in a session yet: nothing arrives and nobody is told.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ldm_protocol::Secret;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::{Daemon, Greeter, Relay, Scene, wait};

fn far_scene() -> Result<(Scene, Relay)> {
    let mut scene = Scene::new()?;
    let relay = Relay::new(scene.sshd.port())?;
    scene.daemon.stop()?;
    scene.daemon = Daemon::builder(&scene.lab).on(scene.x.screen()).server(&scene.sshd, relay.port())?.start()?;
    Ok((scene, relay))
}

/// Answers into the silence.
fn answer(scene: &Scene, greeter: &mut Greeter) -> Result<()> {
    greeter.send(&Request::PostAuthMessageResponse { response: Some(Secret::new(&scene.user.password)?) })
}

/// What the kernel knows of the worker's connection.
fn connection(port: u16) -> Result<String> {
    let output = Command::new("ss").args(["-Htno", "state", "established", &format!("dport = :{port}")]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_kernel_watches_the_line_while_the_user_types() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    // SSH's own keepalive begins only with the session. The kernel's is not fooled by a peer that is merely quiet, and a
    // relay's kernel always answers: so the timer is all that can be seen here.
    greeter.login_to_question(&scene.user.name)?;
    wait::until("a keepalive timer of some seconds", wait::STEP, || {
        let line = connection(scene.sshd.port()).ok()?;
        let (_, timer) = line.split_once("timer:(keepalive,")?;
        let seconds: f64 = timer.split_once("sec")?.0.parse().ok()?;
        (seconds <= 20.0).then_some(())
    })
    .with_context(|| connection(scene.sshd.port()).unwrap_or_default())?;
    drop(greeter);
    scene.finish()
}

#[test]
fn whoever_does_not_want_to_wait_for_a_silent_link_need_not() -> Result<()> {
    let (mut scene, relay) = far_scene()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    relay.fall_silent();
    answer(&scene, &mut greeter)?;
    let began = Instant::now();
    greeter.send(&Request::CancelSession)?;
    // Both are answered: the login with an error, the cancelling with success.
    let answers = [greeter.receive()?, greeter.receive()?];
    ensure!(matches!(answers, [Response::Error { .. }, Response::Success]), "{answers:?}");
    ensure!(began.elapsed() < Duration::from_secs(5), "after {:?}", began.elapsed());
    scene.daemon.wait_for_no_worker()?;
    relay.cut();
    relay.recover();
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}
