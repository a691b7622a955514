//! Other people's greetd greeters, in a terminal on the client's display.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use ldm_tests::scene::RECOVERY;
use ldm_tests::{Daemon, Desk, Lab, Scene, Sshd, User, XServer, stage, wait};

/// A greeter's program, copied to where its user can reach it.
fn tool(lab: &Lab, name: &str) -> Result<PathBuf> {
    let path = stage::checkout().join("target/tools/bin").join(name);
    ensure!(path.exists(), "{} is missing: run `make tools` first", path.display());
    let copy = lab.file(name);
    fs::copy(&path, &copy)?;
    Ok(copy)
}

/// A seat with this greeter in an xterm whose output is recorded.
fn seat(tool_name: &str, arguments: &str) -> Result<(Scene, PathBuf)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let tool = tool(&lab, tool_name)?;
    let record = lab.log("greeter-terminal");
    fs::write(&record, "")?;
    fs::set_permissions(&record, fs::Permissions::from_mode(0o666))?;
    let terminal = lab.script(
        "terminal-greeter",
        &format!(
            "exec xterm -geometry 150x50+0+0 -title foreign -e script --quiet --flush --append --command '{} {arguments}' {}",
            tool.display(),
            record.display()
        ),
    )?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &terminal.to_string_lossy())
        .start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, record))
}

fn use_session(scene: Scene) -> Result<()> {
    scene.desk().wait_until_up()?;
    scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)?;
    assert_eq!(scene.desk().env()?.get("DESKTOP_SESSION").map(String::as_str), Some("desk"));
    scene.work_and_log_out()?;
    scene.x.screen().wait_for("foreign", wait::STEP)?;
    scene.finish()
}

#[test]
fn agreety_logs_in_to_the_remote_session() -> Result<()> {
    let (scene, record) = seat("agreety", "--cmd \"ldm-session desk\"")?;
    let screen = scene.x.screen();
    scene.desk().prepare()?;
    wait::for_line(&record, "login:", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    wait::for_line(&record, "Password:", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    use_session(scene)
}

#[test]
fn tuigreet_logs_in_to_the_remote_session() -> Result<()> {
    let (scene, record) = seat("tuigreet", "--cmd \"ldm-session desk\"")?;
    let screen = scene.x.screen();
    scene.desk().prepare()?;
    wait::for_line(&record, "Username:", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    wait::for_line(&record, "Password:", wait::STEP)?;
    screen.type_text("mistyped\n")?;
    // It says so and begins again by itself with the name it has.
    wait::for_line(&record, "Authentication", wait::STEP)?;
    wait::until("the second question", wait::STEP, || {
        (scene.sshd.log_text().matches("Postponed keyboard-interactive for").count() > 1).then_some(())
    })?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    use_session(scene)
}

#[test]
fn a_foreign_greeter_finds_the_sessions_as_desktop_files() -> Result<()> {
    let mut scene = Scene::new()?;
    let greeter = scene.daemon.greeter()?;
    // The first folder is the daemon's; the others hold what a greeter's own libraries need.
    let read = |dirs: &str| -> Vec<String> {
        let first = dirs.split(':').next().unwrap_or_default();
        let entries = fs::read_dir(format!("{first}/xsessions")).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect()
    };
    let default = read(greeter.env("XDG_DATA_DIRS")?);
    assert!(default.iter().any(|text| text.contains("\nExec=ldm-session default\n")), "{default:?}");
    assert!(default.iter().all(|text| text.contains("\nExec=ldm-session ")), "a session of the client's: {default:?}");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    // The server's list is known from then on.
    let greeter = scene.daemon.greeter_within(RECOVERY)?;
    let known = read(greeter.env("XDG_DATA_DIRS")?);
    assert!(
        known.iter().any(|text| text.contains("\nExec=ldm-session desk\n") && text.contains("\nName=Lab desk\n")),
        "{known:?}"
    );
    drop(greeter);
    scene.finish()
}
