//! Looks at the greeter's widgets as they are laid out: what is cut off, what cannot be read, what everything is called.

use std::collections::BTreeSet;

use gtk4::graphene::Rect;
use gtk4::{pango, prelude::*};

use super::contrast;
use super::measure::Complaint;
use super::shot::{self, Pixels};

/// Names and classes of texts that are data: where the data are longer than any room, they end with an ellipsis.
const DATA: [&str; 10] = [
    "title",
    "hostname",
    "address",
    "name",
    "comment",
    "server-menu",
    "session-menu",
    "language-menu",
    "layout-menu",
    "status",
];

/// How much of a text may be outside of where it is drawn: half a pixel on each side is rounding.
const SLACK: f32 = 1.5;

/// A text that is seen.
pub(crate) struct Text {
    /// A label, or the text in an entry.
    widget: gtk4::Widget,
    words: String,
    /// Its place in the picture.
    pub(crate) area: Rect,
}

impl Text {
    /// Whether it is in this widget.
    pub(crate) fn is_in(&self, widget: &gtk4::Widget) -> bool {
        self.widget.is_ancestor(widget)
    }

    /// Whatever would make it look different, or be somewhere else.
    pub(crate) fn key(&self) -> String {
        let Self { widget, words, area } = self;
        format!("{} {words} {} {} {} {}", kind(widget), area.x(), area.y(), area.width(), area.height())
    }

    /// How it is called in messages: the nearest name, and the text's beginning.
    fn shown(&self) -> String {
        let text: String = self.words.chars().take(40).collect();
        format!("{} “{}”", called(&self.widget), text.replace('\n', " "))
    }
}

/// Every widget that is mapped, with its place in the picture.
pub(crate) fn widgets(window: &gtk4::Window) -> Vec<(gtk4::Widget, Rect)> {
    let mut found = Vec::new();
    for (layer, x, y) in shot::layers(window) {
        let mut waiting = vec![layer.clone()];
        while let Some(widget) = waiting.pop() {
            let mut child = widget.first_child();
            while let Some(one) = child {
                child = one.next_sibling();
                // A popover is a layer of its own; a tooltip, which the pointer may happen to call, is no part of the picture.
                if one.is_mapped() && !one.is::<gtk4::Native>() {
                    waiting.push(one);
                }
            }
            if let Some(bounds) = widget.compute_bounds(&layer) {
                found.push((widget, bounds.offset_r(x, y)));
            }
        }
    }
    found
}

/// The texts in the picture.
pub(crate) fn texts(window: &gtk4::Window) -> Vec<Text> {
    let menus: Vec<Rect> = popovers(window.upcast_ref())
        .iter()
        .filter(|menu| menu.is_mapped())
        .filter_map(|menu| shot::place(window, menu))
        .collect();
    let texts = widgets(window).into_iter().filter_map(|(widget, area)| {
        let covered = widget.ancestor(gtk4::Popover::static_type()).is_none()
            && menus.iter().any(|menu| menu.intersection(&area).is_some());
        if covered {
            return None;
        }
        let words = match widget.downcast_ref::<gtk4::Label>() {
            Some(label) => label.text().trim().to_owned(),
            // Whatever will be typed there.
            None if widget.is::<gtk4::Text>() => "…".to_owned(),
            None => return None,
        };
        let seen = !words.is_empty() && widget.opacity() > 0.0;
        seen.then_some(Text { widget, words, area })
    });
    texts.collect()
}

/// The words that are seen, each with what it is called.
pub(crate) fn words(window: &gtk4::Window) -> Vec<(String, String)> {
    let labels = texts(window).into_iter().filter(|text| text.widget.is::<gtk4::Label>());
    labels.map(|text| (called(&text.widget), text.words.replace('\n', " "))).collect()
}

/// The name of a widget, or of the nearest around it, as a style sheet has it.
fn called(widget: &gtk4::Widget) -> String {
    let around = std::iter::successors(Some(widget.clone()), WidgetExt::parent);
    let name = around.map(|w| (w.widget_name(), w.type_().name())).find(|(name, kind)| name.as_str() != *kind);
    name.map_or_else(|| widget.css_name().to_string(), |(name, _)| format!("#{name}"))
}

