//! What one person leaves at the greeter, and whether another finds it.

use ldm_protocol::greetd::Assistants;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::ModMask;

use super::*;

/// One leaves at the password, and another comes. What the greeter wanted instead of what was expected, if anything, and how
/// long that person had been typing by then.
fn leaves_and_another_comes(lab: &mut Lab) -> Result<(), (Option<Request>, Duration)> {
    let wanted = |lab: &mut Lab, since: Instant, is: &dyn Fn(&Request) -> bool| match lab.read() {
        Ok(Some(request)) if is(&request) => Ok(()),
        other => Err((other.ok().flatten(), since.elapsed())),
    };
    for name in ["carol", "dave"] {
        let since = Instant::now();
        lab.type_text(name);
        wanted(lab, since, &|request| matches!(request, Request::LdmPrepare))?;
        lab.say(&Response::Success);
        lab.key("Return");
        // Nothing is left of the name before.
        wanted(lab, since, &|request| matches!(request, Request::CreateSession { username } if username == name))?;
        if name == "carol" {
            lab.asks(AuthMessageType::Secret, "Password: ");
            lab.type_text("half a pass");
            // A while later the attempt is given up by itself.
            wanted(lab, since, &|request| matches!(request, Request::CancelSession))?;
            lab.say(&Response::Success);
        }
    }
    Ok(())
}

#[test]
fn nobody_finds_what_another_left() {
    // On a busy machine, typing a name may take longer than it takes until nobody seems to be there.
    let mut idle = 1;
    loop {
        let Some(mut lab) = Lab::idling(&idle.to_string()) else { return };
        match leaves_and_another_comes(&mut lab) {
            Ok(()) => return,
            Err((other, typing)) => {
                let slow = typing.as_secs() >= idle;
                assert!(slow && idle < PATIENCE.as_secs(), "idle after {idle} s, typing for {typing:?}: {other:?}");
                idle *= 2;
            }
        }
    }
}

/// German, where gettext is installed.
fn german() -> Option<TempDir> {
    let (dir, po) = (TempDir::new().unwrap(), concat!(env!("CARGO_MANIFEST_DIR"), "/../po/de.po"));
    let to = dir.path().join("de/LC_MESSAGES");
    std::fs::create_dir_all(&to).unwrap();
    let Ok(status) = Command::new("msgfmt").arg("-o").arg(to.join("ldm.mo")).arg(po).status() else {
        eprintln!("skipped: gettext is needed");
        return None;
    };
    assert!(status.success());
    Some(dir)
}

/// Opens the menu at this place of those at the bottom.
fn open_menu(lab: &Lab, place: usize) {
    lab.key("F10");
    for _ in 1..place {
        lab.key("Tab");
    }
    lab.key("space");
}

#[test]
fn a_language_and_an_open_menu_are_not_left_for_the_next() {
    let Some(catalogues) = german() else { return };
    let directory = catalogues.path().to_str().unwrap();
    let Some(mut lab) = Lab::with(&[], &[("LDM_GREETER_IDLE", "6"), ("LDM_LOCALEDIR", directory)], |_| None) else {
        return;
    };
    lab.greet(Seat::default(), "Log in");
    // Session, language.
    open_menu(&lab, 2);
    lab.key("d");
    lab.key("Return");
    lab.wait_for_title("Anmelden");
    open_menu(&lab, 1);
    // Nobody is there.
    lab.wait_for_title("Log in");
    lab.name("dave");
}

#[test]
fn a_keyboard_layout_is_not_left_for_the_next() {
    let Some(mut lab) = Lab::idling("3") else { return };
    let set = Command::new("setxkbmap").args(["-display", &lab.display, "us,de"]).status();
    if !set.is_ok_and(|status| status.success()) {
        eprintln!("skipped: setxkbmap is needed");
        return;
    }
    let (x, _) = x11rb::connect(Some(&lab.display)).unwrap();
    x.xkb_use_extension(1, 0).unwrap().reply().unwrap();
    let (keyboard, none) = (u16::from(xkb::ID::USE_CORE_KBD), ModMask::from(0_u16));
    x.xkb_latch_lock_state(keyboard, none, none, true, xkb::Group::from(1_u8), none, false, 0)
        .unwrap()
        .check()
        .unwrap();
    let mut wanted = [1, 0].into_iter().peekable();
    while let Some(group) = wanted.peek() {
        let Request::LdmLayout { group: told } = lab.hear() else { panic!("no layout is told of") };
        lab.say(&Response::Success);
        // That there are two of them now is told as well, where the greeter sees it before the second is in use.
        if told == *group {
            wanted.next();
        }
    }
    lab.name("dave");
}

#[test]
fn the_screen_readers_key_keeps_what_was_chosen() {
    let Some(catalogues) = german() else { return };
    let directory = catalogues.path().to_str().unwrap();
    let Some(mut lab) = Lab::with(&[], &[("LDM_LOCALEDIR", directory)], |_| None) else { return };
    let servers = ["alpha", "beta"].map(str::to_owned).to_vec();
    let assistants = Assistants { screen_reader: true, ..Assistants::default() };
    let seat = Seat { server: "alpha".into(), servers, assistants, ..Seat::default() };
    lab.greet(seat.clone(), "Log in");
    // Server, session, language.
    open_menu(&lab, 3);
    lab.key("d");
    lab.key("Return");
    lab.wait_for_title("Anmelden");
    open_menu(&lab, 2);
    lab.key("Down");
    lab.key("Return");
    lab.key("alt+super+s");
    assert!(matches!(lab.hear(), Request::LdmAccess { access } if access.screen_reader));
    lab.say(&Response::Success);
    lab.greet(seat, "Anmelden");
    lab.name("carol");
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.key("Return");
    assert_eq!(lab.hear_answer().as_deref(), Some(""));
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmSessions));
    let entry = |id: &str| SessionEntry { id: id.into(), name: id.to_uppercase(), comment: None };
    lab.say(&Response::LdmSessions(Sessions {
        sessions: vec![entry("xfce"), entry("icewm")],
        preselected: Some("xfce".into()),
        remembered: true,
        languages: vec!["de_DE.UTF-8".into()],
        ..Sessions::default()
    }));
    // It is asked for.
    lab.key("Down");
    lab.key("Return");
    let Request::StartSession { cmd, env, unasked: false } = lab.hear() else { panic!("not start_session") };
    assert_eq!((cmd[1].as_str(), env), ("icewm", vec!["LANG=de_DE.UTF-8".to_owned()]));
}
