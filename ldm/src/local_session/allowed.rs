//! What may be started: pure decisions on hostile requests, apart from looking programs up.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use ldm_protocol::apps::{Program, Refusal};
use ldm_protocol::limits;

/// Where names of programs are looked up; also the `PATH` of programs.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
/// Longest address that is opened. Browsers take far less for sensible.
const ADDRESS: usize = 8192;

/// What the administrator has set, and where the user's files are.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// `LOCAL_APPS_WHITELIST`; empty: all.
    pub(super) allowed: Vec<String>,
    /// `LOCAL_APPS_OPEN`; empty: nothing is opened.
    pub(super) open: Vec<String>,
    /// Home and extra mounts: what is below them may be opened.
    pub(super) roots: Vec<PathBuf>,
}

/// What is to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// An absolute path.
    pub(super) program: PathBuf,
    /// What follows it.
    pub(super) args: Vec<OsString>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Refusal,
    pub(super) detail: String,
}

fn refused(reason: Refusal, detail: &str) -> Refused {
    Refused { reason, detail: detail.to_owned() }
}

impl Rules {
    /// Whether and how a request is carried out.
    pub(super) fn decide(&self, request: &Program) -> Result<Command, Refused> {
        check_bounds(request)?;
        let mut words = request.argv.iter().map(|word| OsString::from_vec(word.0.clone()));
        let first = words.next().unwrap_or_default();
        if request.open {
            return self.open(first);
        }
        Ok(Command { program: self.program(&first)?, args: words.collect() })
    }

    fn program(&self, asked: &OsStr) -> Result<PathBuf, Refused> {
        let path = Path::new(asked);
        let found = if path.is_absolute() {
            path.to_owned()
        } else if asked.as_bytes().contains(&b'/') {
            return Err(refused(Refusal::BadRequest, "a program is named by a name or by an absolute path"));
        } else {
            find(asked).ok_or_else(|| refused(Refusal::NotFound, &asked.to_string_lossy()))?
        };
        if self.allowed.is_empty() {
            return Ok(found);
        }
        // The entry is executed, not what was asked for: whoever asked may change what their own links lead to.
        let entries = self.allowed.iter().filter_map(|entry| listed(OsStr::new(entry)));
        entries
            .filter(|entry| entry.file_name() == found.file_name())
            .find(|entry| fs::canonicalize(entry).is_ok_and(|entry| fs::canonicalize(&found).is_ok_and(|f| f == entry)))
            .ok_or_else(|| refused(Refusal::NotAllowed, &asked.to_string_lossy()))
    }

    fn open(&self, what: OsString) -> Result<Command, Refused> {
        let Some((program, args)) = self.open.split_first() else {
            return Err(refused(Refusal::Off, "LOCAL_APPS_OPEN is not set on this client"));
        };
        if !is_address(what.as_bytes()) && !self.is_file(Path::new(&what)) {
            let why = "only web and mail addresses and the user's own files are opened";
            return Err(refused(Refusal::NotAllowed, why));
        }
        let program = listed(OsStr::new(program)).ok_or_else(|| refused(Refusal::NotFound, program))?;
        Ok(Command { program, args: args.iter().map(OsString::from).chain([what]).collect() })
    }

    /// Whether it is a plain path below one of the directories that hold the user's files.
    fn is_file(&self, path: &Path) -> bool {
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let quiet = !path.as_os_str().as_bytes().iter().any(u8::is_ascii_control);
        plain && quiet && self.roots.iter().any(|root| path != root && path.starts_with(root))
    }
}

/// What an administrator wrote: a path, or a name.
fn listed(entry: &OsStr) -> Option<PathBuf> {
    if Path::new(entry).is_absolute() { Some(PathBuf::from(entry)) } else { find(entry) }
}

/// The program of this name in [`PATH`].
fn find(name: &OsStr) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if name.is_empty() || name == "." || name == ".." {
        return None;
    }
    PATH.split(':').map(|dir| Path::new(dir).join(name)).find(is_program)
}

