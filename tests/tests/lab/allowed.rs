//! Who may log in at this client, and how often.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::{Daemon, Desk, Greeter, Scene, User, XServer, wait};

/// A group that is in every Debian and that no user is in by themselves.
const GROUP: &str = "games";

fn with_rule(key: &'static str, rule: impl FnOnce(&User) -> String) -> Result<Scene> {
    Scene::for_user(|sshd| sshd, |daemon, user| Ok(daemon.set(key, &rule(user))))
}

/// Logs in and is kept out after the password.
fn is_kept_out(scene: &mut Scene) -> Result<()> {
    let mut greeter = scene.daemon.greeter()?;
    let refusal = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?;
    refusal.expect(FailureKind::NotAllowed)?;
    let log = scene.daemon.log_text();
    ensure!(log.contains(&format!("{} may not log in here", scene.user.name)), "{log}");
    scene.user.wait_for_no_process(wait::STEP)?;
    // Nothing of theirs was touched.
    let left = std::fs::read_dir("/tmp")?.flatten().find(|entry| {
        let ours = entry.metadata().is_ok_and(|metadata| metadata.uid() == scene.user.uid);
        ours && entry.file_name().to_string_lossy().starts_with("ldm-")
    });
    ensure!(left.is_none() && !scene.user.home.join(".xsession-errors").exists(), "{left:?}");
    ensure!(!scene.sshd.log_text().contains("streamlocal"), "{}", scene.sshd.log_text());
    // The greeter is as good as before.
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?.expect(FailureKind::NotAllowed)?;
    Ok(())
}

fn gets_in(scene: &mut Scene) -> Result<()> {
    scene.log_in()?;
    scene.log_out()
}

