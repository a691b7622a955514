//! Everybody can log in: with a screen reader, without a mouse, with a keyboard on the screen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::client::Access;
use ldm_protocol::greetd::{Request, Response};
use ldm_tests::assistive::Widget;
use ldm_tests::xserver::Screen;
use ldm_tests::{Assistant, Daemon, Desk, Lab, Program, Scene, Sshd, User, XServer, daemon, sshd, sweep, wait};
use x11rb::protocol::xfixes::ConnectionExt as _;

use crate::localapps::rig::Client;

use crate::controls;

/// A seat with LDM's own greeter as the daemon starts it by itself.
pub(crate) fn seat(
    set: impl for<'a> FnOnce(&Lab, daemon::Builder<'a>) -> Result<daemon::Builder<'a>>,
) -> Result<Scene> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    Desk::offer(&lab, "other", "")?;
    let sshd = Sshd::builder(&lab).start()?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let builder = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &lab.bin()?.join("ldm-greeter").to_string_lossy())
        .set("LDM_THEME", &lab.bin()?.join("themes/default").to_string_lossy());
    let daemon = set(&lab, builder)?.start()?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

/// The greeter that runs, and the socket of its message bus.
pub(crate) fn greeter(scene: &Scene) -> Result<(i32, PathBuf)> {
    let found = || {
        let pids = scene.daemon.greeter_user().processes().into_iter();
        let pid = { pids }.find(|&pid| {
            let line = sweep::command_line(pid);
            line.contains("/ldm-greeter") && !line.contains("dbus-daemon")
        })?;
        let socket = variable(pid, "DBUS_SESSION_BUS_ADDRESS")?.strip_prefix("unix:path=")?.to_owned();
        Some((pid, PathBuf::from(socket)))
    };
    wait::until("a greeter", wait::STEP, found).with_context(|| scene.daemon.log_text())
}

fn variable(pid: i32, name: &str) -> Option<String> {
    let env = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=");
    let mut all = env.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    all.find_map(|entry| entry.strip_prefix(&prefix).map(str::to_owned))
}

/// A seat whose greeter serves assistive programs without a screen reader, and such a program.
pub(crate) fn watched(
    set: impl for<'a> FnOnce(&Lab, daemon::Builder<'a>) -> Result<daemon::Builder<'a>>,
) -> Result<(Scene, Assistant)> {
    let scene = seat(|lab, daemon| {
        let command = format!("{} --accessible", lab.bin()?.join("ldm-greeter").display());
        set(lab, daemon.set("LDM_GREETER", &command))
    })?;
    let assistant = assistant(&scene)?;
    assistant.wait_for_question("User name")?;
    Ok((scene, assistant))
}

fn assistant(scene: &Scene) -> Result<Assistant> {
    Assistant::new(&scene.lab, scene.daemon.greeter_user(), greeter(scene)?.1)
}

/// A stand-in for a screen reader: it writes down where it runs, and what it finds there.
fn stand_in(lab: &Lab) -> Result<PathBuf> {
    let found = lab.file("found");
    fs::create_dir(&found)?;
    fs::set_permissions(&found, fs::Permissions::from_mode(0o777))?;
    let (script, out) = (lab.file("assistive.py"), found.display());
    fs::write(&script, include_str!("../../src/assistive.py"))?;
    let script = script.display();
    lab.script(
        "reader",
        &format!(
            "echo \"$DISPLAY $(id -un)\" >{out}/where\n\
             while ! /usr/bin/python3 {script} tree >{out}/tree.new || ! grep -q 'User name' {out}/tree.new; do :; done\n\
             mv {out}/tree.new {out}/tree\nexec sleep 3600"
        ),
    )
}

/// Presses the key of this number, and nothing else: xdotool(1) changes the layout for a moment.
fn tap(screen: &Screen, key: u8) -> Result<()> {
    let tapped = screen.command("/usr/bin/python3").args(["-c", TAP, &key.to_string()]).status()?;
    ensure!(tapped.success(), "the key {key} cannot be pressed");
    Ok(())
}

