//! A style sheet as text: what it names, before GTK reads it and opens what it names.
//!
//! GTK would follow `url(…)` and `@import` anywhere, also over the network. So a theme's sheet may only name plain files of
//! its folder, and anything that could hide such a word from this reader (an escape, a string over the end of its line) is
//! refused. Everything that matters is read as CSS Syntax Level 3 says: comments, strings, `url(` with and without quotes.
//!
//! Neither may a sheet say what GTK would draw for minutes, or what needs all of a client's memory: [`limits`] has the measures.

#[path = "limits.rs"]
mod limits;

use self::limits::Declaration;

/// What stands in a sheet, each with its line, from 1.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// Files in `url(…)`.
    pub(crate) files: Vec<(String, usize)>,
    /// Files in `@import`.
    pub(crate) imports: Vec<(String, usize)>,
    /// `#name`s of selectors.
    pub(crate) names: Vec<(String, usize)>,
    /// `.class`es of selectors.
    pub(crate) classes: Vec<(String, usize)>,
    /// The lines of all selectors.
    pub(crate) selectors: Vec<usize>,
    /// Colours that are defined.
    pub(crate) defined: Vec<(String, usize)>,
    /// Colours that are used.
    pub(crate) used: Vec<(String, usize)>,
}

/// Rules of CSS that begin with `@`; every other such word is a colour.
const RULES: [&str; 8] =
    ["import", "define-color", "keyframes", "-gtk-keyframes", "binding-set", "charset", "media", "font-face"];

/// Functions that are not for themes, and why.
const REFUSED: [(&str, &str); 4] = [
    ("-gtk-icontheme", OUTSIDE),
    ("-gtk-win32-theme-part", OUTSIDE),
    ("-gtk-recolor", "-gtk-recolor(…) is for SVG, which a sheet may not name"),
    ("calc", "calc(…) is not allowed: write the length that it comes to"),
];

const OUTSIDE: &str = "an icon that is not of this theme: name a file with url(…)";

/// Reads a sheet; the error has its line.
pub(crate) fn scan(text: &str) -> Result<Sheet, (usize, String)> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        open: Vec::new(),
        defining: false,
        parts: 0,
        declaration: Declaration::default(),
        sheet: Sheet::default(),
    };
    match reader.all() {
        Ok(()) => match reader.open.pop() {
            None => Ok(reader.sheet),
            Some(line) => Err((line, "a “{” without its “}”".to_owned())),
        },
        Err(what) => Err((reader.line, what.to_owned())),
    }
}

/// Words and marks of one selector: GTK needs stack for each.
const PARTS: usize = 100;

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    /// The lines of braces that are open: names and classes count outside of declarations only.
    open: Vec<usize>,
    /// Between `@define-color` and its end.
    defining: bool,
    /// Words and marks outside of declarations, since the last separator.
    parts: usize,
    /// The one that is being read.
    declaration: Declaration<'a>,
    sheet: Sheet,
}

const ESCAPE: &str = "a backslash: escapes are not allowed, because they can hide what a sheet opens";

