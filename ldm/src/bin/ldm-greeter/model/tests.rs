//! Scenarios, each a list of steps: what happens, what is sent, what is shown then.

use std::fmt::Write;

use ldm_protocol::client::Facts;
use ldm_protocol::greetd::AuthMessageType::{self, Error, Info, Secret as Hidden, Visible};
use ldm_protocol::greetd::ErrorType;
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{FailureKind, Secret};

use super::login::MESSAGES;
use super::*;

#[path = "tests_beside.rs"]
mod beside;
#[path = "tests_guests.rs"]
mod guests;

const CREATE: &str = "create_session alice";
const ANSWER: &str = "answer";
const ACK: &str = "ack";
const CANCEL: &str = "cancel_session";
const PREPARE: &str = "ldm_prepare";
const SESSIONS: &str = "ldm_sessions";
const FACTS: &str = "ldm_facts";
const TYPED: Event = Event::Typed { empty: false };

fn submit(text: &str) -> Event {
    Event::Submitted(Secret::new(text).unwrap())
}

fn says(kind: AuthMessageType, text: &str) -> Event {
    says_at(None, kind, text)
}

/// The same, of a daemon that says which server it is.
fn says_at(server: Option<&str>, kind: AuthMessageType, text: &str) -> Event {
    let server = server.map(str::to_owned);
    Event::Answered(Response::AuthMessage { auth_message_type: kind, auth_message: text.to_owned(), server })
}

fn success() -> Event {
    Event::Answered(Response::Success)
}

fn failure(kind: FailureKind) -> Event {
    let error_type = if kind == FailureKind::Denied { ErrorType::AuthError } else { ErrorType::Error };
    Event::Answered(Response::Error { error_type, description: String::new(), failure: Some(Failure::new(kind)) })
}

/// What a plain greetd says.
fn foreign(error_type: ErrorType, description: &str) -> Event {
    Event::Answered(Response::Error { error_type, description: description.to_owned(), failure: None })
}

fn seat() -> Event {
    Event::Answered(Response::LdmSeat(Box::new(Seat {
        hostname: "tc1".into(),
        server: "srv".into(),
        ..Seat::default()
    })))
}

fn facts() -> Event {
    Event::Answered(Response::LdmFacts(Box::default()))
}

fn sessions(ids: &[&str], preselected: Option<&str>, forced: Option<&str>) -> Event {
    let entry = |id: &&str| SessionEntry { id: (*id).to_owned(), name: id.to_uppercase(), comment: None };
    Event::Answered(Response::LdmSessions(Sessions {
        sessions: ids.iter().map(entry).collect(),
        preselected: preselected.map(str::to_owned),
        forced: forced.map(str::to_owned),
        ..Sessions::default()
    }))
}

fn word(action: &Action) -> String {
    match action {
        Action::Send(Request::CreateSession { username }) => format!("create_session {username}"),
        Action::Send(Request::PostAuthMessageResponse { response: Some(_) }) => ANSWER.to_owned(),
        Action::Send(Request::PostAuthMessageResponse { response: None }) => ACK.to_owned(),
        Action::Send(Request::StartSession { cmd, env, unasked }) => {
            format!("start {cmd:?} {env:?}{}", if *unasked { " unasked" } else { "" })
        }
        Action::Send(Request::CancelSession) => CANCEL.to_owned(),
        Action::Send(Request::LdmHello { .. }) => "ldm_hello".to_owned(),
        Action::Send(Request::LdmPrepare) => PREPARE.to_owned(),
        Action::Send(Request::LdmSessions) => SESSIONS.to_owned(),
        Action::Send(Request::LdmFacts) => FACTS.to_owned(),
        Action::Send(other) => format!("{other:?}"),
        Action::FirstLayout => "first layout".to_owned(),
        Action::Quit => "quit".to_owned(),
        Action::Fail(why) => format!("fail: {why}"),
        Action::Restart => "restart".to_owned(),
    }
}

/// State, notice and messages in one line.
fn screen(model: &Model) -> String {
    let mut out = match model.state() {
        State::Name => "name".to_owned(),
        State::Waiting => "waiting".to_owned(),
        State::Prompt { secret, text } => format!("{} {text}", if *secret { "secret" } else { "visible" }),
        State::Sessions(choice) => {
            format!("sessions {} preselected {:?}", choice.entries.len(), choice.preselected)
        }
        State::Failed(_) => "failed".to_owned(),
        State::Starting => "starting".to_owned(),
    };
    match model.notice() {
        None => {}
        Some(Notice::Failure(failure)) => write!(out, " !{:?}", failure.kind).unwrap(),
        Some(notice) => write!(out, " !{notice:?}").unwrap(),
    }
    for message in model.messages() {
        write!(out, " {}{}", if message.error { "E:" } else { "I:" }, message.text).unwrap();
    }
    out
}

