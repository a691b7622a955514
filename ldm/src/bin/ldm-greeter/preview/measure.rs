//! What can be said only of the greeter as it looks: contrast, focus and clipping, in several sizes and both directions.
//!
//! In English, whatever the language of whoever asks, so that it is the same everywhere.

use std::collections::BTreeSet;
use std::rc::Rc;

use gtk4::graphene::Rect;
use gtk4::{TextDirection, gdk, prelude::*};
use ldm_protocol::near;

use super::check::Report;
use super::contrast::Colour;
use super::inspect::Text;
use super::place::Palette;
use super::scenarios::Scenario;
use super::shot::{self, Pixels};
use super::{Stage, contrast, inspect, place, scenarios, still};
use crate::monitors;
use crate::theme::folder::Folder;
use crate::theme::layout::{Bar, Layout};
use crate::theme::manifest::{Manifest, Scheme, Slot};
use crate::theme::{self, Look, TEXT, picture, sheet, style};

/// What is looked at on a screen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Every main scenario, also under the pointer.
    Main,
    /// Those main scenarios that have a widget, class or state that none before them had.
    New,
    /// The bars over another picture.
    Bars,
}

/// One way to look at a theme.
struct View {
    size: (i32, i32),
    direction: TextDirection,
    extent: Extent,
}

/// The usual screen; then those on which `.tiny` and `.compact`, `.large` and `:dir(rtl)` count. In each of the others the
/// bars can be over another of the theme's pictures.
const VIEWS: [View; 6] = [
    View { size: (1024, 768), direction: TextDirection::Ltr, extent: Extent::Main },
    View { size: (320, 240), direction: TextDirection::Ltr, extent: Extent::New },
    View { size: (1920, 1080), direction: TextDirection::Ltr, extent: Extent::New },
    View { size: (1024, 768), direction: TextDirection::Rtl, extent: Extent::New },
    View { size: (1280, 800), direction: TextDirection::Ltr, extent: Extent::Bars },
    View { size: (768, 1024), direction: TextDirection::Ltr, extent: Extent::Bars },
];

/// The scenario of [`Extent::Bars`].
const BARS: &str = "prompt";

impl View {
    /// As messages have it.
    fn shown(&self) -> String {
        let (width, height) = self.size;
        let direction = if self.direction == TextDirection::Rtl { ", right to left" } else { "" };
        format!("{width}×{height}{direction}")
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// Texts that were measured in this view.
    texts: BTreeSet<String>,
    /// Names of widgets whose focus was looked at in this view.
    focused: BTreeSet<String>,
    /// Names of widgets, and their classes.
    names: BTreeSet<String>,
    classes: BTreeSet<String>,
    /// Kinds of widgets.
    kinds: BTreeSet<String>,
    /// Scenarios that brought one of these.
    news: BTreeSet<String>,
    /// What has been complained of, without numbers.
    told: BTreeSet<String>,
    /// What there is to complain of: its cause, the first complaint, and how many more have the same cause.
    causes: Vec<(String, String, usize)>,
}

/// A complaint: what of, which is told once, and by how much.
pub(super) struct Complaint {
    pub(super) what: String,
    pub(super) measured: String,
    /// A text's and that of what is behind it, one of which would have to be another.
    pub(super) colours: Option<(Colour, Colour)>,
    /// The name of the widget that it is about.
    pub(super) name: String,
    /// Complaints of one cause are told once, where that is not known from the colours.
    pub(super) cause: Option<String>,
}

impl From<String> for Complaint {
    fn from(what: String) -> Self {
        Self { what, measured: String::new(), colours: None, name: String::new(), cause: None }
    }
}

/// Measures the theme, and says what is wrong.
pub(super) fn all(
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
    look.show(&display);
    pictures(folder, manifest, report)?;
    let text = |file: &String| folder.text(file, TEXT).ok().flatten().unwrap_or_default();
    let texts: Vec<_> = sheets.iter().map(|(file, _)| (file.clone(), text(file))).collect();
    let mut palette = Palette::default();
    for (sheet, used) in [(style::BASE, !manifest.whole), (style::DARK, manifest.scheme == Scheme::Dark)] {
        palette.read(if used { sheet } else { "" });
    }
    for (_, text) in &texts {
        palette.read(text);
    }
    let theme = Theme { folder, look, texts, palette };
    let pictures = manifest.backgrounds.iter().filter(|slot| slot.file().is_some()).count();
    let room = monitors::room(&display);
    let mut seen = Seen::default();
    for (place, view) in VIEWS.iter().enumerate() {
        if view.extent == Extent::Bars && pictures < 2 {
            continue;
        }
        if place > 0 && (view.size.0 > room.0 || view.size.1 > room.1) {
            let (width, height) = room;
            Report::note(&format!("{} was not measured: this display has {width}×{height}", view.shown()));
            continue;
        }
        monitors::pretend(view.size);
        gtk4::Widget::set_default_direction(view.direction);
        seen.texts.clear();
        seen.focused.clear();
        let wanted: Vec<_> = scenarios::all().into_iter().filter(|scenario| wants(view, scenario, &seen)).collect();
        for scenario in wanted {
            one(&theme, view, scenario, &mut seen)?;
        }
    }
    for (_, told, more) in &seen.causes {
        let more = if *more > 0 { format!("; and {more} more like this") } else { String::new() };
        report.wrong(&format!("{told}{more}"));
    }
    // Over a session that runs, and so in no scenario.
    seen.names.extend(["announcement", "announcement-text"].map(str::to_owned));
    // Other layouts, Caps Lock, what a right click opens, and screens that may be left out.
    let layouts = Layout::ALL.iter().map(|(name, _)| format!("layout-{name}"));
    let bars = Bar::ALL.iter().map(|(name, _)| format!("bar-{name}"));
    seen.classes.extend(layouts.chain(bars).chain(["compact", "tiny", "large", "warning", "menu"].map(str::to_owned)));
    for (file, sheet) in sheets {
        for (list, known, what, sign) in
            [(&sheet.names, &seen.names, "is called", '#'), (&sheet.classes, &seen.classes, "has the class", '.')]
        {
            for (name, line) in list.iter().filter(|(name, _)| !known.contains(name)) {
                let meant = near::nearest(name, known.iter().map(String::as_str));
                let meant = meant.map(|meant| format!(" (perhaps {sign}{meant}?)")).unwrap_or_default();
                report.wrong(&format!("{}:{line}: nothing {what} {sign}{name}{meant}", folder.join(file).display()));
            }
        }
    }
    Ok(())
}

/// Pictures that cannot be drawn.
fn pictures(folder: &Folder, manifest: &Manifest, report: &mut Report) -> anyhow::Result<()> {
    for slot in &manifest.backgrounds {
        if let Slot::File(name, _) = slot
            && let Some(bytes) = folder.read(name, picture::BYTES)?
            && let Err(error) = picture::cover(&bytes, VIEWS[0].size.0, VIEWS[0].size.1)
        {
            report.wrong(&format!("{}: {error}", folder.join(name).display()));
        }
    }
    Ok(())
}

fn wants(view: &View, scenario: &Scenario, seen: &Seen) -> bool {
    match view.extent {
        Extent::Main => scenario.main,
        Extent::New => seen.news.contains(&scenario.name),
        Extent::Bars => scenario.name == BARS,
    }
}

/// What does not change from view to view.
struct Theme<'a> {
    folder: &'a Folder,
    look: Rc<Look>,
    /// Its sheets: name and text.
    texts: Vec<(String, String)>,
    palette: Palette,
}

