//! Where what scrolls ends: between two lines or two rows, and never in the middle of one.
//!
//! A text that is cut through a line looks like a defect, and one that ends with the upper half of a fingerprint cannot be
//! compared with anything.

use gtk4::prelude::*;
use gtk4::{glib, graphene, pango};

/// From where to where something reaches that is not to be cut, in pixels from the beginning of what scrolls.
pub(crate) type Span = (f64, f64);

/// How high the visible part is at most, so that it ends (`from_end`: begins) between two of these; `None`: all is well, or not one
/// of them fits.
fn whole(spans: impl IntoIterator<Item = Span>, page: f64, upper: f64, from_end: bool) -> Option<f64> {
    if upper <= page + 1.0 {
        return None;
    }
    let fits = spans
        .into_iter()
        .map(|(start, end)| if from_end { upper - start } else { end })
        .filter(|height| *height <= page + 0.5);
    fits.reduce(f64::max).filter(|height| *height > 1.0 && *height < page - 0.5)
}

/// Makes the visible part of `area` only as high as whole lines or rows are, unless there is `more_room` to be had: that says
/// whether there is now. The area gets its own room back from [`free`].
pub(crate) fn fit(
    area: &gtk4::ScrolledWindow,
    spans: impl IntoIterator<Item = Span>,
    from_end: bool,
    more_room: &dyn Fn() -> bool,
) {
    let adjustment = area.vadjustment();
    if adjustment.upper() > adjustment.page_size() + 1.0 && more_room() {
        return free(area);
    }
    if let Some(height) = whole(spans, adjustment.page_size(), adjustment.upper(), from_end) {
        area.set_max_content_height(pixels(height));
    }
}

/// Lets it be as high as there is room: what is in it has changed, or what is around it.
pub(crate) fn free(area: &gtk4::ScrolledWindow) {
    area.set_max_content_height(-1);
}

/// The lines of these labels in what `area` scrolls.
pub(crate) fn lines(area: &gtk4::ScrolledWindow, labels: &[gtk4::Label]) -> Vec<Span> {
    let mut spans = Vec::new();
    let Some(port) = area.child() else { return spans };
    let scrolled = area.vadjustment().value();
    for label in labels.iter().filter(|label| label.is_mapped()) {
        let Some(top) = label.compute_point(&port, &graphene::Point::zero()) else { continue };
        let top = f64::from(top.y()) + f64::from(label.layout_offsets().1) + scrolled;
        let mut lines = label.layout().iter();
        loop {
            let (start, end) = lines.line_yrange();
            let place = |y: i32| top + f64::from(y) / f64::from(pango::SCALE);
            spans.push((place(start), place(end)));
            if !lines.next_line() {
                break;
            }
        }
    }
    spans
}

/// The rows of a list in what `area` scrolls.
pub(crate) fn rows(area: &gtk4::ScrolledWindow, list: &impl IsA<gtk4::Widget>) -> Vec<Span> {
    let Some(port) = area.child() else { return Vec::new() };
    let scrolled = area.vadjustment().value();
    let children = list.observe_children();
    let children = children.iter::<glib::Object>().flatten().filter_map(|child| child.downcast::<gtk4::Widget>().ok());
    let places = children.filter(WidgetExt::is_mapped).filter_map(|row| row.compute_bounds(&port));
    let span = |place: graphene::Rect| {
        let top = f64::from(place.y()) + scrolled;
        (top, top + f64::from(place.height()))
    };
    places.map(span).collect()
}

#[allow(clippy::cast_possible_truncation)] // Screens are small.
fn pixels(height: f64) -> i32 {
    height.ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_whole() {
        let lines = || [(4.0, 20.0), (20.0, 36.0), (36.0, 52.0), (58.0, 74.0)].into_iter();
        for (page, from_end, want, what) in [
            (78.0, false, None, "there is room for all of it"),
            (60.0, false, Some(52.0), "a line that has only begun"),
            (52.0, false, None, "three lines"),
            (40.0, false, Some(36.0), "the third would be cut"),
            (10.0, false, None, "not one fits"),
            (50.0, true, Some(42.0), "the last two"),
            (65.0, true, Some(58.0), "and another"),
        ] {
            assert_eq!(whole(lines(), page, 78.0, from_end), want, "{what}");
        }
    }
}
