//! The clock in the bar: date and time as the user's language writes them, or as the administrator wants them.
//!
//! The names of days and months come from our catalogues, so that no locale need be installed for them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::i18n::gettext;
use gtk4::glib::{self, clone};
use gtk4::prelude::WidgetExt;

use crate::window::set;

thread_local! {
    static STOPPED: Cell<bool> = const { Cell::new(false) };
}

/// For pictures: it is the same time for ever, and a day whose name is long.
pub(crate) fn stop() {
    STOPPED.set(true);
}

/// What time it is here.
pub(crate) fn now() -> Option<glib::DateTime> {
    if STOPPED.get() { glib::DateTime::from_utc(2026, 9, 30, 20, 28, 0.0) } else { glib::DateTime::now_local() }.ok()
}

/// The clock.
pub(crate) struct Clock {
    label: gtk4::Label,
    /// `LDM_CLOCK_FORMAT`.
    format: RefCell<Option<String>>,
    /// There is room for the time of day alone.
    short: Cell<bool>,
    /// Counts how often the clock was set going: only the last one goes on.
    runs: Cell<u32>,
}

impl Clock {
    /// Shows the time in `label` from now on.
    pub(crate) fn new(label: gtk4::Label) -> Rc<Self> {
        let this = Rc::new(Self { label, format: RefCell::new(None), short: Cell::new(false), runs: Cell::new(0) });
        this.run();
        this
    }

    /// Uses another format from now on; `None`: the language's own.
    pub(crate) fn set_format(self: &Rc<Self>, format: Option<&str>) {
        if self.format.borrow().as_deref() != format {
            self.format.replace(format.map(str::to_owned));
            self.run();
        }
    }

    /// Shows the time of day alone, or all of it.
    pub(crate) fn set_short(self: &Rc<Self>, short: bool) {
        if self.short.replace(short) != short {
            self.run();
        }
    }

    /// Shows the time now, in the language in use, and whenever it changes.
    pub(crate) fn run(self: &Rc<Self>) {
        self.runs.set(self.runs.get().wrapping_add(1));
        self.go_on(self.runs.get());
    }

    /// Looks again whether all of it fits, as soon as it is known how much room there is.
    pub(crate) fn fit_soon(self: &Rc<Self>) {
        glib::idle_add_local_once(clone!(
            #[weak(rename_to = this)]
            self,
            move || {
                if let Some(now) = now() {
                    this.show(&now);
                }
            }
        ));
    }

    /// Shows this time; in the format that it says. Where there is no room for the date, the time of day is what matters.
    fn show(&self, now: &glib::DateTime) -> String {
        let own = self.format.borrow().clone();
        // Translators: date and time as in g_date_time_format(); put the parts in the order of your language.
        let mut format = own.clone().unwrap_or_else(|| gettext("%A, %-e %B %Y, %H:%M"));
        let mut text = written(now, &format);
        let room = self.label.width();
        let wide = |text: &String| self.label.create_pango_layout(Some(text)).pixel_size().0;
        let narrow = room > 0 && text.as_ref().is_some_and(|text| wide(text) > room);
        if own.is_none() && (self.short.get() || narrow) {
            "%H:%M".clone_into(&mut format);
            text = written(now, &format);
        }
        if let Some(text) = text {
            set(&self.label, &text);
        }
        format
    }

    fn go_on(self: &Rc<Self>, run: u32) {
        let Some(now) = now() else { return };
        let format = self.show(&now);
        if STOPPED.get() {
            return;
        }
        let left = if shows_seconds(&format) { 1 } else { 60 - now.second().clamp(0, 59) };
        glib::timeout_add_local_once(
            Duration::from_secs(u64::try_from(left).unwrap_or(1)),
            clone!(
                #[weak(rename_to = this)]
                self,
                move || {
                    if this.runs.get() == run {
                        this.go_on(run);
                    }
                }
            ),
        );
    }
}

/// The time in a format of g_date_time_format(), which is much like strftime(3).
pub(crate) fn written(time: &glib::DateTime, format: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(place) = rest.find('%') {
        let (before, spec) = rest.split_at(place);
        out.push_str(before);
        rest = match spec.get(1..2) {
            Some("%") => {
                out.push_str("%%");
                spec.get(2..)
            }
            Some("A") => {
                out.push_str(&day(time.day_of_week()).replace('%', "%%"));
                spec.get(2..)
            }
            Some("B") => {
                out.push_str(&month(time.month()).replace('%', "%%"));
                spec.get(2..)
            }
            _ => {
                out.push('%');
                spec.get(1..)
            }
        }?;
    }
    out.push_str(rest);
    time.format(&out).ok().map(|text| one_line(&text))
}

/// `%n` and `%t` are a blank: a second line would take its room from the dialog.
fn one_line(text: &str) -> String {
    let parts = text.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn shows_seconds(format: &str) -> bool {
    ["%S", "%T", "%s", "%r", "%c", "%X", "%-S", "%_S", "%0S"].iter().any(|spec| format.contains(spec))
}

fn day(number: i32) -> String {
    match number {
        // Translators: days and months as they stand in a date, in the form and case that they have there.
        1 => gettext("Monday"),
        2 => gettext("Tuesday"),
        3 => gettext("Wednesday"),
        4 => gettext("Thursday"),
        5 => gettext("Friday"),
        6 => gettext("Saturday"),
        _ => gettext("Sunday"),
    }
}

fn month(number: i32) -> String {
    match number {
        1 => gettext("January"),
        2 => gettext("February"),
        3 => gettext("March"),
        4 => gettext("April"),
        5 => gettext("May"),
        6 => gettext("June"),
        7 => gettext("July"),
        8 => gettext("August"),
        9 => gettext("September"),
        10 => gettext("October"),
        11 => gettext("November"),
        _ => gettext("December"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_be_configured_is_written() {
        let time = glib::DateTime::from_utc(2026, 11, 20, 16, 5, 9.0).unwrap();
        for conversion in ldm_protocol::client::CLOCK_CONVERSIONS.chars() {
            for flag in ["", "_", "-", "0", "O"] {
                let format = format!("%{flag}{conversion}");
                assert!(written(&time, &format).is_some(), "{format}");
            }
        }
    }

    #[test]
    fn a_date_needs_no_locale() {
        let time = glib::DateTime::from_utc(2026, 11, 20, 16, 5, 9.0).unwrap();
        for (format, want) in [
            ("%A, %-e %B %Y, %H:%M", Some("Friday, 20 November 2026, 16:05")),
            ("%d.%m.%y %T", Some("20.11.26 16:05:09")),
            ("100%% %H", Some("100% 16")),
            ("%%A %%B", Some("%A %B")),
            ("über %A", Some("über Friday")),
            ("", Some("")),
            ("%n%n%H:%M%n%t%A\n%d\u{2028}", Some("16:05 Friday 20")),
            ("%ä", None),
        ] {
            assert_eq!(written(&time, format).as_deref(), want, "{format}");
        }
    }
}
