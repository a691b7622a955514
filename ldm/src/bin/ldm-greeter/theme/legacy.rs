//! Theme folders of the original LDM: their pictures are used, the rest is named as ignored.

use super::ThemeError;
use super::folder::Folder;
use super::manifest::{Manifest, Slot};

/// What such a folder has besides background and logo, without suffix.
const ICONS: [&str; 7] = ["language", "session", "host", "backend", "preferences", "reboot", "shutdown"];

/// Its style files, for toolkits that are gone.
const STYLES: [&str; 2] = ["greeter-gtkrc", "greeter.css"];

/// In the order in which the original looks for them.
const SUFFIXES: [&str; 2] = [".png", ".jpg"];

/// The manifest that such a folder would have, and what of it is not used; `None` if this is no such folder.
pub(crate) fn read(folder: &Folder) -> Option<(Manifest, Option<ThemeError>)> {
    let picture = |stem: &str| {
        let name = SUFFIXES.iter().map(|suffix| format!("{stem}{suffix}")).find(|name| folder.has(name));
        name.map_or(Slot::Default, |name| Slot::File(name, 0))
    };
    let (background, logo) = (picture("bg"), picture("logo"));
    let ignored = ignored(folder);
    if background == Slot::Default && ignored.is_empty() && (logo == Slot::Default || folder.has("style.css")) {
        return None;
    }
    let backgrounds = [background, Slot::Default, Slot::Default, Slot::Default];
    let manifest = Manifest { backgrounds, logo, name: "old theme".to_owned(), ..Manifest::default() };
    let what = format!("an old theme, used for its pictures; ignored: {}", ignored.join(", "));
    let remark = ThemeError::File { path: folder.path().to_owned(), what };
    Some((manifest, Some(remark).filter(|_| !ignored.is_empty())))
}

/// What such a folder has and this greeter does not use.
fn ignored(folder: &Folder) -> Vec<String> {
    let icon = |name: &str| ICONS.iter().any(|icon| SUFFIXES.iter().any(|suffix| *name == format!("{icon}{suffix}")));
    folder.names().into_iter().filter(|name| STYLES.contains(&name.as_str()) || icon(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_folder_is_known_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(read(&folder).is_none());
        for name in ["bg.jpg", "logo.png", "language.png", "reboot.jpg", "greeter-gtkrc", "README"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let (manifest, ignored) = read(&folder).unwrap();
        assert_eq!(manifest.backgrounds[0].file(), Some("bg.jpg"));
        assert_eq!(manifest.logo.file(), Some("logo.png"));
        let ignored = ignored.unwrap().to_string();
        assert!(ignored.ends_with("ignored: greeter-gtkrc, language.png, reboot.jpg"), "{ignored}");
    }
}
