//! A client with few fonts.

use super::*;

/// A client whose one font has letters for Europe and the Near East, and none for the Far East.
fn one_font() -> Option<TempDir> {
    let found = Command::new("fc-match").args(["-f", "%{family[0]}:%{file}", "DejaVu Sans"]).output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let Some(file) = found.strip_prefix("DejaVu Sans:") else {
        eprintln!("skipped: the font DejaVu Sans is needed");
        return None;
    };
    let dir = TempDir::new().unwrap();
    let fonts = dir.path().join("fonts");
    std::fs::create_dir(&fonts).unwrap();
    std::fs::copy(file, fonts.join("DejaVuSans.ttf")).unwrap();
    let (fonts, cache) = (fonts.display(), dir.path().join("cache"));
    let config = format!("<fontconfig><dir>{fonts}</dir><cachedir>{}</cachedir></fontconfig>", cache.display());
    std::fs::write(dir.path().join("fonts.conf"), config).unwrap();
    Some(dir)
}

#[test]
fn a_language_that_no_font_draws_is_not_offered_but_spoken_where_it_is_configured() {
    let dir = TempDir::new().unwrap();
    let (Some(_), Some(fonts)) = (catalogues(dir.path()), one_font()) else { return };
    let Some(screen) = Screen::new("1024x768") else { return };
    let run = |scenario: &str, spoken: &str| {
        let theme = shipped("default");
        let args = ["--preview", &theme, "--scenario", scenario, "--texts", "--language", spoken];
        let mut command = screen.command(&args);
        command.env("LDM_LOCALEDIR", dir.path()).env("FONTCONFIG_FILE", fonts.path().join("fonts.conf"));
        finish(command)
    };
    let count = |said: &Said, name: &str| {
        said.out.lines().filter(|line| line.contains("#language-list") && line.ends_with(name)).count()
    };
    let left = "not offered, because no font here draws their names: ";
    for (spoken, named, told) in [("en", 0, format!("{left}ja, zh_CN (")), ("ja", 1, format!("{left}zh_CN ("))] {
        let said = run("menu-language", spoken);
        let has = ["Deutsch", "Ελληνικά", "日本語", "简体中文"].map(|name| count(&said, name));
        assert_eq!(has, [1, 1, named, 0], "{said:?}");
        assert_eq!(said.log.matches(&told).count(), 1, "{said:?}");
        assert_eq!(said.log.matches("no font here draws the language in use, “ja”").count(), named, "{said:?}");
    }
    // The server may have the fonts for what its sessions speak.
    let said = run("menu-language-session", "en");
    assert_eq!(["Français", "日本語", "ja_JP.UTF-8"].map(|name| count(&said, name)), [1, 0, 1], "{said:?}");
}
