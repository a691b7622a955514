//! Authentication as PAM leads it.

use ldm::auth::AuthMessageType::{self, Info, Secret, Visible};
use ldm::auth::{Cancelled, Conversation};
use ldm::ssh::{Reason, SshError};
use ldm_protocol::limits;
use russh::MethodKind;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use crate::server::{Relay, Script, Seen, Server, Setup, Step, ask, key, key_of, within};

/// Logs in at a server that does these steps.
async fn login(setup: Setup, answers: &[&'static str]) -> (Result<(), SshError>, Script, Server) {
    let server = Server::start(setup).await;
    let mut connection = server.connect("HOST KEY\n").await.unwrap();
    let mut script = Script::new(answers);
    let result = within(connection.authenticate("alice", &mut script)).await;
    (result, script, server)
}

fn steps(steps: Vec<Step>) -> Setup {
    Setup { steps, ..Setup::default() }
}

fn reason(result: Result<(), SshError>) -> Reason {
    result.unwrap_err().reason
}

#[tokio::test]
async fn a_password_is_one_question() {
    let (result, script, mut server) =
        login(steps(vec![ask(&[("Password: ", false)]), ask(&[]), Step::Accept]), &["  blanks \u{1f512} "]).await;
    result.unwrap();
    assert_eq!(script.heard, [(Secret, "Password: ".to_owned())]);
    let Seen::Answers(answers) = server.next().await else { panic!() };
    assert_eq!(answers, ["  blanks \u{1f512} "]);
    let Seen::Answers(answers) = server.next().await else { panic!() };
    assert!(answers.is_empty(), "a round without prompts is answered at once");
}

#[tokio::test]
async fn several_prompts_in_a_round_with_their_echo() {
    let round = Step::Ask {
        name: "Two factors",
        instructions: "Take your token.\n".to_owned(),
        prompts: vec![("Password: ", false), ("Code: ", true)],
    };
    let (result, script, mut server) = login(steps(vec![round, Step::Accept]), &["secret", "123456"]).await;
    result.unwrap();
    let heard: Vec<_> = script.heard.iter().map(|(style, text)| (*style, text.as_str())).collect();
    assert_eq!(heard, [(Info, "Two factors"), (Info, "Take your token."), (Secret, "Password: "), (Visible, "Code: ")]);
    let Seen::Answers(answers) = server.next().await else { panic!() };
    assert_eq!(answers, ["secret", "123456"]);
}

#[tokio::test]
async fn an_expired_password_takes_four_rounds() {
    let rounds = vec![
        ask(&[("Password: ", false)]),
        ask(&[("You are required to change your password immediately.\nCurrent password: ", false)]),
        ask(&[("New password: ", false)]),
        ask(&[("Retype new password: ", false)]),
        ask(&[]),
        Step::Accept,
    ];
    let (result, script, _server) = login(steps(rounds), &["old", "old", "new", "new"]).await;
    result.unwrap();
    assert_eq!(script.heard.len(), 4);
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_tried_again() {
    let mut setup = steps(vec![ask(&[("Password: ", false)]), Step::Reject, ask(&[("Password: ", false)])]);
    setup.methods.push(MethodKind::Password);
    let (result, script, mut server) = login(setup, &["wrong"]).await;
    assert_eq!(reason(result), Reason::Denied);
    assert_eq!(script.heard.len(), 1);
    assert!(matches!(server.next().await, Seen::Answers(_)));
    assert!(server.seen.try_recv().is_err(), "the `password` method must not see the same answer");
}

#[tokio::test]
async fn last_words_reach_the_user() {
    let words = |text: &str| Step::Ask { name: "", instructions: text.to_owned(), prompts: vec![] };
    let (result, script, _server) = login(
        steps(vec![ask(&[("Password: ", false)]), words("Your password will expire in 3 days."), Step::Accept]),
        &["secret"],
    )
    .await;
    result.unwrap();
    assert_eq!(script.texts(), ["Password: ", "Your password will expire in 3 days."]);

    let (result, script, _server) =
        login(steps(vec![ask(&[("Password: ", false)]), words("Account locked."), Step::Reject]), &["secret"]).await;
    assert_eq!(reason(result), Reason::Denied);
    assert_eq!(script.texts(), ["Password: ", "Account locked."]);
}

#[tokio::test]
async fn a_lost_connection_is_never_a_wrong_password() {
    for rounds in [vec![Step::HangUp], vec![ask(&[("Password: ", false)]), Step::HangUp]] {
        let (result, _, server) = login(steps(rounds), &["secret"]).await;
        let error = result.unwrap_err();
        assert!(matches!(error.reason, Reason::Lost(_)), "{error}");
        assert_eq!(error.failure().kind, ldm_protocol::FailureKind::ConnectionLost);
        assert_eq!(error.failure().server, Some(format!("127.0.0.1:{}", server.port)));
    }
}

/// Cuts the line at the question and never answers it.
struct Sleepy(Option<Relay>);
impl Conversation for Sleepy {
    async fn message(&mut self, _: AuthMessageType, _: &str) -> Result<Option<ldm_protocol::Secret>, Cancelled> {
        drop(self.0.take());
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_while_the_user_types_is_noticed() {
    // Through a relay, because this server never hangs up on its own.
    let server = Server::start(steps(vec![ask(&[("Password: ", false)]), Step::Accept])).await;
    let (port, cut) = server.relay().await;
    let target = ldm::ssh::Target::parse(&format!("127.0.0.1:{port}"), 22).unwrap();
    let lines = format!("[127.0.0.1]:{port} KEY\n");
    let mut connection = within(ldm::ssh::connect(&[target], &server.policy(&lines))).await.unwrap();
    let result = within(connection.authenticate("alice", &mut Sleepy(Some(cut)))).await;
    assert!(matches!(reason(result), Reason::Lost(_)));
}

#[tokio::test]
async fn cancelling_ends_it() {
    let (result, _, _server) = login(steps(vec![ask(&[("Password: ", false)]), Step::Accept]), &["^C"]).await;
    assert_eq!(reason(result), Reason::Cancelled);
}

#[tokio::test]
async fn password_where_there_is_no_keyboard_interactive() {
    let setup = Setup { methods: vec![MethodKind::Password], password: Some("secret"), ..Setup::default() };
    let (result, script, _server) = login(setup.clone(), &["secret"]).await;
    result.unwrap();
    assert_eq!(script.heard, [(Secret, "Password:".to_owned())]);
    let (result, _, _server) = login(setup, &["wrong"]).await;
    assert_eq!(reason(result), Reason::Denied);
}

#[tokio::test]
async fn password_where_keyboard_interactive_asks_nothing() {
    let methods = vec![MethodKind::KeyboardInteractive, MethodKind::Password];
    let setup = Setup { methods, password: Some("secret"), steps: vec![Step::Reject], ..Setup::default() };
    let (result, script, _server) = login(setup, &["secret"]).await;
    result.unwrap();
    assert_eq!(script.texts(), ["Password:"]);
}

#[tokio::test]
async fn partial_success_goes_on_with_the_next_method() {
    let rounds = vec![
        ask(&[("Password: ", false)]),
        Step::Partial(vec![MethodKind::KeyboardInteractive]),
        ask(&[("Code: ", true)]),
        Step::Partial(vec![MethodKind::Password]),
    ];
    let setup = Setup {
        methods: vec![MethodKind::KeyboardInteractive, MethodKind::Password],
        password: Some("second"),
        ..steps(rounds)
    };
    let (result, script, _server) = login(setup, &["first", "123456", "second"]).await;
    result.unwrap();
    assert_eq!(script.texts(), ["Password: ", "Code: ", "Password:"]);
}

#[tokio::test]
async fn no_method_in_common() {
    for methods in [vec![MethodKind::PublicKey], vec![MethodKind::HostBased], vec![]] {
        let setup = Setup { methods, ..Setup::default() };
        let (result, script, _server) = login(setup, &[]).await;
        assert_eq!(reason(result), Reason::NoMethod);
        assert!(script.heard.is_empty());
    }
}

#[tokio::test]
async fn banners_and_prompts_are_cut_and_cleaned() {
    let mut setup = steps(vec![
        Step::Ask {
            name: "",
            instructions: "\u{1b}[2J<b>bold</b> ".to_owned() + &"y".repeat(100_000),
            prompts: vec![("\u{1b}[31mPassword: \u{202e}", false)],
        },
        Step::Accept,
    ]);
    setup.banner = Some("\u{1b}]0;owned\u{7}Welcome\r\n".to_owned() + &"x".repeat(200_000));
    let (result, script, _server) = login(setup, &["secret"]).await;
    result.unwrap();
    let texts = script.texts();
    assert!(texts[0].starts_with("Welcome\nxxx") && texts[0].ends_with("x…"), "{}", &texts[0][..40]);
    assert!(texts[1].starts_with("<b>bold</b> yyy") && texts[1].ends_with("y…"), "{}", &texts[1][..40]);
    assert_eq!(texts[2], "Password: ");
    assert!(texts.iter().all(|text| text.len() <= limits::PROMPT + 3));
}

#[tokio::test]
async fn a_packet_of_10_mb_ends_the_connection_and_nothing_else() {
    let huge = Step::Ask { name: "", instructions: "x".repeat(10_000_000), prompts: vec![("Password: ", false)] };
    let (result, script, _server) = login(steps(vec![huge, Step::Accept]), &["secret"]).await;
    // Not “try again”: it would end the same way each time.
    let error = result.unwrap_err();
    assert!(matches!(error.reason, Reason::Incompatible(_)), "{error}");
    assert_eq!(error.failure().kind, ldm_protocol::FailureKind::ServerIncompatible);
    assert!(script.heard.is_empty());
}

#[tokio::test]
async fn an_endless_server_is_given_up() {
    let (result, ..) = login(steps(vec![ask(&[]); 1000]), &[]).await;
    assert!(matches!(reason(result), Reason::Incompatible(_)));
    let (result, ..) = login(steps(vec![ask(&[("?", true); 1000])]), &[]).await;
    assert!(matches!(reason(result), Reason::Incompatible(_)));
}

/// Logs in with the key in a file of this content, at a server that knows `known`.
async fn login_with_key(known: &PrivateKey, content: &str) -> Result<(), SshError> {
    let server = Server::start(Setup { authorized: Some(known.public_key().clone()), ..Setup::default() }).await;
    let file = server.directory.path().join("key");
    std::fs::write(&file, content).unwrap();
    let mut connection = server.connect("HOST KEY\n").await.unwrap();
    within(connection.authenticate_key("guest", &file)).await
}

#[tokio::test]
async fn a_key_file_instead_of_a_conversation() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Rsa { hash: None }] {
        let known = key_of(algorithm);
        login_with_key(&known, &known.to_openssh(LineEnding::LF).unwrap()).await.unwrap();
    }
    let other = key().to_openssh(LineEnding::LF).unwrap();
    assert!(matches!(reason(login_with_key(&key(), &other).await), Reason::Denied));
    for content in ["", "no key", &"x".repeat(1_000_000)] {
        let reason = reason(login_with_key(&key(), content).await);
        let Reason::BadKey(why) = reason else { panic!("{reason:?}") };
        assert!(why.contains("/key: "), "{why}");
    }
}
