//! Themes: a folder with `theme.ini`, `style.css` and pictures. Data only, read once at the start.
//!
//! Runs in the greeter. A theme is the administrator's and trusted to name files of its own folder, no others. Where one is
//! broken, the default look, which is built in, takes its place, and one line in the log says what is wrong and where.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gtk4::{gdk, gio, glib};

/// Where themes are found by name.
const FOLDERS: [&str; 2] = ["/usr/local/share/ldm/themes", "/usr/share/ldm/themes"];

/// The theme that is used when none is asked for.
const DEFAULT: &str = "default";

/// Largest `theme.ini` or `style.css`.
const TEXT: u64 = 256 * 1024;

const STYLE: &str = include_str!("../../../../themes/default/style.css");
const LOGO: &[u8] = include_bytes!("../../../../themes/default/logo.png");
const BACKGROUND: &[u8] = include_bytes!("../../../../themes/default/background.png");

/// What is wrong with a theme.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThemeError {
    /// No folder of this name in the search path: check `LDM_THEME`.
    #[error("there is no theme “{0}”")]
    Missing(String),
    /// A file of the theme cannot be read: check that it is there and readable by every user.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line that means nothing: correct it.
    #[error("{path}:{line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A picture that GTK cannot read: use PNG or JPEG.
    #[error("{path}: {source}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: glib::Error,
    },
}

/// The manifest: what `theme.ini` says, as far as the greeter needs it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    background: Option<PathBuf>,
    logo: Option<PathBuf>,
}

/// A theme in use.
pub(crate) struct Look {
    /// Covers the screen behind everything.
    pub(crate) background: Option<gdk::Texture>,
    /// Stands above the dialog.
    pub(crate) logo: Option<gdk::Texture>,
}

/// Puts the theme into use: `wanted` is a name or a folder. Falls back to the default look and says why.
pub(crate) fn apply(wanted: Option<&str>, display: &gdk::Display) -> Look {
    let found = match wanted.filter(|name| !name.is_empty()) {
        Some(name) => find(name).map(Some),
        None => Ok(find(DEFAULT).ok()),
    };
    let look = found.and_then(|folder| match folder {
        Some(folder) => load(&folder, display),
        None => Ok(built_in(display)),
    });
    look.unwrap_or_else(|error| {
        crate::say(&format!("theme not used: {error}"));
        built_in(display)
    })
}

fn find(wanted: &str) -> Result<PathBuf, ThemeError> {
    let missing = || ThemeError::Missing(wanted.to_owned());
    if wanted.contains('/') {
        return Some(PathBuf::from(wanted)).filter(|folder| folder.is_dir()).ok_or_else(missing);
    }
    if wanted.starts_with('.') {
        return Err(missing());
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(wanted)).find(|folder| folder.is_dir()).ok_or_else(missing)
}

fn load(folder: &Path, display: &gdk::Display) -> Result<Look, ThemeError> {
    let path = folder.join("theme.ini");
    let manifest = parse(folder, &path, &read(&path)?)?;
    let look = Look { background: picture(manifest.background)?, logo: picture(manifest.logo)? };
    style(&folder.join("style.css"), display)?;
    Ok(look)
}

fn read(path: &Path) -> Result<String, ThemeError> {
    let failed = |source| ThemeError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path).and_then(|file| file.take(TEXT).read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

fn parse(folder: &Path, path: &Path, text: &str) -> Result<Manifest, ThemeError> {
    let mut manifest = Manifest::default();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| ThemeError::Line { path: path.to_owned(), line: index + 1, what };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || line == "[Theme]" {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(wrong("expected “key = value” or [Theme]".to_owned()));
        };
        let (key, value) = (key.trim(), value.trim());
        let file = || match value {
            "" => Ok(None),
            name if name.starts_with('.') || name.contains('/') => {
                Err(wrong(format!("“{name}” is not the name of a file in the theme's folder")))
            }
            name => Ok(Some(folder.join(name))),
        };
        match key {
            "name" | "description" | "author" | "licence" => {}
            "background" => manifest.background = file()?,
            "logo" => manifest.logo = file()?,
            _ => return Err(wrong(format!("unknown key “{key}”"))),
        }
    }
    Ok(manifest)
}

fn picture(path: Option<PathBuf>) -> Result<Option<gdk::Texture>, ThemeError> {
    path.map(|path| {
        let file = gio::File::for_path(&path);
        gdk::Texture::from_file(&file).map_err(|source| ThemeError::Picture { path, source })
    })
    .transpose()
}

/// Uses the style sheet, unless it has an error. Names in `url("…")` are relative to it.
fn style(path: &Path, display: &gdk::Display) -> Result<(), ThemeError> {
    read(path)?;
    let errors = Rc::new(RefCell::new(None));
    let provider = gtk4::CssProvider::new();
    let first = Rc::clone(&errors);
    let shown = path.to_owned();
    provider.connect_parsing_error(move |_, section, error| {
        let line = section.start_location().lines() + 1;
        first.borrow_mut().get_or_insert(ThemeError::Line {
            path: shown.clone(),
            line,
            what: error.message().to_owned(),
        });
    });
    provider.load_from_path(path);
    if let Some(error) = errors.take() {
        return Err(error);
    }
    gtk4::style_context_add_provider_for_display(display, &provider, gtk4::STYLE_PROVIDER_PRIORITY_APPLICATION);
    Ok(())
}

fn built_in(display: &gdk::Display) -> Look {
    let provider = gtk4::CssProvider::new();
    provider.load_from_data(STYLE);
    gtk4::style_context_add_provider_for_display(display, &provider, gtk4::STYLE_PROVIDER_PRIORITY_APPLICATION);
    let picture = |bytes: &'static [u8]| gdk::Texture::from_bytes(&glib::Bytes::from_static(bytes)).ok();
    Look { background: picture(BACKGROUND), logo: picture(LOGO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Manifest, String> {
        parse(Path::new("/t"), Path::new("/t/theme.ini"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_manifest_names_its_pictures() {
        let text = "# comment\n[Theme]\nname = Sea\nlicence=CC0-1.0\n\nbackground = sea.jpg\nlogo =\n";
        let want = Manifest { background: Some("/t/sea.jpg".into()), logo: None };
        assert_eq!(parsed(text), Ok(want));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, want) in [
            ("name = x\nbackgruond = a.png", "/t/theme.ini:2: unknown key “backgruond”"),
            ("[Theme]\n\nlogo", "/t/theme.ini:3: expected “key = value” or [Theme]"),
            ("logo = ../x.png", "/t/theme.ini:1: “../x.png” is not the name of a file in the theme's folder"),
            ("logo = /etc/x.png", "/t/theme.ini:1: “/etc/x.png” is not the name of a file in the theme's folder"),
        ] {
            assert_eq!(parsed(text), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_theme_is_found_by_folder_or_not_at_all() {
        assert!(find("/").is_ok());
        for name in ["no-such-theme", "/no/such/folder", "..", ".hidden"] {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_default_themes_manifest_is_right() {
        let text = include_str!("../../../../themes/default/theme.ini");
        let manifest = parsed(text).unwrap();
        assert_eq!(manifest.background, Some("/t/background.png".into()));
        assert_eq!(manifest.logo, Some("/t/logo.png".into()));
    }
}
