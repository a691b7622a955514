//! No text of the greeter's own is shown in English alone: each goes through gettext.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// What is read by whoever makes themes or reads logs, and is English everywhere.
const FOR_EXPERTS: &[&str] = &["preview", "theme"];

/// Where a sentence may stand without being marked: errors for the log, and the end of the program.
const UNSEEN: &[&str] = &["#[error(", "say(", "Fail(", "fail(", "anyhow!(", "expect(", "concat!(", ".context("];

/// The server's words, which are compared and not shown.
const COMPARED: &[&str] = &["pam_words.rs"];

fn greeter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/ldm-greeter")
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !FOR_EXPERTS.contains(&name.as_str()) {
                files(&path, extension, found);
            }
        } else if name.ends_with(extension) && !name.starts_with("tests") {
            found.push(path);
        }
    }
}

/// A literal and the code before it, back to the end of the statement before.
struct Literal {
    line: usize,
    before: String,
    text: String,
}

/// The string literals of a file above its tests, without comments. Raw strings and characters are known as far as they occur.
fn literals(source: &str) -> Vec<Literal> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let (mut found, mut before, mut line) = (Vec::new(), String::new(), 1);
    let mut characters = code.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => {
                line += 1;
                before.push(' ');
            }
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|next| *next != '\n').is_some() {},
            '\'' => {
                // A character, or a lifetime, which has no end.
                before.push('\'');
                let escaped = characters.next_if_eq(&'\\').is_some();
                let first = characters.next();
                if first.is_some() && (escaped || characters.peek() == Some(&'\'')) {
                    while characters.next().is_some_and(|next| next != '\'') {}
                }
            }
            '"' => {
                let mut text = String::new();
                let start = line;
                while let Some(next) = characters.next() {
                    match next {
                        '"' => break,
                        '\\' => text.extend(['\\', characters.next().unwrap()]),
                        '\n' => {
                            line += 1;
                            text.push('\n');
                        }
                        other => text.push(other),
                    }
                }
                found.push(Literal { line: start, before: before.clone(), text });
                before.push_str("\"\"");
            }
            ';' | '{' | '}' => before.clear(),
            other => before.push(other),
        }
    }
    found
}

/// Two words with a blank between them are a text for people.
fn is_sentence(text: &str) -> bool {
    let word = |word: &str| {
        word.chars().filter(|c| c.is_alphabetic()).count() >= 2 && !word.contains(['=', '_', '(', '%', '{'])
    };
    text.split(' ').collect::<Vec<_>>().windows(2).any(|pair| word(pair[0]) && word(pair[1]))
}

/// Whether the literal is what `call` is given.
fn follows(before: &str, call: &str) -> bool {
    before.rfind(call).is_some_and(|place| {
        let rest = &before[place + call.len()..];
        // Still inside: the call's own bracket has not been closed.
        let mut depth = 1;
        rest.chars().all(|c| {
            depth += match c {
                '(' | '[' => 1,
                ')' | ']' => -1,
                _ => 0,
            };
            depth > 0
        })
    })
}

#[test]
fn no_text_is_unmarked() {
    let mut sources = Vec::new();
    files(&greeter(), ".rs", &mut sources);
    assert!(sources.len() > 20, "{sources:?}");
    let (mut unmarked, mut marked) = (Vec::new(), 0);
    for path in sources {
        let name = path.file_name().unwrap().to_str().unwrap();
        for literal in literals(&fs::read_to_string(&path).unwrap()) {
            if follows(&literal.before, "gettext(") {
                marked += 1;
                continue;
            }
            let shown = ["set_text(", "set_label(", "set_title(", "set_tooltip_text(", "label(", "title(", " set("]
                .iter()
                .any(|call| follows(&literal.before, call) && literal.before.trim_end().ends_with(['(', ',']))
                && literal.text.chars().any(char::is_alphabetic)
                && !literal.before.contains("fill(");
            let sentence = is_sentence(&literal.text)
                && !COMPARED.contains(&name)
                && !UNSEEN.iter().any(|call| follows(&literal.before, call));
            if shown || sentence {
                unmarked.push(format!("{name}:{}: {:?}", literal.line, literal.text));
            }
        }
    }
    assert!(marked > 100, "only {marked} marked texts were found: the test looks wrong");
    assert_eq!(unmarked, Vec::<String>::new());
}

#[test]
fn descriptions_of_widgets_have_no_texts() {
    let mut descriptions = Vec::new();
    files(&greeter(), ".ui", &mut descriptions);
    assert!(descriptions.len() >= 4, "{descriptions:?}");
    for path in descriptions {
        let text = fs::read_to_string(&path).unwrap();
        for property in ["label", "title", "text", "tooltip-text", "tooltip-markup", "placeholder-text", "description"]
        {
            assert!(!text.contains(&format!("<property name=\"{property}\"")), "{}: {property}", path.display());
        }
        assert!(!text.contains("translatable"), "{}", path.display());
    }
}

#[test]
fn an_unmarked_text_is_noticed() {
    let of = |code: &str| {
        let found = literals(code);
        let last = found.last().unwrap();
        (last.text.clone(), follows(&last.before, "gettext("), is_sentence(&last.text))
    };
    assert_eq!(of(r#"label.set_text("Log in now")"#), ("Log in now".into(), false, true));
    assert_eq!(of(r#"set(&x, &gettext("Log in now"))"#), ("Log in now".into(), true, true));
    assert_eq!(of(r#"fill(&gettext("a"), "Log in")"#), ("Log in".into(), false, true));
    assert_eq!(of("'a' <'a> // \"no\"\n f(b'\"', \"two\\\"words here\")").0, "two\\\"words here");
}
