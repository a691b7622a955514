//! A theme is data: it runs nothing, opens no connection and reads nothing outside of its folder; a broken one is replaced.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::Instant;

use super::*;

/// A PNG of one white pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 0,
    0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0xf8, 0x0f, 0x00, 0x01,
    0x01, 0x01, 0x00, 0x1b, 0xb6, 0xee, 0x56, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

/// A PNG's beginning that promises this many pixels.
fn huge(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = PIXEL.get(..16).unwrap().to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(PIXEL.get(24..).unwrap());
    bytes
}

/// Puts something into a folder.
type Make<'a> = &'a dyn Fn(&Path);

/// Whether a theme looks like the default one, and the log.
fn is_default(screen: &Screen, default: &[u8], theme: &str) -> (bool, String) {
    let (picture, log) = screen.picture(theme, &[]);
    (picture == default, log)
}

fn default(screen: &Screen) -> Vec<u8> {
    screen.picture(&shipped("default"), &[]).0
}

#[test]
fn a_hostile_theme_gets_the_default_look_and_one_line_in_the_log() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let web = format!("http://{}/x.png", listener.local_addr().unwrap());
    let css = |what: &str| format!("\n#card {{ background-image: {what}; }}\n");
    let outside = "is not the name of a file in the theme's folder";
    for (name, style, want) in [
        ("import", "@import \"/etc/passwd\";".to_owned(), format!("style.css:1: “/etc/passwd” {outside}")),
        ("import up", "@import url(../../../etc/passwd);".to_owned(), "style.css:1: “../../../etc/passwd”".to_owned()),
        ("file", css("url(file:///etc/passwd)"), "style.css:2: “file:///etc/passwd”".to_owned()),
        ("web", css(&format!("url({web})")), format!("style.css:2: “{web}” {outside}")),
        ("quoted web", css(&format!("URL( '{web}' )")), format!("style.css:2: “{web}” {outside}")),
        ("import web", format!("@import '{web}';"), format!("style.css:1: “{web}” {outside}")),
        ("resource", css("url(resource:///org/gtk/libgtk/x.png)"), format!("x.png” {outside}")),
        ("data", css("url(data:image/png;base64,AAAA)"), outside.to_owned()),
        ("escape", css(&format!("u\\72l({web})")), "style.css:2: a backslash".to_owned()),
        ("escape inside", css("url(\"\\2e\\2e/x.png\")"), "style.css:2: a backslash".to_owned()),
        ("icon", css("-gtk-icontheme('x')"), "style.css:2: an icon that is not of this theme".to_owned()),
        ("missing", css("url(no.png)"), "style.css:2: there is no “no.png”".to_owned()),
        ("broken", "\n#card { colour: red; }".to_owned(), "style.css:2: ".to_owned()),
        ("not CSS", "}{ \u{1}".to_owned(), "style.css:1: ".to_owned()),
        ("large", "/**/".repeat(100_000), "style.css: larger than 256 KiB".to_owned()),
        (
            "shadow",
            "\n#card { box-shadow: 0 0 5000px 5000px red; }\nlabel { text-shadow: 0 0 3000px red; }".to_owned(),
            "style.css:2: more than 100px in a shadow".to_owned(),
        ),
        ("selectors", "#card { color: red; }\n".repeat(1000), "style.css:501: more than 500 selectors".to_owned()),
        ("blur", "window { filter: blur(2000px); }".to_owned(), "style.css:1: filters are not allowed".to_owned()),
        ("letters", "\n* { font-size: 100000px; }".to_owned(), "style.css:2: letters of more than 200px".to_owned()),
    ] {
        let dir = folder(&[("theme.ini", b"[Theme]\n"), ("style.css", style.as_bytes())]);
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        assert!(lines.len() == 1 && log.contains(&want), "{name}: {log}");
    }
    assert!(listener.accept().is_err(), "the greeter opened a connection");
}

#[test]
fn a_hostile_manifest_or_picture_gets_the_default_look_and_one_line_in_the_log() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    for (name, ini, picture, want) in [
        ("broken ini", "[Theme]\nbackground", PIXEL.to_vec(), "theme.ini:2: expected"),
        ("program", "exec = /bin/sh", PIXEL.to_vec(), "theme.ini:1: unknown key “exec”"),
        ("outside", "background = /etc/passwd", PIXEL.to_vec(), "theme.ini:1: “/etc/passwd” is not the name"),
        ("scheme", "background = http:x", PIXEL.to_vec(), "theme.ini:1: “http:x” is not the name"),
        ("huge", "background = p.png", huge(60_000, 60_000), "p.png: 60000×60000 pixels are too many"),
        ("no picture", "background = p.png", b"#!/bin/sh\n".to_vec(), "p.png: neither PNG, JPEG nor SVG"),
        ("empty", "logo = p.png", Vec::new(), "p.png: neither PNG, JPEG nor SVG"),
        // What begins well is found out when it is decoded: that picture alone is replaced.
        ("cut", "background = p.png", huge(100, 100), "p.png: "),
        ("missing", "background = q.png", Vec::new(), "theme.ini:1: there is no “q.png”"),
    ] {
        let dir = folder(&[("theme.ini", ini.as_bytes()), ("p.png", &picture)]);
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        assert!(lines.len() == 1 && log.contains(want), "{name}: {log}");
    }
}