impl<'a> Reader<'a> {
    fn all(&mut self) -> Result<(), &'static str> {
        while let Some(c) = self.rest.chars().next() {
            if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").ok_or("a comment that does not end")?;
                self.skip(end + 2);
                continue;
            }
            self.parts = match c {
                _ if !self.open.is_empty() => 0,
                ',' | ';' | '{' | '}' => 0,
                c => self.parts + usize::from(!c.is_whitespace()),
            };
            if self.parts > PARTS {
                return Err("more than 100 words and marks in one selector or colour");
            }
            match c {
                '\\' => return Err(ESCAPE),
                '"' | '\'' => {
                    self.string()?;
                    continue;
                }
                '@' => {
                    self.skip(1);
                    let (name, line) = (self.word(), self.line);
                    self.at(name, line)?;
                    continue;
                }
                '#' | '.' if self.open.is_empty() && !self.defining => {
                    self.skip(1);
                    let (name, line) = (self.word(), self.line);
                    let list = if c == '#' { &mut self.sheet.names } else { &mut self.sheet.classes };
                    if !name.is_empty() {
                        list.push((name.to_owned(), line));
                    }
                    continue;
                }
                // A colour, which may look like a number.
                '#' => {
                    self.skip(1);
                    self.word();
                    continue;
                }
                ';' | '{' | '}' => {
                    self.declaration = Declaration::default();
                    if c == '{' && self.open.is_empty() {
                        self.sheet.selectors.push(self.line);
                    }
                    match c {
                        ';' => self.defining = false,
                        '{' => self.open.push(self.line),
                        _ => drop(self.open.pop()),
                    }
                }
                ',' if self.open.is_empty() && !self.defining => self.sheet.selectors.push(self.line),
                ':' | ',' | '(' | ')' if !self.open.is_empty() => self.declaration.mark(c)?,
                _ if !self.open.is_empty() && limits::begins_number(self.rest) => {
                    let (length, number) = limits::number(self.rest);
                    self.skip(length);
                    let unit = match self.rest.chars().next() {
                        Some('%') => "%",
                        // Another number, with its sign.
                        Some('-') if limits::begins_number(self.rest) => "",
                        _ => self.word(),
                    };
                    self.declaration.number(number, unit)?;
                    continue;
                }
                c if begins_word(c) => {
                    let name = self.word();
                    if !self.open.is_empty() {
                        self.declaration.word(name);
                    }
                    if self.rest.starts_with('(') {
                        self.function(name)?;
                    }
                    continue;
                }
                _ => {}
            }
            self.skip(c.len_utf8());
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }

    fn blanks(&mut self) {
        let blanks = self.rest.len() - self.rest.trim_start().len();
        self.skip(blanks);
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !(begins_word(c) || c.is_ascii_digit())).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        self.skip(end);
        word
    }

    fn string(&mut self) -> Result<&'a str, &'static str> {
        let quote = self.rest.chars().next().unwrap_or('"');
        self.skip(1);
        let end = self.rest.find([quote, '\\', '\n']).ok_or("a string that does not end")?;
        let inside = self.rest.get(..end).unwrap_or_default();
        match self.rest.get(end..).and_then(|rest| rest.chars().next()) {
            Some('\\') => Err(ESCAPE),
            Some('\n') => Err("a string that does not end on its line"),
            _ => {
                self.skip(end + 1);
                Ok(inside)
            }
        }
    }

    /// After `@name`.
    fn at(&mut self, name: &str, line: usize) -> Result<(), &'static str> {
        match name.to_ascii_lowercase().as_str() {
            "import" => {
                self.blanks();
                let file = match self.rest.chars().next() {
                    Some('"' | '\'') => self.string()?,
                    _ if self.word().eq_ignore_ascii_case("url") && self.rest.starts_with('(') => self.address()?,
                    _ => return Err("@import needs the name of a file in quotes"),
                };
                self.sheet.imports.push((file.to_owned(), line));
            }
            "define-color" => {
                self.blanks();
                let colour = self.word().to_owned();
                self.sheet.defined.push((colour, line));
                self.defining = true;
            }
            rule if RULES.contains(&rule) => {}
            _ => self.sheet.used.push((name.to_owned(), line)),
        }
        Ok(())
    }

    /// At the `(` behind a word.
    fn function(&mut self, name: &str) -> Result<(), &'static str> {
        let name = name.to_ascii_lowercase();
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return Err(why);
        }
        if name == "url" {
            let line = self.line;
            let file = self.address()?.to_owned();
            self.sheet.files.push((file, line));
        }
        Ok(())
    }

    /// What is in the parentheses of `url(…)`, with or without quotes.
    fn address(&mut self) -> Result<&'a str, &'static str> {
        self.skip(1);
        self.blanks();
        let inside = if self.rest.starts_with(['"', '\'']) {
            self.string()?
        } else {
            let end = self.rest.find(|c: char| c == ')' || c.is_whitespace()).ok_or("url( without an end")?;
            let inside = self.rest.get(..end).unwrap_or_default();
            if inside.contains('\\') {
                return Err(ESCAPE);
            }
            self.skip(end);
            inside
        };
        self.blanks();
        if !self.rest.starts_with(')') {
            return Err("url(…) takes the name of one file");
        }
        self.skip(1);
        Ok(inside)
    }
}

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '-' || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[(String, usize)]) -> Vec<(&str, usize)> {
        list.iter().map(|(name, line)| (name.as_str(), *line)).collect()
    }

    #[test]
    fn what_a_sheet_names_is_found() {
        let sheet = scan(
            "@define-color a #fff;\n/* url(no) #no\n @import 'no' */\n#card, .compact #bar:dir(rtl) { color: @a; \
             border-color: #abc; }\n#x { background: URL( \"b.png\" ), image(url(c.png)); width: 1.5px }\n\
             @import url('d.css');\n@IMPORT \"e.css\";\n@keyframes wait { from { opacity: 0.5; } }\n",
        )
        .unwrap();
        assert_eq!(names(&sheet.files), [("b.png", 5), ("c.png", 5)]);
        assert_eq!(names(&sheet.imports), [("d.css", 6), ("e.css", 7)]);
        assert_eq!(names(&sheet.names), [("card", 4), ("bar", 4), ("x", 5)]);
        assert_eq!(names(&sheet.classes), [("compact", 4)]);
        assert_eq!(names(&sheet.defined), [("a", 1)]);
        assert_eq!(names(&sheet.used), [("a", 4)]);
        assert_eq!(sheet.selectors, [4, 4, 5, 8]);
    }

    #[test]
    fn what_could_hide_something_is_refused() {
        for (text, line) in [
            ("a {\n background: u\\72l(x) }", 2),
            ("\n@\\69mport 'x';", 2),
            ("a { background: url(x\\2e y) }", 1),
            ("a { background: url(\"x\\\"y\") }", 1),
            ("a { background: url(x y) }", 1),
            ("a { background: url(x", 1),
            ("a { background: url(\"x\ny\") }", 1),
            ("/* no end", 1),
            ("a { color: red; }\n#b {\n color: red;\n#c { color: red; }\n", 2),
            ("@import file;", 1),
            ("a { background: -gtk-icontheme('x') }", 1),
        ] {
            assert_eq!(scan(text).unwrap_err().0, line, "{text}");
        }
    }

    #[test]
    fn what_takes_too_long_to_draw_is_refused() {
        for value in [
            "box-shadow: 0 0 101px red",
            "box-shadow: 0 0 5px -101px red",
            "TEXT-SHADOW: 0 0 1e3px red",
            "-gtk-icon-shadow: 0 0 99px red, 0 +200px blue",
            "text-shadow: 0 0 50em red",
            "text-shadow: 0 0 2in red",
            "box-shadow: 0 0 calc(99px * 9) red",
            "font-size: 201px",
            "font-size: 1100%",
            "font: 700 11em Sans",
            "-gtk-dpi: 1000",
            "box-shadow: 0 0 1-5000px red",
            "min-width: 10001px",
            "min-width: .1e9px",
            "filter: blur(1px)",
            "-gtk-icon-filter: opacity(0.5)",
            "background-image: -gtk-recolor(url(a.svg))",
        ] {
            assert_eq!(scan(&format!("a {{\n color: red; {value}; }}")).unwrap_err().0, 2, "{value}");
        }
        let shadows = ["0 0 1px red"; 9].join(",");
        assert!(scan(&format!("a {{ box-shadow: {shadows} }}")).is_err());
        assert!(scan(&format!("{} {{}}", ".a".repeat(101))).is_err());
        assert!(scan(&format!("{} {{}}", "* ".repeat(101))).is_err());
        let stops = vec!["red"; 70].join(",");
        assert!(scan(&format!("a {{ background-image: linear-gradient({stops}) }}")).is_err());
    }

    #[test]
    fn what_themes_say_is_allowed() {
        for value in [
            "box-shadow: 0 10px 34px rgba(0, 255, 0, 0.35), inset 0 -1px /* 999px */ #99999999",
            "font: bold 700 15px/1.2 \"Sans 5000px\"",
            "font-size: 120%",
            "transition: opacity 20000ms ease-in 99999s",
            "border-radius: 9999px 50%",
            "color: #1e9999; /* a b c */ color: red",
            "background: -0.5em center url(a5000px.png)",
        ] {
            assert!(scan(&format!("a:nth-child(20000) {{ {value}; }} #n99999 {{}}")).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_comment_in_a_string_or_an_address_hides_nothing() {
        let sheet = scan("a { background: url(/*x*/a.png); font-family: \"/*\"; } b { background: url(http://h/*/) }");
        assert_eq!(names(&sheet.unwrap().files), [("/*x*/a.png", 1), ("http://h/*/", 1)]);
    }
}
