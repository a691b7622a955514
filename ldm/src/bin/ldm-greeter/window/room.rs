//! What gives way where there is little room: everything that is to be read or pressed has to be on the monitor.

use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use gtk4::{Orientation, gdk};

use super::{Window, set};

impl Window {
    /// Keeps what the stage holds on the monitor. An overlay asks how high it must be at the least width it could have, where
    /// every text has more lines than it gets.
    pub(super) fn keep_in_place(self: &Rc<Self>) {
        let Some(overlay) = self.stage.parent().and_downcast::<gtk4::Overlay>() else { return };
        overlay.connect_get_child_position(clone!(
            #[weak(rename_to = this)]
            self,
            #[upgrade_or]
            None,
            move |overlay, stage| {
                let (width, height) = needed(stage, overlay.width());
                if height > overlay.height() {
                    this.give_room_soon(overlay);
                }
                Some(gdk::Rectangle::new(0, 0, width, height.max(overlay.height())))
            }
        ));
    }

    /// Not now: everything is being given its place. And before it is seen what does not fit.
    fn give_room_soon(self: &Rc<Self>, overlay: &gtk4::Overlay) {
        let give = clone!(
            #[weak(rename_to = this)]
            self,
            #[weak]
            overlay,
            #[upgrade_or]
            glib::ControlFlow::Break,
            move || {
                let high = || needed(&this.stage, overlay.width()).1 > overlay.height();
                if high() && !this.give_room() {
                    this.hint.set_visible(false);
                }
                glib::ControlFlow::Break
            }
        );
        glib::idle_add_local_full(glib::Priority::HIGH, give);
    }

    /// What gave way comes back: another page may have room for it.
    pub(super) fn take_room(&self) {
        self.show_logo();
        self.cramped.set(false);
        self.hint.set_visible(!self.tiny.get());
    }

    /// The logo, where the words leave it any room.
    pub(super) fn show_logo(&self) {
        self.logo.set_visible(self.logo_fits.get() && !self.bar.is_high());
    }

    /// Until the next question there is no logo, and then no empty line: what has to be read goes first. `false`: neither was
    /// there.
    pub(super) fn give_room(&self) -> bool {
        if self.logo.is_visible() {
            self.logo.set_visible(false);
            return true;
        }
        let empty = self.status.is_visible() && self.status.text().is_empty();
        if empty {
            self.cramped.set(true);
            self.show_status();
        }
        empty
    }

    /// The line that tells what is waited for.
    pub(super) fn show_status(&self) {
        let status = self.waiting.borrow().clone().unwrap_or_default();
        // An empty line keeps the dialog from jumping, where there is room for one.
        let line = !(self.tiny.get() || self.cramped.get()) || !status.is_empty();
        self.status.set_visible(line);
        self.field.show_locks(line);
        set(&self.status, &status);
    }
}

/// Width and height that the stage has at least, where there is this width.
fn needed(stage: &impl IsA<gtk4::Widget>, width: i32) -> (i32, i32) {
    let width = width.max(stage.measure(Orientation::Horizontal, -1).0);
    (width, stage.measure(Orientation::Vertical, width).0)
}
