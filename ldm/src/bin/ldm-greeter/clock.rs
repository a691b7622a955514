//! The clock in the bar: date and time as the user's language writes them, right to the minute.

use std::time::Duration;

use gettextrs::gettext;
use gtk4::{glib, prelude::*};

/// Shows the time in `label` now and whenever the minute changes.
pub(crate) fn run(label: &gtk4::Label) {
    let Ok(now) = glib::DateTime::now_local() else { return };
    // Translators: date and time as in g_date_time_format(); put the parts in the order of your language.
    let format = gettext("%A, %-e %B %Y, %H:%M");
    if let Ok(text) = now.format(&format) {
        label.set_text(&text);
    }
    let left = u64::try_from(60 - now.second().clamp(0, 59)).unwrap_or(1);
    let label = label.downgrade();
    glib::timeout_add_local_once(Duration::from_secs(left), move || {
        if let Some(label) = label.upgrade() {
            run(&label);
        }
    });
}
