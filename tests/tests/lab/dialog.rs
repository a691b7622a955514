//! The dialog of the real greeter with answers, questions and sessions that are not the usual ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::gui::Reader;
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Desk, Kind, Lab, Scene, Sshd, User, XServer, daemon, sshd, sweep, wait};

/// A seat with LDM's own greeter and a German keyboard.
fn seat(
    password: Option<&str>,
    server: impl for<'a> FnOnce(&Lab, sshd::Builder<'a>) -> sshd::Builder<'a>,
    set: impl for<'a> FnOnce(daemon::Builder<'a>) -> daemon::Builder<'a>,
) -> Result<(Scene, Reader)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = server(&lab, Sshd::builder(&lab)).start()?;
    let user = match password {
        Some(password) => User::create(&lab, Kind::Plain, password)?,
        None => User::new(&lab)?,
    };
    let x = XServer::new(&lab)?;
    ensure!(x.screen().command("setxkbmap").arg("de").status()?.success(), "setxkbmap failed");
    let greeter_user = User::create(&lab, Kind::System, "")?;
    let reader = Reader::new(&lab, &greeter_user)?;
    let builder = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter())
        .set("LDM_THEME", &reader.theme())
        .greeter_user(greeter_user);
    let daemon = set(builder).start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, reader))
}

fn plain<'a>(_: &Lab, sshd: sshd::Builder<'a>) -> sshd::Builder<'a> {
    sshd
}

/// Types the user's name and waits for the password to be asked for.
fn name(scene: &Scene, reader: &Reader) -> Result<Screen> {
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    reader.wait_for_question("Password:", wait::STEP)?;
    Ok(screen)
}

fn is_asked_for_a_session(reader: &Reader) -> Result<()> {
    reader.wait_for("the chooser", wait::STEP, |widget| widget.name.contains("Lab desk")).map(drop)
}

#[test]
fn a_password_with_blanks_and_umlauts_is_taken_as_it_is_typed() -> Result<()> {
    let password = "  Lab-\u{e4}\u{df} \u{dc}'\"$x\\ <b>&  ";
    let (scene, reader) = seat(Some(password), plain, |daemon| daemon)?;
    let screen = name(&scene, &reader)?;
    screen.type_text(&format!("{password}\n"))?;
    is_asked_for_a_session(&reader)?;
    scene.finish()
}

#[test]
fn a_password_of_a_thousand_characters_is_refused_and_the_right_one_then_taken() -> Result<()> {
    let (scene, reader) = seat(None, plain, |daemon| daemon)?;
    let screen = name(&scene, &reader)?;
    let long = format!("Lab-{}", "y".repeat(996));
    scene.lab.secret(&long);
    screen.xdotool(&["type", "--delay", "2", "--", &long])?;
    screen.key("Return")?;
    reader.wait_for_text(FailureKind::Denied.message(), wait::STEP)?;
    reader.wait_for("an empty entry", wait::STEP, |w| w.focused && w.text.is_empty() && w.name.contains("Password"))?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    is_asked_for_a_session(&reader)?;
    scene.finish()
}

#[test]
fn a_one_time_password_is_asked_for_in_the_servers_words() -> Result<()> {
    let key = "3132333435363738393031323334353637383930";
    let stack = |lab: &Lab| {
        format!(
            "auth requisite pam_unix.so nodelay\nauth required pam_oath.so usersfile={} window=5 digits=6\n\
             account required pam_unix.so\nsession required pam_unix.so",
            lab.file("users.oath").display()
        )
    };
    let (scene, reader) = seat(None, |lab, sshd| sshd.pam(&stack(lab)), |daemon| daemon)?;
    let oath = scene.lab.file("users.oath");
    fs::write(&oath, format!("HOTP {} - {key}\n", scene.user.name))?;
    fs::set_permissions(&oath, fs::Permissions::from_mode(0o600))?;
    let code = String::from_utf8(Command::new("oathtool").args(["--counter", "0", key]).output()?.stdout)?;
    let screen = name(&scene, &reader)?;
    screen.type_text(&format!("{}\n", scene.user.password))?;
    reader.wait_for_question("One-time password", wait::STEP)?;
    screen.type_text(&format!("{}\n", code.trim()))?;
    is_asked_for_a_session(&reader)?;
    scene.finish()
}

/// Leaves the lab's session alone on offer: a hidden entry of the same id masks the system's.
fn hide_the_others<'a>(lab: &Lab, sshd: sshd::Builder<'a>) -> sshd::Builder<'a> {
    for folder in ["/usr/share/xsessions", "/usr/local/share/xsessions"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let hidden = "[Desktop Entry]\nType=Application\nName=Hidden\nExec=true\nHidden=true\n";
            // A failure shows at once: the user is asked.
            let _ = fs::write(lab.file("share/xsessions").join(entry.file_name()), hidden);
        }
    }
    sshd
}