/// The names that a style sheet can use for what is there now.
pub(crate) fn names(window: &gtk4::Window, into: &mut BTreeSet<String>) {
    every(window, |widget| {
        let name = widget.widget_name();
        if name != widget.type_().name() {
            into.insert(name.to_string());
        }
    });
}

/// The classes that what is there now has.
pub(crate) fn classes(window: &gtk4::Window, into: &mut BTreeSet<String>) {
    every(window, |widget| into.extend(widget.css_classes().into_iter().map(String::from)));
}

/// Looks at every widget, seen or not.
fn every(window: &gtk4::Window, mut look: impl FnMut(&gtk4::Widget)) {
    let mut waiting: Vec<gtk4::Widget> = vec![window.clone().upcast()];
    while let Some(widget) = waiting.pop() {
        look(&widget);
        let mut child = widget.first_child();
        while let Some(one) = child {
            child = one.next_sibling();
            waiting.push(one);
        }
    }
}

/// What a style sheet can tell apart among what is there now.
pub(crate) fn kinds(window: &gtk4::Window, into: &mut BTreeSet<String>) {
    into.extend(widgets(window).iter().map(|(widget, _)| kind(widget)));
}

/// What a style sheet can know of a widget: node names, names, classes and states, up to the window.
fn kind(widget: &gtk4::Widget) -> String {
    let direction = gtk4::StateFlags::DIR_LTR | gtk4::StateFlags::DIR_RTL;
    let around = std::iter::successors(Some(widget.clone()), WidgetExt::parent);
    let node = |widget: gtk4::Widget| {
        let classes = widget.css_classes().join(".");
        let state = widget.state_flags().difference(direction).bits();
        format!("{}#{}.{classes}:{state}", widget.css_name(), widget.widget_name())
    };
    around.map(node).collect::<Vec<_>>().join(" ")
}

/// What is cut off or outside of the screen, one line each.
pub(crate) fn clipped(window: &gtk4::Window, width: i32, height: i32, long: bool) -> Vec<String> {
    let screen = Rect::new(0.0, 0.0, short(width), short(height));
    let mut lines = Vec::new();
    if window.width() > width || window.height() > height {
        lines.push(format!("the window needs {}×{}", window.width(), window.height()));
    }
    for text in texts(window) {
        if let Some(what) = cut(&text, long) {
            lines.push(format!("{} {what}", text.shown()));
        }
    }
    for (widget, area) in widgets(window) {
        let seen = clip_of(&widget);
        if !inside(&area, &screen) && !scrolls(&widget) && matters(&widget) {
            lines.push(format!("{} is outside of the screen", called(&widget)));
        } else if let Some((clip, layer)) = seen.filter(|_| matters(&widget)) {
            // Inside of a list, only sideways: the rest comes with scrolling.
            if let Some(bounds) = widget.compute_bounds(&layer)
                && (bounds.x() + SLACK < clip.x() || bounds.x() + bounds.width() > clip.x() + clip.width() + SLACK)
            {
                lines.push(format!("{} is cut off at the side of what scrolls it", called(&widget)));
            }
        }
        if let Some(scrolled) = widget.downcast_ref::<gtk4::ScrolledWindow>() {
            let adjustment = scrolled.vadjustment();
            let line = f64::from(line_height(&widget));
            let more = adjustment.upper() > adjustment.page_size() + 1.0;
            if more && adjustment.page_size() < line {
                lines.push(format!("{} shows less than one line", called(&widget)));
            }
            if more && !long && on_a_big_monitor(&widget) {
                lines.push(format!("{} scrolls where there is room for all of it", called(&widget)));
            }
        }
    }
    if let Some(focus) = gtk4::prelude::GtkWindowExt::focus(window)
        && let Some((clip, scroller)) = clip_of(&focus)
        && let Some(place) = focus.compute_bounds(&scroller)
        && (place.y() + SLACK < clip.y() || place.y() + place.height() > clip.y() + clip.height() + SLACK)
    {
        lines.push(format!("{} has the keyboard and is scrolled out of sight", called(&focus)));
    }
    lines.dedup();
    lines
}