#[test]
fn ldm_user_deny_keeps_a_name_from_the_server() -> Result<()> {
    // Also one that is written otherwise.
    for spell in [str::to_owned, str::to_uppercase] as [fn(&str) -> String; 2] {
        let mut scene = with_rule("LDM_USER_DENY", |user| format!("nobody, {}", spell(&user.name)))?;
        let mut greeter = scene.daemon.greeter()?;
        greeter.login(&scene.user.name, &[])?.expect_refused()?.expect(FailureKind::NotAllowed)?;
        greeter.login(&scene.user.name.to_uppercase(), &[])?.expect_refused()?.expect(FailureKind::NotAllowed)?;
        assert!(!scene.sshd.log_text().contains("Connection from"), "{}", scene.sshd.log_text());
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_user_allow_keeps_other_names_from_the_server() -> Result<()> {
    let mut scene = with_rule("LDM_USER_ALLOW", |user| user.name.clone())?;
    let mut greeter = scene.daemon.greeter()?;
    // What people type into the wrong field is in no log.
    let slip = "a-password-typed-for-a-name-91c2";
    scene.lab.secret(slip);
    greeter.login(slip, &[])?.expect_refused()?.expect(FailureKind::NotAllowed)?;
    assert!(!scene.sshd.log_text().contains("Connection from"), "{}", scene.sshd.log_text());
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn ldm_user_allow_means_the_name_as_the_server_spells_it() -> Result<()> {
    let mut scene = with_rule("LDM_USER_ALLOW", |user| user.name.to_uppercase())?;
    is_kept_out(&mut scene)?;
    scene.finish()
}

#[test]
fn ldm_user_allow_and_ldm_user_deny_know_the_servers_groups() -> Result<()> {
    for (key, may) in [("LDM_USER_ALLOW", true), ("LDM_USER_DENY", false)] {
        let mut scene = with_rule(key, |_| format!("@{GROUP}"))?;
        if may {
            is_kept_out(&mut scene)?;
            drop(scene.daemon.stop());
            scene.user.join_groups(GROUP)?;
            let seat = Daemon::builder(&scene.lab).on(scene.x.screen()).server(&scene.sshd, scene.sshd.port())?;
            scene.daemon = seat.set(key, &format!("@{GROUP}")).start()?;
            gets_in(&mut scene)?;
        } else {
            gets_in(&mut scene)?;
            scene.user.join_groups(GROUP)?;
            let mut greeter = scene.daemon.greeter()?;
            let refusal = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?;
            refusal.expect(FailureKind::NotAllowed)?;
        }
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_user_allow_knows_the_groups_of_a_server_without_helper() -> Result<()> {
    let mut scene =
        Scene::with(|sshd| sshd.helper(false), |daemon| Ok(daemon.set("LDM_USER_ALLOW", &format!("@{GROUP}"))))?;
    let mut greeter = scene.daemon.greeter()?;
    let mut log_in = |user: &User| greeter.login(&user.name, &[&user.password]);
    log_in(&scene.user)?.expect_refused()?.expect(FailureKind::NotAllowed)?;
    scene.user.join_groups(GROUP)?;
    log_in(&scene.user)?.expect_in()?;
    drop(greeter);
    scene.finish()
}

#[test]
fn ldm_user_deny_counts_with_ldm_force_session_too() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd,
        |daemon| Ok(daemon.set("LDM_USER_DENY", &format!("@{GROUP}")).set("LDM_FORCE_SESSION", "desk")),
    )?;
    gets_in(&mut scene)?;
    scene.user.join_groups(GROUP)?;
    let mut greeter = scene.daemon.greeter()?;
    let refusal = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?;
    refusal.expect(FailureKind::NotAllowed)?;
    drop(greeter);
    scene.finish()
}

#[test]
fn ldm_user_allow_keeps_everybody_out_where_the_server_does_not_say_who_they_are() -> Result<()> {
    // A server that answers with sessions alone, as an older one does.
    let mut scene = with_rule("LDM_USER_ALLOW", |user| format!("{}, @{GROUP}", user.name))?;
    std::fs::create_dir(scene.lab.file("old"))?;
    scene.lab.script("old/ldm-server-helper", "echo '{\"version\":1,\"sessions\":[]}'")?;
    scene.user.write(".bashrc", &format!("PATH={}:$PATH\n", scene.lab.file("old").display()), 0o644)?;
    is_kept_out(&mut scene)?;
    scene.finish()
}

/// A second client.
struct Other {
    daemon: Daemon,
    x: XServer,
}

impl Other {
    fn new(scene: &Scene, more: &[(&str, &str)]) -> Result<Self> {
        let x = XServer::new(&scene.lab)?;
        let daemon = Daemon::builder(&scene.lab).on(x.screen()).server(&scene.sshd, scene.sshd.port())?;
        let daemon = more.iter().fold(daemon, |daemon, (key, value)| daemon.set(key, value)).start()?;
        Ok(Self { daemon, x })
    }

    /// Begins a session of the scene's user here.
    fn log_in(&mut self, scene: &Scene) -> Result<()> {
        let mut greeter = self.daemon.greeter()?;
        greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
        scene.desk().prepare()?;
        greeter.start(Some("desk"))?;
        self.is_in(&scene.desk())
    }

    fn is_in(&self, desk: &Desk<'_>) -> Result<()> {
        desk.wait_until_up()?;
        self.x.screen().wait_for(&desk.title(), wait::STEP)
    }
}

/// The first client's session has ended, and its next greeter says why.
fn was_taken(daemon: &mut Daemon) -> Result<()> {
    let mut greeter = daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("no reason")?;
    ensure!(failure.kind == FailureKind::SessionTaken, "{failure:?}");
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    ensure!(failure.detail.as_deref() == Some(&*host), "{failure:?}");
    drop(greeter);
    Ok(())
}

#[test]
fn ldm_limit_one_session_ends_the_others_and_tells_them() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let mut other = Other::new(&scene, &[("LDM_LIMIT_ONE_SESSION", "True")])?;
    let mut greeter = other.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(greeter.sessions()?.elsewhere, [], "there is nothing to ask");
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    other.is_in(&scene.desk())?;
    was_taken(&mut scene.daemon)?;
    assert!(other.daemon.log_text().contains("end on the server"), "{}", other.daemon.log_text());
    let windows = scene.user.processes().into_iter().map(ldm_tests::sweep::command_line);
    assert_eq!(windows.filter(|line| line.starts_with("xterm")).count(), 1, "both sessions run");
    scene.log_out()?;
    other.daemon.stop()?;
    scene.finish()
}

#[test]
fn ldm_limit_one_session_prompt_asks_first() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let ask = [("LDM_LIMIT_ONE_SESSION", "True"), ("LDM_LIMIT_ONE_SESSION_PROMPT", "True")];
    let mut other = Other::new(&scene, &ask)?;
    let mut greeter = other.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let elsewhere = greeter.sessions()?.elsewhere;
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    assert!(elsewhere.len() == 1 && elsewhere[0].client == host && elsewhere[0].since > 0, "{elsewhere:?}");
    let start =
        Request::StartSession { cmd: vec!["ldm-session".into(), "desk".into()], env: Vec::new(), unasked: false };
    let Response::Error { failure: Some(failure), description, .. } = greeter.request(&start)? else {
        panic!("started without a question")
    };
    assert_eq!(failure.kind, FailureKind::LoggedInElsewhere);
    assert!(description.contains(&host) && description.contains("since 20"), "{description}");
    assert!(!scene.daemon.has_new_greeter(), "the other session has ended");
    assert!(matches!(greeter.request(&Request::LdmEndOthers)?, Response::Success));
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    other.is_in(&scene.desk())?;
    was_taken(&mut scene.daemon)?;
    scene.log_out()?;
    other.daemon.stop()?;
    scene.finish()
}

/// The sessions elsewhere that the greeter is to ask about.
fn asked_about(greeter: &mut Greeter) -> Result<usize> {
    Ok(greeter.sessions()?.elsewhere.len())
}

#[test]
fn a_session_that_begins_after_the_question_is_asked_about_too() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let ask = [("LDM_LIMIT_ONE_SESSION", "True"), ("LDM_LIMIT_ONE_SESSION_PROMPT", "True")];
    let mut other = Other::new(&scene, &ask)?;
    let mut third = Other::new(&scene, &[])?;
    let mut greeter = other.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(asked_about(&mut greeter)?, 1);
    // Between question and answer.
    third.log_in(&scene)?;
    assert!(matches!(greeter.request(&Request::LdmEndOthers)?, Response::Success));
    let start =
        Request::StartSession { cmd: vec!["ldm-session".into(), "desk".into()], env: Vec::new(), unasked: false };
    let Response::Error { failure: Some(failure), .. } = greeter.request(&start)? else { panic!("nobody was asked") };
    assert_eq!(failure.kind, FailureKind::LoggedInElsewhere);
    assert_eq!(asked_about(&mut greeter)?, 2);
    assert!(!scene.daemon.has_new_greeter() && !third.daemon.has_new_greeter(), "ended unasked");
    assert!(matches!(greeter.request(&Request::LdmEndOthers)?, Response::Success));
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    other.is_in(&scene.desk())?;
    was_taken(&mut scene.daemon)?;
    was_taken(&mut third.daemon)?;
    scene.log_out()?;
    other.daemon.stop()?;
    third.daemon.stop()?;
    scene.finish()
}

