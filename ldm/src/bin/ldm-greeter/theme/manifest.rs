//! `theme.ini`: what a theme is called, which of its files are used for what, and where things stand.

use std::path::Path;

use ldm_protocol::near;

use super::ThemeError;
use super::folder::plain;
use super::layout::{Bar, Layout};

/// The keys, in the order of the documentation.
pub(crate) const KEYS: [&str; 13] = [
    "name",
    "description",
    "author",
    "licence",
    "base",
    "scheme",
    "layout",
    "bar",
    "background",
    "background-16x9",
    "background-4x3",
    "background-portrait",
    "logo",
];

/// The shapes of screens a theme can have a picture for: key, width to height.
pub(crate) const SHAPES: [(&str, Option<f64>); 4] = [
    ("background", None),
    ("background-16x9", Some(16.0 / 9.0)),
    ("background-4x3", Some(4.0 / 3.0)),
    ("background-portrait", Some(9.0 / 16.0)),
];

/// What a manifest says of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing: the default theme's.
    #[default]
    Default,
    /// None, on purpose.
    Empty,
    /// This file of the folder, named in this line.
    File(String, usize),
}

impl Slot {
    /// The file's name, if it names one.
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            Self::File(name, _) => Some(name),
            Self::Default | Self::Empty => None,
        }
    }
}

/// Whether a theme is light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Dark text on light ground.
    #[default]
    Light,
    /// Light text on dark ground: the colours of the theme `dark` are beneath the theme's own.
    Dark,
}

/// What `theme.ini` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// For people.
    pub(crate) name: String,
    /// `none`: the theme's own sheet is the whole look.
    pub(crate) whole: bool,
    /// Light or dark.
    pub(crate) scheme: Scheme,
    /// Where the dialog stands.
    pub(crate) layout: Layout,
    /// Where the bar stands.
    pub(crate) bar: Bar,
    /// By [`SHAPES`].
    pub(crate) backgrounds: [Slot; 4],
    /// Above the dialog.
    pub(crate) logo: Slot,
}

/// Reads a manifest as far as it can be read, with everything that is wrong in it.
pub(crate) fn parse(path: &Path, text: &str) -> (Manifest, Vec<ThemeError>) {
    let mut manifest = Manifest::default();
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || line == "[Theme]" {
            continue;
        }
        let read = line
            .split_once('=')
            .ok_or_else(|| "expected “key = value” or [Theme]".to_owned())
            .map(|(key, value)| (key.trim(), value.trim()))
            .and_then(|(key, value)| {
                if seen.contains(&key) {
                    return Err(format!("“{key}” was given before"));
                }
                seen.push(key);
                manifest.set(key, value, number)
            });
        if let Err(what) = read {
            errors.push(ThemeError::Line { path: path.to_owned(), line: number, what });
        }
    }
    (manifest, errors)
}

impl Manifest {
    fn set(&mut self, key: &str, value: &str, line: usize) -> Result<(), String> {
        match key {
            "name" => value.clone_into(&mut self.name),
            "description" | "author" | "licence" => {}
            "base" => self.whole = one_of(value, &[("default", false), ("none", true)])?,
            "scheme" => self.scheme = one_of(value, &[("light", Scheme::Light), ("dark", Scheme::Dark)])?,
            "layout" => self.layout = one_of(value, &Layout::ALL)?,
            "bar" => self.bar = one_of(value, &Bar::ALL)?,
            "logo" => self.logo = slot(value, line)?,
            _ => {
                let place = SHAPES.iter().position(|(name, _)| *name == key);
                let background = place.and_then(|place| self.backgrounds.get_mut(place)).ok_or_else(|| unknown(key))?;
                *background = slot(value, line)?;
            }
        }
        Ok(())
    }
}

fn unknown(key: &str) -> String {
    match near::nearest(key, KEYS) {
        Some(meant) => format!("unknown key “{key}” (perhaps {meant}?)"),
        None => format!("unknown key “{key}”"),
    }
}

fn slot(value: &str, line: usize) -> Result<Slot, String> {
    match value {
        "" => Ok(Slot::Empty),
        name if plain(name) => Ok(Slot::File(name.to_owned(), line)),
        name => Err(format!("“{name}” is not the name of a file in the theme's folder")),
    }
}

fn one_of<T: Copy>(value: &str, all: &[(&str, T)]) -> Result<T, String> {
    all.iter().find(|(name, _)| *name == value).map(|(_, meant)| *meant).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        format!("“{value}” is none of: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Manifest, Vec<String>> {
        let (manifest, errors) = parse(Path::new("/t/theme.ini"), text);
        if errors.is_empty() { Ok(manifest) } else { Err(errors.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn a_manifest_names_its_pictures_and_places() {
        let text = "# comment\n[Theme]\nname = Sea\nlicence=CC0-1.0\n\nbackground = sea.jpg\nbackground-4x3=\nlogo =\n\
                    scheme = dark\nlayout = left\nbar = bottom\nbase = none\n";
        let manifest = parsed(text).unwrap();
        assert_eq!(manifest.name, "Sea");
        let [any, wide, narrow, portrait] = &manifest.backgrounds;
        assert_eq!((any, wide), (&Slot::File("sea.jpg".into(), 6), &Slot::Default));
        assert_eq!((narrow, portrait), (&Slot::Empty, &Slot::Default));
        assert_eq!(manifest.logo, Slot::Empty);
        assert_eq!((manifest.scheme, manifest.whole), (Scheme::Dark, true));
        assert_eq!((manifest.layout, manifest.bar), (Layout::Left, Bar::Bottom));
        assert_eq!(parsed("").unwrap(), Manifest::default());
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        for (text, want) in [
            ("name = x\nbackgruond = a.png", "2: unknown key “backgruond” (perhaps background?)"),
            ("exec = /bin/sh", "1: unknown key “exec”"),
            ("[Theme]\n\nlogo", "3: expected “key = value” or [Theme]"),
            ("logo = ../x.png", "1: “../x.png” is not the name of a file in the theme's folder"),
            ("logo = /etc/x.png", "1: “/etc/x.png” is not the name of a file in the theme's folder"),
            ("logo = file:x.png", "1: “file:x.png” is not the name of a file in the theme's folder"),
            ("layout = middle", "1: “middle” is none of: center, left, right, top, bottom"),
            ("bar = no", "1: “no” is none of: top, bottom"),
            ("logo = a.png\nlogo = b.png", "2: “logo” was given before"),
        ] {
            assert_eq!(parsed(text), Err(vec![format!("/t/theme.ini:{want}")]), "{text}");
        }
        assert_eq!(parsed("x\ny = 1\n").unwrap_err().len(), 2);
    }
}