fn check_bounds(request: &Program) -> Result<(), Refused> {
    let bad = |why| Err(refused(Refusal::BadRequest, why));
    let bytes: usize = request.argv.iter().map(|word| word.0.len() + 1).sum();
    if request.argv.first().is_none_or(|word| word.0.is_empty()) {
        return bad("no program is named");
    }
    if request.argv.len() > limits::APP_WORDS || bytes > limits::APP_BYTES || request.env.len() > limits::APP_VARIABLES
    {
        return bad("the request is too long");
    }
    if request.cwd.as_ref().is_some_and(|cwd| cwd.0.first() != Some(&b'/')) {
        return bad("the working directory is no absolute path");
    }
    let words = request.argv.iter().chain(&request.cwd).map(|word| word.0.as_slice());
    if words.chain(request.env.values().map(String::as_bytes)).any(|word| word.contains(&0)) {
        return bad("there is a NUL in it");
    }
    if request.open && request.argv.len() != 1 {
        return bad("one address or path is opened at a time");
    }
    Ok(())
}

/// Whether it is an address (RFC 3986) that a browser or mail program may be given: it cannot be taken for an option or for
/// several words.
fn is_address(text: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| text.len() <= ADDRESS) else { return false };
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let shaped = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "ftp" => {
            rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        }
        "mailto" => !rest.is_empty() && !rest.starts_with('-'),
        _ => false,
    };
    shaped && !text.contains(|c: char| c.is_control() || c.is_whitespace() || "\"<>\\^`{|}".contains(c))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use ldm_protocol::apps::Word;

    use super::*;

    fn request(words: &[&str]) -> Program {
        let argv = words.iter().map(|word| Word(word.as_bytes().to_vec())).collect();
        Program { argv, ..Program::default() }
    }

    fn rules(allowed: &[&str]) -> Rules {
        Rules { allowed: allowed.iter().map(|&word| word.to_owned()).collect(), ..Rules::default() }
    }

    fn decide(rules: &Rules, words: &[&str]) -> Result<String, Refusal> {
        rules.decide(&request(words)).map(|c| c.program.to_string_lossy().into_owned()).map_err(|r| r.reason)
    }

    fn program(path: &Path) -> String {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn without_a_list_everything_may_be_started() {
        let all = rules(&[]);
        assert_eq!(decide(&all, &["env", "-i"]).unwrap(), "/usr/bin/env");
        assert_eq!(decide(&all, &["/opt/x y/z"]).unwrap(), "/opt/x y/z");
        assert_eq!(decide(&all, &["no-such-program"]), Err(Refusal::NotFound));
        for bad in [&["./env"][..], &["bin/env"], &[""], &[], &["..//env"]] {
            assert_eq!(decide(&all, bad), Err(Refusal::BadRequest), "{bad:?}");
        }
        for odd in [".", ".."] {
            assert_eq!(decide(&all, &[odd]), Err(Refusal::NotFound));
        }
        let command = all.decide(&request(&["env", "a b", "", "$(x)"])).unwrap();
        assert_eq!(command.args, ["a b", "", "$(x)"]);
    }

    #[test]
    fn a_list_names_files_and_the_names_they_are_called_by() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let (good, other) = (program(&dir.path().join("good")), program(&dir.path().join("other")));
        fs::create_dir(dir.path().join("mine")).unwrap();
        // The same name, another program; the same program under the same and under another name.
        let impostor = program(&dir.path().join("mine/other"));
        symlink(&good, dir.path().join("mine/good")).unwrap();
        symlink(&good, dir.path().join("alias")).unwrap();
        let list = rules(&[&good, "env", &at("nonexistent")]);
        assert_eq!(decide(&list, &[&good]).unwrap(), good);
        // What is executed is the entry.
        assert_eq!(decide(&list, &[&at("mine/good")]).unwrap(), good);
        assert_eq!(decide(&list, &[&at("mine/../good")]).unwrap(), good);
        assert_eq!(decide(&list, &["env"]).unwrap(), "/usr/bin/env");
        assert_eq!(decide(&list, &["/bin/env"]).unwrap(), "/usr/bin/env");
        for denied in [&other, &impostor, &at("alias"), "/bin/sh", "sh", &at("nonexistent"), &at("missing/good")] {
            assert_eq!(decide(&list, &[denied]), Err(Refusal::NotAllowed), "{denied}");
        }
        // The administrator's own link may be called by its name, and lends that to nobody.
        let link = rules(&[&at("alias")]);
        assert_eq!(decide(&link, &[&at("alias")]).unwrap(), at("alias"));
        assert_eq!(decide(&link, &[&good]), Err(Refusal::NotAllowed));
        assert_eq!(decide(&rules(&[&other]), &[&impostor]), Err(Refusal::NotAllowed));
    }

    #[test]
    fn bounds() {
        let all = rules(&[]);
        let refuse = |program: Program| assert_eq!(all.decide(&program).unwrap_err().reason, Refusal::BadRequest);
        refuse(request(&vec!["env"; limits::APP_WORDS + 1]));
        refuse(request(&["env", &"x".repeat(limits::APP_BYTES)]));
        refuse(request(&["env", "a\0b"]));
        refuse(Program { cwd: Some(Word(vec![b'/', 0])), ..request(&["env"]) });
        refuse(Program { cwd: Some(Word(b"tmp".to_vec())), ..request(&["env"]) });
        let env = |count: usize| (0..count).map(|n| (format!("LC_{n}"), String::new())).collect();
        refuse(Program { env: env(limits::APP_VARIABLES + 1), ..request(&["env"]) });
        refuse(Program { env: [("TZ".to_owned(), "\0".to_owned())].into(), ..request(&["env"]) });
        refuse(Program { open: true, ..request(&["http://a", "http://b"]) });
        all.decide(&Program { env: env(limits::APP_VARIABLES), ..request(&["env", &"x".repeat(100_000)]) }).unwrap();
    }

    #[test]
    fn addresses_and_files_are_opened_and_nothing_else() {
        let rules = Rules {
            open: vec!["env".into(), "--new".into()],
            roots: vec!["/home/alice".into(), "/srv/a b".into()],
            ..Rules::default()
        };
        let open = |rules: &Rules, what: &str| rules.decide(&Program { open: true, ..request(&[what]) });
        for good in [
            "http://example.org",
            "HTTPS://example.org:8080/a?b=$(c)&d='e';#f",
            "ftp://x/y",
            "mailto:a@b.example?subject=x%20y",
            "http://münchen.example/ü",
            "/home/alice/a b.pdf",
            "/srv/a b/c",
        ] {
            let command = open(&rules, good).unwrap();
            assert_eq!(command.program, Path::new("/usr/bin/env"));
            assert_eq!(command.args, ["--new", good]);
        }
        let long = format!("http://x/{}", "y".repeat(ADDRESS));
        for bad in [
            "-x",
            "--help",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:",
            "http://",
            "http:///x",
            "http://a b",
            "http://a\nb",
            "http://a\"b",
            "mailto:",
            "mailto:-x",
            " http://a",
            "/etc/passwd",
            "/home/alice",
            "/home/alice/../bob/x",
            "/home/alicex/y",
            "home/alice/x",
            "/home/alice/a\nb",
            "chrome://settings",
            &long,
        ] {
            assert_eq!(open(&rules, bad).unwrap_err().reason, Refusal::NotAllowed, "{bad}");
        }
        assert_eq!(open(&Rules::default(), "http://a").unwrap_err().reason, Refusal::Off);
        let missing = Rules { open: vec!["no-such-program".into()], ..rules };
        assert_eq!(open(&missing, "http://a").unwrap_err().reason, Refusal::NotFound);
    }
}
