//! Desktop Entry files (Desktop Entry Specification 1.5), as far as sessions and menus need them. Pure; any bytes are safe to
//! parse.

/// Largest file that is looked at. The largest of Debian's have 30 KiB, nearly all of it translations.
pub const MAX_BYTES: usize = 256 * 1024;

const GROUP: &str = "Desktop Entry";

/// The keys of one file's `[Desktop Entry]` group, borrowed from its bytes and still escaped.
#[derive(Debug)]
pub struct DesktopEntry<'a> {
    keys: Vec<Key<'a>>,
}

#[derive(Debug)]
struct Key<'a> {
    name: &'a str,
    locale: Option<&'a str>,
    value: &'a str,
}

impl<'a> DesktopEntry<'a> {
    /// Parses a file's bytes; `None` when there is no `[Desktop Entry]` group. Lines that are no UTF-8 or no `key=value` are
    /// skipped, as the specification asks readers to be lenient with what they do not need.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut group = Place::Before;
        let mut keys = Vec::new();
        for line in bytes.split(|&b| b == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let line = line.trim_start().trim_end_matches('\r');
            if let Some(rest) = line.strip_prefix('[') {
                // A second group of the same name is not allowed, so it is some other group to us.
                group = match (group, rest.trim_end().strip_suffix(']')) {
                    (Place::Before, Some(GROUP)) => Place::Inside,
                    (Place::Before, _) => Place::Before,
                    _ => Place::After,
                };
            } else if group == Place::Inside && !line.starts_with('#') {
                keys.extend(Key::parse(line));
            }
        }
        (group != Place::Before).then_some(Self { keys })
    }

    fn raw(&self, name: &str, locale: Option<&str>) -> Option<&'a str> {
        // The last one wins, as in GLib.
        self.keys.iter().rev().find(|k| k.name == name && k.locale == locale).map(|k| k.value)
    }

    /// A string without its escapes.
    pub fn string(&self, name: &str) -> Option<String> {
        self.raw(name, None).map(unescape)
    }

    /// A string in the wanted language, else as it is.
    pub fn localised(&self, name: &str, locale: Option<&str>) -> Option<String> {
        locale
            .into_iter()
            .flat_map(locale_variants)
            .find_map(|variant| self.raw(name, Some(&variant)))
            .or_else(|| self.raw(name, None))
            .map(unescape)
    }

    /// Whether a boolean is there and true; `1` is the form of old files.
    pub fn is_true(&self, name: &str) -> bool {
        self.raw(name, None).is_some_and(|v| matches!(v.trim_end(), "true" | "1"))
    }

    /// A `;`-separated list, without empty items.
    pub fn list(&self, name: &str) -> Vec<String> {
        let mut items = vec![String::new()];
        let mut chars = self.raw(name, None).unwrap_or_default().chars();
        let push = |items: &mut Vec<String>, c: char| {
            if let Some(item) = items.last_mut() {
                item.push(c);
            }
        };
        while let Some(c) = chars.next() {
            match c {
                ';' => items.push(String::new()),
                '\\' => match chars.next() {
                    Some(';') => push(&mut items, ';'),
                    Some(next) => {
                        push(&mut items, '\\');
                        push(&mut items, next);
                    }
                    None => push(&mut items, '\\'),
                },
                c => push(&mut items, c),
            }
        }
        items.iter().map(|item| unescape(item.trim())).filter(|item| !item.is_empty()).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Inside,
    After,
}

impl<'a> Key<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (key, value) = line.split_once('=')?;
        let key = key.trim_end();
        let (name, locale) = match key.strip_suffix(']').and_then(|k| k.split_once('[')) {
            Some((name, locale)) => (name, Some(locale)),
            None => (key, None),
        };
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        valid.then_some(Self { name, locale, value: value.trim_start() })
    }
}

/// `\s \n \t \r \\`; any other pair stays as it is.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('s') => out.push(' '),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}

/// Keys to try for `lang_COUNTRY.ENCODING@MODIFIER`, best first.
fn locale_variants(locale: &str) -> Vec<String> {
    let (rest, modifier) = match locale.split_once('@') {
        Some((rest, modifier)) => (rest, Some(modifier)),
        None => (locale, None),
    };
    let rest = rest.split_once('.').map_or(rest, |(before, _)| before);
    let (lang, country) = match rest.split_once('_') {
        Some((lang, country)) => (lang, Some(country)),
        None => (rest, None),
    };
    let mut variants = Vec::with_capacity(4);
    if let (Some(country), Some(modifier)) = (country, modifier) {
        variants.push(format!("{lang}_{country}@{modifier}"));
    }
    if let Some(country) = country {
        variants.push(format!("{lang}_{country}"));
    }
    if let Some(modifier) = modifier {
        variants.push(format!("{lang}@{modifier}"));
    }
    variants.push(lang.to_owned());
    variants
}

