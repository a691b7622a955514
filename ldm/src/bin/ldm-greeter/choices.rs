//! What stands in the menus, by what is known and may be chosen now.

use std::rc::Rc;

use ldm_protocol::client::{Load, Server};

use crate::bar::Bar;
use crate::i18n::gettext;
use crate::menu::Item;
use crate::model::{Event, Model, State};
use crate::{fonts, i18n, languages, question};

/// Fills the menus that the model knows of. Layouts and accessibility are others' to fill.
pub(crate) fn show(bar: &Bar, model: &Model, send: &Rc<dyn Fn(Event)>) {
    servers(bar, model, send);
    sessions(bar, model, send);
    languages_of(bar, model, send);
    let starting = matches!(model.state(), State::Starting);
    let seat = model.seat();

    let commands = seat.map(|seat| seat.menu.clone()).unwrap_or_default();
    bar.admin.set_useful(!commands.is_empty() && !starting);
    let items = commands.iter().map(|command| Item { name: command.name.clone(), ..Item::default() }).collect();
    let run = Rc::clone(send);
    bar.admin.fill(items, move |place| {
        if let Some(command) = commands.get(place) {
            run(Event::Menu(command.number));
        }
    });

    let actions = model.power().to_vec();
    bar.power.set_useful(!actions.is_empty() && !starting);
    let items = actions.iter().map(|&action| Item { name: question::power(action), ..Item::default() }).collect();
    let act = Rc::clone(send);
    bar.power.fill(items, move |place| {
        if let Some(&action) = actions.get(place) {
            act(Event::Power(action));
        }
    });
    bar.refit();
}

fn servers(bar: &Bar, model: &Model, send: &Rc<dyn Fn(Event)>) {
    let servers = model.servers();
    let choosing = matches!(
        model.state(),
        State::Name | State::Failed(_) | State::Prompt { .. } | State::Waiting | State::Sessions(_)
    );
    bar.server.set_useful(!servers.is_empty() && choosing);
    bar.server.set_label(&gettext("Server"), model.server().unwrap_or_default());
    let best = Item {
        // Translators: in the list of servers.
        name: gettext("Whichever is best"),
        checked: Some(model.server().is_none()),
        ..Item::default()
    };
    let item = |server: &Server| Item {
        name: server.name.clone(),
        detail: state(server),
        checked: Some(model.server() == Some(server.name.as_str())),
    };
    let items = std::iter::once(best).chain(servers.iter().map(item)).collect();
    let choose = Rc::clone(send);
    bar.server.fill(items, move |place| {
        let name = place.checked_sub(1).map(|place| servers.get(place).map(|server| server.name.clone()));
        match name {
            None => choose(Event::ServerChosen(None)),
            Some(Some(name)) => choose(Event::ServerChosen(Some(name))),
            Some(None) => {}
        }
    });
}

/// A word or two on a server.
fn state(server: &Server) -> String {
    match (server.up, server.load) {
        (Some(false), _) => gettext("does not answer"),
        // Translators: how busy a server is.
        (_, Some(Load::Low)) => gettext("hardly used"),
        (_, Some(Load::Medium)) => gettext("in use"),
        (_, Some(Load::High)) => gettext("very busy"),
        (Some(true), None) => gettext("answers"),
        (None, None) => String::new(),
    }
}

fn sessions(bar: &Bar, model: &Model, send: &Rc<dyn Fn(Event)>) {
    // A plain greetd starts what it is told to; and what is being chosen needs no menu.
    let early = matches!(model.state(), State::Name | State::Failed(_) | State::Prompt { .. } | State::Waiting);
    let offered = model.seat().is_some_and(|seat| !seat.session_forced);
    bar.session.set_useful(offered && early);
    bar.session.set_label(&gettext("Session"), "");
    let asks = model.asks_for_session();
    let item = |name: String, detail: String, checked: bool| Item { name, detail, checked: Some(checked) };
    let items = vec![
        item(gettext("As last time"), gettext("Start it at once after the login"), !asks),
        item(gettext("Choose after the login"), String::new(), asks),
    ];
    let choose = Rc::clone(send);
    bar.session.fill(items, move |place| choose(Event::AskForSession(place == 1)));
}

fn languages_of(bar: &Bar, model: &Model, send: &Rc<dyn Fn(Event)>) {
    let forced = model.seat().is_some_and(|seat| seat.language_forced);
    let (locales, preferred) = model.locales();
    let after = matches!(model.state(), State::Sessions(_));
    let codes = if after { languages::offered(locales) } else { i18n::installed() };
    let current = i18n::current();
    // Before the login it is what the greeter speaks, afterwards what the session will.
    let chosen = if after {
        let chosen = model.language().and_then(|language| languages::locale(language, locales));
        chosen.or(preferred).unwrap_or_default().to_owned()
    } else {
        current
    };
    let starting = matches!(model.state(), State::Starting);
    bar.language.set_useful(!forced && codes.len() > 1 && !starting);
    let in_use = if chosen.is_empty() { String::new() } else { languages::name(&chosen, &codes) };
    if after {
        // Translators: what the menu of languages is about once the user is logged in; the greeter's own language may differ.
        let purpose = gettext("Language of the session");
        let label = if in_use.is_empty() { purpose.clone() } else { format!("{purpose}: {in_use}") };
        bar.language.set_label(&label, "");
        bar.language.set_heading(&purpose);
    } else {
        bar.language.set_label(&gettext("Language"), &in_use);
        bar.language.set_heading("");
    }
    let mut named: Vec<(String, String)> =
        codes.iter().map(|code| (languages::name(code, &codes), code.clone())).collect();
    // The session may well have the fonts: its languages keep a name.
    if bar.language.asked_for() && after {
        for (name, code) in &mut named {
            if !fonts::draw(bar.language.button(), name) {
                name.clone_from(code);
            }
        }
    } else if bar.language.asked_for() {
        fonts::keep_drawn(bar.language.button(), &mut named);
    }
    named.sort();
    let items = named
        .iter()
        .map(|(name, code)| Item { name: name.clone(), detail: String::new(), checked: Some(*code == chosen) })
        .collect();
    let choose = Rc::clone(send);
    bar.language.fill(items, move |place| {
        if let Some((_, code)) = named.get(place) {
            choose(Event::LanguageChosen(code.clone()));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_server_is_said_of_it() {
        for (up, load, said) in [
            (None, None, ""),
            (Some(true), None, "answers"),
            (Some(false), None, "does not answer"),
            // What it told before it went down says nothing any more.
            (Some(false), Some(Load::Low), "does not answer"),
            (Some(true), Some(Load::Low), "hardly used"),
            (Some(true), Some(Load::Medium), "in use"),
            (Some(true), Some(Load::High), "very busy"),
        ] {
            assert_eq!(state(&Server { name: "alpha".into(), up, load }), said, "{up:?} {load:?}");
        }
    }
}
