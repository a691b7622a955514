//! A button in the bar at the bottom, and the list that it opens.
//!
//! A list is a column of buttons in a popover: arrow keys and Tab go through it, a letter to the next one that begins with it,
//! Escape closes it and gives the keyboard back to what had it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

use crate::chooser::keep_in_view;
use crate::icons::Icon;
use crate::window::{Missing, describe, get, set};

/// How far a list stays away from the edges of the monitor.
const GAP: i32 = 4;

const ITEM: &str = include_str!("item.ui");

/// One of the buttons in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Item {
    /// What it is called.
    pub(crate) name: String,
    /// What else there is to say of it; empty: nothing.
    pub(crate) detail: String,
    /// One of several of which one is in use: whether it is this one.
    pub(crate) checked: Option<bool>,
}

/// A button with what it opens.
pub(crate) struct Menu {
    button: gtk4::Button,
    label: gtk4::Label,
    /// The button's name for assistive programs.
    spoken: gtk4::Label,
    popover: gtk4::Popover,
    area: gtk4::ScrolledWindow,
    list: gtk4::Box,
    items: RefCell<Vec<Item>>,
    heading: RefCell<String>,
    relabelled: Cell<bool>,
    /// The list shows other items still: it is made when somebody looks at it.
    stale: Cell<bool>,
    /// Somebody has looked at it.
    asked_for: Cell<bool>,
    chosen: RefCell<Rc<dyn Fn(usize)>>,
    /// Whether there is anything to open.
    useful: Cell<bool>,
    /// How high the list may be.
    room: Cell<i32>,
}

impl Menu {
    /// Takes over the button `{name}-menu` and the popover `{name}-list`; `opened` is called before it opens, `closed` afterwards.
    pub(crate) fn new(
        ui: &gtk4::Builder,
        name: &str,
        icon: Icon,
        opened: impl Fn() + 'static,
        closed: impl Fn() + 'static,
    ) -> Result<Rc<Self>, Missing> {
        let button = format!("{name}-menu");
        let this = Rc::new(Self {
            button: get(ui, &button)?,
            label: get(ui, &format!("{button}-label"))?,
            spoken: get(ui, &format!("{button}-spoken"))?,
            popover: get(ui, &format!("{name}-list"))?,
            area: gtk4::ScrolledWindow::builder()
                .hscrollbar_policy(gtk4::PolicyType::Never)
                .overlay_scrolling(false)
                .propagate_natural_height(true)
                .propagate_natural_width(true)
                .focusable(false)
                .build(),
            list: gtk4::Box::builder().orientation(gtk4::Orientation::Vertical).css_classes(["list"]).build(),
            items: RefCell::new(Vec::new()),
            heading: RefCell::default(),
            relabelled: Cell::new(false),
            stale: Cell::new(false),
            asked_for: Cell::new(false),
            chosen: RefCell::new(Rc::new(|_| {})),
            useful: Cell::new(false),
            room: Cell::new(80),
        });
        dress(ui, &button, icon)?;
        this.area.set_child(Some(&this.list));
        this.popover.set_child(Some(&this.area));
        this.popover.set_parent(&this.button);
        let list = this.list.downgrade();
        keep_in_view(&this.area, move || list.upgrade()?.focus_child());
        this.button.connect_clicked(clone!(
            #[weak]
            this,
            move |_| {
                this.asked_for.set(true);
                opened();
                this.open();
            }
        ));
        this.popover.connect_closed(clone!(
            #[weak]
            this,
            move |_| {
                this.button.remove_css_class("open");
                closed();
            }
        ));
        Ok(this)
    }

    /// For content of one's own: switches, say. [`Menu::fill`] would replace it.
    pub(crate) fn list(&self) -> &gtk4::Box {
        &self.list
    }

    /// What opens, to listen to its keys.
    pub(crate) fn popover(&self) -> &gtk4::Popover {
        &self.popover
    }

    /// The button, to be measured or given the keyboard.
    pub(crate) fn button(&self) -> &gtk4::Button {
        &self.button
    }

    /// What the button is for, and what is in use (empty: nothing to say), which stands on the button instead.
    pub(crate) fn set_label(&self, purpose: &str, in_use: &str) {
        if set(&self.label, if in_use.is_empty() { purpose } else { in_use }) {
            self.relabelled.set(true);
        }
        self.button.set_tooltip_text(Some(purpose));
        let name = if in_use.is_empty() { purpose.to_owned() } else { format!("{purpose}: {in_use}") };
        set(&self.spoken, &name);
    }

