//! Help in seeing, hearing and typing that the user has switched on at the client, for the session's programs.
//!
//! There is no one setting that all desktops understand, so each toolkit is told in its own way. Nothing is written to the
//! user's own settings: at another client they may want none of it. Sticky and slow keys need nothing here, they are in the
//! client's X server.

use std::fs;
use std::io;
use std::path::Path;

use ldm_protocol::client::Access;

use crate::account::Account;
use crate::environment::{CONFIG_DIRS, Setting};
use crate::request::note;

/// Programs that a session starts by itself, by the names under which desktops know them: the entry of the same name that a
/// desktop brings along, which starts the program only where the user's settings on the server say so, is not used then.
const PROGRAMS: [(&str, &str, &str); 2] =
    [("orca", "orca-autostart", "Screen reader"), ("onboard", "onboard-autostart", "Keyboard on the screen")];

/// The variables for it. `directory` is the session's own.
pub fn settings(access: Access, account: &Account, directory: Option<&Path>) -> Vec<Setting> {
    let mut settings = environment(access);
    let wanted = [access.screen_reader, access.keyboard];
    let programs = PROGRAMS.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(program, _)| program);
    for &(program, id, name) in programs {
        if account.find_program(program).is_none() {
            note(&format!("{program} is not installed; it was switched on at the client"));
            continue;
        }
        let Some(config) = directory.map(|directory| directory.join("config")) else { continue };
        match autostart(&config, program, id, name) {
            Ok(()) => {
                let setting = (CONFIG_DIRS, config.to_str().map(str::to_owned));
                if !settings.contains(&setting) {
                    settings.push(setting);
                }
            }
            Err(error) => note(&format!("{program} will not start with the session: {error}")),
        }
    }
    settings
}

fn environment(access: Access) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |name, value: &str| settings.push((name, Some(value.to_owned())));
    if access.screen_reader {
        // GTK offers itself to screen readers as it is. Qt 5 and 6 do where they are told to; the rest is for LibreOffice and
        // Firefox outside GNOME, and for Chromium and what is made with it.
        set("QT_ACCESSIBILITY", "1");
        set("QT_LINUX_ACCESSIBILITY_ALWAYS_ON", "1");
        set("GNOME_ACCESSIBILITY", "1");
        set("ACCESSIBILITY_ENABLED", "1");
    }
    if access.high_contrast {
        // Part of GTK 3 and 4 themselves; programs with libadwaita have a word of their own.
        set("GTK_THEME", "HighContrast");
        set("ADW_DEBUG_HIGH_CONTRAST", "1");
    }
    if access.large_text {
        // Text alone grows: with GDK_SCALE and QT_SCALE_FACTOR so would everything, beyond the edges of a small screen.
        set("GDK_DPI_SCALE", "1.5");
        set("QT_FONT_DPI", "144");
    }
    if access.large_pointer {
        set("XCURSOR_SIZE", "48");
    }
    settings
}

/// An entry of the Desktop Application Autostart Specification, which all desktops with a session manager obey.
fn autostart(config: &Path, program: &str, id: &str, name: &str) -> io::Result<()> {
    let folder = config.join("autostart");
    fs::create_dir_all(&folder)?;
    let entry = format!("[Desktop Entry]\nType=Application\nName={name}\nExec={program}\nNoDisplay=true\n");
    fs::write(folder.join(format!("{id}.desktop")), entry)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn all() -> Access {
        Access {
            screen_reader: true,
            high_contrast: true,
            large_text: true,
            large_pointer: true,
            sticky_keys: true,
            slow_keys: true,
            keyboard: true,
        }
    }

    #[test]
    fn each_wish_is_told_in_words_that_toolkits_know() {
        assert_eq!(environment(Access::default()), []);
        assert_eq!(environment(Access { sticky_keys: true, slow_keys: true, ..Access::default() }), []);
        let names: Vec<_> = environment(all()).into_iter().map(|(name, _)| name).collect();
        for name in ["QT_LINUX_ACCESSIBILITY_ALWAYS_ON", "GTK_THEME", "GDK_DPI_SCALE", "XCURSOR_SIZE"] {
            assert!(names.contains(&name), "{names:?}");
        }
    }

    #[test]
    fn programs_start_with_the_session_if_they_are_installed() {
        let root = tempfile::tempdir().unwrap();
        let (bin, directory) = (root.path().join("bin"), root.path().join("session"));
        for dir in [&bin, &directory] {
            fs::create_dir(dir).unwrap();
        }
        let account = Account { path: vec![bin.clone()], ..Account::default() };
        let config = |settings: Vec<Setting>| settings.into_iter().filter(|(name, _)| *name == CONFIG_DIRS).count();
        assert_eq!(config(settings(all(), &account, Some(&directory))), 0);
        for (program, ..) in PROGRAMS {
            fs::write(bin.join(program), "").unwrap();
            fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(config(settings(all(), &account, Some(&directory))), 1);
        let entry = fs::read_to_string(directory.join("config/autostart/orca-autostart.desktop")).unwrap();
        assert!(entry.contains("\nExec=orca\n"), "{entry}");
        assert!(directory.join("config/autostart/onboard-autostart.desktop").exists());
        assert_eq!(config(settings(Access::default(), &account, Some(&directory))), 0);
        assert_eq!(config(settings(all(), &account, None)), 0);
    }
}
