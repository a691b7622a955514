//! `session`: runs one session and ends every process of it.
//!
//! One thread and one poll(2) loop: the session's command ends (SIGCHLD), the client closes stdin or disappears, or a signal
//! asks for the end. Whatever it is, the session's processes are ended before this process is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ldm_protocol::helper::{Refusal, SessionEntry, SessionEvent, SessionRequest, from_argument};
use ldm_protocol::{limits, text};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::account::Account;
use crate::directory::{self, Directory};
use crate::dmrc::{self, Changes};
use crate::elsewhere::{self, Ending};
use crate::error_log::ErrorLog;
use crate::launch::Target;
use crate::processes::{self, Marker};
use crate::request::note;
use crate::sessions::{self, Absent, XSession};
use crate::{access, environment, languages, launch, request, sound, user, xauthority, xsession};

/// What no user calls a session.
const TOO_SHORT: Duration = Duration::from_secs(5);

/// Id of the session that is offered where nothing else works; an entry of this name takes precedence.
const FAILSAFE: &str = "failsafe";
/// Id of the server's default; an entry of this name takes precedence.
const DEFAULT: &str = "default";

/// Why a session was not started, as it goes to the client.
#[derive(Debug)]
struct Refused(Refusal, String);

impl Refused {
    fn failed(what: &str, error: impl std::fmt::Display) -> Self {
        Self(Refusal::Failed, format!("{what}: {error}"))
    }
}

/// Reads the request, runs the session, reports both ends of it. Returns whether it was started.
pub fn run(account: &Account, argument: Option<&str>, mut stdin: File) -> bool {
    let request = match argument {
        Some(argument) => {
            from_argument(argument).ok_or_else(|| Refused(Refusal::BadRequest, "not a request".to_owned()))
        }
        None => from_stdin(&mut stdin),
    };
    let sound = request.as_ref().ok().and_then(|request| request.sound.clone());
    let started = request.and_then(|request| {
        // Before others can find this session: who is asked to end before it has begun has to say so, too.
        let signals = signals().map_err(|e| Refused::failed("signals", e))?;
        Plan::new(account, &request)?.start(account, signals)
    });
    match started {
        Ok(running) => {
            running.see_through(&mut stdin);
            true
        }
        Err(Refused(reason, detail)) => {
            if let Some(sound) = sound {
                sound::discard(&sound);
            }
            let detail = text::sanitise_line(&detail, limits::LOG_TAIL_LINE);
            // A client that is gone needs no reason.
            let _ = request::write_line(&SessionEvent::Refused { reason, detail });
            false
        }
    }
}

fn from_stdin(stdin: &mut File) -> Result<SessionRequest, Refused> {
    let line = request::read_line(stdin).map_err(|e| Refused(Refusal::BadRequest, e.to_string()))?;
    // Its text may quote the request, which may hold a cookie.
    serde_json::from_slice(&line)
        .map_err(|e| Refused(Refusal::BadRequest, format!("not a request (column {})", e.column())))
}

/// Everything that was decided before anything is started.
struct Plan {
    home: PathBuf,
    label: String,
    target: Target,
    settings: Vec<environment::Setting>,
    /// `CLIENT_ENV`.
    variables: Vec<(String, String)>,
    marker: Marker,
    directory: Option<Directory>,
    no_sound: Option<String>,
    /// The user's other sessions that end, and what the client is called for which they do.
    end_others: Option<(Ending, String)>,
}

impl Plan {
    fn new(account: &Account, request: &SessionRequest) -> Result<Self, Refused> {
        let home = account.home.clone().ok_or_else(|| Refused::failed("HOME", "not set"))?;
        let script = xsession::choose(request.xsession.as_deref()).map_err(|e| Refused::failed("Xsession", e))?;
        let (session, target) = choose(account, request.session.as_deref(), script)?;

        let marker = Marker::new().map_err(|e| Refused::failed("session token", e))?;
        let mut settings = environment::of_session(session.as_ref(), account.has_session_class);
        settings.extend(environment::of_client(&request.client));
        settings.push((processes::VARIABLE, Some(marker.as_str().to_owned())));
        settings.extend(request.keyboard.iter().flat_map(environment::of_keyboard));
        let (language, locale) = language(account, &home, request);
        settings.extend(language);
        let (directory, no_sound) = services(account, request, &marker, &mut settings);
        settings.extend(access::settings(request.access, account, directory.as_ref().map(Directory::path)));
        display(account, request, directory.as_ref(), &mut settings)?;

        remember(&home, request, session.as_ref(), locale.as_deref());
        let (variables, refused) = environment::of_administrator(&request.env);
        if !refused.is_empty() {
            note(&format!("CLIENT_ENV may not set {}", refused.join(", ")));
        }
        let label = request.session.clone().unwrap_or_else(|| DEFAULT.to_owned());
        if let Some(directory) = &directory {
            elsewhere::record(directory, &request.client);
        }
        let end_others = Ending::of(request).map(|ending| (ending, elsewhere::name_of(&request.client)));
        Ok(Self { home, label, target, settings, variables, marker, directory, no_sound, end_others })
    }

