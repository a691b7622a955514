//! The real greeter, driven with the keyboard alone and read as a screen reader does.

use std::fs;

use anyhow::{Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::gui::{Reader, Widget};
use ldm_tests::{Daemon, Desk, Kind, Lab, Scene, Sshd, User, XServer, sshd, sweep, wait};

/// A seat with LDM's own greeter.
fn seat(
    server: impl FnOnce(sshd::Builder<'_>) -> sshd::Builder<'_>,
    user: impl FnOnce(&Lab) -> Result<User>,
) -> Result<(Scene, Reader)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    Desk::offer(&lab, "other", "")?;
    let sshd = server(Sshd::builder(&lab)).start()?;
    let user = user(&lab)?;
    let x = XServer::new(&lab)?;
    let greeter_user = User::create(&lab, Kind::System, "")?;
    let reader = Reader::new(&lab, &greeter_user)?;
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter())
        .set("LDM_THEME", &reader.theme())
        .set("LDM_SESSION", "desk")
        .greeter_user(greeter_user)
        .start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, reader))
}

fn greeter_pid(scene: &Scene) -> Option<i32> {
    let pids = scene.daemon.greeter_user().processes();
    pids.into_iter().find(|pid| sweep::command_line(*pid).contains("ldm-greeter"))
}

#[test]
fn log_in_with_the_keyboard_alone_after_a_typing_error() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    let pid = greeter_pid(&scene);
    ensure!(pid.is_some(), "no greeter runs");
    screen.type_text(&scene.user.name)?;
    screen.key("Return")?;
    reader.wait_for_question("Password:", wait::STEP)?;
    screen.type_text("mistyped\n")?;
    reader.wait_for_text(FailureKind::Denied.message(), wait::STEP)?;
    // Every failure has the word by which the guide knows it.
    reader.wait_for_text("Code for the administrator: denied", wait::STEP)?;
    let question = reader.wait_for("a question", wait::STEP, |w| w.focused && w.role.contains("text"))?;
    if !question.name.contains("Password") {
        // The name is still there.
        assert_eq!(question.text, scene.user.name);
        screen.key("Return")?;
    }
    reader.wait_for_question("Password:", wait::STEP)?;
    assert_eq!(greeter_pid(&scene), pid, "the greeter was restarted");
    scene.desk().prepare()?;
    screen.type_text(&scene.user.password)?;
    screen.key("Return")?;
    // Nobody has asked for another session than the administrator's.
    scene.desk().wait_until_up()?;
    screen.wait_for(&scene.desk().title(), wait::STEP)?;
    assert_eq!(scene.desk().env()?.get("DESKTOP_SESSION").map(String::as_str), Some("desk"));
    assert_eq!(greeter_pid(&scene), None, "a greeter beside the session");
    scene.work_and_log_out()?;
    let again = reader.wait_for_question("User name", wait::STEP)?;
    assert_eq!(again.text, "", "the last user's name is left for the next one to see");
    let failed = reader.widgets().into_iter().find(|widget| widget.name.contains("ended"));
    assert_eq!(failed, None, "a normal logout is no failure");
    scene.finish()
}

#[test]
fn escape_goes_back_to_the_name() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text("somebodyelse\n")?;
    reader.wait_for_question("Password:", wait::STEP)?;
    screen.key("Escape")?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.xdotool(&["key", "ctrl+a"])?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_question("Password:", wait::STEP)?;
    scene.desk().prepare()?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    scene.desk().wait_until_up()?;
    scene.finish()
}

#[test]
fn an_expired_password_is_changed_at_the_greeter() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, |lab| User::create(lab, Kind::Expired, "Lab-0ld-password"))?;
    let screen = scene.x.screen();
    let new = "Lab-n3w-passw0rd-quite-different";
    scene.lab.secret(new);
    scene.desk().prepare()?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    for (question, answer) in [
        ("Password:", "Lab-0ld-password"),
        ("Current password:", "Lab-0ld-password"),
        ("New password:", new),
        ("Retype new password:", new),
    ] {
        let asked = reader.wait_for("the server's question", wait::STEP, |w| {
            w.focused && w.role.contains("text") && w.text.is_empty() && w.name.contains(question)
        })?;
        assert!(asked.role.contains("password"), "{question} would be seen: {asked:?}");
        screen.type_text(&format!("{answer}\n"))?;
    }
    scene.desk().wait_until_up()?;
    scene.finish()
}