#[test]
fn links_out_of_the_folder_and_special_files_are_not_opened() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    let secret = folder(&[("secret.png", PIXEL), ("secret.css", b"* { color: red; }")]);
    let fifo = |at: &Path| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let link = |to: &str| {
        let to = secret.path().join(to);
        move |at: &Path| symlink(&to, at).unwrap()
    };
    let special: [(&str, Make, &str); 5] = [
        ("p.png", &link("secret.png"), "leads out of the theme's folder"),
        ("style.css", &link("secret.css"), "leads out of the theme's folder"),
        ("p.png", &fifo, "not a regular file"),
        ("style.css", &fifo, "not a regular file"),
        ("p.png", &|at| symlink("/dev/zero", at).unwrap(), "leads out of the theme's folder"),
    ];
    for (name, make, want) in special {
        let dir = folder(&[("theme.ini", b"background = p.png\n"), ("p.png", PIXEL)]);
        let _ = std::fs::remove_file(dir.path().join(name));
        make(&dir.path().join(name));
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        assert!(log.contains(name) && log.contains(want), "{name}: {log}");
    }
    let fifo_manifest = TempDir::new().unwrap();
    fifo(&fifo_manifest.path().join("theme.ini"));
    let (same, log) = is_default(&screen, &default, path(&fifo_manifest));
    assert!(same && log.contains("theme.ini: not a regular file"), "{log}");
}

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='1024' height='768'>";

#[test]
fn a_theme_that_shows_nothing_gets_the_default_look_and_fails_its_check() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    for (name, style, want) in [
        ("opacity", "* { opacity: 0; }", "#entry is not seen: its opacity is 0.00"),
        ("nearly", "#dialog { opacity: 0.1; }", "#entry is not seen: its opacity is 0.10"),
        ("no letters", "* { opacity: 0; font-size: 0; }", "#entry has letters of 0 pixels"),
        ("letters", "* { font-size: 300%; }", "#entry "),
        ("size", "#card { transform: scale(0.01); }", "#entry measures "),
        ("large", "* { min-width: 9999px; min-height: 9999px; }", "the window needs "),
        ("outside", "#card { min-width: 1100px; }", "is outside of the "),
        ("colour", "* { color: transparent; }", "#entry is not seen: its opacity is 0.00"),
    ] {
        let dir = folder(&[("theme.ini", b"[Theme]\nbackground =\nlayout = left\n"), ("style.css", style.as_bytes())]);
        let began = Instant::now();
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        assert!(lines.len() == 1 && log.contains("style.css: ") && log.contains(want), "{name}: {log}");
        let said = screen.run(&["--check-theme", path(&dir)]);
        assert!(!said.good && said.out.contains("style.css: ") && said.out.contains(want), "{name}: {said:?}");
        assert!(began.elapsed() < Duration::from_mins(1), "{name}: {:?}", began.elapsed());
    }
    memory_is_bounded();
}

#[test]
fn an_opacity_counts_once_where_its_widget_is_all_that_is_drawn() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let style = b"#bar, #hint, #tools { opacity: 0; }\n#dialog { opacity: 0.3; }\n";
    let (_, log) =
        screen.picture(path(&folder(&[("theme.ini", b"[Theme]\nbackground =\n"), ("style.css", style)])), &[]);
    assert_eq!(log, "");
}

/// What a process that was waited for has had in memory at most, with those that it waited for: nothing of this is worth more.
fn memory_is_bounded() {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    assert!(usage.max_rss() < 600 * 1024, "{} KiB", usage.max_rss());
}

#[test]
fn pictures_of_a_sheet_are_bounded_together() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    let large = huge(4_000, 4_000);
    let huge_drawing = format!("{}</svg>", SVG.replace("1024", "30000").replace("768", "30000"));
    let laughs = |next: &str| format!("@import \"{next}\";\n@import \"{next}\";\n");
    for (name, style, want) in [
        (
            "drawing",
            "\n#card { background-image: url(\"x.svg\"); }".to_owned(),
            "style.css:2: “x.svg”: SVG is not read here",
        ),
        (
            "together",
            "#a { background-image: url(x.png),\nurl(x.png); }".to_owned(),
            "style.css:2: “x.png”: with it, the pictures",
        ),
        ("laughs", laughs("a.css"), "style.css:2: “a.css” is imported more than once"),
        ("itself", "@import \"style.css\";".to_owned(), "style.css:1: “style.css” is imported more than once"),
    ] {
        let a = laughs("b.css");
        let dir = folder(&[
            ("theme.ini", b"[Theme]\n"),
            ("style.css", style.as_bytes()),
            ("a.css", a.as_bytes()),
            ("b.css", b"#card { color: red; }\n"),
            ("x.png", &large),
            ("x.svg", huge_drawing.as_bytes()),
        ]);
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        assert!(lines.len() == 1 && log.contains(want), "{name}: {log}");
    }
    memory_is_bounded();
}