impl Theme<'_> {
    /// Notes a complaint. Whatever has the same cause is told once: one colour may make half of the greeter unreadable.
    fn complain(&self, complaint: &Complaint, scenario: &str, view: &View, seen: &mut Seen) {
        let Complaint { what, measured, colours, name, cause } = complaint;
        if !seen.told.insert(what.clone()) {
            return;
        }
        let file = self.folder.join("style.css").display().to_string();
        let (mut place, mut shown, mut cause) = (file, String::new(), cause.clone().unwrap_or_else(|| what.clone()));
        if let Some((own, behind)) = *colours {
            let found = place::of(&self.texts, own, name).or_else(|| place::of(&self.texts, behind, name));
            if let Some((file, line)) = found {
                place = format!("{}:{line}", self.folder.join(file).display());
            }
            let named = |colour, of_text| {
                let name = self.palette.name(colour, of_text).map(|name| format!("@{name} ")).unwrap_or_default();
                name + &place::shown(colour)
            };
            shown = format!(" ({} on {})", named(own, true), named(behind, false));
            // What is behind a text is of many colours, if it is a picture.
            cause = format!("{place} {} on {:?}", place::shown(own), self.palette.name(behind, false));
        }
        if let Some((.., more)) = seen.causes.iter_mut().find(|(other, ..)| *other == cause) {
            *more += 1;
        } else {
            let told = format!("{place}: {scenario} at {}: {what}{measured}{shown}", view.shown());
            seen.causes.push((cause, told, 0));
        }
    }
}

/// One scenario.
fn one(theme: &Theme, view: &View, scenario: Scenario, seen: &mut Seen) -> anyhow::Result<()> {
    let (name, long) = (scenario.name.clone(), scenario.long);
    let (width, height) = view.size;
    let stage = Stage::checked(&theme.look, scenario)?;
    let window = Stage::root()?;
    let camera = Camera { window: &window, size: view.size };
    inspect::names(&window, &mut seen.names);
    inspect::classes(&window, &mut seen.classes);
    if view.extent == Extent::Main {
        let before = seen.kinds.len();
        inspect::kinds(&window, &mut seen.kinds);
        if seen.kinds.len() > before {
            seen.news.insert(name.clone());
        }
    }
    let mut complaints: Vec<Complaint> = stage.complaints().into_iter().map(Complaint::from).collect();
    complaints.extend(inspect::clipped(&window, width, height, long).into_iter().map(Complaint::from));
    complaints.extend(camera.unreadable(&mut seen.texts));
    if view.extent == Extent::Main {
        complaints.extend(camera.pointed_at(&mut seen.texts));
    }
    if view.extent != Extent::Bars {
        complaints.extend(camera.unfocused(&mut seen.focused));
    }
    for complaint in &complaints {
        theme.complain(complaint, &name, view, seen);
    }
    stage.close();
    Ok(())
}

