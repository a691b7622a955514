//! Finding the file of an icon (Icon Theme Specification): as it is sent, at 48 pixels or without a size of its own.

use std::path::{Path, PathBuf};

use ldm_protocol::limits;
use ldm_protocol::services::{ICON_KINDS, icon_name};

use super::entries::read;

/// What menus show, in pixels.
const SIZE: u32 = 48;

/// Themes that are looked through: the one that every other falls back to, and GTK's.
const THEMES: [&str; 2] = ["hicolor", "Adwaita"];

/// Largest `index.theme`; Adwaita's has 15 KiB.
const INDEX: usize = 256 * 1024;

/// The folders that have icons, the best first.
pub(super) struct Icons {
    folders: Vec<PathBuf>,
}

/// A folder's section of `index.theme`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Folder<'a> {
    name: &'a str,
    size: u32,
    scale: u32,
    kind: &'a str,
    min: Option<u32>,
    max: Option<u32>,
    threshold: u32,
}

impl Folder<'_> {
    /// `DirectorySizeDistance` of the specification; at the same distance one of this very size is better.
    fn distance(&self) -> (u32, bool) {
        let (low, high) = match self.kind {
            "Fixed" => (self.size, self.size),
            "Scalable" => (self.min.unwrap_or(self.size), self.max.unwrap_or(self.size)),
            _ => (self.size.saturating_sub(self.threshold), self.size.saturating_add(self.threshold)),
        };
        let (low, high) = (low.saturating_mul(self.scale), high.saturating_mul(self.scale));
        (low.saturating_sub(SIZE).max(SIZE.saturating_sub(high)), self.size.saturating_mul(self.scale) != SIZE)
    }
}

impl Icons {
    /// Looks at what is installed below these data directories.
    pub(super) fn read(data: &[PathBuf]) -> Self {
        let mut folders = Vec::new();
        for theme in THEMES {
            let roots: Vec<PathBuf> = data.iter().map(|dir| dir.join("icons").join(theme)).collect();
            // The first index speaks for the theme in all directories.
            let index = roots.iter().find_map(|root| read(&root.join("index.theme"), INDEX)).unwrap_or_default();
            let index = String::from_utf8_lossy(&index);
            let mut described = sections(&index);
            described.sort_by_key(Folder::distance);
            folders.extend(described.iter().flat_map(|folder| roots.iter().map(|root| root.join(folder.name))));
        }
        folders.extend(data.iter().map(|dir| dir.join("pixmaps")));
        folders.retain(|folder| folder.is_dir());
        Self { folders }
    }

    /// The kind (`.png`…) and content of the best file that is not too large, for the value of `Icon`.
    pub(super) fn find(&self, icon: &str) -> Option<(&'static str, Vec<u8>)> {
        let read = |path: &Path| read(path, limits::MENU_ICON);
        if icon.starts_with('/') {
            let kind = ICON_KINDS.into_iter().find(|kind| icon.ends_with(kind))?;
            return read(Path::new(icon)).map(|bytes| (kind, bytes));
        }
        let name = icon_name(icon)?;
        self.folders
            .iter()
            .flat_map(|folder| ICON_KINDS.map(|kind| (kind, folder.join(format!("{name}{kind}")))))
            .find_map(|(kind, path)| Some((kind, read(&path)?)))
    }
}

/// The folders that an `index.theme` describes; one whose name leads elsewhere is none.
fn sections(index: &str) -> Vec<Folder<'_>> {
    let mut folders: Vec<Folder> = Vec::new();
    for line in index.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            folders.push(Folder { name, scale: 1, threshold: 2, ..Folder::default() });
        } else if let (Some(folder), Some((key, value))) = (folders.last_mut(), line.split_once('=')) {
            let (key, value) = (key.trim_end(), value.trim_start());
            let number = value.parse().ok();
            match key {
                "Size" => folder.size = number.unwrap_or_default(),
                "Scale" => folder.scale = number.unwrap_or(1),
                "Type" => folder.kind = value,
                "MinSize" => folder.min = number,
                "MaxSize" => folder.max = number,
                "Threshold" => folder.threshold = number.unwrap_or(2),
                _ => {}
            }
        }
    }
    folders.retain(|folder| {
        folder.size > 0 && !folder.name.starts_with('/') && folder.name.split('/').all(|part| part != "..")
    });
    folders
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    const INDEX_TEXT: &str = "[Icon Theme]\nName=H\nDirectories=16x16/apps,48x48/apps,scalable/apps,256x256/apps\n\
        [16x16/apps]\nSize=16\nType=Threshold\n[scalable/apps]\nSize=128\nMinSize=1\nMaxSize=256\nType=Scalable\n\
        [256x256/apps]\nSize=256\nType=Fixed\n[24x24@2/apps]\nSize=24\nScale=2\nType=Fixed\n[48x48/apps]\nSize=48\n\
        [../../secret]\nSize=48\n[/etc]\nSize=48\n";

    #[test]
    fn the_nearest_size_is_found() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(b.join("icons/hicolor/index.theme"), INDEX_TEXT);
        let theme = b.join("icons/hicolor");
        for (folder, names) in [
            ("16x16/apps", &["all.png", "small.png"][..]),
            ("scalable/apps", &["all.svg", "vector.svg"]),
            ("256x256/apps", &["all.png", "large.png", "small.png"]),
            ("48x48/apps", &["all.png", "xpm.xpm"]),
            ("24x24@2/apps", &["double.png"]),
        ] {
            for name in names {
                put(theme.join(folder).join(name), folder);
            }
        }
        put(a.join("icons/hicolor/48x48/apps/local.png"), "local");
        put(b.join("pixmaps/old.xpm"), "pixmaps");
        put(b.join("pixmaps/all.png"), "pixmaps");
        fs::write(theme.join("48x48/apps/large.png"), vec![0; limits::MENU_ICON + 1]).unwrap();
        let icons = Icons::read(&[a, b.clone()]);
        let found = |name: &str| icons.find(name).map(|(kind, bytes)| (kind, String::from_utf8(bytes).unwrap()));
        for (name, want) in [
            ("all", Some((".png", "48x48/apps"))),
            ("all.png", Some((".png", "48x48/apps"))),
            ("vector", Some((".svg", "scalable/apps"))),
            ("small", Some((".png", "16x16/apps"))),
            ("large", Some((".png", "256x256/apps"))),
            ("double", Some((".png", "24x24@2/apps"))),
            ("xpm", Some((".xpm", "48x48/apps"))),
            ("local", Some((".png", "local"))),
            ("old", Some((".xpm", "pixmaps"))),
            ("none", None),
            ("../apps/all", None),
            ("/etc/passwd", None),
        ] {
            assert_eq!(found(name), want.map(|(kind, text)| (kind, text.to_owned())), "{name}");
        }
        let path = theme.join("16x16/apps/all.png");
        assert_eq!(found(path.to_str().unwrap()).unwrap().1, "16x16/apps");
        assert!(icons.folders.iter().all(|folder| folder.starts_with(root.path())), "{:?}", icons.folders);
    }
}
