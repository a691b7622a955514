//! The main job: log in, choose, use, log out, log in again.

use anyhow::Result;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::scene::RECOVERY;
use ldm_tests::{Desk, Scene, wait};

#[test]
fn log_in_use_log_out_and_log_in_again() -> Result<()> {
    let mut scene = Scene::new()?;
    Desk::offer(&scene.lab, "other", "")?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert_eq!(seat.server, format!("127.0.0.1:{}", scene.sshd.port()));
    assert_eq!(seat.failure, None);
    assert!(!seat.hostname.is_empty());
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    let said = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(said.last().map(|text| text.trim()), Some("secret: Password:"), "{said:?}");
    let sessions = greeter.sessions()?;
    let ids: Vec<&str> = sessions.sessions.iter().map(|session| session.id.as_str()).collect();
    assert!(ids.contains(&"desk") && ids.contains(&"other"), "{ids:?}");
    assert_eq!(sessions.forced, None);
    scene.desk().prepare()?;
    greeter.start(Some("other"))?;
    scene.desk().wait_until_up()?;
    scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)?;
    let env = scene.desk().env()?;
    assert_eq!(env.get("DESKTOP_SESSION").map(String::as_str), Some("other"));
    assert!(!scene.daemon.has_new_greeter(), "a greeter beside the session");

    scene.work_and_log_out()?;
    let mut greeter = scene.daemon.greeter_within(RECOVERY)?;
    assert_eq!(greeter.seat()?.failure, None, "a normal logout is no failure");
    scene.x.screen().wait_until_gone("desk of", wait::STEP)?;

    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.daemon.greeter_within(RECOVERY)?;
    scene.finish()
}

#[test]
fn the_session_knows_its_client_its_name_and_its_language() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LDM_FORCE_LANGUAGE", "C.UTF-8")))?;
    scene.user.write(".profile", "export FROM_PROFILE=yes\n", 0o644)?;
    scene.log_in()?;
    let env = scene.desk().env()?;
    for (name, want) in [
        ("LANG", "C.UTF-8"),
        ("DESKTOP_SESSION", "desk"),
        ("XDG_SESSION_DESKTOP", "desk"),
        ("GDMSESSION", "desk"),
        ("XDG_CURRENT_DESKTOP", "Lab:desk"),
        ("XDG_SESSION_TYPE", "x11"),
        ("LTSP_CLIENT", "127.0.0.1"),
        ("FROM_PROFILE", "yes"),
        ("USER", scene.user.name.as_str()),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(want), "{name} in {env:?}");
    }
    assert!(env.get("LTSP_CLIENT_HOSTNAME").is_some_and(|name| !name.is_empty()), "{env:?}");
    assert!(env.get("DISPLAY").is_some_and(|display| display.starts_with("localhost:")), "{env:?}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_forced_session_is_not_asked_for() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LDM_FORCE_SESSION", "desk")))?;
    Desk::offer(&scene.lab, "other", "")?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(greeter.sessions()?.forced.as_deref(), Some("desk"));
    scene.desk().prepare()?;
    // Whatever a greeter says.
    greeter.start(Some("other"))?;
    scene.desk().wait_until_up()?;
    assert_eq!(scene.desk().env()?.get("DESKTOP_SESSION").map(String::as_str), Some("desk"));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn the_last_choice_is_remembered_for_the_user() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LDM_SESSION", "other")))?;
    Desk::offer(&scene.lab, "other", "")?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(greeter.sessions()?.preselected.as_deref(), Some("other"), "the administrator's choice comes first");
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    scene.desk().wait_until_up()?;
    scene.log_out()?;

    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(greeter.sessions()?.preselected.as_deref(), Some("desk"));

    // A remembered session that is gone falls back.
    std::fs::remove_file(scene.lab.file("share/xsessions/desk.desktop"))?;
    greeter.leave()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(greeter.sessions()?.preselected.as_deref(), Some("other"));
    drop(greeter);
    scene.finish()
}

#[test]
fn once_ends_the_daemon_after_the_first_session() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.argument("--once")))?;
    scene.log_in()?;
    scene.work_and_log_out()?;
    assert!(scene.daemon.program().wait(wait::STEP)?.success());
    assert!(!scene.daemon.has_new_greeter());
    Ok(())
}

#[test]
fn a_session_ends_when_the_daemon_is_asked_to() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    scene.finish()
}
