//! A theme that our own greeter does not survive, in a way that nobody has foreseen: the client has a login all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_tests::gui::Reader;
use ldm_tests::{Daemon, Desk, Kind, Lab, Scene, Sshd, User, XServer, wait};
use tempfile::TempDir;

/// A seat whose own greeter does this unless it is to read no theme, and waits for the scenario then.
fn seat(unless: &str) -> Result<Scene> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let bin = lab.file("bin");
    fs::create_dir(&bin)?;
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755))?;
    let programs = lab.bin()?;
    // By another process, as scripts are written (`Lab::script`).
    ensure!(Command::new("cp").arg(programs.join("ldm")).arg(&bin).status()?.success(), "ldm cannot be copied");
    let sockets = lab.file("greeter-*.sock");
    let fake = programs.join("ldm-fake-greeter");
    // Beside the daemon, and so its own greeter.
    lab.script(
        "bin/ldm-greeter",
        &format!(
            "[ \"$LDM_THEME\" = built-in ] || {unless}\nset -- {}\nexec {} \"$1\"",
            sockets.display(),
            fake.display()
        ),
    )?;
    let start = format!("shift; exec {} \"$@\"", bin.join("ldm").display());
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .own_greeter()
        .set("LDM_THEME", "hostile")
        .by(&["/bin/sh", "-c", &start, "sh"])
        .start()?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

/// The greeter that comes in time has no theme; one line says so, and a login works.
fn comes_without_its_theme(mut scene: Scene, limit: Duration, why: &str) -> Result<()> {
    let greeter = scene.daemon.greeter_within(limit)?;
    ensure!(greeter.env("LDM_THEME")? == "built-in", "LDM_THEME is {}", greeter.env("LDM_THEME")?);
    let log = scene.daemon.log_text();
    let said: Vec<_> = log.lines().filter(|line| line.contains("built-in look")).collect();
    ensure!(said.len() == 1, "{log}");
    ensure!(said.first().context("a line")?.contains(why), "{said:?}");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    let greeter = scene.daemon.greeter_within(limit)?;
    ensure!(greeter.env("LDM_THEME")? == "built-in", "the theme is back");
    drop(greeter);
    scene.finish()
}

#[test]
fn a_theme_that_kills_the_greeter_is_withdrawn() -> Result<()> {
    comes_without_its_theme(seat("kill -KILL $$")?, Duration::from_secs(10), "has died twice before it was seen")
}

#[test]
fn a_theme_that_hangs_the_greeter_is_withdrawn() -> Result<()> {
    comes_without_its_theme(seat("exec sleep 1000")?, Duration::from_secs(45), "showed nothing for 30 s")
}

/// A seat with this theme, whose greeter's texts are read, and the theme's folder.
pub(crate) fn themed(files: &[(&str, &str)]) -> Result<(Scene, Reader, TempDir)> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let theme = tempfile::Builder::new().prefix("ldm-lab-theme").tempdir()?;
    fs::set_permissions(theme.path(), fs::Permissions::from_mode(0o755))?;
    for (name, content) in files {
        fs::write(theme.path().join(name), content)?;
    }
    let greeter_user = User::create(&lab, Kind::System, "")?;
    let reader = Reader::new(&lab, &greeter_user)?;
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter())
        .set("LDM_THEME", &theme.path().to_string_lossy())
        .set("LDM_CLOCK_FORMAT", "the century: %C")
        .greeter_user(greeter_user)
        .start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, reader, theme))
}

#[test]
fn a_theme_that_shows_nothing_is_taken_off_by_the_greeter_itself() -> Result<()> {
    let (scene, reader, theme) = themed(&[("style.css", "* { opacity: 0; }\n")])?;
    let refused = format!("theme not used: {}/style.css: #entry is not seen", theme.path().display());
    wait::until("the theme's end", wait::STEP, || scene.daemon.log_text().contains(&refused).then_some(()))?;
    // Whoever draws now has been greeted by the daemon on a connection of its own, and sees nothing wrong.
    reader.wait_for_text("the century: 20", wait::STEP)?;
    let log = scene.daemon.log_text();
    ensure!(log.matches("theme not used").count() == 1 && !log.contains("ended without a session"), "{log}");
    scene.finish()
}
