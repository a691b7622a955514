//! The greeter's one window: shows the [`Model`] and turns what the user does into [`Event`]s.
//!
//! One page at a time: the login's own, a question, or help. What a page holds stays as it is while another one is in front.

mod room;
mod steps;

use std::cell::{Cell, RefCell};
use std::mem::{Discriminant, discriminant};
use std::rc::Rc;

use crate::i18n::gettext;
use gtk4::glib::{Propagation, clone};
use gtk4::{glib, prelude::*};

use crate::ahead::Ahead;
use crate::aids::Aids;
use crate::bar::Bar;
use crate::chooser::Chooser;
use crate::clock::Clock;
use crate::field::Field;
use crate::help::Help;
use crate::model::{Event, Model, State};
use crate::monitors::Room;
use crate::page::{self, Page};
use crate::question::Asker;
use crate::said::Said;
use crate::screens::Screens;
use crate::theme::Look;
use crate::theme::seen::{self, Told};
use crate::timers::Timers;
use crate::{choices, fonts, i18n, keys, theme};

const UI: &str = include_str!("window.ui");

/// A widget that the greeter needs is not in `window.ui`: a defect.
#[derive(Debug, thiserror::Error)]
#[error("window.ui has no {0}")]
pub(crate) struct Missing(String);

/// The window and those of its widgets that change.
pub(crate) struct Window {
    root: gtk4::Window,
    stage: gtk4::Box,
    backdrop: gtk4::Fixed,
    screens: Rc<Screens>,
    logo: gtk4::Image,
    hostname: gtk4::Label,
    address: gtk4::Label,
    clock: Rc<Clock>,
    card: gtk4::Box,
    title: gtk4::Label,
    said: Rc<Said>,
    asker: Rc<Asker>,
    field: Rc<Field>,
    ahead: Rc<Ahead>,
    chooser: Chooser,
    progress: gtk4::Box,
    status: gtk4::Label,
    countdown: gtk4::Label,
    guest: gtk4::Button,
    other_server: gtk4::Button,
    back: gtk4::Button,
    retry: gtk4::Button,
    go: gtk4::Button,
    hint: gtk4::Label,
    help: Rc<Help>,
    bar: Rc<Bar>,
    /// Fills [`Bar::access`] and [`Bar::layout`].
    pub(crate) aids: Rc<Aids>,
    timers: Rc<Timers>,
    send: Rc<dyn Fn(Event)>,
    /// The page that is shown, and the steps of the dialog and the refills until it was.
    shown: Cell<Option<Page>>,
    serials: Cell<Option<(Discriminant<State>, u32, u32)>>,
    language: RefCell<Option<String>>,
    /// What the waiting user is told.
    waiting: RefCell<Option<String>>,
    /// The monitor has room for the logo.
    logo_fits: Cell<bool>,
    /// Something else needs the room of an empty line.
    cramped: Cell<bool>,
    /// Has the keyboard on the screen of a failure.
    leads_on: RefCell<Option<gtk4::Button>>,
    /// What has failed did so before this greeter began.
    before: Cell<bool>,
    /// There is no room for an empty line.
    tiny: Cell<bool>,
    /// Texts are large, which takes room.
    large_text: Cell<bool>,
}