const TAP: &str = "
import ctypes, sys
x, test = ctypes.CDLL('libX11.so.6'), ctypes.CDLL('libXtst.so.6')
x.XOpenDisplay.restype = ctypes.c_void_p
display = ctypes.c_void_p(x.XOpenDisplay(None))
for down in (1, 0):
    test.XTestFakeKeyEvent(display, int(sys.argv[1]), down, 0)
x.XSync(display, 0)
";

/// The keyboard of this display, as the X server has it: the group, and whether keys are sticky and slow.
fn keyboard(screen: &Screen) -> Result<(u8, bool, bool)> {
    // The test's own connection: xset(1) does not show it.
    let output = screen.command("/usr/bin/python3").args(["-c", KEYBOARD]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [group, controls] = numbers[..] else { bail!("{text} {}", String::from_utf8_lossy(&output.stderr)) };
    Ok((u8::try_from(group)?, controls & 1 << 3 != 0, controls & 1 << 1 != 0))
}

/// XkbGetState and XkbGetControls, through libX11.
const KEYBOARD: &str = "
import ctypes
x = ctypes.CDLL('libX11.so.6')
x.XOpenDisplay.restype = ctypes.c_void_p
display = ctypes.c_void_p(x.XOpenDisplay(None))
state = (ctypes.c_ubyte * 64)()
x.XkbGetState(display, 0x100, state)
x.XkbGetKeyboard.restype = ctypes.c_void_p
class Controls(ctypes.Structure):
    _fields_ = [('head', ctypes.c_ubyte * 4), ('mods', ctypes.c_ubyte * 8), ('enabled', ctypes.c_uint)]
class Desc(ctypes.Structure):
    _fields_ = [('dpy', ctypes.c_void_p), ('flags', ctypes.c_ushort), ('spec', ctypes.c_ushort), ('min', ctypes.c_ubyte),
                ('max', ctypes.c_ubyte), ('ctrls', ctypes.POINTER(Controls))]
x.XkbGetMap.restype = ctypes.POINTER(Desc)
desc = x.XkbGetMap(display, 0, 0x100)
x.XkbGetControls(display, 0xf8001fff, desc)
print(state[0], desc.contents.ctrls.contents.enabled)
";

#[test]
fn a_blind_user_logs_in() -> Result<()> {
    let scene =
        seat(|_, daemon| Ok(daemon.set("LDM_ACCESSIBILITY", "screen-reader").set("LDM_SCREEN_READER", "sleep 3600")))?;
    scene.desk().prepare()?;
    let (_, socket) = greeter(&scene)?;
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), socket)?;
    assistant.wait_for_question("User name")?;
    let heard = assistant.hear(&scene.lab)?;
    controls::check(&assistant, "at the name")?;
    assistant.press("Session")?;
    assistant.wait_for("the menu of sessions", wait::STEP, |widget| widget.name == "Choose after the login")?;
    controls::check(&assistant, "in a menu")?;
    assistant.wait_for("what an entry is about", wait::STEP, |widget| {
        widget.name == "As last time" && widget.description == "Start it at once after the login"
    })?;
    assistant.press("As last time")?;
    assistant.wait_for_question("User name")?;
    assistant.write("User name", &scene.user.name)?;
    assistant.press("Log in")?;
    let password = assistant.wait_for_question("Password:")?;
    ensure!(password.role.contains("password"), "what is written would be read aloud: {password:?}");
    controls::check(&assistant, "at the password")?;
    scene.lab.secret("Lab-mistyped");
    assistant.write("Password:", "Lab-mistyped")?;
    assistant.press("Log in")?;
    let failure = FailureKind::Denied.message();
    // A screen reader speaks the description of what gets the keyboard, and an alert when it comes to be seen.
    let again = assistant.wait_for("the question again", wait::STEP, |widget| {
        widget.is("focused") && widget.role.contains("password") && widget.description.contains(failure)
    })?;
    ensure!(again.text.is_empty(), "the wrong password still stands there");
    wait::for_line(heard.log(), failure, wait::STEP)?;
    assistant.write("Password:", &scene.user.password)?;
    assistant.press("Log in")?;
    assistant.wait_for("the sessions", wait::STEP, |widget| widget.name.contains("Lab other"))?;
    controls::check(&assistant, "at the sessions")?;
    assistant.select("Lab desk")?;
    assistant.press("Start")?;
    scene.desk().wait_until_up()?;
    scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)?;
    scene.work_and_log_out()?;
    drop(heard);
    scene.finish()
}