#[test]
fn markup_from_the_server_is_shown_as_it_is() -> Result<()> {
    let text = "<b>Closed</b> from 5 & 6 <span foreground='red'>\u{1b}[31mtoday\u{1b}[0m";
    let (scene, reader) = seat(
        |sshd| {
            let line = format!("Banner {}", sshd.file("banner", format!("{text}\n").as_bytes()).display());
            sshd.line(&line)
        },
        User::new,
    )?;
    reader.wait_for_question("User name", wait::STEP)?;
    scene.x.screen().type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_text("<b>Closed</b> from 5 & 6 <span foreground='red'>today", wait::STEP)?;
    scene.finish()
}

#[test]
fn a_server_that_is_down_is_told_and_tried_again_without_a_restart() -> Result<()> {
    let (mut scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    let port = scene.sshd.port();
    scene.sshd.crash();
    screen.type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_text("is there but accepts no logins", wait::STEP)?;
    reader.wait_for_text(&format!("127.0.0.1:{port}"), wait::STEP)?;
    scene.sshd = Sshd::builder(&scene.lab).port(port).start()?;
    let pid = greeter_pid(&scene);
    // A screen of its own, with the administrator's word for it, and one key leads on.
    reader.wait_for_text("server_refused", wait::STEP)?;
    reader.wait_for("the button to try again", wait::STEP, |w| w.focused && w.name == "Try again")?;
    screen.key("Return")?;
    reader.wait_for_question("Password:", wait::STEP)?;
    assert_eq!(greeter_pid(&scene), pid);
    scene.finish()
}

#[test]
fn a_guest_gets_in_by_doing_nothing_and_whoever_types_a_name_is_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    Desk::offer(&lab, "other", "")?;
    let sshd = Sshd::builder(&lab).start()?;
    let user = User::new(&lab)?;
    Desk { user: &user }.prepare()?;
    let x = XServer::new(&lab)?;
    let greeter_user = User::create(&lab, Kind::System, "")?;
    let reader = Reader::new(&lab, &greeter_user)?;
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter())
        .set("LDM_THEME", &reader.theme())
        .set("LDM_SESSION", "desk")
        .set("LDM_GUESTLOGIN", "True")
        .set("LDM_LOGIN_TIMEOUT", "15")
        .set("LDM_USERNAME", &user.name)
        .set("LDM_PASSWORD", &user.password)
        .greeter_user(greeter_user)
        .start()?;
    let scene = Scene { daemon, x, user, sshd, lab };
    let screen = scene.x.screen();
    // Two sessions are on offer, and nobody is there to choose.
    sshd::wait_for_file(&scene.user.home.join("up"), 3 * wait::STEP)?;
    screen.wait_for(&scene.desk().title(), wait::STEP)?;
    scene.work_and_log_out()?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_question("Password:", wait::STEP)?;
    screen.key("Escape")?;
    // The name stands in the entry: the countdown does not go on behind it.
    reader.wait_for_question("User name", wait::STEP)?;
    reader.wait_for("the guest's button", wait::STEP, |w| w.role == "push button" && w.name == "Log in as a guest")?;
    ensure!(!reader.widgets().iter().any(|w| w.name.contains("Seconds until")), "it counts");
    scene.finish()
}

