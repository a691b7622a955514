//! Servers that are not there, not the right ones, or not set up as one would wish.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ldm_protocol::FailureKind;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::greeter::Refusal;
use ldm_tests::{Daemon, Greeter, Lab, Scene, XServer, sshd};

/// A seat whose server is at this address, with this known-hosts text.
fn seat(lab: &Lab, x: &XServer, server: &str, known_hosts: &str) -> Result<Daemon> {
    let file = lab.file("known_hosts");
    fs::write(&file, known_hosts)?;
    Daemon::builder(lab)
        .on(x.screen())
        .set("LDM_SERVER", server)
        .set("LDM_KNOWN_HOSTS", &file.to_string_lossy())
        .start()
}

/// What a user is told there, without having been asked for anything.
fn refusal(greeter: &mut Greeter) -> Result<Refusal> {
    let refusal = greeter.login("somebody", &[])?.expect_refused()?;
    assert!(refusal.said.is_empty(), "something was asked before the server was there: {refusal:?}");
    Ok(refusal)
}

#[test]
fn a_server_that_refuses_is_named_and_tried_again() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    let server = format!("127.0.0.1:{}", sshd::free_port()?);
    let mut daemon = seat(&lab, &x, &server, "")?;
    let mut greeter = daemon.greeter()?;
    for _ in 0..2 {
        // The early connection must not make the failure count twice, or hide it.
        let _ = greeter.request(&Request::LdmPrepare)?;
        let refusal = refusal(&mut greeter)?.expect(FailureKind::ServerRefused)?;
        assert_eq!(refusal.failure.server.as_deref(), Some(server.as_str()));
        assert!(refusal.text.contains(&server), "{}", refusal.text);
    }
    drop(greeter);
    daemon.stop()
}

#[test]
fn a_server_that_comes_back_can_be_used_without_a_restart() -> Result<()> {
    let mut scene = Scene::new()?;
    let port = scene.sshd.port();
    let mut greeter = scene.daemon.greeter()?;
    scene.sshd.crash();
    refusal(&mut greeter)?.expect(FailureKind::ServerRefused)?;
    scene.sshd = ldm_tests::Sshd::builder(&scene.lab).port(port).start()?;
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_name_that_does_not_resolve_is_said() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    let mut daemon = seat(&lab, &x, "no-such-server.invalid", "")?;
    let mut greeter = daemon.greeter()?;
    let refusal = refusal(&mut greeter)?.expect(FailureKind::ServerUnknown)?;
    assert!(refusal.text.contains("no-such-server.invalid"), "{}", refusal.text);
    drop(greeter);
    daemon.stop()
}

#[test]
fn a_silent_server_is_given_up_and_the_user_can_give_up_before() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    // Connections wait in its queue and nobody ever speaks.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let mut daemon = seat(&lab, &x, &silent.local_addr()?.to_string(), "")?;
    let mut greeter = daemon.greeter()?;
    let began = Instant::now();
    refusal(&mut greeter)?.expect(FailureKind::ServerSilent)?;
    assert!(began.elapsed() < Duration::from_secs(31), "{:?}", began.elapsed());
    drop(greeter);
    daemon.stop()
}

#[test]
fn something_that_is_no_ssh_server_is_told_apart() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let chatter = std::thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        std::io::Write::write_all(&mut stream, &b"\x1b[31mHTTP/1.1 400 Bad Request\r\n\r\n".repeat(4000)).ok();
        Ok(())
    });
    let mut daemon = seat(&lab, &x, &address, "")?;
    let mut greeter = daemon.greeter()?;
    let refusal = refusal(&mut greeter)?;
    let kinds = [FailureKind::ServerIncompatible, FailureKind::ServerSilent, FailureKind::ConnectionLost];
    assert!(kinds.contains(&refusal.failure.kind), "{refusal:?}");
    assert!(!refusal.text.contains('\u{1b}'), "{refusal:?}");
    drop(greeter);
    daemon.stop()?;
    chatter.join().map_err(|_| anyhow::anyhow!("the chatter panicked"))?
}

/// `SHA256:…` of a public key, as ssh-keygen(1) shows it.
fn fingerprint(lab: &Lab, public: &str) -> Result<String> {
    let file = lab.file("fingerprint.pub");
    fs::write(&file, format!("{public}\n"))?;
    let output = Command::new("ssh-keygen").arg("-lf").arg(&file).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.split_whitespace().nth(1).map(str::to_owned).context("ssh-keygen showed no fingerprint")
}

