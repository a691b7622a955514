//! The dialog as a plain value: what the user did or the daemon answered goes in, what to do comes out.
//!
//! No GTK, no I/O, no clock: every scenario is a table test. Runs in the greeter (user `ldm-greeter`). The daemon's texts are
//! sanitised already; they are bounded here again, because a plain greetd sends them as PAM gave them.
//!
//! The daemon answers one request after the other. What is not part of the login waits until nothing else is open, so that
//! Escape never has to wait for it.

mod client;
mod login;
mod types;

use std::collections::VecDeque;

use ldm_protocol::client::{Facts, Server};
use ldm_protocol::greetd::{Request, Response, Seat, Sessions, VERSION};
use ldm_protocol::{Failure, limits};

pub(crate) use types::{Action, Choice, Event, Kept, Message, Notice, Question, State};
use types::{Ahead, Client, Countdown, Open, Progress};

/// The dialog.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a question of its own
pub(crate) struct Model {
    state: State,
    username: String,
    notice: Option<Notice>,
    messages: Vec<Message>,
    seat: Option<Seat>,
    /// Requests without an answer yet, oldest first, each with the attempt it was made in.
    open: VecDeque<(Open, u32)>,
    /// What is asked as soon as nothing is open.
    later: VecDeque<(Client, Request)>,
    /// Counts login attempts: answers to an attempt that was given up are ignored.
    attempt: u32,
    /// Counts questions of servers.
    asked: u32,
    progress: Progress,
    restarting: bool,
    command: Option<String>,
    /// What stands in the name entry was typed by the user, who has not deleted it.
    typed: bool,
    /// Counts how often the name entry is to be filled anew.
    refills: u32,
    question: Option<Question>,
    /// What was offered while the question is open.
    held: Option<Sessions>,
    /// Locales of the server, after the login.
    locales: Vec<String>,
    /// The locale that the server would take.
    locale: Option<String>,
    language: Option<String>,
    /// Place of the keyboard layout in use.
    layout: u8,
    ask_for_session: bool,
    countdown: Countdown,
    servers: Vec<Server>,
    server: Option<String>,
    /// The server that spoke last, and in which attempt.
    connected: Option<(u32, String)>,
    help: bool,
    facts: Option<Facts>,
    last_failure: Option<Failure>,
    failed_as_guest: bool,
    /// What has failed did so before this greeter began.
    before: bool,
    /// The user has been told of that.
    told: bool,
    sound_test: bool,
    /// The first frame is on the screen.
    shown: bool,
}

