//! Scenarios of what is beside the login.

use ldm_protocol::client::{Access, Elsewhere, Load, MenuItem, Power, Server};

use super::*;

fn answered(response: Response) -> Event {
    Event::Answered(response)
}

/// What a daemon answers that does not know the request.
fn not_offered() -> Event {
    foreign(ErrorType::Error, "not offered")
}

/// At the name, with this seat, nothing open.
pub(super) fn at(seat: Seat) -> Model {
    let mut model = Model::new(Kept::default(), None);
    model.update(Event::Opened);
    model.update(answered(Response::LdmSeat(Box::new(seat))));
    if !matches!(model.state(), State::Waiting) {
        model.update(facts());
    }
    model
}

pub(super) fn words(actions: &[Action]) -> Vec<String> {
    actions.iter().map(word).collect()
}

#[test]
fn a_server_is_chosen_and_the_connection_prepared_again() {
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let mut model = at(Seat { server: "alpha".into(), servers: names.to_vec(), ..Seat::default() });
    assert_eq!(model.servers().len(), 2);
    play(
        &mut model,
        [
            (TYPED, &[PREPARE], "name"),
            (success(), &[], "name"),
            (Event::ServersOpened, &["LdmServers"], "name"),
            (Event::ServersOpened, &[], "name"),
        ],
    );
    let beta = Server { name: "beta".into(), up: Some(true), load: Some(Load::Low) };
    let other = Server { name: "not configured".into(), ..Server::default() };
    let told = model.update(answered(Response::LdmServers { servers: vec![beta.clone(), other] }));
    assert_eq!(words(&told), ["LdmServers"], "what was asked meanwhile comes next");
    model.update(answered(Response::LdmServers { servers: vec![beta.clone()] }));
    assert_eq!(model.servers(), [Server { name: "alpha".into(), ..Server::default() }, beta]);
    play(
        &mut model,
        [
            (Event::ServerChosen(Some("beta".into())), &["LdmServer { name: Some(\"beta\") }"], "name"),
            (success(), &[], "name"),
            (TYPED, &[PREPARE], "name"),
        ],
    );
    assert_eq!((model.server(), model.seat().unwrap().server.as_str()), (Some("beta"), "beta"));
}

#[test]
fn another_server_ends_the_attempt_and_waits_for_nobody() {
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let mut model = at(Seat { servers: names.to_vec(), ..Seat::default() });
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (Event::ServerChosen(None), &[CANCEL], "name"),
            (not_offered(), &[], "name"),
            (success(), &["LdmServer { name: None }"], "name"),
            (not_offered(), &[], "name"),
        ],
    );
    assert!(model.servers().is_empty(), "what is not offered is not shown any more");
}

#[test]
fn a_greeter_that_starts_again_knows_what_was_chosen() {
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let seat = Seat { server: "beta".into(), servers: names.to_vec(), chosen: Some("beta".into()), ..Seat::default() };
    let model = at(seat.clone());
    assert_eq!(model.server(), Some("beta"));
    assert_eq!(at(Seat { chosen: None, ..seat }).server(), None);
    let mut model = greeted();
    model.update(Event::LanguageChosen("de".into()));
    model.update(Event::AskForSession(true));
    let kept = || Kept { username: "alice".into(), language: Some("de".into()), ask_for_session: true, told: true };
    assert_eq!(model.kept(Some("alice".into())), kept());
    let model = Model::new(kept(), None);
    assert_eq!((model.username(), model.language(), model.asks_for_session()), ("alice", Some("de"), true));
}

#[test]
fn what_answers_is_the_server_that_is_named() {
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let seat = || Seat { server: "alpha".into(), servers: names.to_vec(), ..Seat::default() };
    let servers = |model: &Model| (model.asking_server().map(str::to_owned), model.last_server().map(str::to_owned));
    let both = |one: &str, other: &str| (Some(one.to_owned()), Some(other.to_owned()));
    let mut model = at(seat());
    assert_eq!(servers(&model), both("alpha", "alpha"));
    // Who will answer is not known while a password may be typed already.
    model.update(submit("alice"));
    assert_eq!(servers(&model), (None, Some("alpha".into())));
    model.update(says_at(Some("be\u{1b}[1mta"), Hidden, "Password: "));
    assert_eq!(servers(&model), both("beta", "beta"));
    model.update(submit("x"));
    assert_eq!(servers(&model), both("beta", "beta"));
    // The next attempt may be another's; what the help desk is told stays.
    model.update(failure(FailureKind::Denied));
    assert_eq!(servers(&model), (None, Some("beta".into())));
    model.update(says_at(Some("alpha"), Hidden, "Password: "));
    assert_eq!(servers(&model), both("alpha", "alpha"));
    // One that was chosen is used alone; and so is the only one.
    model.update(Event::ServerChosen(Some("beta".into())));
    model.update(success());
    model.update(success());
    model.update(submit("alice"));
    assert_eq!(servers(&model), both("beta", "beta"));
    let mut model = greeted();
    model.update(submit("alice"));
    assert_eq!(servers(&model), both("srv", "srv"));
}

