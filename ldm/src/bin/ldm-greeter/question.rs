//! Questions of the greeter's own: what somebody else would lose is not ended without having been named.

use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use ldm_protocol::client::{Elsewhere, Power};

use crate::i18n::{fill, gettext};
use crate::model::Question;
use crate::window::{Missing, get, set};
use crate::{clock, edge, said};

/// So many are named; of more it is said how many there are.
const NAMED: usize = 3;

/// Letters of a name. Nobody needs more of them to know who or what it is.
const NAME: usize = 40;

/// The box with the question.
pub(crate) struct Asker {
    question: gtk4::Box,
    area: gtk4::ScrolledWindow,
    text: gtk4::Label,
}

impl Asker {
    /// Takes the box over; `more_room` is asked where the question does not fit.
    pub(crate) fn new(ui: &gtk4::Builder, more_room: Rc<dyn Fn() -> bool>) -> Result<Rc<Self>, Missing> {
        let this = Rc::new(Self {
            question: get(ui, "question")?,
            area: get(ui, "question-area")?,
            text: get(ui, "question-text")?,
        });
        this.area.vadjustment().connect_changed(clone!(
            #[weak]
            this,
            move |_| {
                let more_room = Rc::clone(&more_room);
                // Not now: the text is being given its place, and would keep it.
                glib::idle_add_local_once(move || {
                    said::fit_line(&this.text);
                    let lines = edge::lines(&this.area, std::slice::from_ref(&this.text));
                    edge::fit(&this.area, lines, false, &*more_room);
                });
            }
        ));
        Ok(this)
    }

    /// Shows a question, or none.
    pub(crate) fn show(&self, question: Option<&Question>) {
        self.question.set_visible(question.is_some());
        if let Some(question) = question
            && set(&self.text, &text(question))
        {
            self.free();
            self.area.vadjustment().set_value(0.0);
        }
    }

    /// There may be more room than there was, or less.
    pub(crate) fn free(&self) {
        edge::free(&self.area);
    }

    /// Turns this many pages.
    pub(crate) fn scroll(&self, pages: f64) {
        said::turn(&self.area, pages);
    }
}

/// What the dialog is headed with meanwhile.
pub(crate) fn title(question: &Question) -> String {
    match question {
        Question::Power(action, _) => power(*action),
        Question::Elsewhere(_) => gettext("You are logged in already"),
    }
}

/// What is asked.
pub(crate) fn text(question: &Question) -> String {
    match question {
        Question::Power(action, users) => {
            let sentence = match action {
                // Translators: {users} is one or several names, with commas between them.
                Power::Reboot => gettext("Logged in at this computer: {users}. Restart it and end what they do?"),
                Power::ShutDown => gettext("Logged in at this computer: {users}. Switch it off and end what they do?"),
                Power::Suspend => gettext("Logged in at this computer: {users}. Let it sleep?"),
            };
            fill(&sentence, "users", &names(users))
        }
        Question::Elsewhere(others) => {
            let mut told: Vec<String> = others.iter().take(NAMED).map(elsewhere).collect();
            if let Some(more) = others.len().checked_sub(NAMED).filter(|more| *more > 0) {
                // Translators: said after three sessions of the user have been named; right for one more and for many.
                told.push(fill(&gettext("Other sessions: {number}."), "number", &more.to_string()));
            }
            let ask = if others.len() == 1 {
                gettext("End that session? What is not saved there is lost.")
            } else {
                gettext("End those sessions? What is not saved there is lost.")
            };
            format!("{}\n{ask}", told.join("\n"))
        }
    }
}

/// Who is logged in here.
fn names(users: &[String]) -> String {
    let named: Vec<String> = users.iter().take(NAMED).map(|user| shortened(user)).collect();
    let named = named.join(", ");
    match users.len().checked_sub(NAMED) {
        None | Some(0) => named,
        Some(more) => {
            // Translators: {users} is three names with commas between them; right for one more and for many.
            fill(&fill(&gettext("{users} and {number} more"), "number", &more.to_string()), "users", &named)
        }
    }
}

/// The name, or its beginning.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

fn elsewhere(other: &Elsewhere) -> String {
    let time = i64::try_from(other.since).ok().filter(|since| *since > 0);
    let time = time.and_then(|since| glib::DateTime::from_unix_local(since).ok());
    // Translators: date and time as in g_date_time_format(); put the parts in the order of your language.
    let time = time.and_then(|time| clock::written(&time, &gettext("%A, %-e %B %Y, %H:%M")));
    let (client, time) = (shortened(&other.client), time.unwrap_or_default());
    match (client.is_empty(), time.is_empty()) {
        (false, false) => {
            fill(&fill(&gettext("You are logged in at {client} since {time}."), "time", &time), "client", &client)
        }
        (false, true) => fill(&gettext("You are logged in at {client}."), "client", &client),
        (true, false) => fill(&gettext("You are logged in at another computer since {time}."), "time", &time),
        (true, true) => gettext("You are logged in at another computer."),
    }
}

/// The button that says yes.
pub(crate) fn yes(question: &Question) -> String {
    match question {
        Question::Power(action, _) => power(*action),
        Question::Elsewhere(others) if others.len() == 1 => gettext("End that session"),
        Question::Elsewhere(_) => gettext("End those sessions"),
    }
}

/// What is done with the client's power, on a button.
pub(crate) fn power(action: Power) -> String {
    match action {
        Power::Reboot => gettext("Restart"),
        Power::ShutDown => gettext("Switch off"),
        // Translators: let the computer sleep (suspend to RAM), on a button.
        Power::Suspend => gettext("Sleep"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_would_be_lost() {
        let power = Question::Power(Power::ShutDown, vec!["ann".into(), "{users}".into()]);
        assert_eq!(text(&power), "Logged in at this computer: ann, {users}. Switch it off and end what they do?");
        let at = |client: &str, since| Elsewhere { client: client.into(), since, ..Elsewhere::default() };
        let one = text(&Question::Elsewhere(vec![at("tc7", 1_790_000_000)]));
        assert!(one.starts_with("You are logged in at tc7 since ") && one.contains("2026, "), "{one}");
        let two = text(&Question::Elsewhere(vec![at("", 0), at("{time}", u64::MAX)]));
        assert_eq!(
            two,
            "You are logged in at another computer.\nYou are logged in at {time}.\nEnd those sessions? What is not saved there is lost."
        );
    }

    #[test]
    fn of_many_three_are_named() {
        let users =
            |count: usize| Question::Power(Power::Suspend, (1..=count).map(|user| format!("u{user}")).collect());
        for (count, want) in [(3, "u1, u2, u3"), (4, "u1, u2, u3 and 1 more"), (16, "u1, u2, u3 and 13 more")] {
            assert_eq!(text(&users(count)), format!("Logged in at this computer: {want}. Let it sleep?"));
        }
        let other = Elsewhere { client: "x".repeat(NAME + 9), ..Elsewhere::default() };
        let line = format!("You are logged in at {}….\n", "x".repeat(NAME));
        let ask = "End those sessions? What is not saved there is lost.";
        for (count, more) in [(3, ""), (4, "Other sessions: 1.\n"), (9, "Other sessions: 6.\n")] {
            let question = Question::Elsewhere(vec![other.clone(); count]);
            assert_eq!(text(&question), format!("{}{more}{ask}", line.repeat(3)));
        }
    }
}
