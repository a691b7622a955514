//! How the shipped themes look, and what a manifest and an old folder change.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Greeters that are looked at at the same time.
const WORKERS: usize = 4;

#[test]
fn every_shipped_theme_passes_the_checker() {
    let wrong = in_parallel(&SHIPPED.map(|name| ("1920x1080", name)), |screen, _, name| {
        let said = screen.run(&["--check-theme", &shipped(name)]);
        if said.good && !said.out.contains("not measured") { String::new() } else { said.out + &said.log }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_scenario_of_the_default_theme_fits_in_every_language() {
    fits_in_every_language(&["all"], &["800x600", "320x240"]);
}

/// On all that is not checked with all scenarios: a small monitor, a low one, and what a keyboard on the screen leaves of a usual one.
#[test]
fn large_text_fits_in_every_language() {
    let scenarios = [
        "large-text",
        "large-text-countdown",
        "large-text-help",
        "large-contrast",
        "large-contrast-countdown",
        "large-contrast-help",
        "large-contrast-question",
        "large-contrast-question-many",
    ];
    fits_in_every_language(&scenarios, &["640x480", "1024x600", "1024x518"]);
}

#[test]
fn what_tells_of_keys_gives_way_to_what_is_pressed() {
    let Some(screen) = Screen::new("640x480") else { return };
    let dir = folder(&[("style.css", b"#hint { min-height: 300px; }")]);
    let said = screen.run(&["--preview", path(&dir), "--scenario", "prompt", "--check", "--size", "640x480"]);
    assert!(said.good, "{said:?}");
}

#[test]
fn the_help_page_is_seen_at_once_on_a_big_monitor_in_every_language() {
    fits_in_every_language(&["help"], &["1920x1080", "1280x1024"]);
}

fn fits_in_every_language(scenarios: &[&str], sizes: &[&str]) {
    let dir = TempDir::new().unwrap();
    let Some(languages) = catalogues(dir.path()) else { return };
    let all: Vec<_> = sizes
        .iter()
        .flat_map(|size| languages.iter().map(String::as_str).chain(["en"]).map(move |language| (*size, language)))
        .collect();
    let theme = shipped("default");
    let wrong = in_parallel(&all, |screen, size, language| {
        let mut args = vec!["--preview", &theme, "--check", "--size", size, "--language", language];
        args.extend(scenarios.iter().flat_map(|scenario| ["--scenario", scenario]));
        let mut command = screen.command(&args);
        command.env("LDM_LOCALEDIR", dir.path());
        let said = finish(command);
        assert!(said.good || !said.out.is_empty(), "{size} {language}: {}", said.log);
        said.out
    });
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

/// Looks at each size with each second word, several at a time: greeters mostly wait for the next frame. What they complain of.
fn in_parallel<'a>(all: &[(&'a str, &'a str)], look: impl Fn(&Screen, &str, &str) -> String + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((size, word)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // One each: an open menu holds the pointer of its X server.
                    let Some(screen) = Screen::new(size) else { return };
                    let lines = look(&screen, size, word);
                    wrong.lock().unwrap().extend(lines.lines().map(|line| format!("{size} {word} {line}")));
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

#[test]
fn the_other_themes_fit_small_and_large_screens() {
    let all: Vec<_> = ["320x240", "1024x768", "1080x1920"]
        .into_iter()
        .flat_map(|size| SHIPPED.into_iter().map(move |name| (size, name)))
        .collect();
    let wrong = in_parallel(&all, |screen, size, name| {
        let said = screen.run(&["--preview", &shipped(name), "--scenario", "main", "--check", "--size", size]);
        assert!(said.good || !said.out.is_empty(), "{size} {name}: {}", said.log);
        said.out
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_layout_name_does_something() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let mut pictures = BTreeSet::new();
    let layouts = ["center", "left", "right", "top", "bottom"].map(|name| format!("layout = {name}\n"));
    let bars = ["bar = bottom\n".to_owned(), "scheme = dark\n".to_owned(), "base = none\n".to_owned()];
    for manifest in layouts.iter().chain(&bars) {
        let dir = folder(&[("theme.ini", manifest.as_bytes()), ("style.css", b"#clock { opacity: 0; }")]);
        let (picture, log) = screen.picture(path(&dir), &[]);
        assert_eq!(log, "", "{manifest}");
        assert!(pictures.insert(picture), "{manifest} changes nothing");
    }
}

#[test]
fn the_picture_fits_the_screens_shape() {
    let wide = std::fs::read(checkout().join("themes/default/background.png")).unwrap();
    let dir = folder(&[
        ("theme.ini", b"background = w.png\nbackground-portrait = p.svg\nlogo =\n"),
        ("w.png", &wide),
        ("p.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='16'><rect width='9' height='16' fill='#f0f'/></svg>"),
    ]);
    let Some(screen) = Screen::new("1024x1366") else { return };
    let (portrait, log) = screen.picture(path(&dir), &["--size", "768x1366"]);
    let plain = folder(&[("theme.ini", b"background = w.png\nlogo =\n"), ("w.png", &wide)]);
    let (other, _) = screen.picture(path(&plain), &["--size", "768x1366"]);
    assert!(portrait != other, "the wrong picture");
    // Without librsvg the log says so, and the default theme's picture is there.
    assert!(log.is_empty() || log.contains("SVG cannot be read here"), "{log}");
}

#[test]
fn an_old_theme_is_used_for_its_pictures() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let picture = std::fs::read(checkout().join("themes/default/logo.png")).unwrap();
    let dir = folder(&[
        ("bg.png", &picture),
        ("logo.png", &picture),
        ("language.png", &picture),
        ("shutdown.png", &picture),
        ("greeter-gtkrc", b"style \"x\" {}"),
    ]);
    let (old, log) = screen.picture(path(&dir), &[]);
    let (default, _) = screen.picture(&shipped("default"), &[]);
    assert!(old != default, "another picture");
    let want = "an old theme, used for its pictures; ignored: greeter-gtkrc, language.png, shutdown.png";
    assert!(log.lines().count() == 1 && log.contains(want), "{log}");
    let said = screen.run(&["--check-theme", path(&dir)]);
    assert!(said.out.contains(want), "{said:?}");
}

/// A theme that shows where the pointer is, whether the window is active, and everything that could move.
const NERVOUS: &str = ":hover, :hover * { background-color: red; } :backdrop * { color: green; }
    @keyframes turn { from { opacity: 0; } to { opacity: 1; } }
    #card, #clock, #hint { animation: turn 0.3s infinite alternate; }
    * { transition: all 5s; } #title { transition: color 9s; }";

/// Of what may differ between two pictures: the pointer, which is at first in the middle of the X server's screen, the zone of
/// the time and so the hour, and how fast the machine is.
#[test]
fn a_picture_is_the_same_at_any_time_and_wherever_the_pointer_is() {
    let dir = folder(&[("theme.ini", b"name = x\n"), ("style.css", NERVOUS.as_bytes())]);
    let mut all = Vec::new();
    for (screen, zone) in [("800x600", "AAA0"), ("1920x1080", "BBB-9:21"), ("3000x700", "CCC5")] {
        let Some(screen) = Screen::new(screen) else { return };
        let pictures = TempDir::new().unwrap();
        let mut args = vec!["--preview", path(&dir), "--size", "800x600", "--screenshot", path(&pictures), "--check"];
        let names = ["sessions", "starting", "countdown", "menu-server", "failure-denied"];
        args.extend(names.iter().flat_map(|name| ["--scenario", name]));
        let mut command = screen.command(&args);
        command.env("TZ", zone);
        let said = finish(command);
        assert!(said.good, "{said:?}");
        all.push(names.map(|name| std::fs::read(pictures.path().join(format!("{name}.png"))).unwrap()));
        if let [first, .., last] = &all[..] {
            let other = names.iter().zip(first).zip(last).filter(|((_, one), other)| one != other);
            let other: Vec<_> = other.map(|((name, _), _)| name).collect();
            assert!(other.is_empty(), "{zone}: {other:?} look different");
        }
    }
}

/// Until GTK is connected there is no moment without a connection: an X server that begins anew, or ends, when its last client
/// leaves does so only at the end.
#[test]
fn the_greeter_starts_on_an_x_server_that_ends_with_its_last_client() {
    let Some(screen) = Screen::with("800x600", "-terminate") else { return };
    let said = screen.run(&["--preview", &shipped("default"), "--check"]);
    assert!(said.good, "{said:?}");
}

#[test]
fn the_checker_names_every_mistake_with_its_place() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let css = "@define-color acent #fff;\n#crad { padding: 1px; }\n#title { color: #ddd; }\n\
               button:focus { box-shadow: none; outline: none; border-color: @bordr; }\n#card { min-width: 1100px; }\n\
               .compcat #card { min-height: 1px; }\n";
    let dir = folder(&[("theme.ini", b"name = x\n"), ("style.css", css.as_bytes()), ("notes.txt", b"x")]);
    std::fs::set_permissions(dir.path().join("notes.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o640))
        .unwrap();
    let said = screen.run(&["--check-theme", path(&dir)]);
    assert!(!said.good && !said.out.contains("style.css: mode"), "{}", said.out);
    for want in [
        "notes.txt: mode 640: the greeter runs as another user",
        "style.css:1: nothing uses a colour called @acent (perhaps @accent?)",
        "style.css:4: no colour is called @bordr (perhaps @border?)",
        "notes.txt: not used",
    ] {
        assert!(said.out.contains(want), "{want}: {}", said.out);
    }
    let css = css.replace("acent", "accent").replace("bordr", "border");
    std::fs::write(dir.path().join("style.css"), css).unwrap();
    let said = screen.run(&["--check-theme", path(&dir)]);
    for want in [
        "style.css:2: nothing is called #crad (perhaps #card?)",
        "style.css:6: nothing has the class .compcat (perhaps .compact?)",
        "style.css:3: name at 1024×768: #title “Log in to school.example”: contrast 1.30, needed 3 (#dddddd on @card #f8fafb)",
        "#go is outside of the screen",
        ": the focus is not seen: contrast 1.00, needed 3; and ",
    ] {
        assert!(said.out.contains(want), "{want}: {}", said.out);
    }
    assert!(!said.good);
}

#[test]
fn a_colour_that_makes_many_texts_unreadable_is_told_once() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let dir = folder(&[("style.css", b"@define-color card #123;\n@define-color text #eef;\n")]);
    let said = screen.run(&["--check-theme", path(&dir)]);
    let entry =
        "style.css:2: name at 1024×768: #entry “…”: contrast 1.15, needed 4.5 (@text #eeeeff on @field #ffffff); and ";
    let muted = "style.css:1: waiting at 1024×768: #status “Please wait…”: contrast 1.72, needed 4.5 (@muted #33495a on @card #112233)";
    assert!(
        said.out.contains(entry) && said.out.contains(muted) && said.out.contains("the focus is not seen"),
        "{}",
        said.out
    );
    assert!(!said.good && said.out.lines().count() < 16, "{}", said.out);
    // What this display has no room for is left out, and that is told.
    assert!(said.out.contains("note: 1920×1080 was not measured: this display has 1024×768"), "{}", said.out);
}

/// Each of these rules is right on the usual screen, from left to right, without the pointer.
#[test]
fn a_mistake_on_one_kind_of_screen_is_told_with_it() {
    let Some(screen) = Screen::new("1920x1080") else { return };
    let mistakes = [
        (".tiny #title { color: #eee; }", ":1: name at 320×240: #title “Log in to school.example”: contrast 1."),
        (".compact #status { color: #ddd; }", ":2: waiting at 320×240: #status “Please wait…”: contrast 1."),
        (".large #go:focus { outline: none; }", ": name at 1920×1080: #go: the focus is not seen: contrast 1."),
        ("#prompt:dir(rtl) { color: #ddd; }", ":4: name at 1024×768, right to left: #prompt “User name”: contrast 1."),
        ("#back:hover label { color: #eee; }", ":5: prompt at 1024×768: #back “Back” under the pointer: contrast 1."),
    ];
    let dir = folder(&[("style.css", mistakes.map(|(rule, _)| rule).join("\n").as_bytes())]);
    let said = screen.run(&["--check-theme", path(&dir)]);
    assert!(!said.good);
    for (rule, want) in mistakes {
        assert!(said.out.contains(&format!("style.css{want}")), "{rule}: {}", said.out);
    }
    // Nothing is told of where it is right.
    let places: Vec<&str> = mistakes.iter().map(|(_, want)| want.split(": #").next().unwrap()).collect();
    let places: Vec<&str> = places.iter().map(|place| place.split(" at ").nth(1).unwrap()).collect();
    for line in said.out.lines().filter(|line| line.contains("style.css")) {
        let usual = line.contains(" at 1024×768: ");
        assert!(
            places.iter().any(|place| line.contains(place)) && usual == line.contains("under the pointer"),
            "{line}"
        );
    }
}

#[test]
fn a_preview_follows_the_themes_files() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let dir = folder(&[("theme.ini", b"name = x\n"), ("style.css", b"#card { padding: 1px; }\n")]);
    let mut command = screen.command(&["--preview", path(&dir)]);
    command.env("GIO_USE_VFS", "local");
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut read = |want: &str| {
        // The kernel tells of changes only after the greeter has asked for it: so it is changed until that is seen.
        let mut line = String::new();
        while log.read_line(&mut line).unwrap() > 0 && !line.contains(want) {}
        assert!(line.contains(want), "{line}");
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let style = dir.path().join("style.css");
    let writer = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(300)).is_err() {
            std::fs::write(&style, "\n\n#card { colour: red; }\n").unwrap();
        }
    });
    read("style.css:3: ");
    read("the theme was read again");
    stop.send(()).unwrap();
    writer.join().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A catalogue in which every sentence of the sources stands between marks, whatever the real catalogues have of it.
fn marked(dir: &Path) -> Option<()> {
    let tree = dir.join("tree");
    std::fs::create_dir_all(tree.join("po")).unwrap();
    let mut list = std::fs::read_to_string(checkout().join("po/POTFILES.in")).unwrap();
    let sources = checkout().join("ldm/src/bin/ldm-greeter");
    let mut waiting = vec![sources];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(checkout()).unwrap().to_str().unwrap().to_owned();
            if !list.contains(&name) && std::fs::read_to_string(&path).unwrap().contains("gettext(") {
                list.push_str(&name);
                list.push('\n');
            }
        }
    }
    for name in list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let to = tree.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(checkout().join(name), to).unwrap();
    }
    std::fs::write(tree.join("po/POTFILES.in"), list).unwrap();
    std::fs::copy(checkout().join("po/extract.sh"), tree.join("po/extract.sh")).unwrap();
    std::fs::copy(checkout().join("po/de.po"), tree.join("po/de.po")).unwrap();
    let script = "sh po/extract.sh && msgen -o all.po po/ldm.pot && \
                  msgfilter --keep-header -i all.po -o marked.po sed -e 's/.*/⟦&⟧/'";
    let done = Command::new("sh").args(["-ec", script]).current_dir(&tree).stderr(Stdio::null()).status().unwrap();
    if !done.success() {
        eprintln!("skipped: gettext is needed");
        return None;
    }
    // A language that nobody speaks.
    compile(&tree.join("marked.po"), &dir.join("locale"), "tlh")
}

/// Every text that a user sees is in the catalogues, or is data of the server, the client or the user.
#[test]
fn no_text_on_the_screen_is_left_out_of_the_catalogues() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let dir = TempDir::new().unwrap();
    if marked(dir.path()).is_none() {
        return;
    }
    let theme = shipped("default");
    let args = ["--preview", &theme, "--scenario", "all", "--texts", "--language", "tlh"];
    let mut command = screen.command(&args);
    command.env("LDM_LOCALEDIR", dir.path().join("locale"));
    let said = finish(command);
    assert!(said.good && said.out.contains('⟦'), "{said:?}");
    // Dates come from the C library, names of languages and layouts from their lists.
    let lists = ["#clock", "#language-menu", "#language-list", "#layout-menu", "#layout-list"];
    let unmarked: BTreeSet<&str> = said
        .out
        .lines()
        .filter(|line| !line.contains('⟦') && line.contains("\town\t") && line.chars().any(char::is_alphabetic))
        .filter(|line| !lists.iter().any(|list| line.contains(&format!("\t{list}\t"))))
        .collect();
    assert!(unmarked.is_empty(), "{unmarked:#?}");
}
