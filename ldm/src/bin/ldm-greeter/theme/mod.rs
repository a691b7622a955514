//! Themes: a folder with `theme.ini`, `style.css` and pictures. Data only, read once at the start.
//!
//! Runs in the greeter. A theme may name plain files of its own folder and nothing else: it runs no code, opens no network
//! connection and reads nothing outside ([`sheet`] and [`folder`] see to that before GTK sees the files). What a theme does
//! not have comes from the default theme. Where one is broken, the default look, which is built in, takes its place, and one
//! line in the log says what is wrong and where.

pub(crate) mod drawing;
pub(crate) mod folder;
pub(crate) mod layout;
pub(crate) mod legacy;
pub(crate) mod manifest;
pub(crate) mod picture;
pub(crate) mod seen;
pub(crate) mod sheet;
pub(crate) mod style;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;

use gtk4::{cairo, gdk, glib};
use ldm_protocol::greetd::BUILT_IN_LOOK;

use self::folder::Folder;
use self::layout::{Bar, Layout};
use self::manifest::{Manifest, SHAPES, Slot};
use self::picture::{Kind, PictureError};
use self::seen::Wrong;
use self::style::Style;

/// The theme that is used when none is asked for.
const DEFAULT: &str = "default";

/// Largest `theme.ini` or style sheet.
pub(crate) const TEXT: u64 = 256 * 1024;

/// Longest edge of a logo.
const LOGO_EDGE: i32 = 512;

const LOGO: &[u8] = include_bytes!("../../../../../themes/default/logo.png");
const BACKGROUND: &[u8] = include_bytes!("../../../../../themes/default/background.png");

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
    /// A file that a theme may not have, or that cannot be what it is used for.
    #[error("{path}: {what}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// A background in its file's form, decoded when the size of a monitor is known.
#[derive(Debug)]
struct Background {
    /// File name, for the log.
    shown: String,
    bytes: glib::Bytes,
    /// The PNG beside a drawing, for machines that cannot draw it.
    instead: Option<glib::Bytes>,
    /// Width to height.
    shape: f64,
}

/// A theme in use.
pub(crate) struct Look {
    /// Stands above the dialog.
    pub(crate) logo: Option<gdk::Texture>,
    /// Where the dialog stands.
    pub(crate) layout: Layout,
    /// Where the bar stands.
    pub(crate) bar: Bar,
    backgrounds: Vec<Background>,
    /// Those that were asked for, by place in `backgrounds` and size: monitors of one size share theirs.
    decoded: RefCell<Vec<(usize, i32, i32, cairo::ImageSurface)>>,
    style: Style,
    /// The theme's sheet, or where it would be; none of the look that is built in.
    sheet: Option<PathBuf>,
    /// What is wrong, and yet no reason not to use the theme.
    pub(crate) remarks: Vec<ThemeError>,
}

/// Puts the theme into use: `wanted` is a name or a folder. Falls back to the default look and says why.
pub(crate) fn apply(wanted: Option<&str>, display: &gdk::Display) -> Look {
    let look = load(wanted);
    let look = look.unwrap_or_else(|error| {
        crate::say(&format!("theme not used: {error}"));
        Look::built_in()
    });
    for remark in &look.remarks {
        crate::say(&format!("theme: {remark}"));
    }
    look.style.show(display);
    look
}

/// Reads the theme without putting it into use.
pub(crate) fn load(wanted: Option<&str>) -> Result<Look, ThemeError> {
    drawing::begin();
    if crate::setup::theme().as_deref() == Some(BUILT_IN_LOOK) {
        return Ok(Look::built_in());
    }
    match wanted.filter(|name| !name.is_empty()) {
        Some(name) => Look::load(&Folder::find(name)?),
        None => match Folder::find(DEFAULT) {
            Ok(folder) => Look::load(&folder),
            Err(_) => Ok(Look::built_in()),
        },
    }
}

/// The manifest of a folder, or what takes its place in an old theme; the first of the errors is a reason not to use it.
pub(crate) fn manifest_of(folder: &Folder) -> (Manifest, Vec<ThemeError>, Vec<ThemeError>) {
    match folder.text("theme.ini", TEXT) {
        Err(error) => (Manifest::default(), vec![error], Vec::new()),
        Ok(Some(text)) => {
            let (manifest, errors) = manifest::parse(&folder.join("theme.ini"), &text);
            (manifest, errors, Vec::new())
        }
        Ok(None) => match legacy::read(folder) {
            Some((manifest, ignored)) => (manifest, Vec::new(), ignored.into_iter().collect()),
            None if folder.has("style.css") => Default::default(),
            None => {
                let what = "neither theme.ini nor style.css is there: this is not a theme".to_owned();
                let error = ThemeError::File { path: folder.path().to_owned(), what };
                (Manifest::default(), vec![error], Vec::new())
            }
        },
    }
}

