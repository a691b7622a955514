//! What must hold for any `.desktop` file that `ldm-server-helper` finds.
//!
//! Shared by the fuzz targets and by `ldm-server-helper/tests/fuzz_smoke.rs`.

use ldm_server_helper::desktop_entry::{DesktopEntry, SessionFile};
use ldm_server_helper::menu_entry::rewrite;

/// The name of a target, which is also that of its seeds' folder, and its check.
pub type Check = (&'static str, fn(&[u8]));

/// Every check here.
pub const ALL: &[Check] = &[("desktop_entry", desktop_entry)];

/// What is taken for a session can be named and started; what is taken for an entry of the menu starts nothing on the server.
pub fn desktop_entry(data: &[u8]) {
    if let Some(entry) = rewrite(&String::from_utf8_lossy(data)) {
        let entry = DesktopEntry::parse(entry.as_bytes()).expect("an entry stays one");
        assert!(entry.is_true("X-LDM-Local"));
        if !entry.is_true("X-LTSP-NoChange") {
            assert!(entry.string("Exec").is_some_and(|exec| exec.starts_with("ltsp-localapps ")));
            assert!(entry.string("DBusActivatable").is_none() && !entry.is_true("Terminal"));
        }
    }
    if let Some(entry) = DesktopEntry::parse(data) {
        for list in [entry.list("DesktopNames"), entry.list("Name")] {
            assert!(list.iter().all(|item| item.len() <= data.len()));
        }
    }
    for locale in [None, Some("de_AT.UTF-8"), Some("sr_YU@Latn"), Some("_"), Some("@.")] {
        let Some(SessionFile::Session(keys)) = SessionFile::parse(data, locale) else { continue };
        assert!(!keys.name.trim().is_empty());
        assert!(!keys.command.program().is_empty() && !keys.command.program().starts_with('-'));
        assert!(!keys.command.text().is_empty() && !keys.command.text().contains(char::is_control));
        assert!(keys.desktop_names.iter().all(|name| !name.contains(|c: char| c == ':' || c.is_control())));
    }
}
