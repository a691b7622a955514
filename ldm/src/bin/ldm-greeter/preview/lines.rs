//! Whether what scrolls begins and ends between lines, as it is shown before anybody scrolls, and lists are on the screen.

use gtk4::graphene::Point;
use gtk4::{pango, prelude::*};

use super::{inspect, shot};

/// What is read, and what is chosen from. Help is longer than a screen by nature.
const AREAS: [&str; 4] = ["said", "asked", "question-area", "chooser"];

/// Half a pixel on each side is rounding, and what letters leave free of their line is not seen.
const SLACK: f32 = 2.0;

/// What is cut through a line, one complaint each.
pub(super) fn cut(window: &gtk4::Window) -> Vec<String> {
    let areas = AREAS.iter().filter_map(|name| inspect::find(window, name)?.downcast::<gtk4::ScrolledWindow>().ok());
    let areas = areas.filter(WidgetExt::is_mapped);
    areas.filter_map(|area| Some(format!("#{} is cut through “{}”", area.widget_name(), first_cut(&area)?))).collect()
}

/// Lists of menus that are not all on a screen of this width, or touch its edge.
pub(super) fn at_the_edge(window: &gtk4::Window, width: i32) -> Vec<String> {
    let lists = inspect::popovers(window.upcast_ref()).into_iter().filter(WidgetExt::is_mapped);
    let places = lists.filter_map(|list| Some((shot::place(window, &list)?, list)));
    #[allow(clippy::cast_precision_loss)] // Screens are small.
    let right = width as f32;
    let wrong = places.filter(|(place, _)| place.x() < 1.0 || place.x() + place.width() > right - 1.0);
    wrong.map(|(_, list)| format!("#{} is at the edge of the screen", list.widget_name())).collect()
}

/// The text of the first label that shows a part of a line.
fn first_cut(area: &gtk4::ScrolledWindow) -> Option<String> {
    let port = area.child()?;
    #[allow(clippy::cast_precision_loss)] // Screens are small.
    let height = port.height() as f32;
    let mut waiting = vec![port.clone()];
    while let Some(widget) = waiting.pop() {
        if let Some(label) = widget.downcast_ref::<gtk4::Label>().filter(|label| label.is_mapped()) {
            let cuts = |edge: f32, (top, bottom): (f32, f32)| top + SLACK < edge && bottom > edge + SLACK;
            if lines(label, &port).into_iter().any(|line| cuts(0.0, line) || cuts(height, line)) {
                return Some(label.text().chars().take(40).collect());
            }
        }
        waiting.extend(std::iter::successors(widget.first_child(), WidgetExt::next_sibling));
    }
    None
}

/// From where to where each line reaches.
fn lines(label: &gtk4::Label, port: &gtk4::Widget) -> Vec<(f32, f32)> {
    let mut found = Vec::new();
    let Some(origin) = label.compute_point(port, &Point::zero()) else { return found };
    #[allow(clippy::cast_precision_loss)] // Screens are small.
    let place = |y: i32| origin.y() + (label.layout_offsets().1 + y / pango::SCALE) as f32;
    let mut lines = label.layout().iter();
    loop {
        let (top, bottom) = lines.line_yrange();
        found.push((place(top), place(bottom)));
        if !lines.next_line() {
            return found;
        }
    }
}
