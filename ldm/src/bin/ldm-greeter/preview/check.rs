//! `--check-theme`: everything that is wrong with a theme's folder, with file and line.
//!
//! First the files as they are; then, where there is a display, the greeter as it looks with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use gtk4::{gdk, prelude::*};
use ldm_protocol::near;

use super::shot::{self, Pixels};
use super::{Stage, contrast, inspect, out, scenarios, still};
use crate::theme::folder::Folder;
use crate::theme::manifest::{Manifest, Slot};
use crate::theme::picture::{self, Kind};
use crate::theme::{self, ThemeError, sheet, style};
use crate::{i18n, monitors};

/// The screen that a theme must fit.
const SCREEN: (i32, i32) = (1024, 768);

/// Narrower pictures look blurred on a usual monitor.
const WIDE: u32 = 1920;

/// What was found, told as it is found.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn wrong(&mut self, what: &str) {
        self.wrong += 1;
        out(what);
    }

    /// Something to know, and no reason to fail.
    fn note(what: &str) {
        out(&format!("note: {what}"));
    }

    fn errors(&mut self, errors: impl IntoIterator<Item = ThemeError>) {
        for error in errors {
            self.wrong(&error.to_string());
        }
    }
}

/// Checks the theme in this folder and says what is wrong.
pub(crate) fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(path)?;
    let mut report = Report::default();
    let (manifest, errors, remarks) = theme::manifest_of(&folder);
    report.errors(errors);
    for remark in remarks {
        Report::note(&remark.to_string());
    }
    pictures(&folder, &manifest, &mut report);
    let sheets = style::check(&folder).unwrap_or_else(|errors| {
        report.errors(errors);
        Vec::new()
    });
    colours(&folder, &manifest, &sheets, &mut report);
    unused(&folder, &manifest, &sheets);
    if gtk4::init().is_err() {
        Report::note("no display: what GTK reads, contrast and clipping were not checked");
    } else if report.wrong == 0 {
        i18n::init();
        measured(&folder, &manifest, &sheets, &mut report)?;
    } else {
        report.errors(style::parse(&folder).1);
        Report::note("contrast and clipping are checked when all of this is right");
    }
    if report.wrong == 0 {
        out(&format!("{}: no mistakes", folder.path().display()));
        return Ok(ExitCode::SUCCESS);
    }
    out(&format!("{}: {} mistakes", folder.path().display(), report.wrong));
    Ok(ExitCode::FAILURE)
}

fn pictures(folder: &Folder, manifest: &Manifest, report: &mut Report) {
    for (place, slot) in manifest.backgrounds.iter().chain([&manifest.logo]).enumerate() {
        let mut missing = Vec::new();
        match theme::picture_file(folder, slot, &mut missing) {
            Err(error) => report.wrong(&error.to_string()),
            Ok(None) => report.errors(missing),
            Ok(Some((_, kind))) => {
                let name = slot.file().unwrap_or_default();
                let path = folder.join(name);
                let background = place < manifest.backgrounds.len();
                match kind {
                    Kind::Pixels(width, height) if background && width.max(height) < WIDE => Report::note(&format!(
                        "{}: {width}×{height} pixels: looks blurred on a monitor of 1920×1080",
                        path.display()
                    )),
                    Kind::Pixels(..) => {}
                    Kind::Drawing => {
                        let png = name.strip_suffix(".svg").map(|stem| format!("{stem}.png"));
                        if png.is_none_or(|png| !folder.has(&png)) {
                            Report::note(&format!(
                                "{}: a PNG of this name is missing, for clients that cannot draw SVG",
                                path.display()
                            ));
                        }
                    }
                }
            }
        }
    }
}

/// Colours that are used and not there, or defined and of no use.
fn colours(folder: &Folder, manifest: &Manifest, sheets: &[(String, sheet::Sheet)], report: &mut Report) {
    let base = if manifest.whole { sheet::Sheet::default() } else { sheet::scan(style::BASE).unwrap_or_default() };
    let own = || sheets.iter().map(|(_, sheet)| sheet);
    let defined: BTreeSet<&str> =
        own().chain([&base]).flat_map(|sheet| &sheet.defined).map(|(name, _)| name.as_str()).collect();
    let used: BTreeSet<&str> =
        own().chain([&base]).flat_map(|sheet| &sheet.used).map(|(name, _)| name.as_str()).collect();
    for (file, sheet) in sheets {
        for (lists, all, what) in
            [(&sheet.used, &defined, "no colour is called"), (&sheet.defined, &used, "nothing uses a colour called")]
        {
            for (name, line) in lists.iter().filter(|(name, _)| !all.contains(name.as_str())) {
                let meant = near::nearest(name, all.iter().copied());
                let meant = meant.map(|meant| format!(" (perhaps @{meant}?)")).unwrap_or_default();
                report.wrong(&format!("{}:{line}: {what} @{name}{meant}", folder.join(file).display()));
            }
        }
    }
}

