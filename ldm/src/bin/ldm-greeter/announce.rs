//! `--notice`: a small window over a session that runs, which says what that session has to do without.
//!
//! The session's window manager places it. It ends when the user has read it, or with the session.

use std::cell::RefCell;

use crate::i18n::gettext;
use gtk4::{gdk, glib, prelude::*};
use ldm_protocol::Failure;

use crate::{i18n, setup, theme};

/// Characters in a line.
const LINE: i32 = 48;

/// Shows what [`setup::notice`] has, until it is closed.
pub(crate) fn run(theme: Option<&str>) -> anyhow::Result<()> {
    let failure: Failure = serde_json::from_str::<Failure>(&setup::notice())
        .map_err(|error| anyhow::anyhow!("no notice in the environment: {error}"))?
        .sanitised();
    setup::start()?;
    i18n::init();
    let display = gdk::Display::default().ok_or_else(|| anyhow::anyhow!("no display: is DISPLAY set?"))?;
    theme::apply(theme, &display);

    let label = gtk4::Label::builder()
        .label(failure.text(gettext))
        .name("announcement-text")
        .wrap(true)
        .wrap_mode(gtk4::pango::WrapMode::WordChar)
        .width_chars(LINE)
        .max_width_chars(LINE)
        .xalign(0.0)
        .accessible_role(gtk4::AccessibleRole::Alert)
        .build();
    let close = gtk4::Button::builder().label(gettext("Close")).halign(gtk4::Align::End).build();
    let column = gtk4::Box::builder().orientation(gtk4::Orientation::Vertical).name("announcement").build();
    column.append(&label);
    column.append(&close);
    let window = gtk4::Window::builder()
        // Translators: title of a window that tells what the computer the user sits at cannot do now.
        .title(gettext("This computer"))
        .child(&column)
        .default_widget(&close)
        .resizable(false)
        .build();

    let main = glib::MainLoop::new(None, false);
    let keys = gtk4::EventControllerKey::new();
    let end = RefCell::new(Some(main.clone()));
    let quit = move || {
        if let Some(main) = end.take() {
            main.quit();
        }
    };
    let quit = std::rc::Rc::new(quit);
    let escape = std::rc::Rc::clone(&quit);
    keys.connect_key_pressed(move |_, key, _, _| {
        if key == gdk::Key::Escape {
            escape();
        }
        glib::Propagation::Proceed
    });
    window.add_controller(keys);
    let clicked = std::rc::Rc::clone(&quit);
    close.connect_clicked(move |_| clicked());
    window.connect_close_request(move |_| {
        quit();
        glib::Propagation::Proceed
    });
    window.present();
    close.grab_focus();
    main.run();
    Ok(())
}
