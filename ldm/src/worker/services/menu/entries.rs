//! Which `.desktop` files of this client are sent, and with which icons.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ldm_protocol::desktop_entry::{self, DesktopEntry};
use ldm_protocol::services::{MenuItem, icon_name, is_file_name};
use ldm_protocol::{limits, text};

use super::icons::Icons;
use crate::worker::protocol::Menu;

/// Files looked at; a system has some hundred.
const FILES: usize = 4096;

/// Folders in folders (Desktop Entry Specification, "Desktop File ID"); nobody goes deeper than one.
const DEPTH: usize = 3;

/// Where this client's programs and their entries are.
pub(super) struct System {
    /// Data directories, the first wins (XDG Base Directory Specification).
    data: Vec<PathBuf>,
    /// Programs that an entry names without a path.
    path: Vec<PathBuf>,
}

impl Default for System {
    fn default() -> Self {
        let all = |dirs: &[&str]| dirs.iter().map(PathBuf::from).collect();
        Self {
            data: all(&["/usr/local/share", "/usr/share"]),
            path: all(&["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/games", "/usr/games"]),
        }
    }
}

/// What there is to send for an entry.
struct Usable {
    text: String,
    /// The value of `Icon`.
    icon: Option<String>,
}

impl System {
    /// Hands over every item of the menu, an icon before the entry that shows it, until `take` wants no more.
    pub(super) fn collect(&self, menu: &Menu, mut take: impl FnMut(MenuItem) -> bool) {
        let mut found = self.find();
        if !menu.items.is_empty() {
            let mut wanted = BTreeMap::new();
            for item in &menu.items {
                let id = format!("{item}.desktop");
                match found.remove(&id) {
                    Some(path) => drop(wanted.insert(id, path)),
                    None => {
                        tracing::warn!(item, "LOCAL_APPS_MENU_ITEMS: there is no such .desktop file on this client");
                    }
                }
            }
            found = wanted;
        }
        let icons = Icons::read(&self.data);
        let (mut entries, mut bytes, mut left_out) = (0, 0, 0);
        let mut known = HashSet::new();
        for (id, path) in found {
            let usable = match self.look_at(&path) {
                Ok(usable) => usable,
                Err(why) if menu.items.is_empty() => {
                    tracing::debug!(id, "not in the menu: {why}");
                    continue;
                }
                Err(why) => {
                    tracing::warn!(id, "LOCAL_APPS_MENU_ITEMS: not in the menu: {why}");
                    continue;
                }
            };
            let icon = usable.icon.and_then(|icon| {
                let name = icon_name(&icon).filter(|name| known.insert(name.clone()))?;
                let (kind, icon) = icons.find(&icon)?;
                Some((format!("{name}{kind}"), icon))
            });
            bytes += usable.text.len() + icon.as_ref().map_or(0, |(_, icon)| icon.len());
            entries += 1;
            if entries > limits::MENU_ENTRIES || bytes > limits::MENU {
                left_out += 1;
                continue;
            }
            let icon = icon.map(|(icon, bytes)| MenuItem::Icon { icon, base64: STANDARD.encode(bytes) });
            let entry = MenuItem::Entry { entry: id, text: usable.text };
            if !icon.into_iter().chain([entry]).all(&mut take) {
                return;
            }
        }
        if left_out > 0 {
            tracing::warn!(left_out, "the menu is full; name what is to be in it with LOCAL_APPS_MENU_ITEMS");
        }
    }

    /// Every entry by its id; the first directory that has it wins.
    fn find(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        for data in &self.data {
            walk(&data.join("applications"), "", DEPTH, &mut found);
        }
        found
    }

    /// What is to be sent of a file, or why nothing is.
    fn look_at(&self, path: &Path) -> Result<Usable, String> {
        let bytes = read(path, limits::MENU_ENTRY).ok_or("no file that can be read, or too large")?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.len() > limits::MENU_ENTRY {
            return Err("too large".into());
        }
        let entry = DesktopEntry::parse(text.as_bytes()).ok_or("no desktop entry")?;
        if entry.string("Type").as_deref().map(str::trim) != Some("Application") {
            return Err("no application".into());
        }
        if entry.is_true("Hidden") || entry.is_true("NoDisplay") {
            return Err("hidden".into());
        }
        let words = entry.string("Exec").and_then(|exec| desktop_entry::words(&exec)).unwrap_or_default();
        let program = words.first().ok_or("no command")?;
        // A command for the server is not looked for here.
        if !entry.is_true("X-LTSP-NoChange") {
            let needed = entry.string("TryExec").into_iter().chain([program.clone()]);
            for program in needed.filter(|program| !program.trim().is_empty()) {
                if !self.has(program.trim()) {
                    return Err(format!("{} is not installed", text::sanitise_line(&program, limits::SESSION_NAME)));
                }
            }
        }
        let icon = entry.string("Icon").map(|icon| icon.trim().to_owned()).filter(|icon| !icon.is_empty());
        Ok(Usable { text, icon })
    }

    fn has(&self, program: &str) -> bool {
        let is_program =
            |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
        if program.starts_with('/') {
            return is_program(Path::new(program));
        }
        !program.contains('/') && self.path.iter().any(|dir| is_program(&dir.join(program)))
    }
}

