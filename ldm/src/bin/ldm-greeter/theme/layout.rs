//! Where the parts of the greeter stand, by the names a manifest may use.

use gtk4::prelude::*;

/// Where the dialog stands on its monitor. Left and right are those of the picture, in every language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In the middle.
    #[default]
    Center,
    /// In the middle of the left edge.
    Left,
    /// In the middle of the right edge.
    Right,
    /// In the middle of the upper edge.
    Top,
    /// In the middle of the lower edge.
    Bottom,
}

impl Layout {
    /// Every layout with its name in a manifest, which is also the style class `layout-NAME` of `#stage`.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("center", Self::Center),
        ("left", Self::Left),
        ("right", Self::Right),
        ("top", Self::Top),
        ("bottom", Self::Bottom),
    ];

    /// Across and down, for texts of this direction.
    fn aligned(self, direction: gtk4::TextDirection) -> (gtk4::Align, gtk4::Align) {
        use gtk4::Align::{Center, End, Start};
        let mirrored = direction == gtk4::TextDirection::Rtl;
        match self {
            Self::Center => (Center, Center),
            Self::Left => (if mirrored { End } else { Start }, Center),
            Self::Right => (if mirrored { Start } else { End }, Center),
            Self::Top => (Center, Start),
            Self::Bottom => (Center, End),
        }
    }
}

/// Where host name and clock stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Bar {
    /// Above everything.
    #[default]
    Top,
    /// Below everything.
    Bottom,
}

impl Bar {
    /// Every place with its name in a manifest, which is also the style class `bar-NAME` of `#stage`.
    pub(crate) const ALL: [(&'static str, Self); 2] = [("top", Self::Top), ("bottom", Self::Bottom)];
}

/// Puts the parts of `stage` (the widgets named `dialog` and `bar`) where they belong, also when the language changes.
pub(crate) fn arrange(stage: &gtk4::Box, layout: Layout, bar: Bar) {
    for (name, one) in Layout::ALL {
        class(stage, &format!("layout-{name}"), one == layout);
    }
    for (name, one) in Bar::ALL {
        class(stage, &format!("bar-{name}"), one == bar);
    }
    let parts: Vec<_> = std::iter::successors(stage.first_child(), WidgetExt::next_sibling).collect();
    let part = |name: &str| parts.iter().find(|part| part.widget_name() == name);
    if let Some(strip) = part("bar") {
        let last = parts.iter().rfind(|other| *other != strip).filter(|_| bar == Bar::Bottom);
        stage.reorder_child_after(strip, last);
    }
    if let Some(dialog) = part("dialog") {
        let align = move |dialog: &gtk4::Widget| {
            let (across, down) = layout.aligned(dialog.direction());
            dialog.set_halign(across);
            dialog.set_valign(down);
        };
        align(dialog);
        dialog.connect_direction_changed(move |dialog, _| align(dialog));
    }
}

fn class(stage: &gtk4::Box, name: &str, wanted: bool) {
    if wanted { stage.add_css_class(name) } else { stage.remove_css_class(name) }
}

#[cfg(test)]
mod tests {
    use gtk4::Align::{Center, End, Start};
    use gtk4::TextDirection::{Ltr, Rtl};

    use super::*;

    #[test]
    fn left_is_left_of_the_picture_in_every_language() {
        assert_eq!(Layout::Left.aligned(Ltr), (Start, Center));
        assert_eq!(Layout::Left.aligned(Rtl), (End, Center));
        assert_eq!(Layout::Right.aligned(Rtl), (Start, Center));
        assert_eq!(Layout::Bottom.aligned(Rtl), (Center, End));
    }
}
