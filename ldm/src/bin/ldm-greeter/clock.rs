//! The clock in the bar: date and time as the user's language writes them, right to the minute.

use std::time::Duration;

use crate::i18n::gettext;
use gtk4::{glib, prelude::*};

use crate::i18n;

/// Shows the time in `label` now and whenever the minute changes.
pub(crate) fn run(label: &gtk4::Label) {
    let Ok(now) = glib::DateTime::now_local() else { return };
    let format = if i18n::translates() && names_are_english() {
        // Translators: date and time in numbers alone, for a computer that knows no names of days and months but English ones.
        gettext("%Y-%m-%d, %H:%M")
    } else {
        // Translators: date and time as in g_date_time_format(); put the parts in the order of your language.
        gettext("%A, %-e %B %Y, %H:%M")
    };
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

/// Whether names of days and months are those of the C locale: they come from the C library, not from our catalogues.
fn names_are_english() -> bool {
    let january = glib::DateTime::from_utc(2000, 1, 1, 0, 0, 0.0).and_then(|day| day.format("%B"));
    january.is_ok_and(|name| name == "January")
}