#[test]
fn a_screen_reader_starts_with_its_key_on_the_greeters_display_and_bus() -> Result<()> {
    let scene = seat(|lab, daemon| Ok(daemon.set("LDM_SCREEN_READER", &stand_in(lab)?.to_string_lossy())))?;
    let (pid, socket) = greeter(&scene)?;
    let screen = scene.x.screen();
    screen.wait_for("Log in", wait::STEP)?;
    screen.type_text("somebody")?;
    scene.daemon.wait_for_worker()?;
    let worker = scene.daemon.worker();
    ensure!(!scene.lab.file("found/where").exists(), "it runs, and nobody has asked for it");
    screen.key("alt+super+s")?;
    let tree = sshd::wait_for_file(&scene.lab.file("found/tree"), wait::STEP)?;
    let place = fs::read_to_string(scene.lab.file("found/where"))?;
    ensure!(
        place.trim()
            == format!("{} {}", variable(pid, "DISPLAY").unwrap_or_default(), scene.daemon.greeter_user().name),
        "{place}"
    );
    ensure!(tree.contains("\"text\": \"somebody\""), "the name is gone:\n{tree}");
    ensure!(scene.daemon.worker() == worker, "the connection was lost");
    ensure!(greeter(&scene)? == (pid, socket), "it is another greeter");
    // The next greeter has it from the start.
    fs::remove_file(scene.lab.file("found/tree"))?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
    sshd::wait_for_file(&scene.lab.file("found/tree"), wait::STEP)?;
    scene.finish()
}

