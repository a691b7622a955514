//! Logins that nobody types: guests, countdowns, automatic logins.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::account::{Kind, random_password};
use ldm_tests::{Daemon, Desk, Greeter, Lab, Relay, Scene, Sshd, User, XServer, daemon, sshd, wait};

/// A seat whose guest is the scene's user, by password.
fn with_guest(more: &[(&str, &str)]) -> Result<Scene> {
    Scene::for_user(|sshd| sshd, |daemon, user| guest(daemon, user, more))
}

fn guest<'a>(daemon: daemon::Builder<'a>, user: &User, more: &[(&str, &str)]) -> Result<daemon::Builder<'a>> {
    Desk { user }.prepare()?;
    let daemon = daemon.set("LDM_USERNAME", &user.name).set("LDM_PASSWORD", &user.password).set("LDM_SESSION", "desk");
    Ok(more.iter().fold(daemon, |daemon, (key, value)| daemon.set(key, value)))
}

/// The session that was to come is there.
fn is_in(scene: &Scene) -> Result<()> {
    scene.desk().wait_until_up().with_context(|| scene.daemon.log_text())?;
    scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)
}

/// Lets the guest in, and out again.
fn lets_a_guest_in(scene: &mut Scene) -> Result<()> {
    let mut greeter = scene.daemon.greeter()?;
    let said = greeter.guest()?.expect_in()?;
    ensure!(said.is_empty(), "the guest was asked or told something: {said:?}");
    let sessions = greeter.sessions()?;
    ensure!(sessions.preselected.as_deref() == Some("desk"), "{sessions:?}");
    // A guest's default is what is preselected.
    greeter.start(None)?;
    is_in(scene)?;
    scene.work_and_log_out()
}

/// Nothing more is tried: the greeter stays, there is no other, and no worker.
fn nothing_is_tried_again(scene: &Scene, greeter: &mut Greeter) -> Result<()> {
    scene.daemon.wait_for_no_worker()?;
    ensure!(!greeter.is_closed_within(Duration::from_secs(2)), "the greeter ended");
    ensure!(!scene.daemon.has_new_greeter() && scene.daemon.worker().is_none(), "it goes on");
    Ok(())
}

fn hostname() -> Result<String> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

#[test]
fn ldm_guestlogin_lets_ldm_username_in_with_ldm_password() -> Result<()> {
    let mut scene = with_guest(&[("LDM_GUESTLOGIN", "True")])?;
    lets_a_guest_in(&mut scene)?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert!(seat.guest && seat.countdown.is_none() && seat.failure.is_none(), "{seat:?}");
    assert!(!scene.user.home.join(".dmrc").exists(), "the guest's choice is remembered");
    drop(greeter);
    scene.finish()
}

#[test]
fn without_ldm_password_it_is_the_guests_name() -> Result<()> {
    let mut scene = Scene::for_user(
        |sshd| sshd,
        |daemon, user| {
            let mut chpasswd = Command::new("chpasswd").stdin(std::process::Stdio::piped()).spawn()?;
            let mut stdin = chpasswd.stdin.take().context("no stdin")?;
            std::io::Write::write_all(&mut stdin, format!("{0}:{0}\n", user.name).as_bytes())?;
            drop(stdin);
            ensure!(chpasswd.wait()?.success(), "chpasswd failed");
            Ok(guest(daemon, user, &[("LDM_GUESTLOGIN", "True")])?.unset("LDM_PASSWORD"))
        },
    )?;
    lets_a_guest_in(&mut scene)?;
    scene.finish()
}

#[test]
fn without_ldm_guestlogin_there_is_no_guest() -> Result<()> {
    let mut scene = with_guest(&[])?;
    let mut greeter = scene.daemon.greeter()?;
    assert!(!greeter.seat()?.guest);
    let response = greeter.request(&ldm_protocol::greetd::Request::LdmGuest)?;
    assert!(matches!(response, ldm_protocol::greetd::Response::Error { failure: None, .. }), "{response:?}");
    drop(greeter);
    scene.finish()
}

/// A private key, and its public half.
fn key(lab: &Lab) -> Result<(PathBuf, String)> {
    let path = lab.file("guest-key");
    ensure!(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&path).status()?.success());
    Ok((path.clone(), sshd::public_key(&path)?))
}

