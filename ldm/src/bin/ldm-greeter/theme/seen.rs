//! Whether a login can be seen, looked at once: a theme may be read without an error and yet show nothing.
//!
//! It is asked of the entry and the main button alone, and of what GTK knows anyway: where they are before the first frame is
//! drawn (drawing letters of ten thousand pixels takes longer than anybody waits), and how transparent they are after it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use gtk4::glib::translate::ToGlibPtr;
use gtk4::{gdk, glib, gsk, pango, prelude::*};

/// The least that something must measure to be seen, in pixels: its width and height.
const LEAST: (f32, f32) = (24.0, 8.0);

/// The least and the largest letters, in pixels. Sizes that are relative to each other grow without a bound.
const LETTERS: (f64, f64) = (5.0, 200.0);

/// The least opacity.
const OPACITY: f32 = 0.25;

/// What the first frame may take of the processor. The default theme's takes about 0.02 s on a machine of today.
const TIME: Duration = Duration::from_secs(3);

/// What comes with an animation has come by then.
const COMES: Duration = Duration::from_secs(3);

/// It is looked at again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// Is told what is wrong, or `None` when the first frame is on the screen.
pub(crate) type Told = Rc<dyn Fn(Option<Wrong>)>;

/// Why there is no login to be seen.
pub(crate) enum Wrong {
    /// Something stands beside the monitor.
    Outside(String),
    /// It cannot be seen anywhere, or nobody waits for it.
    Unseen(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Outside(what) | Self::Unseen(what)) = self;
        to.write_str(what)
    }
}

/// Looks at these widgets in the first frame of the window. `area` is where they must be.
pub(crate) fn watch(
    root: &gtk4::Window,
    widgets: Vec<gtk4::Widget>,
    area: impl Fn() -> Option<gdk::Rectangle> + 'static,
    told: Told,
) {
    let Some(clock) = root.surface().map(|surface| surface.frame_clock()) else { return };
    let began = worked();
    let widgets = Rc::new(widgets);
    let laid_out = Once::default();
    // GTK is connected already, and comes first.
    laid_out.set(clock.connect_layout({
        let (root, widgets, told, laid_out) = (root.clone(), Rc::clone(&widgets), Rc::clone(&told), laid_out.clone());
        move |clock| {
            if root.width() > 0 && laid_out.over(clock) {
                let wrong = widgets.iter().find_map(|widget| misplaced(&root, widget, area()));
                if wrong.is_some() {
                    told(wrong);
                }
            }
        }
    }));
    let drawn = Once::default();
    let until = Instant::now() + if root.settings().is_gtk_enable_animations() { COMES } else { Duration::ZERO };
    let waiting = Rc::new(Cell::new(false));
    drawn.set(clock.connect_after_paint({
        let (root, drawn) = (root.clone(), drawn.clone());
        move |clock| {
            if !root.is_mapped() || waiting.get() {
                return;
            }
            // The frame is on its way before anybody looks at it.
            WidgetExt::display(&root).flush();
            let took = worked().saturating_sub(began);
            let mut wrong = (took > TIME).then(|| Wrong::Unseen(format!("it takes {} s to draw", took.as_secs())));
            if wrong.is_none() {
                wrong = widgets.iter().find_map(transparent);
                if wrong.is_some() && Instant::now() < until {
                    waiting.set(true);
                    let (root, waiting) = (root.clone(), Rc::clone(&waiting));
                    glib::timeout_add_local_once(AGAIN, move || {
                        waiting.set(false);
                        root.queue_draw();
                    });
                    return;
                }
            }
            if drawn.over(clock) {
                told(wrong);
            }
        }
    }));
}

/// A handler that is called until it has done its work.
#[derive(Clone, Default)]
struct Once(Rc<Cell<Option<glib::SignalHandlerId>>>);

impl Once {
    fn set(&self, handler: glib::SignalHandlerId) {
        self.0.set(Some(handler));
    }

