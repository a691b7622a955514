//! Every page of the greeter as those meet it who do not see it: each control that takes the keyboard has a role and a name, and
//! what stands on it is in its name or its description.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ldm_tests::assistive::Widget;
use ldm_tests::{Assistant, Lab, XServer, sshd, stage, wait};

use crate::access::{greeter, seat};
use crate::choices::LogindSession;
use crate::{languages, screens};

/// What no control that takes the keyboard may lack.
pub(crate) fn check(assistant: &Assistant, where_: &str) -> Result<()> {
    // Once in a while widgets change while they are looked at.
    let controls = wait::until("what takes the keyboard", wait::STEP, || {
        let controls = assistant.tree().into_iter().filter(|widget| widget.is("focusable") && widget.is("visible"));
        Some(controls.collect::<Vec<_>>()).filter(|controls| !controls.is_empty())
    });
    for widget in controls.with_context(|| where_.to_owned())? {
        let structural = ["frame", "window", "list", "filler", "panel", "scroll pane"].contains(&widget.role.as_str());
        ensure!(!["", "unknown", "invalid"].contains(&widget.role.as_str()), "{where_}: without a role: {widget:?}");
        // GTK 4.8 gives those without a name that of their class.
        let named = !widget.name.is_empty() && !widget.name.starts_with("Gtk");
        ensure!(structural || named, "{where_}: without a name: {widget:?}");
        ensure!(!widget.description.starts_with("Gtk"), "{where_}: described by nothing: {widget:?}");
        for text in &widget.labels {
            let told = widget.name.contains(text) || widget.description.contains(text);
            ensure!(structural || told, "{where_}: “{text}” is seen and not told: {widget:?}");
        }
    }
    Ok(())
}

/// Presses a menu's button, waits for an entry with this name, checks all there is, and closes it again.
fn check_menu(assistant: &Assistant, screen: &ldm_tests::xserver::Screen, menu: &str, entry: &str) -> Result<()> {
    assistant.press(menu)?;
    let shown = |widget: &ldm_tests::assistive::Widget| widget.name == entry && widget.is("visible");
    assistant.wait_for(&format!("“{entry}” in the menu “{menu}”"), wait::STEP, shown)?;
    check(assistant, menu)?;
    screen.key("Escape")?;
    assistant.wait_for_question("User name").map(drop)
}

/// What may be chosen: all of it.
fn full(lab: &Lab, servers: &str) -> Result<Vec<(&'static str, String)>> {
    let program = |name: &str| lab.script(name, "exit 0").map(|path| path.to_string_lossy().into_owned());
    let greeter = lab.bin()?.join("ldm-greeter");
    let catalogues = languages::catalogues(lab, &["de"])?;
    Ok(vec![
        (
            "LDM_GREETER",
            format!("/usr/bin/env LDM_LOCALEDIR={} {} --accessible", catalogues.display(), greeter.display()),
        ),
        ("LDM_LANGUAGE", "C.UTF-8".to_owned()),
        ("LDM_SERVER", servers.to_owned()),
        // Fails, and is not tried again.
        ("LDM_AUTOLOGIN", "True".to_owned()),
        ("LDM_USERNAME", "kiosk".to_owned()),
        ("LDM_PASSWORD", "Lab-kiosk".to_owned()),
        ("XKBLAYOUT", "us,de".to_owned()),
        ("LDM_SCREEN_READER", "sleep 3600".to_owned()),
        ("LDM_ONSCREEN_KEYBOARD", "sleep 3600".to_owned()),
        ("LDM_MENU_ITEM_4", "Test page".to_owned()),
        ("LDM_MENU_COMMAND_4", program("command")?),
        ("LDM_POWER", "reboot shutdown suspend".to_owned()),
        ("LDM_POWER_PROGRAM", program("power")?),
    ])
}

