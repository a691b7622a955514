//! The dialog as a plain value: what the user did or the daemon answered goes in, what to do comes out.
//!
//! No GTK, no I/O, no clock: every scenario is a table test. Runs in the greeter (user `ldm-greeter`). The daemon's texts are
//! sanitised already; they are bounded here again, because a plain greetd sends them as PAM gave them.

use std::collections::VecDeque;

use ldm_protocol::greetd::{
    AuthMessageType, DEFAULT_SESSION, ErrorType, Request, Response, SESSION_COMMAND, Seat, Sessions, VERSION,
};
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{Failure, FailureKind, Secret, limits, text};

/// Messages kept for reading; the oldest go first.
const MESSAGES: usize = 16;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The greeter is there: ask the daemon who it is.
    Opened,
    /// A key changed the name entry.
    Typed,
    /// The entry was submitted, with exactly what was typed.
    Submitted(Secret),
    /// The entry was submitted, and its text is longer than any answer.
    TooLong,
    /// The session with this place in [`Choice::entries`] was chosen; `None` is the default.
    Chosen(Option<usize>),
    /// Escape, or the Back button.
    Back,
    /// Alt+Super+S: turn accessibility on or off, which needs a restart of the greeter.
    AccessToggled,
    /// The daemon answered the oldest open request.
    Answered(Response),
}

/// What to do about it, in order.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send this to the daemon.
    Send(Request),
    /// End with success: the session starts as soon as the greeter is gone.
    Quit,
    /// End with a failure: the daemon does not keep to the protocol.
    Fail(&'static str),
    /// Start the greeter again with accessibility turned on or off; nothing is open with the daemon.
    Restart,
}

/// What the user sees and may do now.
#[derive(Debug)]
pub(crate) enum State {
    /// Type a user name.
    Name,
    /// Nothing but Escape.
    Waiting,
    /// Answer the server's question.
    Prompt {
        /// Whether the answer stays hidden.
        secret: bool,
        /// The server's own words.
        text: String,
    },
    /// Choose a session.
    Sessions(Choice),
    /// The session is about to start; there is no way back.
    Starting,
}

/// The sessions to choose from; "Default" comes before them.
#[derive(Debug)]
pub(crate) struct Choice {
    /// What the server offers.
    pub(crate) entries: Vec<SessionEntry>,
    /// Which one to select first; `None` is the default.
    pub(crate) preselected: Option<usize>,
}

/// Why the last step did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// What the daemon reported.
    Failure(Failure),
    /// What a plain greetd reported, in its own words.
    Foreign(String),
    /// Nothing was typed for a name.
    EmptyName,
    /// The name or the answer is longer than any can be. Nothing was sent.
    TooLong,
    /// The daemon is a plain greetd and `--cmd` was not given.
    NoCommand,
}

/// Something PAM said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Whether it was sent as an error.
    pub(crate) error: bool,
    /// The server's own words.
    pub(crate) text: String,
    /// The login attempt it belongs to.
    attempt: u32,
    /// Said since the last submit.
    fresh: bool,
}

/// What the answer to an open request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Hello,
    Prepare,
    /// `create_session` or an answer: the conversation goes on.
    Conversation,
    Cancel,
    Sessions,
    Start,
}

/// Whether the server is to be connected to while the name is being typed.
#[derive(Debug, Default, PartialEq, Eq)]
enum Ahead {
    #[default]
    No,
    /// The user has begun to type.
    Wanted,
    /// The daemon was asked to.
    Asked,
}

/// How far the attempt is.
#[derive(Debug, Default)]
struct Progress {
    ahead: Ahead,
    /// The user has answered a question.
    answered: bool,
    /// The user has chosen the session that is to be started.
    chosen: bool,
}

/// The dialog.
#[derive(Debug)]
pub(crate) struct Model {
    state: State,
    username: String,
    notice: Option<Notice>,
    messages: Vec<Message>,
    seat: Option<Seat>,
    /// Requests without an answer yet, oldest first, each with the attempt it was made in.
    open: VecDeque<(Open, u32)>,
    /// Counts login attempts: answers to an attempt that was given up are ignored.
    attempt: u32,
    progress: Progress,
    restarting: bool,
    command: Option<String>,
}