/// Files that the theme has and does not use.
fn unused(folder: &Folder, manifest: &Manifest, sheets: &[(String, sheet::Sheet)]) {
    let mut used: BTreeSet<String> = ["theme.ini", "style.css"].map(str::to_owned).into();
    let slots = manifest.backgrounds.iter().chain([&manifest.logo]).filter_map(Slot::file);
    for name in slots {
        used.insert(name.to_owned());
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        // What a picture was drawn from, and what stands in for a drawing.
        used.extend(["svg", "png"].map(|suffix| format!("{stem}.{suffix}")));
    }
    for (_, sheet) in sheets {
        used.extend(sheet.files.iter().chain(&sheet.imports).map(|(name, _)| name.clone()));
    }
    for name in folder.names().iter().filter(|name| !used.contains(*name)) {
        Report::note(&format!("{}: not used", folder.join(name).display()));
    }
}

/// What can be said only of the greeter as it looks.
fn measured(
    folder: &Folder,
    manifest: &Manifest,
    sheets: &[(String, sheet::Sheet)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let display = gdk::Display::default().ok_or_else(|| anyhow::anyhow!("no display"))?;
    let wanted = folder.path().to_string_lossy();
    let look = match theme::load(Some(&wanted)) {
        Ok(look) => Rc::new(look),
        Err(error) => {
            report.wrong(&error.to_string());
            return Ok(());
        }
    };
    still();
    monitors::pretend(SCREEN);
    look.show(&display);
    for slot in &manifest.backgrounds {
        if let Slot::File(name, _) = slot
            && let Some(bytes) = folder.read(name, picture::BYTES)?
            && let Err(error) = picture::cover(&bytes, SCREEN.0, SCREEN.1)
        {
            report.wrong(&format!("{}: {error}", folder.join(name).display()));
        }
    }
    let mut names = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut focused = BTreeSet::new();
    for scenario in scenarios::all().into_iter().filter(|scenario| scenario.main) {
        let (name, long) = (scenario.name.clone(), scenario.long);
        let stage = Stage::checked(&look, scenario)?;
        let window = Stage::root()?;
        inspect::names(&window, &mut names);
        let mut lines = inspect::clipped(&window, SCREEN.0, SCREEN.1, long);
        lines.extend(unreadable(&window, &display));
        lines.extend(unfocused(&window, &mut focused));
        for line in lines {
            // Once is enough: most of the screen is the same in every scenario.
            if told.insert(line.clone()) {
                report.wrong(&format!("{}: {name}: {line}", folder.join("style.css").display()));
            }
        }
        stage.close();
    }
    // Over a session that runs, and so in no scenario.
    names.extend(["announcement", "announcement-text"].map(str::to_owned));
    for (file, sheet) in sheets {
        for (name, line) in sheet.names.iter().filter(|(name, _)| !names.contains(name)) {
            let meant = near::nearest(name, names.iter().map(String::as_str));
            let meant = meant.map(|meant| format!(" (perhaps #{meant}?)")).unwrap_or_default();
            report.wrong(&format!("{}:{line}: nothing is called #{name}{meant}", folder.join(file).display()));
        }
    }
    Ok(())
}

fn picture_of(window: &gtk4::Window) -> Option<Pixels> {
    shot::settle(window);
    shot::take(window, SCREEN.0, SCREEN.1).as_ref().map(Pixels::of)
}

/// Texts with too little contrast.
fn unreadable(window: &gtk4::Window, display: &gdk::Display) -> Vec<String> {
    let texts = inspect::texts(window);
    let colours = inspect::colours(&texts);
    let Some(with) = picture_of(window) else { return Vec::new() };
    let hidden = gtk4::CssProvider::new();
    hidden.load_from_data("label, text { color: transparent; caret-color: transparent; }");
    gtk4::style_context_add_provider_for_display(display, &hidden, gtk4::STYLE_PROVIDER_PRIORITY_USER + 1000);
    let without = picture_of(window);
    gtk4::style_context_remove_provider_for_display(display, &hidden);
    without.map(|without| inspect::unreadable(&texts, &colours, &with, &without)).unwrap_or_default()
}

/// Widgets of which it is not seen that they have the keyboard; each kind once.
fn unfocused(window: &gtk4::Window, seen: &mut BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let before = gtk4::prelude::GtkWindowExt::focus(window);
    let new = inspect::focusable(window).into_iter().filter(|(widget, _)| seen.insert(inspect::name_of(widget)));
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return lines;
    }
    for (widget, _) in new {
        if !widget.grab_focus() {
            continue;
        }
        window.set_focus_visible(true);
        let focused = picture_of(window);
        // Lists have scrolled to it meanwhile.
        let area = inspect::area(window, &widget);
        gtk4::prelude::GtkWindowExt::set_focus(window, None::<&gtk4::Widget>);
        let (Some(focused), Some(area), Some(plain)) = (focused, area, picture_of(window)) else { continue };
        match contrast::of_focus(&focused, &plain, &area) {
            Some(ratio) if ratio >= contrast::LARGE => {}
            ratio => lines.push(format!(
                "{}: the focus is not seen: contrast {:.2}, needed {}",
                inspect::name_of(&widget),
                ratio.unwrap_or(1.0),
                contrast::LARGE
            )),
        }
    }
    gtk4::prelude::GtkWindowExt::set_focus(window, before.as_ref());
    lines
}
