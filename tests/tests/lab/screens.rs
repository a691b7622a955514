//! The greeter on monitors of all sizes, several of them, and ones that come and go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ldm_tests::assistive::Widget;
use ldm_tests::xserver::Screen;
use ldm_tests::{Assistant, Daemon, Lab, Program, Scene, Sshd, User, XServer, daemon, sweep, wait};
use tempfile::TempDir;

/// A greeter that assistive programs can read, on this X server.
pub(crate) fn seat(
    x: impl FnOnce(&Lab) -> Result<XServer>,
    set: impl for<'a> FnOnce(daemon::Builder<'a>) -> daemon::Builder<'a>,
) -> Result<(Scene, Assistant)> {
    let lab = Lab::new()?;
    let sshd = Sshd::builder(&lab).start()?;
    let user = User::new(&lab)?;
    let x = x(&lab)?;
    let command = format!("{} --accessible", lab.bin()?.join("ldm-greeter").display());
    let builder = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &command)
        .set("LDM_THEME", &lab.bin()?.join("themes/default").to_string_lossy());
    let daemon = set(builder).start()?;
    let scene = Scene { daemon, x, user, sshd, lab };
    let pid = greeter(&scene)?;
    // It is empty while a process becomes another program.
    let bus = wait::until("its bus", wait::STEP, || {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let bus = environment.split('\0').find_map(|one| one.strip_prefix("DBUS_SESSION_BUS_ADDRESS=unix:path="));
        bus.map(str::to_owned)
    })?;
    let assistant = Assistant::new(&scene.lab, scene.daemon.greeter_user(), bus.into())?;
    assistant.wait_for_question("User name")?;
    Ok((scene, assistant))
}

fn greeter(scene: &Scene) -> Result<i32> {
    wait::until("a greeter", wait::STEP, || {
        let pids = scene.daemon.greeter_user().processes();
        pids.into_iter().find(|&pid| sweep::command_line(pid).contains("/ldm-greeter"))
    })
    .with_context(|| scene.daemon.log_text())
}

fn left(widget: &Widget) -> i32 {
    widget.extents[0]
}

/// Puts the window of this title below all others.
fn lower(screen: &Screen, title: &str) -> Result<()> {
    let script = "
import ctypes, sys
x = ctypes.CDLL('libX11.so.6')
x.XOpenDisplay.restype = ctypes.c_void_p
display = ctypes.c_void_p(x.XOpenDisplay(None))
x.XLowerWindow(display, ctypes.c_ulong(int(sys.argv[1])))
x.XSync(display, 0)
";
    let found = screen.command("xdotool").args(["search", "--name", title]).output()?;
    let number = String::from_utf8_lossy(&found.stdout).lines().next().context("no window")?.to_owned();
    let done = screen.command("/usr/bin/python3").args(["-c", script, &number]).status()?;
    ensure!(done.success(), "{title} cannot be lowered");
    Ok(())
}

/// Whether two areas share a pixel.
fn overlap(a: &Widget, b: &Widget) -> bool {
    let ([ax, ay, aw, ah], [bx, by, bw, bh]) = (a.extents, b.extents);
    ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah
}

