//! What a greeter may choose and know besides the login: servers, language, keyboard, menu, power, facts.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::client::{Facts, Load, Power, Server, SoundTest};
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::sound::{self, SoundDaemon};
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Desk, Greeter, Lab, Scene, Sshd, User, XServer, daemon, sshd, wait, workplace};

/// A scene on whose server these locales are installed besides C.UTF-8.
fn with_locales(locales: &[&str], seat: impl FnOnce(daemon::Builder<'_>) -> daemon::Builder<'_>) -> Result<Scene> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    fs::create_dir(lab.file("server-bin"))?;
    let list: Vec<String> = locales.iter().map(|locale| format!("echo {locale}")).collect();
    lab.script("server-bin/locale", &format!("echo C.utf8\n{}", list.join("\n")))?;
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", lab.file("server-bin").display(), lab.bin()?.display());
    let sshd = Sshd::builder(&lab).path(&path).start()?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let daemon = seat(Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?).start()?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

fn with(seat: impl FnOnce(daemon::Builder<'_>) -> daemon::Builder<'_>) -> Result<Scene> {
    Scene::with(|sshd| sshd, |daemon| Ok(seat(daemon)))
}

fn dmrc(scene: &Scene) -> String {
    fs::read_to_string(scene.user.home.join(".dmrc")).unwrap_or_default()
}

/// Starts the session from a greeter where the user has logged in, and waits until it is there.
fn start_desk(scene: &Scene, mut greeter: Greeter, env: &[&str]) -> Result<()> {
    scene.desk().prepare()?;
    greeter.choose(Some("desk"), env)?;
    greeter.leave()?;
    scene.desk().wait_until_up()
}

fn logged_in(scene: &mut Scene) -> Result<Greeter> {
    let mut greeter = scene.daemon.greeter()?;
    greeter.seat()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    Ok(greeter)
}

fn facts(greeter: &mut Greeter) -> Result<Facts> {
    match greeter.request(&Request::LdmFacts)? {
        Response::LdmFacts(facts) => Ok(*facts),
        other => bail!("instead of facts: {other:?}"),
    }
}

fn servers(greeter: &mut Greeter) -> Result<Vec<Server>> {
    match greeter.request(&Request::LdmServers)? {
        Response::LdmServers { servers } => Ok(servers),
        other => bail!("instead of servers: {other:?}"),
    }
}

fn success(greeter: &mut Greeter, request: &Request) -> Result<()> {
    match greeter.request(request)? {
        Response::Success => Ok(()),
        other => bail!("{request:?}: {other:?}"),
    }
}

fn refused(greeter: &mut Greeter, request: &Request) -> Result<(Option<FailureKind>, String)> {
    match greeter.request(request)? {
        Response::Error { failure, .. } => Ok((
            failure.as_ref().map(|failure| failure.kind),
            failure.and_then(|failure| failure.detail).unwrap_or_default(),
        )),
        other => bail!("{request:?} was not refused: {other:?}"),
    }
}

/// What setxkbmap(1) says of the display's keyboard.
fn layouts(screen: &Screen) -> Result<String> {
    sound::output(screen.command("setxkbmap").arg("-query"))
}

/// Whether the second layout is in use, by the keyboard's light for it.
fn second_group(screen: &Screen) -> Result<bool> {
    let state = sound::output(screen.command("xset").arg("q"))?;
    let led = state.split("Group 2:").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(led.context("no such light")? == "on")
}

#[test]
fn a_language_is_chosen_by_its_name_used_and_remembered() -> Result<()> {
    let mut scene = with_locales(&["de_AT.utf8", "de_DE.utf8"], |seat| seat.set("LDM_LANGUAGE", "C.UTF-8"))?;
    let mut greeter = logged_in(&mut scene)?;
    let offered = greeter.sessions()?;
    assert_eq!(offered.languages, ["C.UTF-8", "de_AT.UTF-8", "de_DE.UTF-8"]);
    assert_eq!(offered.language.as_deref(), Some("C.UTF-8"), "the administrator's");
    start_desk(&scene, greeter, &["LANG=de"])?;
    assert_eq!(scene.desk().env()?.get("LANG").map(String::as_str), Some("de_DE.UTF-8"));
    assert!(dmrc(&scene).contains("Language=de_DE.UTF-8\n"), "{}", dmrc(&scene));
    scene.work_and_log_out()?;

    // What was chosen goes before what the administrator proposes.
    let mut greeter = logged_in(&mut scene)?;
    assert_eq!(greeter.sessions()?.language.as_deref(), Some("de_DE.UTF-8"));
    start_desk(&scene, greeter, &[])?;
    assert_eq!(scene.desk().env()?.get("LANG").map(String::as_str), Some("de_DE.UTF-8"));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn ldm_language_is_the_sessions_and_lang_the_greeters() -> Result<()> {
    let mut scene = with_locales(&["de_DE.utf8", "fr_FR.utf8"], |seat| {
        seat.set("LDM_LANGUAGE", "de_DE.UTF-8").set("LANG", "fr_FR.UTF-8")
    })?;
    let mut greeter = logged_in(&mut scene)?;
    // Where the locale is not installed, which is usual on a thin client, its catalogue is named by LANGUAGE.
    let told = [greeter.env("LANG")?, greeter.env("LANGUAGE").unwrap_or_default()];
    assert!(told.contains(&"fr_FR.UTF-8"), "{told:?}");
    assert_eq!(greeter.sessions()?.language.as_deref(), Some("de_DE.UTF-8"));
    start_desk(&scene, greeter, &[])?;
    assert_eq!(scene.desk().env()?.get("LANG").map(String::as_str), Some("de_DE.UTF-8"));
    let remembered = dmrc(&scene);
    assert!(remembered.contains("Session=desk\n") && !remembered.contains("Language"), "nobody chose it: {remembered}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_default_session_that_the_server_has_not_is_told_in_the_log() -> Result<()> {
    let mut scene = with(|seat| seat.set("LDM_SESSION", "kisok"))?;
    let mut greeter = logged_in(&mut scene)?;
    assert_eq!(greeter.sessions()?.preselected, None);
    start_desk(&scene, greeter, &[])?;
    let log = scene.daemon.log_text();
    let said = log.lines().find(|line| line.contains("no session of LDM_SESSION")).context("nothing is said")?;
    ensure!(said.contains("kisok") && said.contains(".conf:"), "{said}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn what_is_forced_is_not_offered_and_what_is_remembered_goes_before_a_default() -> Result<()> {
    let mut scene = with_locales(&["de_DE.utf8"], |seat| seat.set("LDM_FORCE_LANGUAGE", "C.UTF-8"))?;
    scene.user.write(".dmrc", "[Desktop]\nLanguage=de_DE.UTF-8\n", 0o644)?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert!(seat.language_forced && !seat.session_forced);
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    let offered = greeter.sessions()?;
    assert!(offered.languages.is_empty() && offered.language.is_none(), "{offered:?}");
    start_desk(&scene, greeter, &["LANG=de_DE.UTF-8"])?;
    assert_eq!(scene.desk().env()?.get("LANG").map(String::as_str), Some("C.UTF-8"), "whatever a greeter says");
    scene.work_and_log_out()?;
    scene.daemon.stop()?;

    // With a forced session the list, and what is remembered in it, is not asked for.
    scene.daemon = Daemon::builder(&scene.lab)
        .on(scene.x.screen())
        .server(&scene.sshd, scene.sshd.port())?
        .set("LDM_FORCE_SESSION", "desk")
        .set("LDM_LANGUAGE", "C.UTF-8")
        .start()?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert!(seat.session_forced && !seat.language_forced);
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    start_desk(&scene, greeter, &[])?;
    assert_eq!(scene.desk().env()?.get("LANG").map(String::as_str), Some("de_DE.UTF-8"));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_language_that_is_not_installed_falls_back_and_is_told_in_the_log() -> Result<()> {
    let mut scene = with_locales(&["de_DE.utf8"], |seat| seat)?;
    scene.user.write(".dmrc", "[Desktop]\nLanguage=fr_FR.UTF-8\nLayout=us\n", 0o644)?;
    let mut greeter = logged_in(&mut scene)?;
    assert_eq!(greeter.sessions()?.language, None);
    start_desk(&scene, greeter, &["LANG=ja_JP.UTF-8"])?;
    assert_ne!(scene.desk().env()?.get("LANG").map(String::as_str), Some("ja_JP.UTF-8"));
    wait::for_line(scene.daemon.log(), "the remembered language", wait::STEP)?;
    let log = scene.daemon.log_text();
    assert_eq!(log.matches("the remembered language fr_FR.UTF-8 is not installed").count(), 1, "{log}");
    assert!(log.contains("the server has no such language") && log.contains("ja_JP.UTF-8"), "{log}");
    assert!(dmrc(&scene).contains("Language=fr_FR.UTF-8\nLayout=us\n"), "nothing of it is overwritten");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_remembered_session_that_is_gone_says_so() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.user.write(".dmrc", "[Desktop]\nSession=never\n", 0o644)?;
    let mut greeter = logged_in(&mut scene)?;
    let offered = greeter.sessions()?;
    assert_eq!((offered.gone.as_deref(), offered.remembered, offered.preselected), (Some("never"), false, None));
    start_desk(&scene, greeter, &[])?;
    scene.work_and_log_out()?;
    let mut greeter = logged_in(&mut scene)?;
    let offered = greeter.sessions()?;
    assert_eq!((offered.gone, offered.remembered), (None, true));
    assert_eq!(offered.preselected.as_deref(), Some("desk"));
    drop(greeter);
    scene.finish()
}

#[test]
fn keyboard_layouts_are_on_the_display_and_the_chosen_one_is_the_sessions_first() -> Result<()> {
    let mut scene = with(|seat| {
        seat.set("XKBLAYOUT", "us,de").set("XKBVARIANT", ",nodeadkeys").set("XKBOPTIONS", "grp:alt_shift_toggle")
    })?;
    let screen = scene.x.screen();
    let mut greeter = scene.daemon.greeter()?;
    greeter.seat()?;
    let before = layouts(&screen)?;
    assert!(before.contains("us,de") && before.contains(",nodeadkeys") && before.contains("grp:alt_shift"), "{before}");
    // The user switches as the option has it; the greeter sees that and says so.
    let ldm = scene.lab.bin()?.join("ldm");
    sound::output(screen.command(&ldm.to_string_lossy()).args(["keyboard", "--group", "1"]))?;
    ensure!(second_group(&screen)?, "the second layout is not in use");
    success(&mut greeter, &Request::LdmLayout { group: 1 })?;
    assert_eq!(refused(&mut greeter, &Request::LdmLayout { group: 2 })?.0, None);
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    start_desk(&scene, greeter, &[])?;
    let env = scene.desk().env()?;
    assert_eq!(env.get("XKBLAYOUT").map(String::as_str), Some("de,us"));
    assert_eq!(env.get("XKBVARIANT").map(String::as_str), Some("nodeadkeys,"));
    assert_eq!(env.get("XKBOPTIONS").map(String::as_str), Some("grp:alt_shift_toggle"));
    assert_eq!(env.get("XKBMODEL"), None);
    ensure!(!second_group(&screen)?, "the layout that was chosen comes first, and the first is in use");
    let during = layouts(&screen)?;
    assert!(during.contains("de,us") && during.contains("nodeadkeys,"), "{during}");
    scene.work_and_log_out()?;
    // The next user begins as configured, also on a display that stays.
    let mut greeter = scene.daemon.greeter()?;
    greeter.seat()?;
    wait::until("the layouts to come back", wait::STEP, || layouts(&screen).ok().filter(|all| all.contains("us,de")))?;
    drop(greeter);
    scene.finish()
}

#[test]
fn a_layout_that_nobody_told_of_is_not_left_to_the_session() -> Result<()> {
    let mut scene = with(|seat| seat.set("XKBLAYOUT", "us,de"))?;
    let screen = scene.x.screen();
    let greeter = scene.daemon.greeter()?;
    // As by a key at the last moment, or before the greeter crashed.
    let ldm = scene.lab.bin()?.join("ldm");
    sound::output(screen.command(&ldm.to_string_lossy()).args(["keyboard", "--group", "1"]))?;
    ensure!(second_group(&screen)?, "the second layout is not in use");
    scene.log_in_at(greeter)?;
    assert_eq!(scene.desk().env()?.get("XKBLAYOUT").map(String::as_str), Some("us,de"));
    ensure!(!second_group(&screen)?, "the session is told of one layout and types another");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_layout_that_x_does_not_know_keeps_nobody_from_logging_in() -> Result<()> {
    let mut scene = with(|seat| seat.set("XKBLAYOUT", "no_such_layout"))?;
    scene.log_in()?;
    let log = scene.daemon.log_text();
    assert_eq!(log.matches(": XKBLAYOUT: the keyboard cannot be set: ").count(), 1, "{log}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_menu_item_runs_as_root_on_the_display_and_ends_when_a_session_starts() -> Result<()> {
    let place = tempfile::Builder::new().prefix("ldm-lab-menu").tempdir()?;
    let (out, pid) = (place.path().join("out"), place.path().join("pid"));
    let tool = executable(
        &place.path().join("tool"),
        &format!(
            "id -u >{out}.new; xwininfo -root | grep -c 'the root window' >>{out}.new; mv {out}.new {out}\n\
             trap '' TERM; sleep 100000 & echo $! >{pid}; wait",
            out = out.display(),
            pid = pid.display()
        ),
    )?;
    let mut scene = with(|seat| {
        seat.set("LDM_MENU_ITEM_4", "Tools")
            .set("LDM_MENU_COMMAND_4", &tool)
            .set("LDM_MENU_ITEM_5", "Broken")
            .set("LDM_MENU_COMMAND_5", "/nonexistent/tool")
            .set("LDM_MENU_ITEM_6", "Half")
    })?;
    let mut greeter = scene.daemon.greeter()?;
    let menu: Vec<(u8, String)> = greeter.seat()?.menu.into_iter().map(|item| (item.number, item.name)).collect();
    assert_eq!(menu, [(4, "Tools".to_owned()), (5, "Broken".to_owned())]);
    assert!(scene.daemon.log_text().contains("LDM_MENU_ITEM_6 is of no use without LDM_MENU_COMMAND_6"));
    success(&mut greeter, &Request::LdmMenu { number: 4 })?;
    assert_eq!(sshd::wait_for_file(&out, wait::STEP)?, "0\n1\n", "who it runs as, and whether it sees the display");
    let (kind, detail) = refused(&mut greeter, &Request::LdmMenu { number: 5 })?;
    assert_eq!(kind, Some(FailureKind::CommandFailed));
    assert!(detail.contains("/nonexistent/tool"), "{detail}");
    assert_eq!(refused(&mut greeter, &Request::LdmMenu { number: 6 })?.0, None);
    let sleeper = sshd::wait_for_file(&pid, wait::STEP)?.trim().to_owned();
    assert!(Path::new("/proc").join(&sleeper).exists());
    // It does not want to end, and its window would be on the session's display.
    scene.log_in_at(greeter)?;
    assert!(!Path::new("/proc").join(&sleeper).exists(), "the session has begun beside it");
    scene.work_and_log_out()?;
    // And when the daemon does.
    fs::remove_file(&pid)?;
    let mut greeter = scene.daemon.greeter()?;
    success(&mut greeter, &Request::LdmMenu { number: 4 })?;
    let sleeper = sshd::wait_for_file(&pid, wait::STEP)?.trim().to_owned();
    scene.daemon.stop()?;
    assert!(!Path::new("/proc").join(&sleeper).exists());
    scene.user.wait_for_no_process(wait::STEP)
}

/// Writes a shell script.
fn executable(path: &Path, body: &str) -> Result<String> {
    workplace::write_script(path, body)?;
    Ok(path.to_string_lossy().into_owned())
}

/// As logind writes down that somebody is logged in.
pub(crate) struct LogindSession(PathBuf);

impl LogindSession {
    /// Of this user, whom no other scenario has.
    pub(crate) fn new(user: &str) -> Result<Self> {
        fs::create_dir_all("/run/systemd/sessions")?;
        let path = PathBuf::from(format!("/run/systemd/sessions/ldmlab{}-{user}", std::process::id()));
        fs::write(&path, format!("UID=1000\nUSER={user}\nACTIVE=1\nSTATE=active\nCLASS=user\n"))?;
        Ok(Self(path))
    }
}

impl Drop for LogindSession {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn power_is_asked_about_done_and_its_failure_told() -> Result<()> {
    let place = tempfile::Builder::new().prefix("ldm-lab-power").tempdir()?;
    let done = place.path().join("done");
    let program = executable(
        &place.path().join("power"),
        &format!(
            "[ \"$2\" != poweroff ] || {{ echo 'first' >&2; echo 'the battery is glued in' >&2; exit 3; }}\necho \"$*\" >>{}",
            done.display()
        ),
    )?;
    let mut scene =
        with(|seat| seat.set("LDM_POWER", "reboot shutdown").set("LDM_POWER_PROGRAM", &format!("{program} --now")))?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.power, [Power::Reboot, Power::ShutDown]);
    let ask = |action, confirmed| Request::LdmPower { action, confirmed };
    let session = LogindSession::new("somebody")?;
    let Response::LdmConfirm { users } = greeter.request(&ask(Power::Reboot, false))? else { bail!("not asked") };
    assert!(users.contains(&"somebody".to_owned()), "{users:?}");
    assert!(!done.exists(), "it was done all the same");
    success(&mut greeter, &ask(Power::Reboot, true))?;
    assert_eq!(fs::read_to_string(&done)?, "--now reboot\n", "answered when it was done");
    drop(session);
    let (kind, detail) = refused(&mut greeter, &ask(Power::ShutDown, true))?;
    assert_eq!((kind, detail.as_str()), (Some(FailureKind::PowerFailed), "the battery is glued in"));
    assert_eq!(refused(&mut greeter, &ask(Power::Suspend, true))?.0, None, "not offered");
    // None of it is in the way of a login.
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn facts_tell_what_the_help_desk_asks_for() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    let at_first = facts(&mut greeter)?;
    assert!(!at_first.version.is_empty());
    assert!(at_first.addresses.iter().all(|address| !address.starts_with("127.")), "{at_first:?}");
    assert_eq!((&at_first.transport, &at_first.failure, &at_first.sound), (&None, &None, &SoundTest::None));
    Desk::offer(&scene.lab, "short", "exit 3")?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(Some("short"))?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.failure.context("it was too short")?.kind, FailureKind::SessionTooShort);
    let later = facts(&mut greeter)?;
    let transport = later.transport.context("there was a connection")?;
    assert_eq!(transport.server, format!("127.0.0.1:{}", scene.sshd.port()));
    assert!(transport.software.starts_with("SSH-2.0-OpenSSH"), "{transport:?}");
    assert_eq!(transport.host_key, "ssh-ed25519");
    assert!(!transport.cipher.is_empty() && !transport.key_exchange.is_empty(), "{transport:?}");
    let (failure, at) = later.failure.context("there was a failure")?;
    assert_eq!(failure.kind, FailureKind::SessionTooShort);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    assert!(at <= now && now - at < 60, "{at} {now}");
    drop(greeter);
    scene.finish()
}

/// An ldminfod of LDM 2, as long as this lives. Its port is fixed, and another run of the lab may have it just now.
struct Ldminfod(Arc<AtomicBool>);

impl Ldminfod {
    fn new(said: &'static str) -> Result<Self> {
        let listener =
            wait::until("the port of ldminfod", Duration::from_mins(2), || TcpListener::bind(LDMINFOD).ok())?;
        let ended = Arc::new(AtomicBool::new(false));
        let this = Self(Arc::clone(&ended));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stream.write_all(said.as_bytes());
            }
        });
        Ok(this)
    }
}

impl Drop for Ldminfod {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(LDMINFOD);
    }
}

const LDMINFOD: &str = "127.0.0.1:9571";

#[test]
fn servers_are_up_or_down_busy_or_not_and_another_one_can_be_used() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.daemon.stop()?;
    let other = Sshd::new(&scene.lab)?;
    let _ldminfod = Ldminfod::new("language:C\nsession:\u{1b}[1mx\nrating:40\n")?;
    let dead = format!("127.0.0.1:{}", sshd::free_port()?);
    let [first, second] = [&scene.sshd, &other].map(|sshd| format!("127.0.0.1:{}", sshd.port()));
    let known_hosts = scene.lab.file("all-known-hosts");
    let mut lines = String::new();
    for sshd in [&scene.sshd, &other] {
        lines.push_str(&fs::read_to_string(sshd.known_hosts(&scene.lab, sshd.port())?)?);
    }
    fs::write(&known_hosts, lines)?;
    scene.daemon = Daemon::builder(&scene.lab)
        .on(scene.x.screen())
        .set("LDM_SERVER", &format!("{first} {dead} {second}"))
        .set("LDM_KNOWN_HOSTS", &known_hosts.to_string_lossy())
        .start()?;
    let mut greeter = scene.daemon.greeter()?;
    let seat = greeter.seat()?;
    assert_eq!(
        (seat.server.as_str(), seat.servers),
        (first.as_str(), vec![first.clone(), dead.clone(), second.clone()])
    );
    let at_once = servers(&mut greeter)?;
    assert!(at_once.iter().all(|server| server.up.is_none()), "{at_once:?}");
    let want = vec![
        Server { name: first.clone(), up: Some(true), load: Some(Load::Medium) },
        Server { name: dead, up: Some(false), load: None },
        Server { name: second.clone(), up: Some(true), load: Some(Load::Medium) },
    ];
    wait::try_until("all servers' state", wait::STEP, || Ok((servers(&mut greeter)? == want).then_some(())))?;

    success(&mut greeter, &Request::LdmPrepare)?;
    success(&mut greeter, &Request::LdmServer { name: Some(second.clone()) })?;
    assert_eq!(refused(&mut greeter, &Request::LdmServer { name: Some("elsewhere".into()) })?.0, None);
    assert_eq!(greeter.seat()?.server, second);
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    assert_eq!(facts(&mut greeter)?.transport.context("connected")?.server, second);
    start_desk(&scene, greeter, &[])?;
    scene.work_and_log_out()?;
    assert_eq!(scene.daemon.greeter()?.seat()?.server, first, "the next user has chosen none");
    scene.finish()
}

#[test]
fn who_logged_in_last_is_remembered_for_the_client_and_forgotten_on_demand() -> Result<()> {
    let place = tempfile::Builder::new().prefix("ldm-lab-state").tempdir()?;
    let directory = place.path().join("ldm");
    let state = directory.to_string_lossy().into_owned();
    let mut scene = with(|seat| seat.set("LDM_REMEMBER_USER", "True").set("LDM_STATE_DIR", &state))?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.username, None);
    greeter.login(&scene.user.name, &["wrong"])?.expect_refused()?;
    assert!(!directory.join("last-user").exists(), "nobody has logged in");
    scene.log_in_at(greeter)?;
    let about = fs::metadata(directory.join("last-user"))?;
    assert_eq!((about.uid(), about.mode() & 0o777), (0, 0o600));
    scene.work_and_log_out()?;
    let mut greeter = scene.daemon.greeter()?;
    assert_eq!(greeter.seat()?.username.as_deref(), Some(scene.user.name.as_str()));
    drop(greeter);
    scene.daemon.stop()?;
    for (wanted, name) in [("True", Some(scene.user.name.as_str())), ("False", None), ("True", None)] {
        scene.daemon = Daemon::builder(&scene.lab)
            .on(scene.x.screen())
            .server(&scene.sshd, scene.sshd.port())?
            .set("LDM_REMEMBER_USER", wanted)
            .set("LDM_STATE_DIR", &state)
            .start()?;
        assert_eq!(scene.daemon.greeter()?.seat()?.username.as_deref(), name, "{wanted}");
        scene.daemon.stop()?;
    }
    scene.user.wait_for_no_process(wait::STEP)
}

#[test]
fn variables_for_every_session_and_none_that_the_login_decides() -> Result<()> {
    for helper in [true, false] {
        let mut scene = Scene::with(
            |sshd| sshd.helper(helper),
            |seat| Ok(seat.set("CLIENT_ENV", "SCHOOL=north 'ROOM=second floor' LD_PRELOAD=/x LTSP_CLIENT=y")),
        )?;
        let mut greeter = logged_in(&mut scene)?;
        let offered = greeter.sessions()?;
        // The shell script takes sessions of the whole system alone.
        ensure!(helper || offered.languages.is_empty(), "the shell script lists languages");
        assert!(scene.daemon.log_text().contains("CLIENT_ENV: LD_PRELOAD, LTSP_CLIENT cannot be set so"));
        if helper {
            start_desk(&scene, greeter, &[])?;
            let env = scene.desk().env()?;
            assert_eq!(env.get("SCHOOL").map(String::as_str), Some("north"));
            assert_eq!(env.get("ROOM").map(String::as_str), Some("second floor"));
            assert_eq!(env.get("LD_PRELOAD"), None);
            assert_eq!(env.get("LTSP_CLIENT").map(String::as_str), Some("127.0.0.1"));
            scene.log_out()?;
        } else {
            drop(greeter);
        }
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn a_sound_test_plays_a_tone_as_a_session_would() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let speakers = SoundDaemon::new(&lab)?;
    let builder = Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?;
    let daemon = builder.set("SOUND_DAEMON", &speakers.socket().to_string_lossy()).set("VOLUME", "100").start()?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    let mut greeter = scene.daemon.greeter()?;
    // A busy machine may drop a piece of it.
    wait::try_until("the tone to be heard", wait::STEP, || {
        let recorder = speakers.record(&scene.lab, "speakers.monitor")?;
        success(&mut greeter, &Request::LdmSoundTest)?;
        assert!(matches!(facts(&mut greeter)?.sound, SoundTest::Playing | SoundTest::Played));
        let played = wait::try_until("the tone's end", wait::STEP, || {
            Ok(Some(facts(&mut greeter)?.sound).filter(|sound| *sound != SoundTest::Playing))
        })?;
        assert_eq!(played, SoundTest::Played);
        let heard = recorder.stop_after(sound::RATE as usize / 2)?;
        let loud = heard.iter().position(|sample| sample.unsigned_abs() > 500).context("nothing was heard")?;
        let strength = sound::strength(heard.get(loud..loud + sound::RATE as usize / 2).context("too short")?, 1000.0);
        Ok((strength > 0.9).then_some(()))
    })?;
    // A session that starts meanwhile ends the test, and has its own sound.
    success(&mut greeter, &Request::LdmSoundTest)?;
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_sound_test_without_sound_says_why() -> Result<()> {
    let mut scene = with(|seat| seat.set("SOUND", "False"))?;
    let mut greeter = scene.daemon.greeter()?;
    success(&mut greeter, &Request::LdmSoundTest)?;
    let result = wait::try_until("the test's end", wait::STEP, || {
        Ok(Some(facts(&mut greeter)?.sound).filter(|sound| *sound != SoundTest::Playing))
    })?;
    let SoundTest::Failed(failure) = result else { bail!("{result:?}") };
    assert_eq!(failure.kind, FailureKind::NoSound);
    assert!(failure.detail.unwrap_or_default().contains("SOUND is off"));
    drop(greeter);
    scene.finish()
}