impl Look {
    fn load(folder: &Folder) -> Result<Self, ThemeError> {
        let (manifest, errors, mut remarks) = manifest_of(folder);
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let style = Style::load(folder, manifest.whole, manifest.scheme)?;
        let backgrounds = backgrounds(folder, &manifest, &mut remarks)?;
        let logo = match &manifest.logo {
            Slot::Empty => None,
            Slot::Default => default_logo(),
            Slot::File(name, _) => match picture_file(folder, &manifest.logo, &mut remarks)? {
                Some((bytes, _)) => {
                    match decode(&bytes, instead(folder, name).as_deref(), |b| picture::fit(b, LOGO_EDGE)) {
                        Ok((logo, remark)) => {
                            remarks.extend(remark.map(|what| broken(folder, name, &what)));
                            Some(logo)
                        }
                        Err(error) => {
                            remarks.push(broken(folder, name, &error));
                            default_logo()
                        }
                    }
                }
                None => default_logo(),
            },
        };
        Ok(Self {
            logo,
            layout: manifest.layout,
            bar: manifest.bar,
            backgrounds,
            decoded: RefCell::default(),
            style,
            sheet: Some(folder.join("style.css")),
            remarks,
        })
    }

    fn built_in() -> Self {
        Self {
            logo: picture::fit(LOGO, LOGO_EDGE).ok(),
            backgrounds: vec![built_in_background()],
            style: Style::built_in(),
            ..Self::bare()
        }
    }

    /// Nothing at all.
    fn bare() -> Self {
        Self {
            logo: None,
            layout: Layout::default(),
            bar: Bar::default(),
            backgrounds: Vec::new(),
            decoded: RefCell::default(),
            style: Style::default(),
            sheet: None,
            remarks: Vec::new(),
        }
    }

    /// The picture for a monitor of this size, to be drawn so that it covers it; `None` if the theme has none.
    pub(crate) fn background(&self, width: i32, height: i32) -> Option<cairo::ImageSurface> {
        let (place, best) = self.best(width, height)?;
        let known = |decoded: &(usize, i32, i32, cairo::ImageSurface)| {
            (decoded.0, decoded.1, decoded.2) == (place, width, height)
        };
        if let Some((.., surface)) = self.decoded.borrow().iter().find(|decoded| known(decoded)) {
            return Some(surface.clone());
        }
        let read = decode(&best.bytes, best.instead.as_deref(), |bytes| picture::cover(bytes, width, height));
        let surface = match read {
            Ok((surface, remark)) => {
                if let Some(what) = remark {
                    crate::say(&format!("theme: {}: {what}", best.shown));
                }
                surface
            }
            Err(error) => {
                crate::say(&format!("theme: {}: {error}; the default theme's picture is used", best.shown));
                picture::cover(BACKGROUND, width, height).ok()?
            }
        };
        self.decoded.borrow_mut().push((place, width, height, surface.clone()));
        Some(surface)
    }

    /// The picture of which least is cut off; of two that fit alike, the first.
    fn best(&self, width: i32, height: i32) -> Option<(usize, &Background)> {
        let wanted = f64::from(width.max(1)) / f64::from(height.max(1));
        let lost = |background: &Background| 1.0 - (background.shape / wanted).min(wanted / background.shape);
        self.backgrounds.iter().enumerate().min_by(|(_, a), (_, b)| lost(a).total_cmp(&lost(b)))
    }

    /// What is to be said of a theme that shows nothing; `None` of the look that is built in, for which there is no other.
    pub(crate) fn complaint(&self, wrong: &dyn std::fmt::Display) -> Option<String> {
        self.sheet.as_ref().map(|sheet| format!("{}: {wrong}", sheet.display()))
    }

    /// Begins again without the theme, because of this; nothing of it is in memory then.
    pub(crate) fn refuse(&self, wrong: &Wrong) {
        if let Some(complaint) = self.complaint(wrong) {
            crate::say(&format!("theme not used: {complaint}"));
            let error = crate::setup::without_theme();
            crate::say(&format!("cannot start again: {error}"));
        }
    }