#[test]
fn everything_has_its_place_on_every_screen() -> Result<()> {
    for (size, width, height) in [
        ("320x240", 320, 240),
        ("800x600", 800, 600),
        ("1920x1080", 1920, 1080),
        // Its X server says that it is wider than a metre.
        ("5120x2880", 2560, 1440),
    ] {
        let (scene, assistant) = seat(|lab| XServer::sized(lab, size), |daemon| daemon)?;
        let picture = scene.lab.file(&format!("{size}.png"));
        scene.x.screen().picture(&picture)?;
        ensure!(scene.x.screen().colours()? > 8, "{size}: nothing is drawn");
        let tree = assistant.tree();
        ensure!(
            tree.iter().any(|widget| widget.extents[2..] == [width, height]),
            "{size} is not drawn as {width}×{height}"
        );
        let seen = |widget: &&Widget| {
            widget.is("visible") && widget.extents[2] > 0 && widget.extents[3] > 0 && widget.is("focusable")
        };
        let controls: Vec<&Widget> = tree.iter().filter(seen).filter(|widget| widget.role != "scroll pane").collect();
        ensure!(controls.len() >= 4, "{size}: {controls:#?}");
        for (index, one) in controls.iter().enumerate() {
            let [x, y, w, h] = one.extents;
            ensure!(x >= 0 && y >= 0 && x + w <= width && y + h <= height, "{size}: outside: {one:?}");
            for other in controls.iter().skip(index + 1) {
                ensure!(!overlap(one, other), "{size}: {one:?} and {other:?} overlap");
            }
        }
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn the_dialog_is_where_the_pointer_is_or_where_the_administrator_wants_it() -> Result<()> {
    let two = |lab: &Lab| {
        let x = XServer::with_outputs(lab)?;
        x.screen().plug("DUMMY1", "1024x768", "800x0")?;
        x.screen().xdotool(&["mousemove", "1200", "300"])?;
        Ok(x)
    };
    let question = |assistant: &Assistant| assistant.wait_for_question("User name");
    let (scene, assistant) = seat(two, |daemon| daemon)?;
    ensure!(left(&question(&assistant)?) > 800, "the pointer is on the right: {:?}", question(&assistant)?);
    scene.finish()?;
    let (scene, assistant) = seat(two, |daemon| daemon.set("LDM_MONITOR", "DUMMY0"))?;
    assistant
        .wait_for("the dialog on the left", wait::STEP, |w| w.is("focused") && w.role == "text" && left(w) < 800)?;
    scene.finish()?;
    let (scene, assistant) = seat(two, |daemon| daemon.set("LDM_MONITOR", "HDMI-9"))?;
    ensure!(left(&question(&assistant)?) > 800);
    wait::for_line(scene.daemon.log(), "there is no monitor HDMI-9, only: DUMMY0, DUMMY1", wait::STEP)?;
    scene.finish()
}

/// A theme with one picture for monitors of 4:3, and for others one with a square in the middle.
fn two_backgrounds() -> Result<TempDir> {
    let theme = tempfile::Builder::new().prefix("ldm-lab-theme").tempdir()?;
    fs::write(theme.path().join("theme.ini"), "background = square.png\nbackground-4x3 = plain.png\nlogo =\n")?;
    for (name, size, colour, square) in
        [("plain.png", "800x600", "lime", "lime"), ("square.png", "800x500", "blue", "red")]
    {
        let mut command = Command::new("convert");
        command.args(["-size", size, &format!("xc:{colour}"), "-fill", square]);
        command.args(["-draw", "rectangle 300,200 499,299"]).arg(theme.path().join(name));
        ensure!(command.status()?.success(), "{name} cannot be made");
    }
    fs::set_permissions(theme.path(), fs::Permissions::from_mode(0o755))?;
    Ok(theme)
}

#[test]
fn each_monitor_has_a_background_of_its_own() -> Result<()> {
    let theme = two_backgrounds()?;
    let (scene, _assistant) = seat(
        |lab| {
            let x = XServer::with_outputs(lab)?;
            x.screen().plug("DUMMY1", "1280x800", "800x0")?;
            Ok(x)
        },
        |daemon| daemon.set("LDM_MONITOR", "DUMMY0").set("LDM_THEME", &theme.path().to_string_lossy()),
    )?;
    let (plain, ground, square) = ([0, 255, 0], [0, 0, 255], [255, 0, 0]);
    // At the sides of the first, where no bar is; in the corners of the second, and inside and outside of its square.
    let (places, want): (Vec<_>, Vec<_>) = [
        ((2, 300), plain),
        ((797, 300), plain),
        ((801, 1), ground),
        ((2078, 798), ground),
        ((1284, 324), square),
        ((1595, 475), square),
        ((1276, 400), ground),
        ((1604, 400), ground),
        ((1440, 316), ground),
        ((1440, 484), ground),
    ]
    .into_iter()
    .unzip();
    let screen = scene.x.screen();
    wait::until("the backgrounds", wait::STEP, || {
        screen.pixels(&places).is_ok_and(|found| found == want).then_some(())
    })
    .with_context(|| format!("{:?}, wanted {want:?}", screen.pixels(&places)))?;
    scene.finish()
}

#[test]
fn a_monitor_that_comes_or_goes_takes_neither_text_nor_keys() -> Result<()> {
    let (scene, assistant) = seat(XServer::with_outputs, |daemon| daemon)?;
    let screen = scene.x.screen();
    let leak = scene.lab.file("leak");
    let mut below = screen.command("xterm");
    below.args(["-geometry", "200x60+0+0", "-title", "below", "-e", "sh", "-c"]);
    below.arg(format!("stty -echo; cat >{}", leak.display()));
    let below = Program::start("xterm", &mut below, &scene.lab.log("xterm"))?;
    screen.wait_for("below", wait::STEP)?;
    lower(&screen, "below")?;
    screen.xdotool(&["mousemove", "400", "300"])?;
    let typed = "abcdefghijklmnopqrstuvwxyz";
    for (index, letter) in typed.chars().enumerate() {
        screen.key(&letter.to_string())?;
        match index % 8 {
            1 => screen.plug("DUMMY1", "1024x768", "800x0")?,
            // The one with the dialog, too.
            3 => screen.unplug("DUMMY0")?,
            5 => screen.plug("DUMMY0", "800x600", "0x0")?,
            7 => screen.unplug("DUMMY1")?,
            _ => {}
        }
    }
    assistant.wait_for("all that was typed", wait::STEP, |widget| widget.is("focused") && widget.text == typed)?;
    screen.key("Return")?;
    ensure!(fs::read(&leak).unwrap_or_default().is_empty(), "keys went to the window below");
    drop(below);
    scene.finish()
}

#[test]
fn no_opengl_is_loaded() -> Result<()> {
    let (scene, _assistant) = seat(XServer::new, |daemon| daemon)?;
    let maps = fs::read_to_string(format!("/proc/{}/maps", greeter(&scene)?))?;
    for library in ["libGL.", "libGLX", "libEGL.", "libEGL_", "libgallium", "_dri.so", "libLLVM", "libvulkan"] {
        let found = maps.lines().find(|line| line.contains(library));
        // libepoxy, which GTK links, looks for them only when it is asked to draw.
        ensure!(found.is_none(), "{found:?}");
    }
    scene.finish()
}
