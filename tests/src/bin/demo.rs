//! `ldm-demo [OUT]`: the main job on this machine alone. Run as root by scripts/demo.sh.
//!
//! A temporary user, a private sshd with PAM and a small desktop play the server. With a DISPLAY the client is a Xephyr
//! window to log in by hand. Without one it is Xvfb, and a scripted user logs in as people do: first with a mistyped
//! password. Each step must be seen to happen, is timed, and leaves a picture in OUT. `ldm-demo --sweep` removes what a killed
//! demo has left.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::account;
use ldm_tests::gui::Reader;
use ldm_tests::scene::TOO_SHORT;
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Kind, Lab, Sshd, User, XServer, stage, sweep, wait};

/// How long a single step may take.
const STEP: Duration = Duration::from_secs(30);

/// The id of the demo's session.
const SESSION: &str = "ldm-demo";

fn main() -> Result<()> {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "demo-out".to_owned());
    if argument == "--sweep" {
        sweep::all();
        stage::remove();
        return Ok(());
    }
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let password =
        account::random_password()?.to_lowercase().replace("lab-", "thin-").chars().take(11).collect::<String>();
    let user = User::demo(&lab, &password)?;
    offer_desktop(&lab, &user)?;
    if std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty()) {
        by_hand(&lab, &sshd, &user)
    } else {
        scripted(&lab, &sshd, &user, Path::new(&argument))
    }
}

/// Openbox with a panel, and a menu that opens a terminal and logs out.
fn offer_desktop(lab: &Lab, user: &User) -> Result<()> {
    const MENU: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<openbox_menu xmlns="http://openbox.org/3.4/menu">
  <menu id="root-menu" label="Demo">
    <item label="_Terminal"><action name="Execute"><command>xterm -fa Monospace -fs 12 -geometry 90x24+120+80 -xrm "XTerm*allowTitleOps: false" -title Terminal</command></action></item>
    <separator/>
    <item label="_Log out"><action name="Exit"><prompt>no</prompt></action></item>
  </menu>
</openbox_menu>
"#;
    for folder in [".config", ".config/openbox"] {
        fs::create_dir(user.home.join(folder))?;
        std::os::unix::fs::chown(user.home.join(folder), Some(user.uid), Some(user.gid))?;
    }
    user.write(".config/openbox/menu.xml", MENU, 0o644)?;
    // The panel after the window manager: side by side, tint2 may map its window in between and is then never managed.
    let script = lab.script(
        "sessions/demo",
        "xsetroot -solid '#31566b'\nxsetroot -cursor_name left_ptr\nexec openbox --startup tint2",
    )?;
    lab.session(SESSION, "Demo desktop", &script.to_string_lossy())
}

fn seat(lab: &Lab, sshd: &Sshd, screen: Screen) -> Result<(Daemon, Reader)> {
    let greeter_user = User::create(lab, Kind::System, "")?;
    let reader = Reader::new(lab, &greeter_user)?;
    let daemon = Daemon::builder(lab)
        .on(screen)
        .server(sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter())
        .set("LDM_THEME", &reader.theme())
        .set("LDM_SESSION", SESSION)
        .greeter_user(greeter_user)
        .start()?;
    Ok((daemon, reader))
}

