//! Session worker → `ldm-server-helper`, beside a session that runs: the menu of the client's programs (`menu`), and programs
//! on the server that the client asks for (`remoteapp`). One JSON object a line, on an SSH exec channel.

use serde::{Deserialize, Serialize};

use crate::apps::Program;
use crate::limits;

/// Input of `ldm-server-helper menu DIRECTORY`, one a line up to the end of input; answered with one [`MenuWritten`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MenuItem {
    /// A `.desktop` file of the client, as it is there.
    Entry {
        /// Its desktop file id with `.desktop` ([`is_file_name`]).
        entry: String,
        /// All of it, at most [`limits::MENU_ENTRY`] bytes.
        text: String,
    },
    /// An icon that an entry names.
    Icon {
        /// [`icon_name`] with `.png`, `.svg` or `.xpm` ([`is_file_name`]).
        icon: String,
        /// All of it, at most [`limits::MENU_ICON`] bytes.
        base64: String,
    },
    /// Whether the session's web addresses are opened on the client.
    Open {
        /// `ltsp-open` becomes what opens them.
        open: bool,
    },
}

/// Longest line of [`MenuItem`]s: an icon in base64, or an entry whose characters are all escaped.
pub const MENU_LINE: usize = 2 * limits::MENU_ICON;

/// Answer to the items of a menu.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuWritten {
    /// Entries that the session can see now.
    pub entries: usize,
    /// Icons.
    pub icons: usize,
    /// Items that were refused: a bad name, or over a limit.
    #[serde(default)]
    pub refused: usize,
}

/// Input of `ldm-server-helper remoteapp`; answered with [`crate::apps::Event`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRequest {
    /// The session's directory, as [`crate::helper::SessionEvent::Started`] told it.
    pub directory: String,
    /// What to start in that session.
    pub program: Program,
}

/// Longest name of a file of the menu: `NAME_MAX` (255), less what a temporary name needs.
const FILE_NAME: usize = 200;

/// Whether `name` can be a file of the menu: not empty, bounded, no `/`, no control characters, no leading `-` or `.`.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= FILE_NAME
        && !name.starts_with(['-', '.'])
        && !name.contains(|c: char| c == '/' || c.is_control())
}

/// Kinds of icons, with their dots (Icon Theme Specification, "Icon Lookup").
pub const ICON_KINDS: [&str; 3] = [".png", ".svg", ".xpm"];

/// The name under which a menu's icon is known to the session, for the value of an entry's `Icon`: a name stays what it is,
/// without the ending that old entries have; a path of the client becomes a name.
pub fn icon_name(icon: &str) -> Option<String> {
    let stem = ICON_KINDS.iter().find_map(|kind| icon.strip_suffix(kind)).unwrap_or(icon);
    let name = match stem.strip_prefix('/') {
        Some(path) => path.replace('/', "-"),
        None => stem.to_owned(),
    };
    // Room for the ending.
    (is_file_name(&name) && name.len() <= FILE_NAME - 4).then_some(name)
}

/// Whether a word may be handed to what opens things: an absolute path, or an address with its scheme (RFC 3986 section 3.1)
/// and neither blanks nor control characters in it. So it can be no option.
pub fn is_openable(word: &[u8]) -> bool {
    word.len() <= limits::APP_BYTES && (word.starts_with(b"/") && !word.contains(&0) || is_address(word))
}

/// Whether a word is an address; see [`is_openable`].
pub fn is_address(word: &[u8]) -> bool {
    let Some(colon) = word.iter().position(|&b| b == b':') else { return false };
    let (scheme, rest) = word.split_at(colon);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && rest.len() > 1
        && rest.iter().all(|&b| b > b' ' && b != 0x7f)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_by_their_fields() {
        let entry = MenuItem::Entry { entry: "a.desktop".into(), text: "x\ny".into() };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(line, r#"{"entry":"a.desktop","text":"x\ny"}"#);
        assert_eq!(serde_json::from_str::<MenuItem>(&line).unwrap(), entry);
        let open: MenuItem = serde_json::from_str(r#"{"open":true}"#).unwrap();
        assert_eq!(open, MenuItem::Open { open: true });
        assert!(serde_json::from_str::<MenuItem>(r#"{"entry":"a.desktop"}"#).is_err());
        // The longest of both fit into a line.
        let text = "\u{1}".repeat(limits::MENU_ENTRY);
        assert!(serde_json::to_string(&MenuItem::Entry { entry: "a".into(), text }).unwrap().len() < MENU_LINE);
        const { assert!(limits::MENU_ICON / 3 * 4 + 1000 < MENU_LINE) };
    }

    #[test]
    fn names_of_files_and_icons() {
        for bad in ["", ".", "..", ".x", "-x", "a/b", "/a", "a\0b", "a\nb", &"x".repeat(201)] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
        assert!(is_file_name("org.example.Ä b.desktop"));
        for (icon, want) in [
            ("firefox", Some("firefox")),
            ("firefox.png", Some("firefox")),
            ("org.gnome.Maps", Some("org.gnome.Maps")),
            ("/usr/share/pixmaps/x.xpm", Some("usr-share-pixmaps-x")),
            ("/opt/a/icon.svg", Some("opt-a-icon")),
            ("a/b", None),
            ("../x", None),
            ("", None),
            ("/", None),
            (".png", None),
        ] {
            assert_eq!(icon_name(icon).as_deref(), want, "{icon}");
        }
        assert_eq!(icon_name(&"x".repeat(197)), None);
    }

    #[test]
    fn what_can_be_opened() {
        for good in ["/", "/home/u/a b.pdf", "/-x", "http://x/?a=b&c=$(d)", "mailto:a@b", "https://ä.example/"] {
            assert!(is_openable(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--help",
            "x",
            "x.pdf",
            "./x",
            "~/x",
            ":",
            "http:",
            "1http://x",
            "-h://x",
            "http://a b",
            "a:\nb",
            "/\0",
        ] {
            assert!(!is_openable(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_openable(b"/\xff"));
        assert!(!is_openable(&vec![b'/'; limits::APP_BYTES + 1]));
    }
}
