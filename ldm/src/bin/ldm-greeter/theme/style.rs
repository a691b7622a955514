//! The style sheets of a look, one on top of the other, and what is wrong in them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use gtk4::{gdk, prelude::*};

use super::folder::{Folder, plain};
use super::manifest::Scheme;
use super::picture::Kind;
use super::sheet::{self, Sheet};
use super::{DEFAULT, TEXT, ThemeError, picture};

/// The default theme's sheet, for the default look and as what other themes are built upon.
pub(crate) const BASE: &str = include_str!("../../../../../themes/default/style.css");

/// What lies between it and a theme that calls itself dark.
pub(crate) const DARK: &str = include_str!("../../../../../themes/dark/style.css");

/// What lies on top of everything where the user wants high contrast.
pub(crate) const HIGH_CONTRAST: &str = include_str!("../../../../../themes/high-contrast/style.css");

/// Sheets that one theme may import.
const IMPORTS: usize = 16;

/// Selectors of one theme, of all its sheets. GTK's reading of them needs stack by their square: a thousand end the process.
const SELECTORS: usize = 500;

/// Colours that one theme may define, of which each may be made from another.
const COLOURS: usize = 500;

const TOO_MANY: &str = "with it, the pictures of the sheets have more than 24 million pixels";

/// The sheets of one look.
#[derive(Default)]
pub(crate) struct Style {
    providers: Vec<gtk4::CssProvider>,
}

impl Style {
    pub(crate) fn built_in() -> Self {
        Self { providers: vec![text(BASE)] }
    }

    /// The sheets of a theme, unless there is an error in them.
    pub(crate) fn load(folder: &Folder, whole: bool, scheme: Scheme) -> Result<Self, ThemeError> {
        let scanned = check(folder).map_err(|mut errors| errors.remove(0))?;
        let mut providers = Vec::new();
        if !whole && !is_default(folder) {
            providers.push(base());
            if scheme == Scheme::Dark {
                providers.push(text(DARK));
            }
        }
        if !scanned.is_empty() {
            let (own, errors) = parse(folder);
            if let Some(error) = errors.into_iter().next() {
                return Err(error);
            }
            providers.push(own);
        }
        if providers.is_empty() {
            providers.push(text(BASE));
        }
        Ok(Self { providers })
    }

    pub(crate) fn show(&self, display: &gdk::Display) {
        for (provider, priority) in self.providers.iter().zip(gtk4::STYLE_PROVIDER_PRIORITY_APPLICATION..) {
            gtk4::style_context_add_provider_for_display(display, provider, priority);
        }
    }

    pub(crate) fn hide(&self, display: &gdk::Display) {
        for provider in &self.providers {
            gtk4::style_context_remove_provider_for_display(display, provider);
        }
    }
}

thread_local! {
    static CONTRAST: RefCell<Option<gtk4::CssProvider>> = const { RefCell::new(None) };
}

/// Puts the high contrast of the user's choice over any theme, or takes it away.
pub(crate) fn high_contrast(display: &gdk::Display, wanted: bool) {
    CONTRAST.with_borrow_mut(|shown| match (wanted, shown.take()) {
        (true, before) => {
            let provider = before.unwrap_or_else(|| {
                let provider = text(HIGH_CONTRAST);
                let priority = gtk4::STYLE_PROVIDER_PRIORITY_APPLICATION + 100;
                gtk4::style_context_add_provider_for_display(display, &provider, priority);
                provider
            });
            *shown = Some(provider);
        }
        (false, Some(provider)) => gtk4::style_context_remove_provider_for_display(display, &provider),
        (false, None) => {}
    });
}

/// A sheet that is built in and has no files.
fn text(css: &str) -> gtk4::CssProvider {
    let provider = gtk4::CssProvider::new();
    provider.load_from_data(css);
    provider
}

/// The default theme's sheet: the installed one, which an administrator may have changed, or the built-in one.
fn base() -> gtk4::CssProvider {
    let installed = Folder::find(DEFAULT).ok().filter(|folder| check(folder).is_ok_and(|sheets| !sheets.is_empty()));
    let parsed = installed.map(|folder| parse(&folder)).filter(|(_, errors)| errors.is_empty());
    parsed.map_or_else(|| text(BASE), |(provider, _)| provider)
}

