//! What users type, and what the server's PAM makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Result, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::greetd::{ErrorType, Request, Response};
use ldm_tests::{Kind, Scene, User, sshd};

#[test]
fn a_wrong_password_asks_again_and_restarts_nothing() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.lab.secret("Lab-mistyped-password");
    let mut greeter = scene.daemon.greeter()?;
    let pid = greeter.hello().pid;
    for _ in 0..2 {
        let refusal = greeter.login(&scene.user.name, &["Lab-mistyped-password"])?.expect_refused()?;
        assert_eq!(refusal.kind, ErrorType::AuthError, "{refusal:?}");
        refusal.expect(FailureKind::Denied)?;
    }
    assert!(scene.x.program().is_running());
    assert_eq!(greeter.hello().pid, pid);
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn an_unknown_user_is_told_the_same_as_a_wrong_password() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.lab.secret("Lab-wrong-one");
    let mut greeter = scene.daemon.greeter()?;
    let wrong = greeter.login(&scene.user.name, &["Lab-wrong-one"])?.expect_refused()?;
    let unknown = greeter.login("ldmlabnobodyofthisname", &["Lab-wrong-one"])?.expect_refused()?;
    assert_eq!((&wrong.failure, &wrong.text, &wrong.said), (&unknown.failure, &unknown.text, &unknown.said));
    drop(greeter);
    scene.finish()
}

#[test]
fn an_expired_password_is_changed_on_the_way() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.user = User::create(&scene.lab, Kind::Expired, "Lab-0ld-password")?;
    scene.desk().prepare()?;
    let new = "Lab-n3w-passw0rd-quite-different";
    scene.lab.secret(new);
    let mut greeter = scene.daemon.greeter()?;
    let answers = ["Lab-0ld-password", "Lab-0ld-password", new, new];
    let said = greeter.login(&scene.user.name, &answers)?.expect_in()?.join("\n");
    for text in ["required to change your password", "Current password:", "New password:", "Retype new password:"] {
        assert!(said.contains(text), "“{text}” was not shown, only: {said}");
    }
    greeter.start(Some("desk"))?;
    scene.desk().wait_until_up()?;
    scene.log_out()?;
    // The server knows the new one alone.
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &["Lab-0ld-password"])?.expect_refused()?.expect(FailureKind::Denied)?;
    greeter.login(&scene.user.name, &[new])?.expect_in()?;
    drop(greeter);
    scene.finish()
}

/// What Debian's stack asks, then a one-time password.
const TWO_FACTORS: &str = "auth requisite pam_unix.so nodelay\n\
    auth required pam_oath.so usersfile=LAB/users.oath window=5 digits=6\n\
    account required pam_unix.so\n\
    session required pam_unix.so";

#[test]
fn a_second_factor_is_asked_for_and_must_be_right() -> Result<()> {
    let key = "3132333435363738393031323334353637383930";
    let lab = ldm_tests::Lab::new()?;
    let stack = TWO_FACTORS.replace("LAB", &lab.path().to_string_lossy());
    ldm_tests::Desk::offer(&lab, "desk", "")?;
    let sshd = sshd::Builder::pam(ldm_tests::Sshd::builder(&lab), &stack).start()?;
    let user = User::new(&lab)?;
    let x = ldm_tests::XServer::new(&lab)?;
    let oath = lab.file("users.oath");
    fs::write(&oath, format!("HOTP {} - {key}\n", user.name))?;
    fs::set_permissions(&oath, fs::Permissions::from_mode(0o600))?;
    let daemon = ldm_tests::Daemon::new(&lab, &x, &sshd)?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    let code = |counter: u32| -> Result<String> {
        let output = Command::new("oathtool").args(["--counter", &counter.to_string(), key]).output()?;
        ensure!(output.status.success(), "oathtool failed");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    for counter in 0..3 {
        scene.lab.secret(&code(counter)?);
    }
    let mut greeter = scene.daemon.greeter()?;
    // Right and wrong must both be asked for both.
    let wrong = if code(0)? == "000000" { "000001" } else { "000000" };
    let refusal = greeter.login(&scene.user.name, &[&scene.user.password, wrong])?.expect_refused()?;
    assert_eq!(refusal.said.len(), 2, "{refusal:?}");
    refusal.expect(FailureKind::Denied)?;
    let said = greeter.login(&scene.user.name, &[&scene.user.password, &code(1)?])?.expect_in()?;
    assert!(said[1].contains("One-time password"), "{said:?}");
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    scene.desk().wait_until_up()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn passwords_are_relayed_as_they_were_typed() -> Result<()> {
    let mut scene = Scene::new()?;
    let longest = format!("Lab-{}", "x".repeat(507));
    let mut greeter = scene.daemon.greeter()?;
    for password in ["  Lab-blanks at both ends  ", "Lab-Pässwörd-密码-🔒", "Lab-\"\\'$(x)`%s", longest.as_str()]
    {
        let user = User::create(&scene.lab, Kind::Plain, password)?;
        greeter.login(&user.name, &[password]).and_then(ldm_tests::greeter::Conversation::expect_in)?;
        assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
        let trimmed = password.trim();
        if trimmed != password {
            greeter.login(&user.name, &[trimmed])?.expect_refused()?.expect(FailureKind::Denied)?;
        }
    }
    // More than crypt(3) takes: refused by the server, and the next one works.
    let too_long = format!("Lab-{}", "y".repeat(996));
    scene.lab.secret(&too_long);
    greeter.login(&scene.user.name, &[&too_long])?.expect_refused()?.expect(FailureKind::Denied)?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    drop(greeter);
    scene.finish()
}

#[test]
fn odd_user_names_are_refused_or_relayed_but_never_run() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.lab.secret("Lab-some-password");
    let mut greeter = scene.daemon.greeter()?;
    let long = "u".repeat(300);
    let ran = scene.lab.file("ran");
    let command = format!("-oProxyCommand=touch {}", ran.display());
    for name in
        ["-oProxyCommand=x", &command, "with blanks in it", "Jürgen", "DOMAIN\\user", &long, "$(id)", "a;b", "%s%n"]
    {
        greeter.login(name, &["Lab-some-password"])?.expect_refused()?.expect(FailureKind::Denied)?;
    }
    for name in ["", "line\nbreak", "nul\0byte", "\u{1b}[31m", &"u".repeat(513)] {
        let refusal = greeter.login(name, &[])?.expect_refused()?.expect(FailureKind::BadUsername)?;
        assert!(refusal.said.is_empty(), "the server was asked about {name:?}: {refusal:?}");
    }
    assert!(!ran.exists());
    let text = scene.sshd.log_text();
    assert!(text.contains("DOMAIN\\\\user") || text.contains("DOMAIN\\user"), "the server got another name: {text}");
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    drop(greeter);
    scene.finish()
}

#[test]
fn giving_up_in_the_middle_is_possible_at_each_question() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    // Nothing to cancel is no error.
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    let question = greeter.login_to_question(&scene.user.name)?;
    assert_eq!(question.trim(), "Password:");
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}
