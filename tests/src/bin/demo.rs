//! `ldm-demo [OUT]`: the main job on this machine alone. Run as root by scripts/demo.sh.
//!
//! A temporary user, a private sshd with PAM and a small desktop play the server. With a DISPLAY the client is a Xephyr
//! window to log in by hand. Without one it is Xvfb, and a scripted user logs in as people do: first with a mistyped
//! password; then the session plays a tone on the client's (null) sound card and starts programs on the client. Each step must
//! be seen to happen, is timed, and leaves a picture in OUT. `ldm-demo --sweep` removes what a killed demo has left.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::account;
use ldm_tests::gui::Reader;
use ldm_tests::scene::TOO_SHORT;
use ldm_tests::sound::SoundDaemon;
use ldm_tests::xserver::Screen;
use ldm_tests::{Daemon, Kind, Lab, Sshd, User, XServer, client, sound, stage, sweep, wait};

/// How long a single step may take.
const STEP: Duration = Duration::from_secs(30);

/// The id of the demo's session.
const SESSION: &str = "ldm-demo";

/// The program of the client that its menu shows: the base name of a `.desktop` file.
const LOCAL_PROGRAM: &str = "debian-xterm";

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

/// Openbox with a panel, and a menu that opens a terminal or the menu of all programs, and logs out.
fn offer_desktop(lab: &Lab, user: &User) -> Result<()> {
    const MENU: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<openbox_menu xmlns="http://openbox.org/3.4/menu">
  <menu id="root-menu" label="Demo">
    <item label="_Terminal"><action name="Execute"><command>xterm -fa Monospace -fs 12 -geometry 90x24+120+80 -xrm "XTerm*allowTitleOps: false" -title Terminal</command></action></item>
    <item label="_Programs"><action name="Execute"><command>jgmenu_run</command></action></item>
    <separator/>
    <item label="_Log out"><action name="Exit"><prompt>no</prompt></action></item>
  </menu>
</openbox_menu>
"#;
    for folder in [".config", ".config/openbox", ".config/jgmenu"] {
        fs::create_dir(user.home.join(folder))?;
        std::os::unix::fs::chown(user.home.join(folder), Some(user.uid), Some(user.gid))?;
    }
    user.write(".config/openbox/menu.xml", MENU, 0o644)?;
    user.write(".config/jgmenu/jgmenurc", "stay_alive = 0\ncsv_cmd = apps\nposition_mode = pointer\n", 0o644)?;
    // The panel after the window manager: side by side, tint2 may map its window in between and is then never managed.
    // An installed `ltsp-localapps` is in the PATH that the profile sets.
    let script = lab.script(
        "sessions/demo",
        &format!(
            "export PATH=\"$PATH:{}\"\nxsetroot -solid '#31566b'\nxsetroot -cursor_name left_ptr\nexec openbox --startup tint2",
            lab.bin()?.display()
        ),
    )?;
    lab.session(SESSION, "Demo desktop", &script.to_string_lossy())
}

fn seat(lab: &Lab, sshd: &Sshd, screen: Screen, sound: &SoundDaemon) -> Result<(Daemon, Reader)> {
    let greeter_user = User::create(lab, Kind::System, "")?;
    let reader = Reader::new(lab, &greeter_user)?;
    let catalogues = lab.file("locale");
    stage::catalogues(&catalogues, &[])?;
    let daemon = Daemon::builder(lab)
        .by(&client::same_machine())
        .on(screen)
        .server(sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter_with(&catalogues))
        .set("LDM_THEME", &reader.theme())
        .set("SOUND_DAEMON", &sound.socket().to_string_lossy())
        .set("LOCAL_APPS", "True")
        .set("LOCAL_APPS_WHITELIST", "xterm sh")
        .set("LOCAL_APPS_MENU", "True")
        .set("LOCAL_APPS_MENU_ITEMS", LOCAL_PROGRAM)
        .greeter_user(greeter_user)
        .start()?;
    Ok((daemon, reader))
}

