//! `remoteapp`: runs one program in a session that runs, because a program on the client asked for it.
//!
//! The session is found by its directory, and the program gets the environment that the session's own programs have, its
//! marker included: so it ends with the session like each of them. It does not end with the channel it was asked for on.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use ldm_protocol::apps::{Event, Program, Refusal, is_variable};
use ldm_protocol::services::{RemoteRequest, is_openable};
use ldm_protocol::{limits, text};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{AccessFlags, access};

use crate::account::is_program;
use crate::error_log::ErrorLog;
use crate::processes::Marker;
use crate::request::{self, note};
use crate::session_directory::SessionDirectory;
use crate::{error_log, processes, sys};

/// A request with its directory and what JSON needs around both.
const REQUEST: u64 = limits::APP_REQUEST as u64 + 4096;

/// Bytes of standard error in which its last lines are looked for.
const TAIL: usize = 16 * 1024;

/// Opens a file or an address with what the user has chosen for it.
const OPENER: &str = "xdg-open";

/// What belongs to the one process that had it.
const OF_ONE_PROCESS: [&str; 7] =
    ["_", "PWD", "OLDPWD", "SHLVL", "WINDOWID", "DESKTOP_STARTUP_ID", "XDG_ACTIVATION_TOKEN"];

type Environment = BTreeMap<OsString, OsString>;

/// Why it is not started, as it goes to who asked.
#[derive(Debug, PartialEq, Eq)]
struct Refused(Refusal, String);

fn failed(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Refused {
    Refused(Refusal::Failed, format!("{what}: {error}"))
}

fn bad(why: &str) -> Refused {
    Refused(Refusal::BadRequest, why.to_owned())
}

/// Reads the request, runs the program, reports both ends of it. Returns whether it was started.
pub fn run(stdin: File) -> bool {
    match read(stdin).and_then(|request| Running::start(&request)) {
        Ok(running) => {
            // Whether anybody is told makes no difference to the program.
            let _ = request::write_line(&Event::Started);
            let ended = running.see_through();
            let _ = request::write_line(&ended);
            true
        }
        Err(Refused(reason, detail)) => {
            let detail = text::sanitise_line(&detail, limits::LOG_TAIL_LINE);
            let _ = request::write_line(&Event::Refused { reason, detail });
            false
        }
    }
}

fn read(stdin: File) -> Result<RemoteRequest, Refused> {
    let mut line = Vec::new();
    let read = BufReader::new(stdin).take(REQUEST + 1).read_until(b'\n', &mut line);
    read.map_err(|error| bad(&error.to_string()))?;
    if line.len() as u64 > REQUEST {
        return Err(bad("the request is too long"));
    }
    let request: RemoteRequest = serde_json::from_slice(&line).map_err(|_| bad("not a request"))?;
    check(&request.program).map_err(bad)?;
    Ok(request)
}

fn check(program: &Program) -> Result<(), &'static str> {
    let bytes: usize = program.argv.iter().map(|word| word.0.len() + 1).sum();
    let has_nul = program.argv.iter().chain(&program.cwd).any(|word| word.0.contains(&0));
    let values = program.env.values().all(|value| !value.contains('\0') && value.len() <= limits::APP_VARIABLE);
    if program.cwd.as_ref().is_some_and(|cwd| cwd.0.first() != Some(&b'/')) {
        return Err("the working directory is no absolute path");
    }
    match &program.argv[..] {
        [] => Err("no program is named"),
        [word, ..] if word.0.is_empty() => Err("no program is named"),
        _ if has_nul => Err("there is a NUL in it"),
        _ if program.argv.len() > limits::APP_WORDS || bytes > limits::APP_BYTES => Err("the command line is too long"),
        _ if program.env.len() > limits::APP_VARIABLES || !values => Err("the environment is too large"),
        [word] if program.open && is_openable(&word.0) => Ok(()),
        _ if program.open => Err("only one absolute path or one address can be opened"),
        _ => Ok(()),
    }
}

/// The environment of the session's programs: that of the oldest process which knows most of what a desktop tells its own,
/// among those that are on the session's display and not on one inside it.
fn session_environment(environments: &[Vec<u8>]) -> Option<Environment> {
    let parsed: Vec<Environment> = environments.iter().map(|environment| parse(environment)).collect();
    let display = parsed.iter().find_map(|environment| environment.get(OsStr::new("DISPLAY")))?;
    let known = |environment: &Environment| {
        ["DBUS_SESSION_BUS_ADDRESS", "SESSION_MANAGER"]
            .iter()
            .filter(|name| environment.contains_key(OsStr::new(name)))
            .count()
    };
    let here = parsed.iter().filter(|environment| environment.get(OsStr::new("DISPLAY")) == Some(display));
    // The last of equals is what max_by_key takes.
    let mut best = here.rev().max_by_key(|environment| known(environment))?.clone();
    for name in OF_ONE_PROCESS {
        best.remove(OsStr::new(name));
    }
    Some(best)
}