#[test]
fn the_session_of_last_time_starts_at_once_unless_the_user_wants_to_choose() {
    let remembered = |gone: Option<&str>| {
        let Event::Answered(Response::LdmSessions(mut sessions)) = sessions(&["xfce", "mate"], Some("mate"), None)
        else {
            panic!()
        };
        sessions.remembered = gone.is_none();
        sessions.gone = gone.map(str::to_owned);
        Event::Answered(Response::LdmSessions(sessions))
    };
    let start = "start [\"ldm-session\", \"mate\"] [] unasked";
    for (ask, event, sent, shown) in [
        (false, remembered(None), &[start][..], "starting"),
        (true, remembered(None), &[], "sessions 2 preselected Some(1)"),
        (false, remembered(Some("kde")), &[], "sessions 2 preselected Some(1) !Gone(\"kde\")"),
        // A default is enough, too; without one there is nothing that could be meant.
        (false, sessions(&["xfce", "mate"], Some("mate"), None), &[start], "starting"),
        (true, sessions(&["xfce", "mate"], Some("mate"), None), &[], "sessions 2 preselected Some(1)"),
        (false, sessions(&["xfce", "mate"], None, None), &[], "sessions 2 preselected None"),
    ] {
        let mut model = asked();
        model.update(Event::AskForSession(ask));
        model.update(submit("x"));
        model.update(success());
        assert_eq!(words(&model.update(event)), sent);
        assert_eq!(screen(&model), shown);
    }
    // It has gone since: the list, and no second try by itself.
    let mut model = asked();
    model.update(submit("x"));
    model.update(success());
    model.update(remembered(None));
    play(
        &mut model,
        [
            (failure(FailureKind::SessionGone), &[SESSIONS], "waiting !SessionGone"),
            (remembered(None), &[], "sessions 2 preselected Some(1) !SessionGone"),
        ],
    );
}

#[test]
fn the_language_goes_to_the_session_if_the_user_chose_it_and_the_server_has_it() {
    for (chosen, locales, env) in [
        (Some("de"), &["fr_FR.UTF-8", "de_DE.UTF-8"][..], "[\"LANG=de_DE.UTF-8\"]"),
        (Some("fr_FR.UTF-8"), &["fr_FR.UTF-8", "de_DE.UTF-8"], "[\"LANG=fr_FR.UTF-8\"]"),
        (Some("de"), &["fr_FR.UTF-8"], "[]"),
        (Some("de"), &[], "[]"),
        (None, &["de_DE.UTF-8"], "[]"),
    ] {
        let mut model = asked();
        if let Some(language) = chosen {
            model.update(Event::LanguageChosen(language.to_owned()));
        }
        model.update(submit("x"));
        model.update(success());
        let languages = locales.iter().map(|&locale| locale.to_owned()).collect();
        let offered = Sessions { languages, forced: Some("kiosk".into()), ..Sessions::default() };
        let sent = words(&model.update(answered(Response::LdmSessions(offered))));
        assert_eq!(sent, [format!("start [\"ldm-session\", \"kiosk\"] {env} unasked")], "{chosen:?} {locales:?}");
    }
}

#[test]
fn a_server_that_somebody_chose_and_left_is_not_the_next_ones() {
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let seat = Seat { server: "beta".into(), servers: names.to_vec(), chosen: Some("beta".into()), ..Seat::default() };
    // At an earlier greeter.
    let mut model = at(seat);
    assert_eq!(model.server(), Some("beta"));
    play(&mut model, [(Event::Idle, &["LdmServer { name: None }"], "name"), (success(), &[], "name")]);
    assert_eq!((model.server(), model.seat().unwrap().server.as_str()), (None, "alpha"));
    play(&mut model, [(Event::Idle, &[], "name")]);
    // One that is not offered is none.
    assert_eq!(at(Seat { servers: names.to_vec(), chosen: Some("gamma".into()), ..Seat::default() }).server(), None);
}

