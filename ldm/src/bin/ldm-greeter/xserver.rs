//! The greeter's own connection to the X server, for what GTK does not do: the keyboard's layouts and its help for those who
//! type with difficulty, how long an idle screen stays lit, and which window has the keyboard.
//!
//! The X server is trusted like the daemon: it is what the greeter draws on. A request that fails is no reason to stop.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use gtk4::gio::{self, Cancellable, prelude::*};
use gtk4::glib::{self, ControlFlow, IOCondition};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ConnectError;
use x11rb::protocol::Event;
use x11rb::protocol::dpms::{self, ConnectionExt as _};
use x11rb::protocol::xkb;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, Blanking, ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, EventMask, Exposures,
    InputFocus, MapState, PropMode, StackMode, Window,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::sleep::Saver;

/// What was set before the greeter changed it, for the next greeter if this one cannot put it back.
const SAVED: &str = "_LDM_SCREEN_SAVER";

/// Where the accessibility bus of the greeter can be found. Of no use to a session, whose programs would look there first.
const BUS: &str = "AT_SPI_BUS";

/// Words of [`SAVED`].
const WORDS: u32 = 8;

/// Bytes of a property that are read.
const PROPERTY: u32 = 4096;

/// Windows of other programs that are looked through for our own.
const WINDOWS: usize = 512;

/// A connection to the display that GTK draws on.
pub(crate) struct XServer {
    pub(crate) x: RustConnection,
    pub(crate) root: Window,
    pub(crate) has_xkb: bool,
    has_dpms: bool,
    saved: Cell<Option<Saver>>,
    ours: Cell<Option<Window>>,
    listeners: RefCell<Vec<Listener>>,
}

type Listener = Rc<dyn Fn(&Event)>;

/// A connection, and the number of its screen.
pub(crate) type Connected = Result<(RustConnection, usize), ConnectError>;

/// Connects to `DISPLAY`, before GTK does: a server without other clients begins anew when the last one leaves, and then turns
/// away whoever comes. So keep it.
pub(crate) fn connect() -> Connected {
    RustConnection::connect(None)
}

impl XServer {
    /// Without a connection the greeter does without all of this.
    pub(crate) fn new(connected: Connected) -> Option<Rc<Self>> {
        let (x, screen) =
            connected.map_err(|error| crate::say(&format!("no connection to the X server: {error}"))).ok()?;
        let root = x.setup().roots.get(screen)?.root;
        let has_xkb = has(&x, xkb::X11_EXTENSION_NAME)
            && xkb::use_extension(&x, 1, 0).ok().and_then(|cookie| cookie.reply().ok()).is_some_and(|r| r.supported);
        let has_dpms = has(&x, dpms::X11_EXTENSION_NAME)
            && x.dpms_capable().ok().and_then(|cookie| cookie.reply().ok()).is_some_and(|reply| reply.capable);
        select(&x, root, false)?;
        let this = Rc::new(Self {
            x,
            root,
            has_xkb,
            has_dpms,
            saved: Cell::new(None),
            ours: Cell::new(None),
            listeners: RefCell::new(Vec::new()),
        });
        this.watch().ok()?;
        Some(this)
    }

    /// Has `listener` told of every event, from GTK's main loop.
    pub(crate) fn listen(&self, listener: impl Fn(&Event) + 'static) {
        self.listeners.borrow_mut().push(Rc::new(listener));
    }

    fn watch(self: &Rc<Self>) -> io::Result<()> {
        let weak = Rc::downgrade(self);
        let readable = IOCondition::IN | IOCondition::HUP | IOCondition::ERR;
        let fd = self.x.stream().as_fd().try_clone_to_owned()?;
        let socket = gio::Socket::from_fd(fd).map_err(io::Error::other)?;
        let step = move |_: &gio::Socket, _| match weak.upgrade() {
            // GTK ends the greeter when the X server is gone.
            Some(this) if this.deliver() => ControlFlow::Continue,
            _ => ControlFlow::Break,
        };
        let priority = glib::Priority::DEFAULT;
        SocketExtManual::create_source(&socket, readable, Cancellable::NONE, None, priority, step).attach(None);
        Ok(())
    }