fn on_a_big_monitor(widget: &gtk4::Widget) -> bool {
    std::iter::successors(Some(widget.clone()), WidgetExt::parent).any(|around| around.has_css_class("large"))
}

fn short(length: i32) -> f32 {
    f32::from(i16::try_from(length).unwrap_or(i16::MAX))
}

/// Only what has a meaning of its own.
fn matters(widget: &gtk4::Widget) -> bool {
    widget.is::<gtk4::Label>()
        || widget.is::<gtk4::Button>()
        || widget.is::<gtk4::Entry>()
        || widget.is::<gtk4::PasswordEntry>()
        || widget.is::<gtk4::Picture>() && widget.widget_name() == "qr"
        || widget.is::<gtk4::Image>()
}

fn scroller(widget: &gtk4::Widget) -> Option<gtk4::Widget> {
    widget.ancestor(gtk4::ScrolledWindow::static_type())
}

fn scrolls(widget: &gtk4::Widget) -> bool {
    scroller(widget).is_some()
}

/// What scrolls the widget, and which part of it is not under a scroll bar.
fn clip_of(widget: &gtk4::Widget) -> Option<(Rect, gtk4::Widget)> {
    let scroller = scroller(widget)?;
    let port = scroller.downcast_ref::<gtk4::ScrolledWindow>()?.child()?;
    Some((port.compute_bounds(&scroller)?, scroller))
}

fn inside(area: &Rect, screen: &Rect) -> bool {
    let grown = screen.inset_r(-SLACK, -SLACK);
    grown.contains_rect(area)
}

fn line_height(widget: &gtk4::Widget) -> i32 {
    let metrics = widget.pango_context().metrics(None, None);
    (metrics.ascent() + metrics.descent()) / pango::SCALE
}

fn cut(text: &Text, long: bool) -> Option<&'static str> {
    let layout = text.widget.downcast_ref::<gtk4::Label>()?.layout();
    if layout.is_ellipsized() {
        let around = std::iter::successors(Some(text.widget.clone()), WidgetExt::parent);
        let names: Vec<_> = around
            .take(5)
            .flat_map(|w| {
                w.css_classes().into_iter().map(|class| class.to_string()).chain([w.widget_name().to_string()])
            })
            .collect();
        let data = names.iter().any(|name| DATA.contains(&name.as_str()));
        return (!long || !data).then_some("ends with an ellipsis");
    }
    let (width, height) = layout.pixel_size();
    if short(width) > text.area.width() + SLACK || short(height) > text.area.height() + SLACK {
        return Some("is larger than its place");
    }
    None
}

/// The colours in which texts are drawn, with their opacity.
pub(crate) fn colours(texts: &[Text]) -> Vec<([f64; 3], f64)> {
    let colour = |text: &Text| {
        let colour = text.widget.style_context().color();
        let around = std::iter::successors(Some(text.widget.clone()), WidgetExt::parent);
        let alpha = around.fold(f64::from(colour.alpha()), |alpha, widget| alpha * widget.opacity());
        ([colour.red(), colour.green(), colour.blue()].map(f64::from), alpha)
    };
    texts.iter().map(colour).collect()
}

/// Texts whose contrast is too low; `when` is said of each. `with` and `without` are the pictures with the texts and without them.
pub(crate) fn unreadable(
    texts: &[Text],
    colours: &[([f64; 3], f64)],
    when: &str,
    with: &Pixels,
    without: &Pixels,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (text, &(colour, alpha)) in texts.iter().zip(colours) {
        // What cannot be used now is exempt (WCAG 1.4.3, "Incidental").
        if !text.widget.is_sensitive() {
            continue;
        }
        let Some(area) = visible(&text.widget, &text.area) else { continue };
        let needed = if is_large(&text.widget) { contrast::LARGE } else { contrast::TEXT };
        let measured = contrast::of_text(with, without, &area, colour, alpha);
        if let Some((ratio, ground)) = measured.filter(|(ratio, _)| *ratio < needed) {
            complaints.push(Complaint {
                what: format!("{}{when}", text.shown()),
                measured: format!(": contrast {ratio:.2}, needed {needed}"),
                colours: Some((colour, ground)),
                name: called(&text.widget),
                cause: None,
            });
        }
    }
    complaints
}

