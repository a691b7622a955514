//! The author's guide: what it names exists, what exists is named, and its examples work.

use std::collections::BTreeSet;

use super::*;

fn guide() -> String {
    std::fs::read_to_string(checkout().join("docs/themes.md")).unwrap()
}

/// The words in backquotes.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Selectors of the guide that begin with this sign.
fn selectors(guide: &str, sign: char) -> BTreeSet<String> {
    let named = words(guide).into_iter().filter(|word| word.len() > 1 && word.starts_with(sign));
    named.map(str::to_owned).collect()
}

fn compare(existing: &BTreeSet<String>, guide: &BTreeSet<String>) {
    let missing: Vec<_> = existing.difference(guide).collect();
    let wrong: Vec<_> = guide.difference(existing).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "not in the guide: {missing:?}; not there: {wrong:?}");
}

/// The names and classes of all widgets that a greeter with these arguments has.
fn seen(screen: &Screen, theme: &str, args: &[&str]) -> BTreeSet<String> {
    let mut all = vec!["--preview", theme, "--names"];
    all.extend(args);
    let said = screen.run(&all);
    assert!(said.good && said.log.is_empty(), "{args:?}: {said:?}");
    said.out.lines().map(str::to_owned).collect()
}

/// Classes that GTK gives its own widgets, and that mean nothing here.
const GTKS: [&str; 11] = [
    ".activatable",
    ".background",
    ".bottom",
    ".caps-lock-indicator",
    ".horizontal",
    ".password",
    ".right",
    ".text-button",
    ".toggle",
    ".vertical",
    ".menu",
];

#[test]
fn every_name_and_class_is_in_the_guide_and_every_one_in_the_guide_exists() {
    let Some(screen) = Screen::new("1920x1080") else { return };
    let theme = shipped("default");
    let mut existing = seen(&screen, &theme, &["--scenario", "all"]);
    for size in ["320x240", "1920x1080"] {
        existing.extend(seen(&screen, &theme, &["--size", size]));
    }
    for (layout, bar) in
        [("center", "top"), ("left", "bottom"), ("right", "top"), ("top", "bottom"), ("bottom", "bottom")]
    {
        let dir = folder(&[("theme.ini", format!("layout = {layout}\nbar = {bar}\n").as_bytes())]);
        let of_this = seen(&screen, path(&dir), &[]);
        let count = of_this.iter().filter(|word| word.starts_with(".layout-") || word.starts_with(".bar-")).count();
        assert_eq!(count, 2, "{of_this:?}");
        existing.extend(of_this);
    }
    let locked = Command::new("xdotool").args(["key", "Caps_Lock"]).env("DISPLAY", &screen.display).status();
    assert!(locked.expect("xdotool is needed").success());
    existing.extend(seen(&screen, &theme, &[]));
    // A window of its own, over a session.
    existing.extend(["#announcement", "#announcement-text"].map(str::to_owned));
    existing.retain(|word| !GTKS.contains(&word.as_str()));
    let guide = guide();
    compare(&existing, &selectors(&guide, '#').union(&selectors(&guide, '.')).cloned().collect());
}

/// The first words of each row, in backquotes, of the table under this heading.
fn table(guide: &str, heading: &str) -> BTreeSet<String> {
    let section = guide.split(&format!("# {heading}\n")).nth(1).and_then(|rest| rest.split("\n#").next()).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split('|').next());
    rows.flat_map(|cell| format!("`{cell}").split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The keys that a manifest may have.
fn keys() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(checkout().join("ldm/src/bin/ldm-greeter/theme/manifest.rs")).unwrap();
    let list = manifest.split("KEYS: [&str; ").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_and_colour_is_in_the_guide_and_every_one_in_the_guide_exists() {
    let guide = guide();
    compare(&keys(), &table(&guide, "theme.ini"));
    let style = std::fs::read_to_string(checkout().join("themes/default/style.css")).unwrap();
    let colours = style.lines().filter_map(|line| line.strip_prefix("@define-color "));
    let colours: BTreeSet<String> = colours.map(|rest| format!("@{}", rest.split(' ').next().unwrap())).collect();
    compare(&colours, &table(&guide, "Colours"));
    let words: BTreeSet<&str> = words(&guide).into_iter().collect();
    for word in ["center", "left", "right", "top", "bottom", "light", "dark", "none", "default"] {
        assert!(words.contains(word), "{word}");
    }
}

#[test]
fn the_manual_has_the_options_that_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_ldm-greeter")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.starts_with("The login screen of LDM\n"), "{help}");
    let long = |line: &str| -> Option<String> {
        let word = line.trim_start().strip_prefix("--")?;
        Some(word.split([' ', '=']).next()?.to_owned())
    };
    let there: BTreeSet<String> = help.lines().filter_map(long).collect();
    assert!(there.contains("theme") && there.contains("check-theme"), "{help}");
    let manual = std::fs::read_to_string(checkout().join("docs/man/ldm-greeter.1")).unwrap().replace("\\-", "-");
    let options = manual.split(".SH OPTIONS").nth(1).and_then(|rest| rest.split(".SH KEYS").next()).unwrap();
    let told = options.lines().filter_map(|line| line.strip_prefix(".BI ").or(line.strip_prefix(".B ")));
    // Some are named once more in the text.
    let told: BTreeSet<String> = told.filter_map(long).collect();
    compare(&there, &told);
    let synopsis = manual.split(".SH DESCRIPTION").next().unwrap();
    let words = synopsis.split_whitespace().filter_map(long).collect();
    compare(&there, &words);
    for option in selectors(&guide(), '-').iter().filter_map(|word| long(word)) {
        assert!(there.contains(&option), "the guide tells of --{option}");
    }
}

/// A fenced block that begins with `# FILE` or `/* FILE */` is that file of the theme that was begun before; one in `sh` is run.
#[test]
fn every_example_in_the_guide_works() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let guide = guide();
    let dir = TempDir::new().unwrap();
    let mut files = 0;
    let mut commands = 0;
    for block in guide.split("```").skip(1).step_by(2) {
        let (kind, body) = block.split_once('\n').unwrap();
        let first = body.lines().next().unwrap_or_default();
        let named = first.split([' ', '/', '*', '#', ':']).find(|word| word.contains('.'));
        match kind {
            "ini" | "css" => {
                let name = named.unwrap_or(if kind == "ini" { "theme.ini" } else { "style.css" });
                std::fs::create_dir_all(dir.path().join("sea")).unwrap();
                std::fs::write(dir.path().join("sea").join(name), body).unwrap();
                let said = screen.run(&["--check-theme", dir.path().join("sea").to_str().unwrap()]);
                assert!(said.good, "{body}\n{}", said.out);
                files += 1;
            }
            "sh" => {
                for line in body.lines() {
                    let program = env!("CARGO_BIN_EXE_ldm-greeter");
                    let line = line.replace("/usr/libexec/ldm/ldm-greeter", program);
                    let mut command = Command::new("sh");
                    // A preview without a picture stays open until it is closed.
                    let ends = ["--screenshot", "--check", "list"].iter().any(|word| line.contains(word));
                    let line = if ends { line } else { format!("{line} --check") };
                    command
                        .args(["-ec", &line])
                        .current_dir(dir.path())
                        .env("DISPLAY", &screen.display)
                        .env("LC_ALL", "C");
                    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                    let said = finish(command);
                    assert!(said.good, "{line}: {said:?}");
                    commands += 1;
                }
            }
            other => panic!("what is to be done with a block of “{other}”?"),
        }
    }
    assert!(files >= 2 && commands >= 3, "{files} {commands}");
}
