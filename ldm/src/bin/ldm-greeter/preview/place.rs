//! Where in a theme's sheets a colour stands, so that a complaint of what was drawn can say which line to change.

use gtk4::gdk;

use super::contrast::Colour;

/// The line in these sheets (name and text) that names the colour: in a rule for `#name`, or else the first.
pub(super) fn of<'a>(sheets: &'a [(String, String)], colour: Colour, name: &str) -> Option<(&'a str, usize)> {
    let places: Vec<_> =
        sheets.iter().flat_map(|(file, text)| in_one(text, colour).map(move |at| (file, at))).collect();
    let own = places.iter().find(|(_, (_, selector))| words(selector).any(|word| word == name));
    own.or(places.first()).map(|(file, (line, _))| (file.as_str(), *line))
}

/// Lines with the colour, each with the selector of its rule, as far as it stands on the line of the brace.
fn in_one(text: &str, colour: Colour) -> impl Iterator<Item = (usize, &str)> {
    let mut selector = "";
    text.lines().zip(1..).filter_map(move |(line, number)| {
        if let Some((before, _)) = line.split_once('{') {
            selector = before;
        }
        values(line).any(|value| is(value, colour)).then_some((number, selector))
    })
}

/// The names in a selector, with their `#`.
fn words(selector: &str) -> impl Iterator<Item = &str> {
    selector.split(|c: char| !(c.is_alphanumeric() || matches!(c, '#' | '-' | '_')))
}

/// The colours that have names, by what sheets define, later ones instead of earlier ones.
#[derive(Default)]
pub(super) struct Palette(Vec<(String, Colour)>);

impl Palette {
    /// Takes over what is defined in this sheet.
    pub(super) fn read(&mut self, sheet: &str) {
        for line in sheet.lines() {
            let Some((name, rest)) =
                line.trim().strip_prefix("@define-color ").and_then(|rest| rest.trim().split_once(' '))
            else {
                continue;
            };
            let Some(value) = values(rest).next().and_then(|value| gdk::RGBA::parse(value).ok()) else { continue };
            self.0.retain(|(other, _)| other != name);
            if value.alpha() >= 1.0 {
                self.0.push((name.to_owned(), [value.red(), value.green(), value.blue()].map(f64::from)));
            }
        }
    }

    /// The name of a colour, which may have several: that of a text, or of what is behind one.
    pub(super) fn name(&self, colour: Colour, of_text: bool) -> Option<&str> {
        let mut names =
            self.0.iter().filter(|(_, other)| shown(*other) == shown(colour)).map(|(name, _)| name.as_str());
        let fits = |name: &&str| (name.contains("text") || *name == "muted") == of_text;
        let names: Vec<&str> = names.by_ref().collect();
        names.iter().copied().find(fits).or(names.first().copied())
    }
}

/// As `#rrggbb`.
pub(super) fn shown(colour: Colour) -> String {
    let [red, green, blue] = colour.map(|part| (part * 255.0).round());
    format!("#{red:02x}{green:02x}{blue:02x}", red = byte(red), green = byte(green), blue = byte(blue))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is clamped.
fn byte(part: f64) -> u8 {
    part.clamp(0.0, 255.0) as u8
}

fn is(value: &str, colour: Colour) -> bool {
    let Ok(named) = gdk::RGBA::parse(value) else { return false };
    let named = [named.red(), named.green(), named.blue()].map(f64::from);
    named.iter().zip(colour).all(|(one, other)| (one - other).abs() < 0.003)
}

/// What could be a colour: a word, or a function with all that is in its parentheses.
fn values(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | ':' | ',' | '{' | '}' | ')');
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(ends);
        let mut end = rest.find(ends).unwrap_or(rest.len());
        if ["rgb(", "rgba(", "hsl(", "hsla("].iter().any(|function| rest.starts_with(function)) {
            end = rest.find(')').map_or(rest.len(), |place| place + 1);
        }
        let (value, after) = rest.split_at_checked(end)?;
        rest = after;
        // A function that changes colours has the first one behind its name.
        let value = if value.ends_with(')') { value } else { value.rsplit('(').next().unwrap_or(value) };
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_the_name_that_fits() {
        let mut palette = Palette::default();
        palette.read(
            "@define-color field #ffffff;   /* white */\n@define-color bar_text white;\n@define-color text #111;",
        );
        palette.read("@define-color text #222;\n@define-color card rgba(0, 0, 0, 0.5);");
        let grey = |part: u8| [f64::from(part) / 255.0; 3];
        for (part, of_text, want) in [
            (255, true, Some("bar_text")),
            (255, false, Some("field")),
            (0x22, true, Some("text")),
            (0x22, false, Some("text")),
            (0x11, true, None),
            (0, false, None),
        ] {
            assert_eq!(palette.name(grey(part), of_text), want, "{part}");
        }
    }

    #[test]
    fn a_colour_is_found_where_it_stands() {
        let sheets = [
            ("style.css".to_owned(), "@define-color text #102030;\n#title { color:#ddd }\n".to_owned()),
            (
                "more.css".to_owned(),
                "label { color: rgb(1, 2, 3); background: mix(red, blue, 0.5); }\n#a { border: 1px solid rgba(0,0,255,.5) }"
                    .to_owned(),
            ),
        ];
        let colour = |red: u8, green: u8, blue: u8| [red, green, blue].map(|part| f64::from(part) / 255.0);
        let place = |red: u8, green: u8, blue: u8| of(&sheets, colour(red, green, blue), "#none");
        assert_eq!(place(0x10, 0x20, 0x30), Some(("style.css", 1)));
        assert_eq!(place(0xdd, 0xdd, 0xdd), Some(("style.css", 2)));
        assert_eq!(place(1, 2, 3), Some(("more.css", 1)));
        assert_eq!(place(255, 0, 0), Some(("more.css", 1)));
        assert_eq!(place(0, 0, 255), Some(("more.css", 1)));
        assert_eq!(place(9, 9, 9), None);
        let twice = [("a.css".to_owned(), "#card { color: red; }\n.tiny #title:hover {\n  color: red;\n}".to_owned())];
        for (name, line) in [("#title", 3), ("#card", 1), ("#tit", 1)] {
            assert_eq!(of(&twice, colour(255, 0, 0), name), Some(("a.css", line)), "{name}");
        }
        assert_eq!(shown([1.0, 0.5, 0.0]), "#ff8000");
    }
}
