//! Making text of unknown origin safe to show and to log.

/// Text from a server, reduced to what may be shown: control and bidirectional-override characters are gone, line breaks
/// and tabs survive as `\n` and blanks, and what is longer than `max` bytes ends in an ellipsis.
///
/// Terminal escape sequences lose their `ESC` *and* their parameters, so `ESC[31mred` becomes `red`. Markup is not
/// touched: the greeter shows plain text only and never parses Pango markup from a server.
pub fn sanitise(text: &str, max: usize) -> String {
    // Work is bounded by what can be shown, not by what was sent: a 10 MB banner costs as little as a long one.
    let window = floor_char_boundary(text, max.saturating_mul(4).saturating_add(64));
    let mut out = String::with_capacity(window.len().min(max + 4));
    let mut chars = window.chars().peekable();
    let mut cut = window.len() < text.len();
    while let Some(c) = chars.next() {
        let keep = match c {
            '\u{1b}' => {
                skip_escape(&mut chars);
                continue;
            }
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\n' | '\r' => '\n',
            '\t' => ' ',
            c if is_unsafe(c) => continue,
            c => c,
        };
        if out.len() + keep.len_utf8() > max {
            cut = true;
            break;
        }
        out.push(keep);
    }
    if cut {
        out.push('…');
    }
    out
}

/// [`sanitise`] for a place with one line: line breaks become blanks.
pub fn sanitise_line(text: &str, max: usize) -> String {
    let text = sanitise(text, max);
    text.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Characters that change how *other* text is shown: C0, DEL, C1, and Unicode's direction overrides and isolates.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Skips the rest of an ECMA-48 escape sequence after its `ESC`.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // CSI: parameters and intermediates, then one final byte.
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        // OSC, DCS, APC, PM, SOS: a string that ends with BEL or ESC \.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next();
                    break;
                }
            }
        }
        _ => {}
    }
}

/// The longest start of `text` of at most `max` bytes that ends between characters.
pub fn floor_char_boundary(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_moves_the_cursor_or_the_reader() {
        assert_eq!(sanitise("\u{1b}[31mred\u{1b}[0m\u{7}", 100), "red");
        assert_eq!(sanitise("\u{1b}]0;title\u{7}text", 100), "text");
        assert_eq!(sanitise("\u{1b}]8;;http://x\u{1b}\\link", 100), "link");
        assert_eq!(sanitise("a\u{202e}b\u{9b}31mc\u{0}", 100), "ab31mc");
        assert_eq!(sanitise("one\r\ntwo\rthree\tfour", 100), "one\ntwo\nthree four");
        assert_eq!(sanitise("<b>bold</b> & more", 100), "<b>bold</b> & more");
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(sanitise("äöü", 4), "äö…");
        assert_eq!(sanitise("äöü", 6), "äöü");
        assert_eq!(sanitise(&"x".repeat(10_000_000), 10), "xxxxxxxxxx…");
        assert_eq!(sanitise(&"\u{1b}[m".repeat(1_000_000), 10), "…");
    }

    #[test]
    fn one_line() {
        assert_eq!(sanitise_line("  You must\n\n change it \r\n", 100), "You must change it");
    }
}
