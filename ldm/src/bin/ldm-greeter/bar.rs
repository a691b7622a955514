//! The bar of menus at the bottom: what can be chosen beside the login, help and power.
//!
//! Where there is no room for all the buttons' texts, the pictures of some stand alone; with large text there is a second row.

use std::cell::Cell;
use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

use crate::i18n::gettext;
use crate::icons::Icon;
use crate::menu::{self, Menu};
use crate::model::Event;
use crate::monitors::Room;
use crate::window::{Missing, get, set};

/// The bar's menus.
pub(crate) struct Bar {
    toolbar: gtk4::Box,
    /// The row that is always there, and the one above it.
    tools: gtk4::Box,
    more: gtk4::Box,
    spoken: gtk4::Label,
    /// Choice of the server.
    pub(crate) server: Rc<Menu>,
    /// Whether the session is asked for.
    pub(crate) session: Rc<Menu>,
    /// Choice of the language.
    pub(crate) language: Rc<Menu>,
    /// Choice of the keyboard layout.
    pub(crate) layout: Rc<Menu>,
    /// Help in seeing, hearing and typing; its list is filled by whoever can switch that.
    pub(crate) access: Rc<Menu>,
    /// The administrator's commands.
    pub(crate) admin: Rc<Menu>,
    /// Restart, switch off, suspend.
    pub(crate) power: Rc<Menu>,
    help: gtk4::Button,
    help_label: gtk4::Label,
    help_spoken: gtk4::Label,
    /// How wide the bar may be.
    width: Cell<i32>,
    /// The monitor is high enough for two rows.
    high: Cell<bool>,
    /// It is small, and one word among pictures would be lost.
    compact: Cell<bool>,
    /// Texts are large for those who see badly: they need the words.
    large_text: Cell<bool>,
}

impl Bar {
    /// Takes the bar over. `send` is told what the user does there, `closed` that a menu has closed.
    pub(crate) fn new(
        ui: &gtk4::Builder,
        send: &Rc<dyn Fn(Event)>,
        closed: &Rc<dyn Fn()>,
    ) -> Result<Rc<Self>, Missing> {
        let menu = |name, icon, opened: fn() -> Event| {
            let (send, closed) = (Rc::clone(send), Rc::clone(closed));
            Menu::new(ui, name, icon, move || send(opened()), move || closed())
        };
        let this = Rc::new(Self {
            toolbar: get(ui, "toolbar")?,
            tools: get(ui, "tools")?,
            more: get(ui, "more-tools")?,
            spoken: get(ui, "tools-spoken")?,
            server: menu("server", Icon::Server, || Event::ServersOpened)?,
            session: menu("session", Icon::Session, || Event::Touched)?,
            // Asks for the list anew, too: now it matters what of it can be drawn.
            language: menu("language", Icon::Language, || Event::Touched)?,
            layout: menu("layout", Icon::Layout, || Event::Touched)?,
            access: menu("access", Icon::Access, || Event::Touched)?,
            admin: menu("admin", Icon::Admin, || Event::Touched)?,
            power: menu("power", Icon::Power, || Event::Touched)?,
            help: get(ui, "help-button")?,
            help_label: get(ui, "help-button-label")?,
            help_spoken: get(ui, "help-button-spoken")?,
            width: Cell::new(0),
            high: Cell::new(false),
            compact: Cell::new(false),
            large_text: Cell::new(false),
        });
        menu::dress(ui, "help-button", Icon::Help)?;
        let help = Rc::clone(send);
        this.help.connect_clicked(move |_| help(Event::Help));
        for menu in this.menus() {
            menu.button().connect_visible_notify(clone!(
                #[weak]
                this,
                move |_| this.fit()
            ));
        }
        Ok(this)
    }

    /// Whether there is a second row, which takes its room from the dialog.
    pub(crate) fn is_high(&self) -> bool {
        self.more.is_visible()
    }

    /// Tells `changed` that the second row has come or gone.
    pub(crate) fn on_rows(&self, changed: impl Fn() + 'static) {
        self.more.connect_visible_notify(move |_| changed());
    }

    /// All menus.
    pub(crate) fn menus(&self) -> [&Rc<Menu>; 7] {
        [&self.server, &self.session, &self.language, &self.layout, &self.access, &self.admin, &self.power]
    }

