//! What stands in the properties: bytes that any X client of the session has written. Pure.

use ldm_protocol::apps::{Program, Request, Word, is_variable};
use ldm_protocol::limits;
use serde::Deserialize;

use super::Asker;

/// Longest path of a working directory (`PATH_MAX`, limits.h).
const PATH: usize = 4096;

/// A line that is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Who may be told, if that much could be read.
    pub asker: Option<Asker>,
    /// Why, for the asker and the log.
    pub why: &'static str,
}

/// As much of a request as is needed for an answer.
#[derive(Deserialize)]
struct Name {
    #[serde(default)]
    id: String,
    #[serde(default)]
    window: Option<u32>,
}

/// The requests in a queue property: one a line, the last also without its end, as `xprop -set` writes it.
pub fn requests(value: &[u8]) -> impl Iterator<Item = Result<(Asker, Program), Bad>> {
    lines(value).map(|line| request(line).map_err(|why| Bad { asker: asker(line), why }))
}

/// Who asks for something in a queue that is not obeyed.
pub fn askers(value: &[u8]) -> impl Iterator<Item = Asker> {
    lines(value).filter_map(asker)
}

fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split(|b| *b == b'\n').map(|line| line.trim_ascii().trim_suffix_nul());
    lines.filter(|line| !line.is_empty())
}

fn asker(line: &[u8]) -> Option<Asker> {
    // A list would be taken for the fields in their order.
    if line.first() != Some(&b'{') {
        return None;
    }
    let Name { id, window } = serde_json::from_slice(line.get(..line.len().min(limits::APP_REQUEST))?).ok()?;
    is_id(&id).then_some(Asker { id, window, wait: false })
}

fn is_id(id: &str) -> bool {
    id.len() <= limits::APP_ID && !id.contains(char::is_control)
}

fn request(line: &[u8]) -> Result<(Asker, Program), &'static str> {
    if line.len() > limits::APP_REQUEST {
        return Err("the request is too long");
    }
    let Request { id, mut program, wait, window } =
        serde_json::from_slice(line).map_err(|_| "the request is not JSON of the right kind")?;
    if !is_id(&id) {
        return Err("the id is too long, or no text");
    }
    program.env.retain(|name, _| is_variable(name));
    check(&program)?;
    Ok((Asker { id, window, wait }, program))
}

fn check(program: &Program) -> Result<(), &'static str> {
    let argv = &program.argv;
    if argv.first().is_none_or(|word| word.0.is_empty()) {
        return Err("no program is named");
    }
    if program.open && argv.len() != 1 {
        return Err("one thing can be opened at a time");
    }
    if argv.len() > limits::APP_WORDS || argv.iter().map(|word| word.0.len() + 1).sum::<usize>() > limits::APP_BYTES {
        return Err("the command line is too long");
    }
    if argv.iter().chain(&program.cwd).any(|word| word.0.contains(&0)) {
        return Err("a word holds a NUL, or is not in base64");
    }
    if program.cwd.as_ref().is_some_and(|cwd| cwd.0.len() > PATH || cwd.0.first() != Some(&b'/')) {
        return Err("the working directory is no absolute path");
    }
    let odd = |value: &String| value.len() > limits::APP_VARIABLE || value.contains(char::is_control);
    if program.env.len() > limits::APP_VARIABLES || program.env.values().any(odd) {
        return Err("the variables are too many, too long, or no text");
    }
    Ok(())
}

/// The program in one of the original's slots; `None` if it is empty, which is how the original left it.
pub fn old(value: &[u8]) -> Result<Option<Program>, &'static str> {
    let argv = words(value.trim_suffix_nul()).ok_or("a quote is left open")?;
    if argv.is_empty() {
        return Ok(None);
    }
    let program = Program { argv: argv.into_iter().map(Word).collect(), ..Program::default() };
    check(&program)?;
    Ok(Some(program))
}

/// Whether one of the original's flags says yes.
pub fn old_flag(value: &[u8]) -> bool {
    value.trim_suffix_nul().trim_ascii().eq_ignore_ascii_case(b"true")
}