#[test]
fn what_helps_comes_back_when_it_was_killed_and_stays_away_when_it_was_closed() -> Result<()> {
    let scene = seat(|lab, daemon| {
        let told = lab.file("told");
        fs::create_dir(&told)?;
        fs::set_permissions(&told, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        let stays = lab.script("stays", &format!("echo $$ >>{}\nexec sleep 1000", told.join("reader").display()))?;
        let closed = lab.script("closed", &format!("echo $$ >>{}", told.join("keyboard").display()))?;
        let daemon = daemon.set("LDM_ACCESSIBILITY", "screen-reader keyboard");
        let daemon = daemon.set("LDM_SCREEN_READER", &stays.to_string_lossy());
        Ok(daemon.set("LDM_ONSCREEN_KEYBOARD", &closed.to_string_lossy()))
    })?;
    let started = |name: &str| -> Vec<i32> {
        let text = fs::read_to_string(scene.lab.file("told").join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    wait::until("the keyboard", wait::STEP, || (started("keyboard").len() == 1).then_some(()))?;
    for times in 1..=3 {
        let number = || started("reader").get(times - 1).copied();
        let pid = wait::until("the reader", wait::STEP, number).with_context(|| scene.daemon.log_text())?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
    }
    wait::until("the reader once more", wait::STEP, || (started("reader").len() == 4).then_some(()))?;
    ensure!(started("keyboard").len() == 1, "who closes it gets it again");
    scene.finish()
}

/// Logs the scene's user in at a greeter that asks for the name.
fn log_in(scene: &Scene, assistant: &Assistant) -> Result<()> {
    assistant.write("User name", &scene.user.name)?;
    assistant.press("Log in")?;
    assistant.wait_for_question("Password:")?;
    assistant.write("Password:", &scene.user.password)?;
    assistant.press("Log in")?;
    assistant.wait_for("the sessions", wait::STEP, |widget| widget.name.contains("Lab desk"))?;
    assistant.select("Lab desk")?;
    assistant.press("Start")?;
    scene.desk().wait_until_up()
}

#[test]
fn what_is_switched_on_works_at_once_is_remembered_and_reaches_the_session() -> Result<()> {
    let (mut scene, assistant) = watched(|_, daemon| Ok(daemon))?;
    scene.desk().prepare()?;
    let screen = scene.x.screen();
    let before = screen.signature()?;
    for name in ["Accessibility", "High contrast", "Sticky keys", "Slow keys", "Large text", "Large pointer"] {
        assistant.wait_for(name, wait::STEP, |widget| widget.name.contains(name) && !widget.actions.is_empty())?;
        assistant.press(name)?;
    }
    wait::until("sticky and slow keys", wait::STEP, || (keyboard(&screen).ok()? == (0, true, true)).then_some(()))?;
    let state = scene.lab.file("state/access.json");
    let written = || fs::read_to_string(&state).ok().filter(|text| text.contains("\"large_pointer\":true"));
    let text = wait::until("the state to be written", wait::STEP, written)?;
    ensure!(text.contains("\"high_contrast\":true") && text.contains("\"screen_reader\":false"), "{text}");
    assistant.press("Slow keys")?;
    wait::until("slow keys to be off", wait::STEP, || (keyboard(&screen).ok()? == (0, true, false)).then_some(()))?;
    ensure!(screen.signature()? != before, "high contrast looks like low contrast");
    // Another greeter, and then a session.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(greeter(&scene)?.0), nix::sys::signal::Signal::SIGKILL)?;
    let (_, socket) =
        wait::until("another greeter", wait::STEP, || greeter(&scene).ok().filter(|(_, new)| new.ends_with("bus-2")))?;
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), socket)?;
    assistant.wait_for_question("User name")?;
    assistant.press("Accessibility")?;
    assistant
        .wait_for("a switch that is on", wait::STEP, |widget| widget.name == "High contrast" && widget.is("pressed"))?;
    screen.key("Escape")?;
    assistant.wait_for_question("User name")?;
    log_in(&scene, &assistant)?;
    let env = scene.desk().env()?;
    for (name, value) in [("GTK_THEME", "HighContrast"), ("XCURSOR_SIZE", "48"), ("QT_FONT_DPI", "144")] {
        ensure!(env.get(name).map(String::as_str) == Some(value), "{name}: {:?}", env.get(name));
    }
    ensure!(!env.contains_key("QT_LINUX_ACCESSIBILITY_ALWAYS_ON"), "there is no screen reader");
    ensure!(keyboard(&screen)? == (0, true, false), "sticky keys did not come along");
    scene.work_and_log_out()?;
    scene.daemon.stop()?;
    scene.finish()
}

/// The pointer as it is drawn: width, height and how many of its pixels are opaque, black and white.
fn pointer(x: &Client) -> Result<(u16, u16, usize, usize)> {
    let image = x.x.xfixes_get_cursor_image()?.reply()?;
    let count = |colour: u32| image.cursor_image.iter().filter(|&&pixel| pixel == colour).count();
    Ok((image.width, image.height, count(0xff00_0000), count(0xffff_ffff)))
}

#[test]
fn large_text_and_a_large_pointer_are_seen_at_once_and_go_again() -> Result<()> {
    let (scene, assistant) = watched(|_, daemon| Ok(daemon))?;
    let screen = scene.x.screen();
    let x = Client::new(&screen)?;
    x.x.xfixes_query_version(4, 0)?.reply()?;
    let switch = |name: &str| -> Result<()> {
        assistant.press("Accessibility")?;
        assistant.wait_for(name, wait::STEP, |widget| widget.name == name && !widget.actions.is_empty())?;
        assistant.press(name)?;
        screen.key("Escape")?;
        assistant.wait_for_question("User name").map(drop)
    };
    let is_title = |widget: &Widget| widget.role == "label" && widget.name.starts_with("Log in to ");
    let usual = assistant.wait_for("the title", wait::STEP, is_title)?.extents[3];
    let larger = |widget: &Widget| is_title(widget) && f64::from(widget.extents[3]) > 1.3 * f64::from(usual);
    switch("Large text")?;
    assistant.wait_for("a large title", wait::STEP, larger)?;
    switch("Large text")?;
    assistant.wait_for("the title as before", wait::STEP, |widget| is_title(widget) && widget.extents[3] == usual)?;
    // Over the window, and over the entry, which has a pointer of its own. What is typed after the pointer has moved says when
    // the greeter has seen that; an entry then hides its pointer until that moves again.
    let [left, top, width, height] = assistant.wait_for_question("User name")?.extents;
    let places = [(3, 400), (left + width / 2, top + height / 2)].map(|(x, y)| [x.to_string(), y.to_string()]);
    let mut letters = 'a'..='z';
    let mut look = || -> Result<Vec<_>> {
        let mut seen = Vec::new();
        for [x_place, y_place] in &places {
            screen.xdotool(&["mousemove", x_place, y_place])?;
            let letter = letters.next().context("letters")?;
            screen.key(&letter.to_string())?;
            assistant
                .wait_for("the letter", wait::STEP, |widget| widget.is("focused") && widget.text.ends_with(letter))?;
            screen.xdotool(&["mousemove_relative", "1", "1"])?;
            seen.push(wait::until("a pointer", wait::STEP, || pointer(&x).ok().filter(|&(width, ..)| width > 1))?);
        }
        Ok(seen)
    };
    let before = look()?;
    ensure!(before.iter().all(|&(width, height, ..)| width < 48 && height < 48), "{before:?}");
    switch("Large pointer")?;
    let large = look()?;
    let is_large = |&(width, height, black, white): &(u16, u16, usize, usize)| {
        width >= 64 && height >= 64 && black > 300 && white > 300
    };
    ensure!(large.iter().all(is_large), "{large:?}");
    switch("Large pointer")?;
    let after = look()?;
    ensure!(after == before, "{after:?}, and not as before: {before:?}");
    scene.finish()
}

#[test]
fn what_was_switched_on_reaches_an_automatic_login_too() -> Result<()> {
    let state = tempfile::tempdir()?;
    let scene = Scene::for_user(
        |sshd| sshd,
        |daemon, user| {
            Desk { user }.prepare()?;
            // As a greeter has left it.
            let access = Access {
                screen_reader: true,
                high_contrast: true,
                large_text: true,
                large_pointer: true,
                sticky_keys: true,
                slow_keys: true,
                keyboard: true,
            };
            let file = state.path().join("access.json");
            fs::write(&file, serde_json::to_vec(&access)?)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            let daemon = daemon.set("LDM_STATE_DIR", &state.path().to_string_lossy()).set("LDM_AUTOLOGIN", "True");
            let daemon = daemon.set("LDM_USERNAME", &user.name).set("LDM_PASSWORD", &user.password);
            Ok(daemon.set("LDM_SESSION", "desk"))
        },
    )?;
    scene.desk().wait_until_up().with_context(|| scene.daemon.log_text())?;
    ensure!(!scene.daemon.has_new_greeter(), "there was a greeter");
    ensure!(keyboard(&scene.x.screen())? == (0, true, true), "keys are neither sticky nor slow");
    let env = scene.desk().env()?;
    for (name, value) in [
        ("GTK_THEME", "HighContrast"),
        ("ADW_DEBUG_HIGH_CONTRAST", "1"),
        ("GDK_DPI_SCALE", "1.5"),
        ("QT_FONT_DPI", "144"),
        ("XCURSOR_SIZE", "48"),
        ("QT_ACCESSIBILITY", "1"),
        ("QT_LINUX_ACCESSIBILITY_ALWAYS_ON", "1"),
        ("GNOME_ACCESSIBILITY", "1"),
        ("ACCESSIBILITY_ENABLED", "1"),
    ] {
        ensure!(env.get(name).map(String::as_str) == Some(value), "{name}: {:?}", env.get(name));
    }
    scene.finish()
}

#[test]
fn sticky_keys_stay_when_the_layouts_are_turned_round_for_the_session() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd,
        |daemon| Ok(daemon.set("XKBLAYOUT", "us,de").set("LDM_ACCESSIBILITY", "sticky-keys")),
    )?;
    let mut greeter = scene.daemon.greeter()?;
    ensure!(greeter.seat()?.access.sticky_keys);
    ensure!(matches!(greeter.request(&Request::LdmLayout { group: 1 })?, Response::Success));
    scene.log_in_at(greeter)?;
    ensure!(scene.desk().env()?.get("XKBLAYOUT").map(String::as_str) == Some("de,us"));
    // Of a greeter that knows nothing of it.
    ensure!(keyboard(&scene.x.screen())? == (0, true, false), "keys are not sticky");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn layouts_are_switched_by_key_by_mouse_and_by_whoever_else_does() -> Result<()> {
    let lab_layouts = |screen: &Screen| -> Result<()> {
        let set = screen.command("setxkbmap").args(["us,de", "-option", "grp:menu_toggle"]).status()?;
        ensure!(set.success(), "setxkbmap failed");
        Ok(())
    };
    let (scene, assistant) = watched(|_, daemon| Ok(daemon))?;
    let screen = scene.x.screen();
    // While the greeter runs.
    lab_layouts(&screen)?;
    let shows = |short: &str| {
        let name = format!("Keyboard layout: {short}");
        assistant.wait_for(&name, wait::STEP, |widget| widget.name == name).map(drop)
    };
    shows("US")?;
    tap(&screen, 75)?;
    shows("DE")?;
    tap(&screen, 29)?;
    assistant
        .wait_for("a letter of the second layout", wait::STEP, |widget| widget.is("focused") && widget.text == "z")?;
    tap(&screen, 75)?;
    shows("US")?;
    tap(&screen, 135)?;
    shows("DE")?;
    assistant.press("Keyboard layout")?;
    assistant
        .wait_for("the layout in use", wait::STEP, |widget| widget.role == "list item" && widget.is("selected"))?;
    assistant.wait_for("layouts by name", wait::STEP, |widget| widget.name == "English (US)")?;
    assistant.press("English (US)")?;
    shows("US")?;
    ensure!(keyboard(&screen)?.0 == 0);
    scene.finish()
}

