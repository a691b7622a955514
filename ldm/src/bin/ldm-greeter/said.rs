//! What was said and what is asked: the notice, the server's messages and the prompt, each in as many lines as it needs.
//!
//! Every text of a server is set as plain text, never as markup.

use std::cell::Cell;
use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

use crate::model::{Message, Notice};
use crate::window::{Missing, get, set};
use crate::{edge, failure, i18n, pam_words};

/// No word of a language is longer, and no fingerprint or path that a server would tell.
const RUN: usize = 100;

/// Style class of what is told, and no error.
const INFO: &str = "info";

/// These widgets.
pub(crate) struct Said {
    area: gtk4::ScrolledWindow,
    failure: gtk4::Box,
    notice: gtk4::Label,
    code: gtk4::Label,
    messages: gtk4::Box,
    asked: gtk4::ScrolledWindow,
    prompt: gtk4::Label,
    /// Messages are read from their end, a notice from its start.
    follow: Cell<bool>,
    /// How many characters fit into a line of a message.
    line: Cell<i32>,
    more_room: Rc<dyn Fn() -> bool>,
}

impl Said {
    /// Takes the widgets over; `more_room` is asked where not all of it fits.
    pub(crate) fn new(ui: &gtk4::Builder, more_room: Rc<dyn Fn() -> bool>) -> Result<Rc<Self>, Missing> {
        let this = Rc::new(Self {
            area: get(ui, "said")?,
            failure: get(ui, "failure")?,
            notice: get(ui, "notice")?,
            code: get(ui, "failure-code")?,
            messages: get(ui, "messages")?,
            asked: get(ui, "asked")?,
            prompt: get(ui, "prompt")?,
            follow: Cell::new(false),
            line: Cell::new(40),
            more_room,
        });
        this.when_placed(&this.area.vadjustment(), |this, adjustment| {
            let follows = this.follow.get();
            let mut labels = this.message_labels();
            labels.extend([this.notice.clone(), this.code.clone()]);
            edge::fit(&this.area, edge::lines(&this.area, &labels), follows, &*this.more_room);
            adjustment.set_value(if follows { adjustment.upper() } else { adjustment.lower() });
        });
        this.when_placed(&this.asked.vadjustment(), |this, adjustment| {
            // Whatever else a question says, what it asks for is its end.
            let lines = edge::lines(&this.asked, std::slice::from_ref(&this.prompt));
            edge::fit(&this.asked, lines, true, &*this.more_room);
            adjustment.set_value(adjustment.upper());
        });
        Ok(this)
    }

    /// Does something after each change of how much there is to scroll.
    fn when_placed(self: &Rc<Self>, adjustment: &gtk4::Adjustment, place: fn(&Self, &gtk4::Adjustment)) {
        adjustment.connect_changed(clone!(
            #[weak(rename_to = this)]
            self,
            move |adjustment| {
                let adjustment = adjustment.clone();
                // Not now: the text is being given its place, and would keep it.
                glib::idle_add_local_once(clone!(
                    #[weak]
                    this,
                    move || {
                        this.fit();
                        place(&this, &adjustment);
                    }
                ));
            }
        ));
    }

    /// What went wrong, as it is shown.
    pub(crate) fn notice(&self) -> glib::GString {
        self.notice.text()
    }

