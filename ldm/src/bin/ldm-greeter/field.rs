//! The entry for the answer: seen or hidden, with a button that shows what is hidden.
//!
//! Answers are taken out of it character by character into a [`Secret`], and it is emptied at once.

use std::cell::Cell;
use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use ldm_protocol::{Secret, limits};
use zeroize::Zeroizing;

use crate::i18n::gettext;
use crate::icons::Icon;
use crate::menu;
use crate::window::{Missing, describe_unseen, get, set};

thread_local! {
    static LOCKED: Cell<Option<bool>> = const { Cell::new(None) };
}

/// For pictures: whether both locks are on, whatever the keyboard says; `None`: what it says.
pub(crate) fn pretend_locked(locked: Option<bool>) {
    LOCKED.set(locked);
}

/// These widgets.
pub(crate) struct Field {
    area: gtk4::Box,
    entry: gtk4::Entry,
    secret: gtk4::PasswordEntry,
    peek: gtk4::ToggleButton,
    peek_spoken: gtk4::Label,
    locks: gtk4::Label,
    /// The line in which the locks stand.
    line: gtk4::Box,
    /// Something else stands there, or there is room for an empty line.
    line_used: Cell<bool>,
    /// The greeter itself is changing the entry.
    filling: Cell<bool>,
}

impl Field {
    /// Takes the widgets over. `submit` is called for Enter, `typed` when the user has changed what is seen.
    pub(crate) fn new(
        ui: &gtk4::Builder,
        submit: impl Fn() + Clone + 'static,
        typed: impl Fn(bool) + 'static,
    ) -> Result<Rc<Self>, Missing> {
        let this = Rc::new(Self {
            area: get(ui, "field")?,
            line: get(ui, "state")?,
            line_used: Cell::new(true),
            entry: get(ui, "entry")?,
            secret: get(ui, "secret")?,
            peek: get(ui, "peek")?,
            peek_spoken: get(ui, "peek-spoken")?,
            locks: get(ui, "locks")?,
            filling: Cell::new(false),
        });
        menu::dress(ui, "peek", Icon::Eye)?;
        let seen = submit.clone();
        this.entry.connect_activate(move |_| seen());
        this.secret.connect_activate(move |_| submit());
        this.entry.connect_changed(clone!(
            #[weak]
            this,
            move |entry| {
                if !this.filling.get() {
                    typed(entry.text_length() == 0);
                }
            }
        ));
        this.peek.connect_toggled(clone!(
            #[weak]
            this,
            move |_| this.follow_peek()
        ));
        if let Some(text) = this.text() {
            text.set_input_hints(gtk4::InputHints::NO_EMOJI | gtk4::InputHints::PRIVATE);
            guard(&text);
            keep_in(&text);
            // GTK has ways of its own to show what is hidden.
            text.connect_visibility_notify(clone!(
                #[weak]
                this,
                move |_| this.follow_peek()
            ));
        }
        if let Some(text) = this.entry.delegate().and_downcast_ref::<gtk4::Text>() {
            guard(text);
        }
        if let Some(keyboard) = this.keyboard() {
            for lock in [
                gtk4::gdk::Device::connect_caps_lock_state_notify::<Box<dyn Fn(&gtk4::gdk::Device)>>,
                gtk4::gdk::Device::connect_num_lock_state_notify,
            ] {
                let weak = Rc::downgrade(&this);
                lock(
                    &keyboard,
                    Box::new(move |_| {
                        if let Some(this) = weak.upgrade() {
                            this.refresh_locks();
                        }
                    }),
                );
            }
        }
        Ok(this)
    }

    /// What of the hidden entry holds the text.
    fn text(&self) -> Option<gtk4::Text> {
        self.secret.delegate().and_downcast()
    }

    /// What is hidden is seen while the button is pressed in, and at no other time.
    fn follow_peek(&self) {
        if let Some(text) = self.text().filter(|text| text.property::<bool>("visibility") != self.peek.is_active()) {
            text.set_visibility(self.peek.is_active());
            // GTK 4.8 begins to keep what undoing would bring back, whatever was said before.
            text.set_enable_undo(true);
            text.set_enable_undo(false);
        }
    }

    fn keyboard(&self) -> Option<gtk4::gdk::Device> {
        WidgetExt::display(&self.entry).default_seat().and_then(|seat| seat.keyboard())
    }

    /// The texts, in the language in use.
    pub(crate) fn set_texts(&self) {
        let peek = gettext("Show what is typed");
        // Translators: {key} is a key: F8.
        self.peek.set_tooltip_text(Some(&crate::i18n::fill(&gettext("Show what is typed ({key})"), "key", "F8")));
        set(&self.peek_spoken, &peek);
        self.refresh_locks();
    }

    /// What a screen reader says of the entry besides its name.
    pub(crate) fn describe(&self, text: &str) {
        let text = Some(text).filter(|text| !text.is_empty());
        for entry in [self.entry.upcast_ref::<gtk4::Widget>(), self.secret.upcast_ref()] {
            describe_unseen(entry, text);
        }
    }

    /// Shows one of the entries; `None`: neither.
    pub(crate) fn open(&self, secret: Option<bool>) {
        self.hide();
        self.peek.set_visible(secret == Some(true));
        self.secret.set_visible(secret == Some(true));
        self.entry.set_visible(secret == Some(false));
        self.area.set_visible(secret.is_some());
        self.refresh_locks();
    }