impl Window {
    /// Builds the window, not yet shown. Everything the user does goes to `send`.
    pub(crate) fn new(
        look: &Look,
        screens: &Rc<Screens>,
        accessible: bool,
        username: &str,
        send: Rc<dyn Fn(Event)>,
    ) -> Result<Rc<Self>, Missing> {
        let ui = gtk4::Builder::from_string(UI);
        // Widgets that belong to the window have to reach it.
        let place: Rc<RefCell<std::rc::Weak<Self>>> = Rc::default();
        let window = {
            let place = Rc::clone(&place);
            move || place.borrow().upgrade()
        };
        let more_room: Rc<dyn Fn() -> bool> = {
            let window = window.clone();
            Rc::new(move || window().is_some_and(|this| this.give_room()))
        };
        let (chosen, for_list, for_question) = (Rc::clone(&send), Rc::clone(&more_room), Rc::clone(&more_room));
        let chooser = Chooser::new(
            get(&ui, "chooser")?,
            get(&ui, "sessions")?,
            move |place| chosen(Event::Chosen(place)),
            for_list,
        );
        let submit = {
            let window = window.clone();
            move || {
                if let Some(this) = window() {
                    this.submit();
                }
            }
        };
        let typed = {
            let window = window.clone();
            move |empty| {
                if let Some(this) = window() {
                    this.typed(empty);
                }
            }
        };
        let closed: Rc<dyn Fn()> = Rc::new(move || {
            if let Some(this) = window() {
                this.come_home();
            }
        });
        let (root, bar) = (get(&ui, "window")?, Bar::new(&ui, &send, &closed)?);
        let aids = Aids::new(&root, &bar, screens, accessible, &send)?;
        let ahead = Ahead::new(&root);
        let (dropped, told) = (Rc::clone(&ahead), Rc::clone(&send));
        let by_itself: Rc<dyn Fn(Event)> = Rc::new(move |event| {
            if matches!(event, Event::Idle) {
                dropped.clear();
            }
            told(event);
        });
        let timers = Timers::new(&bar, &by_itself);
        let this = Rc::new(Self {
            root,
            stage: get(&ui, "stage")?,
            backdrop: get(&ui, "backdrop")?,
            screens: Rc::clone(screens),
            logo: get(&ui, "logo")?,
            hostname: get(&ui, "hostname")?,
            address: get(&ui, "address")?,
            clock: Clock::new(get(&ui, "clock")?),
            card: get(&ui, "card")?,
            title: get(&ui, "title")?,
            said: Said::new(&ui, more_room)?,
            asker: Asker::new(&ui, for_question)?,
            field: Field::new(&ui, submit, typed)?,
            ahead,
            chooser,
            progress: get(&ui, "progress")?,
            status: get(&ui, "status")?,
            countdown: get(&ui, "countdown")?,
            guest: get(&ui, "guest")?,
            other_server: get(&ui, "other-server")?,
            back: get(&ui, "back")?,
            retry: get(&ui, "retry")?,
            go: get(&ui, "go")?,
            hint: get(&ui, "hint")?,
            help: Help::new(&ui, &send)?,
            bar,
            aids,
            timers,
            send,
            shown: Cell::new(None),
            serials: Cell::new(None),
            language: RefCell::new(None),
            waiting: RefCell::new(None),
            logo_fits: Cell::new(false),
            cramped: Cell::new(false),
            leads_on: RefCell::new(None),
            before: Cell::new(false),
            tiny: Cell::new(false),
            large_text: Cell::new(false),
        });
        place.replace(Rc::downgrade(&this));
        for button in [&this.guest, &this.other_server, &this.back, &this.retry, &this.go] {
            page::shorten(button);
        }
        theme::layout::arrange(&this.stage, look.layout, look.bar);
        this.hostname.set_text(&glib::host_name());
        this.field.fill(username);
        this.set_texts();
        this.connect();
        Ok(this)
    }

    /// Shows the window on all monitors.
    pub(crate) fn present(self: &Rc<Self>, look: &Rc<Look>) {
        self.logo.set_paintable(look.logo.as_ref());
        let look = Rc::clone(look);
        let resize = clone!(
            #[weak(rename_to = this)]
            self,
            move |room: Room| {
                this.logo_fits.set(room.logo && this.logo.paintable().is_some());
                this.address.set_visible(!room.compact);
                this.clock.set_short(room.tiny);
                this.tiny.set(room.tiny);
                this.take_room();
                this.help.set_room(room);
                this.aids.set_explained(!room.compact);
                this.bar.set_room(room);
                this.said.free();
                this.asker.free();
                this.chooser.free();
                this.show_status();
            }
        );
        self.screens.cover(
            &self.root,
            &self.stage,
            &self.backdrop,
            move |width, height| look.background(width, height),
            resize,
        );
        self.root.present();
        // What is seen is drawn first.
        glib::idle_add_local_once(clone!(
            #[weak(rename_to = this)]
            self,
            move || fonts::check_spoken(&this.title)
        ));
    }

    /// Has the first frame looked at.
    pub(crate) fn watch(&self, told: Told) {
        let screens = Rc::clone(&self.screens);
        let widgets = self.field.entries().into_iter().chain([self.go.clone().upcast()]).collect();
        seen::watch(&self.root, widgets, move || screens.area(), told);
    }

    fn connect(self: &Rc<Self>) {
        let this = self;
        this.keep_in_place();
        this.bar.on_rows(clone!(
            #[weak]
            this,
            move || this.show_logo()
        ));
        for (button, act) in [
            (&this.go, Self::submit as fn(&Self)),
            (&this.back, |this: &Self| (this.send)(Event::Back)),
            (&this.guest, |this: &Self| (this.send)(Event::Guest)),
            (&this.retry, |this: &Self| (this.send)(Event::Retry)),
            (&this.other_server, |this: &Self| {
                (this.send)(Event::ServersOpened);
                this.bar.server.open();
            }),
        ] {
            button.connect_clicked(clone!(
                #[weak]
                this,
                move |_| act(&this)
            ));
        }
        // GTK's inspector is a debugger for anyone at the keyboard, and answers to Ctrl+Shift+I.
        this.root.connect_enable_debugging(|root, _| {
            root.stop_signal_emission_by_name("enable-debugging");
            true
        });
        // A window manager may offer to close the window; a login screen has no end of its own.
        this.root.connect_close_request(|_| Propagation::Stop);
        let key = clone!(
            #[weak]
            this,
            #[upgrade_or]
            Propagation::Proceed,
            move |keys: &gtk4::EventControllerKey, key: keys::Key| this.key(keys, key)
        );
        for menu in this.bar.menus() {
            keys::connect(menu.popover(), key.clone());
            this.timers.watch(menu.popover());
            // Whoever it was that opened it.
            let timers = Rc::downgrade(&this.timers);
            menu.popover().connect_map(move |_| {
                if let Some(timers) = timers.upgrade() {
                    timers.touched();
                }
            });
        }
        keys::connect(&this.root, key);
        this.timers.watch(&this.root);
    }