fn by_hand(lab: &Lab, sshd: &Sshd, user: &User) -> Result<()> {
    let mut window = XServer::nested(lab, "A thin client (LDM demo)")?;
    let (mut daemon, _reader) = seat(lab, sshd, window.screen())?;
    println!();
    println!("  Log in, in the window, as   {}", user.name);
    println!("  with the password           {}", user.password);
    println!();
    println!("A right click on the desktop opens its menu. Close the window to end the demo.");
    while window.program().is_running() && daemon.program().is_running() {
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(!window.program().is_running(), "the daemon has ended by itself:\n{}", wait::tail(daemon.program().log()));
    Ok(())
}

/// The steps done so far, with their pictures.
struct Steps {
    out: PathBuf,
    screen: Screen,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Does one step and takes its picture. The time is that until the step could be seen to have happened.
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let began = Instant::now();
        let result = work();
        let took = began.elapsed();
        let number = self.done.len() + 1;
        let slug: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        self.settle();
        self.screen.picture(&self.out.join(format!("{number:02}-{slug}.png")))?;
        println!(
            "  {number:2}. {name:45} {:7.2} s{}",
            took.as_secs_f32(),
            if result.is_ok() { "" } else { "   FAILED" }
        );
        self.done.push((name.to_owned(), took));
        result.with_context(|| format!("step {number}, “{name}”, did not happen"))
    }

    /// Waits until the screen stands still, so that pictures show finished windows; a blinking cursor is no reason to wait long.
    fn settle(&self) {
        let mut last = self.screen.signature();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(150));
            let now = self.screen.signature();
            if now.is_ok() && now.as_ref().ok() == last.as_ref().ok() {
                return;
            }
            last = now;
        }
    }

    fn table(&self) {
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("      {:45} {:7.2} s", "in all", total.as_secs_f32());
    }
}

fn scripted(lab: &Lab, sshd: &Sshd, user: &User, out: &Path) -> Result<()> {
    let out = std::path::absolute(out)?;
    fs::create_dir_all(&out)?;
    for entry in fs::read_dir(&out)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "png") {
            fs::remove_file(entry.path())?;
        }
    }
    let mut x = XServer::new(lab)?;
    let screen = x.screen();
    let (mut daemon, reader) = seat(lab, sshd, screen.clone())?;
    println!("Without a DISPLAY: a scripted user on Xvfb; pictures are in {}.", out.display());
    println!();
    let mut steps = Steps { out, screen: screen.clone(), done: Vec::new() };

    let result = story(&mut steps, &reader, &screen, user, &mut x, &daemon).and_then(|()| {
        steps.step("Everything has ended", || {
            daemon.stop()?;
            user.wait_for_no_process(STEP)
        })
    });
    println!();
    steps.table();
    if result.is_err() {
        println!("\nThe daemon's last words:\n{}", wait::tail(daemon.program().log()));
    }
    result
}

