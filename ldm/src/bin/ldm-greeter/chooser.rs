//! The list of sessions: "Default" first, then what the server offers.

use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

use crate::edge;
use crate::i18n::gettext;
use crate::model::Choice;
use crate::window::describe;

const ROW: &str = include_str!("row.ui");

/// What may be free between two rows.
const GAP: f64 = 6.0;

/// The list and what scrolls it.
pub(crate) struct Chooser {
    area: gtk4::ScrolledWindow,
    list: gtk4::ListBox,
}

impl Chooser {
    /// Takes the widgets over; `chosen` is told which place of [`Choice::entries`] the user has activated, and `more_room` is asked
    /// where the list does not fit.
    pub(crate) fn new(
        area: gtk4::ScrolledWindow,
        list: gtk4::ListBox,
        chosen: impl Fn(Option<usize>) + 'static,
        more_room: Rc<dyn Fn() -> bool>,
    ) -> Self {
        list.connect_row_activated(move |_, row| chosen(place(row)));
        let rows = list.downgrade();
        let whole = rows.clone();
        area.vadjustment().connect_changed(clone!(
            #[weak]
            area,
            move |_| {
                let (whole, more_room) = (whole.clone(), Rc::clone(&more_room));
                // Not now: the rows are being given their places.
                glib::idle_add_local_once(move || {
                    if let Some(list) = whole.upgrade() {
                        let first = area.vadjustment().value();
                        let rows = edge::rows(&area, &list).into_iter().map(|(top, end)| (top, end - first));
                        edge::fit(&area, rows, false, &*more_room);
                    }
                });
            }
        ));
        keep_in_view(&area, move || rows.upgrade()?.selected_row().and_upcast());
        Self { area, list }
    }

    /// Whether the user is choosing.
    pub(crate) fn is_open(&self) -> bool {
        self.area.is_visible()
    }

    /// Hides the list.
    pub(crate) fn close(&self) {
        self.area.set_visible(false);
    }

    /// There may be more room than there was, or less.
    pub(crate) fn free(&self) {
        edge::free(&self.area);
    }

    /// Makes the list usable, or not while the user waits.
    pub(crate) fn set_sensitive(&self, sensitive: bool) {
        self.list.set_sensitive(sensitive);
    }

    /// Gives the keyboard to the selected session.
    pub(crate) fn grab_focus(&self) {
        if let Some(row) = self.list.selected_row() {
            row.grab_focus();
        }
    }

    /// Fills the list and selects the remembered session, or, if the user has been choosing already, the same as before.
    pub(crate) fn open(&self, choice: &Choice, anew: bool) {
        let before = self.list.selected_row().map(|row| row.index()).filter(|_| !anew);
        while let Some(row) = self.list.first_child() {
            self.list.remove(&row);
        }
        // Translators: a session in the list: the server's usual one. The next text explains it.
        let default = (gettext("Default"), gettext("What the server starts by itself"));
        let offered = choice.entries.iter().map(|e| (e.name.clone(), e.comment.clone().unwrap_or_default()));
        for (name, comment) in std::iter::once(default).chain(offered) {
            if let Some(row) = row(&name, &comment) {
                self.list.append(&row);
            }
        }
        self.free();
        self.area.set_visible(true);
        let place = choice.preselected.and_then(|place| i32::try_from(place + 1).ok()).unwrap_or(0);
        if let Some(row) = self.list.row_at_index(before.unwrap_or(place)) {
            self.list.select_row(Some(&row));
        }
    }

    /// The selected place, as for `chosen`. One row is always selected.
    pub(crate) fn selected(&self) -> Option<usize> {
        self.list.selected_row().and_then(|row| place(&row))
    }

    /// Selects the next row, after the selected one and around, whose name starts with `letter`.
    pub(crate) fn select_by(&self, letter: char) {
        let rows: Vec<_> = (0..).map_while(|index| self.list.row_at_index(index)).collect();
        let after =
            self.list.selected_row().and_then(|row| usize::try_from(row.index()).ok()).map_or(0, |index| index + 1);
        if let Some(row) = rows.iter().cycle().skip(after).take(rows.len()).find(|row| initial(row) == Some(letter)) {
            self.select(row);
        }
    }

    fn select(&self, row: &gtk4::ListBoxRow) {
        self.list.select_row(Some(row));
        row.grab_focus();
    }
}

/// Scrolls to the row that is `chosen` as soon as the list has got its size, and the rows their places.
pub(crate) fn keep_in_view(area: &gtk4::ScrolledWindow, chosen: impl Fn() -> Option<gtk4::Widget> + 'static) {
    let chosen = Rc::new(chosen);
    area.vadjustment().connect_changed(move |adjustment| {
        let (adjustment, chosen) = (adjustment.clone(), Rc::clone(&chosen));
        glib::idle_add_local_once(move || {
            let row = chosen();
            let list = row.as_ref().and_then(WidgetExt::parent);
            let place = |row: &gtk4::Widget| row.compute_bounds(&row.parent()?.parent()?);
            let Some((bounds, list)) = row.as_ref().and_then(place).zip(list) else { return };
            let before = adjustment.value();
            let top = f64::from(bounds.y()) + before;
            let least = top + f64::from(bounds.height()) - adjustment.page_size();
            let mut value = before.max(least).min(top);
            if value > before {
                // Rows of different heights: the first that is seen is seen from its beginning.
                let rows = std::iter::successors(list.first_child(), WidgetExt::next_sibling);
                let tops = rows.filter_map(|row| Some(f64::from(place(&row)?.y()) + before));
                let whole = tops.filter(|start| *start >= value - GAP && *start <= top).reduce(f64::min);
                value = whole.map_or(value, |start| start.max(value));
            }
            // Unlike clamp_page(), this also ends the animation to where the row was without a size.
            adjustment.set_value(value);
        });
    });
}

fn place(row: &gtk4::ListBoxRow) -> Option<usize> {
    usize::try_from(row.index()).ok().and_then(|index| index.checked_sub(1))
}

fn initial(row: &gtk4::ListBoxRow) -> Option<char> {
    let label = row.child()?.first_child()?.downcast::<gtk4::Label>().ok()?;
    label.text().chars().next().and_then(|c| c.to_lowercase().next())
}

/// Each row from its own copy of `row.ui`: there a label becomes its accessible name.
fn row(name: &str, comment: &str) -> Option<gtk4::ListBoxRow> {
    let ui = gtk4::Builder::from_string(ROW);
    let row: gtk4::ListBoxRow = ui.object("row")?;
    let (title, about): (gtk4::Label, gtk4::Label) = (ui.object("name")?, ui.object("comment")?);
    describe(&row, (&title, name), (&about, comment));
    Some(row)
}