#[test]
fn a_layout_is_still_the_users_after_the_greeter_was_killed() -> Result<()> {
    let (mut scene, assistant) = watched(|_, daemon| Ok(daemon.set("XKBLAYOUT", "us,de")))?;
    scene.desk().prepare()?;
    let screen = scene.x.screen();
    tap(&screen, 75)?;
    assistant.wait_for("DE", wait::STEP, |widget| widget.name == "Keyboard layout: DE")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(greeter(&scene)?.0), nix::sys::signal::Signal::SIGKILL)?;
    let (_, socket) =
        wait::until("another greeter", wait::STEP, || greeter(&scene).ok().filter(|(_, new)| new.ends_with("bus-2")))?;
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), socket)?;
    assistant.wait_for_question("User name")?;
    assistant.wait_for("DE", wait::STEP, |widget| widget.name == "Keyboard layout: DE")?;
    log_in(&scene, &assistant)?;
    let env = scene.desk().env()?;
    ensure!(env.get("XKBLAYOUT").map(String::as_str) == Some("de,us"), "{:?}", env.get("XKBLAYOUT"));
    ensure!(keyboard(&screen)?.0 == 0, "the session types another layout than it is told of");
    scene.work_and_log_out()?;
    scene.daemon.stop()?;
    scene.finish()
}