    /// The menu that is open.
    pub(crate) fn opened(&self) -> Option<&Rc<Menu>> {
        self.menus().into_iter().find(|menu| menu.is_open())
    }

    /// Gives the keyboard to the first button.
    pub(crate) fn enter(&self) {
        self.toolbar.child_focus(gtk4::DirectionType::TabForward);
    }

    /// Whether the keyboard is in the bar.
    pub(crate) fn has_focus(&self) -> bool {
        self.toolbar.focus_child().is_some()
    }

    /// The texts that do not depend on what the daemon tells, in the language in use.
    pub(crate) fn set_texts(&self) {
        // Translators: names of menus at the bottom of the screen: short, there are eight of them in one line.
        self.admin.set_label(&gettext("More"), "");
        self.power.set_label(&gettext("Power"), "");
        // Translators: menu with a screen reader, large letters and the like.
        self.access.set_label(&gettext("Accessibility"), "");
        let help = gettext("Help");
        set(&self.help_label, &help);
        self.help.set_tooltip_text(Some(&help));
        set(&self.help_spoken, &help);
        set(&self.spoken, &gettext("Menus"));
        self.fit();
    }

    /// How much room there is.
    pub(crate) fn set_room(&self, room: Room) {
        for menu in self.menus() {
            menu.set_room(room.height * 3 / 5);
        }
        self.width.set(room.width);
        self.high.set(room.logo);
        self.compact.set(room.compact);
        self.fit();
    }

    /// Takes over whether texts are large.
    pub(crate) fn set_large_text(self: &Rc<Self>, large: bool) {
        if self.large_text.replace(large) == large {
            return;
        }
        let this = Rc::downgrade(self);
        // Texts get their size with the next frame.
        self.tools.add_tick_callback(move |_, _| {
            let this = this.clone();
            glib::idle_add_local_once(move || {
                if let Some(this) = this.upgrade() {
                    this.fit();
                }
            });
            glib::ControlFlow::Break
        });
    }

    /// Fits the texts in again, where they are others.
    pub(crate) fn refit(&self) {
        let other = self.menus().into_iter().filter(|menu| menu.was_relabelled()).count();
        if other > 0 {
            self.fit();
        }
    }

    /// Shows as much text as there is room for.
    pub(crate) fn fit(&self) {
        let width = self.width.get();
        if width == 0 {
            return;
        }
        let wide = |row: &gtk4::Box| row.measure(gtk4::Orientation::Horizontal, -1).1;
        let fits = || wide(&self.tools) <= width && wide(&self.more) <= width;
        self.set_wide(true);
        // Buttons are moved only where they have to be: one that is moved loses the keyboard.
        if wide(&self.tools) + wide(&self.more) <= width {
            return self.set_rows(1);
        }
        if self.large_text.get() && self.high.get() {
            self.set_rows(2);
            if fits() {
                return;
            }
        }
        self.set_rows(1);
        self.set_wide(false);
        // Two letters, which whoever types a password needs to see; and then what is looked for when all else fails.
        let keep = |shown: &dyn Fn(bool)| {
            shown(true);
            if !fits() {
                shown(false);
            }
        };
        keep(&|wide| self.layout.set_wide(wide));
        if self.compact.get() {
            return;
        }
        keep(&|wide| self.help_label.set_visible(wide));
        for menu in [&self.power, &self.access, &self.language, &self.session, &self.server, &self.admin] {
            keep(&|wide| menu.set_wide(wide));
        }
    }

    /// Puts what is chosen for the login into a row of its own, or back into the other one. Help in seeing stays where it is: whoever
    /// switches that on is in its list.
    fn set_rows(&self, rows: u8) {
        let two = rows > 1;
        let (from, to) = if two { (&self.tools, &self.more) } else { (&self.more, &self.tools) };
        let moved = [&self.layout, &self.language, &self.session, &self.server];
        // A list that is open would close.
        if self.more.is_visible() == two || moved.iter().any(|menu| menu.is_open()) {
            return;
        }
        self.more.set_visible(two);
        for menu in moved {
            from.remove(menu.button());
            to.prepend(menu.button());
        }
    }

    fn set_wide(&self, wide: bool) {
        for menu in self.menus() {
            menu.set_wide(wide);
        }
        self.help_label.set_visible(wide);
    }
}
