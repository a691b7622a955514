//! Programs on the server that the client asks for, and files and addresses that are opened there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use ldm_tests::{Scene, client, wait};

fn scene() -> Result<Scene> {
    Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("REMOTE_APPS", "True")))
}

/// `ltsp-remoteapps`, as a program on the client calls it.
fn remoteapps(scene: &Scene, words: &[&str]) -> Result<Command> {
    let program = scene.lab.bin()?.join("ltsp-remoteapps");
    let mut command = scene.x.screen().command(&program.to_string_lossy());
    // There on both sides.
    command.args(words).current_dir("/");
    Ok(command)
}

fn run(scene: &Scene, words: &[&str]) -> Result<(i32, String)> {
    told(&remoteapps(scene, words)?.output()?)
}

fn told(output: &Output) -> Result<(i32, String)> {
    let status = output.status.code().context("killed by a signal")?;
    Ok((status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A program of the server, and the file in the user's home that it writes its environment and its words to.
fn app(scene: &Scene, more: &str) -> Result<(String, PathBuf)> {
    let body = format!(
        "for word; do echo \"word=$word\"; done >\"$HOME/app.new\"; env >>\"$HOME/app.new\"; mv \"$HOME/app.new\" \"$HOME/app\"\n{more}"
    );
    let script = scene.lab.script("app", &body)?;
    Ok((script.to_string_lossy().into_owned(), scene.user.home.join("app")))
}

fn wait_for(file: &PathBuf) -> Result<String> {
    wait::until("the program on the server", wait::STEP, || fs::read_to_string(file).ok())
}

#[test]
fn a_program_on_the_client_starts_one_in_the_session() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let (program, file) = app(&scene, "echo trouble >&2; exit 7")?;
    let (status, stderr) = run(&scene, &["--wait", &program, "a  b", "$(x)", "'\"", ""])?;
    ensure!((status, stderr.as_str()) == (7, "trouble\n"), "{status}: {stderr}");
    let seen = fs::read_to_string(&file)?;
    ensure!(seen.starts_with("word=a  b\nword=$(x)\nword='\"\nword=\n"), "{seen}");
    let env = scene.desk().env()?;
    ensure!(env.contains_key("DISPLAY") && env.contains_key("LDM_SESSION_TOKEN"), "{env:?}");
    for name in [
        "DISPLAY",
        "LDM_SESSION_TOKEN",
        "DBUS_SESSION_BUS_ADDRESS",
        "PULSE_SERVER",
        "XDG_CURRENT_DESKTOP",
        "XDG_DATA_DIRS",
        "PATH",
        "HOME",
    ] {
        let in_session = env.get(name).map(|value| format!("{name}={value}"));
        let in_program = seen.lines().find(|line| line.starts_with(&format!("{name}="))).map(str::to_owned);
        ensure!(in_session == in_program, "{in_session:?} in the session, {in_program:?} in the program");
    }
    // It can be seen on the client.
    let (status, stderr) = run(&scene, &["xterm", "-title", "from afar", "-e", "sleep", "1000"])?;
    ensure!(status == 0, "{status}: {stderr}");
    scene.x.screen().wait_for("from afar", wait::STEP)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_program_on_the_server_that_cannot_be_started_is_refused_in_words() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let (status, stderr) = run(&scene, &["no-such-program"])?;
    ensure!(status == 127 && stderr.contains("no-such-program is not installed there"), "{status}: {stderr}");
    // Where it cannot be, it is at home; as on the client.
    let mut away = remoteapps(&scene, &["--wait", "sh", "-c", "test \"$PWD\" = \"$HOME\""])?;
    let (status, stderr) = told(&away.current_dir("/root").output()?)?;
    ensure!(status == 0, "{status}: {stderr}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn programs_on_the_server_are_off_until_the_administrator_allows_them() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let (program, file) = app(&scene, "")?;
    let (status, stderr) = run(&scene, &["--wait", &program])?;
    ensure!(status == 123 && stderr.contains("REMOTE_APPS is off"), "{status}: {stderr}");
    ensure!(!file.exists(), "it ran");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn programs_on_the_server_end_with_the_session() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let (program, file) = app(&scene, "(setsid sh -c 'exec sleep 100000' &)\nexec sleep 100001")?;
    let mut waiting = remoteapps(&scene, &["--wait", &program])?.stderr(Stdio::null()).spawn()?;
    wait_for(&file)?;
    // Of the helper that runs it nothing is left either.
    scene.log_out()?;
    let status = waiting.wait()?.code();
    // Told, or the end of the session was.
    ensure!(matches!(status, Some(143 | 124)), "{status:?}");
    scene.finish()
}

#[test]
fn a_server_without_room_for_a_program_says_so() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd.line("MaxSessions 2"), |daemon| Ok(daemon.set("REMOTE_APPS", "True")))?;
    scene.log_in()?;
    let (program, file) = app(&scene, "exec sleep 100000")?;
    let (status, stderr) = run(&scene, &[&program])?;
    ensure!(status == 0, "{status}: {stderr}");
    wait_for(&file)?;
    let (status, stderr) = run(&scene, &["true"])?;
    ensure!(status == 125 && stderr.contains("MaxSessions"), "{status}: {stderr}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn old_scripts_start_programs_on_the_server() -> Result<()> {
    let mut scene = scene()?;
    scene.log_in()?;
    let (program, file) = app(&scene, "")?;
    // As the original's ltsp-remoteapps wrote it.
    for (name, value) in [("LTSP_RCOMMAND_WAIT", "true"), ("LTSP_RCOMMAND", &*format!("{program} \"a b\" $(touch x)"))]
    {
        let xprop =
            scene.x.screen().command("xprop").args(["-root", "-f", name, "8u", "-set", name, value]).status()?;
        ensure!(xprop.success(), "xprop");
    }
    let seen = wait_for(&file)?;
    ensure!(seen.starts_with("word=a b\nword=$(touch\nword=x)\n"), "{seen}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_file_of_the_client_is_opened_in_the_session() -> Result<()> {
    let mut scene = scene()?;
    // What opens files there.
    fs::create_dir(scene.user.home.join("bin"))?;
    scene.user.write(
        "bin/xdg-open",
        "#!/bin/sh\necho \"$# $1\" >>\"$HOME/opened\"\n[ ! -f \"$1\" ] || cat \"$1\" >>\"$HOME/opened\"\n",
        0o755,
    )?;
    scene.user.write(".profile", "PATH=$HOME/bin:$PATH\n", 0o644)?;
    scene.log_in()?;
    let cookie = scene.user.write("cookie", "", 0o600)?;
    fs::write(&cookie, fs::read(scene.x.authority())?)?;
    let outside = scene.lab.file("outside the home.txt");
    fs::write(&outside, "written on the client\n")?;
    let inside = scene.user.write("inside.txt", "of the user\n", 0o600)?;
    // As a local program: the same user with the same home.
    let open = |word: &str| -> Result<(i32, String)> {
        let mut command = scene.user.command(&scene.lab.bin()?.join("ltsp-open"));
        command.env("DISPLAY", scene.x.display()).env("XAUTHORITY", &cookie).env("LDM_LOCAL_SESSION", "1");
        told(&command.args(["--wait", word]).output()?)
    };
    let opened = || -> Result<String> {
        let file = scene.user.home.join("opened");
        let text = fs::read_to_string(&file)?;
        fs::remove_file(file)?;
        Ok(text)
    };
    ensure!(open("https://example.org/?a=b&c=$(d)")? == (0, String::new()), "refused");
    ensure!(opened()? == "1 https://example.org/?a=b&c=$(d)\n", "another address");
    ensure!(open(&inside.to_string_lossy())?.0 == 0, "refused");
    ensure!(opened()? == format!("1 {}\nof the user\n", inside.display()), "another file");
    let (status, stderr) = open(&outside.to_string_lossy())?;
    ensure!(status == 0 && stderr.contains("is opened as a copy"), "{status}: {stderr}");
    let text = opened()?;
    let copies = format!("1 {}/.cache/ltsp-open/", scene.user.home.display());
    ensure!(text.starts_with(&copies) && text.ends_with("/outside the home.txt\nwritten on the client\n"), "{text}");
    let (status, stderr) = open("/dev/null")?;
    ensure!(status == 125 && stderr.contains("only regular files"), "{status}: {stderr}");
    ensure!(open("-x")?.0 == 125, "an option");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn session_and_client_call_each_other() -> Result<()> {
    // Named by the closure that knows the lab first.
    let opener = std::cell::OnceCell::new();
    let script = "echo \"$# $1 $LDM_LOCAL_SESSION\" >>\"$HOME/opened-here\"\n[ ! -f \"$1\" ] || cat \"$1\" >>\"$HOME/opened-here\"\n";
    let mut scene = Scene::with(
        |sshd| {
            let _ = opener.set(sshd.file("opener", script.as_bytes()));
            sshd
        },
        |daemon| {
            let opener = opener.get().context("no opener")?.display();
            let daemon = daemon.set("LOCAL_APPS", "True").set("LOCAL_APPS_OPEN", &format!("sh {opener}"));
            Ok(daemon.set("REMOTE_APPS", "True").by(&client::same_machine()))
        },
    )?;
    fs::create_dir(scene.user.home.join("bin"))?;
    let there = "#!/bin/sh\necho \"$# $1 $LDM_LOCAL_SESSION\" >>\"$HOME/opened-there\"\n";
    scene.user.write("bin/xdg-open", there, 0o755)?;
    scene.user.write(".profile", "PATH=$HOME/bin:$PATH\n", 0o644)?;
    let outside = scene.lab.file("outside.txt");
    fs::write(&outside, "of the server\n")?;
    let bin = scene.lab.bin()?.display().to_string();
    // There and back again, each with its status; then addresses both ways, then a file that the client does not see.
    let script = format!(
        "exec 2>\"$HOME/said\"\n\
         ltsp-localapps --wait {bin}/ltsp-remoteapps --wait sh -c 'echo \"$DISPLAY\" >\"$HOME/display\"; exit 9'; echo $? >\"$HOME/status\"\n\
         /usr/bin/xdg-open 'https://example.org/?a=b&c=$(d)'; echo $? >>\"$HOME/status\"\n\
         ltsp-open --wait {outside}; echo $? >>\"$HOME/status\"\n\
         ltsp-localapps --wait {bin}/ltsp-open --wait http://example.org/back; echo $? >>\"$HOME/status\"",
        outside = outside.display()
    );
    crate::localapps::session(&mut scene, &script)?;
    let read = |name: &str| fs::read_to_string(scene.user.home.join(name)).with_context(|| name.to_owned());
    let said = read("said")?;
    ensure!(read("status")? == "9\n0\n0\n0\n", "{}{said}{}", read("status")?, scene.daemon.log_text());
    ensure!(read("display")?.trim() == scene.desk().env()?["DISPLAY"], "another display");
    let here = read("opened-here")?;
    ensure!(here.starts_with("1 https://example.org/?a=b&c=$(d) 1\n1 /"), "{here}");
    ensure!(here.ends_with("/outside.txt 1\nof the server\n") && here.contains("/.cache/ltsp-open/"), "{here}");
    ensure!(read("opened-there")? == "1 http://example.org/back \n", "{}", read("opened-there")?);
    scene.log_out()?;
    scene.finish()
}