#[test]
fn keys_are_the_greeters_wherever_the_pointer_is_and_after_an_hour_of_nothing() -> Result<()> {
    let (scene, assistant) = watched(|_, daemon| Ok(daemon.set("X_BLANKING", "3600")))?;
    let screen = scene.x.screen();
    let timeout = || {
        let output = screen.command("xset").arg("q").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.split_once("timeout:")?.1.split_whitespace().next()?.to_owned())
    };
    wait::until("the wish for a dark screen", wait::STEP, || (timeout()? == "3600").then_some(()))?;
    // A window above the greeter, with the pointer in it.
    let mut above = screen.command("xterm");
    above.args(["-geometry", "40x5+0+0", "-title", "above"]);
    let above = Program::start("xterm", &mut above, &scene.lab.log("xterm"))?;
    screen.wait_for("above", wait::STEP)?;
    screen.xdotool(&["mousemove", "40", "30"])?;
    screen.type_text("some")?;
    assistant.wait_for("what was typed", wait::STEP, |widget| widget.is("focused") && widget.text == "some")?;
    ensure!(screen.command("xset").args(["s", "activate"]).status()?.success(), "xset failed");
    screen.type_text("body")?;
    assistant.wait_for("what was typed", wait::STEP, |widget| widget.is("focused") && widget.text == "somebody")?;
    drop(above);
    scene.finish()
}

