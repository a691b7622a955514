//! The key of the screen reader: those who need it see neither the layout in use nor what is in front.

use ldm_protocol::greetd::Assistants;

use super::*;

/// Alt, Super and the key with the S, by their numbers: by name, xdotool(1) would change the layout for a moment.
const KEY: &str = "64+133+39";

fn seat() -> Seat {
    let assistants = Assistants { screen_reader: true, ..Assistants::default() };
    Seat { assistants, power: vec![Power::Reboot], ..Seat::default() }
}

fn hears_of_it(lab: &mut Lab, place: &str) {
    lab.key(KEY);
    let mut asked = lab.hear();
    // Of the layouts that this test has set.
    while matches!(asked, Request::LdmLayout { .. }) {
        lab.say(&Response::Success);
        asked = lab.hear();
    }
    assert!(matches!(asked, Request::LdmAccess { access } if access.screen_reader), "{place}: {asked:?}");
}

#[test]
fn its_key_is_where_the_s_is_whatever_the_layout_types_there() {
    for layout in ["us", "ru", "gr", "il", "ara", "ru,us", "fr"] {
        let Some(mut lab) = Lab::seated(seat()) else { return };
        let set = Command::new("setxkbmap").args(["-display", &lab.display, layout]).status();
        if !set.is_ok_and(|status| status.success()) {
            eprintln!("skipped: setxkbmap is needed");
            return;
        }
        hears_of_it(&mut lab, layout);
    }
}

#[test]
fn its_key_works_whatever_is_in_front() {
    let Some(mut lab) = Lab::seated(seat()) else { return };
    lab.key("F10");
    lab.key("Return");
    hears_of_it(&mut lab, "a menu");

    let Some(mut lab) = Lab::seated(seat()) else { return };
    lab.key("F1");
    assert!(matches!(lab.hear(), Request::LdmFacts));
    lab.refuse();
    hears_of_it(&mut lab, "help");

    let Some(mut lab) = Lab::seated(seat()) else { return };
    lab.key("F10");
    for _ in 0..8 {
        lab.key("Right");
    }
    lab.key("Return");
    lab.key("Return");
    assert!(matches!(lab.hear(), Request::LdmPower { .. }));
    lab.say(&Response::LdmConfirm { users: vec!["ann".into()] });
    hears_of_it(&mut lab, "a question");
}

#[test]
fn where_there_is_no_screen_reader_its_key_does_nothing() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.key(KEY);
    lab.name("carol");
}