/// Whether `text` names one of the server's keys.
fn names_a_key(scene: &Scene, text: &str) -> Result<bool> {
    for kind in sshd::KEYS {
        if text.contains(&fingerprint(&scene.lab, &scene.sshd.public_key(&scene.lab, kind)?)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn refuses_host_key(known_hosts: impl FnOnce(&Lab, &sshd::Sshd) -> Result<String>, kind: FailureKind) -> Result<()> {
    let mut scene = Scene::new()?;
    let text = known_hosts(&scene.lab, &scene.sshd)?;
    let server = format!("127.0.0.1:{}", scene.sshd.port());
    scene.daemon.stop()?;
    scene.daemon = seat(&scene.lab, &scene.x, &server, &text)?;
    let mut greeter = scene.daemon.greeter()?;
    let refusal = refusal(&mut greeter)?.expect(kind)?;
    let detail = refusal.failure.detail.clone().unwrap_or_default();
    assert!(names_a_key(&scene, &detail)?, "no fingerprint of the server's in {refusal:?}");
    assert!(names_a_key(&scene, &refusal.text)?, "{refusal:?}");
    let log = scene.sshd.log_text();
    assert!(!log.contains("somebody"), "the user's name was sent to a server that is not trusted: {log}");
    drop(greeter);
    scene.finish()
}

#[test]
fn an_unknown_host_key_is_refused_with_its_fingerprint() -> Result<()> {
    refuses_host_key(|_, _| Ok(String::new()), FailureKind::HostKeyUnknown)
}

#[test]
fn a_changed_host_key_is_refused_with_its_fingerprint() -> Result<()> {
    let changed = |lab: &Lab, sshd: &sshd::Sshd| {
        let other = lab.file("other-keys");
        sshd::make_keys(&other)?;
        let lines: Result<Vec<String>> = sshd::KEYS
            .iter()
            .map(|kind| Ok(format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd::public_key(&other.join(kind))?)))
            .collect();
        Ok(lines?.concat())
    };
    refuses_host_key(changed, FailureKind::HostKeyChanged)
}

#[test]
fn a_revoked_host_key_is_refused_even_where_it_is_also_known() -> Result<()> {
    let revoked = |lab: &Lab, sshd: &sshd::Sshd| {
        let mut text = fs::read_to_string(sshd.known_hosts(lab, sshd.port())?)?;
        for kind in sshd::KEYS {
            writeln!(text, "@revoked * {}", sshd.public_key(lab, kind)?)?;
        }
        Ok(text)
    };
    refuses_host_key(revoked, FailureKind::HostKeyRevoked)
}

#[test]
fn a_host_certificate_of_a_known_authority_is_good() -> Result<()> {
    let lab = Lab::new()?;
    let authority = lab.file("authority");
    fs::create_dir(lab.file("certified"))?;
    let certified = lab.file("certified/key");
    for key in [&authority, &certified] {
        assert!(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(key).status()?.success());
    }
    let sign = ["-q", "-I", "lab", "-h", "-n", "127.0.0.1,localhost", "-V", "-1h:+1h"];
    let mut keygen = Command::new("ssh-keygen");
    keygen.arg("-s").arg(&authority).args(sign).arg(certified.with_extension("pub"));
    assert!(keygen.status()?.success());
    let sshd = ldm_tests::Sshd::builder(&lab)
        .line(&format!("HostKey {}", certified.display()))
        .line(&format!("HostCertificate {}-cert.pub", certified.display()))
        .start()?;
    let user = ldm_tests::User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let known = format!("@cert-authority [127.0.0.1]:{} {}\n", sshd.port(), sshd::public_key(&authority)?);
    let mut daemon = seat(&lab, &x, &format!("127.0.0.1:{}", sshd.port()), &known)?;
    let mut greeter = daemon.greeter()?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    drop(greeter);
    daemon.stop()
}

#[test]
fn trust_on_first_use_holds_from_then_on() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = ldm_tests::Sshd::new(&lab)?;
    let user = ldm_tests::User::new(&lab)?;
    let x = XServer::new(&lab)?;
    // A folder that the worker's user may write to, as /var/lib/ldm is.
    let folder = lab.file("first-use");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let learnt = folder.join("known_hosts");
    let start = || {
        Daemon::builder(&lab)
            .on(x.screen())
            .set("LDM_SERVER", &format!("127.0.0.1:{}", sshd.port()))
            .set("LDM_KNOWN_HOSTS", &lab.file("none").to_string_lossy())
            .set("LDM_TRUST_FIRST_USE", &learnt.to_string_lossy())
            .start()
    };
    let mut daemon = start()?;
    let mut greeter = daemon.greeter()?;
    greeter.login(&user.name, &[&user.password])?.expect_in()?;
    drop(greeter);
    daemon.stop()?;
    let text = fs::read_to_string(&learnt)?;
    assert!(text.contains(&format!("[127.0.0.1]:{} ssh-ed25519 ", sshd.port())), "{text}");

    // Now another key: refused, and not learnt.
    let other = lab.file("other-keys");
    sshd::make_keys(&other)?;
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd::public_key(&other.join("ed25519"))?);
    fs::write(&learnt, &line)?;
    // Each daemon of the lab has a worker user of its own.
    fs::set_permissions(&learnt, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let mut daemon = start()?;
    let mut greeter = daemon.greeter()?;
    refusal(&mut greeter)?.expect(FailureKind::HostKeyChanged)?;
    assert_eq!(fs::read_to_string(&learnt)?, line);
    drop(greeter);
    daemon.stop()
}

/// Logs in and starts the session, which fails; gives what the next greeter tells.
fn failed_start(scene: &mut Scene, session: &str) -> Result<ldm_protocol::Failure> {
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    scene.desk().prepare()?;
    greeter.start(Some(session))?;
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("the next greeter was told of no failure")?;
    // Told once, and then the seat works as ever.
    scene.user.wait_for_no_process(Duration::from_secs(10))?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    drop(greeter);
    Ok(failure)
}

#[test]
fn an_sshd_that_forwards_no_x11_is_named_as_the_reason() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("X11Forwarding no"), |daemon| Ok(daemon))?;
    let failure = failed_start(&mut scene, "desk")?;
    assert_eq!(failure.kind, FailureKind::NoX11, "{failure:?}");
    scene.finish()
}