    fn start(self, account: &Account, signals: SignalFd) -> Result<Running, Refused> {
        if let Some((ending, client)) = &self.end_others {
            elsewhere::end(account, self.directory.as_ref(), &self.marker, client, ending)
                .map_err(|others| Refused(Refusal::Elsewhere, others.to_string()))?;
        }
        tidy(account);
        nix::sys::prctl::set_child_subreaper(true).map_err(|e| Refused::failed("subreaper", e))?;
        let log = ErrorLog::open(&self.home);
        let mut command = launch::command(account, &self.home, &self.target, &self.settings, &self.variables, &log);
        let since = Instant::now();
        // Returns only when the child has become the shell, or could not.
        let child = command.spawn().map_err(|e| Refused::failed(&command.get_program().to_string_lossy(), e))?;
        let command = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        Ok(Running {
            label: self.label,
            command,
            since,
            signals,
            log,
            marker: self.marker,
            directory: self.directory,
            no_sound: self.no_sound,
        })
    }
}

/// Ends and removes what this user's sessions left whose helpers were killed. Returns whether all of it is gone.
pub fn tidy(account: &Account) -> bool {
    let left = processes::leftovers();
    if left > 0 {
        note(&format!("{left} processes of an earlier session cannot be ended"));
    }
    directory::remove_stale(account);
    left == 0
}

/// The session's directory and what is in it. A session without it goes on; the second value says why it has no sound.
fn services(
    account: &Account,
    request: &SessionRequest,
    marker: &Marker,
    settings: &mut Vec<environment::Setting>,
) -> (Option<Directory>, Option<String>) {
    let socket = match request.sound.as_ref().map(sound::socket).transpose() {
        Ok(socket) => socket.flatten(),
        // Said once more below.
        Err(_) => None,
    };
    let directory = match Directory::make(account, socket, marker) {
        Ok(directory) => directory,
        Err(error) => {
            let why = format!("the session's directory cannot be made: {error}");
            note(&why);
            request.sound.iter().for_each(sound::discard);
            return (None, request.sound.is_some().then_some(why));
        }
    };
    let has_open = account.find_program(environment::OPEN).is_some();
    if request.open_on_client && !has_open {
        note(&format!("{} is not installed; addresses open in the session", environment::OPEN));
    }
    let share = directory.path().join("share");
    settings.extend(environment::of_services(request, &share, has_open));
    if settings.iter().any(|(name, _)| *name == environment::DATA_DIRS) {
        // Before the desktop starts: it watches only what is there.
        for kind in ["applications", "icons"] {
            if let Err(error) = fs::create_dir_all(share.join(kind)) {
                note(&format!("no menu of the client's programs: {error}"));
            }
        }
    }
    let no_sound = match request.sound.as_ref().map(|sound| (sound, sound::set_up(sound, &directory))) {
        Some((_, Ok(of_sound))) => {
            settings.extend(of_sound);
            None
        }
        Some((sound, Err(error))) => {
            sound::discard(sound);
            Some(error.to_string())
        }
        None => None,
    };
    (Some(directory), no_sound)
}

/// The session of an id, and what to start for it.
fn choose(account: &Account, id: Option<&str>, script: Option<PathBuf>) -> Result<(Option<XSession>, Target), Refused> {
    let found = id.map(|id| sessions::find(account, id, None));
    match (id, found, script) {
        (_, Some(Ok(session)), Some(script)) => {
            let argument = session.command.text().to_owned();
            Ok((Some(session), Target::Xsession(script, Some(argument))))
        }
        (_, Some(Ok(session)), None) => {
            let words = session.command.words().to_vec();
            Ok((Some(session), Target::Program(words)))
        }
        (None | Some(DEFAULT), None | Some(Err(Absent::Gone)), script) => default(account, script),
        (Some(FAILSAFE), Some(Err(Absent::Gone)), Some(script)) => {
            Ok((None, Target::Xsession(script, Some(FAILSAFE.to_owned()))))
        }
        (Some(FAILSAFE), Some(Err(Absent::Gone)), None) => Ok((None, Target::Program(vec!["xterm".to_owned()]))),
        (_, Some(Err(Absent::NotExecutable(program))), _) => Err(Refused(Refusal::NotExecutable, program)),
        (id, _, _) => {
            let id = id.filter(|id| SessionEntry::is_valid_id(id)).unwrap_or_default();
            Err(Refused(Refusal::Gone, id.to_owned()))
        }
    }
}