fn by_hand(lab: &Lab, sshd: &Sshd, user: &User) -> Result<()> {
    let mut window = XServer::nested(lab, "A thin client (LDM demo)")?;
    let sound = SoundDaemon::new(lab)?;
    let (mut daemon, _reader) = seat(lab, sshd, window.screen(), &sound)?;
    println!();
    println!("  Log in, in the window, as   {}", user.name);
    println!("  with the password           {}", user.password);
    println!();
    println!(
        "A right click on the desktop opens its menu; “Programs” holds one that runs on the client. Its sound goes nowhere."
    );
    println!("Close the window to end the demo.");
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
    // Its speakers and its microphone are recorded and played by the demo.
    let sound = SoundDaemon::new(lab)?;
    let (mut daemon, reader) = seat(lab, sshd, screen.clone(), &sound)?;
    println!("Without a DISPLAY: a scripted user on Xvfb; pictures are in {}.", out.display());
    println!();
    let mut steps = Steps { out, screen: screen.clone(), done: Vec::new() };

    let story = Story { lab, reader: &reader, screen: &screen, user, daemon: &daemon, sound: &sound };
    let result = story.tell(&mut steps, &mut x).and_then(|()| {
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

/// What plays in the story.
struct Story<'a> {
    lab: &'a Lab,
    reader: &'a Reader,
    screen: &'a Screen,
    user: &'a User,
    daemon: &'a Daemon,
    sound: &'a SoundDaemon,
}

impl Story<'_> {
    fn tell(&self, steps: &mut Steps, x: &mut XServer) -> Result<()> {
        self.log_in(steps, x)?;
        let began = Instant::now();
        self.use_session(steps)?;
        self.use_client(steps)?;
        steps.step("Logging out leaves nothing on either side", || {
            enough(began)?;
            self.log_out()
        })?;
        self.log_in_again(steps)
    }

    fn log_out(&self) -> Result<()> {
        from_menu(self.screen, "l", || !self.screen.shows("tint2"))?;
        self.reader.wait_for_question("User name", STEP)?;
        self.user.wait_for_no_process(STEP)?;
        let left = session_remains(self.user.uid);
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }

    fn log_in(&self, steps: &mut Steps, x: &mut XServer) -> Result<()> {
        let (reader, screen, name) = (self.reader, self.screen, &self.user.name);
        steps.step("The greeter is there", || reader.wait_for_question("User name", STEP).map(drop))?;
        steps.step("F1 shows the help page", || {
            screen.key("F1")?;
            reader.wait_for("the help page", STEP, |widget| widget.name == "Test the sound").map(drop)
        })?;
        steps.step("It speaks another language at once", || {
            screen.key("Escape")?;
            reader.wait_for_question("User name", STEP)?;
            self.speak("d", "Benutzername")
        })?;
        steps.step("The name is typed", || {
            self.speak("e", "User name")?;
            screen.type_text(name)?;
            reader.wait_for("the name in the entry", STEP, |widget| widget.text == *name).map(drop)
        })?;
        steps.step("The server asks for the password", || {
            screen.key("Return")?;
            reader.wait_for_question("Password", STEP).map(drop)
        })?;
        let greeters = self.daemon.greeter_user().processes();
        steps.step("A mistyped password is refused", || {
            screen.type_text("mistyped")?;
            screen.key("Return")?;
            reader.wait_for_text(FailureKind::Denied.message(), STEP)?;
            ensure!(x.program().is_running(), "the X server was restarted");
            let still = self.daemon.greeter_user().processes();
            ensure!(greeters.iter().all(|pid| still.contains(pid)), "the greeter was restarted");
            Ok(())
        })?;
        steps.step("The right one opens the session chooser", || {
            // Where the greeter asks for the name again it keeps what was typed.
            let question =
                reader.wait_for("a question", STEP, |widget| widget.focused && widget.role.contains("text"))?;
            if question.name.contains("User name") {
                if question.text != *name {
                    screen.xdotool(&["key", "ctrl+a"])?;
                    screen.type_text(name)?;
                }
                screen.key("Return")?;
            }
            self.answer_password()?;
            reader.wait_for("the session in the chooser", STEP, |widget| widget.name.contains("Demo desktop")).map(drop)
        })?;
        steps.step("The server's desktop is there", || {
            // To the next one with this letter, after "Default".
            screen.key("d")?;
            screen.key("Return")?;
            screen.wait_for("tint2", STEP)?;
            greeter_is_gone(self.daemon)
        })
    }

    /// Chooses the language that begins with this letter; the question for the name is asked in it.
    fn speak(&self, letter: &str, question: &str) -> Result<()> {
        // Behind the menu of sessions.
        for key in ["F10", "Right", "Return"] {
            self.screen.key(key)?;
        }
        self.reader.wait_for("the list of languages", STEP, |w| w.role == "list item" && w.focused)?;
        self.screen.key(letter)?;
        self.screen.key("Return")?;
        self.reader.wait_for_question(question, STEP).map(drop)
    }

    fn answer_password(&self) -> Result<()> {
        self.reader.wait_for_question("Password", STEP)?;
        self.screen.type_text(&self.user.password)?;
        self.screen.key("Return")
    }

    fn use_session(&self, steps: &mut Steps) -> Result<()> {
        steps.step("A terminal opens from the desktop's menu", || self.open_terminal())?;
        steps.step("A command runs on the server", || use_terminal(self.screen, self.user, "one"))
    }

    fn open_terminal(&self) -> Result<()> {
        from_menu(self.screen, "t", || self.screen.shows("Terminal"))
    }

    /// Sound, and a program of the client.
    fn use_client(&self, steps: &mut Steps) -> Result<()> {
        steps.step("A tone of the session is heard on the client", || {
            let tone = sound::sweep(220.0, 880.0, 2.0);
            let file = self.lab.file("tone.raw");
            sound::write(&file, &tone)?;
            let recording = self.sound.record(self.lab, "speakers.monitor")?;
            self.run_in_terminal(&format!("pacat -p {} {}", sound::FORMAT.join(" "), file.display()))?;
            let recorded = recording.stop_after(tone.len())?;
            let heard = sound::correlation(&tone, sound::aligned(&tone, &recorded)?);
            ensure!(heard > 0.99, "what was heard is another sound: {heard}");
            Ok(())
        })?;
        // What the shell in it calls its window.
        let local = format!("{}@", self.user.name);
        steps.step("A program of the client starts from the menu", || {
            from_menu(self.screen, "p", || self.screen.shows("jgmenu"))?;
            let before = self.screen.signature()?;
            self.screen.type_text("local")?;
            let filtered = || (self.screen.signature().ok()? != before).then_some(());
            wait::until("the menu to follow what is typed", STEP, filtered)?;
            self.screen.key("Return")?;
            self.screen.wait_for(&local, STEP)
        })?;
        steps.step("It runs on the client's own display", || {
            focus(self.screen, &local)?;
            self.screen.type_text("echo $DISPLAY | tee local-display\n")?;
            let text = written(&self.user.home.join("local-display"))?;
            ensure!(text.trim().starts_with(&self.screen.display), "its display is {text}");
            Ok(())
        })?;
        steps.step("The session is told how another one ended", || {
            let status = self.run_in_terminal("ltsp-localapps --wait sh -c 'exit 7'")?;
            ensure!(status == "7", "{status}");
            Ok(())
        })
    }

    /// Runs a command in the terminal, to its end; its exit status.
    fn run_in_terminal(&self, command: &str) -> Result<String> {
        let file = self.user.home.join("status");
        let _ = fs::remove_file(&file);
        focus(self.screen, "Terminal")?;
        self.screen.type_text(&format!("clear; {command}; echo $? | tee status\n"))?;
        Ok(written(&file)?.trim().to_owned())
    }

    fn log_in_again(&self, steps: &mut Steps) -> Result<()> {
        let screen = self.screen;
        steps.step("The second login starts the same session at once", || {
            screen.type_text(&self.user.name)?;
            screen.key("Return")?;
            self.answer_password()?;
            screen.wait_for("tint2", STEP)
        })?;
        let began = Instant::now();
        steps.step("The second session is used, too", || {
            self.open_terminal()?;
            use_terminal(screen, self.user, "two")
        })?;
        steps.step("The second logout brings the greeter back", || {
            enough(began)?;
            self.log_out()
        })
    }
}

/// What ends sooner counts as a session that failed.
fn enough(began: Instant) -> Result<()> {
    wait::until("time to pass", STEP, || (began.elapsed() > TOO_SHORT + Duration::from_secs(1)).then_some(()))
}

/// What of a session could outlive it on the server: its directory and its sockets.
fn session_remains(uid: u32) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    for dir in ["/tmp".into(), format!("/run/user/{uid}")] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("ldm-") && entry.metadata().is_ok_and(|about| about.uid() == uid) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

fn greeter_is_gone(daemon: &Daemon) -> Result<()> {
    let gone = || {
        let lines = daemon.greeter_user().processes().into_iter().map(sweep::command_line);
        (!lines.into_iter().any(|line| line.contains("ldm-greeter"))).then_some(())
    };
    wait::until("the greeter's end", STEP, gone)
}

/// Right-clicks the desktop, where no window lies, and presses the key of a menu entry, until it has had its effect.
fn from_menu(screen: &Screen, key: &str, done: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + STEP;
    while Instant::now() < end {
        let before = screen.signature()?;
        screen.xdotool(&["mousemove", "300", "680", "click", "3"])?;
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

/// The text of a file that is being written, once it has a whole line.
fn written(file: &Path) -> Result<String> {
    wait::until("the file that the command writes", STEP, || {
        fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
    })
}

fn focus(screen: &Screen, title: &str) -> Result<()> {
    screen.xdotool(&["search", "--sync", "--onlyvisible", "--name", title, "windowfocus", "--sync"]).map(drop)
}

/// Types a command and sees on the server that it ran there.
fn use_terminal(screen: &Screen, user: &User, word: &str) -> Result<()> {
    let file = user.home.join(format!("note-{word}"));
    focus(screen, "Terminal")?;
    screen.type_text(&format!("clear; echo \"$USER has $XDG_CURRENT_DESKTOP on $DISPLAY\" | tee note-{word}\n"))?;
    let text = written(&file)?;
    ensure!(
        text == format!("{} has Lab:{SESSION} on {}\n", user.name, text.rsplit(' ').next().unwrap_or_default().trim()),
        "{text}"
    );
    ensure!(text.contains("localhost:"), "the display is no forwarded one: {text}");
    Ok(())
}
