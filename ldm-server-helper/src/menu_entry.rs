//! How an entry of the client's menu reads in the session's: it starts its program on the client, and says that it does. Pure.
//!
//! Desktop Entry Specification 1.5. Lines are told apart as GLib does it, which most menus are made with.

use ldm_protocol::desktop_entry::{self, DesktopEntry};
use ldm_protocol::services::icon_name;

/// What starts a program on the client.
const START: &str = "ltsp-localapps";
/// The same in a terminal there (Debian's alternative): one of the server would show the wrong machine.
const START_IN_TERMINAL: &str = "ltsp-localapps x-terminal-emulator -e";
/// Marks the name.
const MARK: &str = " (local)";

/// The entry that opens web addresses on the client.
pub const OPEN_ENTRY: &str = "[Desktop Entry]\nType=Application\nName=Open on this computer\nExec=ltsp-open %u\n\
    NoDisplay=true\nMimeType=x-scheme-handler/http;x-scheme-handler/https;\nX-LDM-Local=true\n";

/// Makes `ltsp-open.desktop` the default (Association between MIME types and applications, "Default Application").
pub const OPEN_DEFAULTS: &str = "[Default Applications]\nx-scheme-handler/http=ltsp-open.desktop;\n\
    x-scheme-handler/https=ltsp-open.desktop;\n[Added Associations]\nx-scheme-handler/http=ltsp-open.desktop;\n\
    x-scheme-handler/https=ltsp-open.desktop;\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Main,
    Action,
    Other,
}

/// The entry for the session; `None` when there is nothing in it that could be started.
///
/// With `X-LTSP-NoChange` only the icon's name is changed: whoever wrote that line has written a command for the server.
pub fn rewrite(text: &str) -> Option<String> {
    let entry = DesktopEntry::parse(text.as_bytes())?;
    let words = desktop_entry::words(&entry.string("Exec")?)?;
    if words.first().is_none_or(|program| program.is_empty() || program.starts_with('-')) {
        return None;
    }
    let keep = entry.is_true("X-LTSP-NoChange");
    let start = if entry.is_true("Terminal") { START_IN_TERMINAL } else { START };
    let mut out = String::with_capacity(text.len() + 256);
    let mut group = Group::Other;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            group = match name.strip_suffix(']') {
                Some("Desktop Entry") => Group::Main,
                Some(name) if name.starts_with("Desktop Action ") => Group::Action,
                _ => Group::Other,
            };
            push(&mut out, &[line]);
            if group == Group::Main {
                push(&mut out, &["X-LDM-Local=true"]);
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let (key, value) = (key.trim_end(), value.trim_start());
        let name = key.split_once('[').map_or(key, |(name, _)| name);
        match (group, name) {
            (Group::Main | Group::Action, "Icon") => {
                if let Some(icon) = icon_name(value) {
                    push(&mut out, &[key, "=", &icon]);
                }
            }
            (Group::Main, "X-LDM-Local") => {}
            _ if keep => push(&mut out, &[line]),
            (Group::Main | Group::Action, "Exec") => push(&mut out, &[key, "=", start, " ", value]),
            (Group::Main, "Name") => push(&mut out, &[key, "=", value, MARK]),
            (Group::Main, "TryExec") => push(&mut out, &[key, "=", START]),
            (Group::Main, "Terminal") => push(&mut out, &[key, "=false"]),
            // A service on the session's bus is one of the server; a directory is one of the client.
            (Group::Main, "DBusActivatable" | "Path") => {}
            _ => push(&mut out, &[line]),
        }
    }
    Some(out)
}