    fn key(&self, keys: &gtk4::EventControllerKey, key: keys::Key) -> Propagation {
        self.timers.used();
        if key != keys::Key::Back {
            (self.send)(Event::Touched);
        }
        if key == keys::Key::Access {
            self.aids.toggle_reader();
            return Propagation::Stop;
        }
        if let Some(menu) = self.bar.opened() {
            match key {
                keys::Key::Back | keys::Key::Menus => menu.close(),
                keys::Key::Letter(letter) => menu.select_by(letter),
                _ => return Propagation::Proceed,
            }
            return Propagation::Stop;
        }
        match key {
            keys::Key::Back | keys::Key::Menus if self.bar.has_focus() => self.come_home(),
            keys::Key::Back if self.drop_answer() => {}
            keys::Key::Back => (self.send)(Event::Back),
            keys::Key::Help => (self.send)(Event::Help),
            keys::Key::Menus => self.bar.enter(),
            keys::Key::Peek => self.field.toggle_peek(),
            keys::Key::Layout => self.aids.next_layout(),
            keys::Key::Submit if self.field.has_focus(self.focus()) => self.submit(),
            keys::Key::Scroll(pages) if self.shown.get() == Some(Page::Help) => self.help.scroll(pages),
            keys::Key::Scroll(pages) if self.shown.get() == Some(Page::Question) => self.asker.scroll(pages),
            keys::Key::Scroll(pages) if !self.chooser.is_open() => self.said.scroll(pages),
            // Nobody has been asked for a password here: whoever types without looking types a name.
            keys::Key::Letter(_) if self.before.get() && !self.bar.has_focus() => {
                (self.send)(Event::NameBegun);
                self.field.take(keys);
            }
            keys::Key::Letter(letter) if self.chooser.is_open() && !self.bar.has_focus() => {
                self.chooser.select_by(letter);
            }
            _ => return Propagation::Proceed,
        }
        Propagation::Stop
    }

    /// An entry has another text, also by somebody who needs neither keys nor mouse for it.
    fn typed(&self, empty: bool) {
        self.timers.touched();
        if self.in_state(&State::Name) {
            (self.send)(Event::Typed { empty });
        }
    }

    /// The user name that stands in the entry, submitted or not.
    pub(crate) fn name_typed(&self) -> Option<String> {
        self.in_state(&State::Name).then(|| self.field.name())
    }

    fn focus(&self) -> Option<gtk4::Widget> {
        gtk4::prelude::RootExt::focus(&self.root)
    }

    /// Whether the login is at this step, whatever is in front of it.
    fn in_state(&self, state: &State) -> bool {
        self.serials.get().is_some_and(|(shown, ..)| shown == discriminant(state))
    }

    fn shows(&self, state: &State) -> bool {
        self.shown.get() == Some(Page::Login(discriminant(state)))
    }

    /// Enter, Tab or the button.
    fn submit(&self) {
        if self.shown.get() == Some(Page::Question) {
            (self.send)(Event::Confirmed);
        } else if self.before.get() {
            (self.send)(Event::Back);
        } else if self.chooser.is_open() {
            (self.send)(Event::Chosen(self.chooser.selected()));
        } else {
            let typed = self.field.read();
            if !self.shows(&State::Name) {
                self.field.fill("");
            }
            (self.send)(typed.map_or(Event::TooLong, Event::Submitted));
        }
    }

    /// Escape in the middle of an answer takes the answer back and nothing else: whoever then types it anew, and does not look,
    /// must not do so where it is seen.
    fn drop_answer(&self) -> bool {
        match self.shown.get() {
            Some(Page::Login(_)) if self.in_state(&State::Waiting) => self.ahead.clear(),
            Some(Page::Login(_)) => !self.in_state(&State::Name) && self.field.clear(),
            _ => false,
        }
    }

