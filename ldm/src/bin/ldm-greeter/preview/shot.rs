//! What is on the screen, as pixels: the window and the menus that are open over it.

use std::cell::Cell;
use std::rc::Rc;

use gtk4::glib::ControlFlow;
use gtk4::graphene::{Point, Rect};
use gtk4::{gdk, glib, gsk, prelude::*};

use super::contrast::{self, Colour};
use super::inspect;

/// Frames after which something that is still moving will not come to rest.
const FRAMES: u32 = 120;

/// Lets GTK lay out and draw what has changed: until a frame changes nothing any more, and everything was drawn. `false`: that
/// does not happen.
///
/// How many frames that takes differs: what is laid out may ask for more when the greeter is idle, and what the X server has to
/// say of it comes back at the end of each.
pub(crate) fn settle(window: &gtk4::Window) -> bool {
    let mut before = None;
    for _ in 0..FRAMES {
        frame(window);
        let now = inspect::widgets(window);
        if before.as_ref() == Some(&now) && layers(window).iter().all(|(layer, ..)| picture(layer).is_some()) {
            return true;
        }
        before = Some(now);
    }
    false
}

/// Draws what has another colour, or has scrolled or moved because of that.
pub(crate) fn redraw(window: &gtk4::Window) {
    let before = inspect::widgets(window);
    frame(window);
    if inspect::widgets(window) != before {
        settle(window);
    }
}

/// One frame, what the X server says to it, and what is done when there is nothing else to do.
fn frame(window: &gtk4::Window) {
    let context = glib::MainContext::default();
    let drawn = Rc::new(Cell::new(false));
    let done = Rc::clone(&drawn);
    window.add_tick_callback(move |_, _| {
        done.set(true);
        ControlFlow::Break
    });
    while !drawn.get() {
        context.iteration(true);
    }
    // Whatever was asked of the X server in this frame has its answer now, however busy it is.
    WidgetExt::display(window).sync();
    while context.pending() {
        context.iteration(false);
    }
}

/// What GTK has drawn of this window or menu; `None` before it was drawn.
fn picture(layer: &gtk4::Widget) -> Option<gsk::RenderNode> {
    let snapshot = gtk4::Snapshot::new();
    let paintable = gtk4::WidgetPaintable::new(Some(layer));
    paintable.snapshot(&snapshot, f64::from(paintable.intrinsic_width()), f64::from(paintable.intrinsic_height()));
    snapshot.to_node()
}

/// The window and what is open over it, each with its place in the picture.
pub(crate) fn layers(window: &gtk4::Window) -> Vec<(gtk4::Widget, f32, f32)> {
    let mut layers = vec![(window.clone().upcast::<gtk4::Widget>(), 0.0, 0.0)];
    let (left, top) = offset(window.upcast_ref());
    let mut waiting = vec![window.clone().upcast::<gtk4::Widget>()];
    while let Some(widget) = waiting.pop() {
        let mut child = widget.first_child();
        while let Some(one) = child {
            child = one.next_sibling();
            if let Some(popup) = one.downcast_ref::<gtk4::Popover>().filter(|popover| popover.is_mapped()) {
                let surface = popup.surface().and_downcast::<gdk::Popup>();
                let at = surface.map_or((0, 0), |surface| (surface.position_x(), surface.position_y()));
                let (x, y) = offset(&one);
                layers.push((one.clone(), pixels(at.0) + x - left, pixels(at.1) + y - top));
            }
            if one.is_mapped() {
                waiting.push(one);
            }
        }
    }
    layers
}

/// All of a screen of this size.
pub(crate) fn whole((width, height): (i32, i32)) -> Rect {
    Rect::new(0.0, 0.0, pixels(width), pixels(height))
}

/// The place of an open menu in the picture.
pub(crate) fn place(window: &gtk4::Window, menu: &gtk4::Widget) -> Option<Rect> {
    let (_, x, y) = layers(window).into_iter().find(|(layer, ..)| layer == menu)?;
    Some(menu.compute_bounds(menu)?.offset_r(x, y))
}

#[allow(clippy::cast_possible_truncation)] // Screens are small.
fn offset(widget: &gtk4::Widget) -> (f32, f32) {
    let (x, y) = widget.native().map(|native| native.surface_transform()).unwrap_or_default();
    (x as f32, y as f32)
}

#[allow(clippy::cast_precision_loss)] // Screens are small.
fn pixels(length: i32) -> f32 {
    length as f32
}

/// A picture of all that is in this area, whose edges are whole pixels.
pub(crate) fn take(window: &gtk4::Window, area: &Rect) -> Option<gdk::Texture> {
    let snapshot = gtk4::Snapshot::new();
    for (widget, x, y) in layers(window) {
        snapshot.save();
        snapshot.translate(&Point::new(x, y));
        snapshot.append_node(&picture(&widget)?);
        snapshot.restore();
    }
    let node: gsk::RenderNode = snapshot.to_node()?;
    Some(window.renderer()?.render_texture(node, Some(area)))
}

/// A picture's pixels.
pub(crate) struct Pixels {
    /// Where its corner is on the screen.
    left: usize,
    top: usize,
    width: usize,
    data: Vec<u8>,
}

impl Pixels {
    /// What there is in this area.
    pub(crate) fn take(window: &gtk4::Window, area: &Rect) -> Option<Self> {
        let texture = take(window, area)?;
        let width = usize::try_from(texture.width()).unwrap_or_default();
        let height = usize::try_from(texture.height()).unwrap_or_default();
        let mut data = vec![0; width * height * 4];
        if width > 0 && height > 0 {
            texture.download(&mut data, width * 4);
        }
        Some(Self { left: contrast::whole(area.x()), top: contrast::whole(area.y()), width, data })
    }

    /// The colour at this place of the screen; `None` outside of the picture.
    pub(crate) fn at(&self, x: usize, y: usize) -> Option<Colour> {
        let (x, y) = (x.checked_sub(self.left)?, y.checked_sub(self.top)?);
        if x >= self.width {
            return None;
        }
        let place = (y * self.width + x) * 4;
        let &bytes = self.data.get(place..place + 4)?.first_chunk()?;
        // GDK's default format is cairo's: one number for a pixel, alpha in its highest byte.
        let number = u32::from_ne_bytes(bytes);
        let part = |shift: u32| f64::from(number >> shift & 0xff) / 255.0;
        Some([part(16), part(8), part(0)])
    }
}
