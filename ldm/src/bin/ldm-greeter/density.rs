//! How large everything is drawn: monitors differ in how many pixels they put into a centimetre.
//!
//! GTK on X11 has whole factors, one for all monitors, and takes it from its environment alone. So it is decided before GTK
//! starts, from what the X server says of the monitors, which is what they say of themselves and often wrong.

use x11rb::connection::Connection;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Dots per inch at which everything has the size it was designed for.
const NORMAL: f64 = 96.0;

/// A monitor from this dot density on is drawn at twice the size; the next step is as far above 2 as this is below.
const STEP: f64 = 0.25;

/// What is wider, in millimetres, is looked at from afar: its density says nothing.
const WALL: u32 = 1000;

/// What is narrower is nothing to log in at: its size is wrong.
const TOY: u32 = 120;

/// Aspect ratios may differ so much between pixels and millimetres: pixels are square, sizes are rounded.
const ASPECT: f64 = 0.15;

/// Where a monitor's size is not known, so many lines are one screen full.
const LINES: u32 = 1080;

/// So many lines and columns remain on every monitor, whatever its density.
const ROOM: (u32, u32) = (800, 600);

/// Larger is nobody's wish.
const MOST: u32 = 4;

/// A monitor as the X server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Millimetres; 0: not known.
    pub(crate) width_mm: u32,
    pub(crate) height_mm: u32,
}

impl Panel {
    /// Dots per inch, if they can be known.
    fn density(&self) -> Option<f64> {
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let (width_mm, height_mm) = (f64::from(self.width_mm), f64::from(self.height_mm));
        let longer = self.width_mm.max(self.height_mm);
        // Some name their aspect ratio, in centimetres, instead of their size.
        let is_ratio = matches!((self.width_mm, self.height_mm), (160, 90 | 100) | (90 | 100, 160) | (40, 30));
        if self.width_mm == 0 || self.height_mm == 0 || is_ratio || !(TOY..=WALL).contains(&longer) {
            return None;
        }
        let off = (width / height) / (width_mm / height_mm);
        (off - 1.0).abs().le(&ASPECT).then_some(width * 25.4 / width_mm)
    }

    fn scale(&self) -> u32 {
        let wanted = match self.density() {
            Some(density) => {
                let factor = density / NORMAL;
                (1..=MOST).rev().find(|&scale| factor + STEP >= f64::from(scale)).unwrap_or(1)
            }
            None => self.height.min(self.width) / LINES,
        };
        wanted.clamp(1, MOST)
    }

    /// The largest factor that leaves room enough.
    fn bound(&self) -> u32 {
        let (longer, shorter) = (self.width.max(self.height), self.width.min(self.height));
        (longer / ROOM.0).min(shorter / ROOM.1)
    }
}

/// The factor for these monitors; the first counts, and the others must not become too small for it.
pub(crate) fn scale(panels: &[Panel]) -> u32 {
    let wanted = panels.first().map_or(1, Panel::scale);
    let bound = panels.iter().map(Panel::bound).min().unwrap_or(1);
    wanted.min(bound).max(1)
}

/// The monitors of this screen, the primary one first; none where the X server does not say.
pub(crate) fn panels(x: &RustConnection, screen: usize) -> Vec<Panel> {
    let panels = || {
        let root = x.setup().roots.get(screen)?.root;
        let mut monitors = x.randr_get_monitors(root, true).ok()?.reply().ok()?.monitors;
        monitors.sort_by_key(|monitor| !monitor.primary);
        let panel = |monitor: &x11rb::protocol::randr::MonitorInfo| Panel {
            width: monitor.width.into(),
            height: monitor.height.into(),
            width_mm: monitor.width_in_millimeters,
            height_mm: monitor.height_in_millimeters,
        };
        Some(monitors.iter().map(panel).filter(|panel| panel.width > 0 && panel.height > 0).collect())
    };
    panels().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(width: u32, height: u32, width_mm: u32, height_mm: u32) -> Panel {
        Panel { width, height, width_mm, height_mm }
    }

    #[test]
    fn one_monitor() {
        for (width, height, width_mm, height_mm, want, what) in [
            (320, 240, 0, 0, 1, "the smallest"),
            (1024, 768, 304, 228, 1, "15 inches"),
            (1366, 768, 256, 144, 1, "an 11 inch netbook"),
            (1920, 1080, 527, 296, 1, "24 inches"),
            (1920, 1080, 256, 144, 1, "an 11 inch notebook: twice the size would leave too little room"),
            (2560, 1440, 597, 336, 1, "27 inches"),
            (2560, 1600, 286, 179, 2, "a 13 inch notebook"),
            (3840, 2160, 527, 296, 2, "24 inches, 4K"),
            (3840, 2160, 697, 392, 1, "32 inches, 4K: 140 dpi"),
            (3840, 2160, 294, 165, 3, "a 13 inch notebook with 332 dpi, as far as there is room"),
            (5120, 2880, 597, 336, 2, "27 inches, 5K"),
            (1600, 2560, 179, 286, 2, "turned"),
            (3840, 2160, 1650, 928, 2, "a television: nobody sits before it"),
            (1920, 1080, 1600, 900, 1, "another"),
            (3840, 2160, 160, 90, 2, "an aspect ratio for a size"),
            (1920, 1080, 160, 90, 1, "the same"),
            (1920, 1080, 1, 1, 1, "nonsense"),
            (1920, 1080, 0, 0, 1, "nothing"),
            (1920, 1080, 300, 300, 1, "square, they say"),
            (7680, 4320, 0, 0, 4, "8K"),
            (5120, 2880, 1354, 762, 2, "Xvfb"),
        ] {
            assert_eq!(scale(&[panel(width, height, width_mm, height_mm)]), want, "{what}: {width}×{height}");
        }
        assert_eq!(scale(&[]), 1);
    }

    #[test]
    fn several_monitors_have_one_factor() {
        let notebook = panel(2560, 1600, 286, 179);
        let desk = panel(1920, 1080, 527, 296);
        let large = panel(3840, 2160, 527, 296);
        assert_eq!(scale(&[notebook, large]), 2);
        assert_eq!(scale(&[notebook, desk]), 1, "960×540 would be left of the second");
        assert_eq!(scale(&[desk, large]), 1);
    }
}