/// Plays the steps on a model whose daemon is LDM, unless the first step says otherwise.
fn play<const N: usize>(model: &mut Model, steps: [(Event, &[&str], &str); N]) {
    for (number, (event, sent, shown)) in steps.into_iter().enumerate() {
        let event_text = format!("{event:?}");
        let actions: Vec<_> = model.update(event).iter().map(word).collect();
        assert_eq!(actions, sent, "step {number}: {event_text}");
        assert_eq!(screen(model), shown, "step {number}: {event_text}");
    }
}

fn greeted() -> Model {
    let mut model = Model::new(Kept::default(), None);
    play(&mut model, [(Event::Opened, &["ldm_hello"], "name"), (seat(), &[FACTS], "name"), (facts(), &[], "name")]);
    model
}

/// At the question for the password, nothing open.
fn asked() -> Model {
    let mut model = greeted();
    play(&mut model, [(submit("alice"), &[CREATE], "waiting"), (says(Hidden, "Password: "), &[], "secret Password: ")]);
    model
}

#[test]
fn a_login() {
    let mut model = asked();
    model.update(Event::AskForSession(true));
    play(
        &mut model,
        [
            (submit(" pass word "), &[ANSWER], "waiting"),
            (success(), &[SESSIONS], "waiting"),
            (sessions(&["xfce", "icewm"], Some("icewm"), None), &[], "sessions 2 preselected Some(1)"),
            (Event::Chosen(Some(1)), &["start [\"ldm-session\", \"icewm\"] []"], "starting"),
            (Event::Back, &[], "starting"),
            (success(), &["quit"], "starting"),
        ],
    );
}

#[test]
fn answers_and_names_are_sent_as_typed() {
    let mut model = greeted();
    let actions = model.update(submit(r" DOMAIN\üser "));
    assert!(
        matches!(&actions[..], [Action::Send(Request::CreateSession { username })] if username == r" DOMAIN\üser ")
    );
    model.update(says(Visible, "Code:"));
    let long = format!(" {} ", "é".repeat(1000));
    let actions = model.update(submit(&long));
    let [Action::Send(Request::PostAuthMessageResponse { response: Some(answer) })] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(answer.expose(), long);
}

#[test]
fn there_is_no_question_where_there_is_no_choice() {
    for (event, start) in [
        (sessions(&["xfce"], Some("xfce"), Some("icewm")), "start [\"ldm-session\", \"icewm\"] [] unasked"),
        (sessions(&["icewm"], None, None), "start [\"ldm-session\", \"icewm\"] [] unasked"),
        (sessions(&[], None, None), "start [\"ldm-session\", \"default\"] [] unasked"),
        (sessions(&["../bad", ""], None, None), "start [\"ldm-session\", \"default\"] [] unasked"),
    ] {
        let mut model = asked();
        model.update(submit("x"));
        model.update(success());
        let actions: Vec<_> = model.update(event).iter().map(word).collect();
        assert_eq!(actions, [start]);
    }
}

#[test]
fn what_was_remembered_may_be_gone() {
    let mut model = asked();
    model.update(submit("x"));
    play(
        &mut model,
        [
            (success(), &[SESSIONS], "waiting"),
            (sessions(&["xfce", "mate"], Some("kde"), None), &[], "sessions 2 preselected None"),
            (Event::Chosen(Some(7)), &[], "sessions 2 preselected None"),
            (Event::Chosen(None), &["start [\"ldm-session\", \"default\"] []"], "starting"),
            (failure(FailureKind::SessionGone), &[SESSIONS], "waiting !SessionGone"),
            (sessions(&["icewm"], None, None), &[], "sessions 1 preselected None !SessionGone"),
            (Event::Chosen(Some(0)), &["start [\"ldm-session\", \"icewm\"] []"], "starting"),
            (failure(FailureKind::NoSession), &[], "failed !NoSession"),
        ],
    );
    // What was picked in vain is not picked any more.
    let mut model = asked();
    model.update(submit("x"));
    model.update(success());
    model.update(sessions(&["xfce", "mate"], None, None));
    model.update(Event::Chosen(Some(0)));
    model.update(failure(FailureKind::SessionGone));
    let actions: Vec<_> = model.update(sessions(&[], None, None)).iter().map(word).collect();
    assert_eq!(actions, ["start [\"ldm-session\", \"default\"] [] unasked"]);
    // Forced by the administrator: nothing else can be chosen, and asking again by itself would never end.
    let mut model = asked();
    model.update(submit("x"));
    model.update(success());
    model.update(sessions(&[], None, Some("gone")));
    play(&mut model, [(failure(FailureKind::SessionGone), &[], "failed !SessionGone")]);
}