#[test]
fn a_server_without_xauth_is_named_as_the_reason() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("XAuthLocation /nonexistent/xauth"), |daemon| Ok(daemon))?;
    let failure = failed_start(&mut scene, "desk")?;
    assert_eq!(failure.kind, FailureKind::NoX11, "{failure:?}");
    scene.finish()
}

#[test]
fn a_server_without_keyboard_interactive_takes_the_password() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("KbdInteractiveAuthentication no"), |daemon| Ok(daemon))?;
    scene.lab.secret("Lab-wrong-one");
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &["Lab-wrong-one"])?.expect_refused()?.expect(FailureKind::Denied)?;
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_server_with_no_way_in_is_named_as_that() -> Result<()> {
    let no_way = "AuthenticationMethods publickey\nPasswordAuthentication no\nKbdInteractiveAuthentication no";
    let mut scene = Scene::with(|sshd| sshd.line(no_way), |daemon| Ok(daemon))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[])?.expect_refused()?.expect(FailureKind::NoMethod)?;
    drop(greeter);
    scene.finish()
}

/// Text that would paint, move or mark up where it is not treated as plain.
const NASTY: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}<b>bold</b> <span size='99999'>&amp;</span> \u{202e}gnihtemos\u{9b}31m";

#[test]
fn a_banner_is_shown_as_plain_bounded_text() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| {
            // Over the 35,000 bytes that every SSH implementation must take in a packet.
            let banner = sshd.file("banner", format!("{NASTY}\n{}", "banner line\n".repeat(16_000)).as_bytes());
            sshd.line(&format!("Banner {}", banner.display()))
        },
        |daemon| Ok(daemon),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    let said = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let banner = said.first().context("nothing was said")?;
    assert!(banner.starts_with("info: <b>bold</b> <span size='99999'>&amp;</span> gnihtemos31m"), "{banner:.200}");
    assert!(banner.contains("banner line") && banner.len() < 5000, "{} bytes", banner.len());
    assert!(!banner.contains(|c: char| c.is_control() && c != '\n'), "{banner:.200}");
    drop(greeter);
    scene.finish()
}

#[test]
fn a_prompt_of_a_hundred_kilobytes_with_escapes_is_shown_as_plain_bounded_text() -> Result<()> {
    let text = format!("{NASTY} {}", "word ".repeat(20_000));
    let mut scene = Scene::with(
        |sshd| {
            let file = sshd.file("message", text.as_bytes());
            sshd.pam(&format!(
                "auth optional pam_echo.so file={}\nauth required pam_unix.so nodelay\n\
                 account required pam_unix.so\nsession required pam_unix.so",
                file.display()
            ))
        },
        |daemon| Ok(daemon),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    let said = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let all = said.join("\n");
    assert!(all.contains("<b>bold</b>"), "{all:.300}");
    assert!(said.iter().all(|text| text.len() < 5000), "{:?}", said.iter().map(String::len).collect::<Vec<_>>());
    assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{all:.300}");
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    scene.desk().wait_until_up()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn the_first_server_that_answers_is_used() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.daemon.stop()?;
    let dead = format!("127.0.0.1:{}", sshd::free_port()?);
    let live = format!("127.0.0.1:{}", scene.sshd.port());
    let known = scene.sshd.known_hosts(&scene.lab, scene.sshd.port())?;
    scene.daemon = seat(&scene.lab, &scene.x, &format!("{dead} {live}"), &fs::read_to_string(known)?)?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.server, dead);
    // Nobody is asked for a password in the name of another server than the one that gets it.
    assert_eq!(greeter.login_to_question_of(&scene.user.name)?.1.as_deref(), Some(&*live));
    drop(greeter);
    scene.log_in()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn the_early_connection_is_one_and_is_used() -> Result<()> {
    let mut scene = Scene::new()?;
    let relay = ldm_tests::Relay::new(scene.sshd.port())?;
    scene.daemon.stop()?;
    scene.daemon = Daemon::builder(&scene.lab).on(scene.x.screen()).server(&scene.sshd, relay.port())?.start()?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(relay.connections(), 0, "connected while nobody typed");
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    ldm_tests::wait::until("the early connection", ldm_tests::wait::STEP, || (relay.connections() == 1).then_some(()))?;
    assert!(matches!(greeter.request(&Request::LdmPrepare)?, Response::Success));
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(relay.connections(), 1);
    drop(greeter);
    scene.finish()
}
