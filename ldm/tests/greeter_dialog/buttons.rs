//! The buttons beside the login, each pressed with the keyboard. From the menus, and from a screen's main button, Shift+Tab leads back
//! to the others.

use ldm_protocol::client::MenuItem;

use super::*;

fn two_servers() -> Seat {
    Seat { server: "alpha".into(), servers: ["alpha", "beta"].map(str::to_owned).to_vec(), ..Seat::default() }
}

/// Opens the list of servers with these keys, and takes the second one.
fn takes_beta(lab: &mut Lab, keys: &[&str]) {
    loop {
        for key in keys {
            lab.key(key);
        }
        match lab.hear() {
            Request::LdmServers => break,
            // Tab goes by where the buttons are, which is known with the next frame: this was the way to "Help".
            Request::LdmFacts => lab.say(&Response::LdmFacts(Box::default())),
            other => panic!("{other:?}"),
        }
        lab.key("Escape");
    }
    let servers = ["alpha", "beta"].map(|name| Server { name: name.into(), up: Some(true), load: None });
    lab.say(&Response::LdmServers { servers: servers.to_vec() });
    lab.key("b");
    lab.key("Return");
    let chosen = lab.hear();
    assert!(matches!(&chosen, Request::LdmServer { name: Some(name) } if name == "beta"), "{chosen:?}");
    lab.say(&Response::Success);
}

#[test]
fn an_entry_of_the_administrators_menu_is_asked_for_by_its_number() {
    let menu = [(4, "Fourth"), (7, "Seventh")].map(|(number, name)| MenuItem { number, name: name.into() });
    let Some(mut lab) = Lab::seated(Seat { menu: menu.to_vec(), ..Seat::default() }) else { return };
    lab.key("F10");
    // Where the arrow key ends is "Help", and "More" is before it.
    for _ in 0..8 {
        lab.key("Right");
    }
    for key in ["Left", "Return", "Down", "Return"] {
        lab.key(key);
    }
    let asked = lab.hear();
    assert!(matches!(asked, Request::LdmMenu { number: 7 }), "{asked:?}");
    lab.say(&Response::Success);
    lab.name("alice");
}

#[test]
fn a_guest_who_asks_is_logged_in() {
    let Some(mut lab) = Lab::seated(Seat { guest: true, ..Seat::default() }) else { return };
    for key in ["F10", "shift+Tab", "shift+Tab", "Return"] {
        lab.key(key);
    }
    let asked = lab.hear();
    assert!(matches!(asked, Request::LdmGuest), "{asked:?}");
}

#[test]
fn another_server_is_chosen_where_one_has_failed() {
    let Some(mut lab) = Lab::seated(two_servers()) else { return };
    lab.name("alice");
    failures::fails(&mut lab, FailureKind::ServerUnreachable);
    takes_beta(&mut lab, &["shift+Tab", "shift+Tab", "Return"]);
    lab.key("Return");
    assert_eq!(lab.hear_create(), "alice");
    // Before this greeter, too.
    let failure = Some(Failure::new(FailureKind::LinkLost).server("alpha"));
    let Some(mut lab) = Lab::seated(Seat { failure, ..two_servers() }) else { return };
    takes_beta(&mut lab, &["shift+Tab", "Return"]);
    lab.name("bob");
}

#[test]
fn the_sound_is_tested_from_the_help_page() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.key("F1");
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.say(&Response::LdmFacts(Box::default()));
    lab.key("shift+Tab");
    lab.key("Return");
    let asked = lab.hear();
    assert!(matches!(asked, Request::LdmSoundTest), "{asked:?}");
    lab.say(&Response::Success);
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.say(&Response::LdmFacts(Box::default()));
    lab.key("Escape");
    lab.name("alice");
}

#[test]
fn shift_tab_leaves_the_entry_and_submits_nothing() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.type_text("ali");
    assert!(matches!(lab.hear(), Request::LdmPrepare));
    lab.say(&Response::Success);
    // Around to the last button of the bar, which is "Help" where there is nothing to switch off.
    lab.key("shift+Tab");
    lab.key("Return");
    let asked = lab.hear();
    assert!(matches!(asked, Request::LdmFacts), "{asked:?}");
    lab.say(&Response::LdmFacts(Box::default()));
    lab.key("Escape");
    // What is typed goes on where it was.
    lab.type_text("ce");
    lab.key("Tab");
    assert_eq!(lab.hear_create(), "alice");
    // The same at a hidden entry.
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.type_text("s3c");
    lab.key("shift+Tab");
    lab.key("Return");
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.say(&Response::LdmFacts(Box::default()));
    lab.key("Escape");
    lab.type_text("ret");
    lab.key("Tab");
    assert_eq!(lab.hear_answer().as_deref(), Some("s3cret"));
}