#[test]
fn a_wrong_password_brings_the_same_question_again() {
    play(
        &mut asked(),
        [
            (submit("wrong"), &[ANSWER], "waiting"),
            (failure(FailureKind::Denied), &[CREATE], "waiting !Denied"),
            (says(Hidden, "Password: "), &[], "secret Password:  !Denied"),
            (submit("wrong"), &[ANSWER], "waiting"),
            (failure(FailureKind::Denied), &[CREATE], "waiting !Denied"),
            // Nothing was asked, so asking again by itself would never end.
            (failure(FailureKind::Denied), &[], "failed !Denied"),
            (Event::Retry, &[CREATE], "waiting"),
        ],
    );
}

#[test]
fn a_failure_of_the_connection_is_a_screen_of_its_own_that_leads_on() {
    let mut model = asked();
    play(
        &mut model,
        [
            (submit("right"), &[ANSWER], "waiting"),
            (failure(FailureKind::ConnectionLost), &[], "failed !ConnectionLost"),
            (Event::Retry, &[CREATE], "waiting"),
            (failure(FailureKind::ServerUnreachable), &[], "failed !ServerUnreachable"),
            (Event::Back, &[], "name"),
            (TYPED, &[PREPARE], "name"),
            (TYPED, &[], "name"),
            // What cannot work is said while the name is still being typed, and nothing is taken from who types.
            (failure(FailureKind::ServerRefused), &[], "name !ServerRefused"),
            (TYPED, &[], "name !ServerRefused"),
            (submit("alice"), &[CREATE], "waiting"),
        ],
    );
    assert_eq!(model.username(), "alice");
}

#[test]
fn nothing_leads_from_waiting_back_to_the_visible_name_by_itself() {
    let refusals = [
        foreign(ErrorType::Error, "no"),
        foreign(ErrorType::AuthError, "no"),
        // Where LDM is told no command, this is a plain greetd that asked nothing.
        success(),
    ];
    let all = FailureKind::ALL.iter().map(|&kind| failure(kind)).chain(refusals);
    for event in all {
        let mut model = Model::new(Kept { username: "alice".to_owned(), ..Kept::default() }, None);
        model.update(submit("alice"));
        model.update(event);
        assert!(matches!(model.state(), State::Failed(_)), "{}", screen(&model));
        model.update(Event::Back);
        assert_eq!((model.username(), screen(&model).as_str()), ("alice", "name"));
    }
}

#[test]
fn the_connection_is_prepared_once_an_attempt_and_only_by_ldm() {
    let mut model = Model::new(Kept::default(), None);
    play(
        &mut model,
        [
            (Event::Opened, &["ldm_hello"], "name"),
            (TYPED, &[], "name"),
            (seat(), &[PREPARE], "name"),
            (TYPED, &[], "name"),
            (success(), &[FACTS], "name"),
            (facts(), &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (TYPED, &[], "secret Password: "),
            (Event::Back, &[CANCEL], "name"),
            (TYPED, &[PREPARE], "name"),
        ],
    );
    let mut model = Model::new(Kept::default(), None);
    play(
        &mut model,
        [
            (Event::Opened, &["ldm_hello"], "name"),
            (foreign(ErrorType::Error, "unknown variant"), &[], "name"),
            (TYPED, &[], "name"),
        ],
    );
}

#[test]
fn an_expired_password_is_changed_in_as_many_rounds_as_it_takes() {
    play(
        &mut asked(),
        [
            (submit("old"), &[ANSWER], "waiting"),
            (
                says(Error, "You are required to change your password immediately"),
                &[ACK],
                "waiting E:You are required to change your password immediately",
            ),
            (
                says(Hidden, "Current password: "),
                &[],
                "secret Current password:  E:You are required to change your password immediately",
            ),
            (submit("old"), &[ANSWER], "waiting"),
            (says(Hidden, "New password: "), &[], "secret New password: "),
            (submit("1"), &[ANSWER], "waiting"),
            (says(Error, "BAD PASSWORD: too short"), &[ACK], "waiting E:BAD PASSWORD: too short"),
            (says(Hidden, "New password: "), &[], "secret New password:  E:BAD PASSWORD: too short"),
            (submit("new"), &[ANSWER], "waiting"),
            (success(), &[SESSIONS], "waiting"),
        ],
    );
}

#[test]
fn a_banner_stays_and_is_shown_once_and_a_reason_is_read_with_the_refusal() {
    let mut model = greeted();
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (says(Info, "Welcome"), &[ACK], "waiting I:Welcome"),
            (says(Info, "  "), &[ACK], "waiting I:Welcome"),
            (says(Hidden, "Password: "), &[], "secret Password:  I:Welcome"),
            (submit("wrong"), &[ANSWER], "waiting I:Welcome"),
            (says(Info, "Locked for 7 minutes"), &[ACK], "waiting I:Welcome I:Locked for 7 minutes"),
            (failure(FailureKind::Denied), &[CREATE], "waiting !Denied I:Locked for 7 minutes"),
            (says(Info, "Welcome"), &[ACK], "waiting !Denied I:Locked for 7 minutes I:Welcome"),
            (says(Hidden, "Password: "), &[], "secret Password:  !Denied I:Locked for 7 minutes I:Welcome"),
            (submit("right"), &[ANSWER], "waiting I:Welcome"),
        ],
    );
}

