//! Desktop Entry files (Desktop Entry Specification 1.5), as far as X sessions need them. Pure; any bytes are safe to parse.

use crate::command_line::CommandLine;

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

/// What one file in an `xsessions` directory says about its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFile {
    /// `Hidden` or `NoDisplay`, or no X session: nothing to offer, and files of the same id further down are masked.
    Masking,
    /// A session.
    Session(SessionKeys),
}

/// The keys of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// `Name`, localised.
    pub name: String,
    /// `Comment`, localised.
    pub comment: Option<String>,
    /// `Exec`.
    pub command: CommandLine,
    /// `TryExec`.
    pub try_exec: Option<String>,
    /// `DesktopNames`.
    pub desktop_names: Vec<String>,
}

impl SessionFile {
    /// Parses a file's bytes. `None`: no usable entry at all, so the next directory may have a better one.
    pub fn parse(bytes: &[u8], locale: Option<&str>) -> Option<Self> {
        let entry = DesktopEntry::parse(bytes)?;
        // LightDM's key for sessions that are not what their directory says.
        let other_type = entry.string("X-LightDM-Session-Type").is_some_and(|t| !matches!(t.trim(), "x" | "x11"));
        if entry.is_true("Hidden") || entry.is_true("NoDisplay") || other_type {
            return Some(Self::Masking);
        }
        let mut desktop_names = entry.list("DesktopNames");
        if desktop_names.is_empty() {
            desktop_names = entry.list("X-LightDM-DesktopName");
        }
        // `:` is the separator of XDG_CURRENT_DESKTOP, and neither belongs in an environment variable.
        desktop_names.retain(|name| !name.contains(|c: char| c == ':' || c.is_control()));
        Some(Self::Session(SessionKeys {
            name: entry.localised("Name", locale).filter(|name| !name.trim().is_empty())?,
            comment: entry.localised("Comment", locale),
            command: CommandLine::parse(&entry.string("Exec")?)?,
            try_exec: entry.string("TryExec").map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
            desktop_names,
        }))
    }
}

#[cfg(test)]
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
    fn session_files() {
        let parse = |body: &str| SessionFile::parse(format!("[Desktop Entry]\n{body}").as_bytes(), Some("de"));
        let Some(SessionFile::Session(keys)) =
            parse("Name=X\nName[de]=Ä\nComment=c\nExec=startx %U\nTryExec= /bin/x \nDesktopNames=A;B:C;D;")
        else {
            panic!("no session")
        };
        assert_eq!((keys.name.as_str(), keys.comment.as_deref()), ("Ä", Some("c")));
        assert_eq!(keys.try_exec.as_deref(), Some("/bin/x"));
        assert_eq!(keys.desktop_names, ["A", "D"]);
        assert_eq!(keys.command.program(), "startx");

        assert_eq!(parse("Hidden=true"), Some(SessionFile::Masking));
        assert_eq!(parse("Name=X\nExec=x\nNoDisplay=1"), Some(SessionFile::Masking));
        assert_eq!(parse("Name=X\nExec=x\nX-LightDM-Session-Type=wayland"), Some(SessionFile::Masking));
        for incomplete in ["Name=X", "Exec=x", "Name=\nExec=x", "Name=X\nExec=", "Name=X\nExec=%U", "Name=X\nExec=\"x"]
        {
            assert_eq!(parse(incomplete), None, "{incomplete}");
        }
    }

    #[test]
    fn survives_any_bytes() {
        let text = b"[Desktop Entry]\nName[=\nName]=x\n=\n[\n]\nName=\xff\nName=ok\nExec=\\\nL=\\";
        for end in 0..=text.len() {
            for byte in [0, b'\n', b'[', b'\\', b'=', 0xff, b'%'] {
                let mut bytes = text[..end].to_vec();
                bytes.push(byte);
                let _ = SessionFile::parse(&bytes, Some("a_b.c@d"));
            }
        }
    }
}