/// Splits as sh(1) does ("Quoting" in POSIX.1, XCU 2.2), and does nothing else of what a shell does: `$`, backquotes, `;`, `*` and
/// `~` are characters like others. `None`: a quote is left open.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b if b.is_ascii_whitespace() => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        b => word.push(b),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => match bytes.next()? {
                            b @ (b'"' | b'\\' | b'$' | b'`') => word.push(b),
                            b => word.extend([b'\\', b]),
                        },
                        b => word.push(b),
                    }
                }
            }
            b'\\' => word.get_or_insert_default().push(bytes.next()?),
            b => word.get_or_insert_default().push(b),
        }
    }
    words.extend(word);
    Some(words)
}

trait TrimNul {
    /// Without the NULs that C programs leave at the end.
    fn trim_suffix_nul(&self) -> &[u8];
}

impl TrimNul for [u8] {
    fn trim_suffix_nul(&self) -> &[u8] {
        let end = self.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&[u8]]) -> Vec<Word> {
        words.iter().map(|word| Word(word.to_vec())).collect()
    }

    fn one(line: &str) -> Result<(Asker, Program), Bad> {
        let mut all: Vec<_> = requests(line.as_bytes()).collect();
        assert_eq!(all.len(), 1, "{line}");
        all.remove(0)
    }

    #[test]
    fn requests_as_they_are_written() {
        let value = b"{\"id\":\"a\",\"argv\":[\"xterm\",\"-e\",\"echo $(x) 'y'\\n\"],\"wait\":true,\"window\":7}\n\n\
            {\"argv\":[{\"base64\":\"/w==\"},\"\"],\"cwd\":\"/srv\",\"env\":{\"LANG\":\"C\",\"LD_PRELOAD\":\"/x\",\"PATH\":\"\"},\"new\":[1]}\0";
        let all: Vec<_> = requests(value).map(Result::unwrap).collect();
        assert_eq!(all[0].0, Asker { id: "a".into(), window: Some(7), wait: true });
        assert_eq!(all[0].1.argv, argv(&[b"xterm", b"-e", b"echo $(x) 'y'\n"]));
        assert_eq!(all[1].0, Asker { id: String::new(), window: None, wait: false });
        assert_eq!(all[1].1.argv, argv(&[b"\xff", b""]));
        assert_eq!(all[1].1.cwd, Some(Word(b"/srv".to_vec())));
        assert_eq!(all[1].1.env.keys().collect::<Vec<_>>(), ["LANG"]);
        assert_eq!(all.len(), 2);
        assert_eq!(requests(b"").count() + requests(b"\n \0\n").count(), 0);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_and_told() {
        let long = "x".repeat(limits::APP_BYTES);
        let many = "\"x\",".repeat(limits::APP_WORDS);
        let variable = |n: usize| [",\"LC_X", &"X".repeat(n), "\":\"C\""].concat();
        let variables: String = (0..=limits::APP_VARIABLES).map(variable).collect();
        for rest in [
            String::new(),
            "\"argv\":[]".into(),
            "\"argv\":[\"\"]".into(),
            "\"argv\":\"xterm\"".into(),
            "\"argv\":[1]".into(),
            "\"argv\":[null]".into(),
            "\"argv\":[\"a\\u0000b\"]".into(),
            "\"argv\":[{\"base64\":\"%\"}]".into(),
            "\"argv\":[\"a\"],\"cwd\":\"a\\u0000\"".into(),
            "\"argv\":[\"a\"],\"cwd\":\"etc\"".into(),
            format!("\"argv\":[\"a\"],\"cwd\":\"/{}\"", "x".repeat(PATH)),
            "\"argv\":[\"a\",\"b\"],\"open\":true".into(),
            "\"argv\":[\"a\"],\"env\":{\"LANG\":\"a\\nb\"}".into(),
            format!("\"argv\":[\"a\"],\"env\":{{\"LANG\":\"{}\"}}", "x".repeat(limits::APP_VARIABLE + 1)),
            format!("\"argv\":[\"a\"],\"env\":{{\"LANG\":\"C\"{variables}}}"),
            "\"argv\":[\"a\"],\"wait\":\"yes\"".into(),
            format!("\"argv\":[\"{long}\"]"),
            format!("\"argv\":[{many}\"x\"]"),
        ] {
            let comma = if rest.is_empty() { "" } else { "," };
            let bad = one(&format!("{{\"id\":\"7\",\"window\":9{comma}{rest}}}")).unwrap_err();
            let asker = Asker { id: "7".into(), window: Some(9), wait: false };
            assert_eq!(bad.asker, Some(asker), "{}", &rest[..rest.len().min(80)]);
        }
    }

    #[test]
    fn whom_nobody_can_name_nobody_answers() {
        let long_id = format!("{{\"id\":\"{}\",\"argv\":[\"a\"]}}", "x".repeat(limits::APP_ID + 1));
        let deep = "[".repeat(100_000);
        for line in ["xterm", "{", "[]", "7", "\u{feff}{}", "{\"id\":\"a\\nb\"}", "{\"window\":-1}", &long_id, &deep] {
            assert_eq!(one(line).unwrap_err().asker, None, "{}", &line[..line.len().min(80)]);
        }
        let huge = format!("{{\"id\":\"1\",\"argv\":[\"{}\"]}}", "x".repeat(limits::APP_REQUEST));
        assert_eq!(one(&huge).unwrap_err().why, "the request is too long");
        assert_eq!(requests(b"\xff\xfe\n{\"argv\":[\"\xff\"]}").filter(Result::is_err).count(), 2);
    }

    #[test]
    fn a_bad_line_does_not_spoil_its_neighbours() {
        let value = b"{\"argv\":[\"a\"]}\nrubbish{\"argv\":[\"b\"]}\n{\"argv\":[\"c\"]}\n{\"argv\":[\"d\"";
        let good: Vec<_> = requests(value).filter_map(Result::ok).map(|(_, program)| program.argv).collect();
        assert_eq!(good, [argv(&[b"a"]), argv(&[b"c"])]);
    }

    #[test]
    fn old_command_lines_are_words_and_nothing_else() {
        for (line, want) in [
            (&b"xterm -e top"[..], &[&b"xterm"[..], b"-e", b"top"][..]),
            (b"xterm\0", &[b"xterm"]),
            (b"  firefox \t http://a/?b=c&d \n\0\0", &[b"firefox", b"http://a/?b=c&d"]),
            (b"soffice \"/home/u/My file.odt\"", &[b"soffice", b"/home/u/My file.odt"]),
            (b"sh -c 'echo \"$HOME\"; `id`'", &[b"sh", b"-c", b"echo \"$HOME\"; `id`"]),
            (b"x $(rm -rf /) ; y * ~ | z &", &[b"x", b"$(rm", b"-rf", b"/)", b";", b"y", b"*", b"~", b"|", b"z", b"&"]),
            (b"x \"\\\"\\$\\\\\\a\" \\'b\\ c '' d''e", &[b"x", b"\"$\\\\a", b"'b c", b"", b"de"]),
            (b"x \xe4\xff", &[b"x", b"\xe4\xff"]),
        ] {
            assert_eq!(old(line).unwrap().unwrap().argv, argv(want), "{}", line.escape_ascii());
        }
        for empty in [&b""[..], b"\0", b"  \n"] {
            assert_eq!(old(empty), Ok(None));
        }
        for bad in [&b"x 'y"[..], b"x \"y", b"x\\", b"x\0y", b"''", &vec![b'x'; limits::APP_BYTES]] {
            assert!(old(bad).is_err());
        }
        assert!(old_flag(b"true") && old_flag(b"True\0") && old_flag(b" true\n"));
        assert!(!old_flag(b"") && !old_flag(b"false") && !old_flag(b"truely"));
    }
}