/// What of it the list around it shows.
fn visible(widget: &gtk4::Widget, area: &Rect) -> Option<Rect> {
    let Some(scroller) = scroller(widget) else { return Some(*area) };
    let inner = widget.compute_bounds(&scroller)?;
    let whole = scroller.compute_bounds(&scroller)?;
    let seen = inner.intersection(&whole)?;
    // The upper edge of a line that is scrolled to is no text yet.
    if seen.height() < inner.height().min(short(line_height(widget))) {
        return None;
    }
    Some(Rect::new(area.x() + seen.x() - inner.x(), area.y() + seen.y() - inner.y(), seen.width(), seen.height()))
}

/// 18 points, or 14 if bold, at 96 pixels to the inch.
fn is_large(widget: &gtk4::Widget) -> bool {
    let font = widget.pango_context().font_description();
    let Some(font) = font else { return false };
    let size =
        f64::from(font.size()) / f64::from(pango::SCALE) * if font.is_size_absolute() { 1.0 } else { 96.0 / 72.0 };
    size >= 24.0 || size >= 18.66 && font.weight() >= pango::Weight::Bold
}

/// Everything that can have the keyboard now.
pub(crate) fn focusable(window: &gtk4::Window) -> Vec<(gtk4::Widget, Rect)> {
    let usable = |widget: &gtk4::Widget| widget.is_sensitive() && widget.is_focusable() && widget.can_focus();
    let inner = |widget: &gtk4::Widget| {
        widget.is::<gtk4::Text>()
            || widget.is::<gtk4::Window>()
            || widget.is::<gtk4::ScrolledWindow>()
            || widget.is::<gtk4::ListBox>()
    };
    let mut found: Vec<_> = widgets(window)
        .into_iter()
        .filter(|(widget, _)| usable(widget) && !inner(widget))
        .filter(|(widget, area)| !scrolls(widget) || area.height() > 0.0)
        .collect();
    // What delegates the keyboard is not focusable itself.
    found.extend(widgets(window).into_iter().filter(|(widget, _)| {
        widget.is_sensitive() && (widget.is::<gtk4::Entry>() || widget.is::<gtk4::PasswordEntry>())
    }));
    found
}

/// How a widget is called in messages.
pub(crate) fn name_of(widget: &gtk4::Widget) -> String {
    called(widget)
}

/// The widget of this name.
pub(crate) fn find(window: &gtk4::Window, name: &str) -> Option<gtk4::Widget> {
    let mut waiting: Vec<gtk4::Widget> = vec![window.clone().upcast()];
    while let Some(widget) = waiting.pop() {
        if widget.widget_name() == name {
            return Some(widget);
        }
        let mut child = widget.first_child();
        while let Some(one) = child {
            child = one.next_sibling();
            waiting.push(one);
        }
    }
    None
}

/// The buttons in a list, in order.
pub(crate) fn buttons(list: &gtk4::Widget) -> Vec<gtk4::Widget> {
    if list.is::<gtk4::Button>() {
        return vec![list.clone()];
    }
    let children = std::iter::successors(list.first_child(), WidgetExt::next_sibling);
    children.flat_map(|child| buttons(&child)).collect()
}

/// The menus that belong to a widget or to something in it.
pub(crate) fn popovers(widget: &gtk4::Widget) -> Vec<gtk4::Widget> {
    let children = std::iter::successors(widget.first_child(), WidgetExt::next_sibling);
    children.flat_map(|child| if child.is::<gtk4::Popover>() { vec![child] } else { popovers(&child) }).collect()
}

/// The place of a widget in the picture.
pub(crate) fn area(window: &gtk4::Window, widget: &gtk4::Widget) -> Option<Rect> {
    widgets(window).into_iter().find(|(other, _)| other == widget).map(|(_, area)| area)
}
