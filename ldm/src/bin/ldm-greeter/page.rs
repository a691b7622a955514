//! What of the dialog is in front, what it is headed with and which keys do what there.

use gtk4::prelude::*;
use ldm_protocol::{limits, text};
use std::mem::{Discriminant, discriminant};

use crate::i18n::gettext;
use crate::keys::joined;
use crate::model::{Model, State};
use crate::{failure, i18n, question};

/// What is in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The login's own, at this step.
    Login(Discriminant<State>),
    /// A question of the greeter's own.
    Question,
    /// The help page.
    Help,
}

impl Page {
    /// What is to be in front now.
    pub(crate) fn of(model: &Model) -> Self {
        if model.helps() {
            Self::Help
        } else if model.question().is_some() {
            Self::Question
        } else {
            Self::Login(discriminant(model.state()))
        }
    }
}

/// How much of a name stands in a heading, in characters: what follows it is the server, which has to be seen.
const NAME: usize = 24;

/// A user name as it stands in a sentence. Whoever typed it may want the rest of the sentence not to be read.
fn named(name: &str) -> String {
    let name = text::sanitise_line(name, limits::USERNAME);
    match name.char_indices().nth(NAME) {
        Some((end, _)) => text::floor_char_boundary(&name, end).to_owned() + "…",
        None => name,
    }
}

/// What the page is headed with.
pub(crate) fn title(model: &Model) -> String {
    let server = model.asking_server().filter(|server| !server.is_empty());
    // A forgotten terminal must show whose password it waits for.
    let name = Some(named(model.username())).filter(|name| !name.is_empty() && !matches!(model.state(), State::Name));
    match (model.question(), model.state()) {
        (Some(question), _) => question::title(question),
        (None, State::Failed(failure)) => failure::heading(failure.kind),
        (None, _) if model.is_guest() => gettext("Log in as a guest"),
        (None, _) => match (server, name) {
            (Some(server), Some(name)) => {
                i18n::fill(&i18n::fill(&gettext("Log in as {name} to {server}"), "server", server), "name", &name)
            }
            (Some(server), None) => i18n::fill(&gettext("Log in to {server}"), "server", server),
            (None, _) => gettext("Log in"),
        },
    }
}

/// Which keys do what now. The parts stand three blanks apart.
pub(crate) fn hint(page: Page, model: &Model) -> String {
    let state = model.state();
    // Translators: keys; call them as on your keyboards. The parts stand three blanks apart.
    let menus = gettext("F1: help   F10: menus");
    let keys = match (page, state) {
        (Page::Help, _) => gettext("Escape: close   Page Up, Page Down: read on"),
        (Page::Question, _) => gettext("Escape: cancel"),
        // Translators: Enter and Escape are keys; call them as on your keyboards. The parts stand three blanks apart.
        (_, State::Name) => gettext("Enter: go on"),
        (_, State::Prompt { .. }) => gettext("Enter: go on   Escape: back to the user name"),
        (_, State::Sessions(_)) => gettext("Arrow keys: choose   Enter: start   Escape: back to the user name"),
        (_, State::Waiting) => gettext("Escape: back to the user name"),
        (_, State::Failed(failure)) if failure::warns(failure.kind) => gettext("Escape: back to the user name"),
        (_, State::Failed(_)) if model.is_of_before() => gettext("Enter: go on   Escape: back to the user name"),
        (_, State::Failed(_)) => gettext("Enter: try again   Escape: back to the user name"),
        (_, State::Starting) => return String::new(),
    };
    match (page, state) {
        (Page::Help, _) => joined(&[&keys]),
        (Page::Login(_), State::Prompt { secret: true, .. }) => {
            joined(&[&keys, &gettext("F8: show what is typed"), &menus])
        }
        _ => joined(&[&keys, &menus]),
    }
}

/// Where there is no room, the end of a button's text goes, and not the end of the row.
pub(crate) fn shorten(button: &gtk4::Button) {
    button.set_label("");
    if let Some(label) = button.child().and_downcast::<gtk4::Label>() {
        label.set_ellipsize(gtk4::pango::EllipsizeMode::End);
    }
}

#[cfg(test)]
mod tests {
    use ldm_protocol::Secret;
    use ldm_protocol::greetd::{AuthMessageType, Response, Seat};

    use super::*;
    use crate::model::{Event, Kept};

    /// A dialog that asks this user for a password, and its headings until then.
    fn asked(name: &str) -> Vec<String> {
        let servers = ["first", "second"].map(str::to_owned).to_vec();
        let mut model = Model::new(Kept::default(), None);
        let mut titles = Vec::new();
        for event in [
            Event::Opened,
            Event::Answered(Response::LdmSeat(Box::new(Seat { server: "first".into(), servers, ..Seat::default() }))),
            Event::Answered(Response::LdmFacts(Box::default())),
            Event::Submitted(Secret::new(name).unwrap()),
            Event::Answered(Response::AuthMessage {
                auth_message_type: AuthMessageType::Secret,
                auth_message: "Password: ".into(),
                server: Some("second".into()),
            }),
        ] {
            model.update(event);
            titles.push(title(&model));
        }
        titles
    }

    #[test]
    fn a_password_is_asked_for_in_the_name_of_the_server_that_gets_it() {
        assert_eq!(asked("alice")[2..], ["Log in to first", "Log in", "Log in as alice to second"]);
    }

    #[test]
    fn no_name_hides_the_server() {
        for (name, want) in [
            ("\u{202e}evil\u{2067}\u{200f}", "Log in as evil to second"),
            ("\u{202e}", "Log in to second"),
            ("a\n{server}", "Log in as a {server} to second"),
            (&"ä".repeat(NAME), &format!("Log in as {} to second", "ä".repeat(NAME))),
            (&"ä".repeat(200), &format!("Log in as {}… to second", "ä".repeat(NAME))),
        ] {
            assert_eq!(asked(name).last().map(String::as_str), Some(want), "{name:?}");
        }
    }
}