#[test]
fn a_keyboard_on_the_screen_covers_nothing_and_types_into_the_entry() -> Result<()> {
    let (scene, assistant) = watched(|_, daemon| Ok(daemon.set("LDM_ONSCREEN_KEYBOARD", "xvkbd -minimizable")))?;
    let screen = scene.x.screen();
    let alone = assistant.wait_for_question("User name")?.extents;
    assistant.press("Accessibility")?;
    assistant.wait_for("its switch", wait::STEP, |widget| widget.name == "On-screen keyboard")?;
    assistant.press("On-screen keyboard")?;
    screen.wait_for("xvkbd", wait::STEP)?;
    screen.key("Escape")?;
    let place = || -> Option<[i32; 4]> {
        let output = screen
            .command("xdotool")
            .args(["search", "--name", "xvkbd - ", "getwindowgeometry", "--shell"])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
        Some([value("X=")?, value("Y=")?, value("WIDTH=")?, value("HEIGHT=")?])
    };
    let [x, y, width, height] = wait::until("the keyboard at the lower edge", wait::STEP, || {
        place().filter(|[_, y, _, height]| y + height == 800)
    })?;
    let entry = assistant.wait_for("the entry above it", wait::STEP, |widget| {
        widget.is("focused")
            && widget.role == "text"
            && widget.extents != alone
            && widget.extents[1] + widget.extents[3] < y
    })?;
    ensure!(entry.extents[0] >= 0);
    // Its keys are buttons: whichever it is, a row in the middle has letters.
    let row = y + height / 2;
    screen.xdotool(&["mousemove", &(x + width * 2 / 5).to_string(), &row.to_string(), "click", "1"])?;
    assistant.wait_for("a letter in the entry", wait::STEP, |widget| {
        widget.is("focused") && widget.role == "text" && widget.text.chars().count() == 1
    })?;
    // It goes with the greeter.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(greeter(&scene)?.0), nix::sys::signal::Signal::SIGTERM)?;
    wait::until("another keyboard, in front again", wait::STEP, || {
        let log = scene.daemon.log_text();
        (log.matches("started program=xvkbd").count() == 2 && place()?[1] == y).then_some(())
    })?;
    scene.finish()
}

#[test]
fn a_state_that_cannot_be_kept_is_told_once() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LDM_STATE_DIR", "/proc/ldm")))?;
    let mut greeter = scene.daemon.greeter()?;
    for sticky_keys in [true, false, true] {
        let access = Access { sticky_keys, ..Access::default() };
        let answer = greeter.request(&Request::LdmAccess { access })?;
        ensure!(matches!(answer, Response::Success), "{answer:?}");
    }
    ensure!(greeter.seat()?.access.sticky_keys);
    ensure!(scene.daemon.log_text().matches("is not remembered").count() == 1, "{}", scene.daemon.log_text());
    drop(greeter);
    scene.finish()
}
