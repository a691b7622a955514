//! A server in a temporary directory, a helper running on it, and what its session reports.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ldm_protocol::helper::{SessionEvent, SessionRequest};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// For everything that must happen; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    root: tempfile::TempDir,
    /// Open for both, so that it never ends and nobody waits for a reader.
    reports: File,
}

impl Server {
    /// With an Xsession that reports what it was given and becomes its argument, as Debian's does.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["home", "run", "data/xsessions", "bin"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let reports = root.path().join("reports");
        nix::unistd::mkfifo(&reports, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reports = OpenOptions::new().read(true).write(true).open(reports).unwrap();
        let server = Self { root, reports };
        fs::set_permissions(server.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        server.program(
            "Xsession",
            "exec >>\"$HOME/.xsession-errors\" 2>&1\necho \"Xsession $# [$1]\" >>\"$REPORTS\"\nexec $1",
        );
        server
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// A shell script in `bin`, and its path.
    pub(crate) fn program(&self, name: &str, body: &str) -> String {
        let path = self.path("bin").join(name);
        // Written by another process: a descriptor of ours open for writing would be inherited by a test that forks at this
        // moment, and executing the script would then fail with ETXTBSY.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        write!(child.stdin.take().unwrap(), "#!/bin/sh\n{body}\n").unwrap();
        assert!(child.wait().unwrap().success());
        path.to_str().unwrap().to_owned()
    }

    /// Offers a session whose program is a script of `body`.
    pub(crate) fn session(&self, id: &str, body: &str) {
        let program = self.program(&format!("session-{}", id.len()), body);
        self.desktop(id, &format!("Name={id}\nExec={program} %U\nDesktopNames=A;B;"));
    }

    pub(crate) fn desktop(&self, id: &str, body: &str) {
        let path = self.path("data/xsessions").join(format!("{id}.desktop"));
        fs::write(path, format!("[Desktop Entry]\n{body}\n")).unwrap();
    }

    pub(crate) fn command(&self, command: &str) -> Command {
        let mut helper = Command::new(env!("CARGO_BIN_EXE_ldm-server-helper"));
        helper
            .arg(command)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("SHELL", "/bin/sh")
            .env("USER", "user")
            .env("DISPLAY", "localhost:10.0")
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_DATA_DIRS", self.path("data"))
            .env("REPORTS", self.path("reports"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        helper
    }

    /// Runs to the end with `input` as the whole of stdin.
    pub(crate) fn output(&self, command: &str, input: &[u8]) -> Output {
        let mut child = self.command(command).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // It may answer before it has read everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    pub(crate) fn request(&self, id: &str) -> SessionRequest {
        let xsession = self.path("bin/Xsession").to_str().unwrap().to_owned();
        SessionRequest { version: 1, session: Some(id.into()), xsession: Some(xsession), ..SessionRequest::default() }
    }

    /// The same from a client of this name.
    pub(crate) fn request_of(&self, id: &str, client: &str) -> SessionRequest {
        let mut request = self.request(id);
        request.client.hostname = Some(client.into());
        request
    }

    pub(crate) fn start(&self, request: &SessionRequest) -> Running {
        Self::start_command(self.command("session"), request)
    }

    pub(crate) fn start_command(mut command: Command, request: &SessionRequest) -> Running {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&serde_json::to_vec(request).unwrap()).unwrap();
        stdin.write_all(b"\n").unwrap();
        let events = lines(child.stdout.take().unwrap());
        Running { child, stdin: Some(stdin), events, notes: None }.with_notes()
    }

    /// What session programs write to `$REPORTS`, line by line. Once for each server.
    pub(crate) fn reports(&self) -> Lines {
        Lines(lines(self.reports.try_clone().unwrap()))
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if line.is_err() || send.send(line.unwrap_or_default()).is_err() {
                break;
            }
        }
    });
    receive
}

pub(crate) struct Lines(Receiver<String>);

impl Lines {
    /// The next report.
    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a report of the session")
    }

    /// The rest of the next report that begins with `key`.
    pub(crate) fn value(&self, key: &str) -> String {
        loop {
            if let Some(value) = self.next().strip_prefix(key) {
                return value.trim().to_owned();
            }
        }
    }

    /// [`Lines::value`] among the reports that are there already.
    pub(crate) fn value_if_any(&self, key: &str) -> Option<String> {
        self.0.try_iter().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
    }

    pub(crate) fn pid(&self, key: &str) -> Process {
        Process::of(self.value(key).parse().unwrap())
    }
}

/// A process by descriptor, so that its end can be waited for though it is nobody's child here.
pub(crate) struct Process {
    pub(crate) pid: i32,
    fd: std::os::fd::OwnedFd,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Self {
        Self { pid, fd: pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap() }
    }

    fn ends_within(&self, time: Duration) -> bool {
        use std::os::fd::AsFd;
        let mut fds = [nix::poll::PollFd::new(self.fd.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, u16::try_from(time.as_millis()).unwrap()).unwrap() == 1
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    pub(crate) fn wait(&self) {
        assert!(self.ends_within(PATIENCE), "process {} goes on", self.pid);
    }
}

pub(crate) struct Running {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<String>,
    notes: Option<Receiver<String>>,
}

impl Running {
    fn with_notes(mut self) -> Self {
        self.notes = self.child.stderr.take().map(lines);
        self
    }

    pub(crate) fn event(&self) -> SessionEvent {
        serde_json::from_str(&self.events.recv_timeout(PATIENCE).expect("an event")).unwrap()
    }

    pub(crate) fn started(&self) {
        let event = self.event();
        assert!(matches!(event, SessionEvent::Started { .. }), "{event:?}");
    }

    /// Its status, whether it was too short, and its last words; all after that the stream has ended, too.
    pub(crate) fn ended(mut self) -> (i32, bool, Vec<String>) {
        let SessionEvent::Ended { status, too_short, last_words, .. } = self.event() else { panic!("not ended") };
        assert_eq!(
            self.events.recv_timeout(PATIENCE),
            Err(mpsc::RecvTimeoutError::Disconnected),
            "stdout is held open"
        );
        assert!(self.child.wait().unwrap().success());
        (status, too_short, last_words)
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn note(&self) -> String {
        self.notes.as_ref().unwrap().recv_timeout(PATIENCE).expect("a note on stderr")
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

pub(crate) fn read(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}