#[test]
fn drawings_end_in_time_and_within_memory() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    let clouds = "<feTurbulence baseFrequency='0.5' numOctaves='10'/>".repeat(8);
    let slow = format!(
        "{SVG}<filter id='f' x='0' y='0' width='1' height='1'>{clouds}</filter>{}</svg>",
        "<rect width='1024' height='768' filter='url(#f)'/>".repeat(30)
    );
    let open = "<g opacity='0.99'>".repeat(240);
    let layers = format!("{SVG}{open}<rect width='1024' height='768'/>{}</svg>", "</g>".repeat(240));
    for (name, drawing, want) in [
        ("slow", slow, "p.svg: it takes more than 5 s to draw"),
        ("layers", layers, "p.svg: "),
        ("broken", format!("{SVG}<rect"), "p.svg: XML parse error"),
    ] {
        let dir = folder(&[("theme.ini", b"background = p.svg\n"), ("p.svg", drawing.as_bytes())]);
        let began = Instant::now();
        let (same, log) = is_default(&screen, &default, path(&dir));
        assert!(same, "{name}: another look; {log}");
        assert!(began.elapsed() < Duration::from_secs(30), "{name}: {:?}", began.elapsed());
        let lines: Vec<_> = log.lines().filter(|line| line.contains("theme")).collect();
        // Where there is no librsvg, that is what is wrong with all of them.
        let want = if log.contains("librsvg2-common") { "p.svg: " } else { want };
        assert!(lines.len() == 1 && log.contains(want), "{name}: {log}");
    }
    memory_is_bounded();
}

#[test]
fn no_theme_of_that_name_is_no_blank_screen() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let default = default(&screen);
    for theme in ["no-such-theme", "../default", "/no/such/folder"] {
        let (same, log) = is_default(&screen, &default, theme);
        assert!(same && log.contains(&format!("there is no theme “{theme}”")), "{log}");
    }
}

/// What GTK must not read is not read by the checker either, and each mistake is told with its place.
#[test]
fn what_an_author_gets_wrong_is_told_with_its_place() {
    let Some(screen) = Screen::new("1024x768") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let web = format!("http://{}/x.css", listener.local_addr().unwrap());
    let import = format!("@import url({web});\n#card {{ background: url(/etc/passwd); }}\n");
    let web = format!("style.css:1: “{web}” is not the name");
    let pipe = TempDir::new().unwrap();
    let pipe = pipe.path().join("waits.css");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let outside = format!("\n@import \"{}\";", pipe.display());
    let cases: [(&str, &str, &[&str]); 9] = [
        ("background = P.PNG", "", &["theme.ini:1: there is no “P.PNG” (perhaps p.png?)"]),
        ("", "#card { background: url(P.png); }", &["style.css:1: there is no “P.png” (perhaps p.png?)"]),
        ("logo = huge.png", "", &["huge.png: 9000×4000 pixels are too many: at most 24 million, and 16384 on an edge"]),
        ("logo = bitmap.png", "", &["bitmap.png: neither PNG, JPEG nor SVG"]),
        (
            "bar = down\nname: x",
            "",
            &["theme.ini:1: “down” is none of: top, bottom", "theme.ini:2: expected “key = value”"],
        ),
        ("", "\n#card { colour: red; }\n#card { color: rde; }", &["style.css:2: ", "style.css:3: ", ": 2 mistakes"]),
        (
            "",
            "#card {\n  color: red;\n#title { color: blue; }",
            &["style.css:1: a “{” without its “}”", ": 1 mistake\n"],
        ),
        ("", &import, &[&web, "style.css:2: “/etc/passwd” is not the name"]),
        ("", &outside, &["style.css:2: “/", "waits.css” is not the name of a file in the theme's folder"]),
    ];
    for (ini, css, wanted) in cases {
        let files = [("theme.ini", ini.as_bytes()), ("style.css", css.as_bytes()), ("p.png", PIXEL)];
        let dir = folder(&files);
        std::fs::write(dir.path().join("huge.png"), huge(9000, 4000)).unwrap();
        std::fs::write(dir.path().join("bitmap.png"), b"BM\0\0").unwrap();
        let said = screen.run(&["--check-theme", path(&dir)]);
        assert!(!said.good && wanted.iter().all(|want| said.out.contains(want)), "{wanted:?}: {said:?}");
    }
    assert!(listener.accept().is_err(), "the checker opened a connection");
}
