//! What servers say that is too long, not text, or neither a question nor an answer.

use anyhow::{Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::{Scene, sshd, wait};

fn with_banner(text: &[u8]) -> Result<Scene> {
    Scene::with(
        |sshd| {
            let banner = sshd.file("banner", text);
            sshd.line(&format!("Banner {}", banner.display()))
        },
        |daemon| Ok(daemon),
    )
}

#[test]
fn a_banner_of_10_mb_does_not_keep_anybody_out() -> Result<()> {
    // OpenSSH sends no banner of more than 1 MB; other servers' are in the tests of ssh_transport.
    let mut scene = with_banner(&b"a line of the banner\n".repeat(500_000))?;
    scene.log_in()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_banner_that_cannot_be_read_is_the_administrators_to_correct() -> Result<()> {
    // ISO 8859-1; RFC 4252 wants UTF-8.
    let mut scene = with_banner(b"Gesch\xfctztes System\n")?;
    let mut greeter = scene.daemon.greeter()?;
    for _ in 0..2 {
        let refusal = greeter.login(&scene.user.name, &[])?.expect_refused()?;
        let refusal = refusal.expect(FailureKind::ServerIncompatible)?;
        ensure!(!refusal.text.contains("ry again"), "it would end the same way: {}", refusal.text);
    }
    wait::for_line(scene.daemon.log(), "encoding", wait::STEP)?;
    drop(greeter);
    scene.finish()
}

/// A stack with this line first.
fn pam<'a>(sshd: sshd::Builder<'a>, line: &str) -> sshd::Builder<'a> {
    sshd.pam(&format!(
        "{line}\nauth required pam_unix.so nodelay\naccount required pam_unix.so\nsession required pam_unix.so"
    ))
}

#[test]
fn what_pam_tells_is_shown_before_it_asks() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| {
            let file = sshd.file("news", b"Maintenance <b>tonight</b> at 22:00.\n");
            pam(sshd, &format!("auth optional pam_echo.so file={}", file.display()))
        },
        |daemon| Ok(daemon),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    let said = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let (told, asked) =
        (said.join("\n").find("Maintenance <b>tonight</b> at 22:00."), said.join("\n").find("Password:"));
    ensure!(told.is_some() && told < asked, "{said:?}");
    drop(greeter);
    scene.finish()
}

#[test]
fn why_pam_refuses_is_shown() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| {
            let file = sshd.file("closed", b"The school is closed until Monday.\n");
            pam(sshd, &format!("auth requisite pam_nologin.so file={}", file.display()))
        },
        |daemon| Ok(daemon),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    // pam_nologin calls it an error and then refuses.
    let refusal = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?;
    ensure!(refusal.said.iter().any(|text| text.contains("closed until Monday.")), "{refusal:?}");
    refusal.expect(FailureKind::Denied)?;
    drop(greeter);
    scene.finish()
}