#[test]
fn power_is_confirmed_where_somebody_would_lose_something() {
    let mut model = at(Seat { power: vec![Power::Reboot], ..Seat::default() });
    let ask = "LdmPower { action: Reboot, confirmed: false }";
    let confirm = || answered(Response::LdmConfirm { users: vec!["ann\u{1b}[31m".into()] });
    play(&mut model, [(Event::Power(Power::Reboot), &[ask], "name"), (confirm(), &[], "name")]);
    assert_eq!(model.question(), Some(&Question::Power(Power::Reboot, vec!["ann".into()])));
    play(&mut model, [(Event::Back, &[], "name")]);
    assert_eq!(model.question(), None);
    play(
        &mut model,
        [
            (Event::Power(Power::Reboot), &[ask], "name"),
            (confirm(), &[], "name"),
            (Event::Confirmed, &["LdmPower { action: Reboot, confirmed: true }"], "name"),
            (failure(FailureKind::PowerFailed), &[], "name !PowerFailed"),
            (Event::Confirmed, &[], "name !PowerFailed"),
            // A server that does not answer keeps no computer on.
            (submit("alice"), &[CREATE], "waiting"),
            (Event::Power(Power::Reboot), &[CANCEL], "name"),
            (failure(FailureKind::ConnectionLost), &[], "name"),
            (success(), &[ask], "name"),
            (not_offered(), &[], "name"),
        ],
    );
    assert!(model.power().is_empty());
}

#[test]
fn no_login_is_left_open_for_whoever_wakes_the_computer() {
    for (events, shown) in [
        (vec![says(Hidden, "Password: ")], "secret Password: "),
        (vec![says(Visible, "Code: ")], "visible Code: "),
        (vec![success(), sessions(&["a", "b"], None, None)], "sessions 2 preselected None"),
    ] {
        let mut model = at(Seat { power: vec![Power::Suspend], ..Seat::default() });
        model.update(submit("alice"));
        for event in events {
            model.update(event);
        }
        assert_eq!(screen(&model), shown);
        let before = model.serial();
        play(
            &mut model,
            [
                (Event::Power(Power::Suspend), &[CANCEL], "name"),
                (success(), &["LdmPower { action: Suspend, confirmed: false }"], "name"),
                (success(), &[], "name"),
            ],
        );
        assert_ne!(model.serial(), before, "what was typed is the one before's");
    }
}

#[test]
fn sessions_elsewhere_are_asked_about_first() {
    let elsewhere = || {
        answered(Response::LdmSessions(Sessions {
            forced: Some("kiosk".into()),
            elsewhere: vec![Elsewhere { client: "tc7".into(), since: 7, ..Elsewhere::default() }],
            ..Sessions::default()
        }))
    };
    let begun = || {
        let mut model = asked();
        model.update(submit("x"));
        play(&mut model, [(success(), &[SESSIONS], "waiting"), (elsewhere(), &[], "waiting")]);
        assert!(matches!(model.question(), Some(Question::Elsewhere(others)) if others[0].client == "tc7"));
        model
    };
    let mut model = begun();
    play(
        &mut model,
        [
            (Event::Confirmed, &["LdmEndOthers"], "waiting"),
            (Event::Confirmed, &[], "waiting"),
            (success(), &["start [\"ldm-session\", \"kiosk\"] [] unasked"], "starting"),
        ],
    );
    let mut model = begun();
    play(&mut model, [(Event::Back, &[CANCEL], "name")]);
    assert_eq!(model.question(), None);
    let mut model = begun();
    play(&mut model, [(Event::Confirmed, &["LdmEndOthers"], "waiting"), (Event::Back, &[CANCEL], "name")]);
    // It was agreed to, but the attempt is gone: nothing starts.
    play(&mut model, [(success(), &[], "name"), (success(), &[], "name")]);
    let mut model = begun();
    play(&mut model, [(Event::Idle, &[CANCEL], "name !Idle")]);
    assert_eq!(model.question(), None);
    // Another one has begun since: what was to be started is started after the second question.
    let start = "start [\"ldm-session\", \"kiosk\"] [] unasked";
    let mut model = begun();
    play(
        &mut model,
        [
            (Event::Confirmed, &["LdmEndOthers"], "waiting"),
            (success(), &[start], "starting"),
            (failure(FailureKind::LoggedInElsewhere), &[SESSIONS], "waiting"),
            (elsewhere(), &[], "waiting"),
        ],
    );
    assert!(matches!(model.question(), Some(Question::Elsewhere(_))));
    play(&mut model, [(Event::Confirmed, &["LdmEndOthers"], "waiting"), (success(), &[start], "starting")]);
}