    /// Whether the button has had another text since this was asked last.
    pub(crate) fn was_relabelled(&self) -> bool {
        self.relabelled.take()
    }

    /// What stands above the entries; empty: nothing.
    pub(crate) fn set_heading(&self, text: &str) {
        if self.heading.replace(text.to_owned()) != text {
            self.stale.set(true);
        }
    }

    /// Shows the button or not. What is hidden cannot be open.
    pub(crate) fn set_useful(&self, useful: bool) {
        self.useful.set(useful);
        self.button.set_visible(useful);
        if !useful {
            self.close();
        }
    }

    /// Whether the button's text is shown beside its picture.
    pub(crate) fn set_wide(&self, wide: bool) {
        self.label.set_visible(wide);
    }

    /// The list is no higher than this, and no wider than the bar.
    pub(crate) fn set_room(&self, height: i32) {
        self.room.set(height.max(80));
    }

    /// A list that is too high gets room for its bar, and ends with a whole entry. GTK gives room only to a bar that is there in
    /// any case, and else takes it from the list; and it takes the height for that at which nothing has to be broken.
    fn fit(&self) {
        let around = self.width() - self.area.measure(gtk4::Orientation::Horizontal, -1).1;
        let bar = self.area.vscrollbar().measure(gtk4::Orientation::Horizontal, -1).1;
        let (_, wanted, _, _) = self.list.measure(gtk4::Orientation::Horizontal, -1);
        let most = self.button.parent().map_or(wanted, |row| row.width() - 2 * GAP - around - bar);
        let width = wanted.min(most.max(bar));
        let (_, height, _, _) = self.list.measure(gtk4::Orientation::Vertical, width);
        let room = self.room.get();
        let scrolled = height > room;
        let shown = if scrolled { self.whole_entries(width, height).unwrap_or(room) } else { height };
        self.area.set_vscrollbar_policy(if scrolled { gtk4::PolicyType::Always } else { gtk4::PolicyType::Automatic });
        self.area.set_min_content_height(-1);
        self.area.set_max_content_height(shown);
        self.area.set_min_content_height(shown);
        // With `Never`, a list is as wide as it wants to be.
        let narrow = width < wanted;
        self.area.set_hscrollbar_policy(if narrow { gtk4::PolicyType::External } else { gtk4::PolicyType::Never });
        self.area.set_max_content_width(if narrow { width } else { -1 });
        self.place();
    }

    /// How wide all of it is. A popover that is not shown says 0.
    fn width(&self) -> i32 {
        self.area.parent().map_or(0, |contents| contents.measure(gtk4::Orientation::Horizontal, -1).1)
    }

    /// The height of as many entries as there is room for, in a list of this width and height.
    fn whole_entries(&self, width: i32, height: i32) -> Option<i32> {
        let entries = std::iter::successors(self.list.first_child(), WidgetExt::next_sibling);
        let entries = entries.filter(WidgetExt::get_visible);
        let heights: Vec<i32> = entries.map(|entry| entry.measure(gtk4::Orientation::Vertical, width).1).collect();
        let gaps = i32::try_from(heights.len()).ok()? - 1;
        let gap = if gaps > 0 { (height - heights.iter().sum::<i32>()) / gaps } else { 0 };
        let mut end = -gap;
        let ends = heights.iter().map(|entry| {
            end += gap + entry;
            end
        });
        let whole = ends.take_while(|end| *end <= self.room.get()).last();
        // An entry may be higher than all there is.
        whole.filter(|whole| *whole > self.room.get() / 2)
    }

    /// Stands above its button, and away from the edges of the monitor.
    fn place(&self) {
        let Some(row) = self.button.parent() else { return };
        let Some(button) = self.button.compute_bounds(&row) else { return };
        #[allow(clippy::cast_possible_truncation)] // Screens are small.
        let middle = (button.x() + button.width() / 2.0) as i32;
        let width = self.width();
        let left = middle - width / 2;
        let wanted = left.min(row.width() - GAP - width).max(GAP);
        self.popover.set_offset(wanted - left, 0);
    }

    /// Whether the list was ever opened. What is costly to know is not looked at before.
    pub(crate) fn asked_for(&self) -> bool {
        self.asked_for.get()
    }

