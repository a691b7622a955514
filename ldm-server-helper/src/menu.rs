//! `menu DIRECTORY`: puts the entries and icons that the client sends into the directory of a session that runs, which has
//! `share` in it before all else in its `XDG_DATA_DIRS`. They go with the session's directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ldm_protocol::limits;
use ldm_protocol::services::{ICON_KINDS, MENU_LINE, MenuItem, MenuWritten, is_file_name};

use crate::menu_entry;
use crate::session_directory::SessionDirectory;

/// Icons of one menu: an entry names one, and its actions some.
const ICONS: usize = 2 * limits::MENU_ENTRIES;

/// Our own entry.
const OPEN: &str = "ltsp-open.desktop";

/// Why there is no menu, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum MenuError {
    /// More came than a menu may hold. The client is defective.
    #[error("the menu is larger than {} bytes", limits::MENU)]
    TooLarge,
    /// A file cannot be written: the disk is full, or the session has just ended.
    #[error("{}: {error}", path.display())]
    Write {
        /// Below the session's directory.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The items cannot be read.
    #[error("the menu's items cannot be read: {0}")]
    Read(#[source] io::Error),
}

/// Takes items up to the end of `input`.
///
/// # Errors
/// [`MenuError`]; what was written before stays and is whole.
pub fn receive(directory: &SessionDirectory, mut input: impl BufRead) -> Result<MenuWritten, MenuError> {
    let mut menu = Menu { share: directory.path().join("share"), written: MenuWritten::default(), bytes: 0 };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(MENU_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(MenuError::Read)?;
        if read == 0 {
            return Ok(menu.written);
        }
        menu.bytes += read;
        // Base64 and escapes make it longer than what they stand for.
        if read > MENU_LINE || menu.bytes > 2 * limits::MENU {
            return Err(MenuError::TooLarge);
        }
        let taken = match serde_json::from_slice(&line) {
            Ok(MenuItem::Entry { entry, text }) => menu.entry(&entry, &text)?,
            Ok(MenuItem::Icon { icon, base64 }) => menu.icon(&icon, &base64)?,
            Ok(MenuItem::Open { open }) => menu.open(open)?,
            Err(_) => false,
        };
        menu.written.refused += usize::from(!taken);
    }
}

struct Menu {
    share: PathBuf,
    written: MenuWritten,
    bytes: usize,
}

impl Menu {
    /// Whether it was taken.
    fn entry(&mut self, name: &str, text: &str) -> Result<bool, MenuError> {
        let fits = self.written.entries < limits::MENU_ENTRIES && text.len() <= limits::MENU_ENTRY;
        if !fits || !is_file_name(name) || !name.ends_with(".desktop") || name == OPEN {
            return Ok(false);
        }
        let Some(text) = menu_entry::rewrite(text) else { return Ok(false) };
        self.write("applications", name, text.as_bytes())?;
        self.written.entries += 1;
        Ok(true)
    }

    fn icon(&mut self, name: &str, base64: &str) -> Result<bool, MenuError> {
        let kind = ICON_KINDS.iter().find(|kind| name.len() > kind.len() && name.ends_with(**kind));
        let (Some(kind), true) = (kind, self.written.icons < ICONS && is_file_name(name)) else { return Ok(false) };
        let Some(bytes) = STANDARD.decode(base64).ok().filter(|bytes| bytes.len() <= limits::MENU_ICON) else {
            return Ok(false);
        };
        // The theme's own index, on the server, knows both folders.
        let size = if *kind == ".svg" { "scalable" } else { "48x48" };
        self.write(&format!("icons/hicolor/{size}/apps"), name, &bytes)?;
        self.written.icons += 1;
        Ok(true)
    }

    fn open(&mut self, open: bool) -> Result<bool, MenuError> {
        if open {
            self.write("applications", OPEN, menu_entry::OPEN_ENTRY.as_bytes())?;
            self.write("applications", "mimeapps.list", menu_entry::OPEN_DEFAULTS.as_bytes())?;
        }
        Ok(true)
    }

    /// All of it or nothing: menus look at each file as soon as it is there.
    fn write(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), MenuError> {
        let folder = self.share.join(folder);
        let path = folder.join(name);
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let new = folder.join(format!(".new-{name}"));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(bytes).and_then(|()| fs::rename(&new, &path)).inspect_err(|_| drop(fs::remove_file(&new)))
        };
        write().map_err(|error| MenuError::Write { path: relative(&path), error })
    }
}

