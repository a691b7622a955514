//! One language's texts: a `.mo` file as msgfmt(1) makes it, read whole.
//!
//! Read by ourselves, because the language can change while the greeter runs, and must not depend on which locales the client
//! has. The C library's gettext goes by its locale, which would have to be installed, and by the environment.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file.
const FILE: u64 = 1024 * 1024;

/// Most texts.
const TEXTS: usize = 8192;

/// First word of the file, in the byte order of the machine that made it.
const MAGIC: u32 = 0x9504_12de;

/// What is wrong with a catalogue: make it anew with msgfmt(1), in UTF-8.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is larger than any can be.
    #[error("it is too large")]
    Large,
    /// It is not what msgfmt makes.
    #[error("it is not a catalogue")]
    Format,
    /// Its texts are not UTF-8.
    #[error("it is not in UTF-8")]
    Charset,
}

/// Texts by their English originals.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    texts: HashMap<Box<str>, Box<str>>,
}

impl Catalogue {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, CatalogueError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE {
            return Err(CatalogueError::Large);
        }
        Self::parse(&bytes)
    }

    /// The translation, if there is one.
    pub(crate) fn get(&self, text: &str) -> Option<&str> {
        self.texts.get(text).map(AsRef::as_ref)
    }

    /// GNU gettext's manual, "The Format of GNU MO Files".
    fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let little = match word(bytes, 0, true) {
            Some(MAGIC) => true,
            Some(magic) if magic.swap_bytes() == MAGIC => false,
            _ => return Err(CatalogueError::Format),
        };
        let number = |at| word(bytes, at, little).ok_or(CatalogueError::Format);
        let size = |at| Ok::<_, CatalogueError>(number(at)? as usize);
        // Major revisions 0 and 1 are laid out alike, as far as it is read here.
        if number(4)? >> 16 > 1 {
            return Err(CatalogueError::Format);
        }
        let (count, originals, translations) = (size(8)?, size(12)?, size(16)?);
        if count > TEXTS {
            return Err(CatalogueError::Large);
        }
        let mut texts: HashMap<Box<str>, Box<str>> = HashMap::with_capacity(count);
        for place in 0..count {
            let text = |table: usize| -> Result<&str, CatalogueError> {
                let entry = table.checked_add(place * 8).ok_or(CatalogueError::Format)?;
                let start = size(entry.checked_add(4).ok_or(CatalogueError::Format)?)?;
                let end = start.checked_add(size(entry)?).ok_or(CatalogueError::Format)?;
                let text = bytes.get(start..end).ok_or(CatalogueError::Format)?;
                let text = std::str::from_utf8(text).map_err(|_| CatalogueError::Charset)?;
                // Of plural forms only the first: the greeter has no sentence with any.
                Ok(text.split('\0').next().unwrap_or_default())
            };
            let (original, translation) = (text(originals)?, text(translations)?);
            if !translation.is_empty() {
                texts.insert(original.into(), translation.into());
            }
        }
        let head: &str = texts.get("").map(AsRef::as_ref).unwrap_or_default();
        if !head.to_ascii_lowercase().contains("charset=utf-8") {
            return Err(CatalogueError::Charset);
        }
        Ok(Self { texts })
    }
}

fn word(bytes: &[u8], at: usize, little: bool) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Content-Type: text/plain; charset=UTF-8\n";

    /// A file with these texts, sorted or not.
    fn file(texts: &[(&str, &str)], big: bool) -> Vec<u8> {
        let number = |n: usize| {
            let n = u32::try_from(n).unwrap();
            if big { n.to_be_bytes() } else { n.to_le_bytes() }
        };
        let tables = 28;
        let mut out: Vec<u8> = [MAGIC as usize, 0, texts.len(), tables, tables + 8 * texts.len(), 0, 0]
            .into_iter()
            .flat_map(number)
            .collect();
        let mut strings = Vec::new();
        let base = tables + 16 * texts.len();
        for text in texts.iter().map(|pair| pair.0).chain(texts.iter().map(|pair| pair.1)) {
            out.extend(number(text.len()));
            out.extend(number(base + strings.len()));
            strings.extend(text.bytes().chain([0]));
        }
        out.extend(strings);
        out
    }

    #[test]
    fn texts_are_found_in_either_byte_order() {
        for big in [false, true] {
            let catalogue =
                Catalogue::parse(&file(&[("", HEAD), ("Back", "Zurück"), ("Start", ""), ("a\0as", "x\0y")], big));
            let catalogue = catalogue.unwrap();
            assert_eq!(catalogue.get("Back"), Some("Zurück"));
            assert_eq!(catalogue.get("a"), Some("x"));
            assert_eq!(catalogue.get("Start"), None);
            assert_eq!(catalogue.get("Log in"), None);
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused_wherever_it_ends() {
        let whole = file(&[("", HEAD), ("Back", "Zurück")], false);
        assert!(Catalogue::parse(&whole).is_ok());
        // The last byte is a NUL that nobody counts.
        for length in 0..whole.len() - 1 {
            assert!(Catalogue::parse(&whole[..length]).is_err(), "{length}");
        }
        // Any single byte that is another one: refused or read, never a panic.
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = value;
                let _ = Catalogue::parse(&bytes);
            }
        }
        for (text, want) in [("charset=ISO-8859-1", "it is not in UTF-8"), ("", "it is not in UTF-8")] {
            assert_eq!(Catalogue::parse(&file(&[("", text)], false)).unwrap_err().to_string(), want);
        }
    }
}