    /// Whether the list is open.
    pub(crate) fn is_open(&self) -> bool {
        self.popover.is_visible()
    }

    /// Closes the list.
    pub(crate) fn close(&self) {
        self.popover.popdown();
    }

    /// Opens the list, at what is in use or at its beginning.
    pub(crate) fn open(self: &Rc<Self>) {
        if !self.useful.get() {
            return;
        }
        self.button.add_css_class("open");
        if self.stale.take() {
            self.build();
        }
        self.fit();
        // It gives the keyboard to the first that can have it.
        self.popover.popup();
        let checked = self.items.borrow().iter().position(|item| item.checked == Some(true));
        if let Some(button) = checked.and_then(|place| self.buttons().into_iter().nth(place)) {
            button.grab_focus();
        }
    }

    /// Puts these into the list; `chosen` is told the place of the one that the user takes. What is the same stays as it is.
    pub(crate) fn fill(self: &Rc<Self>, items: Vec<Item>, chosen: impl Fn(usize) + 'static) {
        self.chosen.replace(Rc::new(chosen));
        if *self.items.borrow() == items {
            return;
        }
        self.items.replace(items);
        if !self.is_open() {
            self.stale.set(true);
            return;
        }
        let focused = self.buttons().iter().position(gtk4::prelude::WidgetExt::has_focus);
        self.build();
        self.fit();
        // It has another size now, which nobody else gives it.
        self.popover.present();
        if let Some(button) = focused.and_then(|place| self.buttons().into_iter().nth(place)) {
            button.grab_focus();
        }
    }

    fn build(self: &Rc<Self>) {
        while let Some(child) = self.list.first_child() {
            self.list.remove(&child);
        }
        let heading = self.heading.borrow();
        if !heading.is_empty() {
            let label = gtk4::Label::builder().label(heading.as_str()).xalign(0.0).css_classes(["heading"]).build();
            self.list.append(&label);
        }
        for (place, item) in self.items.borrow().iter().enumerate() {
            let Some(button) = row(item) else { continue };
            button.connect_clicked(clone!(
                #[weak(rename_to = this)]
                self,
                move |_| {
                    this.close();
                    let chosen = Rc::clone(&this.chosen.borrow());
                    chosen(place);
                }
            ));
            self.list.append(&button);
        }
    }

    /// Gives the keyboard to the next button, after the one that has it and around, whose name begins with `letter`.
    pub(crate) fn select_by(&self, letter: char) {
        let buttons = self.buttons();
        let after = buttons.iter().position(gtk4::prelude::WidgetExt::has_focus).map_or(0, |place| place + 1);
        let items = self.items.borrow();
        let begins = |item: &Item| item.name.chars().next().and_then(|c| c.to_lowercase().next()) == Some(letter);
        let all = items.iter().zip(&buttons).cycle().skip(after).take(items.len());
        if let Some((_, button)) = all.into_iter().find(|(item, _)| begins(item)) {
            button.grab_focus();
        }
    }

    fn buttons(&self) -> Vec<gtk4::Button> {
        self.list
            .observe_children()
            .iter::<glib::Object>()
            .flatten()
            .filter_map(|child| child.downcast().ok())
            .collect()
    }
}

/// Puts a picture before what the button of this name has.
pub(crate) fn dress(ui: &gtk4::Builder, button: &str, icon: Icon) -> Result<(), Missing> {
    let content: gtk4::Box = get(ui, &format!("{button}-content"))?;
    content.prepend(&icon.widget());
    Ok(())
}

/// Each from its own copy of `item.ui`: there its labels become its accessible name and description. One of several is a list item
/// that is selected or not: out of such a file GTK 4.8 takes "checked" for a value of another kind, and tells that nothing is.
fn row(item: &Item) -> Option<gtk4::Button> {
    let ui = gtk4::Builder::from_string(ITEM);
    let kind = match item.checked {
        None => "plain",
        Some(false) => "free",
        Some(true) => "checked",
    };
    let entry: gtk4::Button = ui.object(kind)?;
    let name: gtk4::Label = ui.object(format!("{kind}-name"))?;
    let comment: gtk4::Label = ui.object(format!("{kind}-comment"))?;
    describe(&entry, (&name, &item.name), (&comment, &item.detail));
    Some(entry)
}