/// The server's default. Xsession without an argument means it, the user's own `~/.xsession` included. Without Xsession it is
/// what Debian's would take, then the first that is offered.
fn default(account: &Account, script: Option<PathBuf>) -> Result<(Option<XSession>, Target), Refused> {
    let manager = ["x-session-manager", "x-window-manager"].iter().find_map(|name| account.find_program(name));
    // To name the desktop to its programs, find the entry that starts the same program.
    let offered = sessions::list(account, None);
    let program = manager.as_deref().and_then(|path| path.canonicalize().ok());
    let same = |s: &&XSession| program.is_some() && s.program.canonicalize().ok() == program;
    let session = offered.iter().find(same).cloned();
    if let Some(script) = script {
        let own = [".xsession", ".Xsession"];
        let has_own = account.home.as_ref().is_some_and(|home| own.iter().any(|name| home.join(name).exists()));
        return Ok((session.filter(|_| !has_own), Target::Xsession(script, None)));
    }
    if let Some(manager) = manager {
        return Ok((session, Target::Program(vec![manager.to_string_lossy().into_owned()])));
    }
    let first = offered.into_iter().next().ok_or_else(|| Refused(Refusal::Gone, "no session is offered".to_owned()))?;
    let words = first.command.words().to_vec();
    Ok((Some(first), Target::Program(words)))
}

/// Writes what was chosen to `~/.dmrc`, as far as the user wants that.
fn remember(home: &Path, request: &SessionRequest, session: Option<&XSession>, locale: Option<&str>) {
    if !request.remember && !request.remember_language {
        return;
    }
    // Not "default": display managers that read the file as well would look for a session of that name.
    let id = session.map(|s| s.id.as_str()).filter(|id| request.session.as_deref() == Some(id));
    let changes = Changes {
        session: request.remember.then_some(id),
        // One that is not installed is not worth remembering.
        language: (request.remember_language && locale.is_some()).then_some(locale),
    };
    if let Err(error) = dmrc::remember(home, changes) {
        note(&format!("the choice is not remembered: {error}"));
    }
}

/// The wanted language if it is installed, which is then the second value; else the server's if PAM has set none.
fn language(account: &Account, home: &Path, request: &SessionRequest) -> (Vec<environment::Setting>, Option<String>) {
    let own = languages::own();
    let remembered = request.language_is_default.then(|| dmrc::remembered(home).language).flatten();
    for wanted in remembered.iter().chain(&request.language) {
        // The server's own is taken to be installed: that is the usual case, and spares the login a process.
        let locale = languages::installed(wanted, own.as_slice())
            .or_else(|| languages::installed(wanted, &languages::Listing::start().finish()));
        if let Some(locale) = locale {
            return (environment::of_language(&locale), Some(locale));
        }
        let wanted = text::sanitise_line(wanted, limits::LANGUAGE);
        note(&format!("the language {wanted} is not installed; the session gets another"));
    }
    let own = own.filter(|_| account.locale.is_none());
    (own.map(|locale| vec![("LANG", Some(locale))]).unwrap_or_default(), None)
}

/// The display the session draws on: `LDM_DIRECTX`'s, else the one sshd forwards.
fn display(
    account: &Account,
    request: &SessionRequest,
    directory: Option<&Directory>,
    settings: &mut Vec<environment::Setting>,
) -> Result<(), Refused> {
    if let Some(direct) = &request.direct {
        let directory =
            directory.ok_or_else(|| Refused::failed("direct display", "there is no place for its cookie"))?;
        let file = xauthority::write(direct, directory).map_err(|e| Refused::failed("direct display", e))?;
        settings.push(("DISPLAY", Some(direct.display.clone())));
        settings.push(("XAUTHORITY", Some(file.to_string_lossy().into_owned())));
        return Ok(());
    }
    let Some(display) = &account.display else {
        return Err(Refused(Refusal::NoDisplay, "sshd forwards no X11".to_owned()));
    };
    // Set again after the profile: an old `export DISPLAY=:0` in one must not win.
    settings.push(("DISPLAY", Some(display.clone())));
    if let Some(xauthority) = &account.xauthority {
        settings.push(("XAUTHORITY", Some(xauthority.clone())));
    }
    Ok(())
}