    /// Disconnects it; whether it was connected.
    fn over(&self, clock: &gdk::FrameClock) -> bool {
        self.0.take().map(|handler| clock.disconnect(handler)).is_some()
    }
}

/// Processor time that GTK's thread has had: how busy the client is with other things does not matter.
fn worked() -> Duration {
    let time = getrusage(UsageWho::RUSAGE_THREAD).map(|usage| usage.user_time() + usage.system_time());
    let micros = time.map(|time| time.num_microseconds()).unwrap_or_default();
    Duration::from_micros(micros.unsigned_abs())
}

/// Where it is, and how large its letters are.
fn misplaced(root: &gtk4::Window, widget: &gtk4::Widget, area: Option<gdk::Rectangle>) -> Option<Wrong> {
    if !widget.is_mapped() {
        return None;
    }
    // All monitors are what it asks for.
    let (width, height) = (root.width(), root.height());
    if width > root.width_request().max(1) * 2 || height > root.height_request().max(1) * 2 {
        return Some(Wrong::Unseen(format!("the window needs {width}×{height} pixels")));
    }
    let name = widget.widget_name();
    let Some(bounds) = widget.compute_bounds(root) else { return Some(Wrong::Unseen(format!("#{name} has no place"))) };
    if bounds.width() < LEAST.0 || bounds.height() < LEAST.1 {
        let (width, height) = (bounds.width(), bounds.height());
        return Some(Wrong::Unseen(format!("#{name} measures {width:.0}×{height:.0} pixels")));
    }
    let font = widget.pango_context().font_description();
    let letters = font.map_or(LETTERS.0, |font| f64::from(font.size()) / f64::from(pango::SCALE));
    if letters < LETTERS.0 || letters > LETTERS.1 {
        return Some(Wrong::Unseen(format!("#{name} has letters of {letters:.0} pixels")));
    }
    let middle = bounds.center();
    if area.is_some_and(|area| !area.contains_point(whole(middle.x()), whole(middle.y()))) {
        return Some(Wrong::Outside(format!("#{name} is outside of the monitor")));
    }
    None
}

#[allow(clippy::cast_possible_truncation)] // What is larger than any screen stays so.
fn whole(length: f32) -> i32 {
    length as i32
}

fn transparent(widget: &gtk4::Widget) -> Option<Wrong> {
    if !widget.is_mapped() {
        return None;
    }
    let around = std::iter::successors(Some(widget.clone()), WidgetExt::parent);
    // What draws nothing but one child begins with what was drawn of that, which counts once.
    let mut counted = Vec::new();
    let opacity: f32 = around.map(|widget| node(&widget).map_or(0.0, |node| opacity(node, &mut counted))).product();
    let opacity = opacity * widget.style_context().color().alpha();
    (opacity < OPACITY)
        .then(|| Wrong::Unseen(format!("#{} is not seen: its opacity is {opacity:.2}", widget.widget_name())))
}

/// What was drawn of a widget.
fn node(widget: &gtk4::Widget) -> Option<gsk::RenderNode> {
    let snapshot = gtk4::Snapshot::new();
    gtk4::WidgetPaintable::new(Some(widget)).snapshot(&snapshot, widget.width().into(), widget.height().into());
    snapshot.to_node()
}

/// The opacity of all that is drawn there, but for what was counted already.
fn opacity(mut node: gsk::RenderNode, counted: &mut Vec<*const gsk::ffi::GskRenderNode>) -> f32 {
    let mut opacity = 1.0;
    loop {
        let inner = if let Some(one) = node.downcast_ref::<gsk::OpacityNode>() {
            let same: *const gsk::ffi::GskRenderNode = node.to_glib_none().0;
            if !counted.contains(&same) {
                opacity *= one.opacity();
                counted.push(same);
            }
            one.child()
        } else if let Some(one) = node.downcast_ref::<gsk::TransformNode>() {
            one.child()
        } else if let Some(one) = node.downcast_ref::<gsk::ClipNode>() {
            one.child()
        } else {
            return opacity;
        };
        node = inner;
    }
}