#[test]
fn what_was_typed_is_dropped_when_nobody_is_there() {
    let mut model = at(Seat { username: Some("pupil".into()), ..Seat::default() });
    assert_eq!((model.username(), model.refills()), ("pupil", 1));
    // Nothing was typed, so nothing is said.
    play(&mut model, [(Event::Idle, &[], "name")]);
    model.update(TYPED);
    model.update(success());
    play(&mut model, [(Event::Idle, &[], "name !Idle")]);
    assert_eq!((model.username(), model.refills()), ("pupil", 2));
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            // The server may take its time.
            (Event::Idle, &[], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (Event::Idle, &[CANCEL], "name !Idle"),
        ],
    );
    assert_eq!(model.username(), "pupil");
    let mut model = asked();
    model.update(submit("x"));
    model.update(success());
    model.update(sessions(&["a", "b"], None, None));
    play(&mut model, [(Event::Idle, &[CANCEL], "name !Idle")]);
}

#[test]
fn what_one_chose_is_not_left_for_the_next() {
    let any = "LdmServer { name: None }";
    let names = ["alpha".to_owned(), "beta".to_owned()];
    let chosen = || {
        let mut model = at(Seat { server: "alpha".into(), servers: names.to_vec(), ..Seat::default() });
        model.update(Event::LanguageChosen("de".into()));
        model.update(Event::AskForSession(true));
        model.update(Event::ServerChosen(Some("beta".into())));
        model
    };
    let begins_anew = |model: &Model| {
        assert_eq!((model.language(), model.asks_for_session(), model.server()), (None, false, None));
        assert_eq!(model.seat().unwrap().server, "alpha");
    };
    let mut model = chosen();
    // Escape is no other person's.
    play(
        &mut model,
        [
            (success(), &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (Event::Back, &[CANCEL], "name"),
            (success(), &[], "name"),
        ],
    );
    assert_eq!((model.language(), model.asks_for_session(), model.server()), (Some("de"), true, Some("beta")));
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (Event::Idle, &[CANCEL], "name !Idle"),
            (success(), &[any], "name !Idle"),
            (success(), &[], "name !Idle"),
            // Once.
            (Event::Idle, &[], "name !Idle"),
        ],
    );
    begins_anew(&model);
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (success(), &[SESSIONS], "waiting"),
            (sessions(&["xfce"], None, None), &["start [\"ldm-session\", \"xfce\"] [] unasked"], "starting"),
        ],
    );

    // The daemon has not answered yet; nobody has typed anything; after a failure.
    let mut model = chosen();
    play(&mut model, [(Event::Idle, &[], "name"), (success(), &[any], "name"), (success(), &[], "name")]);
    begins_anew(&model);
    let mut model = chosen();
    play(
        &mut model,
        [
            (success(), &[], "name"),
            (submit("alice"), &[CREATE], "waiting"),
            (failure(FailureKind::ServerSilent), &[], "failed !ServerSilent"),
            (Event::Idle, &[any], "name !ServerSilent"),
            (success(), &[], "name !ServerSilent"),
        ],
    );
    begins_anew(&model);
    // The keyboard, too; the display says when it has changed.
    let mut model = at(Seat::default());
    play(
        &mut model,
        [
            (Event::LayoutChanged(2), &["LdmLayout { group: 2 }"], "name"),
            (success(), &[], "name"),
            (Event::Idle, &["first layout"], "name"),
            (Event::LayoutChanged(0), &["LdmLayout { group: 0 }"], "name"),
            (success(), &[], "name"),
            (Event::Idle, &[], "name"),
        ],
    );
}