/// Takes pictures of a window.
struct Camera<'a> {
    window: &'a gtk4::Window,
    size: (i32, i32),
}

impl Camera<'_> {
    /// Texts that have too little contrast, of those that were not measured before.
    fn unreadable(&self, measured: &mut BTreeSet<String>) -> Vec<Complaint> {
        let mut texts = inspect::texts(self.window);
        texts.retain(|text| measured.insert(text.key()));
        self.contrast(&texts, "")
    }

    /// The same while the pointer is on whatever can be pressed. On all of it at once: what is seen of one does not depend on
    /// another.
    fn pointed_at(&self, measured: &mut BTreeSet<String>) -> Vec<Complaint> {
        let usable = |widget: &gtk4::Widget| {
            widget.is_sensitive() && (widget.is::<gtk4::Button>() || widget.is::<gtk4::ListBoxRow>())
        };
        let mut all: Vec<_> = inspect::widgets(self.window).into_iter().map(|(widget, _)| widget).collect();
        all.retain(usable);
        let mut texts = inspect::texts(self.window);
        texts.retain(|text| all.iter().any(|widget| text.is_in(widget)) && measured.insert(text.key() + " pointed at"));
        if texts.is_empty() {
            return Vec::new();
        }
        for widget in &all {
            widget.set_state_flags(gtk4::StateFlags::PRELIGHT, false);
        }
        shot::redraw(self.window);
        let complaints = self.contrast(&texts, " under the pointer");
        for widget in &all {
            widget.unset_state_flags(gtk4::StateFlags::PRELIGHT);
        }
        complaints
    }

    /// Those with too little contrast, of which `when` is said. What comes next has to draw again.
    fn contrast(&self, texts: &[Text], when: &str) -> Vec<Complaint> {
        if texts.is_empty() {
            return Vec::new();
        }
        let display = WidgetExt::display(self.window);
        let colours = inspect::colours(texts);
        // No more than is looked at: drawing is what takes the time.
        let areas = texts.iter().map(|text| text.area);
        let area = areas.reduce(|all, one| all.union(&one)).unwrap_or_else(Rect::zero);
        let take = || Pixels::take(self.window, &contrast::around(&area).intersection(&shot::whole(self.size))?);
        let Some(with) = take() else { return Vec::new() };
        let hidden = gtk4::CssProvider::new();
        hidden.load_from_data("label, text { color: transparent; caret-color: transparent; }");
        gtk4::style_context_add_provider_for_display(&display, &hidden, gtk4::STYLE_PROVIDER_PRIORITY_USER + 1000);
        shot::redraw(self.window);
        let without = take();
        gtk4::style_context_remove_provider_for_display(&display, &hidden);
        without.map(|without| inspect::unreadable(texts, &colours, when, &with, &without)).unwrap_or_default()
    }

    /// Widgets of which it is not seen that they have the keyboard; each kind once.
    fn unfocused(&self, seen: &mut BTreeSet<String>) -> Vec<Complaint> {
        let window = self.window;
        let mut complaints = Vec::new();
        let before = gtk4::prelude::GtkWindowExt::focus(window);
        let new = inspect::focusable(window).into_iter().filter(|(widget, _)| seen.insert(inspect::name_of(widget)));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return complaints;
        }
        // GTK takes it for unused after three seconds.
        let visible = window.connect_focus_visible_notify(|window| {
            if !window.gets_focus_visible() {
                window.set_focus_visible(true);
            }
        });
        window.set_focus_visible(true);
        for (widget, _) in new {
            if !widget.grab_focus() {
                continue;
            }
            shot::redraw(window);
            // Lists have scrolled to it meanwhile.
            let area = inspect::area(window, &widget);
            let take = || Pixels::take(window, &contrast::around(area.as_ref()?));
            let focused = take();
            gtk4::prelude::GtkWindowExt::set_focus(window, None::<&gtk4::Widget>);
            shot::redraw(window);
            let (Some(focused), Some(area), Some(plain)) = (focused, area, take()) else { continue };
            match contrast::of_focus(&focused, &plain, &area) {
                Some(ratio) if ratio >= contrast::LARGE => {}
                ratio => complaints.push(Complaint {
                    what: format!("{}: the focus is not seen", inspect::name_of(&widget)),
                    measured: format!(": contrast {:.2}, needed {}", ratio.unwrap_or(1.0), contrast::LARGE),
                    colours: None,
                    name: inspect::name_of(&widget),
                    cause: Some(format!("focus of {}", widget.css_name())),
                }),
            }
        }
        window.disconnect(visible);
        gtk4::prelude::GtkWindowExt::set_focus(window, before.as_ref());
        complaints
    }
}