/// The words of an unescaped `Exec` value ("The Exec key"): splits at blanks outside quotes, drops field codes; `None` when a
/// quote stays open.
///
/// The specification allows double quotes only; single quotes and a backslash outside quotes are in the wild, because GLib
/// parses the value as a shell would.
pub fn words(exec: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = exec.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '`' | '$' | '\\') => word.push(c),
                            c => {
                                word.push('\\');
                                word.push(c);
                            }
                        },
                        c => word.push(c),
                    }
                }
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            // A word that is only a field code is no word at all.
            '%' => match chars.next() {
                Some('%') => word.get_or_insert_default().push('%'),
                Some(c) if c.is_whitespace() => words.extend(word.take()),
                _ => {}
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(text: &str) -> DesktopEntry<'_> {
        DesktopEntry::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn takes_keys_from_its_own_group_only() {
        let e = entry(
            "#c\n\n[Other]\nName=no\n[Desktop Entry]\r\n # c\nName = X \r\nbad\nName[de]=Y\n[Z]\nName=no\n[Desktop Entry]\nName=no",
        );
        assert_eq!(e.string("Name").as_deref(), Some("X "));
        assert_eq!(e.localised("Name", Some("de_AT.UTF-8")).as_deref(), Some("Y"));
        assert!(DesktopEntry::parse(b"Name=x\nExec=y\n").is_none());
        assert!(DesktopEntry::parse(b"").is_none());
        assert!(DesktopEntry::parse(b"\xef\xbb\xbf[Desktop Entry]").is_some());
    }

    #[test]
    fn chooses_the_closest_language() {
        let text = "[Desktop Entry]\nName=plain\nName[sr]=l\nName[sr_YU]=lc\nName[sr@Latn]=lm\nName[sr_YU@Latn]=lcm\nName[de]=de\n";
        for (locale, want) in [
            (Some("sr_YU.UTF-8@Latn"), "lcm"),
            (Some("sr_YU@Latn"), "lcm"),
            (Some("sr_YU.UTF-8"), "lc"),
            (Some("sr_RS@Latn"), "lm"),
            (Some("sr_RS@Cyrl"), "l"),
            (Some("sr"), "l"),
            (Some("de_CH@euro"), "de"),
            (Some("fr_FR.UTF-8"), "plain"),
            (Some("C"), "plain"),
            (Some(""), "plain"),
            (Some("_@."), "plain"),
            (None, "plain"),
        ] {
            assert_eq!(entry(text).localised("Name", locale).as_deref(), Some(want), "{locale:?}");
        }
    }

    #[test]
    fn resolves_escapes() {
        for (raw, want) in [
            (r"a\sb", "a b"),
            (r"a\nb\tc\rd", "a\nb\tc\rd"),
            (r"a\\nb", r"a\nb"),
            (r"a\qb\", r"a\qb\"),
            (r"a\;b", r"a\;b"),
        ] {
            assert_eq!(entry(&format!("[Desktop Entry]\nA={raw}")).string("A").as_deref(), Some(want), "{raw}");
        }
        for (raw, want) in [
            ("A;B;", vec!["A", "B"]),
            ("A", vec!["A"]),
            (";;", vec![]),
            ("", vec![]),
            (r"A\;B;C\\;D", vec!["A;B", r"C\", "D"]),
            (r" A ; B\", vec!["A", r"B\"]),
        ] {
            assert_eq!(entry(&format!("[Desktop Entry]\nL={raw}")).list("L"), want, "{raw}");
        }
    }

    #[test]
    fn booleans() {
        for (raw, want) in
            [("true", true), ("1", true), ("true ", true), ("false", false), ("True", false), ("", false), ("0", false)]
        {
            assert_eq!(entry(&format!("[Desktop Entry]\nHidden={raw}")).is_true("Hidden"), want, "{raw}");
        }
    }

    #[test]
    fn survives_any_bytes() {
        let text = b"[Desktop Entry]\nName[=\nName]=x\n=\n[\n]\nName=\xff\nName=ok\nExec=\\\nL=\\";
        for end in 0..=text.len() {
            for byte in [0, b'\n', b'[', b'\\', b'=', 0xff, b'%'] {
                let mut bytes = text[..end].to_vec();
                bytes.push(byte);
                if let Some(entry) = DesktopEntry::parse(&bytes) {
                    let _ = (
                        entry.localised("Name", Some("a_b.c@d")),
                        entry.list("L"),
                        entry.string("Exec").map(|e| words(&e)),
                    );
                }
            }
        }
    }
}
