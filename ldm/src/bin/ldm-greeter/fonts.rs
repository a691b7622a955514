//! What the fonts of this client can draw. A thin client's image often has letters for Europe alone, and a language that calls
//! itself by a row of boxes is no choice.

use std::cell::Cell;

use gtk4::prelude::*;

use crate::{i18n, languages};

/// Whether this text would be drawn in this widget without a box for what no font has.
pub(crate) fn draw(widget: &impl IsA<gtk4::Widget>, text: &str) -> bool {
    widget.create_pango_layout(Some(text)).unknown_glyphs_count() == 0
}

/// Keeps of these languages, codes with names, what can be drawn, and what is spoken already. The log is told once of the others.
pub(crate) fn keep_drawn(widget: &impl IsA<gtk4::Widget>, named: &mut Vec<(String, String)>) {
    thread_local! {
        static TOLD: Cell<bool> = const { Cell::new(false) };
    }
    let spoken = i18n::current();
    let left = named.extract_if(.., |(name, code)| *code != spoken && !draw(widget, name));
    let left: Vec<String> = left.map(|(_, code)| code).collect();
    if !left.is_empty() && !TOLD.replace(true) {
        crate::say(&format!(
            "not offered, because no font here draws their names: {} (packages of fonts for their scripts help, such as Noto's)",
            left.join(", ")
        ));
    }
}

/// Tells the log if the configured language is one of boxes. It is spoken all the same.
pub(crate) fn check_spoken(widget: &impl IsA<gtk4::Widget>) {
    let spoken = i18n::current();
    let name = languages::name::<&str>(&spoken, &[]);
    if spoken != i18n::ENGLISH && !draw(widget, &name) {
        crate::say(&format!(
            "no font here draws the language in use, “{spoken}” (a package of fonts for its script helps, such as Noto's)"
        ));
    }
}
