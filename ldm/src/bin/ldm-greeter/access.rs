//! The switches for help in seeing, hearing and typing, and what each does to the greeter at once.
//!
//! Screen reader and screen keyboard are programs, which the daemon starts; it remembers the switches, too.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::gdk;
use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use ldm_protocol::client::Access;
use ldm_protocol::greetd::Assistants;

use crate::i18n::gettext;
use crate::icons::Icon;
use crate::keyboard::Keyboard;
use crate::theme;
use crate::window::{Missing, get};

/// Style classes of the window.
const CONTRAST: &str = "high-contrast";
const LARGE: &str = "large-text";

/// The sheet of [`LARGE`], for themes that know nothing of it.
const LARGE_SHEET: &str = include_str!("text.css");

/// A switch: a button that stays down, with a box that is ticked while it is. GTK 4.8 lets assistive programs press such a button, and a check
/// button not; both say whether they are on.
const SWITCH: &str = include_str!("switch.ui");

/// The pointer that entries have.
const TEXT: &str = "text";

/// Edge of the large pointer's picture, and how far its tip is from the corner.
const POINTER: i32 = 64;
const TIP: i32 = 3;

/// One switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aid {
    ScreenReader,
    HighContrast,
    LargeText,
    LargePointer,
    StickyKeys,
    SlowKeys,
    Keyboard,
}

impl Aid {
    const ALL: [Self; 7] = [
        Self::ScreenReader,
        Self::HighContrast,
        Self::LargeText,
        Self::LargePointer,
        Self::StickyKeys,
        Self::SlowKeys,
        Self::Keyboard,
    ];

    fn of(self, access: &mut Access) -> &mut bool {
        match self {
            Self::ScreenReader => &mut access.screen_reader,
            Self::HighContrast => &mut access.high_contrast,
            Self::LargeText => &mut access.large_text,
            Self::LargePointer => &mut access.large_pointer,
            Self::StickyKeys => &mut access.sticky_keys,
            Self::SlowKeys => &mut access.slow_keys,
            Self::Keyboard => &mut access.keyboard,
        }
    }

    fn name(self) -> String {
        match self {
            // Translators: a program that says aloud what is on the screen.
            Self::ScreenReader => gettext("Screen reader"),
            // Translators: black and white instead of colours.
            Self::HighContrast => gettext("High contrast"),
            Self::LargeText => gettext("Large text"),
            // Translators: the mouse's arrow.
            Self::LargePointer => gettext("Large pointer"),
            // Translators: Shift, Ctrl and the like need not be held down.
            Self::StickyKeys => gettext("Sticky keys"),
            // Translators: a key counts only when it is held down for a while.
            Self::SlowKeys => gettext("Slow keys"),
            Self::Keyboard => gettext("On-screen keyboard"),
        }
    }

    fn description(self) -> String {
        match self {
            Self::ScreenReader => gettext("Reads the screen aloud. Also Alt+Super+S."),
            Self::HighContrast => gettext("Black and white, with thick borders."),
            Self::LargeText => gettext("Half as large again."),
            Self::LargePointer => gettext("A mouse pointer that is easily found."),
            Self::StickyKeys => gettext("Shift, Ctrl and Alt can be pressed before the other key."),
            Self::SlowKeys => gettext("A key counts only when it is held."),
            Self::Keyboard => gettext("Type with the mouse or by touch."),
        }
    }
}

/// The widgets of one switch.
struct Switch {
    aid: Aid,
    button: gtk4::ToggleButton,
    label: gtk4::Label,
    comment: gtk4::Label,
    /// The box, without the tick and with it.
    marks: [gtk4::DrawingArea; 2],
}

impl Switch {
    fn new(aid: Aid) -> Result<Self, Missing> {
        let ui = gtk4::Builder::from_string(SWITCH);
        let content: gtk4::Box = get(&ui, "content")?;
        let marks = [Icon::Off, Icon::On].map(Icon::widget);
        for mark in marks.iter().rev() {
            content.prepend(mark);
        }
        Ok(Self { aid, button: get(&ui, "switch")?, label: get(&ui, "label")?, comment: get(&ui, "comment")?, marks })
    }
}