#[test]
fn a_name_that_is_known_does_not_replace_what_is_typed() {
    let mut model = Model::new(Kept::default(), None);
    model.update(Event::Opened);
    model.update(TYPED);
    let seat = Seat { username: Some("pupil".into()), countdown: Some(5), ..Seat::default() };
    model.update(answered(Response::LdmSeat(Box::new(seat))));
    assert_eq!((model.refills(), model.counting()), (0, None));
}

#[test]
fn help_is_there_in_every_state_and_waits_for_the_login() {
    let mut model = greeted();
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (Event::Help, &[], "waiting"),
            (says(Hidden, "Password: "), &[FACTS], "secret Password: "),
        ],
    );
    assert!(model.helps());
    let known = Facts { version: "9".into(), ..Facts::default() };
    model.update(answered(Response::LdmFacts(Box::new(known))));
    assert_eq!(model.facts().map(|facts| facts.version.as_str()), Some("9"));
    // Escape closes the help and nothing else.
    play(&mut model, [(Event::Back, &[], "secret Password: ")]);
    assert!(!model.helps());
    play(
        &mut model,
        [
            (Event::SoundTest, &["LdmSoundTest"], "secret Password: "),
            (not_offered(), &[FACTS], "secret Password: "),
            (not_offered(), &[], "secret Password: "),
        ],
    );
    assert!(!model.offers_sound_test());
    // A plain greetd is asked nothing.
    let mut model = Model::new(Kept::default(), None);
    model.update(Event::Opened);
    model.update(not_offered());
    play(
        &mut model,
        [(Event::Help, &[], "name"), (Event::SoundTest, &[], "name"), (Event::Power(Power::Reboot), &[], "name")],
    );
}

#[test]
fn the_administrators_commands_may_fail() {
    let item = MenuItem { number: 3, name: "Browser".into() };
    let mut model = at(Seat { menu: vec![item], ..Seat::default() });
    play(
        &mut model,
        [
            (Event::Menu(3), &["LdmMenu { number: 3 }"], "name"),
            (failure(FailureKind::CommandFailed), &[], "name !CommandFailed"),
            (Event::Menu(3), &["LdmMenu { number: 3 }"], "name !CommandFailed"),
            (not_offered(), &[], "name !CommandFailed"),
        ],
    );
    assert!(model.seat().unwrap().menu.is_empty());
    assert_eq!(model.last_failure().map(|failure| failure.kind), Some(FailureKind::CommandFailed));
}

#[test]
fn what_is_cancelled_is_still_offered() {
    let item = MenuItem { number: 3, name: "Browser".into() };
    let mut model = at(Seat { menu: vec![item], ..Seat::default() });
    let ask = "LdmMenu { number: 3 }";
    play(
        &mut model,
        [
            (submit("alice"), &[CREATE], "waiting"),
            (says(Hidden, "Password: "), &[], "secret Password: "),
            (Event::Menu(3), &[ask], "secret Password: "),
            (Event::Back, &[CANCEL], "name"),
            // The daemon answers both.
            (foreign(ErrorType::Error, "cancelled"), &[], "name"),
            (success(), &[], "name"),
            (Event::Menu(3), &[ask], "name"),
        ],
    );
    assert_eq!(model.seat().unwrap().menu.len(), 1);
}

#[test]
fn of_layouts_and_switches_the_last_one_counts() {
    let mut model = asked();
    model.update(submit("slow"));
    for group in [1, 2, 3] {
        assert_eq!(words(&model.update(Event::LayoutChanged(group))), Vec::<String>::new());
    }
    assert_eq!(words(&model.update(says(Hidden, "Code:"))), ["LdmLayout { group: 3 }"]);
}

#[test]
fn what_is_switched_while_the_server_is_waited_for_comes_before_the_session() {
    let mut model = asked();
    model.update(submit("slow"));
    model.update(success());
    model.update(Event::LayoutChanged(1));
    model.update(Event::AccessChanged(Access { sticky_keys: true, ..Access::default() }));
    model.update(Event::Menu(0));
    let forced = Sessions { forced: Some("kiosk".into()), ..Sessions::default() };
    let sent = words(&model.update(answered(Response::LdmSessions(forced))));
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent[0].starts_with("LdmLayout") && sent[1].starts_with("LdmAccess") && sent[2].starts_with("start "));
    play(&mut model, [(success(), &[], "starting"), (success(), &[], "starting"), (success(), &["quit"], "starting")]);
}
