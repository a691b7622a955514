//! Where the window and the dialog go.
//!
//! GTK 4 cannot place a window: without a window manager it lies at the screen's origin, and `fullscreen()` does nothing. So
//! the window is as large as all monitors together, the dialog is laid out within one of them, and each has a background of
//! its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::gdk::{self, Rectangle};
use gtk4::glib::clone;
use gtk4::{cairo, gio, prelude::*};

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

/// A monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Screen {
    /// Such as `HDMI-1`; a monitor without a name has none.
    name: Option<String>,
    area: Rectangle,
}

/// What the greeter shows where.
pub(crate) struct Monitors {
    window: gtk4::Window,
    stage: gtk4::Box,
    backdrop: gtk4::Fixed,
    /// The picture for so many pixels.
    picture: Box<dyn Fn(i32, i32) -> Option<cairo::ImageSurface>>,
    /// Where the pointer is, in pixels of the screen.
    pointer: Box<dyn Fn() -> Option<(i32, i32)>>,
    changed: Box<dyn Fn(Room)>,
    /// The administrator's choice.
    wanted: RefCell<Option<String>>,
    /// The monitor of the dialog.
    main: RefCell<Option<Screen>>,
    /// The monitors that have their backgrounds.
    drawn: RefCell<Vec<Screen>>,
    unknown: Cell<bool>,
    /// Height at the monitor's lower edge that is taken by something else.
    taken: Cell<i32>,
}

impl Monitors {
    /// Keeps `window` over all monitors, with `stage` on one of them and a background on each, now and when they change, and
    /// tells `changed` how much room there is.
    pub(crate) fn follow(
        window: &gtk4::Window,
        stage: &gtk4::Box,
        backdrop: &gtk4::Fixed,
        picture: impl Fn(i32, i32) -> Option<cairo::ImageSurface> + 'static,
        pointer: impl Fn() -> Option<(i32, i32)> + 'static,
        changed: impl Fn(Room) + 'static,
    ) -> Rc<Self> {
        let this = Rc::new(Self {
            window: window.clone(),
            stage: stage.clone(),
            backdrop: backdrop.clone(),
            picture: Box::new(picture),
            pointer: Box::new(pointer),
            changed: Box::new(changed),
            wanted: RefCell::new(None),
            main: RefCell::new(None),
            drawn: RefCell::new(Vec::new()),
            unknown: Cell::new(false),
            taken: Cell::new(0),
        });
        let monitors = WidgetExt::display(window).monitors();
        let watch = {
            let this = Rc::clone(&this);
            move |monitors: &gio::ListModel| {
                for monitor in monitors.iter::<gdk::Monitor>().flatten() {
                    let place = clone!(
                        #[strong]
                        this,
                        move || this.place()
                    );
                    // A monitor that has just come may have no size yet; another notice follows.
                    monitor.connect_geometry_notify(move |_| place());
                }
                this.place();
            }
        };
        // Another language may be written the other way, and margins are before and behind the text.
        stage.connect_direction_changed(clone!(
            #[strong]
            this,
            move |_, _| this.place()
        ));
        watch(&monitors);
        monitors.connect_items_changed(move |monitors, _, _, _| watch(monitors));
        this
    }

    /// Shows the dialog on the monitor of this name; `None`: where the pointer is.
    pub(crate) fn choose(&self, name: Option<&str>) {
        if self.wanted.borrow().as_deref() != name {
            self.wanted.replace(name.map(str::to_owned));
            self.unknown.set(false);
            self.main.replace(None);
            self.place();
        }
    }

    /// Leaves so many pixels at the lower edge of the dialog's monitor to something else.
    pub(crate) fn leave(&self, pixels: i32) {
        let scale = self.window.scale_factor().max(1);
        if self.taken.replace(pixels / scale) != pixels / scale {
            self.place();
        }
    }

    /// The dialog's monitor in pixels: left, top, width and height.
    pub(crate) fn area(&self) -> Option<[i32; 4]> {
        let scale = self.window.scale_factor().max(1);
        let area = self.main.borrow().as_ref()?.area;
        Some([area.x(), area.y(), area.width(), area.height()].map(|length| length * scale))
    }

    /// The dialog's monitor.
    pub(crate) fn main(&self) -> Option<Rectangle> {
        self.main.borrow().as_ref().map(|main| main.area)
    }

    fn place(&self) {
        let screens = screens(&WidgetExt::display(&self.window).monitors());
        self.draw(&screens);
        let main = self.main.borrow().clone();
        let main = main.and_then(|main| screens.iter().find(|screen| is_same(screen, &main)).cloned());
        let Some(main) = main.or_else(|| self.find(&screens)) else { return };
        let areas: Vec<Rectangle> = screens.iter().map(|screen| screen.area).collect();
        let (right, bottom) = extent(&areas);
        let area = main.area;
        self.main.replace(Some(main));
        let height = (area.height() - self.taken.get()).max(area.height() / 2);
        let area = Rectangle::new(area.x(), area.y(), area.width(), height);
        let (start, end) = sides(&area, right, self.stage.direction());
        self.stage.set_margin_start(start);
        self.stage.set_margin_end(end);
        self.stage.set_margin_top(area.y().max(0));
        self.stage.set_margin_bottom((bottom - area.y() - area.height()).max(0));
        let room = Room::of(&area);
        for (class, fits) in [("compact", room.compact), ("tiny", room.tiny), ("large", room.large)] {
            if fits { self.stage.add_css_class(class) } else { self.stage.remove_css_class(class) }
        }
        // GTK cuts a default size down to one monitor, but not what the window needs.
        self.window.set_default_size(right, bottom);
        self.window.set_size_request(right, bottom);
        (self.changed)(room);
    }