    /// Shows what went wrong and what the server said.
    pub(crate) fn show(&self, notice: Option<&Notice>, messages: &[Message]) {
        let text = breakable(&notice.map(i18n::notice).unwrap_or_default());
        let changed = set(&self.notice, &text);
        let code = match notice {
            Some(Notice::Failure(failure)) => failure::code(failure.kind),
            _ => String::new(),
        };
        self.code.set_visible(!code.is_empty());
        if !code.is_empty() {
            // Translators: {code} is one word, by which the administrator finds the failure in the guide.
            set(&self.code, &i18n::fill(&i18n::gettext("Code for the administrator: {code}"), "code", &code));
        }
        // Nothing went wrong: it is only told.
        if matches!(notice, Some(Notice::Idle)) {
            self.notice.add_css_class(INFO);
        } else {
            self.notice.remove_css_class(INFO);
        }
        self.failure.set_visible(!text.is_empty());
        let labels = self.message_labels();
        let texts: Vec<String> = messages.iter().map(|message| breakable(&pam_words::shown(&message.text))).collect();
        let other = !labels.iter().map(gtk4::Label::text).eq(texts.iter().map(String::as_str));
        if changed || other {
            self.free();
        }
        if other {
            for label in &labels {
                self.messages.remove(label);
            }
            for (message, text) in messages.iter().zip(&texts) {
                self.messages.append(&message_label(text, message.error, self.line.get()));
            }
        }
        self.messages.set_visible(!messages.is_empty());
        self.follow.set(text.is_empty());
        self.area.set_visible(!text.is_empty() || !messages.is_empty());
        if changed {
            self.area.vadjustment().set_value(0.0);
        }
    }

    /// Shows what is asked; empty: nothing is.
    pub(crate) fn ask(&self, prompt: &str) {
        self.asked.set_visible(!prompt.is_empty());
        set(&self.prompt, &breakable(prompt));
    }

    /// There may be more room than there was, or less.
    pub(crate) fn free(&self) {
        for area in [&self.area, &self.asked] {
            edge::free(area);
        }
    }

    /// Turns this many pages.
    pub(crate) fn scroll(&self, pages: f64) {
        for area in [&self.area, &self.asked] {
            turn(area, pages);
        }
    }

    /// As soon as what is new has got its place.
    pub(crate) fn fit_soon(self: &Rc<Self>) {
        glib::idle_add_local_once(clone!(
            #[weak(rename_to = this)]
            self,
            move || this.fit()
        ));
    }

    /// A scrolled text asks for the height that it has at its natural width, which is not the width it gets. So its natural
    /// width is made the one it got, as soon as that is known.
    fn fit(&self) {
        let messages = self.message_labels();
        for label in [&self.prompt, &self.notice].into_iter().chain(&messages) {
            fit_line(label);
        }
        if let Some(line) = messages.first().map(line_of).filter(|&line| line > 0) {
            self.line.set(line);
        }
    }

    /// What stands in `messages`, without the label that is never seen.
    fn message_labels(&self) -> Vec<gtk4::Label> {
        let children = self.messages.observe_children();
        let labels = children.iter::<glib::Object>().flatten().filter_map(|child| child.downcast::<gtk4::Label>().ok());
        labels.filter(WidgetExt::get_visible).collect()
    }
}

/// The text with places to break it. To find one in thousands of letters without a space takes Pango seconds.
fn breakable(text: &str) -> String {
    let mut run = 0;
    let mut broken = String::with_capacity(text.len());
    for character in text.chars() {
        run = if character.is_whitespace() { 0 } else { run + 1 };
        if run > RUN {
            broken.push('\u{200b}');
            run = 1;
        }
        broken.push(character);
    }
    broken
}

/// Scrolls by pages.
pub(crate) fn turn(area: &gtk4::ScrolledWindow, pages: f64) {
    let adjustment = area.vadjustment();
    adjustment.set_value(adjustment.value() + pages * adjustment.page_size());
}

/// Makes the natural width of a label the one that it got.
pub(crate) fn fit_line(label: &gtk4::Label) {
    let line = line_of(label);
    if line > 0 && label.is_visible() {
        label.set_max_width_chars(line);
    }
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
    label.add_css_class(if error { "error" } else { INFO });
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_word_is_broken() {
        let word = "x".repeat(RUN);
        let text = format!("{word} SHA256:{}\n{word}", "y".repeat(43));
        assert_eq!(breakable(&text), text);
        assert_eq!(breakable(&word.repeat(2)), format!("{word}\u{200b}{word}"));
    }
}
