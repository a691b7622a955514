//! The words that stay where there is little room for them.

use std::collections::BTreeSet;

use super::*;

/// The menus whose words are seen, in German, whose words are long.
fn menus(screen: &Screen, locales: &Path, scenario: &str, size: &str) -> BTreeSet<String> {
    let theme = shipped("default");
    let args = ["--preview", &theme, "--scenario", scenario, "--size", size, "--language", "de", "--texts", "--check"];
    let mut command = screen.command(&args);
    command.env("LDM_LOCALEDIR", locales);
    let said = finish(command);
    assert!(said.good, "{said:?}");
    let names = said.out.lines().filter_map(|line| line.split('\t').nth(1));
    names.filter(|name| name.ends_with("-menu") || *name == "#help-button").map(str::to_owned).collect()
}

#[test]
fn large_text_leaves_the_menus_their_words() {
    let dir = TempDir::new().unwrap();
    if catalogues(dir.path()).is_none() {
        return;
    }
    let Some(screen) = Screen::new("1024x768") else { return };
    let all = menus(&screen, dir.path(), "prompt", "1024x768");
    assert_eq!(all.len(), 8, "{all:?}");
    assert_eq!(menus(&screen, dir.path(), "large-text", "1024x768"), all);
    let small = menus(&screen, dir.path(), "large-text", "800x600");
    for name in ["#help-button", "#power-menu", "#layout-menu"] {
        assert!(small.contains(name), "{name} is not among {small:?}");
    }
}

#[test]
fn the_locks_of_the_keyboard_and_what_failed_are_read_in_full_on_the_smallest_screen() {
    let dir = TempDir::new().unwrap();
    let Some(languages) = catalogues(dir.path()) else { return };
    let Some(screen) = Screen::new("800x600") else { return };
    let theme = shipped("default");
    let look = |language: Option<&str>, scenarios: &[&str]| {
        let mut args = vec!["--preview", &theme, "--size", "320x240", "--texts", "--check"];
        args.extend(scenarios.iter().flat_map(|name| ["--scenario", name]));
        args.extend(language.into_iter().flat_map(|language| ["--language", language]));
        let mut command = screen.command(&args);
        command.env("LDM_LOCALEDIR", dir.path());
        let said = finish(command);
        assert!(said.good, "{language:?}: {said:?}");
        said.out
    };
    let english = look(None, &["locks", "prompt"]);
    let told: Vec<_> = english.lines().filter(|line| line.contains("\t#locks\t")).collect();
    assert_eq!(told, ["locks\t#locks\town\tCaps Lock and Num Lock are on."]);
    for language in &languages {
        let told = look(Some(language), &["locks", "failure-countdown", "failure-link-lost"]);
        assert!(told.contains("locks\t#locks\t") && told.contains("failure-countdown\t#countdown\t"), "{told}");
    }
}