/// The switches in their list, and what is on.
pub(crate) struct Panel {
    root: gtk4::Window,
    switches: Vec<Switch>,
    keyboard: Option<Rc<Keyboard>>,
    /// What is on.
    access: Cell<Access>,
    /// What the daemon said last.
    told: Cell<Option<Access>>,
    /// There is a screen reader to be switched.
    has_reader: Cell<bool>,
    /// The switches are being set to what is on.
    filling: Cell<bool>,
    /// [`LARGE_SHEET`], while it is in use.
    large: RefCell<Option<gtk4::CssProvider>>,
    /// The entries that are kept from taking back their own pointers.
    held: RefCell<Vec<(gtk4::Widget, glib::SignalHandlerId)>>,
    changed: Rc<dyn Fn(Access)>,
}

impl Panel {
    /// Puts the switches into `list`; `changed` is told what the user wants.
    pub(crate) fn new(
        root: &gtk4::Window,
        list: &gtk4::Box,
        keyboard: Option<Rc<Keyboard>>,
        changed: impl Fn(Access) + 'static,
    ) -> Result<Rc<Self>, Missing> {
        let switches = Aid::ALL.into_iter().map(Switch::new).collect::<Result<_, _>>()?;
        let this = Rc::new(Self {
            root: root.clone(),
            switches,
            keyboard,
            access: Cell::new(Access::default()),
            told: Cell::new(None),
            has_reader: Cell::new(false),
            filling: Cell::new(false),
            large: RefCell::new(None),
            held: RefCell::default(),
            changed: Rc::new(changed),
        });
        for Switch { aid, button, .. } in &this.switches {
            let aid = *aid;
            button.connect_toggled(clone!(
                #[weak]
                this,
                move |button| {
                    if !this.filling.get() {
                        this.switch(aid, button.is_active());
                    }
                }
            ));
            list.append(button);
        }
        this.set_texts();
        Ok(this)
    }

    /// The texts in the language in use.
    pub(crate) fn set_texts(&self) {
        for switch in &self.switches {
            let about = switch.aid.description();
            switch.label.set_text(&switch.aid.name());
            switch.comment.set_text(&about);
            // Screen readers get this as the description, and others where there is no room for it.
            switch.button.set_tooltip_text(Some(&about));
            switch.button.set_has_tooltip(!switch.comment.is_visible());
        }
    }

    /// Whether there is room to say of each what it is for.
    pub(crate) fn set_explained(&self, explained: bool) {
        for Switch { button, comment, .. } in &self.switches {
            comment.set_visible(explained);
            button.set_has_tooltip(!explained);
        }
    }

    /// What is on.
    pub(crate) fn access(&self) -> Access {
        self.access.get()
    }

    /// Takes over what the daemon says is on, and offers what can be switched.
    pub(crate) fn show(&self, access: Access, assistants: Assistants) {
        for Switch { aid, button, .. } in &self.switches {
            match aid {
                Aid::ScreenReader => button.set_visible(assistants.screen_reader),
                Aid::Keyboard => button.set_visible(assistants.keyboard),
                Aid::StickyKeys | Aid::SlowKeys => button.set_visible(self.keyboard.is_some()),
                _ => {}
            }
        }
        self.has_reader.set(assistants.screen_reader);
        // It is said once a connection; what the user has switched since is newer.
        if self.told.replace(Some(access)) != Some(access) {
            self.put(access);
        }
    }

    /// Switches the screen reader, as its key does, if there is one.
    pub(crate) fn toggle_reader(&self) {
        if self.has_reader.get() {
            self.switch(Aid::ScreenReader, !self.access.get().screen_reader);
        }
    }

    fn switch(&self, aid: Aid, on: bool) {
        let mut access = self.access.get();
        *aid.of(&mut access) = on;
        self.put(access);
        (self.changed)(access);
    }

    /// Does it, as far as the greeter can.
    fn put(&self, access: Access) {
        let before = self.access.replace(access);
        self.filling.set(true);
        for Switch { aid, button, marks: [off, ticked], .. } in &self.switches {
            let mut now = access;
            let on = *aid.of(&mut now);
            button.set_active(on);
            off.set_visible(!on);
            ticked.set_visible(on);
        }
        self.filling.set(false);
        self.set_class(CONTRAST, access.high_contrast);
        theme::style::high_contrast(&WidgetExt::display(&self.root), access.high_contrast);
        self.set_class(LARGE, access.large_text);
        self.set_large(access.large_text);
        if before.large_pointer != access.large_pointer {
            for (text, handler) in self.held.take() {
                text.disconnect(handler);
            }
            let cursor = access.large_pointer.then(large_pointer).flatten();
            point(self.root.upcast_ref(), cursor.as_ref(), &mut self.held.borrow_mut());
        }
        if let Some(keyboard) = &self.keyboard
            && (before.sticky_keys, before.slow_keys) != (access.sticky_keys, access.slow_keys)
        {
            keyboard.help(access.sticky_keys, access.slow_keys);
        }
    }