#[test]
fn every_page_and_menu_can_be_read_and_used_without_being_seen() -> Result<()> {
    // Nobody listens there.
    let servers = format!("127.0.0.1:{} 127.0.0.1:{}", sshd::free_port()?, sshd::free_port()?);
    let scene = seat(|lab, daemon| {
        lab.secret("Lab-kiosk");
        Ok(full(lab, &servers)?.iter().fold(daemon, |daemon, (name, value)| daemon.set(name, value)))
    })?;
    let screen = scene.x.screen();
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), greeter(&scene)?.1)?;
    let focused = |name: &'static str| {
        assistant.wait_for(&format!("the keyboard at “{name}”"), wait::STEP, move |widget| {
            widget.is("focused") && widget.name == name && !widget.actions.is_empty()
        })
    };

    // What failed before this greeter, and what fails at it.
    let way_on = focused("Log in").with_context(|| scene.daemon.log_text())?;
    let reason = "is there but accepts no logins";
    ensure!(way_on.description.contains(reason), "{way_on:?}");
    assistant.wait_for("another server", wait::STEP, |w| w.name == "Other server" && w.is("visible"))?;
    check(&assistant, "after a failure")?;
    assistant.press("Log in")?;
    let name = assistant.wait_for_question("User name")?;
    ensure!(!name.description.contains(reason), "{name:?}");
    check(&assistant, "at the name")?;
    assistant.write("User name", &scene.user.name)?;
    assistant.press("Log in")?;
    let again = focused("Try again")?;
    ensure!(again.description.contains(reason), "{again:?}");
    check(&assistant, "at a failure")?;
    assistant.press("Back")?;
    assistant.wait_for_question("User name")?;

    for (menu, entry) in [
        ("Server", "Whichever is best"),
        ("Session", "As last time"),
        ("Language", "Deutsch"),
        ("Keyboard layout", "German"),
        ("Accessibility", "High contrast"),
        ("More", "Test page"),
        ("Power", "Switch off"),
    ] {
        check_menu(&assistant, &screen, menu, entry)?;
    }

    assistant.press("Help")?;
    focused("Close")?;
    assistant.wait_for("a fact", wait::STEP, |w| w.name.contains("server_refused"))?;
    check(&assistant, "on the help page")?;
    assistant.press("Close")?;
    assistant.wait_for_question("User name")?;

    let _somebody = LogindSession::new("somebody-here")?;
    assistant.press("Power")?;
    assistant.wait_for("its list", wait::STEP, |w| w.name == "Restart" && w.is("visible"))?;
    assistant.press("Restart")?;
    focused("Cancel")?;
    assistant.wait_for("the question", wait::STEP, |w| w.name.contains("Logged in at this computer: "))?;
    check(&assistant, "at the question")?;
    assistant.press("Cancel")?;
    assistant.wait_for_question("User name")?;
    scene.finish()
}

#[test]
fn whoever_uses_neither_keys_nor_mouse_is_there() -> Result<()> {
    let idle = Duration::from_secs(8);
    let greeter = stage::bin()?.join("ldm-greeter");
    let command = format!("/usr/bin/env LDM_GREETER_IDLE={} {} --accessible", idle.as_secs(), greeter.display());
    let guest = [("LDM_GUESTLOGIN", "True"), ("LDM_LOGIN_TIMEOUT", "600"), ("LDM_USERNAME", "guest")];
    let (scene, assistant) = screens::seat(XServer::new, |daemon| {
        guest.into_iter().fold(daemon.set("LDM_GREETER", &command), |daemon, (key, value)| daemon.set(key, value))
    })?;
    let counts = |widget: &Widget| widget.name.starts_with("Seconds until a guest") && widget.is("visible");
    assistant.wait_for("the countdown", wait::STEP, counts)?;
    assistant.press("Session")?;
    wait::until("the countdown's end", wait::STEP, || (!assistant.tree().iter().any(counts)).then_some(()))?;
    assistant.press("As last time")?;
    // As somebody does who dictates, or writes with one switch.
    let began = Instant::now();
    let mut text = String::new();
    while began.elapsed() < idle * 2 {
        text.push('a');
        assistant.write("User name", &text)?;
        let entry = assistant.wait_for_question("User name")?;
        ensure!(entry.text == text, "“{}” stands there, and “{text}” was written", entry.text);
    }
    scene.finish()
}
