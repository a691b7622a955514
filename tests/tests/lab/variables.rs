//! Every variable of LDM 2 that concerns the login, the session and the greeter: a test that it changes something, or a reason
//! why it is not here. The tests of most stand elsewhere, named in [`PROVED`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use anyhow::{Context, Result, ensure};
use ldm::config::keys;
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Desk, Lab, Scene, Sshd, User, XServer, daemon, sound, stage, wait, workplace};

/// The variable, and the test that proves that it changes something.
/// Only that the tests are there is checked; what they prove is for whoever reads them.
const PROVED: &[(&str, &str)] = &[
    ("LDM_SERVER", "server::the_first_server_that_answers_is_used"),
    ("SSH_OVERRIDE_PORT", "variables::ssh_override_port_is_the_port_of_servers_that_name_none"),
    ("LDM_SESSION", "login::the_last_choice_is_remembered_for_the_user"),
    ("LDM_FORCE_SESSION", "choices::what_is_forced_is_not_offered_and_what_is_remembered_goes_before_a_default"),
    ("LDM_XSESSION", "variables::ldm_xsession_starts_the_session"),
    ("LDM_LANGUAGE", "choices::ldm_language_is_the_sessions_and_lang_the_greeters"),
    ("LDM_FORCE_LANGUAGE", "choices::what_is_forced_is_not_offered_and_what_is_remembered_goes_before_a_default"),
    ("LANG", "choices::ldm_language_is_the_sessions_and_lang_the_greeters"),
    ("CLIENT_ENV", "choices::variables_for_every_session_and_none_that_the_login_decides"),
    ("LDM_THEME", "variables::ldm_theme_and_ldm_clock_format_are_seen_at_the_greeter"),
    ("LDM_GREETER", "foreign::agreety_logs_in_to_the_remote_session"),
    ("LDM_CLOCK_FORMAT", "variables::ldm_theme_and_ldm_clock_format_are_seen_at_the_greeter"),
    ("LDM_MENU_ITEM_n", "choices::a_menu_item_runs_as_root_on_the_display_and_ends_when_a_session_starts"),
    ("LDM_MENU_COMMAND_n", "choices::a_menu_item_runs_as_root_on_the_display_and_ends_when_a_session_starts"),
    ("LDM_SYSLOG", "variables::ldm_syslog_logs_to_dev_log"),
    ("LDM_LOGLEVEL", "variables::ldm_loglevel_and_ldm_debug_decide_how_much_is_logged"),
    ("LDM_DEBUG", "variables::ldm_loglevel_and_ldm_debug_decide_how_much_is_logged"),
    ("LDM_DIRECTX", "session::directx_goes_past_ssh_and_is_warned_about"),
    ("XKBLAYOUT", "choices::keyboard_layouts_are_on_the_display_and_the_chosen_one_is_the_sessions_first"),
    ("XKBVARIANT", "choices::keyboard_layouts_are_on_the_display_and_the_chosen_one_is_the_sessions_first"),
    ("XKBOPTIONS", "choices::keyboard_layouts_are_on_the_display_and_the_chosen_one_is_the_sessions_first"),
    ("XKBMODEL", "variables::xkbmodel_and_xkbrules_are_on_the_display_and_in_the_session"),
    ("XKBRULES", "variables::xkbmodel_and_xkbrules_are_on_the_display_and_in_the_session"),
    ("X_NUMLOCK", "variables::x_numlock_switches_num_lock"),
    ("X_BLANKING", "variables::x_blanking_and_ldm_monitor_are_told_to_the_greeter"),
    ("LDM_AUTOLOGIN", "guests::ldm_autologin_needs_no_greeter_and_comes_again_after_the_logout"),
    ("LDM_GUESTLOGIN", "guests::ldm_guestlogin_lets_ldm_username_in_with_ldm_password"),
    ("LDM_USERNAME", "guests::ldm_guestlogin_lets_ldm_username_in_with_ldm_password"),
    ("LDM_PASSWORD", "guests::ldm_guestlogin_lets_ldm_username_in_with_ldm_password"),
    ("LDM_GUEST_SERVER", "guests::ldm_guest_server_is_for_guests_alone"),
    ("LDM_AUTOLOGIN_SERVER", "guests::ldm_autologin_server_is_where_ldm_autologin_goes"),
    ("LDM_LOGIN_TIMEOUT", "guests::ldm_login_timeout_and_its_old_form_are_counted_by_the_greeter"),
    ("LDM_TIMEOUT_ENABLED", "guests::ldm_login_timeout_and_its_old_form_are_counted_by_the_greeter"),
    ("LDM_TIMEOUT_TIME", "guests::ldm_login_timeout_and_its_old_form_are_counted_by_the_greeter"),
    ("HOST_TO_USERNAME", "guests::host_to_username_makes_the_guests_name"),
    ("LDM_USER_ALLOW", "allowed::ldm_user_allow_keeps_other_names_from_the_server"),
    ("LDM_LIMIT_ONE_SESSION", "allowed::ldm_limit_one_session_ends_the_others_and_tells_them"),
    ("LDM_LIMIT_ONE_SESSION_PROMPT", "allowed::ldm_limit_one_session_prompt_asks_first"),
];