    /// The monitor for the dialog.
    fn find(&self, screens: &[Screen]) -> Option<Screen> {
        let wanted = self.wanted.borrow();
        if let Some(wanted) = wanted.as_deref() {
            let found = screens.iter().find(|screen| screen.name.as_deref() == Some(wanted));
            if found.is_some() {
                return found.cloned();
            }
            if !self.unknown.replace(true) {
                let there: Vec<&str> = screens.iter().filter_map(|screen| screen.name.as_deref()).collect();
                crate::say(&format!("there is no monitor {wanted}, only: {}", there.join(", ")));
            }
        }
        let scale = self.window.scale_factor().max(1);
        let pointer = (self.pointer)().map(|(x, y)| (x / scale, y / scale));
        let at_pointer = pointer.and_then(|(x, y)| screens.iter().find(|screen| screen.area.contains_point(x, y)));
        // The X server lists the primary monitor first.
        at_pointer.or(screens.first()).cloned()
    }

    /// One picture for each monitor.
    fn draw(&self, screens: &[Screen]) {
        if *self.drawn.borrow() == screens {
            return;
        }
        while let Some(child) = self.backdrop.first_child() {
            self.backdrop.remove(&child);
        }
        let scale = self.window.scale_factor().max(1);
        for (index, screen) in screens.iter().enumerate() {
            let area = screen.area;
            // Monitors that show the same need it once.
            if screens.iter().take(index).any(|other| other.area == area) {
                continue;
            }
            let Some(surface) = (self.picture)(area.width() * scale, area.height() * scale) else { continue };
            let picture = gtk4::DrawingArea::builder()
                .accessible_role(gtk4::AccessibleRole::Presentation)
                .content_width(area.width())
                .content_height(area.height())
                .can_target(false)
                .build();
            picture.set_draw_func(move |_, context, width, height| {
                // cairo remembers what goes wrong in its context; there is nobody here to tell.
                let _ = cover(context, &surface, width, height);
            });
            self.backdrop.put(&picture, area.x().into(), area.y().into());
        }
        self.drawn.replace(screens.to_vec());
    }
}

/// Draws the picture so that it covers all, and cuts off what is too much.
fn cover(context: &cairo::Context, surface: &cairo::ImageSurface, width: i32, height: i32) -> Result<(), cairo::Error> {
    let [width, height, own_width, own_height] =
        [width, height, surface.width().max(1), surface.height().max(1)].map(f64::from);
    let scale = (width / own_width).max(height / own_height);
    context.translate((width - own_width * scale) / 2.0, (height - own_height * scale) / 2.0);
    context.scale(scale, scale);
    context.set_source_surface(surface, 0.0, 0.0)?;
    // At the edges, too, there is nothing behind the picture.
    context.source().set_extend(cairo::Extend::Pad);
    context.paint()
}

/// Whether it is the same monitor, perhaps in another mode or place.
fn is_same(screen: &Screen, before: &Screen) -> bool {
    if screen.name.is_some() || before.name.is_some() { screen.name == before.name } else { screen.area == before.area }
}

thread_local! {
    static PRETENDED: Cell<Option<Rectangle>> = const { Cell::new(None) };
}

/// For previews: there is one monitor of this size and no other.
pub(crate) fn pretend((width, height): (i32, i32)) {
    PRETENDED.set(Some(Rectangle::new(0, 0, width, height)));
}

/// Width and height of all monitors together.
pub(crate) fn room(display: &gdk::Display) -> (i32, i32) {
    let monitors = display.monitors();
    extent(&monitors.iter::<gdk::Monitor>().flatten().map(|monitor| monitor.geometry()).collect::<Vec<_>>())
}

fn screens(monitors: &gio::ListModel) -> Vec<Screen> {
    if let Some(area) = PRETENDED.get() {
        return vec![Screen { name: None, area }];
    }
    let screen = |monitor: gdk::Monitor| Screen {
        name: monitor.connector().map(String::from).filter(|name| !name.is_empty()),
        area: monitor.geometry(),
    };
    monitors.iter::<gdk::Monitor>().flatten().map(screen).filter(|screen| screen.area.width() > 0).collect()
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
    fn a_monitor_is_known_again_by_its_name_and_else_by_its_place() {
        let screen = |name: Option<&str>, x| Screen { name: name.map(str::to_owned), area: Rectangle::new(x, 0, 9, 9) };
        assert!(is_same(&screen(Some("DP-1"), 0), &screen(Some("DP-1"), 800)));
        assert!(!is_same(&screen(Some("DP-1"), 0), &screen(Some("DP-2"), 0)));
        assert!(!is_same(&screen(None, 0), &screen(Some("DP-2"), 0)));
        assert!(is_same(&screen(None, 0), &screen(None, 0)));
        assert!(!is_same(&screen(None, 0), &screen(None, 9)));
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