fn is_default(folder: &Folder) -> bool {
    Folder::find(DEFAULT).is_ok_and(|default| default.path() == folder.path())
}

/// The theme's sheets, `style.css` first, each with what it names; or all that they must not do.
pub(crate) fn check(folder: &Folder) -> Result<Vec<(String, Sheet)>, Vec<ThemeError>> {
    let mut sheets = Vec::new();
    let mut errors = Vec::new();
    let mut waiting = vec!["style.css".to_owned()];
    let mut seen = HashSet::from(["style.css".to_owned()]);
    // GTK holds them all, and each as often as it is named.
    let mut pixels = 0;
    let (mut selectors, mut colours) = (0, 0);
    while let Some(name) = waiting.pop() {
        let path = folder.join(&name);
        let line = |line: usize, what: String| ThemeError::Line { path: path.clone(), line, what };
        let scanned = match folder.text(&name, TEXT) {
            // An import that is not there has been told of already.
            Ok(None) => continue,
            Ok(Some(text)) => sheet::scan(&text),
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let sheet = match scanned {
            Ok(sheet) => sheet,
            Err((number, what)) => {
                errors.push(line(number, what));
                continue;
            }
        };
        for (file, number) in sheet.files.iter().chain(&sheet.imports) {
            if !plain(file) {
                let what = format!("“{file}” is not the name of a file in the theme's folder");
                errors.push(line(*number, what));
            } else if !folder.has(file) {
                errors.push(line(*number, folder.lacks(file)));
            }
        }
        for (file, number) in sheet.files.iter().filter(|(file, _)| plain(file) && folder.has(file)) {
            match folder.read(file, picture::BYTES) {
                Ok(bytes) => match picture::kind(&bytes.unwrap_or_default()) {
                    Ok(Kind::Pixels(width, height)) => {
                        pixels += u64::from(width) * u64::from(height);
                        if pixels > picture::PIXELS {
                            errors.push(line(*number, format!("“{file}”: {TOO_MANY}")));
                            break;
                        }
                    }
                    // GTK would draw it at the size that it says it has.
                    Ok(Kind::Drawing) => {
                        errors.push(line(*number, format!("“{file}”: SVG is not read here: use a PNG of it")));
                    }
                    Err(error) => errors.push(line(*number, format!("“{file}”: {error}"))),
                },
                Err(error) => errors.push(error),
            }
        }
        let room = SELECTORS.saturating_sub(selectors);
        selectors += sheet.selectors.len();
        if let Some(number) = sheet.selectors.get(room) {
            errors.push(line(*number, format!("more than {SELECTORS} selectors in all sheets")));
            break;
        }
        let room = COLOURS.saturating_sub(colours);
        colours += sheet.defined.len();
        if let Some((_, number)) = sheet.defined.get(room) {
            errors.push(line(*number, format!("more than {COLOURS} colours are defined in all sheets")));
            break;
        }
        for (file, number) in sheet.imports.iter().filter(|(file, _)| plain(file)) {
            // GTK reads it each time, and with it all that it imports.
            if seen.insert(file.clone()) {
                waiting.push(file.clone());
            } else {
                errors.push(line(*number, format!("“{file}” is imported more than once")));
            }
        }
        sheets.push((name, sheet));
        if sheets.len() > IMPORTS {
            errors.push(line(1, "too many sheets are imported".to_owned()));
            break;
        }
    }
    if errors.is_empty() { Ok(sheets) } else { Err(errors) }
}

/// GTK's reading of the checked `style.css`. Names in `url("…")` are relative to it.
pub(crate) fn parse(folder: &Folder) -> (gtk4::CssProvider, Vec<ThemeError>) {
    let path = folder.join("style.css");
    let errors = Rc::new(RefCell::new(Vec::new()));
    let provider = gtk4::CssProvider::new();
    let told = Rc::clone(&errors);
    provider.connect_parsing_error(move |_, section, error| {
        // What GTK only advises against is still understood.
        if error.matches(gtk4::CssParserWarning::Deprecated) {
            return;
        }
        let file = section.file().and_then(|file| file.path());
        told.borrow_mut().push(ThemeError::Line {
            path: file.unwrap_or_else(|| path.clone()),
            line: section.start_location().lines() + 1,
            what: error.message().to_owned(),
        });
    });
    provider.load_from_path(folder.join("style.css"));
    let errors = errors.take();
    (provider, errors)
}