fn story(
    steps: &mut Steps,
    reader: &Reader,
    screen: &Screen,
    user: &User,
    x: &mut XServer,
    daemon: &Daemon,
) -> Result<()> {
    let name = &user.name;
    steps.step("The greeter is there", || reader.wait_for_question("User name", STEP).map(drop))?;
    steps.step("The name is typed", || {
        screen.type_text(name)?;
        reader.wait_for("the name in the entry", STEP, |widget| widget.text == *name).map(drop)
    })?;
    steps.step("The server asks for the password", || {
        screen.key("Return")?;
        reader.wait_for_question("Password", STEP).map(drop)
    })?;
    let greeters = daemon.greeter_user().processes();
    steps.step("A mistyped password is refused", || {
        screen.type_text("mistyped")?;
        screen.key("Return")?;
        reader.wait_for_text(FailureKind::Denied.message(), STEP)?;
        ensure!(x.program().is_running(), "the X server was restarted");
        let still = daemon.greeter_user().processes();
        ensure!(greeters.iter().all(|pid| still.contains(pid)), "the greeter was restarted");
        Ok(())
    })?;
    steps.step("The right one opens the session chooser", || {
        // Where the greeter asks for the name again it keeps what was typed.
        let question = reader.wait_for("a question", STEP, |widget| widget.focused && widget.role.contains("text"))?;
        if question.name.contains("User name") {
            if question.text != *name {
                screen.xdotool(&["key", "ctrl+a"])?;
                screen.type_text(name)?;
            }
            screen.key("Return")?;
        }
        reader.wait_for_question("Password", STEP)?;
        screen.type_text(&user.password)?;
        screen.key("Return")?;
        reader.wait_for("the session in the chooser", STEP, |widget| widget.name.contains("Demo desktop")).map(drop)
    })?;
    let began = Instant::now();
    steps.step("The server's desktop is there", || {
        screen.key("Return")?;
        screen.wait_for("tint2", STEP)?;
        greeter_is_gone(daemon)
    })?;
    steps.step("A terminal opens from the desktop's menu", || from_menu(screen, "t", || screen.shows("Terminal")))?;
    steps.step("A command runs on the server", || {
        use_terminal(screen, user, "one")?;
        // What ends sooner counts as a session that failed.
        wait::until("time to pass", STEP, || (began.elapsed() > TOO_SHORT + Duration::from_secs(1)).then_some(()))
    })?;
    steps.step("Logging out brings the greeter back", || {
        from_menu(screen, "l", || !screen.shows("tint2"))?;
        reader.wait_for_question("User name", STEP)?;
        user.wait_for_no_process(STEP)
    })?;
    let began = Instant::now();
    steps.step("The second login works like the first", || {
        screen.type_text(name)?;
        screen.key("Return")?;
        reader.wait_for_question("Password", STEP)?;
        screen.type_text(&user.password)?;
        screen.key("Return")?;
        reader.wait_for("the session in the chooser", STEP, |widget| widget.name.contains("Demo desktop"))?;
        screen.key("Return")?;
        screen.wait_for("tint2", STEP)
    })?;
    steps.step("The second session is used, too", || {
        from_menu(screen, "t", || screen.shows("Terminal"))?;
        use_terminal(screen, user, "two")?;
        wait::until("time to pass", STEP, || (began.elapsed() > TOO_SHORT + Duration::from_secs(1)).then_some(()))
    })?;
    steps.step("The second logout brings the greeter back", || {
        from_menu(screen, "l", || !screen.shows("tint2"))?;
        reader.wait_for_question("User name", STEP)?;
        user.wait_for_no_process(STEP)
    })
}

fn greeter_is_gone(daemon: &Daemon) -> Result<()> {
    let gone = || {
        let lines = daemon.greeter_user().processes().into_iter().map(sweep::command_line);
        (!lines.into_iter().any(|line| line.contains("ldm-greeter"))).then_some(())
    };
    wait::until("the greeter's end", STEP, gone)
}

/// Right-clicks the desktop and presses the key of a menu entry, until it has had its effect.
fn from_menu(screen: &Screen, key: &str, done: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + STEP;
    while Instant::now() < end {
        let before = screen.signature()?;
        screen.xdotool(&["mousemove", "1100", "600", "click", "3"])?;
        let menu = || (screen.signature().ok()? != before).then_some(());
        if wait::until("the menu", Duration::from_secs(3), menu).is_err() {
            continue;
        }
        screen.key(key)?;
        if wait::until("its effect", Duration::from_secs(5), || done().then_some(())).is_ok() {
            return Ok(());
        }
        screen.key("Escape")?;
    }
    anyhow::bail!("the desktop's menu does nothing");
}

/// Types a command and sees on the server that it ran there.
fn use_terminal(screen: &Screen, user: &User, word: &str) -> Result<()> {
    let file = user.home.join(format!("note-{word}"));
    screen.xdotool(&["search", "--sync", "--onlyvisible", "--name", "Terminal", "windowfocus", "--sync"])?;
    screen.type_text(&format!("clear; echo \"$USER has $XDG_CURRENT_DESKTOP on $DISPLAY\" | tee note-{word}\n"))?;
    let text = wait::until("the file that the command writes", STEP, || {
        fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))
    })?;
    ensure!(
        text == format!("{} has Lab:{SESSION} on {}\n", user.name, text.rsplit(' ').next().unwrap_or_default().trim()),
        "{text}"
    );
    ensure!(text.contains("localhost:"), "the display is no forwarded one: {text}");
    Ok(())
}
