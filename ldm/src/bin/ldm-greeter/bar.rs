//! The bar of menus at the bottom: what can be chosen beside the login, help and power.
//!
//! Where there is no room for all the buttons' texts, their pictures stand alone.

use std::cell::Cell;
use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

use crate::i18n::gettext;
use crate::icons::Icon;
use crate::menu::{self, Menu};
use crate::model::Event;
use crate::window::{Missing, get, set};

/// The bar's menus.
pub(crate) struct Bar {
    tools: gtk4::Box,
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
}

impl Bar {
    /// Takes the bar over. `send` is told what the user does there, `closed` that a menu has closed.
    pub(crate) fn new(
        ui: &gtk4::Builder,
        send: &Rc<dyn Fn(Event)>,
        closed: &Rc<dyn Fn()>,
    ) -> Result<Rc<Self>, Missing> {
        let menu = |name, icon| {
            let closed = Rc::clone(closed);
            Menu::new(ui, name, icon, || {}, move || closed())
        };
        let (asks, asked) = (Rc::clone(send), Rc::clone(closed));
        let (look, looked) = (Rc::clone(send), Rc::clone(closed));
        let server = Menu::new(ui, "server", Icon::Server, move || asks(Event::ServersOpened), move || asked())?;
        let this = Rc::new(Self {
            tools: get(ui, "tools")?,
            spoken: get(ui, "tools-spoken")?,
            server,
            session: menu("session", Icon::Session)?,
            // Asks for the list anew: now it matters what of it can be drawn.
            language: Menu::new(ui, "language", Icon::Language, move || look(Event::Touched), move || looked())?,
            layout: menu("layout", Icon::Layout)?,
            access: menu("access", Icon::Access)?,
            admin: menu("admin", Icon::Admin)?,
            power: menu("power", Icon::Power)?,
            help: get(ui, "help-button")?,
            help_label: get(ui, "help-button-label")?,
            help_spoken: get(ui, "help-button-spoken")?,
            width: Cell::new(0),
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
        self.tools.child_focus(gtk4::DirectionType::TabForward);
    }

    /// Whether the keyboard is in the bar.
    pub(crate) fn has_focus(&self) -> bool {
        self.tools.focus_child().is_some()
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

    /// How much room there is: the width for the bar, and the height for a list.
    pub(crate) fn set_room(&self, width: i32, height: i32) {
        for menu in self.menus() {
            menu.set_room(height * 3 / 5);
        }
        self.width.set(width);
        self.fit();
    }

    /// Shows as much text as there is room for.
    pub(crate) fn fit(&self) {
        let width = self.width.get();
        if width == 0 {
            return;
        }
        let fits = || self.tools.measure(gtk4::Orientation::Horizontal, -1).1 <= width;
        self.set_wide(true);
        if fits() {
            return;
        }
        self.set_wide(false);
        // Two letters, which whoever types a password needs to see.
        self.layout.set_wide(true);
        if !fits() {
            self.layout.set_wide(false);
        }
    }

    fn set_wide(&self, wide: bool) {
        for menu in self.menus() {
            menu.set_wide(wide);
        }
        self.help_label.set_visible(wide);
    }
}
