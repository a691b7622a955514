//! Questions of the greeter's own: what somebody else would lose is not ended without having been named.

use gtk4::glib;
use gtk4::prelude::*;
use ldm_protocol::client::{Elsewhere, Power};

use crate::clock;
use crate::i18n::{fill, gettext};
use crate::model::Question;
use crate::window::{Missing, get, set};

/// The box with the question.
pub(crate) struct Asker {
    area: gtk4::Box,
    text: gtk4::Label,
}

impl Asker {
    /// Takes the box over.
    pub(crate) fn new(ui: &gtk4::Builder) -> Result<Self, Missing> {
        Ok(Self { area: get(ui, "question")?, text: get(ui, "question-text")? })
    }

    /// Shows a question, or none.
    pub(crate) fn show(&self, question: Option<&Question>) {
        self.area.set_visible(question.is_some());
        if let Some(question) = question {
            set(&self.text, &text(question));
        }
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
            fill(&sentence, "users", &users.join(", "))
        }
        Question::Elsewhere(others) => {
            let told: Vec<String> = others.iter().map(elsewhere).collect();
            let ask = if others.len() == 1 {
                gettext("End that session? What is not saved there is lost.")
            } else {
                gettext("End those sessions? What is not saved there is lost.")
            };
            format!("{}\n{ask}", told.join("\n"))
        }
    }
}

fn elsewhere(other: &Elsewhere) -> String {
    let time = i64::try_from(other.since).ok().filter(|since| *since > 0);
    let time = time.and_then(|since| glib::DateTime::from_unix_local(since).ok());
    // Translators: date and time as in g_date_time_format(); put the parts in the order of your language.
    let time = time.and_then(|time| clock::written(&time, &gettext("%A, %-e %B %Y, %H:%M")));
    let (client, time) = (other.client.as_str(), time.unwrap_or_default());
    match (client.is_empty(), time.is_empty()) {
        (false, false) => {
            fill(&fill(&gettext("You are logged in at {client} since {time}."), "time", &time), "client", client)
        }
        (false, true) => fill(&gettext("You are logged in at {client}."), "client", client),
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
}
