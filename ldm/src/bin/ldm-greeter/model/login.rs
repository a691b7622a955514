//! The login: the server's questions, the user's answers, and the session at the end.

use ldm_protocol::greetd::{AuthMessageType, DEFAULT_SESSION, ErrorType, Request, Response, SESSION_COMMAND, Sessions};
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{Failure, FailureKind, Secret, limits, text};

use super::Model;
use super::types::{Action, Choice, Client, Countdown, Message, Notice, Open, Question, State};
use crate::languages;

/// Messages kept for reading; the oldest go first.
pub(super) const MESSAGES: usize = 16;

impl Model {
    pub(super) fn submit(&mut self, answer: Secret, actions: &mut Vec<Action>) {
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
        self.count(true);
        self.state = State::Waiting;
        self.send(Open::Conversation, Request::CreateSession { username: self.username.clone() }, actions);
    }

    /// Begins a guest's login.
    pub(super) fn create_guest(&mut self, actions: &mut Vec<Action>) {
        if !matches!(self.state, State::Name | State::Failed(_)) {
            return;
        }
        // Once: what fails must not begin by itself again.
        self.countdown = Countdown::Off;
        self.notice = None;
        self.messages.clear();
        self.progress.guest = true;
        self.state = State::Waiting;
        self.send(Open::Conversation, Request::LdmGuest, actions);
    }

    /// The same once more, after a failure that was read.
    pub(super) fn retry(&mut self, actions: &mut Vec<Action>) {
        if !matches!(self.state, State::Failed(_)) || self.before {
            return;
        }
        self.notice = None;
        self.messages.clear();
        if self.failed_as_guest {
            self.create_guest(actions);
        } else if self.username.is_empty() {
            self.state = State::Name;
        } else {
            self.create(actions);
        }
    }

    pub(super) fn choose(&mut self, place: Option<usize>, actions: &mut Vec<Action>) {
        let State::Sessions(choice) = &self.state else { return };
        self.progress.chosen = true;
        self.progress.picked = true;
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
        self.progress.interrupted = Some(cmd.clone());
        // What was switched while the server was waited for is the session's, too; the daemon answers that at once.
        for (client, request) in std::mem::take(&mut self.later) {
            if matches!(client, Client::Layout | Client::Access) {
                self.send(Open::Client(client), request, actions);
            }
        }
        // A language that was not chosen here is the daemon's decision.
        let chosen = self.language.as_deref().and_then(|language| languages::locale(language, &self.locales));
        let env = chosen.map(|locale| format!("LANG={locale}")).into_iter().collect();
        let unasked = self.seat.is_some() && !self.progress.picked;
        self.send(Open::Start, Request::StartSession { cmd, env, unasked }, actions);
    }

    pub(super) fn login_answered(&mut self, open: &Open, response: Response, actions: &mut Vec<Action>) {
        match (open, response) {
            (Open::Conversation, Response::AuthMessage { auth_message_type, auth_message, server }) => {
                if let Some(server) = server {
                    self.connected = Some((self.attempt, text::sanitise_line(&server, limits::SERVER)));
                }
                self.asked(auth_message_type, &auth_message, actions);
            }
            (Open::Conversation, Response::Success) => self.authenticated(actions),
            (Open::Sessions, Response::LdmSessions(sessions)) => self.offered(sessions, actions),
            (Open::EndOthers, Response::Success) => match (self.held.take(), self.progress.interrupted.take()) {
                (Some(_), Some(cmd)) => self.start(cmd, actions),
                (Some(sessions), None) => self.go_on(sessions, actions),
                (None, _) => {}
            },
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
            // One has begun since the user was asked, or was not. The daemon tells of it with the sessions.
            (Open::Start, Response::Error { failure: Some(failure), .. })
                if failure.kind == FailureKind::LoggedInElsewhere =>
            {
                self.state = State::Waiting;
                self.send(Open::Sessions, Request::LdmSessions, actions);
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
                self.asked = self.asked.wrapping_add(1);
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
            self.state = State::Failed(Failure::new(FailureKind::SessionFailed));
            self.notice = Some(Notice::NoCommand);
        }
    }

    /// What the server has is there. Sessions elsewhere are asked about before anything else.
    fn offered(&mut self, mut sessions: Sessions, actions: &mut Vec<Action>) {
        self.locales = std::mem::take(&mut sessions.languages);
        self.locale.clone_from(&sessions.language);
        let mut elsewhere = std::mem::take(&mut sessions.elsewhere);
        if elsewhere.is_empty() {
            return self.go_on(sessions, actions);
        }
        elsewhere.truncate(limits::ELSEWHERE);
        for other in &mut elsewhere {
            other.client = text::sanitise_line(&other.client, limits::SESSION_NAME);
        }
        self.held = Some(sessions);
        self.question = Some(Question::Elsewhere(elsewhere));
    }

    /// The user agrees to end what runs elsewhere.
    pub(super) fn end_others(&mut self, actions: &mut Vec<Action>) {
        if self.held.is_some() {
            self.send(Open::EndOthers, Request::LdmEndOthers, actions);
        }
    }

    fn go_on(&mut self, sessions: Sessions, actions: &mut Vec<Action>) {
        if let Some(id) = sessions.forced {
            return self.start(vec![SESSION_COMMAND.to_owned(), id], actions);
        }
        let entries: Vec<_> =
            sessions.sessions.into_iter().take(limits::SESSIONS).filter_map(SessionEntry::sanitised).collect();
        if let Some(id) = sessions.gone.filter(|_| self.notice.is_none()) {
            self.notice = Some(Notice::Gone(text::sanitise_line(&id, limits::SESSION_ID)));
        }
        let preselected = sessions.preselected.and_then(|id| entries.iter().position(|entry| entry.id == id));
        let known = preselected.and_then(|place| entries.get(place)).map(|entry| entry.id.clone());
        // One entry and "Default" would be two names of one thing. After a failure the user is to see what happens.
        let only = match entries.as_slice() {
            [] => Some(DEFAULT_SESSION.to_owned()),
            [only] if self.notice.is_none() => Some(only.id.clone()),
            _ => None,
        };
        let asks = self.ask_for_session || self.progress.choose || self.notice.is_some();
        // Nobody may be there to choose for a guest.
        let last = if self.progress.guest && !self.ask_for_session && !self.progress.choose {
            Some(known.unwrap_or_else(|| DEFAULT_SESSION.to_owned()))
        } else {
            // The user's own, else the administrator's default: whoever wants another one says so.
            known.filter(|_| !asks)
        };
        if let Some(id) = only.or(last) {
            self.progress.chosen = !entries.is_empty();
            return self.start(vec![SESSION_COMMAND.to_owned(), id], actions);
        }
        self.state = State::Sessions(Choice { entries, preselected });
    }

    /// The session has gone since it was offered. The next one is chosen by the user: nothing may loop by itself.
    fn choose_again(&mut self, failure: Failure, actions: &mut Vec<Action>) {
        (self.progress.chosen, self.progress.picked) = (false, false);
        self.progress.choose = true;
        self.progress.interrupted = None;
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
        self.failed_as_guest = self.progress.guest;
        self.before = false;
        self.end_attempt();
        self.last_failure.clone_from(&failure);
        // Never straight back to the name: what is typed meanwhile may be a password, and would be seen there.
        self.state = State::Failed(failure.clone().unwrap_or(Failure::new(FailureKind::Denied)));
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
