//! The login's steps as the window shows them: what is asked, with which buttons, and where the keyboard is.

use std::rc::Rc;

use gtk4::prelude::*;

use super::{Window, describe_unseen, set};
use crate::i18n::{self, gettext};
use crate::model::{Choice, Model, State};
use crate::page::{self, Page};
use crate::{failure, keys, pam_words, question};

/// Style class of the button that does once more what was warned of.
const WARNED: &str = "warned";

impl Window {
    /// Puts the page in front. `next`: the login has gone on since.
    pub(super) fn open(self: &Rc<Self>, page: Page, model: &Model, next: bool) {
        let state = model.state();
        let login = matches!(page, Page::Login(_));
        let busy = login && matches!(state, State::Waiting | State::Starting);
        if busy && self.bar.opened().is_none() {
            // Before the entry becomes insensitive: GTK warns about a focus that goes with it.
            gtk4::prelude::GtkWindowExt::set_focus(&self.root, None::<&gtk4::Widget>);
        }
        self.said.free();
        if !busy {
            self.take_room();
        }
        self.help.set_visible(page == Page::Help);
        self.card.set_visible(page != Page::Help);
        self.asker.show(model.question());
        self.field.set_sensitive(!busy);
        self.chooser.set_sensitive(!busy);
        self.go.set_sensitive(!busy);
        self.progress.set_visible(busy);
        self.waiting.replace(None);
        if next {
            match state {
                State::Name => self.field.fill(model.username()),
                State::Sessions(_) | State::Waiting | State::Starting => {}
                State::Prompt { .. } | State::Failed(_) => self.field.fill(""),
            }
            self.ahead.set_waiting(matches!(state, State::Waiting));
            match state {
                State::Waiting => {}
                State::Prompt { secret: true, .. } => self.answer_ahead(login),
                _ => drop(self.ahead.take()),
            }
        }
        let back = match (page, state) {
            (Page::Login(_), State::Name | State::Starting) | (Page::Help, _) => false,
            (Page::Login(_) | Page::Question, _) => true,
        };
        self.back.set_visible(back);
        self.back.set_label(&if page == Page::Question {
            gettext("Cancel")
        } else {
            // Translators: a button that goes back to the question for the user name.
            gettext("Back")
        });
        let failed = login && matches!(state, State::Failed(_));
        let before = failed && model.is_of_before();
        let warned = matches!(state, State::Failed(failure) if failure::warns(failure.kind));
        self.before.set(before);
        self.retry.set_visible(failed && !before);
        if warned {
            self.retry.add_css_class(WARNED);
        } else {
            self.retry.remove_css_class(WARNED);
        }
        self.go.set_visible(!failed);
        if before {
            // To the name there is one way.
            self.go.set_visible(!warned);
            self.back.set_visible(warned);
        }
        if !login {
            self.field.open(None);
            self.chooser.close();
            self.said.ask("");
            if let Some(question) = model.question() {
                self.go.set_label(&question::yes(question));
            }
            return;
        }
        match state {
            State::Name => self.ask(&gettext("User name"), Some(false)),
            State::Prompt { secret, text } => {
                let text = pam_words::shown(text);
                // Translators: stands above an entry if the server asks without saying what; "Your answer".
                self.ask(&if text.is_empty() { gettext("Answer") } else { text }, Some(*secret));
            }
            State::Sessions(choice) => self.offer(choice, next),
            State::Failed(_) => self.ask("", None),
            State::Waiting => {
                self.waiting.replace(Some(gettext("Please wait…")));
            }
            State::Starting => {
                self.waiting.replace(Some(gettext("Your session is being started…")));
            }
        }
    }

    /// Gives the keyboard to what the page is about.
    pub(super) fn grab_focus(&self, next: bool) {
        let leads_on = self.leads_on.borrow().clone();
        match self.shown.get() {
            Some(Page::Help) => self.help.grab_focus(),
            // What is asked is not to be agreed to by a key too many.
            Some(Page::Question) => {
                self.back.grab_focus();
            }
            Some(Page::Login(_)) if leads_on.is_some() => {
                leads_on.map(|button| button.grab_focus());
            }
            Some(Page::Login(_)) if self.chooser.is_open() => self.chooser.grab_focus(),
            Some(Page::Login(_)) if self.waiting.borrow().is_none() => self.field.grab_focus(next),
            _ => {}
        }
    }

    /// Which button of a failure's screen is to have the keyboard. What has failed is what a screen reader says of it.
    pub(super) fn lead_on(&self, model: &Model) {
        let button = match model.state() {
            State::Failed(failure) if failure::warns(failure.kind) => Some(&self.back),
            State::Failed(_) if model.is_of_before() => Some(&self.go),
            State::Failed(_) => Some(&self.retry),
            _ => None,
        };
        for other in [&self.back, &self.go, &self.retry] {
            let text = button.filter(|button| *button == other).map(|_| self.said.notice());
            describe_unseen(other, text.as_deref().filter(|text| !text.is_empty()));
        }
        self.leads_on.replace(button.cloned());
    }

    /// Guest, countdown and another server: beside what is asked.
    pub(super) fn show_offers(&self, model: &Model) {
        let page = Page::of(model);
        let naming = matches!(page, Page::Login(_)) && matches!(model.state(), State::Name);
        let failed = matches!(page, Page::Login(_)) && matches!(model.state(), State::Failed(_));
        self.guest.set_visible(naming && model.seat().is_some_and(|seat| seat.guest));
        self.other_server.set_visible(failed && !model.servers().is_empty());
        let left = model.counting().filter(|_| naming || failed);
        self.countdown.set_visible(left.is_some());
        if let Some(left) = left {
            let sentence = gettext("Seconds until a guest is logged in: {seconds}. Any key stops that.");
            set(&self.countdown, &i18n::fill(&sentence, "seconds", &left.to_string()));
        }
        let mut hint = page::hint(page, model);
        if let Some(layouts) = self.aids.layout_hint().filter(|_| naming || self.field.is_secret()) {
            hint = keys::joined(&[&hint, &layouts]);
        }
        set(&self.hint, &hint);
    }

    fn ask(&self, prompt: &str, secret: Option<bool>) {
        self.said.ask(prompt);
        self.chooser.close();
        self.field.open(secret);
        self.go.set_label(&gettext("Log in"));
    }

    fn offer(&self, choice: &Choice, next: bool) {
        self.said.ask(&gettext("Choose a session"));
        self.field.open(None);
        self.chooser.open(choice, next);
        // Translators: a button that starts the chosen session.
        self.go.set_label(&gettext("Start"));
    }
}