#[test]
fn one_that_begins_while_the_session_starts_ends_nothing_and_is_asked_about_next() -> Result<()> {
    let mut scene = Scene::new()?;
    let ask = [("LDM_LIMIT_ONE_SESSION", "True"), ("LDM_LIMIT_ONE_SESSION_PROMPT", "True")];
    let mut other = Other::new(&scene, &ask)?;
    let mut greeter = other.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(asked_about(&mut greeter)?, 0);
    let mut first = scene.daemon.greeter()?;
    scene.desk().prepare()?;
    first.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.choose(Some("desk"), &[])?;
    // Nobody can be asked any more: this greeter is about to go, and is ended if it does not.
    first.start(Some("desk"))?;
    scene.desk().wait_until_up()?;
    greeter.leave()?;
    let mut greeter = other.daemon.greeter()?;
    let failure = greeter.seat()?.failure.context("no reason")?;
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    assert_eq!((failure.kind, failure.detail), (FailureKind::LoggedInElsewhere, Some(host)));
    assert!(!scene.daemon.has_new_greeter(), "ended unasked");
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(asked_about(&mut greeter)?, 1);
    drop(greeter);
    other.daemon.stop()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn who_comes_back_right_after_a_logout_is_asked_about_nothing() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd,
        |daemon| Ok(daemon.set("LDM_LIMIT_ONE_SESSION", "True").set("LDM_LIMIT_ONE_SESSION_PROMPT", "True")),
    )?;
    for _ in 0..3 {
        let mut greeter = scene.daemon.greeter()?;
        assert_eq!(greeter.seat()?.failure, None);
        greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
        assert_eq!(asked_about(&mut greeter)?, 0, "about the session before");
        scene.desk().prepare()?;
        greeter.start(Some("desk"))?;
        scene.desk().wait_until_up()?;
        scene.work_and_log_out()?;
    }
    scene.finish()
}

#[test]
fn the_second_look_needs_no_second_channel() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd.line("MaxSessions 1"),
        |daemon| Ok(daemon.set("LDM_LIMIT_ONE_SESSION", "True").set("LDM_LIMIT_ONE_SESSION_PROMPT", "True")),
    )?;
    scene.log_in()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_server_without_helper_knows_of_no_other_sessions_and_the_log_says_so() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd.helper(false),
        |daemon| Ok(daemon.set("LDM_LIMIT_ONE_SESSION", "True").set("LDM_LIMIT_ONE_SESSION_PROMPT", "True")),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(asked_about(&mut greeter)?, 0);
    greeter.start(Some("icewm-session"))?;
    scene.x.screen().wait_for("TaskBar", wait::STEP)?;
    let log = scene.daemon.log_text();
    assert!(log.contains("nobody's other sessions there are known or ended (LDM_LIMIT_ONE_SESSION)"), "{log}");
    scene.daemon.stop()?;
    scene.user.wait_for_no_process(wait::STEP)?;
    scene.finish()
}

#[test]
fn without_ldm_limit_one_session_both_go_on() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let mut other = Other::new(&scene, &[])?;
    let mut greeter = other.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(asked_about(&mut greeter)?, 0);
    scene.desk().prepare()?;
    greeter.start(Some("desk"))?;
    other.is_in(&scene.desk())?;
    assert!(!scene.daemon.has_new_greeter());
    other.daemon.stop()?;
    scene.finish()
}

#[test]
fn whoever_may_not_log_in_ends_nobodys_session() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.user.join_groups(GROUP)?;
    scene.log_in()?;
    let deny = format!("@{GROUP}");
    let mut other = Other::new(&scene, &[("LDM_LIMIT_ONE_SESSION", "True"), ("LDM_USER_DENY", &deny)])?;
    let mut greeter = other.daemon.greeter()?;
    let refusal = greeter.login(&scene.user.name, &[&scene.user.password])?.expect_refused()?;
    refusal.expect(FailureKind::NotAllowed)?;
    drop(greeter);
    other.daemon.stop()?;
    assert!(!scene.daemon.has_new_greeter());
    scene.log_out()?;
    scene.finish()
}
