//! What the greeter can look like: each scenario is a daemon's data and what a user does.

use ldm_protocol::client::{Access, Elsewhere};
use ldm_protocol::greetd::Seat;
use ldm_protocol::{FailureKind, Secret};

use super::fake::{self, Fake};
use crate::failure;
use crate::model::Event;

/// Something to do to the greeter.
#[derive(Debug)]
pub(crate) enum Act {
    /// What the user or the time does.
    Event(Event),
    /// Press the button of this name.
    Press(&'static str),
    /// Press the button of this name, if the client has what it is for.
    Open(&'static str),
    /// Press a button in the list of this name, by its place.
    PressIn(&'static str, usize),
}

/// One look of the greeter.
pub(crate) struct Scenario {
    /// As given to `--scenario`.
    pub(crate) name: String,
    /// The daemon.
    pub(crate) fake: Fake,
    /// What is done, in order.
    pub(crate) acts: Vec<Act>,
    /// One of those that show every part of the greeter once; the others are more of the same kind.
    pub(crate) main: bool,
    /// The data are longer than what there is room for, and may be cut off.
    pub(crate) long: bool,
    /// Caps Lock and Num Lock are on.
    pub(crate) locks: bool,
}

/// The failures of which each looks, or offers, something else.
const FAMILIES: [FailureKind; 10] = [
    FailureKind::ServerUnknown,
    FailureKind::ServerUnreachable,
    FailureKind::HostKeyChanged,
    FailureKind::NoMethod,
    FailureKind::PasswordExpired,
    FailureKind::SessionTooShort,
    FailureKind::LinkLost,
    FailureKind::NotAllowed,
    FailureKind::PowerFailed,
    FailureKind::Internal,
];

/// The failures that a user meets most, each on the screen of its own.
const USUAL: [FailureKind; 5] = [
    FailureKind::ServerUnreachable,
    FailureKind::HostKeyChanged,
    FailureKind::NotAllowed,
    FailureKind::LoggedInElsewhere,
    FailureKind::SessionTooShort,
];

/// All of them, in the order of a login.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![
        main("name", Fake::new(), vec![]),
        main("prompt", Fake::new().with_choices(), vec![name()]),
        Scenario { locks: true, ..main("locks", Fake::new(), vec![name()]) },
        main("code", said([fake::question(false, "Verification code: ")]), vec![name()]),
        main("waiting", said([]), vec![name()]),
        main(
            "denied",
            said([fake::question(true, "Password: "), fake::failure(FailureKind::Denied)]),
            vec![name(), word()],
        ),
        main("password-change", password_change(), vec![name(), word()]),
        main("sessions", Fake::new().with_choices(), vec![name(), word()]),
        main("starting", Fake::new(), vec![name(), word(), Act::Event(Event::Chosen(Some(0)))]),
        main("guest", guest(None), vec![]),
        main("countdown", guest(Some(30)), vec![]),
        main("question-power", busy(), power()),
        main("question-elsewhere", elsewhere(), vec![name(), word()]),
        Scenario { long: true, ..other("question-power-many", crowded(), power()) },
        Scenario { long: true, ..other("question-elsewhere-many", elsewhere_often(), vec![name(), word()]) },
        main("help", Fake::new(), vec![Act::Press("help-button")]),
    ];
    all.extend(FailureKind::ALL.iter().map(|&kind| {
        let name = format!("failure-{}", dashed(kind));
        let main = FAMILIES.contains(&kind);
        Scenario { main, ..self::main(&name, at_start(kind), Vec::new()) }
    }));
    all.extend(FailureKind::ALL.iter().map(|&kind| Scenario {
        main: USUAL.contains(&kind),
        ..main(&format!("failed-{}", dashed(kind)), said([fake::failure(kind)]).with_choices(), vec![name()])
    }));
    all.push(main("failure-countdown", counted_after(FailureKind::SessionTooShort), vec![]));
    all.push(other("failure-idle", at_start(FailureKind::SessionTooShort), vec![Act::Event(Event::Idle)]));
    all.push(other("idle", Fake::new(), vec![Act::Event(Event::Typed { empty: false }), Act::Event(Event::Idle)]));
    all.push(Scenario { long: true, ..other("long-question", long_question(), vec![name()]) });
    let menus = [
        ("menu-server", "server-menu"),
        ("menu-session", "session-menu"),
        ("menu-language", "language-menu"),
        ("menu-layout", "layout-menu"),
        ("menu-access", "access-menu"),
        ("menu-admin", "admin-menu"),
        ("menu-power", "power-menu"),
    ];
    all.extend(menus.map(|(name, button)| main(name, Fake::new().with_choices(), vec![Act::Open(button)])));
    let sessions = vec![name(), word(), Act::Open("language-menu")];
    all.push(main("menu-language-session", Fake::new().with_choices(), sessions));
    all.push(other("menu-server-long", long_servers(), vec![Act::Open("server-menu")]));
    all.push(main("high-contrast", switched(Access { high_contrast: true, ..Access::default() }), vec![name()]));
    let large = || switched(Access { large_text: true, ..Access::default() });
    all.push(main("large-text", large(), vec![name()]));
    all.push(Scenario { long: true, ..other("large-text-sessions", large(), vec![name(), word()]) });
    let failed = Fake { said: said([fake::failure(FailureKind::HostKeyChanged)]).said, ..large() };
    all.push(other("large-text-failed", failed, vec![name()]));
    all.push(other("large-text-access", large(), vec![Act::Open("access-menu")]));
    for (kind, high_contrast) in [("large-text", false), ("large-contrast", true)] {
        let access = Access { large_text: true, high_contrast, ..Access::default() };
        let with = |fake: Fake| Fake { seat: Seat { access, ..fake.seat }, ..fake };
        let more = |what: &str, fake: Fake, acts| main(&format!("{kind}-{what}"), with(fake), acts);
        if high_contrast {
            all.push(main(kind, switched(access), vec![typed("alexandra.of-the-library")]));
        }
        all.push(more("countdown", guest(Some(30)).with_choices(), vec![]));
        let help = more("help", Fake::new().with_choices(), vec![Act::Press("help-button")]);
        all.push(Scenario { long: true, ..help });
        all.push(more("question", elsewhere(), vec![name(), word()]));
        all.push(Scenario {
            main: false,
            long: true,
            ..more("question-many", elsewhere_often(), vec![name(), word()])
        });
    }
    all.push(Scenario { long: true, ..main("long", long(), vec![name()]) });
    all
}

/// The kind, as the administrator's guide lists it.
fn dashed(kind: FailureKind) -> String {
    failure::code(kind).replace('_', "-")
}

fn main(name: &str, fake: Fake, acts: Vec<Act>) -> Scenario {
    Scenario { name: name.to_owned(), fake, acts, main: true, long: false, locks: false }
}

/// More of a kind.
fn other(name: &str, fake: Fake, acts: Vec<Act>) -> Scenario {
    Scenario { main: false, ..main(name, fake, acts) }
}

/// The user types a name.
fn name() -> Act {
    typed(fake::USER)
}

/// The user types a password.
fn word() -> Act {
    typed("not a real password")
}

/// The user wants to switch the client off.
fn power() -> Vec<Act> {
    vec![Act::Press("power-menu"), Act::PressIn("power-list", 1)]
}

fn typed(text: &str) -> Act {
    Act::Event(Secret::new(text).map_or(Event::TooLong, Event::Submitted))
}

fn said<const N: usize>(said: [ldm_protocol::greetd::Response; N]) -> Fake {
    Fake { said: said.into(), ..Fake::new() }
}

fn password_change() -> Fake {
    said([
        fake::question(true, "Password: "),
        fake::message(true, "You are required to change your password immediately (password expired)."),
        fake::message(false, "Changing password for alex.example."),
        fake::question(true, "New password: "),
    ])
}

fn guest(countdown: Option<u32>) -> Fake {
    let mut fake = Fake::new();
    fake.seat.guest = true;
    fake.seat.countdown = countdown;
    fake
}

fn busy() -> Fake {
    Fake { users: vec!["robin".to_owned(), "kim".to_owned()], ..Fake::new() }
}

/// As many users as a question may have, with names as long as they may be.
fn crowded() -> Fake {
    let name = |number: char| format!("{}-{number}", "a-user-whose-name-has-no-end".repeat(2));
    Fake { users: ('a'..='p').map(name).collect(), ..Fake::new() }
}

fn elsewhere() -> Fake {
    let mut fake = Fake::new();
    fake.sessions.elsewhere = vec![fake::elsewhere()];
    fake
}

/// Somebody who never logs out.
fn elsewhere_often() -> Fake {
    let mut fake = Fake::new();
    let client = |number| format!("room{number:02}-the-computer-beside-the-window-of-the-library");
    fake.sessions.elsewhere = (1..=6).map(|number| Elsewhere { client: client(number), ..fake::elsewhere() }).collect();
    fake
}

fn at_start(kind: FailureKind) -> Fake {
    let mut fake = Fake::new().with_choices();
    fake.seat.failure = Some(fake::failed(kind));
    fake
}

/// A guest is logged in, if nobody reads it.
fn counted_after(kind: FailureKind) -> Fake {
    let mut fake = at_start(kind);
    fake.seat.guest = true;
    fake.seat.countdown = Some(30);
    fake
}

fn switched(access: Access) -> Fake {
    let mut fake = Fake::new().with_choices();
    fake.seat.access = access;
    fake
}

/// What a server may say at most, and more than fits.
fn long() -> Fake {
    let mut fake = said([
        fake::message(false, &"This is a notice of the house. ".repeat(20)),
        fake::message(true, &"unbreakable".repeat(20)),
        fake::question(true, "A question that goes on for longer than anybody would like to read it, and then some: "),
    ])
    .with_choices();
    "a-host-name-that-is-as-long-as-host-names-can-be-sixty-three-let".clone_into(&mut fake.seat.hostname);
    "a-server-with-a-long-name.in-a-department.of-a-university.example".clone_into(&mut fake.seat.server);
    fake
}

/// The rules of the house, and then what is asked for.
fn long_question() -> Fake {
    let mut lines: Vec<String> =
        (1..=30).map(|number| format!("Rule {number}: this is a rule of the house.")).collect();
    lines.push("Password: ".to_owned());
    said([fake::question(true, &lines.join("\n"))])
}

/// Names as long as the daemon lets them be.
fn long_servers() -> Fake {
    let mut fake = Fake::new().with_choices();
    let name = |letter: &str| format!("{}.example", vec![letter.repeat(40); 6].join("."));
    fake.seat.servers = ["a", "b", "c"].map(name).to_vec();
    fake
}