fn push(out: &mut String, line: &[&str]) {
    out.extend(line.iter().copied());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_with_actions_and_languages() {
        let text = "\u{feff}# comment\n\n[Desktop Entry]\r\nVersion=1.0\nName=Firefox ESR\nName[de]=Firefox\nGenericName=Web Browser\n\
            Exec=/usr/lib/firefox-esr/firefox-esr %u\nTryExec=firefox-esr\nTerminal=false\nX-MultipleArgs=false\nType=Application\n\
            Icon=firefox-esr\nPath=/opt/x\nDBusActivatable=true\nCategories=Network;WebBrowser;\n\
            MimeType=text/html;x-scheme-handler/http;\nStartupNotify=true\nActions=new-private-window;\n\n\
            [Desktop Action new-private-window]\nName=New Private Window\nName[de]=Neues privates Fenster\n\
            Exec = /usr/lib/firefox-esr/firefox-esr \"--private window\" %u\nIcon=/usr/share/pixmaps/private.png\n\n[X-Other]\nExec=kept\n";
        let want = "[Desktop Entry]\nX-LDM-Local=true\nVersion=1.0\nName=Firefox ESR (local)\nName[de]=Firefox (local)\n\
            GenericName=Web Browser\nExec=ltsp-localapps /usr/lib/firefox-esr/firefox-esr %u\nTryExec=ltsp-localapps\n\
            Terminal=false\nX-MultipleArgs=false\nType=Application\nIcon=firefox-esr\nCategories=Network;WebBrowser;\n\
            MimeType=text/html;x-scheme-handler/http;\nStartupNotify=true\nActions=new-private-window;\n\
            [Desktop Action new-private-window]\nName=New Private Window\nName[de]=Neues privates Fenster\n\
            Exec=ltsp-localapps /usr/lib/firefox-esr/firefox-esr \"--private window\" %u\nIcon=usr-share-pixmaps-private\n\
            [X-Other]\nExec=kept\n";
        assert_eq!(rewrite(text).unwrap(), want);
    }

    #[test]
    fn a_terminal_program_gets_its_terminal_on_the_client() {
        let text = "[Desktop Entry]\nName=Vim\nTerminal=true\nExec=vim %F\nActions=x;\n[Desktop Action x]\nExec=vim -R";
        let want = "[Desktop Entry]\nX-LDM-Local=true\nName=Vim (local)\nTerminal=false\n\
            Exec=ltsp-localapps x-terminal-emulator -e vim %F\nActions=x;\n\
            [Desktop Action x]\nExec=ltsp-localapps x-terminal-emulator -e vim -R\n";
        assert_eq!(rewrite(text).unwrap(), want);
    }

    #[test]
    fn quoting_is_left_as_it_is() {
        for exec in [
            r#"sh -c "echo \\"\\$HOME\\" > /tmp/x" %U"#,
            r"env A=1 'b c' %%",
            r#""/opt/My App/app" --name=%c %i %k"#,
            r"x \s \\\\ %f",
        ] {
            let text = rewrite(&format!("[Desktop Entry]\nExec={exec}\n")).unwrap();
            assert!(text.contains(&format!("\nExec=ltsp-localapps {exec}\n")), "{text}");
            let words = |text: &str| {
                desktop_entry::words(&DesktopEntry::parse(text.as_bytes()).unwrap().string("Exec").unwrap()).unwrap()
            };
            let plain = words(&format!("[Desktop Entry]\nExec={exec}"));
            assert_eq!(words(&text)[1..], plain, "the words are the same");
        }
    }

    #[test]
    fn whoever_asks_for_no_change_gets_none() {
        for value in ["1", "true"] {
            let body =
                format!("Name=X\nExec=server-thing %u\nTryExec=server-thing\nTerminal=true\nX-LTSP-NoChange={value}\n");
            let text = format!("[Desktop Entry]\n{body}X-LDM-Local=false\n");
            assert_eq!(rewrite(&text).unwrap(), format!("[Desktop Entry]\nX-LDM-Local=true\n{body}"));
        }
        assert!(rewrite("[Desktop Entry]\nExec=x\nX-LTSP-NoChange=false").unwrap().contains("Exec=ltsp-localapps x"));
    }

    #[test]
    fn tricks_do_not_get_past() {
        // GLib takes the last of a key and merges groups of one name; each of them is changed.
        let text =
            "[Desktop Entry]\nExec=a\n  Exec = b\n[Other]\n[Desktop Entry]\nExec=c\n\tExec=d\nDBusActivatable=true\n";
        let out = rewrite(text).unwrap();
        assert_eq!(out.lines().filter(|l| l.starts_with("Exec=ltsp-localapps ")).count(), 4, "{out}");
        assert!(!out.contains("DBusActivatable"), "{out}");
        for nothing in [
            "",
            "Exec=x",
            "[Desktop Entry]\nName=x",
            "[Desktop Entry]\nExec=",
            "[Desktop Entry]\nExec=%U",
            "[Desktop Entry]\nExec=\"x",
            "[Desktop Entry]\nExec=--wait x",
            "[Desktop Entry]\nExec=\"\" x",
        ] {
            assert_eq!(rewrite(nothing), None, "{nothing}");
        }
        let out = rewrite("[Desktop Entry]\nExec=x\nIcon=../../x\nIcon[de]=a/b").unwrap();
        assert!(!out.contains("Icon"), "{out}");
    }

    #[test]
    fn what_this_system_has_survives_it() {
        let Ok(files) = std::fs::read_dir("/usr/share/applications") else { return };
        for file in files.flatten().filter(|f| f.path().extension().is_some_and(|e| e == "desktop")) {
            let bytes = std::fs::read(file.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let Some(out) = rewrite(&text) else { continue };
            let (old, new) =
                (DesktopEntry::parse(text.as_bytes()).unwrap(), DesktopEntry::parse(out.as_bytes()).unwrap());
            assert!(new.string("Exec").unwrap().ends_with(&old.string("Exec").unwrap()), "{:?}", file.path());
            assert_eq!(new.list("Categories"), old.list("Categories"), "{:?}", file.path());
        }
    }
}
