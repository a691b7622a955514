//! What is beside the login: menus, help, power, the guest's countdown, and what happens when nobody is there.

use ldm_protocol::client::{Facts, Power, Server};
use ldm_protocol::greetd::{Request, Response, Seat};
use ldm_protocol::{Failure, FailureKind, limits, text};

use super::Model;
use super::types::{Action, Ahead, Client, Countdown, Event, Kept, Notice, Open, Question, State};

/// Servers in the menu.
const SERVERS: usize = 256;

/// Names in a question.
const USERS: usize = 16;

impl Model {
    /// Another second is wanted.
    pub(crate) fn counting(&self) -> Option<u32> {
        match self.countdown {
            Countdown::Running(left) if self.may_count() => Some(left),
            _ => None,
        }
    }

    /// Nobody has begun a login at this greeter.
    fn may_count(&self) -> bool {
        matches!(self.state, State::Name) || self.is_of_before()
    }

    /// The servers to choose from, as far as they are known; empty where there is no choice.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let names = self.seat.as_ref().map(|seat| seat.servers.as_slice()).unwrap_or_default();
        if names.len() < 2 {
            return Vec::new();
        }
        let unknown = |name: &String| Server { name: name.clone(), ..Server::default() };
        let known = |name: &String| self.servers.iter().find(|server| server.name == *name).cloned();
        names.iter().take(SERVERS).map(|name| known(name).unwrap_or_else(|| unknown(name))).collect()
    }

    /// The server that the user has chosen.
    pub(crate) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// The server that answers go to; `None` where that is not sure: the first that answers is used.
    pub(crate) fn asking_server(&self) -> Option<&str> {
        if let Some((_, server)) = self.connected.as_ref().filter(|(attempt, _)| *attempt == self.attempt) {
            return Some(server);
        }
        let sure = |seat: &&Seat| self.server.is_some() || seat.servers.len() < 2 || matches!(self.state, State::Name);
        self.seat.as_ref().filter(sure).map(|seat| seat.server.as_str())
    }

    /// The server that a help desk is to be told of: the last that spoke, else what is tried first.
    pub(crate) fn last_server(&self) -> Option<&str> {
        let connected = self.connected.as_ref().map(|(_, server)| server.as_str());
        connected.or(self.seat.as_ref().map(|seat| seat.server.as_str()))
    }

    /// The session is to be asked for also where the last one is known.
    pub(crate) fn asks_for_session(&self) -> bool {
        self.ask_for_session
    }

    /// For a greeter that starts again; `typed` stands in the name entry, if that is there.
    pub(crate) fn kept(&self, typed: Option<String>) -> Kept {
        Kept {
            username: typed.unwrap_or_else(|| self.username.clone()),
            language: self.language.clone(),
            ask_for_session: self.ask_for_session,
            told: !self.is_of_before(),
        }
    }

    /// What the user has chosen: a catalogue's name or a locale.
    pub(crate) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Locales that may be chosen from, once the server has told; and the one it would take.
    pub(crate) fn locales(&self) -> (&[String], Option<&str>) {
        (&self.locales, self.locale.as_deref())
    }

    /// The help page is open.
    pub(crate) fn helps(&self) -> bool {
        self.help
    }

    /// For the help page, and the client's address.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// The last failure that this greeter knows of by itself.
    pub(crate) fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    pub(super) fn later(&mut self, client: Client, request: Request) {
        let waits = self.later.iter().any(|(waiting, _)| *waiting == client);
        if !waits && self.seat.is_some() {
            self.later.push_back((client, request));
        }
    }

    /// What is not the login itself.
    pub(super) fn beside(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Touched => self.touched(),
            Event::Tick => self.tick(actions),
            Event::Idle => self.idle(actions),
            Event::Confirmed => self.confirmed(actions),
            Event::Guest => self.create_guest(actions),
            Event::ServersOpened => {
                self.touched();
                self.later(Client::Servers, Request::LdmServers);
            }
            Event::ServerChosen(name) => {
                self.leave(actions);
                self.later(Client::Server(name.clone()), Request::LdmServer { name });
            }
            Event::AskForSession(ask) => self.ask_for_session = ask,
            Event::LanguageChosen(language) => self.language = Some(language),
            Event::Menu(number) => self.later(Client::Menu, Request::LdmMenu { number }),
            Event::Power(action) => {
                // A server that is silent must not keep the computer on; and nothing that was typed, let alone a login that only
                // waits for its session, is to be there for whoever wakes it.
                if matches!(self.state, State::Waiting | State::Prompt { .. } | State::Sessions(_)) {
                    self.leave(actions);
                }
                self.later(Client::Power(action), Request::LdmPower { action, confirmed: false });
            }
            Event::Help => {
                self.help = !self.help;
                if self.help {
                    self.later(Client::Facts, Request::LdmFacts);
                }
            }
            Event::Shown => {
                self.shown = true;
                self.later(Client::Shown, Request::LdmShown);
            }
            Event::FactsWanted => self.later(Client::Facts, Request::LdmFacts),
            Event::SoundTest => {
                self.later(Client::SoundTest, Request::LdmSoundTest);
                self.later(Client::Facts, Request::LdmFacts);
            }
            Event::AccessChanged(access) => {
                if let Some(seat) = &mut self.seat {
                    seat.access = access;
                }
                // The last one counts.
                self.later.retain(|(client, _)| *client != Client::Access);
                self.later(Client::Access, Request::LdmAccess { access });
            }
            Event::LayoutChanged(group) => {
                self.layout = group;
                self.later.retain(|(client, _)| *client != Client::Layout);
                self.later(Client::Layout, Request::LdmLayout { group });
            }
            _ => {}
        }
    }

    /// Leaves a login that is under way, or what is left of one, for something else.
    fn leave(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Failed(_)) {
            self.state = State::Name;
        } else if !self.back(actions) {
            return;
        }
        self.notice = None;
        self.messages.clear();
    }

    fn confirmed(&mut self, actions: &mut Vec<Action>) {
        match self.question.take() {
            Some(Question::Power(action, _)) => {
                self.later(Client::Power(action), Request::LdmPower { action, confirmed: true });
            }
            Some(Question::Elsewhere(_)) => self.end_others(actions),
            None => {}
        }
    }

    pub(super) fn begin_countdown(&mut self, actions: &mut Vec<Action>) {
        let Some(seat) = &self.seat else { return };
        let refused = seat.failure.as_ref().is_some_and(is_refused);
        let Some(seconds) = seat.countdown.filter(|_| !refused && self.may_count()) else { return };
        self.countdown = if self.typed { Countdown::Stopped } else { Countdown::Running(seconds) };
        if self.countdown == Countdown::Running(0) {
            self.create_guest(actions);
        }
    }

    /// Somebody types (or has deleted everything): the countdown stops, or begins anew.
    pub(super) fn count(&mut self, typed: bool) {
        let seconds = self.seat.as_ref().and_then(|seat| seat.countdown);
        self.countdown = match (self.countdown, seconds) {
            (Countdown::Off, _) | (_, None) => Countdown::Off,
            (_, Some(_)) if typed => Countdown::Stopped,
            (_, Some(seconds)) => Countdown::Running(seconds),
        };
    }

    /// Somebody is there, and no guest is logged in.
    fn touched(&mut self) {
        if let Countdown::Running(_) = self.countdown {
            self.countdown = Countdown::Stopped;
        }
    }

    fn tick(&mut self, actions: &mut Vec<Action>) {
        if self.counting().is_none() || self.help || self.question.is_some() {
            return;
        }
        if let Countdown::Running(left) = self.countdown {
            self.countdown = Countdown::Running(left.saturating_sub(1));
            if left <= 1 {
                self.create_guest(actions);
            }
        }
    }

    /// What was typed is not left for whoever comes next, and neither is a login that only waits for a session to be chosen.
    fn idle(&mut self, actions: &mut Vec<Action>) {
        let dropped = match &self.state {
            State::Failed(failure) => {
                // Where nobody types, a server that was down for a while is tried again. What was refused stays refused.
                if self.failed_as_guest && !is_refused(failure) {
                    self.countdown = Countdown::Stopped;
                }
                // The failure can still be read, above the question for the name.
                self.state = State::Name;
                self.forget_name();
                false
            }
            State::Name => self.typed,
            State::Prompt { .. } | State::Sessions(_) => self.back(actions),
            State::Waiting if self.question.is_some() => self.back(actions),
            _ => return,
        };
        self.question = None;
        if dropped {
            self.messages.clear();
            self.notice = Some(Notice::Idle);
            self.forget_name();
        }
        self.help = false;
        self.forget_choices();
        if self.layout != 0 {
            actions.push(Action::FirstLayout);
        }
        if self.countdown == Countdown::Stopped {
            self.count(false);
        }
    }

    /// Whoever comes next has chosen nothing yet.
    fn forget_choices(&mut self) {
        self.language = None;
        self.ask_for_session = false;
        self.connected = None;
        self.later.retain(|(client, _)| !matches!(client, Client::Server(_)));
        let asked = |(open, _): &(Open, u32)| matches!(open, Open::Client(Client::Server(Some(_))));
        if self.server.is_some() || self.open.iter().any(asked) {
            self.later(Client::Server(None), Request::LdmServer { name: None });
        }
    }

    fn forget_name(&mut self) {
        self.username = self.seat.as_ref().and_then(|seat| seat.username.clone()).unwrap_or_default();
        self.refills += 1;
        self.typed = false;
    }

    pub(super) fn client_answered(&mut self, client: Client, response: Response) {
        match (client, response) {
            (Client::Servers, Response::LdmServers { mut servers }) => {
                servers.truncate(SERVERS);
                self.servers = servers;
            }
            (Client::Facts, Response::LdmFacts(facts)) => self.facts = Some(*facts),
            (Client::Server(name), Response::Success) => {
                if let Some(seat) = &mut self.seat
                    && let Some(used) = name.as_ref().or(seat.servers.first())
                {
                    seat.server.clone_from(used);
                }
                self.server = name;
                self.connected = None;
                // What was connected to is another server.
                if self.progress.ahead == Ahead::Asked {
                    self.progress.ahead = Ahead::No;
                }
            }
            (Client::Power(action), Response::LdmConfirm { mut users }) => {
                users.truncate(USERS);
                for user in &mut users {
                    *user = text::sanitise_line(user, limits::SESSION_NAME);
                }
                self.question = Some(Question::Power(action, users));
            }
            (_, Response::Error { failure: Some(failure), .. }) => {
                self.last_failure = Some(failure.clone());
                self.notice = Some(Notice::Failure(failure));
            }
            // We have given it up ourselves: what is cancelled while it is open is answered so, too.
            (_, Response::Error { failure: None, .. }) if self.open.iter().any(|(open, _)| *open == Open::Cancel) => {}
            // A daemon that does not offer this: so neither do we.
            (client, Response::Error { failure: None, .. }) => self.withdraw(&client),
            _ => {}
        }
    }

    fn withdraw(&mut self, client: &Client) {
        let Some(seat) = &mut self.seat else { return };
        match client {
            Client::Server(_) => seat.servers.clear(),
            Client::Power(_) => seat.power.clear(),
            Client::Menu => seat.menu.clear(),
            Client::SoundTest => self.sound_test = false,
            Client::Servers | Client::Facts | Client::Access | Client::Layout | Client::Shown => {}
        }
    }

    /// The daemon can play a tone, as far as is known.
    pub(crate) fn offers_sound_test(&self) -> bool {
        self.sound_test && self.seat.is_some()
    }

    /// What may be done with the client's power.
    pub(crate) fn power(&self) -> &[Power] {
        self.seat.as_ref().map(|seat| seat.power.as_slice()).unwrap_or_default()
    }
}

/// A guest who was refused is refused the next time, too.
fn is_refused(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::GuestRefused | FailureKind::NotAllowed)
}