/// The path below the session's directory, whose name says nothing.
fn relative(path: &Path) -> PathBuf {
    let share = path.components().rev().position(|part| part.as_os_str() == "share").unwrap_or_default();
    path.components().skip(path.components().count() - share - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_directory::tests::directory;
    use std::os::unix::fs::PermissionsExt;

    fn send(items: &[MenuItem]) -> (tempfile::TempDir, Result<MenuWritten, MenuError>) {
        let (root, session) = directory();
        let lines: Vec<String> = items.iter().map(|item| serde_json::to_string(item).unwrap() + "\n").collect();
        let result = receive(&session, lines.concat().as_bytes());
        (root, result)
    }

    fn entry(name: &str) -> MenuItem {
        MenuItem::Entry { entry: name.into(), text: "[Desktop Entry]\nName=X\nExec=x %U\n".into() }
    }

    fn icon(name: &str, bytes: &[u8]) -> MenuItem {
        MenuItem::Icon { icon: name.into(), base64: STANDARD.encode(bytes) }
    }

    fn files(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for file in dir.read_dir().into_iter().flatten().flatten() {
            if file.path().is_dir() {
                found.extend(files(&file.path()));
            } else {
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
                found.push(file.path().to_str().unwrap().to_owned());
            }
        }
        found.sort();
        found
    }

    fn names(root: &tempfile::TempDir) -> Vec<String> {
        let share = root.path().join("s/share");
        files(&share).iter().map(|f| f.strip_prefix(share.to_str().unwrap()).unwrap().to_owned()).collect()
    }

    #[test]
    fn entries_and_icons_come_where_the_session_looks() {
        let (root, result) = send(&[
            MenuItem::Open { open: true },
            entry("org.x.desktop"),
            icon("x.png", b"png"),
            icon("x.svg", b"svg"),
            icon("opt-y.xpm", b""),
        ]);
        assert_eq!(result.unwrap(), MenuWritten { entries: 1, icons: 3, refused: 0 });
        assert_eq!(
            names(&root),
            [
                "/applications/ltsp-open.desktop",
                "/applications/mimeapps.list",
                "/applications/org.x.desktop",
                "/icons/hicolor/48x48/apps/opt-y.xpm",
                "/icons/hicolor/48x48/apps/x.png",
                "/icons/hicolor/scalable/apps/x.svg"
            ]
        );
        let text = fs::read_to_string(root.path().join("s/share/applications/org.x.desktop")).unwrap();
        assert_eq!(text, "[Desktop Entry]\nX-LDM-Local=true\nName=X (local)\nExec=ltsp-localapps x %U\n");
    }

    #[test]
    fn hostile_names_and_sizes_are_refused_and_the_rest_goes_on() {
        let long = format!("{}.desktop", "x".repeat(300));
        let (root, result) = send(&[
            entry("../x.desktop"),
            entry("/etc/x.desktop"),
            entry("a/b.desktop"),
            entry(".hidden.desktop"),
            entry("x.txt"),
            entry("ltsp-open.desktop"),
            entry("mimeapps.list"),
            entry("a\0.desktop"),
            entry(&long),
            MenuItem::Entry { entry: "no.desktop".into(), text: "nothing".into() },
            MenuItem::Entry { entry: "big.desktop".into(), text: "x".repeat(limits::MENU_ENTRY + 1) },
            icon("../x.png", b"x"),
            icon(".png", b"x"),
            icon("x.desktop", b"x"),
            icon("x.png/y.png", b"x"),
            icon("big.png", &vec![0; limits::MENU_ICON + 1]),
            MenuItem::Icon { icon: "bad.png".into(), base64: "!".into() },
            MenuItem::Open { open: false },
            entry("good.desktop"),
        ]);
        assert_eq!(result.unwrap(), MenuWritten { entries: 1, icons: 0, refused: 17 });
        assert_eq!(names(&root), ["/applications/good.desktop"]);
    }

    #[test]
    fn a_menu_has_an_end() {
        let (_root, session) = directory();
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(receive(&session, endless), Err(MenuError::TooLarge)));
        let endless = format!("{}\n", "x".repeat(400_000)).repeat(90);
        assert!(matches!(receive(&session, endless.as_bytes()), Err(MenuError::TooLarge)));
        let (root, result) = send(&(0..600).map(|i| entry(&format!("e{i}.desktop"))).collect::<Vec<_>>());
        assert_eq!(result.unwrap(), MenuWritten { entries: 512, icons: 0, refused: 88 });
        assert_eq!(names(&root).len(), 512);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let (root, session) = directory();
        fs::write(root.path().join("s/share"), "in the way").unwrap();
        let line = serde_json::to_string(&entry("x.desktop")).unwrap();
        let error = receive(&session, line.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("share/applications/x.desktop: "), "{error}");
    }
}