    /// Takes the style sheets out of use again.
    pub(crate) fn withdraw(&self, display: &gdk::Display) {
        self.style.hide(display);
    }

    /// Puts the style sheets into use.
    pub(crate) fn show(&self, display: &gdk::Display) {
        self.style.show(display);
    }
}

fn built_in_background() -> Background {
    Background {
        shown: "built-in background".to_owned(),
        bytes: glib::Bytes::from_static(BACKGROUND),
        instead: None,
        shape: 1.6,
    }
}

fn default_logo() -> Option<gdk::Texture> {
    let found = Folder::find(DEFAULT).and_then(|folder| folder.read("logo.png", picture::BYTES));
    let own = found.ok().flatten().and_then(|bytes| picture::fit(&bytes, LOGO_EDGE).ok());
    own.or_else(|| picture::fit(LOGO, LOGO_EDGE).ok())
}

/// The pictures of a theme, checked but not decoded; the default theme's if it does not say anything about backgrounds.
fn backgrounds(
    folder: &Folder,
    manifest: &Manifest,
    remarks: &mut Vec<ThemeError>,
) -> Result<Vec<Background>, ThemeError> {
    let mut found = Vec::new();
    let mut missing = manifest.backgrounds.iter().all(|slot| *slot == Slot::Default);
    for (slot, (_, shape)) in manifest.backgrounds.iter().zip(SHAPES) {
        let Slot::File(name, _) = slot else { continue };
        let Some((bytes, kind)) = picture_file(folder, slot, remarks)? else {
            missing = true;
            continue;
        };
        let shape = match (shape, kind) {
            (_, Kind::Pixels(width, height)) => f64::from(width) / f64::from(height),
            (Some(shape), Kind::Drawing) => shape,
            (None, Kind::Drawing) => 16.0 / 9.0,
        };
        found.push(Background { shown: name.clone(), bytes, instead: instead(folder, name), shape });
    }
    if found.is_empty() && missing {
        found.push(default_background());
    }
    Ok(found)
}

fn default_background() -> Background {
    let installed = Folder::find(DEFAULT).and_then(|folder| folder.read("background.png", picture::BYTES));
    match installed.ok().flatten() {
        Some(bytes) if picture::kind(&bytes).is_ok() => {
            Background { bytes: glib::Bytes::from_owned(bytes), ..built_in_background() }
        }
        _ => built_in_background(),
    }
}

/// A picture as its file, with its kind. One that is not there is a remark, one that cannot be right an error.
pub(crate) fn picture_file(
    folder: &Folder,
    slot: &Slot,
    remarks: &mut Vec<ThemeError>,
) -> Result<Option<(glib::Bytes, Kind)>, ThemeError> {
    let Slot::File(name, line) = slot else { return Ok(None) };
    let Some(bytes) = folder.read(name, picture::BYTES)? else {
        let what = format!("{}; the default theme's is used", folder.lacks(name));
        remarks.push(ThemeError::Line { path: folder.join("theme.ini"), line: *line, what });
        return Ok(None);
    };
    match picture::kind(&bytes) {
        Ok(kind) => Ok(Some((glib::Bytes::from_owned(bytes), kind))),
        Err(error) => Err(broken(folder, name, &error)),
    }
}

fn broken(folder: &Folder, name: &str, error: &PictureError) -> ThemeError {
    ThemeError::File { path: folder.join(name), what: error.to_string() }
}

/// The PNG beside a drawing.
fn instead(folder: &Folder, name: &str) -> Option<glib::Bytes> {
    let png = name.strip_suffix(".svg").map(|stem| format!("{stem}.png"))?;
    folder.read(&png, picture::BYTES).ok().flatten().map(glib::Bytes::from_owned)
}

/// Decodes a picture, or the one that stands in for it, with what is to be said about that.
fn decode<T>(
    bytes: &[u8],
    instead: Option<&[u8]>,
    decode: impl Fn(&[u8]) -> Result<T, PictureError>,
) -> Result<(T, Option<PictureError>), PictureError> {
    match (decode(bytes), instead) {
        (Ok(picture), _) => Ok((picture, None)),
        (Err(error @ PictureError::NoDrawings), Some(png)) => decode(png).map(|picture| (picture, Some(error))),
        (Err(error), _) => Err(error),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
