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

#[test]
fn every_widget_is_in_the_guide_and_every_one_in_the_guide_exists() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let theme = shipped("default");
    let said = screen.run(&["--preview", &theme, "--scenario", "all", "--names"]);
    let mut existing: BTreeSet<&str> = said.out.lines().collect();
    // A window of its own, over a session.
    existing.extend(["announcement", "announcement-text"]);
    let guide = guide();
    let named: BTreeSet<&str> = words(&guide).into_iter().filter_map(|word| word.strip_prefix('#')).collect();
    let named: BTreeSet<&str> = named.into_iter().filter(|name| !name.is_empty()).collect();
    let missing: Vec<_> = existing.difference(&named).collect();
    let wrong: Vec<_> = named.difference(&existing).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "not in the guide: {missing:?}; not there: {wrong:?}");
}

#[test]
fn every_key_layout_and_colour_is_in_the_guide() {
    let guide = guide();
    let words: BTreeSet<&str> = words(&guide).into_iter().collect();
    let style = std::fs::read_to_string(checkout().join("themes/default/style.css")).unwrap();
    let colours = style.lines().filter_map(|line| line.strip_prefix("@define-color "));
    for colour in colours.map(|rest| rest.split(' ').next().unwrap()) {
        assert!(words.contains(format!("@{colour}").as_str()), "@{colour}");
    }
    let manifest = std::fs::read_to_string(checkout().join("ldm/src/bin/ldm-greeter/theme/manifest.rs")).unwrap();
    let list = manifest.split("KEYS: [&str; ").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    let keys: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(keys.contains(&"name") && keys.contains(&"logo"), "the manifest's keys are not where they were: {keys:?}");
    let values = ["center", "left", "right", "top", "bottom", "light", "dark", "none", "default"];
    for word in keys.iter().chain(&values) {
        assert!(words.contains(word), "{word}");
    }
    for class in [".compact", ".tiny", ".large", ".high-contrast", ".large-text", ".layout-left", ".bar-bottom"] {
        assert!(words.contains(class), "{class}");
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