    /// Gives what was typed ahead to the hidden entry that has come. `enter`: as the user did.
    fn answer_ahead(self: &Rc<Self>, enter: bool) {
        let (typed, entered) = self.ahead.take();
        self.field.put(&typed);
        if entered && enter {
            let step = self.serials.get();
            // Not now: the dialog is in the middle of a step.
            glib::idle_add_local_once(clone!(
                #[weak(rename_to = this)]
                self,
                move || {
                    if this.serials.get() == step && this.field.is_secret() {
                        this.submit();
                    }
                }
            ));
        }
    }

    /// Shows the model. What has not changed is left alone, so that typing is never disturbed.
    pub(crate) fn show(self: &Rc<Self>, model: &Model) {
        self.speak(model);
        self.show_seat(model);
        self.aids.show(model);
        if self.large_text.replace(self.aids.large_text()) != self.aids.large_text() {
            self.take_room();
        }
        self.said.show(model.notice(), model.messages());
        self.field.describe(&self.said.notice());
        self.lead_on(model);
        self.said.fit_soon();
        self.clock.fit_soon();
        self.show_offers(model);
        choices::show(&self.bar, model, &self.send);
        self.timers.show(model);
        let page = Page::of(model);
        if page == Page::Help {
            self.help.show(model);
        }
        let state = discriminant(model.state());
        let serials = (state, model.serial(), model.refills());
        let next = self.serials.replace(Some(serials)) != Some(serials);
        if next {
            // What has just come is there to be read, and is not left for ever if nobody does.
            self.timers.touched();
        }
        if self.shown.replace(Some(page)) == Some(page) && !next {
            return;
        }
        self.open(page, model, next);
        // Whoever is in a menu is left there; it comes back here by itself.
        if self.bar.opened().is_none() {
            self.grab_focus(next);
        }
        self.show_status();
    }

    /// Tells of it if nobody has been there for long.
    pub(crate) fn look_whether_idle(&self) {
        self.timers.look();
    }

    /// Back from a menu.
    fn come_home(&self) {
        gtk4::prelude::GtkWindowExt::set_focus(&self.root, None::<&gtk4::Widget>);
        self.grab_focus(false);
    }

    /// Speaks the language that the user has chosen.
    fn speak(self: &Rc<Self>, model: &Model) {
        if self.language.borrow().as_deref() == model.language() {
            return;
        }
        self.language.replace(model.language().map(str::to_owned));
        if model.language().map_or_else(i18n::switch_back, i18n::switch) {
            self.set_texts();
            self.help.set_texts();
            self.shown.set(None);
        }
    }

    /// The texts that do not depend on the model, in the language in use.
    fn set_texts(&self) {
        // Translators: what to do, as a heading and on a button.
        self.root.set_title(Some(&gettext("Log in")));
        self.retry.set_label(&gettext("Try again"));
        self.other_server.set_label(&gettext("Other server"));
        // Translators: a button for those who have no name and password of their own.
        self.guest.set_label(&gettext("Log in as a guest"));
        self.field.set_texts();
        self.help.set_texts();
        self.bar.set_texts();
        self.aids.set_texts();
        self.clock.run();
    }

    fn show_seat(&self, model: &Model) {
        set(&self.title, &page::title(model));
        if let Some(hostname) = model.seat().map(|seat| seat.hostname.as_str()).filter(|name| !name.is_empty()) {
            set(&self.hostname, hostname);
        }
        let address = model.facts().and_then(|facts| facts.addresses.first());
        set(&self.address, address.map(String::as_str).unwrap_or_default());
        self.clock.set_format(model.seat().and_then(|seat| seat.clock.as_deref()));
    }
}

/// A widget by its id in `window.ui`.
pub(crate) fn get<T: IsA<glib::Object>>(ui: &gtk4::Builder, name: &str) -> Result<T, Missing> {
    ui.object(name).ok_or_else(|| Missing(name.to_owned()))
}

/// Puts an entry of a list together: `name` and `comment` are its labels.
pub(crate) fn describe(entry: &impl IsA<gtk4::Widget>, name: (&gtk4::Label, &str), comment: (&gtk4::Label, &str)) {
    for (label, text) in [name, comment] {
        label.set_text(text);
        label.set_visible(!text.is_empty());
    }
    describe_unseen(entry, Some(comment.1).filter(|text| !text.is_empty()));
}

/// What assistive programs say of a widget besides its name. GTK makes a description of a tooltip, and before 4.10 of nothing
/// else; that tooltip is not shown, as its text is on the screen already.
pub(crate) fn describe_unseen(widget: &impl IsA<gtk4::Widget>, text: Option<&str>) {
    if widget.tooltip_text().as_deref() != text {
        widget.set_tooltip_text(text);
        widget.set_has_tooltip(false);
    }
}

/// Sets the text if it is another one, and says whether it was.
pub(crate) fn set(label: &gtk4::Label, text: &str) -> bool {
    let other = label.text() != text;
    if other {
        label.set_text(text);
    }
    other
}
