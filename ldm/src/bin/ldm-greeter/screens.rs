//! What the greeter makes of its display: where it is seen, when the idle screen goes dark, and that keys are its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use gtk4::{cairo, gdk};
use ldm_protocol::greetd::Seat;
use x11rb::protocol::Event;

use crate::keyboard::Keyboard;
use crate::monitors::{Monitors, Room};
use crate::xserver::{Connected, XServer};

/// Whoever takes the keyboard away from the greeter keeps it for so long; two who both want it must not keep each other busy.
const REFOCUS: Duration = Duration::from_millis(100);

/// The display, once it is known.
pub(crate) struct Screens {
    server: Option<Rc<XServer>>,
    keyboard: Option<Rc<Keyboard>>,
    monitors: RefCell<Option<Rc<Monitors>>>,
    /// Name of the monitor, and seconds until the screen goes dark, as they are in use.
    used: RefCell<Option<(Option<String>, u32)>>,
    /// A keyboard on the screen is wanted.
    typed_on_screen: Cell<bool>,
    listening: Cell<bool>,
}

impl Screens {
    /// The display that GTK draws on.
    pub(crate) fn new(connected: Connected) -> Rc<Self> {
        let server = XServer::new(connected);
        let keyboard = server.as_ref().filter(|server| server.has_xkb).map(Keyboard::new);
        Self::of(server, keyboard)
    }

    /// For previews: nothing of the display is touched, and the keyboard has these layouts.
    pub(crate) fn untouched(layouts: &[&str]) -> Rc<Self> {
        Self::of(None, Some(Keyboard::made_up(layouts)))
    }

    fn of(server: Option<Rc<XServer>>, keyboard: Option<Rc<Keyboard>>) -> Rc<Self> {
        Rc::new(Self {
            server,
            keyboard,
            monitors: RefCell::new(None),
            used: RefCell::new(None),
            typed_on_screen: Cell::new(false),
            listening: Cell::new(false),
        })
    }

    /// The keyboard, if the X server lets us know about it.
    pub(crate) fn keyboard(&self) -> Option<&Rc<Keyboard>> {
        self.keyboard.as_ref()
    }

    /// Keeps `window` over all monitors, with `stage` on one of them and a `picture` on each; `changed` is told how much room
    /// there is.
    pub(crate) fn cover(
        self: &Rc<Self>,
        window: &gtk4::Window,
        stage: &gtk4::Box,
        backdrop: &gtk4::Fixed,
        picture: impl Fn(i32, i32) -> Option<cairo::ImageSurface> + 'static,
        changed: impl Fn(Room) + 'static,
    ) {
        let server = self.server.clone();
        let pointer = move || server.as_ref().and_then(|server| server.pointer());
        let this = Rc::downgrade(self);
        let changed = move |room| {
            changed(room);
            // A monitor that comes or goes may take the keyboard with it.
            if let Some(this) = this.upgrade() {
                this.focus();
            }
        };
        self.monitors.replace(Some(Monitors::follow(window, stage, backdrop, picture, pointer, changed)));
        window.connect_map(clone!(
            #[weak(rename_to = this)]
            self,
            move |_| {
                // Not now: the X server learns of the window when GTK is done with this.
                glib::idle_add_local_once(clone!(
                    #[weak]
                    this,
                    move || {
                        this.focus();
                        this.place_keyboard();
                    }
                ));
            }
        ));
        window.connect_is_active_notify(clone!(
            #[weak(rename_to = this)]
            self,
            move |window| {
                if !window.is_active() {
                    glib::timeout_add_local_once(
                        REFOCUS,
                        clone!(
                            #[weak]
                            this,
                            move || this.focus()
                        ),
                    );
                }
            }
        ));
    }

    fn focus(&self) {
        if let Some(server) = &self.server {
            server.focus();
        }
    }

    /// Takes over what the administrator wants of the display.
    pub(crate) fn show(&self, seat: &Seat) {
        let wanted = Some((seat.monitor.clone(), seat.blank));
        if self.used.replace(wanted.clone()) == wanted {
            return;
        }
        if let Some(server) = &self.server {
            server.blank_after(seat.blank);
        }
        let monitors = self.monitors.borrow().clone();
        if let Some(monitors) = monitors {
            monitors.choose(seat.monitor.as_deref());
        }
    }

    /// Makes room for a keyboard on the screen, at the lower edge of the dialog's monitor, or takes the room back.
    pub(crate) fn expect_keyboard(self: &Rc<Self>, wanted: bool) {
        let Some(server) = &self.server else { return };
        if self.typed_on_screen.replace(wanted) == wanted {
            return;
        }
        server.watch_windows(wanted);
        self.place_keyboard();
        if wanted && !self.listening.replace(true) {
            let this = Rc::downgrade(self);
            server.listen(move |event| {
                if let (Some(this), Event::MapNotify(_) | Event::UnmapNotify(_)) = (this.upgrade(), event) {
                    this.place_keyboard();
                }
            });
        }
    }

    fn place_keyboard(&self) {
        let (Some(server), Some(monitors)) = (&self.server, self.monitors.borrow().clone()) else { return };
        let area = monitors.area().filter(|_| self.typed_on_screen.get());
        monitors.leave(area.and_then(|area| server.place_keyboard(area)).unwrap_or(0));
    }

    /// The dialog's monitor: left, top, width and height.
    pub(crate) fn area(&self) -> Option<gdk::Rectangle> {
        self.monitors.borrow().as_ref()?.main()
    }

    /// Leaves the display to the session.
    pub(crate) fn leave(&self) {
        if let Some(server) = &self.server {
            server.leave();
        }
    }
}
