//! What a declaration of a theme's sheet may ask for, so that drawing it ends.
//!
//! Of what GTK draws in software, shadows and large letters cost most: `box-shadow: 0 0 5000px 5000px` alone needs pictures of
//! hundreds of megapixels. `filter` has its widget drawn once more for each frame, and whatever is in it.

/// Longest length in a shadow, in pixels. The default theme's longest is 34.
const SHADOW: f64 = 100.0;

/// Most shadows on top of each other.
const SHADOWS: usize = 8;

/// Highest letters, in pixels.
const FONT: f64 = 200.0;

/// Highest resolution for fonts.
const DPI: f64 = 300.0;

/// Any other number or length.
const LENGTH: f64 = 10_000.0;

/// Most layers, colours of a gradient and the like in one declaration.
const PARTS: usize = 64;

/// What is known of a declaration so far.
#[derive(Debug, Default)]
pub(super) struct Declaration<'a> {
    /// Its first word.
    first: Option<&'a str>,
    /// That, in lower case, once there was a colon.
    property: Option<String>,
    parentheses: usize,
    /// Commas outside of parentheses, and all.
    commas: [usize; 2],
}

impl<'a> Declaration<'a> {
    /// A word, or the name of a function.
    pub(super) fn word(&mut self, word: &'a str) {
        self.first.get_or_insert(word);
    }

    /// One of `:`, `,`, `(` and `)`.
    pub(super) fn mark(&mut self, mark: char) -> Result<(), &'static str> {
        match mark {
            '(' => self.parentheses += 1,
            ')' => self.parentheses = self.parentheses.saturating_sub(1),
            ':' if self.property.is_none() => {
                let property = self.first.unwrap_or_default().to_ascii_lowercase();
                if property.ends_with("filter") {
                    return Err(
                        "filters are not allowed, they take too long to draw: choose other colours or pictures",
                    );
                }
                self.property = Some(property);
            }
            ',' => {
                let [outside, all] = &mut self.commas;
                *all += 1;
                *outside += usize::from(self.parentheses == 0);
                if *all >= PARTS {
                    return Err("more than 64 parts take too long to draw");
                }
                if *outside >= SHADOWS && self.is_shadow() {
                    return Err("more than 8 shadows take too long to draw");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A number with its unit.
    pub(super) fn number(&self, number: f64, unit: &str) -> Result<(), &'static str> {
        let property = self.property.as_deref().unwrap_or_default();
        let font = property == "font-size" || property == "font";
        let pixels = number.abs()
            * match unit.to_ascii_lowercase().as_str() {
                "rad" | "deg" | "grad" | "turn" | "s" | "ms" => return Ok(()),
                "pt" => 96.0 / 72.0,
                "pc" => 16.0,
                "in" => 96.0,
                "cm" => 96.0 / 2.54,
                "mm" => 96.0 / 25.4,
                "em" | "rem" | "ex" => 20.0,
                "%" if font => 0.2,
                // The weight.
                "" if property == "font" => 0.2,
                _ => 1.0,
            };
        // In parentheses, colours.
        let shadow = self.is_shadow() && !(self.parentheses > 0 && unit.is_empty());
        // Written so that what is no number is not within them.
        let within = |limit: f64| pixels <= limit;
        if shadow && !within(SHADOW) {
            Err("more than 100px in a shadow take too long to draw")
        } else if font && !within(FONT) {
            Err("letters of more than 200px take too long to draw")
        } else if property == "-gtk-dpi" && !within(DPI) {
            Err("more than 300 dots to the inch take too long to draw")
        } else if !within(LENGTH) {
            Err("a number of more than 10000")
        } else {
            Ok(())
        }
    }

    fn is_shadow(&self) -> bool {
        self.property.as_ref().is_some_and(|property| property.ends_with("shadow"))
    }
}

/// Whether a number begins here, perhaps with a sign (CSS Syntax Level 3, 4.3.10).
pub(super) fn begins_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    text.strip_prefix('.').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit())
}

/// The number that begins here: its length, and what it is (4.3.12).
pub(super) fn number(text: &str) -> (usize, f64) {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()) + from
    };
    let at = |place: usize| text.as_bytes().get(place).copied().unwrap_or_default();
    let mut end = digits(usize::from(matches!(at(0), b'+' | b'-')));
    if at(end) == b'.' && at(end + 1).is_ascii_digit() {
        end = digits(end + 1);
    }
    if matches!(at(end), b'e' | b'E') {
        let exponent = end + 1 + usize::from(matches!(at(end + 1), b'+' | b'-'));
        if at(exponent).is_ascii_digit() {
            end = digits(exponent);
        }
    }
    let number = text.get(..end).and_then(|number| number.trim_start_matches('+').parse().ok());
    (end, number.unwrap_or(f64::INFINITY))
}
