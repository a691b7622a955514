//! The real greeter in other languages than English, on a client that has no locale for them.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use ldm_protocol::FailureKind;
use ldm_tests::gui::{Reader, Widget};
use ldm_tests::{Daemon, Kind, Lab, Scene, Sshd, User, XServer, stage, wait};

/// Compiles these languages' catalogues, for `LDM_LOCALEDIR`.
pub(crate) fn catalogues(lab: &Lab, languages: &[&str]) -> Result<PathBuf> {
    let catalogues = lab.file("locale");
    stage::catalogues(&catalogues, languages)?;
    Ok(catalogues)
}

/// A seat whose greeter has these languages' catalogues.
fn seat(languages: &[&str], locale: &str) -> Result<(Scene, Reader)> {
    seat_where(languages, "LDM_LANGUAGE", locale)
}

/// The same, where this variable has this locale.
fn seat_where(languages: &[&str], variable: &str, locale: &str) -> Result<(Scene, Reader)> {
    let lab = Lab::new()?;
    let catalogues = catalogues(&lab, languages)?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let greeter_user = User::create(&lab, Kind::System, "")?;
    let reader = Reader::new(&lab, &greeter_user)?;
    let daemon = Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &reader.greeter_with(&catalogues))
        .set("LDM_THEME", &reader.theme())
        .set(variable, locale)
        .greeter_user(greeter_user)
        .start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, reader))
}

/// In whatever words.
fn asks_for_the_password(reader: &Reader) -> Result<Widget> {
    reader.wait_for("the question for the password", wait::STEP, |w| w.focused && w.role.contains("password"))
}

#[test]
fn the_language_changes_at_once_and_what_is_typed_stays() -> Result<()> {
    let (scene, reader) = seat(&["de", "he"], "C.UTF-8")?;
    let screen = scene.x.screen();
    reader.wait_for_question("User name", wait::STEP)?;
    screen.type_text(&scene.user.name)?;
    let go = |name: &'static str| move |widget: &Widget| widget.role == "push button" && widget.name == name;
    let left = reader.wait_for("the way on", wait::STEP, go("Log in"))?;
    // Each by its own name, in the order of these names; the one in use has the keyboard.
    for (steps, name, question) in [(&["Up"][..], "Deutsch", "Benutzername"), (&["Down", "Down"], "עברית", "שם משתמש")]
    {
        screen.key("F10")?;
        screen.key("Right")?;
        reader.wait_for("the menu of languages", wait::STEP, |w| w.focused && w.role == "push button")?;
        screen.key("Return")?;
        reader.wait_for("the list of languages", wait::STEP, |w| w.role == "list item" && w.focused)?;
        for key in steps {
            screen.key(key)?;
        }
        reader.wait_for("this language", wait::STEP, |w| w.focused && w.name == name)?;
        screen.key("Return")?;
        let asked = reader.wait_for_question(question, wait::STEP)?;
        ensure!(asked.text == scene.user.name, "{asked:?}");
    }
    let right = reader.wait_for("the way on", wait::STEP, go("כניסה"))?;
    ensure!(right.x < left.x, "nothing is mirrored: {left:?} {right:?}");
    screen.key("Return")?;
    asks_for_the_password(&reader)?;
    scene.finish()
}

#[test]
fn a_german_greeter() -> Result<()> {
    let (scene, reader) = seat(&["de"], "de_AT.UTF-8")?;
    let screen = scene.x.screen();
    reader.wait_for_question("Benutzername", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    asks_for_the_password(&reader)?;
    let title = format!("Als {} bei 127.0.0.1", scene.user.name);
    reader.wait_for_text(&title, wait::STEP)?;
    screen.type_text("mistyped\n")?;
    reader.wait_for_text("Bitte prüfen Sie Benutzername und Passwort", wait::STEP)?;
    ensure!(
        !reader.widgets().iter().any(|widget| widget.name.contains(FailureKind::Denied.message())),
        "in English, too"
    );
    scene.finish()
}

#[test]
fn a_language_that_is_forced_is_spoken_and_no_other_one_is_offered() -> Result<()> {
    for (variable, offered) in [("LDM_LANGUAGE", true), ("LDM_FORCE_LANGUAGE", false)] {
        // English is there in any case.
        let (scene, reader) = seat_where(&["de"], variable, "de_DE.UTF-8")?;
        reader.wait_for_question("Benutzername", wait::STEP)?;
        // The menus are there as soon as the daemon has told what may be chosen.
        reader.wait_for("the menu of sessions", wait::STEP, |w| w.role == "push button" && w.name == "Sitzung")?;
        let menus = reader.widgets().into_iter().filter(|w| w.role == "push button" && w.name.starts_with("Sprache"));
        let menus: Vec<String> = menus.map(|widget| widget.name).collect();
        let want: &[&str] = if offered { &["Sprache: Deutsch"] } else { &[] };
        ensure!(menus == want, "{variable}: {menus:?}");
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn a_hebrew_greeter_goes_from_right_to_left() -> Result<()> {
    let (scene, reader) = seat(&["he"], "he_IL.UTF-8")?;
    let screen = scene.x.screen();
    reader.wait_for_question("שם משתמש", wait::STEP)?;
    screen.type_text(&format!("{}\n", scene.user.name))?;
    asks_for_the_password(&reader)?;
    let button = |name: &'static str| move |widget: &Widget| widget.role == "push button" && widget.name == name;
    let back = reader.wait_for("the way back", wait::STEP, button("חזרה"))?;
    let go = reader.wait_for("the way on", wait::STEP, button("כניסה"))?;
    ensure!(go.x < back.x, "the way on is right of the way back: {go:?} {back:?}");
    scene.finish()
}