impl Model {
    /// A dialog at its first question. `command` is what a plain greetd is told to start.
    pub(crate) fn new(kept: Kept, command: Option<String>) -> Self {
        let Kept { username, language, ask_for_session, told } = kept;
        Self {
            state: State::Name,
            typed: !username.is_empty(),
            username,
            notice: None,
            messages: Vec::new(),
            seat: None,
            open: VecDeque::new(),
            later: VecDeque::new(),
            attempt: 0,
            asked: 0,
            progress: Progress::default(),
            restarting: false,
            command,
            refills: 0,
            question: None,
            held: None,
            locales: Vec::new(),
            locale: None,
            language,
            layout: 0,
            ask_for_session,
            countdown: Countdown::Off,
            servers: Vec::new(),
            server: None,
            connected: None,
            help: false,
            facts: None,
            last_failure: None,
            failed_as_guest: false,
            before: false,
            told,
            sound_test: true,
            shown: false,
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The name as it was typed last.
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// Another number: another question, or a login anew. What was typed belongs to the one before.
    pub(crate) fn serial(&self) -> u32 {
        self.attempt.wrapping_add(self.asked)
    }

    /// Another number: put [`Model::username`] into the entry.
    pub(crate) fn refills(&self) -> u32 {
        self.refills
    }

    /// The login is a guest's.
    pub(crate) fn is_guest(&self) -> bool {
        self.progress.guest
    }

    pub(crate) fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The seat's facts, once the daemon has told them; a plain greetd never does.
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    /// What is told on the screen of a failure ended a session, or a login by itself, before this greeter began: nobody's name is
    /// known, and there is nothing to try again.
    pub(crate) fn is_of_before(&self) -> bool {
        self.before && matches!(self.state, State::Failed(_))
    }

    /// What must be answered before anything else.
    pub(crate) fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// One step.
    pub(crate) fn update(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Opened => self.send(Open::Hello, Request::LdmHello { version: VERSION }, &mut actions),
            Event::Typed { empty } => {
                self.typed = !empty;
                self.count(!empty);
                if self.progress.ahead == Ahead::No {
                    self.progress.ahead = Ahead::Wanted;
                }
                self.prepare(&mut actions);
            }
            Event::Submitted(answer) => self.submit(answer, &mut actions),
            Event::TooLong => self.notice = Some(Notice::TooLong),
            Event::Chosen(place) => self.choose(place, &mut actions),
            Event::Back => self.step_back(&mut actions),
            Event::Retry => self.retry(&mut actions),
            // It can still be read above the name.
            Event::NameBegun if self.is_of_before() => self.state = State::Name,
            Event::AccessToggled => {
                if !matches!(self.state, State::Starting) {
                    self.restarting = true;
                    self.question = None;
                    self.back(&mut actions);
                }
            }
            Event::Answered(response) => self.answered(response, &mut actions),
            other => self.beside(other, &mut actions),
        }
        if self.open.is_empty() {
            // What was switched is told before the restart that may come of it.
            if let Some((client, request)) = self.later.pop_front() {
                self.send(Open::Client(client), request, &mut actions);
            } else if self.restarting && !self.back(&mut actions) {
                self.restarting = false;
                actions.push(Action::Restart);
            }
        }
        actions
    }

    fn send(&mut self, open: Open, request: Request, actions: &mut Vec<Action>) {
        self.open.push_back((open, self.attempt));
        actions.push(Action::Send(request));
    }

    /// Asks for a connection, once an attempt, as soon as both the user types and the daemon is known to understand it.
    fn prepare(&mut self, actions: &mut Vec<Action>) {
        if self.progress.ahead == Ahead::Wanted && self.seat.is_some() && matches!(self.state, State::Name) {
            self.progress.ahead = Ahead::Asked;
            self.send(Open::Prepare, Request::LdmPrepare, actions);
        }
    }

    /// What Escape leaves: help, a question, the countdown, a failure's screen, the login attempt.
    fn step_back(&mut self, actions: &mut Vec<Action>) {
        if self.help {
            self.help = false;
            return;
        }
        match self.question.take() {
            Some(Question::Power(..)) => return,
            Some(Question::Elsewhere(_)) | None => {}
        }
        if matches!(self.state, State::Failed(_)) {
            if self.is_of_before() && matches!(self.countdown, Countdown::Running(_)) {
                // Somebody has read it.
                self.countdown = Countdown::Stopped;
            }
            self.state = State::Name;
            self.notice = None;
            self.messages.clear();
        } else if self.back(actions) {
            self.notice = None;
            self.messages.clear();
        } else if matches!(self.countdown, Countdown::Running(_)) {
            self.countdown = Countdown::Off;
        }
    }

    /// Gives the attempt up, if there is one.
    fn back(&mut self, actions: &mut Vec<Action>) -> bool {
        if matches!(self.state, State::Name | State::Starting | State::Failed(_)) {
            return false;
        }
        self.end_attempt();
        self.send(Open::Cancel, Request::CancelSession, actions);
        true
    }

    fn end_attempt(&mut self) {
        self.attempt += 1;
        self.progress = Progress::default();
        self.held = None;
        self.locales.clear();
        self.locale = None;
        if matches!(self.question, Some(Question::Elsewhere(_))) {
            self.question = None;
        }
        self.state = State::Name;
    }

    fn answered(&mut self, response: Response, actions: &mut Vec<Action>) {
        let Some((open, attempt)) = self.open.pop_front() else {
            actions.push(Action::Fail("the daemon answered without being asked"));
            return;
        };
        match open {
            Open::Hello => {
                if let Response::LdmSeat(seat) = response {
                    self.greeted(*seat, actions);
                }
            }
            Open::Client(client) => self.client_answered(client, response),
            Open::Cancel => {}
            _ if attempt != self.attempt => {}
            open => self.login_answered(&open, response, actions),
        }
    }

    fn greeted(&mut self, seat: Seat, actions: &mut Vec<Action>) {
        let naming = matches!(self.state, State::Name);
        if let Some(failure) = seat.failure.clone().filter(|_| self.notice.is_none() && naming) {
            // From who types a name nothing is taken, and it is not in the way of who has read it.
            if !self.typed && !self.told {
                self.state = State::Failed(failure.clone());
                self.before = true;
            }
            self.notice = Some(Notice::Failure(failure));
        }
        self.last_failure.clone_from(&seat.failure);
        if let Some(username) = seat.username.as_ref().filter(|name| name.len() <= limits::USERNAME)
            && naming
            && !self.typed
        {
            self.username.clone_from(username);
            self.refills += 1;
        }
        self.server = seat.chosen.clone().filter(|name| seat.servers.contains(name));
        self.seat = Some(seat);
        self.begin_countdown(actions);
        self.prepare(actions);
        if self.shown {
            self.later(Client::Shown, Request::LdmShown);
        }
        self.later(Client::Facts, Request::LdmFacts);
    }
}

#[cfg(test)]
#[path = "model/tests.rs"]
mod tests;
