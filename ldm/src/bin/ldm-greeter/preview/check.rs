//! `--check-theme`: everything that is wrong with a theme's folder, with file and line.
//!
//! First the files as they are; then, where there is a display, the greeter as it looks with them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use ldm_protocol::near;

use super::{measure, out};
use crate::theme::folder::Folder;
use crate::theme::manifest::{Manifest, Slot};
use crate::theme::picture::Kind;
use crate::theme::{self, ThemeError, sheet, style};

/// Narrower pictures look blurred on a usual monitor.
const WIDE: u32 = 1920;

/// What was found, told as it is found.
#[derive(Default)]
pub(super) struct Report {
    wrong: usize,
}

impl Report {
    pub(super) fn wrong(&mut self, what: &str) {
        self.wrong += 1;
        out(what);
    }

    /// Something to know, and no reason to fail.
    pub(super) fn note(what: &str) {
        out(&format!("note: {what}"));
    }

    pub(super) fn errors(&mut self, errors: impl IntoIterator<Item = ThemeError>) {
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
    let checked = style::check(&folder);
    let may_be_read = checked.is_ok();
    let sheets = checked.unwrap_or_else(|errors| {
        report.errors(errors);
        Vec::new()
    });
    colours(&folder, &manifest, &sheets, &mut report);
    unused(&folder, &manifest, &sheets);
    unreadable(&folder);
    let display = gtk4::init().is_ok();
    // Whatever a sheet names, GTK would open.
    if display && may_be_read && !sheets.is_empty() {
        report.errors(style::parse(&folder).1);
    }
    if !display {
        Report::note("no display: what GTK reads, contrast and clipping were not checked");
    } else if report.wrong == 0 {
        measure::all(&folder, &manifest, &sheets, &mut report)?;
    } else {
        Report::note("contrast and clipping are checked when all of this is right");
    }
    let path = folder.path().display();
    match report.wrong {
        0 => out(&format!("{path}: no mistakes")),
        1 => out(&format!("{path}: 1 mistake")),
        wrong => out(&format!("{path}: {wrong} mistakes")),
    }
    Ok(if report.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// What the greeter's user will not be able to read, as it is when a strict umask made it.
fn unreadable(folder: &Folder) {
    let files = folder.names().into_iter().map(|name| (folder.join(&name), 0o004));
    for (path, needed) in std::iter::once((folder.path().to_owned(), 0o005)).chain(files) {
        let mode = path.metadata().map_or(needed, |about| about.mode());
        if mode & needed != needed {
            Report::note(&format!("{}: mode {:03o}: the greeter runs as another user", path.display(), mode & 0o777));
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
