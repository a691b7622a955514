//! Where the window and the dialog go.
//!
//! GTK 4 cannot place a window: without a window manager it lies at the screen's origin, and `fullscreen()` does nothing. So
//! the window is as large as all monitors together, and the dialog is laid out within the first of them.

use std::cell::Cell;

use gtk4::gdk::{self, Rectangle};
use gtk4::glib::{self, clone};
use gtk4::{gio, prelude::*};

/// A monitor lower or narrower than this gets the style class `compact`.
const COMPACT: i32 = 560;

/// A monitor lower than this has no room for what can be guessed, and gets the style class `tiny`.
const TINY: i32 = 360;

/// A monitor lower than this shows no logo, so that messages and sessions have its room.
const LOGO: i32 = 700;

/// A monitor at least this high and wide gets the style class `large`.
const LARGE: i32 = 1000;

/// How much room there is for the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a question of its own about one monitor.
pub(crate) struct Room {
    /// Enough for the logo.
    pub(crate) logo: bool,
    /// Little: what can stand side by side elsewhere stands one below the other.
    pub(crate) compact: bool,
    /// Very little: no hint, no empty line.
    pub(crate) tiny: bool,
    large: bool,
    /// Width of the monitor.
    pub(crate) width: i32,
    /// Height of the monitor.
    pub(crate) height: i32,
}

impl Room {
    fn of(monitor: &Rectangle) -> Self {
        let least = monitor.height().min(monitor.width());
        let (width, height) = (monitor.width(), monitor.height());
        Self {
            logo: height >= LOGO,
            compact: least < COMPACT,
            tiny: height < TINY,
            large: least >= LARGE,
            width,
            height,
        }
    }
}

/// Keeps `window` over all monitors and `stage` on the first, now and when they change, and tells `changed` how much room
/// there is.
pub(crate) fn follow(window: &gtk4::Window, stage: &gtk4::Box, changed: impl Fn(Room) + Clone + 'static) {
    let monitors = WidgetExt::display(window).monitors();
    let place = clone!(
        #[weak]
        window,
        #[weak]
        stage,
        #[weak]
        monitors,
        move || {
            if let Some(room) = place(&window, &stage, &areas(&monitors)) {
                changed(room);
            }
        }
    );
    let placing = place.clone();
    let watch = move |monitors: &gio::ListModel| {
        let place = placing.clone();
        for monitor in monitors.iter::<gdk::Monitor>().flatten() {
            let place = place.clone();
            monitor.connect_geometry_notify(move |_| place());
        }
        place();
    };
    // Another language may be written the other way, and margins are before and behind the text.
    stage.connect_direction_changed({
        let place = place.clone();
        move |_, _| place()
    });
    watch(&monitors);
    monitors.connect_items_changed(move |monitors, _, _, _| watch(monitors));
}

thread_local! {
    static PRETENDED: Cell<Option<Rectangle>> = const { Cell::new(None) };
}

/// For previews: there is one monitor of this size and no other.
pub(crate) fn pretend((width, height): (i32, i32)) {
    PRETENDED.set(Some(Rectangle::new(0, 0, width, height)));
}

/// Width and height of the first monitor.
pub(crate) fn first(display: &gdk::Display) -> Option<(i32, i32)> {
    areas(&display.monitors()).first().map(|area| (area.width(), area.height()))
}

fn areas(monitors: &gio::ListModel) -> Vec<Rectangle> {
    if let Some(area) = PRETENDED.get() {
        return vec![area];
    }
    // A monitor that has just come may have no size yet; another notice follows.
    monitors
        .iter::<gdk::Monitor>()
        .flatten()
        .map(|monitor| monitor.geometry())
        .filter(|area| area.width() > 0)
        .collect()
}

fn place(window: &gtk4::Window, stage: &gtk4::Box, areas: &[Rectangle]) -> Option<Room> {
    // The X server lists the primary monitor first.
    let main = areas.first()?;
    let (right, bottom) = extent(areas);
    let (start, end) = sides(main, right, stage.direction());
    stage.set_margin_start(start);
    stage.set_margin_end(end);
    stage.set_margin_top(main.y().max(0));
    stage.set_margin_bottom((bottom - main.y() - main.height()).max(0));
    let room = Room::of(main);
    for (class, fits) in [("compact", room.compact), ("tiny", room.tiny), ("large", room.large)] {
        if fits { stage.add_css_class(class) } else { stage.remove_css_class(class) }
    }
    // GTK cuts a default size down to one monitor, but not what the window needs.
    window.set_default_size(right, bottom);
    window.set_size_request(right, bottom);
    Some(room)
}

/// What is before and behind the monitor, in the direction of the text, where all monitors end at `right`.
fn sides(monitor: &Rectangle, right: i32, direction: gtk4::TextDirection) -> (i32, i32) {
    let on_the_left = monitor.x().max(0);
    let on_the_right = (right - monitor.x() - monitor.width()).max(0);
    match direction {
        gtk4::TextDirection::Rtl => (on_the_right, on_the_left),
        _ => (on_the_left, on_the_right),
    }
}

/// Width and height of what all monitors cover, from the screen's origin.
fn extent(areas: &[Rectangle]) -> (i32, i32) {
    let right = areas.iter().map(|area| area.x() + area.width()).max();
    let bottom = areas.iter().map(|area| area.y() + area.height()).max();
    (right.unwrap_or_default(), bottom.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_monitors_are_covered() {
        let areas = [Rectangle::new(800, 0, 1280, 960), Rectangle::new(0, 100, 800, 1000)];
        assert_eq!(extent(&areas), (2080, 1100));
        assert_eq!(extent(&[]), (0, 0));
    }

    #[test]
    fn a_dialog_from_right_to_left_stays_on_its_monitor() {
        let second = Rectangle::new(800, 0, 1024, 768);
        assert_eq!(sides(&second, 2000, gtk4::TextDirection::Ltr), (800, 176));
        assert_eq!(sides(&second, 2000, gtk4::TextDirection::Rtl), (176, 800));
    }

    #[test]
    fn room_by_the_monitors_size() {
        for (width, height, logo, compact, tiny, large) in [
            (320, 240, false, true, true, false),
            (640, 480, false, true, false, false),
            (800, 600, false, false, false, false),
            (1024, 768, true, false, false, false),
            (1920, 1080, true, false, false, true),
            (480, 1080, true, true, false, false),
        ] {
            let want = Room { logo, compact, tiny, large, width, height };
            assert_eq!(Room::of(&Rectangle::new(0, 0, width, height)), want, "{width}×{height}");
        }
    }
}