/// Blocks the signals that end a session or a child, and makes a descriptor of them.
fn signals() -> nix::Result<SignalFd> {
    let set: SigSet = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().collect();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

struct Running {
    label: String,
    command: Pid,
    since: Instant,
    signals: SignalFd,
    log: ErrorLog,
    marker: Marker,
    /// Removed when the session has ended.
    directory: Option<Directory>,
    no_sound: Option<String>,
}

impl Running {
    fn see_through(mut self, stdin: &mut File) {
        let started = request::write_line(&SessionEvent::Started {
            session: text::sanitise_line(&self.label, limits::SESSION_ID),
            user: user::record(),
            directory: self.directory.as_ref().map(|directory| directory.path().to_string_lossy().into_owned()),
            no_sound: self.no_sound.take().map(|why| text::sanitise_line(&why, limits::LOG_TAIL_LINE)),
        });
        // A client that is gone already ends the session like one that goes later.
        let status = started.ok().and_then(|()| self.wait(stdin));
        let ran = self.since.elapsed();
        let left = processes::end(&self.marker);
        let taken_by = self.directory.as_ref().filter(|_| status.is_none()).and_then(elsewhere::taken_by);
        drop(self.directory.take());
        if left > 0 {
            note(&format!("{left} processes of the session cannot be ended"));
        }
        // Also the foster children: not every machine's init hurries to collect what is left to it.
        let status_now = self.reap();
        let too_short = status.is_some() && ran < TOO_SHORT;
        let ended = SessionEvent::Ended {
            status: status.or(status_now).unwrap_or(128 + Signal::SIGKILL as i32),
            milliseconds: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
            taken_by,
            too_short,
            last_words: if too_short { self.log.last_words() } else { Vec::new() },
        };
        let _ = request::write_line(&ended);
    }

    /// Waits for the end; the command's status when it ended by itself.
    fn wait(&self, stdin: &mut File) -> Option<i32> {
        let stdout = io::stdout();
        loop {
            let mut polled = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
                // Nothing asked for: it reports only that nobody reads any more.
                PollFd::new(stdout.as_fd(), PollFlags::empty()),
            ];
            match poll(&mut polled, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return None,
            }
            let [signal, input, output] = polled.map(|p| p.any().unwrap_or(true));
            if signal {
                // Emptied before reaping, so that a child that ends in between makes it readable again.
                let asked = self.asked_to_end();
                if let Some(status) = self.reap() {
                    return Some(status);
                }
                if asked {
                    return None;
                }
            }
            if output || input && at_end(stdin) {
                return None;
            }
        }
    }

    /// Whether a signal other than SIGCHLD came.
    fn asked_to_end(&self) -> bool {
        let mut asked = false;
        while let Ok(Some(info)) = self.signals.read_signal() {
            asked |= i32::try_from(info.ssi_signo) != Ok(Signal::SIGCHLD as i32);
        }
        asked
    }

    /// Reaps everything that has ended, foster children too; the command's status if it was among them.
    fn reap(&self) -> Option<i32> {
        let mut ended = None;
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, status),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return ended,
                Ok(_) => continue,
            };
            if pid == self.command {
                ended = Some(status);
            }
        }
    }
}

/// Whether stdin has ended. What a newer client may say there is for a newer helper.
fn at_end(stdin: &mut File) -> bool {
    let mut dropped = [0; 4096];
    match stdin.read(&mut dropped) {
        Ok(n) => n == 0,
        Err(e) => e.kind() != io::ErrorKind::Interrupted && e.kind() != io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_without_xsession() {
        let root = tempfile::tempdir().unwrap();
        let xsessions = root.path().join("xsessions");
        std::fs::create_dir(&xsessions).unwrap();
        for dir in ["tools", "managers"] {
            std::fs::create_dir(root.path().join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("/bin/sh", root.path().join("tools/sh")).unwrap();
        let account = |path: &str| Account {
            data_dirs: vec![root.path().to_owned()],
            path: vec![root.path().join("managers"), root.path().join(path)],
            ..Account::default()
        };
        let started = |id: Option<&str>, path: &str| {
            let (session, target) = choose(&account(path), id, None).ok()?;
            let Target::Program(words) = target else { panic!("{target:?}") };
            Some((session.map(|s| s.id), words.join(" ")))
        };
        let some = |id: Option<&str>, words: &str| Some((id.map(str::to_owned), words.to_owned()));
        assert_eq!(started(None, "tools"), None, "nothing is offered");
        std::fs::write(xsessions.join("x.desktop"), "[Desktop Entry]\nName=X\nExec=sh -c \"a b\" %U\n").unwrap();
        assert_eq!(started(Some("x"), "tools"), some(Some("x"), "sh -c a b"));
        assert_eq!(started(Some("y"), "tools"), None);
        assert_eq!(started(Some("failsafe"), "tools"), some(None, "xterm"));
        assert_eq!(started(None, "tools"), some(Some("x"), "sh -c a b"), "the first that is offered");
        // The default is a program of its own, and the entry that starts the same one gives its name.
        let manager = root.path().join("managers/x-session-manager");
        std::os::unix::fs::symlink("/bin/sh", &manager).unwrap();
        assert_eq!(started(Some("default"), "tools"), some(Some("x"), manager.to_str().unwrap()));
        assert_eq!(started(None, "none"), some(None, manager.to_str().unwrap()));
    }
}