    /// Whether what is typed stays hidden.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret.is_visible()
    }

    /// Makes it usable, or not while the user waits.
    pub(crate) fn set_sensitive(&self, sensitive: bool) {
        for widget in [self.entry.upcast_ref::<gtk4::Widget>(), self.secret.upcast_ref(), self.peek.upcast_ref()] {
            widget.set_sensitive(sensitive);
        }
    }

    /// Both entries, of which at most one is seen.
    pub(crate) fn entries(&self) -> [gtk4::Widget; 2] {
        [self.entry.clone().upcast(), self.secret.clone().upcast()]
    }

    /// Gives it the keyboard. What is seen in it is selected only if the user is to replace it; what is hidden the user goes on
    /// with, always.
    pub(crate) fn grab_focus(&self, select: bool) {
        if self.is_secret() {
            if let Some(text) = self.text() {
                text.grab_focus_without_selecting();
            }
        } else if select {
            self.entry.grab_focus();
        } else {
            self.entry.grab_focus_without_selecting();
        }
    }

    /// Whether the keyboard is at an entry.
    pub(crate) fn has_focus(&self, focus: Option<gtk4::Widget>) -> bool {
        focus.is_some_and(|focus| focus.is_ancestor(&self.entry) || focus.is_ancestor(&self.secret))
    }

    /// F8: shows what is hidden, or hides it again.
    pub(crate) fn toggle_peek(&self) {
        if self.peek.is_visible() && self.peek.is_sensitive() {
            self.peek.set_active(!self.peek.is_active());
        }
    }

    /// What is seen in it.
    pub(crate) fn name(&self) -> String {
        self.entry.text().into()
    }

    /// Puts a name into it.
    pub(crate) fn fill(&self, name: &str) {
        self.filling.set(true);
        // The buffers wipe what they held.
        self.secret.set_text("");
        self.entry.set_text(name);
        self.entry.set_position(-1);
        self.filling.set(false);
        self.hide();
    }

    /// Hides again what is to be hidden, whatever has shown it.
    fn hide(&self) {
        self.peek.set_active(false);
        self.follow_peek();
    }

    /// Gives the key that is being pressed to the entry that is seen.
    pub(crate) fn take(&self, keys: &gtk4::EventControllerKey) {
        if let Some(text) = self.entry.delegate() {
            keys.forward(&text);
        }
    }

    /// Puts into the hidden entry what was typed before it was there.
    pub(crate) fn put(&self, answer: &str) {
        self.secret.set_text(answer);
        self.secret.set_position(-1);
    }

    /// Empties the entry that is in use, and says whether there was anything in it.
    pub(crate) fn clear(&self) -> bool {
        let entry: &gtk4::Editable = if self.is_secret() { self.secret.upcast_ref() } else { self.entry.upcast_ref() };
        let any = entry.is_visible() && entry.is_sensitive() && !entry.chars(0, 1).is_empty();
        if any {
            self.fill("");
        }
        any
    }

    /// What was typed. `None`: it is too long.
    pub(crate) fn read(&self) -> Option<Secret> {
        if self.is_secret() { read(&self.secret) } else { read(&self.entry) }
    }

    /// Says which locks are on. `line`: the line in which that stands is there in any case.
    pub(crate) fn show_locks(&self, line: bool) {
        self.line_used.set(line);
        self.refresh_locks();
    }

    /// Num Lock is none to warn of, but digits may be missed without it.
    fn refresh_locks(&self) {
        let (caps, num) = match (LOCKED.get(), self.keyboard()) {
            (Some(locked), _) => (locked, locked),
            (None, Some(keyboard)) => (keyboard.is_caps_locked(), keyboard.is_num_locked()),
            (None, None) => (false, false),
        };
        let visible = self.secret.is_visible() || WidgetExt::is_visible(&self.entry);
        // Translators: the keys, as they are called on your keyboards.
        let text = match (visible && caps, visible && num) {
            (true, true) => gettext("Caps Lock and Num Lock are on."),
            (true, false) => gettext("Caps Lock is on."),
            (false, true) => gettext("Num Lock is on."),
            (false, false) => String::new(),
        };
        self.locks.set_css_classes(if caps { &["warning"] } else { &[] });
        self.locks.set_visible(!text.is_empty());
        self.line.set_visible(!text.is_empty() || self.line_used.get());
        set(&self.locks, &text);
    }
}

/// Takes away GTK's menu and its list of pictures: they would stay in front of whatever comes next, and keep the greeter's keys
/// from working. Select, copy and paste have their keys.
fn guard(text: &gtk4::Text) {
    for action in ["menu.popup", "misc.insert-emoji", "misc.toggle-visibility"] {
        text.action_set_enabled(action, false);
    }
    refuse(text, "insert-emoji");
    let click = gtk4::GestureClick::builder()
        .button(gtk4::gdk::BUTTON_SECONDARY)
        .propagation_phase(gtk4::PropagationPhase::Capture)
        .build();
    click.connect_pressed(|click, _, _, _| {
        click.set_state(gtk4::EventSequenceState::Claimed);
    });
    text.add_controller(click);
}

/// Lets nothing out of it but what is read: not to the clipboard, which the next user can paste from, and not to what undoing would
/// bring back. GTK does both while it is seen.
fn keep_in(text: &gtk4::Text) {
    text.set_enable_undo(false);
    for signal in ["copy-clipboard", "cut-clipboard"] {
        refuse(text, signal);
    }
}

/// Keeps GTK from doing what a key or an action asks it for.
fn refuse(text: &gtk4::Text, signal: &'static str) {
    text.connect_local(signal, false, move |values| {
        if let Some(Ok(text)) = values.first().map(glib::Value::get::<gtk4::Text>) {
            text.stop_signal_emission_by_name(signal);
        }
        None
    });
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