fn parse(environment: &[u8]) -> Environment {
    let settings = environment.split(|&b| b == 0).filter_map(|setting| {
        let equals = setting.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
        let (name, value) = setting.split_at(equals);
        Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value.get(1..)?).to_owned()))
    });
    settings.collect()
}

/// What is executed for the first word of a command line.
fn find(word: &OsStr, cwd: &Path, environment: &Environment) -> Result<PathBuf, Refused> {
    let path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = if word.as_bytes().contains(&b'/') {
        Some(cwd.join(word)).filter(|path| is_program(path))
    } else {
        std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(word))
            .find(|path| is_program(path))
    };
    found.ok_or_else(|| Refused(Refusal::NotFound, word.to_string_lossy().into_owned()))
}

struct Running {
    child: Child,
    /// Until its end.
    stderr: Option<ChildStderr>,
    log: ErrorLog,
    signals: SignalFd,
    directory: SessionDirectory,
    /// Readable when the session's helper has ended.
    session: Option<OwnedFd>,
    tail: VecDeque<u8>,
}

impl Running {
    fn start(request: &RemoteRequest) -> Result<Self, Refused> {
        let directory = SessionDirectory::open(&request.directory).map_err(|e| Refused(Refusal::Off, e.to_string()))?;
        if Marker::is_dead(directory.marker().as_str()) {
            return Err(Refused(Refusal::Off, "the session is over".to_owned()));
        }
        let session = directory.marker().helper();
        let mut environment = session_environment(&processes::environments(directory.marker()))
            .ok_or_else(|| failed("the session", "none of its processes has a DISPLAY"))?;
        let program = &request.program;
        for (name, value) in program.env.iter().filter(|(name, _)| is_variable(name)) {
            environment.insert(name.into(), value.into());
        }
        let home = environment.get(OsStr::new("HOME")).map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let asked = program.cwd.as_ref().filter(|_| !program.open);
        let asked = asked.map(|cwd| PathBuf::from(OsString::from_vec(cwd.0.clone())));
        let can_enter = |dir: &Path| dir.is_dir() && access(dir, AccessFlags::X_OK).is_ok();
        if let Some(dir) = asked.as_deref().filter(|dir| !can_enter(dir)) {
            // The client has others.
            note(&format!("{}: cannot be entered; the program starts at home", dir.display()));
        }
        let opener = program.open.then(|| OsString::from(OPENER));
        let words = opener.into_iter().chain(program.argv.iter().map(|word| OsString::from_vec(word.0.clone())));
        let words: Vec<OsString> = words.collect();
        let (name, arguments) = words.split_first().ok_or_else(|| bad("no program is named"))?;
        // `./x` is what is in the directory that was asked for, and nothing else.
        let path = find(name, asked.as_ref().unwrap_or(&home), &environment)?;
        let cwd = asked.into_iter().chain([home.clone()]).find(|dir| can_enter(dir)).unwrap_or_else(|| "/".into());

        let signals = child_signal().map_err(|e| failed("signals", e))?;
        let log = ErrorLog::open(&home);
        let mut command = Command::new(&path);
        command.arg0(name).args(arguments).env_clear().envs(&environment).current_dir(&cwd);
        command.stdin(Stdio::null()).stdout(log.stdio()).stderr(Stdio::piped());
        sys::detach(&mut command);
        let mut child = command.spawn().map_err(|e| failed(path.display(), e))?;
        let stderr = child.stderr.take().ok_or_else(|| failed("standard error", "not there"))?;
        fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed("standard error", e))?;
        Ok(Self { child, stderr: Some(stderr), log, signals, directory, session, tail: VecDeque::new() })
    }

    /// Waits for the program's end.
    fn see_through(mut self) -> Event {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                // Only when somebody else has reaped it.
                Err(error) => {
                    note(&format!("the program's end is not known: {error}"));
                    break ExitStatus::from_raw(Signal::SIGKILL as i32);
                }
            }
            self.wait();
        };
        self.drain();
        let ended = Event::Ended {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            signal: status.signal(),
            stderr: last_lines(self.tail.make_contiguous()),
        };
        if let Some(stderr) = self.stderr {
            pass_on(stderr, self.log.file(), &self.directory);
        }
        ended
    }

    /// Until something may have changed.
    fn wait(&mut self) {
        let watched =
            [Some(self.signals.as_fd()), self.stderr.as_ref().map(AsFd::as_fd), self.session.as_ref().map(AsFd::as_fd)];
        let mut polled: Vec<PollFd> = watched.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut polled, PollTimeout::NONE);
        let session_over = self.session.is_some() && polled.last().and_then(PollFd::any) == Some(true);
        while let Ok(Some(_)) = self.signals.read_signal() {}
        self.drain();
        if session_over {
            self.session = None;
            processes::end(self.directory.marker());
        }
    }

    /// Reads what is there of standard error, which is closed when no more can come. Once the program has ended, no more than a
    /// pipe holds (pipe(7)) is from it; what it left running may write without end.
    fn drain(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            let Some(stderr) = &mut self.stderr else { return };
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(n) => {
                    let fresh = buffer.get(..n).unwrap_or_default();
                    self.tail.extend(fresh);
                    let surplus = self.tail.len().saturating_sub(TAIL);
                    self.tail.drain(..surplus);
                    if let Some(mut log) = self.log.file() {
                        let _ = log.write_all(fresh);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.stderr = None,
            }
        }
    }
}