#[test]
fn help_and_menus_are_read_and_cost_nothing_of_what_is_typed() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    let (first, rest) = scene.user.name.split_at(2);
    screen.type_text(first)?;
    screen.key("F1")?;
    reader.wait_for("the way out of help", wait::STEP, |w| w.focused && w.name == "Close")?;
    reader.wait_for_text("Server: 127.0.0.1", wait::STEP)?;
    reader.wait_for_text("The same as a picture", wait::STEP)?;
    let read: Vec<String> = reader.widgets().into_iter().map(|w| w.name + &w.text).collect();
    ensure!(!read.iter().any(|text| text.contains("password")), "{read:?}");
    screen.key("Escape")?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.key("F10")?;
    reader.wait_for("the first menu", wait::STEP, |w| w.focused && w.name == "Session")?;
    screen.key("Return")?;
    reader.wait_for("its list", wait::STEP, |w| w.focused && w.name == "As last time")?;
    screen.key("Down")?;
    reader.wait_for("the other choice", wait::STEP, |w| w.focused && w.name == "Choose after the login")?;
    screen.key("Return")?;
    let question = reader.wait_for_question("User name", wait::STEP)?;
    ensure!(question.text == first, "{question:?}");
    screen.type_text(&format!("{rest}\n"))?;
    reader.wait_for_question("Password:", wait::STEP)?;
    // The button that shows what is hidden says so.
    reader.wait_for_text("Show what is typed", wait::STEP)?;
    // With half of it typed, the help page has none of it.
    let (half, rest) = scene.user.password.split_at(scene.user.password.len() / 2);
    screen.type_text(half)?;
    screen.key("F1")?;
    reader.wait_for("the way out of help", wait::STEP, |w| w.focused && w.name == "Close")?;
    let read: Vec<String> = reader.widgets().into_iter().flat_map(|w| [w.name, w.text]).collect();
    ensure!(read.iter().any(|text| text.starts_with("Encryption: ")), "{read:?}");
    for part in half.as_bytes().windows(6).map(String::from_utf8_lossy) {
        // Not said which: a log is read by others.
        ensure!(!read.iter().any(|text| text.contains(&*part)), "a part of what was typed is read");
    }
    screen.key("Escape")?;
    reader.wait_for_question("Password:", wait::STEP)?;
    screen.type_text(rest)?;
    screen.key("F8")?;
    reader.wait_for("the password to be seen", wait::STEP, |w| w.text == scene.user.password)?;
    screen.key("Return")?;
    reader.wait_for("the chooser", wait::STEP, |widget| widget.name.contains("Lab desk"))?;
    scene.finish()
}

#[test]
fn why_a_session_failed_is_read_on_the_next_greeter() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    let script = scene.lab.script("sessions/short", "echo 'the panel has no <b>battery</b>' >&2; exit 3")?;
    fs::remove_file(scene.lab.file("share/xsessions/desk.desktop"))?;
    scene.lab.session("desk", "Lab desk", &script.to_string_lossy())?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_question("Password:", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    reader.wait_for_text("the panel has no <b>battery</b>", wait::STEP)?;
    // A screen of its own, as every failure has, and one key leads on.
    reader.wait_for_text("The session did not start", wait::STEP)?;
    reader.wait_for_text("Code for the administrator: session_too_short", wait::STEP)?;
    reader.wait_for("the button that leads on", wait::STEP, |w| w.focused && w.name == "Log in")?;
    let widgets = reader.widgets();
    ensure!(!widgets.iter().any(|w| w.name == "Try again"), "nobody is known who could try again: {widgets:?}");
    screen.key("Return")?;
    let name = reader.wait_for_question("User name", wait::STEP)?;
    ensure!(name.text.is_empty(), "{name:?}");
    // It has been read, and can be read again.
    ensure!(!reader.widgets().iter().any(|w| w.name.contains("battery")), "it is still there");
    screen.key("F1")?;
    reader.wait_for_text("Last error: session_too_short", wait::STEP)?;
    scene.finish()
}

#[test]
fn the_locks_of_the_keyboard_are_told_of_while_they_are_on() -> Result<()> {
    let (scene, reader) = seat(|sshd| sshd, User::new)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    let told = |widgets: Vec<Widget>| {
        // Not half of a window that is just being changed.
        widgets.iter().find(|widget| widget.focused)?;
        let mut texts = widgets.into_iter().map(|widget| widget.name).filter(|name| name.contains("Lock"));
        Some(texts.next().unwrap_or_default())
    };
    let press = |key: &str, want: &str| -> Result<()> {
        screen.key(key)?;
        let is = || (told(reader.widgets())? == want).then_some(());
        wait::until(&format!("“{want}” after {key}"), wait::STEP, is)
    };
    press("Caps_Lock", "Caps Lock is on.")?;
    press("Num_Lock", "Caps Lock and Num Lock are on.")?;
    press("Caps_Lock", "Num Lock is on.")?;
    press("Num_Lock", "")?;
    // At the password, where it matters most; and what was on before the question came is told, too.
    screen.type_text(&scene.user.name)?;
    press("Caps_Lock", "Caps Lock is on.")?;
    screen.key("Return")?;
    reader.wait_for_question("Password:", wait::STEP)?;
    reader.wait_for_text("Caps Lock is on.", wait::STEP)?;
    press("Caps_Lock", "")?;
    scene.finish()
}
