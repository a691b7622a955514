//! What GTK's entries can do by themselves, and may not do at a login.

use anyhow::Result;
use ldm_tests::assistive::Widget;
use ldm_tests::wait;
use ldm_tests::xserver::Screen;

use crate::access::watched;

/// Clicks in the middle of it with the button that opens menus.
fn click_for_menu(screen: &Screen, entry: &Widget) -> Result<()> {
    let [left, top, width, height] = entry.extents;
    let place = [left + width / 2, top + height / 2].map(|place| place.to_string());
    screen.xdotool(&["mousemove", &place[0], &place[1], "click", "3"])
}

/// How the first characters in it look.
fn look(screen: &Screen, entry: &Widget) -> Result<Vec<[u8; 3]>> {
    let [left, top, _, height] = entry.extents.map(|length| usize::try_from(length).unwrap_or(0));
    let rows = top + height / 4..top + height * 3 / 4;
    let places: Vec<_> = rows.flat_map(|y| (left + height / 4..left + height).map(move |x| (x, y))).collect();
    screen.pixels(&places)
}

#[test]
fn entries_have_no_menu_that_shows_a_password_or_keeps_the_keyboard() -> Result<()> {
    let (scene, assistant) = watched(|_, daemon| Ok(daemon))?;
    let screen = scene.x.screen();
    let entry = assistant.wait_for_question("User name")?;
    click_for_menu(&screen, &entry)?;
    screen.key("ctrl+period")?;
    screen.type_text(&scene.user.name)?;
    assistant.wait_for("the name", wait::STEP, |widget| widget.is("focused") && widget.text == scene.user.name)?;
    screen.key("Return")?;
    let holds = |text: &str| {
        assistant.wait_for("what was typed", wait::STEP, |widget| {
            widget.is("focused") && widget.role.contains("password") && widget.text == text
        })
    };
    let entry = holds("")?;
    screen.type_text("s3cret")?;
    holds("s3cret")?;
    let hidden = look(&screen, &entry)?;
    let looks_hidden = |entry: &Widget, want: bool| {
        wait::until(if want { "it to be hidden" } else { "it to be seen" }, wait::STEP, || {
            (look(&screen, entry).ok()? == hidden).eq(&want).then_some(())
        })
    };
    for want in [false, true] {
        screen.key("F8")?;
        looks_hidden(&entry, want)?;
    }
    click_for_menu(&screen, &entry)?;
    // In GTK's menu the last entry is "Show Text".
    for key in ["Up", "space", "x"] {
        screen.key(key)?;
    }
    holds("s3cret x")?;
    looks_hidden(&entry, true)?;
    screen.key("Return")?;
    let entry = holds("")?;
    screen.type_text("s3cret")?;
    holds("s3cret")?;
    looks_hidden(&entry, true)?;
    scene.finish()
}
