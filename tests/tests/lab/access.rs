//! Everybody can log in: with a screen reader, without a mouse, with a keyboard on the screen.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::{Assistant, Daemon, Desk, Lab, Scene, Sshd, User, XServer, daemon, sweep, wait};

/// A seat with LDM's own greeter as the daemon starts it by itself.
fn seat(set: impl for<'a> FnOnce(&Lab, daemon::Builder<'a>) -> Result<daemon::Builder<'a>>) -> Result<Scene> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    Desk::offer(&lab, "other", "")?;
    let sshd = Sshd::builder(&lab).start()?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let builder = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &lab.bin()?.join("ldm-greeter").to_string_lossy())
        .set("LDM_THEME", &lab.bin()?.join("themes/default").to_string_lossy())
        .set("LDM_STATE_DIR", &lab.file("state").to_string_lossy());
    let daemon = set(&lab, builder)?.start()?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

/// The greeter that runs, and the socket of its message bus.
fn greeter(scene: &Scene) -> Result<(i32, PathBuf)> {
    let found = || {
        let pids = scene.daemon.greeter_user().processes().into_iter();
        let pid = { pids }.find(|&pid| sweep::command_line(pid).ends_with("ldm-greeter"))?;
        let socket = variable(pid, "DBUS_SESSION_BUS_ADDRESS")?.strip_prefix("unix:path=")?.to_owned();
        Some((pid, PathBuf::from(socket)))
    };
    wait::until("a greeter", wait::STEP, found).with_context(|| scene.daemon.log_text())
}

fn variable(pid: i32, name: &str) -> Option<String> {
    let env = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=");
    let mut all = env.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    all.find_map(|entry| entry.strip_prefix(&prefix).map(str::to_owned))
}

/// What no control that takes the keyboard may lack.
fn check_controls(assistant: &Assistant, where_: &str) -> Result<()> {
    for widget in assistant.tree().iter().filter(|widget| widget.is("focusable") && widget.is("visible")) {
        let structural = ["frame", "window", "list", "filler", "panel", "scroll pane"].contains(&widget.role.as_str());
        ensure!(!["", "unknown", "invalid"].contains(&widget.role.as_str()), "{where_}: without a role: {widget:?}");
        // GTK 4.8 gives those without a name that of their class.
        let named = !widget.name.is_empty() && !widget.name.starts_with("Gtk");
        ensure!(structural || named, "{where_}: without a name: {widget:?}");
    }
    Ok(())
}

#[test]
fn a_blind_user_logs_in() -> Result<()> {
    let scene =
        seat(|_, daemon| Ok(daemon.set("LDM_ACCESSIBILITY", "screen-reader").set("LDM_SCREEN_READER", "sleep 3600")))?;
    scene.desk().prepare()?;
    let (_, socket) = greeter(&scene)?;
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), socket)?;
    assistant.wait_for_question("User name")?;
    let heard = assistant.hear(&scene.lab)?;
    check_controls(&assistant, "at the name")?;
    assistant.write("User name", &scene.user.name)?;
    assistant.press("Log in")?;
    let password = assistant.wait_for_question("Password:")?;
    ensure!(password.role.contains("password"), "what is written would be read aloud: {password:?}");
    check_controls(&assistant, "at the password")?;
    scene.lab.secret("Lab-mistyped");
    assistant.write("Password:", "Lab-mistyped")?;
    assistant.press("Log in")?;
    let failure = FailureKind::Denied.message();
    // A screen reader speaks the description of what gets the keyboard, and an alert when it comes to be seen.
    let again = assistant.wait_for("the question again", wait::STEP, |widget| {
        widget.is("focused") && widget.role.contains("password") && widget.description.contains(failure)
    })?;
    ensure!(again.text.is_empty(), "the wrong password still stands there");
    wait::for_line(heard.log(), failure, wait::STEP)?;
    assistant.write("Password:", &scene.user.password)?;
    assistant.press("Log in")?;
    assistant.wait_for("the sessions", wait::STEP, |widget| widget.name.contains("Lab other"))?;
    check_controls(&assistant, "at the sessions")?;
    assistant.select("Lab desk")?;
    assistant.press("Start")?;
    scene.desk().wait_until_up()?;
    scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)?;
    scene.work_and_log_out()?;
    drop(heard);
    scene.finish()
}