/// A seat whose guest logs in with this key; with no password there is no other way.
fn with_key(lab: Lab, key: &str, more: &[(&str, &str)]) -> Result<Scene> {
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::builder(&lab).line("PasswordAuthentication no").line("KbdInteractiveAuthentication no").start()?;
    let user = User::new(&lab)?;
    Desk { user: &user }.prepare()?;
    let x = XServer::new(&lab)?;
    let daemon = Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?;
    let daemon = daemon.set("LDM_GUEST_KEY", key).set("LDM_USERNAME", &user.name).set("LDM_SESSION", "desk");
    let daemon = more.iter().fold(daemon, |daemon, (key, value)| daemon.set(key, value)).start()?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

#[test]
fn ldm_guest_key_lets_a_guest_in_without_a_password() -> Result<()> {
    let lab = Lab::new()?;
    let (path, public) = key(&lab)?;
    // For the worker's user alone, which is made with the daemon: the lab's directory keeps it.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let mut scene = with_key(lab, &path.to_string_lossy(), &[("LDM_GUESTLOGIN", "True")])?;
    let worker = scene.daemon.worker_user();
    std::os::unix::fs::chown(&path, Some(worker.uid), Some(worker.gid))?;
    // As the guide says.
    fs::create_dir(scene.user.home.join(".ssh"))?;
    scene.user.write(".ssh/authorized_keys", &format!("restrict,X11-forwarding,port-forwarding {public}\n"), 0o600)?;
    lets_a_guest_in(&mut scene)?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure, None);
    drop(greeter);
    scene.finish()
}

#[test]
fn an_ldm_guest_key_that_cannot_be_used_is_told_to_both() -> Result<()> {
    for (name, what) in [("missing", "No such file"), ("rubbish", "guest-key-rubbish"), ("strange", "")] {
        let lab = Lab::new()?;
        let path = lab.file(&format!("guest-key-{name}"));
        match name {
            "rubbish" => fs::write(&path, "no key")?,
            // A good one that the server does not know.
            "strange" => {
                fs::rename(key(&lab)?.0, &path)?;
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            }
            _ => {}
        }
        let mut scene = with_key(lab, &path.to_string_lossy(), &[("LDM_GUESTLOGIN", "True")])?;
        let mut greeter = scene.daemon.greeter()?;
        let refusal = greeter.guest()?.expect_refused()?.expect(FailureKind::GuestRefused)?;
        assert!(refusal.text.contains("127.0.0.1"), "{refusal:?}");
        if !what.is_empty() {
            let said = wait::for_line(scene.daemon.log(), "LDM_GUEST_KEY", wait::STEP)?;
            assert!(said.contains(what), "{said}");
        }
        nothing_is_tried_again(&scene, &mut greeter)?;
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn a_wrong_ldm_password_is_no_question_to_anybody() -> Result<()> {
    let mut scene = with_guest(&[("LDM_GUESTLOGIN", "True"), ("LDM_PASSWORD", "not-the-one-7f3a")])?;
    scene.lab.secret("not-the-one-7f3a");
    let mut greeter = scene.daemon.greeter()?;
    let refusal = greeter.guest()?.expect_refused()?.expect(FailureKind::GuestRefused)?;
    assert_eq!(refusal.said, [""; 0]);
    nothing_is_tried_again(&scene, &mut greeter)?;
    // The greeter is as good as before.
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_guest_whose_password_has_expired_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::create(&lab, Kind::Expired, &random_password()?)?;
    let x = XServer::new(&lab)?;
    let daemon = Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?;
    let daemon = guest(daemon, &user, &[("LDM_GUESTLOGIN", "True")])?.start()?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    let mut greeter = scene.daemon.greeter()?;
    greeter.guest()?.expect_refused()?.expect(FailureKind::GuestRefused)?;
    drop(greeter);
    scene.finish()
}

#[test]
fn ldm_autologin_needs_no_greeter_and_comes_again_after_the_logout() -> Result<()> {
    let scene = with_guest(&[("LDM_AUTOLOGIN", "True")])?;
    for _ in 0..2 {
        is_in(&scene)?;
        scene.desk().work()?;
        let end = scene.user.home.join("end");
        // What ends the next one, before this one ends.
        let old = fs::OpenOptions::new().write(true).open(&end)?;
        scene.desk().prepare()?;
        std::io::Write::write_all(&mut &old, b"0\n")?;
        drop(old);
    }
    is_in(&scene)?;
    assert!(!scene.daemon.has_new_greeter(), "a greeter was started");
    // Every scenario looks for secrets in its logs, which have everything (LDM_LOGLEVEL = 7), as it ends; this one is about it.
    assert_eq!(scene.lab.leaks(), [""; 0]);
    scene.finish()
}

#[test]
fn ldm_autologin_to_a_server_that_is_dead_is_told_and_not_tried_again() -> Result<()> {
    let dead = format!("127.0.0.1:{}", sshd::free_port()?);
    let mut scene = with_guest(&[("LDM_AUTOLOGIN", "True"), ("LDM_SERVER", &dead)])?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert_eq!(seat.failure.map(|failure| failure.kind), Some(FailureKind::ServerRefused));
    assert!(!seat.guest && seat.countdown.is_none());
    nothing_is_tried_again(&scene, &mut greeter)?;
    drop(greeter);
    scene.finish()
}

#[test]
fn ldm_autologin_that_is_refused_knocks_once() -> Result<()> {
    let mut scene = with_guest(&[("LDM_AUTOLOGIN", "True"), ("LDM_PASSWORD", "wrong-guest-5d1c")])?;
    scene.lab.secret("wrong-guest-5d1c");
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure.map(|failure| failure.kind), Some(FailureKind::GuestRefused));
    nothing_is_tried_again(&scene, &mut greeter)?;
    let knocks = scene.sshd.log_text().matches("Connection from").count();
    assert_eq!(knocks, 1, "{}", scene.sshd.log_text());
    drop(greeter);
    scene.finish()
}

#[test]
fn ldm_autologin_to_a_session_that_ends_at_once_is_told_and_not_tried_again() -> Result<()> {
    let mut scene = with_guest(&[("LDM_AUTOLOGIN", "True"), ("LDM_FORCE_SESSION", "short")])?;
    // The lab offers it too late for the first try, which fails all the same.
    let mut greeter = scene.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("no reason")?;
    assert_eq!((failure.kind, failure.session.as_deref()), (FailureKind::SessionGone, Some("short")), "{failure:?}");
    nothing_is_tried_again(&scene, &mut greeter)?;
    let script = scene.lab.script("sessions/short", "exit 3")?;
    scene.lab.session("short", "Short", &script.to_string_lossy())?;
    drop(greeter);
    scene.daemon.stop()?;
    let daemon = Daemon::builder(&scene.lab).on(scene.x.screen()).server(&scene.sshd, scene.sshd.port())?;
    let more = [("LDM_AUTOLOGIN", "True"), ("LDM_FORCE_SESSION", "short")];
    scene.daemon = guest(daemon, &scene.user, &more)?.start()?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure.map(|failure| failure.kind), Some(FailureKind::SessionTooShort));
    nothing_is_tried_again(&scene, &mut greeter)?;
    drop(greeter);
    scene.finish()
}