/// Those of the reference of LDM 2, sections 2.1, 2.3 and 2.4.
const ALL: &str = "LDM_SERVER LDM_AUTOLOGIN LDM_GUESTLOGIN LDM_USERNAME LDM_PASSWORD LDM_GUEST_SERVER LDM_AUTOLOGIN_SERVER \
    LDM_LOGIN_TIMEOUT LDM_TIMEOUT_ENABLED LDM_TIMEOUT_TIME HOST_TO_USERNAME LDM_USER_ALLOW LDM_LIMIT_ONE_SESSION \
    LDM_LIMIT_ONE_SESSION_PROMPT LDM_PASSWORD_HASH LDM_FORCE_BACKEND LDM_DEFAULT_BACKEND LDM_NOMAD LDM_SESSION \
    LDM_FORCE_SESSION LDM_XSESSION LDM_LANGUAGE LDM_FORCE_LANGUAGE LANG CLIENT_ENV KILL_DBUS_DAEMON LDM_XCOMPMGR \
    LDM_DEFAULT_XSESSION LDM_SELECTED_SESSION LDM_SOCKET LDMINFO_IPADDR LDM_REMOTECMD LDM_GLOBAL_DMRC LDM_NUMLOCK LDM_RUNONCE \
    LDM_THEME LDM_GREETER LDM_WINMANAGER LDM_CLOCK_FORMAT LDM_MENU_ITEM_n LDM_MENU_COMMAND_n LDM_SYSLOG LDM_LOGLEVEL \
    LDM_DEBUG LDM_DEBUG_TERMINAL";

