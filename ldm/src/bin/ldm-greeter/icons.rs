//! The pictures on the buttons, drawn in the colour of the text beside them: no icon theme and no SVG library is needed.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use gtk4::prelude::*;
use gtk4::{cairo, glib};

/// Length of a side of the square in which the pictures below are described.
const GRID: f64 = 24.0;

/// What is on a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    /// Two boxes with lamps.
    Server,
    /// A window.
    Session,
    /// A globe.
    Language,
    /// A keyboard.
    Layout,
    /// A person with open arms.
    Access,
    /// Three lines.
    Admin,
    /// A question mark.
    Help,
    /// A circle that is open where a line enters it.
    Power,
    /// An eye.
    Eye,
    /// A box.
    Off,
    /// A box with a tick in it.
    On,
}

/// A part of a picture, as a stroke unless it says otherwise.
enum Part {
    /// From point to point.
    Line(&'static [(f64, f64)]),
    /// Left, top, width, height.
    Box(f64, f64, f64, f64),
    /// Centre, half width, half height, from and to which angle.
    Arc(f64, f64, f64, f64, f64, f64),
    /// Centre and radius, filled.
    Dot(f64, f64, f64),
}

impl Icon {
    fn parts(self) -> &'static [Part] {
        use Part::{Arc, Box, Dot, Line};
        match self {
            Self::Server => {
                &[Box(3.0, 4.0, 18.0, 7.0), Box(3.0, 13.0, 18.0, 7.0), Dot(7.0, 7.5, 1.3), Dot(7.0, 16.5, 1.3)]
            }
            Self::Session => {
                &[Box(2.5, 4.0, 19.0, 13.0), Line(&[(12.0, 17.0), (12.0, 20.5)]), Line(&[(7.5, 20.5), (16.5, 20.5)])]
            }
            Self::Language => &[
                Arc(12.0, 12.0, 9.0, 9.0, 0.0, TAU),
                Arc(12.0, 12.0, 4.0, 9.0, 0.0, TAU),
                Line(&[(3.0, 12.0), (21.0, 12.0)]),
                Line(&[(4.5, 7.3), (19.5, 7.3)]),
                Line(&[(4.5, 16.7), (19.5, 16.7)]),
            ],
            Self::Layout => &[
                Box(2.0, 6.0, 20.0, 12.0),
                Dot(6.0, 10.0, 1.2),
                Dot(10.0, 10.0, 1.2),
                Dot(14.0, 10.0, 1.2),
                Dot(18.0, 10.0, 1.2),
                Line(&[(7.5, 14.5), (16.5, 14.5)]),
            ],
            Self::Access => &[
                Dot(12.0, 4.0, 2.2),
                Line(&[(4.0, 8.5), (12.0, 10.0), (20.0, 8.5)]),
                Line(&[(12.0, 10.0), (12.0, 14.5)]),
                Line(&[(8.0, 21.5), (12.0, 14.5), (16.0, 21.5)]),
            ],
            Self::Admin => &[
                Line(&[(4.0, 6.5), (20.0, 6.5)]),
                Line(&[(4.0, 12.0), (20.0, 12.0)]),
                Line(&[(4.0, 17.5), (20.0, 17.5)]),
            ],
            Self::Help => &[
                Arc(12.0, 12.0, 9.5, 9.5, 0.0, TAU),
                Arc(12.0, 9.6, 2.9, 2.9, -PI, FRAC_PI_2),
                Line(&[(12.0, 12.5), (12.0, 14.2)]),
                Dot(12.0, 17.4, 1.3),
            ],
            Self::Power => {
                &[Arc(12.0, 13.0, 8.0, 8.0, -FRAC_PI_2 + 0.65, 1.5 * PI - 0.65), Line(&[(12.0, 2.8), (12.0, 11.5)])]
            }
            Self::Eye => &[
                Arc(12.0, 17.5, 10.5, 10.5, -PI + 0.52, -0.52),
                Arc(12.0, 6.5, 10.5, 10.5, 0.52, PI - 0.52),
                Dot(12.0, 12.0, 3.2),
            ],
            Self::Off => &[Box(3.0, 3.0, 18.0, 18.0)],
            Self::On => &[Box(3.0, 3.0, 18.0, 18.0), Line(&[(7.0, 12.5), (10.7, 16.2), (17.0, 8.2)])],
        }
    }

    /// A widget that shows it. Nothing is said of it to assistive programs: the button has a name.
    pub(crate) fn widget(self) -> gtk4::DrawingArea {
        let area = glib::Object::builder::<gtk4::DrawingArea>()
            .property("accessible-role", gtk4::AccessibleRole::Presentation)
            .property("css-classes", ["icon"].as_slice())
            .property("valign", gtk4::Align::Center)
            .build();
        area.set_content_width(20);
        area.set_content_height(20);
        area.set_draw_func(move |area, context, width, height| {
            // A picture that cannot be drawn leaves the button's text.
            let _ = draw(self.parts(), &area.style_context().color(), context, f64::from(width.min(height)));
        });
        area
    }
}

fn draw(parts: &[Part], colour: &gtk4::gdk::RGBA, context: &cairo::Context, size: f64) -> Result<(), cairo::Error> {
    context.scale(size / GRID, size / GRID);
    context.set_source_rgba(colour.red().into(), colour.green().into(), colour.blue().into(), colour.alpha().into());
    context.set_line_width(2.0);
    context.set_line_cap(cairo::LineCap::Round);
    context.set_line_join(cairo::LineJoin::Round);
    for part in parts {
        context.new_path();
        match *part {
            Part::Line(points) => {
                for &(x, y) in points {
                    context.line_to(x, y);
                }
            }
            Part::Box(x, y, width, height) => context.rectangle(x, y, width, height),
            Part::Arc(x, y, half_width, half_height, from, to) => {
                context.save()?;
                context.translate(x, y);
                context.scale(half_width, half_height);
                context.arc(0.0, 0.0, 1.0, from, to);
                context.restore()?;
            }
            Part::Dot(x, y, radius) => {
                context.arc(x, y, radius, 0.0, TAU);
                context.fill()?;
            }
        }
        context.stroke()?;
    }
    Ok(())
}
