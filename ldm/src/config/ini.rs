//! The syntax of lts.conf: sections, `KEY = value`, `#` comments, optional quotes. Every value keeps its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest line taken.
pub const LINE: usize = 4096;
/// Largest file taken.
pub const FILE: usize = 1024 * 1024;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// One `KEY = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of its section, in lower case.
    pub section: String,
    /// As written.
    pub key: String,
    /// Without quotes around it and comment behind it.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct SyntaxError {
    /// Where.
    pub place: Place,
    /// What is wrong with it.
    pub why: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Sections in order, in lower case, each with its place.
    pub sections: Vec<(String, Place)>,
    /// Settings in order.
    pub settings: Vec<Setting>,
    /// All lines that cannot be read.
    pub errors: Vec<SyntaxError>,
}

/// Reads the text of `file`.
pub fn parse(file: &Path, text: &[u8]) -> Parsed {
    let file: Arc<Path> = PathBuf::from(file).into();
    let mut parsed = Parsed::default();
    let mut section: Option<String> = None;
    // Some editors begin a file with a mark of their own (U+FEFF).
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for (index, bytes) in text.split(|b| *b == b'\n').enumerate() {
        let place = Place { file: file.clone(), line: index + 1 };
        match line(bytes) {
            Ok(Line::Nothing) => {}
            Ok(Line::Section(name)) => {
                let name = name.to_lowercase();
                parsed.sections.push((name.clone(), place));
                section = Some(name);
            }
            Ok(Line::Setting(key, value)) => match &section {
                Some(section) => parsed.settings.push(Setting {
                    section: section.clone(),
                    key: key.to_owned(),
                    value: value.to_owned(),
                    place,
                }),
                None => parsed.errors.push(SyntaxError {
                    place,
                    why: format!("{key} stands before the first section; put [Default] above it"),
                }),
            },
            Err(why) => parsed.errors.push(SyntaxError { place, why }),
        }
    }
    parsed
}

enum Line<'a> {
    Nothing,
    Section(&'a str),
    Setting(&'a str, &'a str),
}

fn line(bytes: &[u8]) -> Result<Line<'_>, String> {
    if bytes.len() > LINE {
        return Err(format!("the line is longer than {LINE} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8".to_owned())?.trim();
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err("the line holds control characters".to_owned());
    }
    if text.is_empty() || text.starts_with('#') {
        return Ok(Line::Nothing);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, behind) = rest.split_once(']').ok_or("the section's name has no closing ]")?;
        if !is_end(behind) {
            return Err("there is something behind the section's ]".to_owned());
        }
        return match name.trim() {
            "" => Err("the section has no name".to_owned()),
            name => Ok(Line::Section(name)),
        };
    }
    let (key, rest) = text.split_once('=').ok_or("this is neither KEY = value nor [section]")?;
    let key = key.trim();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("a key has letters, digits and _ only".to_owned());
    }
    Ok(Line::Setting(key, value(rest.trim())?))
}

/// Takes the comment off, and the quotes if they are around all of it. Quotes inside stay: they may be a command line's.
fn value(text: &str) -> Result<&str, String> {
    let mut quote = None;
    let mut before = ' ';
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                end = at;
                break;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    if quote.is_some() && text.starts_with(['"', '\'']) {
        return Err("the closing quote is missing".to_owned());
    }
    let text = text.get(..end).unwrap_or_default().trim();
    for quote in ['"', '\''] {
        let inside = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
        if let Some(inside) = inside.filter(|i| !i.contains(quote)) {
            return Ok(inside);
        }
    }
    Ok(text)
}

fn is_end(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<String, String> {
        let parsed = parse(Path::new("f"), format!("[Default]\n{line}\n").as_bytes());
        match (parsed.settings.as_slice(), parsed.errors.as_slice()) {
            ([setting], []) => Ok(setting.value.clone()),
            ([], [error]) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values() {
        for (line, want) in [
            ("K=v", "v"),
            ("  K =  v w  ", "v w"),
            ("K=", ""),
            ("K = v # why", "v"),
            ("K = v#w", "v#w"),
            ("K = # nothing", ""),
            ("K = \" v # w \"  # why", " v # w "),
            ("K = 'a \"b\" c'", "a \"b\" c"),
            ("K = it's", "it's"),
            ("K = \"/opt/my greeter\" --flag 'x y'", "\"/opt/my greeter\" --flag 'x y'"),
            ("K = \"a\" \"b\"", "\"a\" \"b\""),
            ("K = a=b", "a=b"),
            ("K = ü\r", "ü"),
        ] {
            assert_eq!(one(line).as_deref(), Ok(want), "{line}");
        }
    }

    #[test]
    fn errors_say_where_and_why() {
        for (line, want) in [
            ("K", "f:2: this is neither KEY = value nor [section]"),
            ("K \"x", "f:2: this is neither KEY = value nor [section]"),
            ("K = \"x", "f:2: the closing quote is missing"),
            ("A B = x", "f:2: a key has letters, digits and _ only"),
            ("[x", "f:2: the section's name has no closing ]"),
            ("[ ]", "f:2: the section has no name"),
            ("[x] y", "f:2: there is something behind the section's ]"),
            ("K = \u{1b}[m", "f:2: the line holds control characters"),
        ] {
            assert_eq!(one(line).unwrap_err(), want, "{line}");
        }
        assert_eq!(one(&format!("K={}", "x".repeat(LINE))).unwrap_err(), "f:2: the line is longer than 4096 bytes");
        let parsed = parse(Path::new("f"), b"K=v\n[a]\n\xff=1\n");
        let errors: Vec<_> = parsed.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            ["f:1: K stands before the first section; put [Default] above it", "f:3: the line is not UTF-8"]
        );
    }

    #[test]
    fn sections_keep_their_settings_and_places() {
        let parsed = parse(Path::new("f"), b"# c\n[Default] # c\nA=1\n\n[00:11]\nA=2\n[default]\nB=3");
        let all: Vec<_> =
            parsed.settings.iter().map(|s| (s.section.as_str(), s.value.as_str(), s.place.line)).collect();
        assert_eq!(all, [("default", "1", 3), ("00:11", "2", 6), ("default", "3", 8)]);
        assert_eq!(parsed.sections.len(), 3);
        let marked = parse(Path::new("f"), "\u{feff}[Default]\r\nA=1\r\n".as_bytes());
        assert!(marked.errors.is_empty() && marked.settings.len() == 1, "{:?}", marked.errors);
    }
}