fn child_signal() -> nix::Result<SignalFd> {
    let set = SigSet::from(Signal::SIGCHLD);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// What the program left running still has its standard error. Were nobody to read it, the next warning of a browser that
/// xdg-open has started would be its end (SIGPIPE). A process as small as can be goes on reading, in the session: when that
/// ends, until the last who writes has.
fn pass_on(stderr: ChildStderr, log: Option<File>, directory: &SessionDirectory) {
    // std passes on the mask. The session's end sends SIGTERM to all of it at once, and last words are still in the pipe then.
    if let Err(error) = SigSet::from(Signal::SIGTERM).thread_block() {
        note(&format!("signals: {error}"));
    }
    if let Err(error) = fcntl(&stderr, FcntlArg::F_SETFL(OFlag::empty())) {
        note(&format!("standard error: {error}"));
    }
    let mut cat = Command::new("/bin/cat");
    cat.env_clear().env(processes::VARIABLE, directory.marker().as_str()).current_dir("/").process_group(0);
    cat.stdin(stderr).stdout(log.map_or_else(Stdio::null, Stdio::from)).stderr(Stdio::null());
    if let Err(error) = cat.spawn() {
        note(&format!("/bin/cat: {error}"));
    }
}

fn last_lines(tail: &[u8]) -> Vec<String> {
    error_log::last_lines(tail, limits::APP_STDERR_LINES, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldm_protocol::apps::Word;

    fn program(words: &[&[u8]], open: bool) -> Program {
        Program { argv: words.iter().map(|w| Word(w.to_vec())).collect(), open, ..Program::default() }
    }

    #[test]
    fn requests_are_checked() {
        assert!(check(&program(&[b"x", b"", b"\xff\n"], false)).is_ok());
        let many = vec![&b"x"[..]; limits::APP_WORDS + 1];
        let long = vec![b'x'; limits::APP_BYTES];
        let bad: [&[&[u8]]; 5] = [&[], &[b""], &[b"a\0b"], &many, &[&long]];
        for bad in bad {
            assert!(check(&program(bad, false)).is_err());
        }
        assert!(check(&program(&[b"http://x"], true)).is_ok());
        let bad: [&[&[u8]]; 4] = [&[b"-x"], &[b"x"], &[b"/a", b"/b"], &[]];
        for bad in bad {
            assert!(check(&program(bad, true)).is_err());
        }
        let env = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        assert!(check(&Program { env: env("LANG", "a\0"), ..program(&[b"x"], false) }).is_err());
        let cwd = Some(Word(b"/a\0".to_vec()));
        assert!(check(&Program { cwd, ..program(&[b"x"], false) }).is_err());
    }

    #[test]
    fn the_environment_is_that_of_the_desktop() {
        let environments: Vec<Vec<u8>> = [
            "MARK=1\0",
            "MARK=2\0DISPLAY=:10\0",
            "MARK=3\0DISPLAY=:10\0DBUS_SESSION_BUS_ADDRESS=x\0",
            "MARK=4\0DISPLAY=:10\0DBUS_SESSION_BUS_ADDRESS=x\0SESSION_MANAGER=y\0WINDOWID=7\0PWD=/x\0=\0odd\0",
            "MARK=5\0DISPLAY=:10\0DBUS_SESSION_BUS_ADDRESS=x\0SESSION_MANAGER=y\0",
            "MARK=6\0DISPLAY=:99\0DBUS_SESSION_BUS_ADDRESS=x\0SESSION_MANAGER=y\0",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        let mark = |upto: usize| session_environment(&environments[..upto]).map(|e| e[OsStr::new("MARK")].clone());
        let want = [None, None, Some("2"), Some("3"), Some("4"), Some("4"), Some("4")];
        for (upto, want) in want.into_iter().enumerate() {
            assert_eq!(mark(upto), want.map(OsString::from), "{upto}");
        }
        let environment = session_environment(&environments).unwrap();
        assert_eq!(
            environment.keys().collect::<Vec<_>>(),
            ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "MARK", "SESSION_MANAGER"]
        );
    }

    #[test]
    fn the_last_lines_are_bounded_and_plain() {
        let many: Vec<String> = (0..50).map(|i| format!("line {i}\x1b[1m\n\n")).collect();
        let lines = last_lines(many.concat().as_bytes());
        assert_eq!((lines.len(), lines[0].as_str(), lines[9].as_str()), (10, "line 40", "line 49"));
        assert!(last_lines(&vec![b'x'; TAIL])[0].len() <= limits::LOG_TAIL_LINE);
    }
}