impl Model {
    /// A dialog at its first question. `username` is put into the entry; `command` is what a plain greetd is told to start.
    pub(crate) fn new(username: String, command: Option<String>) -> Self {
        Self {
            state: State::Name,
            username,
            notice: None,
            messages: Vec::new(),
            seat: None,
            open: VecDeque::new(),
            attempt: 0,
            progress: Progress::default(),
            restarting: false,
            command,
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The name as it was typed last.
    pub(crate) fn username(&self) -> &str {
        &self.username
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

    /// One step.
    pub(crate) fn update(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Opened => self.send(Open::Hello, Request::LdmHello { version: VERSION }, &mut actions),
            Event::Typed => {
                if self.progress.ahead == Ahead::No {
                    self.progress.ahead = Ahead::Wanted;
                }
                self.prepare(&mut actions);
            }
            Event::Submitted(answer) => self.submit(answer, &mut actions),
            Event::TooLong => self.notice = Some(Notice::TooLong),
            Event::Chosen(place) => self.choose(place, &mut actions),
            Event::Back => {
                if self.back(&mut actions) {
                    self.notice = None;
                    self.messages.clear();
                }
            }
            Event::AccessToggled => {
                if !matches!(self.state, State::Starting) {
                    self.restarting = true;
                    self.back(&mut actions);
                }
            }
            Event::Answered(response) => self.answered(response, &mut actions),
        }
        if self.restarting && self.open.is_empty() {
            self.restarting = false;
            actions.push(Action::Restart);
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

    fn submit(&mut self, answer: Secret, actions: &mut Vec<Action>) {
        match self.state {
            State::Name => {
                answer.expose().clone_into(&mut self.username);
                if self.username.is_empty() {
                    self.notice = Some(Notice::EmptyName);
                } else if self.username.len() > limits::USERNAME {
                    self.notice = Some(Notice::TooLong);
                } else {
                    self.messages.clear();
                    self.notice = None;
                    self.create(actions);
                }
            }
            State::Prompt { .. } => {
                self.read_on();
                self.progress.answered = true;
                self.state = State::Waiting;
                let request = Request::PostAuthMessageResponse { response: Some(answer) };
                self.send(Open::Conversation, request, actions);
            }
            _ => {}
        }
    }

    /// The user went on: errors have been read, and so has everything of an attempt before this one.
    fn read_on(&mut self) {
        self.notice = None;
        self.messages.retain(|message| message.attempt == self.attempt && !message.error);
        for message in &mut self.messages {
            message.fresh = false;
        }
    }

    fn create(&mut self, actions: &mut Vec<Action>) {
        self.state = State::Waiting;
        self.send(Open::Conversation, Request::CreateSession { username: self.username.clone() }, actions);
    }

    fn choose(&mut self, place: Option<usize>, actions: &mut Vec<Action>) {
        let State::Sessions(choice) = &self.state else { return };
        self.progress.chosen = true;
        let id = match place {
            None => DEFAULT_SESSION.to_owned(),
            Some(place) => match choice.entries.get(place) {
                Some(entry) => entry.id.clone(),
                None => return,
            },
        };
        self.start(vec![SESSION_COMMAND.to_owned(), id], actions);
    }

    fn start(&mut self, cmd: Vec<String>, actions: &mut Vec<Action>) {
        self.notice = None;
        self.state = State::Starting;
        // No environment: the language is the daemon's decision as long as the user is not asked for it.
        self.send(Open::Start, Request::StartSession { cmd, env: Vec::new() }, actions);
    }

    /// Gives the attempt up, if there is one.
    fn back(&mut self, actions: &mut Vec<Action>) -> bool {
        if matches!(self.state, State::Name | State::Starting) {
            return false;
        }
        self.end_attempt();
        self.send(Open::Cancel, Request::CancelSession, actions);
        true
    }

    fn end_attempt(&mut self) {
        self.attempt += 1;
        self.progress = Progress::default();
        self.state = State::Name;
    }

    fn answered(&mut self, response: Response, actions: &mut Vec<Action>) {
        let Some((open, attempt)) = self.open.pop_front() else {
            actions.push(Action::Fail("the daemon answered without being asked"));
            return;
        };
        if open == Open::Hello {
            if let Response::LdmSeat(seat) = response {
                if self.notice.is_none() && matches!(self.state, State::Name) {
                    self.notice = seat.failure.clone().map(Notice::Failure);
                }
                self.seat = Some(*seat);
                self.prepare(actions);
            }
            return;
        }
        if attempt != self.attempt || open == Open::Cancel {
            return;
        }
        match (open, response) {
            (Open::Conversation, Response::AuthMessage { auth_message_type, auth_message }) => {
                self.asked(auth_message_type, &auth_message, actions);
            }
            (Open::Conversation, Response::Success) => self.authenticated(actions),
            (Open::Sessions, Response::LdmSessions(sessions)) => self.offered(sessions, actions),
            (Open::Start, Response::Success) => actions.push(Action::Quit),
            // What cannot work is said while the name is still being typed.
            (Open::Prepare, Response::Error { failure: Some(failure), .. }) if matches!(self.state, State::Name) => {
                self.notice = Some(Notice::Failure(failure));
            }
            (Open::Prepare, _) => {}
            (Open::Start, Response::Error { failure: Some(failure), .. })
                if failure.kind == FailureKind::SessionGone && self.progress.chosen =>
            {
                self.choose_again(failure, actions);
            }
            (_, Response::Error { error_type, description, failure }) => {
                self.failed(error_type, &description, failure, actions);
            }
            _ => actions.push(Action::Fail("the daemon's answer does not fit the question")),
        }
    }

    fn asked(&mut self, kind: AuthMessageType, said: &str, actions: &mut Vec<Action>) {
        let said = text::sanitise(said, limits::PROMPT);
        match kind {
            AuthMessageType::Visible | AuthMessageType::Secret => {
                self.state = State::Prompt { secret: kind == AuthMessageType::Secret, text: said };
            }
            AuthMessageType::Info | AuthMessageType::Error => {
                if !said.trim().is_empty() {
                    self.note(kind == AuthMessageType::Error, said);
                }
                self.send(Open::Conversation, Request::PostAuthMessageResponse { response: None }, actions);
            }
        }
    }

    fn note(&mut self, error: bool, text: String) {
        // A banner comes with every attempt: once is enough.
        self.messages.retain(|message| message.text != text);
        if self.messages.len() >= MESSAGES {
            self.messages.remove(0);
        }
        self.messages.push(Message { error, text, attempt: self.attempt, fresh: true });
    }

    fn authenticated(&mut self, actions: &mut Vec<Action>) {
        self.state = State::Waiting;
        if self.seat.is_some() {
            self.send(Open::Sessions, Request::LdmSessions, actions);
        } else if let Some(command) = self.command.clone() {
            // greetd joins the words and gives them to a shell: one word is the whole command line.
            self.start(vec![command], actions);
        } else {
            self.back(actions);
            self.notice = Some(Notice::NoCommand);
        }
    }

    fn offered(&mut self, sessions: Sessions, actions: &mut Vec<Action>) {
        if let Some(id) = sessions.forced {
            return self.start(vec![SESSION_COMMAND.to_owned(), id], actions);
        }
        let entries: Vec<_> =
            sessions.sessions.into_iter().take(limits::SESSIONS).filter_map(SessionEntry::sanitised).collect();
        // One entry and "Default" would be two names of one thing. After a failure the user is to see what happens.
        if entries.is_empty() || entries.len() == 1 && self.notice.is_none() {
            let id = entries.into_iter().next().map_or_else(|| DEFAULT_SESSION.to_owned(), |only| only.id);
            return self.start(vec![SESSION_COMMAND.to_owned(), id], actions);
        }
        let preselected = sessions.preselected.and_then(|id| entries.iter().position(|entry| entry.id == id));
        self.state = State::Sessions(Choice { entries, preselected });
    }

    /// The session has gone since it was offered. Only a user's choice is repeated: nothing may loop by itself.
    fn choose_again(&mut self, failure: Failure, actions: &mut Vec<Action>) {
        self.progress.chosen = false;
        self.notice = Some(Notice::Failure(failure));
        self.state = State::Waiting;
        self.send(Open::Sessions, Request::LdmSessions, actions);
    }

    fn failed(
        &mut self,
        error_type: ErrorType,
        description: &str,
        failure: Option<Failure>,
        actions: &mut Vec<Action>,
    ) {
        let ours = failure.is_some();
        let denied = match &failure {
            Some(failure) => failure.kind == FailureKind::Denied,
            None => error_type == ErrorType::AuthError,
        };
        // What PAM said with the refusal ("locked for 7 minutes") is read together with it.
        self.messages.retain(|message| message.fresh);
        let asked_again = denied && self.progress.answered;
        self.end_attempt();
        self.notice = Some(match failure {
            Some(failure) => Notice::Failure(failure),
            None if denied => Notice::Failure(Failure::new(FailureKind::Denied)),
            None => Notice::Foreign(text::sanitise(description, limits::PROMPT)),
        });
        if !ours {
            // A plain greetd keeps the failed login until it is told otherwise.
            self.send(Open::Cancel, Request::CancelSession, actions);
        }
        // The same question again at once, but only if the user had answered one: nothing may loop by itself.
        if asked_again {
            self.create(actions);
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