/// Names of the tests in a file of the lab, as `file::name`.
fn tests_in(file: &str) -> Vec<String> {
    let text = fs::read_to_string(stage::checkout().join(format!("tests/tests/lab/{file}.rs"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_test = |pair: &[&str]| pair.first() == Some(&"#[test]");
    let name = |pair: &[&str]| {
        let name = pair.get(1)?.strip_prefix("fn ")?.split('(').next()?;
        Some(format!("{file}::{name}"))
    };
    lines.windows(2).filter(|pair| is_test(pair)).filter_map(name).collect()
}

#[test]
fn every_variable_has_its_test_or_its_reason() -> Result<()> {
    let mut missing = Vec::new();
    for name in ALL.split_whitespace() {
        let proved = PROVED.iter().find(|(variable, _)| *variable == name);
        match (proved, keys::gone(name)) {
            (Some(_), None) | (None, Some(_)) => {}
            _ => missing.push(format!("{name} is neither proved nor argued away, or both")),
        }
    }
    for (variable, proof) in PROVED {
        let file = proof.split("::").next().unwrap_or_default();
        let found = tests_in(file).iter().any(|test| test == proof);
        if !found {
            missing.push(format!("{variable}: there is no test {proof}"));
        }
        if keys::find(variable).is_none() {
            missing.push(format!("{variable} is no key"));
        }
    }
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}

fn with(seat: impl FnOnce(daemon::Builder<'_>) -> daemon::Builder<'_>) -> Result<Scene> {
    Scene::with(|sshd| sshd, |daemon| Ok(seat(daemon)))
}

#[test]
fn ssh_override_port_is_the_port_of_servers_that_name_none() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let daemon = Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?;
    let daemon = daemon.set("LDM_SERVER", "127.0.0.1").set("SSH_OVERRIDE_PORT", &sshd.port().to_string()).start()?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    scene.log_in()?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn ldm_xsession_starts_the_session() -> Result<()> {
    let place = tempfile::Builder::new().prefix("ldm-lab-xsession").tempdir()?;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let script = place.path().join("Xsession");
    workplace::write_script(&script, "export FROM_XSESSION=ours\nexec $1")?;
    let mut scene = with(|seat| seat.set("LDM_XSESSION", &script.to_string_lossy()))?;
    scene.log_in()?;
    assert_eq!(scene.desk().env()?.get("FROM_XSESSION").map(String::as_str), Some("ours"));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn the_clients_own_language_is_the_greeters_where_none_is_configured() -> Result<()> {
    for (configured, want) in [(None, "de_DE.UTF-8"), (Some("fr_FR.UTF-8"), "fr_FR.UTF-8")] {
        let mut scene = with(|seat| {
            let seat = seat.by(&["env", "LANG=de_DE.UTF-8"]);
            match configured {
                Some(language) => seat.set("LDM_LANGUAGE", language),
                None => seat,
            }
        })?;
        let greeter = scene.daemon.greeter()?;
        // Where the locale is not installed, which is usual on a thin client, its catalogue is named by LANGUAGE.
        let told = [greeter.env("LANG")?, greeter.env("LANGUAGE").unwrap_or_default()];
        assert!(told.contains(&want), "{told:?}");
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

/// A pixel of the screen, away from the dialog and the bars.
fn colour(screen: &Screen) -> Result<Vec<u8>> {
    let crop = ["-silent", "-window", "root", "-crop", "1x1+20+300", "-depth", "8", "rgb:-"];
    Ok(screen.command("import").args(crop).output()?.stdout)
}

#[test]
fn ldm_theme_and_ldm_clock_format_are_seen_at_the_greeter() -> Result<()> {
    let sheet = "@define-color backdrop #12ab34;\n";
    let (scene, reader, _theme) = crate::themes::themed(&[("theme.ini", "background =\n"), ("style.css", sheet)])?;
    reader.wait_for_text("the century: 20", wait::STEP)?;
    let screen = scene.x.screen();
    let green = || colour(&screen).ok().filter(|colour| *colour == [0x12, 0xab, 0x34]).map(drop);
    wait::until("the theme's colour on the screen", wait::STEP, green)?;
    scene.finish()
}

#[test]
fn x_blanking_and_ldm_monitor_are_told_to_the_greeter() -> Result<()> {
    let mut scene = with(|seat| seat.set("X_BLANKING", "77").set("LDM_MONITOR", "HDMI-1"))?;
    let seat = scene.daemon.greeter()?.seat()?;
    assert_eq!((seat.blank, seat.monitor.as_deref()), (77, Some("HDMI-1")));
    scene.finish()
}

#[test]
fn xkbmodel_and_xkbrules_are_on_the_display_and_in_the_session() -> Result<()> {
    let mut scene = with(|seat| seat.set("XKBMODEL", "pc104").set("XKBRULES", "base"))?;
    let greeter = scene.daemon.greeter()?;
    let query = sound::output(scene.x.screen().command("setxkbmap").arg("-query"))?;
    assert!(query.contains("pc104") && query.contains("base"), "{query}");
    scene.log_in_at(greeter)?;
    let env = scene.desk().env()?;
    assert_eq!(env.get("XKBMODEL").map(String::as_str), Some("pc104"));
    assert_eq!(env.get("XKBRULES").map(String::as_str), Some("base"));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn x_numlock_switches_num_lock() -> Result<()> {
    for (wanted, want) in [("True", "on"), ("False", "off")] {
        let lab = Lab::new()?;
        let sshd = Sshd::new(&lab)?;
        let user = User::new(&lab)?;
        let x = XServer::new(&lab)?;
        if wanted == "False" {
            x.screen().key("Num_Lock")?;
        }
        let daemon =
            Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?.set("X_NUMLOCK", wanted).start()?;
        let mut scene = Scene { daemon, x, user, sshd, lab };
        let greeter = scene.daemon.greeter()?;
        let state = sound::output(scene.x.screen().command("xset").arg("q"))?;
        let led = state.split("Num Lock:").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
        assert_eq!(led.as_deref(), Some(want), "{state}");
        drop(greeter);
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_loglevel_and_ldm_debug_decide_how_much_is_logged() -> Result<()> {
    for (level, debug, much) in [(Some("6"), "False", false), (Some("7"), "False", true), (None, "True", true)] {
        let mut scene = with(|seat| {
            let seat = seat.set("LDM_DEBUG", debug);
            match level {
                Some(level) => seat.set("LDM_LOGLEVEL", level),
                None => seat.unset("LDM_LOGLEVEL"),
            }
        })?;
        scene.log_in()?;
        scene.log_out()?;
        let log = scene.daemon.log_text();
        assert_eq!(log.contains("DEBUG"), much, "{level:?} {debug}: {log}");
        assert!(log.contains("INFO"), "{log}");
        // That the password is in none of them, the lab itself looks at.
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn ldm_syslog_logs_to_dev_log() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let socket = lab.file("dev-log");
    let listener = UnixDatagram::bind(&socket)?;
    listener.set_read_timeout(Some(wait::STEP))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    let dev = lab.file("dev");
    fs::create_dir(&dev)?;
    // A /dev of its own, with few devices in it.
    let script = format!(
        "set -e; mount -t tmpfs none {dev}; chmod 755 {dev}
        for name in null zero full random urandom tty; do touch {dev}/$name; mount --bind /dev/$name {dev}/$name; done
        touch {dev}/log; mount --bind {socket} {dev}/log; mount --rbind {dev} /dev; exec \"$@\"",
        dev = dev.display(),
        socket = socket.display()
    );
    let daemon = Daemon::builder(&lab)
        .by(&["unshare", "--mount", "--propagation=private", "sh", "-c", &script, "sh"])
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_SYSLOG", "True")
        .start()?;
    let mut scene = Scene { daemon, x, user, sshd, lab };
    scene.daemon.greeter()?;
    let mut buffer = [0; 2048];
    let mut said = String::new();
    while !said.contains("the display") {
        let length = listener.recv(&mut buffer).context("nothing comes to /dev/log")?;
        said = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
    }
    // Facility daemon, level info (RFC 3164).
    assert!(said.starts_with("<30>"), "{said}");
    assert!(!scene.daemon.log_text().contains("the display"), "it is logged twice");
    scene.finish()
}
