//! Contrast as WCAG 2 defines it, and how it is measured on what the greeter really draws.
//!
//! A scenario is drawn twice, with its texts and with transparent ones: where both differ is a letter, and the second picture
//! has what is behind it. The text's own colour is the one GTK computed for it.

use gtk4::graphene::Rect;

use super::shot::Pixels;

/// For text (success criterion 1.4.3, level AA).
pub(crate) const TEXT: f64 = 4.5;

/// For large text, and for the focus (1.4.3, 1.4.11).
pub(crate) const LARGE: f64 = 3.0;

/// Pixels of letters that a text needs to be measured.
const LETTERS: usize = 8;

/// This much of a text's ground may be worse than what is reported: the edges of pictures and round corners.
const EXEMPT: f64 = 0.03;

/// Red, green and blue, from 0 to 1.
pub(crate) type Colour = [f64; 3];

/// The contrast of two opaque colours, from 1 to 21.
pub(crate) fn ratio(a: Colour, b: Colour) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance([red, green, blue]: Colour) -> f64 {
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// Whether these are two colours of a screen.
fn differ(one: Colour, other: Colour) -> bool {
    one.iter().zip(other).any(|(one, other)| (one - other).abs() > 0.001)
}

fn over(colour: Colour, alpha: f64, ground: Colour) -> Colour {
    let mix = |part: f64, below: f64| part * alpha + below * (1.0 - alpha);
    let ([red, green, blue], [red_below, green_below, blue_below]) = (colour, ground);
    [mix(red, red_below), mix(green, green_below), mix(blue, blue_below)]
}

/// The least contrast of a text of this colour in `area`, and what is behind it there; `None` if no letters are seen there.
pub(crate) fn of_text(
    with: &Pixels,
    without: &Pixels,
    area: &Rect,
    colour: Colour,
    alpha: f64,
) -> Option<(f64, Colour)> {
    let on = |ground: Colour| (ratio(over(colour, alpha, ground), ground), ground);
    let mut ratios: Vec<(f64, Colour)> = places(area)
        .filter_map(|(x, y)| {
            let ground = without.at(x, y)?;
            let letter = with.at(x, y).is_some_and(|drawn| differ(drawn, ground));
            letter.then(|| on(ground))
        })
        .collect();
    // A text in the colour of its ground differs from it nowhere.
    if ratios.len() < LETTERS {
        ratios = places(area).filter_map(|(x, y)| without.at(x, y)).map(on).collect();
    }
    ratios.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    ratios.get(share(ratios.len(), EXEMPT)).copied()
}

/// Around a widget, where its focus may be drawn.
const AROUND: f32 = 6.0;

/// What is looked at for the focus of a widget that has this place.
pub(crate) fn around(area: &Rect) -> Rect {
    let grown = area.inset_r(-AROUND, -AROUND);
    let (left, top) = (grown.x().floor().max(0.0), grown.y().floor().max(0.0));
    let (right, bottom) = ((grown.x() + grown.width()).ceil(), (grown.y() + grown.height()).ceil());
    Rect::new(left, top, right - left, bottom - top)
}

/// How well the focus is seen: the contrast between focused and not, of as many pixels as a line around the widget would have.
pub(crate) fn of_focus(focused: &Pixels, plain: &Pixels, area: &Rect) -> Option<f64> {
    let mut ratios: Vec<f64> = places(&around(area))
        .filter_map(|(x, y)| {
            let (one, other) = (focused.at(x, y)?, plain.at(x, y)?);
            differ(one, other).then(|| ratio(one, other))
        })
        .collect();
    ratios.sort_by(|a, b| b.total_cmp(a));
    // Half of the outline one pixel thick: round corners, and parts that are hidden.
    let outline = whole(area.width() + area.height());
    if ratios.is_empty() { None } else { Some(ratios.get(outline).copied().unwrap_or(1.0)) }
}

fn places(area: &Rect) -> impl Iterator<Item = (usize, usize)> {
    let (left, top) = (whole(area.x()), whole(area.y()));
    let (right, bottom) = (whole(area.x() + area.width()), whole(area.y() + area.height()));
    (top..bottom).flat_map(move |y| (left..right).map(move |x| (x, y)))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Places on a screen.
pub(crate) fn whole(length: f32) -> usize {
    length.clamp(0.0, 32_768.0) as usize
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // Pixels of one text.
fn share(count: usize, part: f64) -> usize {
    (count as f64 * part) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_standard() {
        for (a, b, want) in [
            ([0.0; 3], [1.0; 3], 21.0),
            ([1.0; 3], [1.0; 3], 1.0),
            // #767676 on white is the lightest grey that passes.
            ([f64::from(0x76) / 255.0; 3], [1.0; 3], 4.54),
            ([1.0, 0.0, 0.0], [1.0; 3], 4.0),
        ] {
            assert!((ratio(a, b) - want).abs() < 0.01, "{a:?} {b:?}: {}", ratio(a, b));
        }
    }
}
