//! The greeter's one window: shows the [`Model`] and turns what the user does into [`Event`]s.
//!
//! Every text of a server is set as plain text, never as markup. Answers are taken from the entry character by character into
//! a [`Secret`] and the entry is emptied at once.

use std::cell::{Cell, RefCell};
use std::mem::{Discriminant, discriminant};
use std::rc::Rc;

use crate::i18n::gettext;
use gtk4::glib::{Propagation, clone};
use gtk4::{glib, prelude::*};
use ldm_protocol::{Secret, limits};
use zeroize::Zeroizing;

use crate::chooser::Chooser;
use crate::model::{Choice, Event, Model, State};
use crate::monitors::Room;
use crate::screens::Screens;
use crate::theme::Look;
use crate::{clock, i18n, keys};

const UI: &str = include_str!("window.ui");

/// A widget that the greeter needs is not in `window.ui`: a defect.
#[derive(Debug, thiserror::Error)]
#[error("window.ui has no {0}")]
pub(crate) struct Missing(&'static str);

/// The window and those of its widgets that change.
pub(crate) struct Window {
    root: gtk4::Window,
    stage: gtk4::Box,
    backdrop: gtk4::Fixed,
    screens: Rc<Screens>,
    logo: gtk4::Image,
    hostname: gtk4::Label,
    title: gtk4::Label,
    said: gtk4::ScrolledWindow,
    notice: gtk4::Label,
    messages: gtk4::Box,
    asked: gtk4::ScrolledWindow,
    prompt: gtk4::Label,
    entry: gtk4::Entry,
    secret: gtk4::PasswordEntry,
    chooser: Chooser,
    progress: gtk4::Box,
    status: gtk4::Label,
    back: gtk4::Button,
    go: gtk4::Button,
    hint: gtk4::Label,
    send: Rc<dyn Fn(Event)>,
    /// The state that is shown.
    shown: Cell<Option<Discriminant<State>>>,
    /// The greeter itself is changing the entry.
    filling: Cell<bool>,
    /// What the waiting user is told.
    waiting: RefCell<Option<String>>,
    /// Messages are read from their end, a notice from its start.
    follow: Cell<bool>,
    /// There is no room for an empty line.
    tiny: Cell<bool>,
    /// How many characters fit into a line of a message.
    line: Cell<i32>,
}

impl Window {
    /// Builds the window, not yet shown. Everything the user does goes to `send`.
    pub(crate) fn new(
        look: &Look,
        screens: &Rc<Screens>,
        username: &str,
        send: Rc<dyn Fn(Event)>,
    ) -> Result<Rc<Self>, Missing> {
        let ui = gtk4::Builder::from_string(UI);
        let chosen = Rc::clone(&send);
        let chooser =
            Chooser::new(get(&ui, "chooser")?, get(&ui, "sessions")?, move |place| chosen(Event::Chosen(place)));
        let this = Rc::new(Self {
            root: get(&ui, "window")?,
            stage: get(&ui, "stage")?,
            backdrop: get(&ui, "backdrop")?,
            screens: Rc::clone(screens),
            logo: get(&ui, "logo")?,
            hostname: get(&ui, "hostname")?,
            title: get(&ui, "title")?,
            said: get(&ui, "said")?,
            notice: get(&ui, "notice")?,
            messages: get(&ui, "messages")?,
            asked: get(&ui, "asked")?,
            prompt: get(&ui, "prompt")?,
            entry: get(&ui, "entry")?,
            secret: get(&ui, "secret")?,
            chooser,
            progress: get(&ui, "progress")?,
            status: get(&ui, "status")?,
            back: get(&ui, "back")?,
            go: get(&ui, "go")?,
            hint: get(&ui, "hint")?,
            send,
            shown: Cell::new(None),
            filling: Cell::new(false),
            waiting: RefCell::new(None),
            follow: Cell::new(false),
            tiny: Cell::new(false),
            line: Cell::new(40),
        });
        this.logo.set_paintable(look.logo.as_ref());
        clock::run(&get(&ui, "clock")?);
        this.hostname.set_text(&glib::host_name());
        // Translators: what to do, as a heading and on a button.
        this.root.set_title(Some(&gettext("Log in")));
        // Translators: a button that goes back to the question for the user name.
        this.back.set_label(&gettext("Back"));
        this.entry.set_text(username);
        this.connect();
        Ok(this)
    }

    /// Shows the window on all monitors.
    pub(crate) fn present(self: &Rc<Self>, look: Look) {
        let resize = clone!(
            #[weak(rename_to = this)]
            self,
            move |room: Room| {
                this.logo.set_visible(room.logo && this.logo.paintable().is_some());
                this.hint.set_visible(!room.tiny);
                this.tiny.set(room.tiny);
                this.show_status();
            }
        );
        self.screens.cover(&self.root, &self.stage, &self.backdrop, move |_, _| look.background.clone(), resize);
        self.root.present();
    }

    fn connect(self: &Rc<Self>) {
        let this = self;
        this.entry.connect_changed(clone!(
            #[weak]
            this,
            move |_| {
                if !this.filling.get() && this.shows(&State::Name) {
                    (this.send)(Event::Typed);
                }
            }
        ));
        this.entry.connect_activate(clone!(
            #[weak]
            this,
            move |_| this.submit()
        ));
        this.secret.connect_activate(clone!(
            #[weak]
            this,
            move |_| this.submit()
        ));
        this.go.connect_clicked(clone!(
            #[weak]
            this,
            move |_| this.submit()
        ));
        this.back.connect_clicked(clone!(
            #[weak]
            this,
            move |_| (this.send)(Event::Back)
        ));
        this.said.vadjustment().connect_changed(clone!(
            #[weak]
            this,
            move |adjustment| {
                let adjustment = adjustment.clone();
                // Not now: the text is being given its place, and would keep it.
                glib::idle_add_local_once(clone!(
                    #[weak]
                    this,
                    move || adjustment.set_value(if this.follow.get() {
                        adjustment.upper()
                    } else {
                        adjustment.lower()
                    })
                ));
            }
        ));
        // GTK's inspector is a debugger for anyone at the keyboard, and answers to Ctrl+Shift+I.
        this.root.connect_enable_debugging(|root, _| {
            root.stop_signal_emission_by_name("enable-debugging");
            true
        });
        // A password has no pictures; the list of them would cover the screen.
        if let Some(text) = this.secret.delegate().and_downcast::<gtk4::Text>() {
            text.set_input_hints(gtk4::InputHints::NO_EMOJI | gtk4::InputHints::PRIVATE);
        }
        // A window manager may offer to close the window; a login screen has no end of its own.
        this.root.connect_close_request(|_| Propagation::Stop);
        keys::connect(
            &this.root,
            clone!(
                #[weak]
                this,
                #[upgrade_or]
                Propagation::Proceed,
                move |key| this.key(&key)
            ),
        );
        if let Some(keyboard) = WidgetExt::display(&this.root).default_seat().and_then(|seat| seat.keyboard()) {
            keyboard.connect_caps_lock_state_notify(clone!(
                #[weak]
                this,
                move |_| this.show_status()
            ));
        }
    }

    fn key(&self, key: &keys::Key) -> Propagation {
        match key {
            keys::Key::Back => (self.send)(Event::Back),
            keys::Key::Access => (self.send)(Event::AccessToggled),
            keys::Key::Submit if self.typing() => self.submit(),
            keys::Key::Scroll(pages) if !self.chooser.is_open() => {
                for area in [&self.said, &self.asked] {
                    let adjustment = area.vadjustment();
                    adjustment.set_value(adjustment.value() + pages * adjustment.page_size());
                }
            }
            keys::Key::Letter(letter) if self.chooser.is_open() => self.chooser.select_by(*letter),
            _ => return Propagation::Proceed,
        }
        Propagation::Stop
    }

    /// The user name that stands in the entry, submitted or not.
    pub(crate) fn name_typed(&self) -> Option<String> {
        self.shows(&State::Name).then(|| self.entry.text().into())
    }

    /// Whether the keyboard is at an entry.
    fn typing(&self) -> bool {
        let focus = gtk4::prelude::RootExt::focus(&self.root);
        focus.is_some_and(|focus| focus.is_ancestor(&self.entry) || focus.is_ancestor(&self.secret))
    }

    fn shows(&self, state: &State) -> bool {
        self.shown.get() == Some(discriminant(state))
    }

    /// Enter, Tab or the button.
    fn submit(&self) {
        if self.chooser.is_open() {
            (self.send)(Event::Chosen(self.chooser.selected()));
            return;
        }
        let typed = if self.secret.is_visible() { read(&self.secret) } else { read(&self.entry) };
        if !self.shows(&State::Name) {
            self.clear();
        }
        (self.send)(typed.map_or(Event::TooLong, Event::Submitted));
    }

    fn clear(&self) {
        self.filling.set(true);
        // The buffers wipe what they held.
        self.secret.set_text("");
        self.entry.set_text("");
        self.filling.set(false);
    }

    /// Shows the model. What has not changed is left alone, so that typing is never disturbed.
    pub(crate) fn show(self: &Rc<Self>, model: &Model) {
        self.show_seat(model);
        self.show_said(model);
        self.fit_soon();
        let state = model.state();
        if self.shown.replace(Some(discriminant(state))) == Some(discriminant(state)) {
            return;
        }
        let busy = matches!(state, State::Waiting | State::Starting);
        if busy {
            // Before the entry becomes insensitive: GTK warns about a focus that goes with it.
            gtk4::prelude::GtkWindowExt::set_focus(&self.root, None::<&gtk4::Widget>);
        }
        self.entry.set_sensitive(!busy);
        self.secret.set_sensitive(!busy);
        self.chooser.set_sensitive(!busy);
        self.go.set_sensitive(!busy);
        self.back.set_visible(!matches!(state, State::Name | State::Starting));
        self.progress.set_visible(busy);
        self.waiting.replace(None);
        match state {
            State::Name => {
                self.ask(&gettext("User name"), false);
                self.filling.set(true);
                self.secret.set_text("");
                self.entry.set_text(model.username());
                self.filling.set(false);
                self.entry.grab_focus();
            }
            State::Prompt { secret, text } => {
                self.clear();
                let text = text.trim();
                // Translators: stands above an entry if the server asks without saying what; "Your answer".
                self.ask(&if text.is_empty() { gettext("Answer") } else { text.to_owned() }, *secret);
                if *secret {
                    self.secret.grab_focus()
                } else {
                    self.entry.grab_focus()
                };
            }
            State::Sessions(choice) => self.offer(choice),
            State::Waiting => {
                self.waiting.replace(Some(gettext("Please wait…")));
            }
            State::Starting => {
                self.waiting.replace(Some(gettext("Your session is being started…")));
            }
        }
        self.hint.set_text(&match state {
            // Translators: Enter and Escape are keys; call them as on your keyboards. The parts stand three blanks apart.
            State::Name => gettext("Enter: go on"),
            State::Prompt { .. } => gettext("Enter: go on   Escape: back to the user name"),
            State::Sessions(_) => gettext("Arrow keys: choose   Enter: start   Escape: back to the user name"),
            State::Waiting => gettext("Escape: back to the user name"),
            State::Starting => String::new(),
        });
        self.show_status();
    }

    fn show_seat(&self, model: &Model) {
        let server = model.seat().map(|seat| seat.server.as_str()).filter(|server| !server.is_empty());
        // A forgotten terminal must show whose password it waits for.
        let name = Some(model.username()).filter(|name| !name.is_empty() && !matches!(model.state(), State::Name));
        set(
            &self.title,
            &match (server, name) {
                (Some(server), Some(name)) => {
                    i18n::fill(&i18n::fill(&gettext("Log in as {name} to {server}"), "server", server), "name", name)
                }
                (Some(server), None) => i18n::fill(&gettext("Log in to {server}"), "server", server),
                (None, _) => gettext("Log in"),
            },
        );
        if let Some(seat) = model.seat() {
            self.screens.show(seat);
        }
        if let Some(hostname) = model.seat().map(|seat| seat.hostname.as_str()).filter(|name| !name.is_empty()) {
            set(&self.hostname, hostname);
        }
    }

    fn show_said(&self, model: &Model) {
        let notice = model.notice().map(i18n::notice).unwrap_or_default();
        let changed = set(&self.notice, &notice);
        let told = (!notice.is_empty()).then_some(notice.as_str());
        self.entry.set_tooltip_text(told);
        self.secret.set_tooltip_text(told);
        self.notice.set_visible(!notice.is_empty());
        let labels = self.message_labels();
        let shown = labels.iter().map(gtk4::Label::text);
        if !shown.eq(model.messages().iter().map(|message| message.text.trim())) {
            for label in &labels {
                self.messages.remove(label);
            }
            for message in model.messages() {
                self.messages.append(&message_label(message.text.trim(), message.error, self.line.get()));
            }
        }
        self.messages.set_visible(!model.messages().is_empty());
        self.follow.set(notice.is_empty());
        self.said.set_visible(!notice.is_empty() || !model.messages().is_empty());
        if changed {
            self.said.vadjustment().set_value(0.0);
        }
    }

    /// A scrolled text asks for the height that it has at its natural width, which is not the width it gets. So its natural
    /// width is made the one it got, as soon as that is known.
    fn fit_soon(self: &Rc<Self>) {
        glib::idle_add_local_once(clone!(
            #[weak(rename_to = this)]
            self,
            move || {
                let messages = this.message_labels();
                for label in [&this.prompt, &this.notice].into_iter().chain(&messages) {
                    let line = line_of(label);
                    if line > 0 && label.is_visible() {
                        label.set_max_width_chars(line);
                    }
                }
                if let Some(line) = messages.first().map(line_of).filter(|&line| line > 0) {
                    this.line.set(line);
                }
            }
        ));
    }

    /// What stands in `messages`, without the label that is never seen.
    fn message_labels(&self) -> Vec<gtk4::Label> {
        let children = self.messages.observe_children();
        let labels = children.iter::<glib::Object>().flatten().filter_map(|child| child.downcast::<gtk4::Label>().ok());
        labels.filter(WidgetExt::get_visible).collect()
    }

    fn ask(&self, prompt: &str, secret: bool) {
        set(&self.prompt, prompt);
        self.asked.vadjustment().set_value(0.0);
        self.chooser.close();
        self.secret.set_visible(secret);
        self.entry.set_visible(!secret);
        self.go.set_label(&gettext("Log in"));
    }

    fn offer(&self, choice: &Choice) {
        set(&self.prompt, &gettext("Choose a session"));
        self.entry.set_visible(false);
        self.secret.set_visible(false);
        self.chooser.open(choice);
        // Translators: a button that starts the chosen session.
        self.go.set_label(&gettext("Start"));
    }

    fn show_status(&self) {
        let display = WidgetExt::display(&self.root);
        let caps = || display.default_seat().and_then(|seat| seat.keyboard()).is_some_and(|k| k.is_caps_locked());
        let status = match self.waiting.borrow().as_deref() {
            Some(waiting) => waiting.to_owned(),
            // Translators: the key, as it is called on your keyboards.
            None if self.secret.is_visible() && caps() => gettext("Caps Lock is on."),
            None => String::new(),
        };
        self.status.set_visible(!self.tiny.get() || !status.is_empty());
        set(&self.status, &status);
    }
}

fn get<T: IsA<glib::Object>>(ui: &gtk4::Builder, name: &'static str) -> Result<T, Missing> {
    ui.object(name).ok_or(Missing(name))
}

/// Sets the text if it is another one, and says whether it was.
fn set(label: &gtk4::Label, text: &str) -> bool {
    let other = label.text() != text;
    if other {
        label.set_text(text);
    }
    other
}

/// What is in the entry, taken out one character at a time so that no copy of the whole is left behind. `None`: too long.
fn read(entry: &impl IsA<gtk4::Editable>) -> Option<Secret> {
    let mut text = Zeroizing::new(String::with_capacity(limits::ANSWER + 4));
    for place in 0.. {
        let character = entry.chars(place, place + 1);
        if character.is_empty() {
            break;
        }
        text.push_str(&character);
        if text.len() > limits::ANSWER {
            return None;
        }
    }
    Secret::new(&text).ok()
}

/// How many characters fit into a line of this label, by GTK's own measure of a character.
fn line_of(label: &gtk4::Label) -> i32 {
    let metrics = label.pango_context().metrics(None, None);
    let character = metrics.approximate_char_width().max(metrics.approximate_digit_width());
    if character > 0 { label.width() * gtk4::pango::SCALE / character } else { 0 }
}

fn message_label(text: &str, error: bool, line: i32) -> gtk4::Label {
    let role = if error { gtk4::AccessibleRole::Alert } else { gtk4::AccessibleRole::Label };
    let attributes = gtk4::pango::AttrList::new();
    // A fingerprint or a path is broken where the line ends, and a hyphen would seem to be part of it.
    attributes.insert(gtk4::pango::AttrInt::new_insert_hyphens(false));
    let label = gtk4::Label::builder()
        .label(text)
        .attributes(&attributes)
        .use_markup(false)
        .use_underline(false)
        .wrap(true)
        .wrap_mode(gtk4::pango::WrapMode::WordChar)
        .max_width_chars(line)
        .xalign(0.0)
        .accessible_role(role)
        .build();
    label.add_css_class(if error { "error" } else { "info" });
    label
}