#[test]
fn escape_gives_up_and_late_answers_are_ignored() {
    let mut model = asked();
    play(
        &mut model,
        [
            (submit("slow"), &[ANSWER], "waiting"),
            (Event::Back, &[CANCEL], "name"),
            (Event::Back, &[], "name"),
            (submit("bob"), &["create_session bob"], "waiting"),
            (success(), &[], "waiting"),
            (success(), &[], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
        ],
    );
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    play(
        &mut greeted(),
        [
            (submit(""), &[], "name !EmptyName"),
            (submit(&"x".repeat(limits::USERNAME + 1)), &[], "name !TooLong"),
            (Event::TooLong, &[], "name !TooLong"),
            (Event::Chosen(None), &[], "name !TooLong"),
            (submit("alice"), &[CREATE], "waiting"),
            (submit("again"), &[], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (Event::TooLong, &[], "secret Password:  !TooLong"),
            // An empty answer is an answer.
            (submit(""), &[ANSWER], "waiting"),
        ],
    );
}

#[test]
fn a_plain_greetd_is_served() {
    let mut model = Model::new(Kept::default(), Some("startx /usr/bin/xterm".to_owned()));
    play(
        &mut model,
        [
            (Event::Opened, &["ldm_hello"], "name"),
            (foreign(ErrorType::Error, "unknown variant"), &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (submit("wrong"), &[ANSWER], "waiting"),
            (foreign(ErrorType::AuthError, "AUTH_ERR"), &[CANCEL, CREATE], "waiting !Denied"),
            (success(), &[], "waiting !Denied"),
            (says(Hidden, "Password: "), &[], "secret Password:  !Denied"),
            (submit("right"), &[ANSWER], "waiting"),
            (success(), &["start [\"startx /usr/bin/xterm\"] []"], "starting"),
            (
                foreign(ErrorType::Error, "a session is already being configured"),
                &[CANCEL],
                "failed !Foreign(\"a session is already being configured\")",
            ),
        ],
    );
    let mut model = Model::new(Kept::default(), None);
    play(
        &mut model,
        [
            (Event::Opened, &["ldm_hello"], "name"),
            (foreign(ErrorType::Error, "unknown variant"), &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (success(), &[CANCEL], "failed !NoCommand"),
        ],
    );
}

/// A greeter after this failure.
fn after(kept: Kept, kind: FailureKind) -> Model {
    let mut model = Model::new(kept, None);
    model.update(Event::Opened);
    let seat = Seat { failure: Some(Failure::new(kind)), username: Some("pupil".into()), ..Seat::default() };
    model.update(Event::Answered(Response::LdmSeat(Box::new(seat))));
    model.update(facts());
    model
}

#[test]
fn the_end_of_the_last_session_is_a_screen_that_leads_to_the_name() {
    for &kind in FailureKind::ALL {
        let mut model = after(Kept::default(), kind);
        assert_eq!(screen(&model), format!("failed !{kind:?}"));
        assert!(model.is_of_before());
        // Nobody has given a name that could be tried again, also where one is known.
        let shown = screen(&model);
        play(&mut model, [(Event::Retry, &[], &shown), (submit("x"), &[], &shown), (Event::Back, &[], "name")]);
        assert_eq!((model.username(), model.is_of_before()), ("pupil", false));
        assert_eq!(model.last_failure().map(|failure| failure.kind), Some(kind), "for the help page");
    }
    // The next failure is one of this greeter, and can be tried again.
    let mut model = after(Kept::default(), FailureKind::LinkLost);
    play(
        &mut model,
        [
            (Event::Back, &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (failure(FailureKind::ServerSilent), &[], "failed !ServerSilent"),
        ],
    );
    assert!(!model.is_of_before());
    play(&mut model, [(Event::Retry, &[CREATE], "waiting")]);
}

#[test]
fn who_types_a_name_is_not_interrupted_by_the_end_of_the_last_session() {
    let typed = Kept { username: "alice".to_owned(), ..Kept::default() };
    for (kept, name) in [(typed, "alice"), (Kept { told: true, ..Kept::default() }, "pupil")] {
        let model = after(kept, FailureKind::LinkLost);
        assert_eq!((screen(&model).as_str(), model.username()), ("name !LinkLost", name));
    }
    // Nor told twice, unless it has not been left.
    let mut model = after(Kept::default(), FailureKind::LinkLost);
    assert!(!model.kept(None).told);
    play(&mut model, [(Event::AccessToggled, &["restart"], "failed !LinkLost")]);
    // The first letter begins the name, and the reason can still be read.
    let mut model = after(Kept::default(), FailureKind::LinkLost);
    play(&mut model, [(Event::NameBegun, &[], "name !LinkLost"), (TYPED, &[PREPARE], "name !LinkLost")]);
    assert!(model.kept(None).told);
    // Only there.
    let mut model = asked();
    play(&mut model, [(Event::NameBegun, &[], "secret Password: ")]);
}

#[test]
fn texts_are_bounded_and_keep_their_markup_as_text() {
    let mut model = greeted();
    model.update(submit("alice"));
    for number in 0..1000 {
        model.update(says(Info, &format!("{number} <b>x</b>\u{1b}[31m {}", "y".repeat(10_000))));
    }
    assert_eq!(model.messages().len(), MESSAGES);
    assert!(model.messages()[MESSAGES - 1].text.starts_with("999 <b>x</b> y"));
    model.update(says(Visible, &"z".repeat(10_000_000)));
    let State::Prompt { text, .. } = model.state() else { panic!("{:?}", model.state()) };
    assert!(text.len() <= limits::PROMPT + '…'.len_utf8());
    assert!(model.messages().iter().all(|message| message.text.len() <= limits::PROMPT + '…'.len_utf8()));
}

#[test]
fn a_restart_waits_until_nothing_is_open() {
    play(
        &mut asked(),
        [
            (submit("slow"), &[ANSWER], "waiting"),
            (Event::AccessToggled, &[CANCEL], "name"),
            (success(), &[], "name"),
            (success(), &["restart"], "name"),
        ],
    );
    play(&mut greeted(), [(Event::AccessToggled, &["restart"], "name")]);
    // Whoever logs in while the restart waits leaves no login behind: the next greeter begins anew.
    play(
        &mut asked(),
        [
            (Event::AccessToggled, &[CANCEL], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (success(), &[], "waiting"),
            (says(Hidden, "Password: "), &[CANCEL], "name"),
            (success(), &["restart"], "name"),
        ],
    );
}

#[test]
fn a_daemon_that_breaks_the_protocol_ends_the_greeter() {
    play(&mut greeted(), [(success(), &["fail: the daemon answered without being asked"], "name")]);
    let mut model = asked();
    model.update(submit("x"));
    play(&mut model, [(seat(), &["fail: the daemon's answer does not fit the question"], "waiting")]);
}

#[test]
fn the_first_frame_is_told_to_ldm_alone_and_once() {
    // Before its answer, and after.
    let mut model = Model::new(Kept::default(), None);
    model.update(Event::Opened);
    assert!(model.update(Event::Shown).is_empty());
    let sent = model.update(Event::Answered(Response::LdmSeat(Box::default())));
    assert!(matches!(sent[..], [Action::Send(Request::LdmShown)]), "{sent:?}");
    let sent = model.update(Event::Answered(Response::Success));
    assert!(matches!(sent[..], [Action::Send(Request::LdmFacts)]), "{sent:?}");
    let mut model = greeted();
    let sent = model.update(Event::Shown);
    assert!(matches!(sent[..], [Action::Send(Request::LdmShown)]), "{sent:?}");
    // A plain greetd closes the connection over what it does not know.
    let mut model = Model::new(Kept::default(), None);
    model.update(Event::Opened);
    let error = ldm_protocol::greetd::ErrorType::Error;
    model.update(Event::Answered(Response::Error { error_type: error, description: "greetd".into(), failure: None }));
    assert!(model.update(Event::Shown).is_empty());
}