/// A seat that logs in by itself, over a relay.
fn automatic_over_a_relay(set: impl FnOnce(&Relay)) -> Result<(Scene, Relay)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let relay = Relay::new(sshd.port())?;
    set(&relay);
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let daemon = Daemon::builder(&lab).on(x.screen()).server(&sshd, relay.port())?;
    let daemon = guest(daemon, &user, &[("LDM_AUTOLOGIN", "True")])?.start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, relay))
}

#[test]
fn ldm_autologin_whose_worker_is_killed_is_told_and_not_tried_again() -> Result<()> {
    for silent in [true, false] {
        let (mut scene, relay) = automatic_over_a_relay(|relay| {
            if silent {
                relay.fall_silent();
            }
        })?;
        if silent {
            wait::until("a connection", wait::STEP, || (relay.connections() > 0).then_some(()))?;
        } else {
            is_in(&scene)?;
        }
        let worker = nix::unistd::Pid::from_raw(scene.daemon.wait_for_worker()?);
        nix::sys::signal::kill(worker, nix::sys::signal::Signal::SIGKILL)?;
        let mut greeter = scene.daemon.greeter()?;
        assert_eq!(greeter.seat()?.failure.map(|failure| failure.kind), Some(FailureKind::Internal));
        nothing_is_tried_again(&scene, &mut greeter)?;
        assert_eq!(relay.connections(), 1);
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_autologin_has_patience_with_a_slow_server() -> Result<()> {
    let (scene, relay) = automatic_over_a_relay(|relay| relay.set_latency(Duration::from_millis(250)))?;
    wait::for_line(scene.daemon.log(), "the session runs", wait::STEP)?;
    // Its windows need hundreds of round trips.
    relay.set_latency(Duration::ZERO);
    is_in(&scene)?;
    assert!(!scene.daemon.has_new_greeter());
    scene.finish()
}

#[test]
fn host_to_username_makes_the_guests_name() -> Result<()> {
    let host = hostname()?;
    let mut scene = Scene::for_user(
        |sshd| sshd,
        |daemon, user| {
            let more = [("HOST_TO_USERNAME", &*format!("{host}/{}", user.name)), ("LDM_GUESTLOGIN", "True")];
            Ok(guest(daemon, user, &more)?.set("LDM_USERNAME", "somebody-else"))
        },
    )?;
    lets_a_guest_in(&mut scene)?;
    scene.finish()
}

#[test]
fn a_client_without_the_pattern_of_host_to_username_has_no_guests() -> Result<()> {
    let more = [
        ("HOST_TO_USERNAME", "no-client-is-called-so/guest"),
        ("LDM_GUESTLOGIN", "True"),
        ("LDM_AUTOLOGIN", "True"),
        ("LDM_LOGIN_TIMEOUT", "5"),
    ];
    let mut scene = with_guest(&more)?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert!(!seat.guest && seat.countdown.is_none() && seat.failure.is_none(), "{seat:?}");
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    drop(scene.daemon.greeter()?);
    let log = scene.daemon.log_text();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("HOST_TO_USERNAME")).collect();
    assert!(lines.len() == 1 && lines[0].contains("/lts-"), "{lines:?}");
    scene.finish()
}

#[test]
fn ldm_guest_server_is_for_guests_alone() -> Result<()> {
    let dead = format!("127.0.0.1:{}", sshd::free_port()?);
    for key in ["LDM_GUEST_SERVER", "LDM_AUTOLOGIN_SERVER"] {
        let mut scene = Scene::for_user(
            |sshd| sshd,
            |daemon, user| {
                let alive = daemon.get("LDM_SERVER").context("no server")?.to_owned();
                // What goes behind is not asked.
                let other = if key == "LDM_GUEST_SERVER" { "LDM_AUTOLOGIN_SERVER" } else { "LDM_SERVER" };
                let more = [("LDM_GUESTLOGIN", "True"), (other, &*dead), ("LDM_SERVER", &*dead), (key, &*alive)];
                guest(daemon, user, &more)
            },
        )?;
        lets_a_guest_in(&mut scene)?;
        let mut greeter = scene.daemon.greeter()?;
        greeter.login(&scene.user.name, &[])?.expect_refused()?.expect(FailureKind::ServerRefused)?;
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_autologin_server_is_where_ldm_autologin_goes() -> Result<()> {
    let dead = format!("127.0.0.1:{}", sshd::free_port()?);
    let scene = Scene::for_user(
        |sshd| sshd,
        |daemon, user| {
            let alive = daemon.get("LDM_SERVER").context("no server")?.to_owned();
            let more = [("LDM_AUTOLOGIN", "True"), ("LDM_SERVER", &*dead), ("LDM_AUTOLOGIN_SERVER", &*alive)];
            guest(daemon, user, &more)
        },
    )?;
    is_in(&scene)?;
    scene.finish()
}

#[test]
fn ldm_login_timeout_and_its_old_form_are_counted_by_the_greeter() -> Result<()> {
    let forms: [(&[(&str, &str)], _); 3] = [
        (&[("LDM_LOGIN_TIMEOUT", "40")], Some(40)),
        (&[("LDM_TIMEOUT_ENABLED", "True"), ("LDM_TIMEOUT_TIME", "50")], Some(50)),
        (&[("LDM_TIMEOUT_TIME", "50")], None),
    ];
    for (more, want) in forms {
        let mut scene = with_guest(more)?;
        let mut greeter = scene.daemon.greeter()?;
        let seat = greeter.seat()?;
        assert!(seat.countdown == want && !seat.guest, "{more:?}: {seat:?}");
        if want == Some(40) {
            greeter.guest()?.expect_in()?;
            greeter.start(None)?;
            is_in(&scene)?;
        } else {
            drop(greeter);
        }
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn once_ends_the_daemon_after_one_ldm_autologin() -> Result<()> {
    let mut scene = Scene::for_user(
        |sshd| sshd,
        |daemon, user| Ok(guest(daemon, user, &[("LDM_AUTOLOGIN", "True")])?.argument("--once")),
    )?;
    is_in(&scene)?;
    scene.work_and_log_out()?;
    assert!(scene.daemon.program().wait(wait::STEP)?.success());
    assert!(!scene.daemon.has_new_greeter());
    Ok(())
}