/// Adds the entries below a folder, whose ids begin with `prefix`.
fn walk(dir: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, PathBuf>) {
    let Ok(files) = dir.read_dir() else { return };
    for file in files.flatten().take(FILES) {
        let (path, Ok(name)) = (file.path(), file.file_name().into_string()) else { continue };
        let id = format!("{prefix}{name}");
        if name.ends_with(".desktop") {
            if found.len() < FILES && is_file_name(&id) {
                found.entry(id).or_insert(path);
            }
        } else if depth > 0 && file.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, &format!("{id}-"), depth - 1, found);
        }
    }
}

/// A regular file of at most `max` bytes, which everybody can read: the worker's own user is nobody to whom a secret is shown.
pub(super) fn read(path: &Path, max: usize) -> Option<Vec<u8>> {
    let fits = |metadata: &Metadata| {
        metadata.is_file() && metadata.len() <= max as u64 && metadata.permissions().mode() & 0o004 != 0
    };
    // Asked before it is opened, because opening a FIFO or a device does something, and again when it is.
    path.metadata().ok().filter(fits)?;
    let file: File = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().ok().filter(fits)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= max).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::fs;

    struct Client {
        root: tempfile::TempDir,
        system: System,
    }

    impl Client {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let data = vec![root.path().join("a"), root.path().join("b")];
            let system = System { data, path: vec!["/usr/bin".into(), "/bin".into()] };
            Self { root, system }
        }

        fn put(&self, path: &str, bytes: &[u8]) {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }

        fn entry(&self, path: &str, body: &str) {
            self.put(path, format!("[Desktop Entry]\nType=Application\nName=X\n{body}\n").as_bytes());
        }

        fn collect(&self, items: &[&str]) -> Vec<String> {
            let mut names = Vec::new();
            let menu = Menu { items: items.iter().map(ToString::to_string).collect() };
            self.system.collect(&menu, |item| {
                names.push(match item {
                    MenuItem::Entry { entry, .. } => entry,
                    MenuItem::Icon { icon, base64 } => format!("{icon} {base64}"),
                    MenuItem::Open { .. } => panic!("not asked for"),
                });
                true
            });
            names
        }
    }

    #[test]
    fn what_can_be_started_is_in_the_menu() {
        let client = Client::new();
        client.entry("a/applications/one.desktop", "Exec=sh %U");
        client.entry("b/applications/one.desktop", "Exec=no-such-program");
        client.entry("b/applications/kde/two.desktop", "Exec=/bin/sh\nTryExec=sh");
        client.entry("a/applications/masked.desktop", "Hidden=true");
        client.entry("b/applications/masked.desktop", "Exec=sh");
        client.entry("a/applications/no-display.desktop", "Exec=sh\nNoDisplay=true");
        client.entry("a/applications/gone.desktop", "Exec=no-such-program");
        client.entry("a/applications/try.desktop", "Exec=sh\nTryExec=/no/such");
        client.entry("a/applications/relative.desktop", "Exec=bin/sh");
        client.entry("a/applications/none.desktop", "Comment=none");
        client.entry("a/applications/server.desktop", "Exec=only-on-the-server\nX-LTSP-NoChange=1");
        client.put("a/applications/link.desktop", b"[Desktop Entry]\nType=Link\nURL=http://x\nExec=sh\n");
        client.put("a/applications/old.desktop", b"[Desktop Entry]\nExec=sh\n");
        client.put("a/applications/mimeinfo.cache", b"[MIME Cache]\n");
        client.put("a/applications/huge.desktop", &vec![b'#'; limits::MENU_ENTRY + 1]);
        client.entry("a/applications/.hidden.desktop", "Exec=sh");
        let apps = client.root.path().join("a/applications");
        nix::unistd::mkfifo(&apps.join("fifo.desktop"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", apps.join("zero.desktop")).unwrap();
        std::os::unix::fs::symlink("..", apps.join("circle")).unwrap();
        client.entry("a/applications/private.desktop", "Exec=sh");
        fs::set_permissions(apps.join("private.desktop"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(client.collect(&[]), ["kde-two.desktop", "one.desktop", "server.desktop"]);
        assert_eq!(client.collect(&["one", "no-such", "gone", "../one"]), ["one.desktop"]);
    }

    #[test]
    fn an_icon_is_sent_once_and_before_its_entry() {
        let client = Client::new();
        client.entry("a/applications/one.desktop", "Exec=sh\nIcon=thing");
        client.entry("a/applications/two.desktop", "Exec=sh\nIcon=thing.png");
        client.entry("a/applications/three.desktop", "Exec=sh\nIcon=none");
        let path = client.root.path().join("a/odd/icon.svg");
        client.entry("a/applications/path.desktop", &format!("Exec=sh\nIcon={}", path.display()));
        client.put("a/odd/icon.svg", b"<svg/>");
        client.put("b/pixmaps/thing.xpm", b"xpm");
        let name = icon_name(path.to_str().unwrap()).unwrap();
        assert_eq!(
            client.collect(&[]),
            [
                "thing.xpm eHBt",
                "one.desktop",
                &format!("{name}.svg {}", STANDARD.encode("<svg/>")),
                "path.desktop",
                "three.desktop",
                "two.desktop"
            ]
        );
    }

    #[test]
    fn a_menu_has_an_end() {
        let client = Client::new();
        for i in 0..600 {
            client.entry(&format!("a/applications/e{i}.desktop"), "Exec=sh");
        }
        assert_eq!(client.collect(&[]).len(), limits::MENU_ENTRIES);
        let mut taken = 0;
        client.system.collect(&Menu::default(), |_| {
            taken += 1;
            taken < 3
        });
        assert_eq!(taken, 3, "whoever takes no more gets no more");
    }
}