    fn set_class(&self, class: &str, on: bool) {
        if on { self.root.add_css_class(class) } else { self.root.remove_css_class(class) }
    }

    fn set_large(&self, on: bool) {
        if on == self.large.borrow().is_some() {
            return;
        }
        let display = WidgetExt::display(&self.root);
        if let Some(provider) = self.large.take() {
            gtk4::style_context_remove_provider_for_display(&display, &provider);
            return;
        }
        let provider = gtk4::CssProvider::new();
        provider.load_from_data(LARGE_SHEET);
        gtk4::style_context_add_provider_for_display(&display, &provider, gtk4::STYLE_PROVIDER_PRIORITY_USER);
        self.large.replace(Some(provider));
    }
}

/// Gives this pointer to the widget and to those in it that have one of their own; `None`: their own again.
fn point(widget: &gtk4::Widget, cursor: Option<&gdk::Cursor>, held: &mut Vec<(gtk4::Widget, glib::SignalHandlerId)>) {
    // Each window of the X server has a pointer of its own, lists that open too.
    if widget.is::<gtk4::Native>() {
        widget.set_cursor(cursor);
    } else if widget.is::<gtk4::Text>() {
        match cursor {
            Some(cursor) => {
                widget.set_cursor(Some(cursor));
                held.push((widget.clone(), hold(widget, cursor.clone())));
            }
            None => widget.set_cursor_from_name(Some(TEXT)),
        }
    }
    let mut child = widget.first_child();
    while let Some(next) = child {
        point(&next, cursor, held);
        child = next.next_sibling();
    }
}

/// GTK hides the pointer over an entry while something is typed there, and then shows its own.
fn hold(text: &gtk4::Widget, cursor: gdk::Cursor) -> glib::SignalHandlerId {
    text.connect_cursor_notify(move |text| {
        if text.cursor().and_then(|shown| shown.name()).is_some_and(|name| name == TEXT) {
            text.set_cursor(Some(&cursor));
        }
    })
}

/// A black arrow with a white border. Drawn here: a thin client need not have any pointer themes.
fn large_pointer() -> Option<gdk::Cursor> {
    let side = usize::try_from(POINTER).ok()?;
    let pixels: Vec<u8> = (0..side * side).flat_map(|place| arrow(place % side, place / side)).collect();
    let format = gdk::MemoryFormat::R8g8b8a8;
    let texture = gdk::MemoryTexture::new(POINTER, POINTER, format, &glib::Bytes::from_owned(pixels), side * 4);
    Some(gdk::Cursor::from_texture(&texture, TIP, TIP, None))
}

/// The colour of one of its pixels.
fn arrow(x: usize, y: usize) -> [u8; 4] {
    // Its tip, its left edge, and the corners of head and shaft; clockwise.
    const OUTLINE: [(f64, f64); 7] =
        [(3.0, 3.0), (3.0, 49.0), (14.0, 39.0), (22.0, 58.0), (31.0, 54.0), (23.0, 36.0), (37.0, 36.0)];
    const BORDER: f64 = 3.0;
    #[allow(clippy::cast_precision_loss)] // small numbers
    let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
    let mut inside = false;
    let mut distance = f64::MAX;
    let next = OUTLINE.iter().cycle().skip(1);
    for (&(ax, ay), &(bx, by)) in OUTLINE.iter().zip(next) {
        if (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
            inside = !inside;
        }
        let along =
            (((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax).powi(2) + (by - ay).powi(2))).clamp(0.0, 1.0);
        distance = distance.min((ax + along * (bx - ax) - x).hypot(ay + along * (by - ay) - y));
    }
    match (inside, distance <= BORDER) {
        (_, true) => [255, 255, 255, 255],
        (true, false) => [0, 0, 0, 255],
        (false, false) => [0, 0, 0, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_is_another_one() {
        let mut all = Access::default();
        for aid in Aid::ALL {
            assert!(!*aid.of(&mut all), "{aid:?}");
            *aid.of(&mut all) = true;
        }
        assert_eq!(serde_json::to_string(&all).unwrap().matches("true").count(), Aid::ALL.len());
    }

    #[test]
    fn the_arrow_is_black_with_a_white_border_on_nothing() {
        assert_eq!(arrow(10, 30), [0, 0, 0, 255]);
        assert_eq!(arrow(3, 20), [255, 255, 255, 255]);
        assert_eq!(arrow(60, 5), [0, 0, 0, 0]);
    }
}
