//! The menus of keyboard layouts and of help in seeing, hearing and typing, and the display they work on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::glib::{self, clone};

use crate::access::Panel;
use crate::bar::Bar;
use crate::i18n::{self, gettext};
use crate::menu::Item;
use crate::model::{Event, Model, State};
use crate::screens::Screens;
use crate::setup;
use crate::window::Missing;

/// The key that takes the next layout.
const NEXT_LAYOUT: &str = "F9";

/// Both menus.
pub(crate) struct Aids {
    bar: Rc<Bar>,
    screens: Rc<Screens>,
    panel: Rc<Panel>,
    /// Names of the layouts for people, in the language in use.
    names: RefCell<Vec<String>>,
    /// There is no way back any more.
    starting: Cell<bool>,
    /// The daemon knows the layout that was in use when this greeter began.
    told: Cell<bool>,
    send: Rc<dyn Fn(Event)>,
}

impl Aids {
    /// Both menus for `root`, without texts still. `send` is told what the user does there; `accessible`: assistive programs are
    /// served also without a screen reader of ours.
    pub(crate) fn new(
        root: &gtk4::Window,
        bar: &Rc<Bar>,
        screens: &Rc<Screens>,
        accessible: bool,
        send: &Rc<dyn Fn(Event)>,
    ) -> Result<Rc<Self>, Missing> {
        let (switched, bar_of) = (Rc::clone(send), Rc::downgrade(bar));
        let panel = Panel::new(root, bar.access.list(), screens.keyboard().cloned(), move |access| {
            if let Some(bar) = bar_of.upgrade() {
                bar.set_large_text(access.large_text);
            }
            switched(Event::AccessChanged(access));
            if setup::accessible() != (accessible || access.screen_reader) {
                switched(Event::AccessToggled);
            }
        })?;
        let this = Rc::new(Self {
            bar: Rc::clone(bar),
            screens: Rc::clone(screens),
            panel,
            names: RefCell::new(Vec::new()),
            starting: Cell::new(false),
            told: Cell::new(false),
            send: Rc::clone(send),
        });
        this.bar.access.set_useful(true);
        if let Some(keyboard) = screens.keyboard() {
            keyboard.on_change(clone!(
                #[weak]
                this,
                move || this.layout_changed()
            ));
        }
        Ok(this)
    }

    /// Whether there is a screen reader now, or will be after a restart.
    pub(crate) fn wants_reader(&self) -> bool {
        self.panel.access().screen_reader
    }

    /// Whether texts are large.
    pub(crate) fn large_text(&self) -> bool {
        self.panel.access().large_text
    }

    /// The texts in the language in use.
    pub(crate) fn set_texts(self: &Rc<Self>) {
        self.panel.set_texts();
        if let Some(keyboard) = self.screens.keyboard() {
            self.names.replace(keyboard.names());
        }
        self.show_layouts();
    }

    /// Takes over what the daemon has told.
    pub(crate) fn show(&self, model: &Model) {
        let starting = matches!(model.state(), State::Starting);
        if self.starting.replace(starting) != starting {
            self.bar.access.set_useful(!starting);
            self.bar.layout.set_useful(!starting && !self.names.borrow().is_empty());
        }
        if let Some(seat) = model.seat() {
            self.screens.show(seat);
            self.panel.show(seat.access, seat.assistants);
            self.bar.set_large_text(self.panel.access().large_text);
            self.screens.expect_keyboard(self.panel.access().keyboard && seat.assistants.keyboard);
            if !self.told.replace(true) {
                self.tell_layout();
            }
        }
    }

    /// An earlier greeter that was killed has left the display in the layout that its user chose.
    fn tell_layout(&self) {
        let Some(keyboard) = self.screens.keyboard().filter(|keyboard| keyboard.group() != 0).cloned() else { return };
        let send = Rc::clone(&self.send);
        // Not now: what is shown here is not to change meanwhile.
        glib::idle_add_local_once(move || send(Event::LayoutChanged(keyboard.group())));
    }

    /// Whether there is room to say of each switch what it is for.
    pub(crate) fn set_explained(&self, explained: bool) {
        self.panel.set_explained(explained);
    }

    /// The key of the screen reader.
    pub(crate) fn toggle_reader(&self) {
        self.panel.toggle_reader();
    }

    /// The key of the layouts.
    pub(crate) fn next_layout(&self) {
        if let Some(keyboard) = self.screens.keyboard() {
            keyboard.next();
        }
    }

    /// What that key does, if it does anything.
    pub(crate) fn layout_hint(&self) -> Option<String> {
        // Translators: {key} is a key.
        (self.names.borrow().len() > 1).then(|| i18n::fill(&gettext("{key}: next keyboard layout"), "key", NEXT_LAYOUT))
    }

    fn layout_changed(self: &Rc<Self>) {
        let Some(keyboard) = self.screens.keyboard() else { return };
        if self.names.borrow().len() != keyboard.layouts().len() {
            self.names.replace(keyboard.names());
        }
        self.show_layouts();
        (self.send)(Event::LayoutChanged(keyboard.group()));
    }

    fn show_layouts(self: &Rc<Self>) {
        let Some(keyboard) = self.screens.keyboard() else { return };
        let (layouts, group) = (keyboard.layouts(), usize::from(keyboard.group()));
        let short = layouts.get(group).map(crate::keyboard::Layout::short).unwrap_or_default();
        let names = self.names.borrow();
        let menu = &self.bar.layout;
        menu.set_useful(!names.is_empty() && !self.starting.get());
        menu.set_label(&gettext("Keyboard layout"), &short);
        let item = |(place, name): (usize, &String)| Item {
            name: name.clone(),
            detail: String::new(),
            checked: Some(place == group),
        };
        let items = names.iter().enumerate().map(item).collect();
        let keyboard = Rc::clone(keyboard);
        menu.fill(items, move |place| keyboard.lock(u8::try_from(place).unwrap_or(0)));
    }
}
