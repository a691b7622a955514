//! A session's command out of the value of `Exec`. Pure.

use ldm_protocol::desktop_entry;

/// Longest value that is taken.
const MAX_BYTES: usize = 4096;

/// A session's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<String>,
    text: String,
}

impl CommandLine {
    /// Parses an unescaped `Exec` value. `None`: empty, too long, an open quote, or control characters.
    pub fn parse(exec: &str) -> Option<Self> {
        if exec.len() > MAX_BYTES || exec.chars().any(char::is_control) {
            return None;
        }
        let words = desktop_entry::words(exec)?;
        let first = words.first().filter(|w| !w.is_empty())?;
        if first.starts_with('-') || first.contains('=') {
            return None;
        }
        // Debian's Xsession splits its argument at blanks and knows no quotes. Where unquoting loses nothing, do it for it.
        let splittable =
            |w: &String| !w.is_empty() && !w.contains(|c: char| c.is_whitespace() || "*?[\\'\"".contains(c));
        let text =
            if words.iter().all(splittable) { words.join(" ") } else { without_field_codes(exec).trim().to_owned() };
        Some(Self { words, text })
    }

    /// The command as arguments.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The program: the first word.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The command as Xsession's one argument.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn without_field_codes(exec: &str) -> String {
    let mut out = String::with_capacity(exec.len());
    let mut chars = exec.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next() {
                Some('%') => out.push('%'),
                Some(c) if c.is_whitespace() => out.push(c),
                _ => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_text() {
        for (exec, words, text) in [
            ("startxfce4", vec!["startxfce4"], "startxfce4"),
            ("  a   b  ", vec!["a", "b"], "a b"),
            ("a %U b %% c%f", vec!["a", "b", "%", "c"], "a b % c"),
            ("a %", vec!["a"], "a"),
            (r#""/opt/x" --y"#, vec!["/opt/x", "--y"], "/opt/x --y"),
            (r#"sh -c "a b""#, vec!["sh", "-c", "a b"], r#"sh -c "a b""#),
            (r#"x "\"\$\\\a" y"#, vec!["x", r#""$\\a"#, "y"], r#"x "\"\$\\\a" y"#),
            (r"x 'a b'\ c", vec!["x", "a b c"], r"x 'a b'\ c"),
            ("x \"\"", vec!["x", ""], "x \"\""),
            ("env A=1 prog", vec!["env", "A=1", "prog"], "env A=1 prog"),
            ("x $(rm) ;y", vec!["x", "$(rm)", ";y"], "x $(rm) ;y"),
        ] {
            let line = CommandLine::parse(exec).unwrap_or_else(|| panic!("{exec}"));
            assert_eq!(
                (line.words(), line.text()),
                (&words.iter().map(ToString::to_string).collect::<Vec<_>>()[..], text),
                "{exec}"
            );
        }
    }

    #[test]
    fn refuses_what_cannot_be_started() {
        let long = "x".repeat(MAX_BYTES + 1);
        for exec in ["", "  ", "%U", "\"a", "'a", "a\\", "a\nb", "a\0b", "\"\" a", "-x", "A=1 b", long.as_str()] {
            assert_eq!(CommandLine::parse(exec), None, "{exec:?}");
        }
    }
}