    /// Hands out the events that have come; `false`: the connection has failed.
    fn deliver(&self) -> bool {
        loop {
            match self.x.poll_for_event() {
                Ok(Some(event)) => {
                    let listeners = self.listeners.borrow().clone();
                    for listener in listeners {
                        listener(&event);
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Sends what was asked for, and hands out events that came with answers: for those the main loop does not wake up.
    pub(crate) fn settle(self: &Rc<Self>) {
        let _ = self.x.flush();
        let weak = Rc::downgrade(self);
        glib::idle_add_local_once(move || {
            if let Some(this) = weak.upgrade() {
                this.deliver();
            }
        });
    }

    pub(crate) fn atom(&self, name: &str) -> Option<Atom> {
        Some(self.x.intern_atom(false, name.as_bytes()).ok()?.reply().ok()?.atom)
    }

    /// The start of a property of the root window, of type `STRING`.
    pub(crate) fn root_text(&self, name: &str) -> Option<Vec<u8>> {
        let atom = self.atom(name)?;
        let reply =
            self.x.get_property(false, self.root, atom, AtomEnum::STRING, 0, PROPERTY / 4).ok()?.reply().ok()?;
        (reply.format == 8 && !reply.value.is_empty()).then_some(reply.value)
    }

    // --- the idle screen ---

    /// Blanks the screen after so many idle seconds; 0: never. [`XServer::leave`] puts back what was there.
    pub(crate) fn blank_after(&self, seconds: u32) {
        let Some(before) = self.saved.get().or_else(|| self.left_behind()).or_else(|| self.saver()) else { return };
        if self.saved.replace(Some(before)).is_none()
            && let Some(atom) = self.atom(SAVED)
        {
            let words = before.to_words();
            let _ = self.x.change_property32(PropMode::REPLACE, self.root, atom, AtomEnum::CARDINAL, &words);
        }
        self.set_saver(before.blanking_after(seconds));
    }

    /// Lets go of the display as the session is to find it.
    pub(crate) fn leave(&self) {
        let managed = self.is_managed();
        if let Some(before) = self.saved.take() {
            self.set_saver(before);
        }
        for name in [SAVED, BUS] {
            if let Some(atom) = self.atom(name) {
                let _ = self.x.delete_property(self.root, atom);
            }
        }
        // The next window that wants keys gets them, as if the greeter had never been there.
        if !managed {
            let focus = u32::from(u8::from(InputFocus::POINTER_ROOT));
            let _ = self.x.set_input_focus(InputFocus::POINTER_ROOT, focus, x11rb::CURRENT_TIME);
        }
        // Not only sent: who follows must not find the greeter's settings.
        let _ = self.x.sync();
    }

    /// What an earlier greeter found and did not put back.
    fn left_behind(&self) -> Option<Saver> {
        let atom = self.atom(SAVED)?;
        let reply = self.x.get_property(false, self.root, atom, AtomEnum::CARDINAL, 0, WORDS).ok()?.reply().ok()?;
        Saver::from_words(&reply.value32()?.collect::<Vec<_>>())
    }

    fn saver(&self) -> Option<Saver> {
        let saver = self.x.get_screen_saver().ok()?.reply().ok()?;
        let mut found = Saver {
            timeout: saver.timeout,
            interval: saver.interval,
            prefer_blanking: u8::from(saver.prefer_blanking),
            allow_exposures: u8::from(saver.allow_exposures),
            dpms: None,
        };
        if self.has_dpms {
            let times = self.x.dpms_get_timeouts().ok()?.reply().ok()?;
            let on = self.x.dpms_info().ok()?.reply().ok()?.state;
            found.dpms = Some((on, [times.standby_timeout, times.suspend_timeout, times.off_timeout]));
        }
        Some(found)
    }

    fn set_saver(&self, saver: Saver) {
        let timeout = i16::try_from(saver.timeout).unwrap_or(i16::MAX);
        let interval = i16::try_from(saver.interval).unwrap_or(i16::MAX);
        let (blanking, exposures) = (Blanking::from(saver.prefer_blanking), Exposures::from(saver.allow_exposures));
        let _ = self.x.set_screen_saver(timeout, interval, blanking, exposures);
        if let Some((on, [standby, suspend, off])) = saver.dpms.filter(|_| self.has_dpms) {
            let _ = self.x.dpms_set_timeouts(standby, suspend, off);
            let _ = if on { self.x.dpms_enable() } else { self.x.dpms_disable() };
        }
        let _ = self.x.flush();
    }

    /// Where the pointer is, in pixels from the screen's origin.
    pub(crate) fn pointer(&self) -> Option<(i32, i32)> {
        let reply = self.x.query_pointer(self.root).ok()?.reply().ok()?;
        reply.same_screen.then(|| (reply.root_x.into(), reply.root_y.into()))
    }

    // --- the keyboard's window ---

    /// Gives the keyboard to the greeter's window. Without a window manager keys go to the window under the pointer, which may
    /// be a keyboard on the screen. A window manager decides for itself.
    pub(crate) fn focus(self: &Rc<Self>) {
        if self.is_managed() {
            return;
        }
        let Some(window) = self.ours.get().filter(|&window| self.is_seen(window)).or_else(|| self.find_window()) else {
            return;
        };
        self.ours.set(Some(window));
        // If the window goes, keys go nowhere until the next one has come: what is typed may be a password, and whatever lies
        // below must not get it. Where there is no window any more this is an error event and no more.
        let _ = self.x.set_input_focus(InputFocus::NONE, window, x11rb::CURRENT_TIME);
        self.settle();
    }

    // --- a keyboard on the screen ---

    /// Whether windows that come and go are told of, as `MapNotify` and `UnmapNotify` events.
    pub(crate) fn watch_windows(&self, wanted: bool) {
        select(&self.x, self.root, wanted);
    }

    /// Puts the largest window of another program at the lower edge of this area, in front; how high it is. `area`: left, top,
    /// width and height in pixels.
    pub(crate) fn place_keyboard(self: &Rc<Self>, [left, top, width, height]: [i32; 4]) -> Option<i32> {
        let own = self.x.setup().resource_id_mask;
        let ours = self.ours.get().or_else(|| self.find_window())?;
        let children = self.x.query_tree(self.root).ok()?.reply().ok()?.children;
        let size = |window: Window| {
            let attributes = self.x.get_window_attributes(window).ok()?.reply().ok()?;
            let geometry = self.x.get_geometry(window).ok()?.reply().ok()?;
            (attributes.map_state == MapState::VIEWABLE)
                .then_some((i32::from(geometry.width), i32::from(geometry.height)))
        };
        // Windows of one program have numbers that differ in these bits alone.
        let others = children.into_iter().take(WINDOWS).filter(|window| window & !own != ours & !own);
        let found = others.filter_map(|window| Some((window, size(window)?)));
        let (window, (wide, high)) =
            found.max_by_key(|(_, (wide, high))| wide * high).filter(|(_, (_, high))| *high > 1)?;
        let (wide, high) = (wide.min(width), high.min(height / 2));
        let values = ConfigureWindowAux::new()
            .x(left + (width - wide) / 2)
            .y(top + height - high)
            .width(wide.cast_unsigned())
            .height(high.cast_unsigned())
            .stack_mode(StackMode::ABOVE);
        let _ = self.x.configure_window(window, &values);
        self.settle();
        Some(high)
    }

    fn is_managed(&self) -> bool {
        self.atom("_NET_SUPPORTING_WM_CHECK").is_some_and(|atom| {
            let property = self.x.get_property(false, self.root, atom, AtomEnum::WINDOW, 0, 1);
            // A window manager that has ended leaves its property behind.
            let window = property.ok().and_then(|cookie| cookie.reply().ok()).and_then(|r| r.value32()?.next());
            window.is_some_and(|window| {
                self.x.get_window_attributes(window).ok().and_then(|cookie| cookie.reply().ok()).is_some()
            })
        })
    }

    fn is_seen(&self, window: Window) -> bool {
        let reply = self.x.get_window_attributes(window).ok().and_then(|cookie| cookie.reply().ok());
        reply.is_some_and(|reply| reply.map_state == MapState::VIEWABLE && !reply.override_redirect)
    }

    /// The window that GDK has marked with our process id.
    fn find_window(&self) -> Option<Window> {
        let pid = self.atom("_NET_WM_PID")?;
        let children = self.x.query_tree(self.root).ok()?.reply().ok()?.children;
        children.into_iter().rev().take(WINDOWS).find(|&window| {
            let property = self.x.get_property(false, window, pid, AtomEnum::CARDINAL, 0, 1);
            let owner = property.ok().and_then(|cookie| cookie.reply().ok()).and_then(|r| r.value32()?.next());
            owner == Some(std::process::id()) && self.is_seen(window)
        })
    }
}

fn select(x: &RustConnection, root: Window, windows: bool) -> Option<()> {
    let windows = if windows { EventMask::SUBSTRUCTURE_NOTIFY } else { EventMask::NO_EVENT };
    let events = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE | windows);
    x.change_window_attributes(root, &events).ok()?;
    x.flush().ok()
}

fn has(x: &RustConnection, extension: &'static str) -> bool {
    x.extension_information(extension).is_ok_and(|information| information.is_some())
}
