//! The client's programs in the session's menu, as the programs of a desktop see them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ldm_tests::{Scene, wait};

/// An entry with actions and an icon that every lab has.
const ENTRY: &str = "debian-xterm.desktop";

/// A session whose client offers xterm and opens addresses, and which records what is asked of the client.
fn scene() -> Result<Scene> {
    let scene = Scene::with(
        |sshd| sshd,
        |daemon| {
            Ok(daemon
                .set("LOCAL_APPS", "True")
                .set("LOCAL_APPS_MENU", "True")
                .set("LOCAL_APPS_MENU_ITEMS", "debian-xterm, xfce-wm-settings, no-such-entry")
                .set("LOCAL_APPS_OPEN", "/bin/true"))
        },
    )?;
    fs::create_dir(scene.user.home.join("bin"))?;
    for name in ["ltsp-localapps", "ltsp-open"] {
        let body = format!("#!/bin/sh\n{{ printf {name}; printf ' [%s]' \"$@\"; echo; }} >>\"$HOME/asked\"\n");
        scene.user.write(&format!("bin/{name}"), &body, 0o755)?;
    }
    scene.user.write(".profile", "PATH=$HOME/bin:$PATH\n", 0o644)?;
    Ok(scene)
}

/// The folder of entries that the session looks into first.
fn applications(scene: &Scene) -> Result<PathBuf> {
    let dirs = scene.desk().env()?.get("XDG_DATA_DIRS").context("no XDG_DATA_DIRS")?.clone();
    Ok(PathBuf::from(dirs.split(':').next().unwrap_or_default()).join("applications"))
}

/// A program of the session.
fn in_session(scene: &Scene, program: &str) -> Result<Command> {
    let mut command = scene.user.command(program.as_ref());
    command.envs(scene.desk().env()?);
    Ok(command)
}

fn asked(scene: &Scene) -> Result<String> {
    let file = scene.user.home.join("asked");
    let text = wait::until("a request to the client", wait::STEP, || {
        fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))
    })?;
    fs::remove_file(&file)?;
    Ok(text)
}

#[test]
fn the_clients_programs_are_in_the_menu_until_the_logout() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let applications = applications(&scene)?;
    let entry = applications.join(ENTRY);
    let text = wait::until("the entry", wait::STEP, || fs::read_to_string(&entry).ok())?;
    for line in ["X-LDM-Local=true", "Name=XTerm (local)", "Exec=ltsp-localapps xterm"] {
        ensure!(text.lines().any(|l| l == line), "{line} is missing in {text}");
    }
    wait::until("a word about what is missing", wait::STEP, || {
        scene.daemon.log_text().contains("no-such-entry").then_some(())
    })?;
    // Its icon, under the name that the entry has.
    let icons = applications.with_file_name("icons");
    wait::until("the other entry", wait::STEP, || {
        applications.join("xfce-wm-settings.desktop").exists().then_some(())
    })?;
    let icon = fs::read(icons.join("hicolor/48x48/apps/org.xfce.xfwm4.png"))?;
    ensure!(icon == fs::read("/usr/share/icons/hicolor/48x48/apps/org.xfce.xfwm4.png")?, "another icon");
    // What a desktop's menu makes of it.
    let menu = in_session(&scene, "icewm-menu-fdo")?.output()?;
    let menu = String::from_utf8_lossy(&menu.stdout).into_owned();
    ensure!(menu.contains("\"XTerm (local)\" mini.xterm ltsp-localapps xterm"), "{menu}");
    // A click, as GLib's menus do it.
    ensure!(in_session(&scene, "gio")?.arg("launch").arg(&entry).status()?.success(), "it cannot be launched");
    ensure!(asked(&scene)? == "ltsp-localapps [xterm]\n", "another request");
    scene.log_out()?;
    ensure!(!applications.exists(), "the menu is still there");
    scene.finish()
}

#[test]
fn a_link_in_the_session_is_for_the_client() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let defaults = applications(&scene)?.join("mimeapps.list");
    wait::until("the defaults", wait::STEP, || defaults.exists().then_some(()))?;
    for scheme in ["http", "https"] {
        let address = format!("{scheme}://example.org/?a=b&c=$(d)");
        for (program, before) in [("gio", Some("open")), ("xdg-open", None)] {
            let mut command = in_session(&scene, program)?;
            ensure!(command.args(before).arg(&address).status()?.success(), "{program} {address}");
            ensure!(asked(&scene)? == format!("ltsp-open [{address}]\n"), "{program}");
        }
    }
    let default = in_session(&scene, "xdg-mime")?.args(["query", "default", "x-scheme-handler/http"]).output()?;
    ensure!(default.stdout == b"ltsp-open.desktop\n", "{default:?}");
    // The user's own choice comes first.
    fs::create_dir(scene.user.home.join(".config"))?;
    scene.user.write(
        ".config/mimeapps.list",
        "[Default Applications]\nx-scheme-handler/http=debian-xterm.desktop\n",
        0o644,
    )?;
    ensure!(in_session(&scene, "gio")?.args(["open", "http://example.org/"]).status()?.success(), "not opened");
    ensure!(asked(&scene)?.starts_with("ltsp-localapps [xterm]"), "the user's choice does not count");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn without_local_apps_there_is_no_menu() -> Result<()> {
    let mut scene =
        Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LOCAL_APPS_MENU", "True").set("LOCAL_APPS_OPEN", "x")))?;
    scene.log_in()?;
    let env = scene.desk().env()?;
    let lab = scene.lab.file("share");
    ensure!(env.get("XDG_DATA_DIRS").is_some_and(|dirs| dirs.starts_with(&*lab.to_string_lossy())), "{env:?}");
    ensure!(!env.contains_key("BROWSER"), "{env:?}");
    scene.log_out()?;
    scene.finish()
}