#[test]
fn the_only_session_and_a_forced_one_start_without_being_asked_for() -> Result<()> {
    let seats = [
        (seat(None, hide_the_others, |daemon| daemon)?, true),
        (seat(None, plain, |daemon| daemon.set("LDM_FORCE_SESSION", "desk"))?, false),
    ];
    for ((scene, reader), asked) in seats {
        scene.desk().prepare()?;
        let screen = name(&scene, &reader)?;
        // What has been decided is not offered to be chosen.
        let menu = reader.widgets().iter().any(|widget| widget.role == "push button" && widget.name == "Session");
        assert_eq!(menu, asked);
        screen.type_text(&format!("{}\n", scene.user.password))?;
        scene.desk().wait_until_up()?;
        screen.wait_for(&scene.desk().title(), wait::STEP)?;
        // Nobody has picked it.
        let remembered = fs::read_to_string(scene.user.home.join(".dmrc")).unwrap_or_default();
        ensure!(!remembered.contains("Session="), "{remembered}");
        scene.work_and_log_out()?;
        reader.wait_for_question("User name", wait::STEP)?;
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn user_names_that_are_none_keep_the_greeter_and_the_name() -> Result<()> {
    let (scene, reader) = seat(None, plain, |daemon| daemon)?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    let greeter = |scene: &Scene| {
        let pids = scene.daemon.greeter_user().processes().into_iter();
        pids.filter(|pid| sweep::command_line(*pid).contains("ldm-greeter")).collect::<Vec<_>>()
    };
    let pids = greeter(&scene);
    scene.lab.secret("Lab-some-password");
    let long = "u".repeat(300);
    for typed in ["-oProxyCommand=x", "with blanks in it", "J\u{fc}rgen", "DOMAIN\\user", &long] {
        screen.xdotool(&["key", "ctrl+a"])?;
        screen.xdotool(&["type", "--delay", "5", "--", typed])?;
        screen.key("Return")?;
        reader.wait_for_question("Password:", wait::STEP)?;
        screen.type_text("Lab-some-password\n")?;
        reader.wait_for_text(FailureKind::Denied.message(), wait::STEP)?;
        reader.wait_for_question("Password:", wait::STEP)?;
        screen.key("Escape")?;
        let question = reader.wait_for_question("User name", wait::STEP)?;
        ensure!(question.text == typed, "{typed} became {}", question.text);
    }
    // Nobody at all, and more than anybody is called.
    screen.xdotool(&["key", "ctrl+a", "BackSpace", "Return"])?;
    reader.wait_for_question("User name", wait::STEP)?;
    screen.xdotool(&["type", "--delay", "2", "--", &"u".repeat(600)])?;
    screen.key("Return")?;
    reader.wait_for_text("too long to be right", wait::STEP)?;
    ensure!(greeter(&scene) == pids, "the greeter was restarted");
    scene.finish()
}

/// The pixels where the server's words stand on this seat's screen; neither the cursor nor the clock is there.
fn words_on(screen: &Screen) -> Result<Vec<u8>> {
    let output =
        screen.command("import").args(["-silent", "-window", "root", "-crop", "320x80+460+260", "rgb:-"]).output()?;
    ensure!(!output.stdout.is_empty(), "import: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn with_long_banner<'a>(_: &Lab, sshd: sshd::Builder<'a>) -> sshd::Builder<'a> {
    // One paragraph: how high it is depends on the width that it gets.
    let words: Vec<String> = (0..700).map(|n| n.to_string()).collect();
    let file = sshd.file("banner", format!("{}\n", words.join(" ")).as_bytes());
    sshd.line(&format!("Banner {}", file.display()))
}

#[test]
fn long_words_of_the_server_can_be_read_to_both_ends_each_time() -> Result<()> {
    let (scene, reader) = seat(None, with_long_banner, |daemon| daemon)?;
    let screen = name(&scene, &reader)?;
    for again in [true, true, false] {
        // It begins at the end, where the last word is.
        for key in ["Page_Up", "Page_Down"] {
            let before = words_on(&screen)?;
            wait::until(&format!("{key} to turn the page"), wait::STEP, || {
                screen.key(key).ok()?;
                words_on(&screen).ok().filter(|now| *now != before)
            })?;
        }
        if again {
            screen.key("Escape")?;
            reader.wait_for_question("User name", wait::STEP)?;
            screen.key("Return")?;
            reader.wait_for_question("Password:", wait::STEP)?;
        }
    }
    scene.finish()
}
