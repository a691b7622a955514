//! [`Client`]: a thin client as far as mounts and users go, and [`LocalSession`]: `ldm local-session` on it, with the scenario in
//! the session worker's place.
//!
//! The lab's server and its client are one machine. So that what is made on the client is not there on the server, the client
//! is a mount namespace of its own: an empty `/run`, an empty directory where the server has the homes, and no account of the
//! users that are to be strangers. All of it goes with its last process.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ldm_protocol::{frame, limits};
use serde_json::{Value, json};

use crate::program::{self, Program};
use crate::{Lab, stage, sweep, wait};

/// Words that begin the command line of a daemon where the PAM service of local programs is installed, and nothing else
/// differs from the server: its users are those of this client.
pub fn same_machine() -> [&'static str; 7] {
    let install = concat!(
        "d=$(mktemp -d) && mount -t tmpfs tmpfs \"$d\" && cp -rL /etc/pam.d/. \"$d\" && cp ",
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/pam.d/ldm-localapps \"$d\" && mount --move \"$d\" /etc/pam.d && rmdir \"$d\" && exec \"$@\""
    );
    ["unshare", "--mount", "--propagation=private", "sh", "-c", install, "sh"]
}

/// A client.
pub struct Client {
    holder: Program,
    own_processes: bool,
}

impl Client {
    /// A client that has no accounts of these names.
    pub fn new(lab: &Lab, strangers: &[&str]) -> Result<Self> {
        Self::with(lab, strangers, "")
    }

    /// A client for a whole daemon: it does not see the server's processes, which may be of the same users, either.
    pub fn apart(lab: &Lab, strangers: &[&str]) -> Result<Self> {
        Self::make(lab, strangers, "", &["--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
    }

    /// [`Client::new`] with more shell commands, run while everything is being mounted.
    pub fn with(lab: &Lab, strangers: &[&str], more: &str) -> Result<Self> {
        Self::make(lab, strangers, more, &[])
    }

    fn make(lab: &Lab, strangers: &[&str], more: &str, apart: &[&str]) -> Result<Self> {
        let pattern =
            strangers.iter().map(|name| format!("^{name}:")).chain(["^$".to_owned()]).collect::<Vec<_>>().join("|");
        // All of /etc and not single files: who replaces one of those on the machine, as useradd does, takes away what is mounted
        // on it everywhere.
        let script = format!(
            "set -e; mkdir -p \"$LAB/client\"; mount -t tmpfs tmpfs \"$LAB/client\"; cd \"$LAB/client\"; mkdir up work\n\
             mount -t overlay -o lowerdir=/etc,upperdir=up,workdir=work overlay /etc; cp \"$PAM\" /etc/pam.d/\n\
             for file in passwd group; do grep -Ev '{pattern}' /etc/$file >$file; cp $file /etc/$file; done\n\
             mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/ldm; mount -t tmpfs -o mode=755 tmpfs \"$LAB/home\"\n\
             {more}\ncd /; echo ready; exec sleep infinity"
        );
        let mut command = program::command("unshare");
        command
            .args(apart)
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .env("LAB", lab.path())
            .env("PAM", stage::checkout().join("packaging/pam.d/ldm-localapps"));
        let mut holder = Program::start("client", &mut command, &lab.log("client"))?;
        wait::try_until("the client", wait::STEP, || {
            let text = holder.log_text();
            if !holder.is_running() {
                bail!("the client cannot be made: {text}");
            }
            Ok(text.ends_with("ready\n").then_some(()))
        })?;
        Ok(Self { holder, own_processes: !apart.is_empty() })
    }

    /// Words to begin a command line with that is to run on the client.
    pub fn enter(&self) -> Vec<String> {
        let pid = self.holder.pid();
        let mut words = vec!["nsenter".to_owned(), format!("--mount=/proc/{pid}/ns/mnt")];
        if self.own_processes {
            words.push(format!("--pid=/proc/{pid}/ns/pid_for_children"));
        }
        words
    }

    /// What a command on the client writes to its standard output.
    pub fn shell(&self, script: &str) -> Result<String> {
        let enter = self.enter();
        let (program, rest) = enter.split_first().context("no command")?;
        let output = Command::new(program).args(rest).args(["sh", "-c", script]).stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The client's file of this absolute path, as it is reached from outside.
    pub fn file(&self, path: &Path) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.holder.pid())).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Waits until nothing of local sessions is left: no user, no mount, no directory.
    pub fn wait_until_clean(&self) -> Result<()> {
        let left = || {
            let mounts = self.shell("grep sshfs /proc/self/mountinfo").unwrap_or_default();
            let files = self.shell("ls -A /run/userdb; ls -d /run/ldm/local-*; ls -A \"$1\"").unwrap_or_default();
            mounts + &files
        };
        wait::until("the client to be clean", wait::STEP, || left().is_empty().then_some(()))
            .with_context(|| format!("left: {}", left()))
    }
}

/// A number that no account has, for a user that comes from the server alone. Their processes end with it.
pub struct Guest {
    /// User and group number.
    pub uid: u32,
    dir: PathBuf,
}

/// Begins the names of directories that mark numbers as taken.
pub const GUESTS: &str = "guest-";
/// The numbers that are taken from.
pub const NUMBERS: std::ops::Range<u32> = 61_000..61_180;

impl Guest {
    /// One that no other run uses.
    pub fn new() -> Result<Self> {
        for uid in NUMBERS {
            let dir = PathBuf::from(format!("/tmp/{}{GUESTS}{uid}", crate::workplace::PREFIX));
            match fs::create_dir(&dir) {
                Ok(()) => {
                    fs::write(dir.join(sweep::OWNER), sweep::owner())?;
                    return Ok(Self { uid, dir });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("every number of the lab's is taken");
    }

    /// A server's record of them.
    pub fn record(&self, name: &str, home: &Path) -> Value {
        json!({
            "name": name, "uid": self.uid, "group": { "name": name, "gid": self.uid }, "groups": [],
            "real_name": "A Guest", "home": home, "shell": "/bin/bash",
        })
    }

    /// Their home on the server, and a file in it.
    pub fn home(&self, lab: &Lab, name: &str) -> Result<PathBuf> {
        let home = lab.file("home").join(name);
        fs::create_dir_all(&home)?;
        fs::write(home.join("hello"), "from the server\n")?;
        for path in [home.join("hello"), home.clone()] {
            std::os::unix::fs::chown(path, Some(self.uid), Some(self.uid))?;
        }
        Ok(home)
    }

    /// Serves an SFTP channel with OpenSSH's server, as this user, at the socket that a local session listens on.
    pub fn serve(&self, client: &Client, socket: &Path, log: &Path) -> Result<Program> {
        let stream = UnixStream::connect(client.file(socket)).with_context(|| format!("{}", socket.display()))?;
        // sftp-server wants to know who it is, and the users of the server are not those of this machine.
        let uid = self.uid.to_string();
        let script = "mount -t tmpfs tmpfs /run; mkdir /run/userdb; echo \"$2\" >/run/userdb/guest.user; \
                      ln -s guest.user /run/userdb/$1.user; \
                      exec setpriv --reuid \"$1\" --regid \"$1\" --clear-groups /usr/lib/openssh/sftp-server -e";
        let record = json!({ "userName": "guest", "uid": self.uid, "gid": self.uid }).to_string();
        let mut command = program::command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", &uid, &record]);
        command.stdin(OwnedFd::from(stream.try_clone()?)).stdout(OwnedFd::from(stream)).stderr(fs::File::create(log)?);
        Program::adopt("sftp-server", &mut command, log)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        sweep::kill_all_of(self.uid);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A local session, and our end of its socket pair.
pub struct LocalSession {
    program: Program,
    stream: Option<UnixStream>,
    numbers: u64,
}

impl LocalSession {
    /// Starts one for this record; `more` replaces orders.
    pub fn start(lab: &Lab, client: &Client, record: &Value, more: Value) -> Result<Self> {
        Self::start_by(lab, &client.enter(), record, more)
    }

    /// [`LocalSession::start`] through this command, which executes what follows it.
    pub fn start_by(lab: &Lab, by: &[String], record: &Value, more: Value) -> Result<Self> {
        let mut orders = json!({
            "user": record, "display": ":99", "cookie": null, "allowed": [], "groups": ["audio", "video"],
            "extra_mounts": [], "follow_symlinks": null, "open": [], "language": "C.UTF-8", "sound": null, "vt": null,
            "directory": "/run/ldm", "worker": 0, "login": record.get("name"),
        });
        if let (Some(orders), Value::Object(more)) = (orders.as_object_mut(), more) {
            orders.extend(more);
        }
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        // As long as a test is ever to wait.
        ours.set_read_timeout(Some(wait::STEP + Duration::from_secs(10)))?;
        let log = lab.log("local-session");
        let mut command = program::command("sh");
        command
            .args(["-c", "exec 3<&0 </dev/null; exec \"$@\"", "sh"])
            .args(by)
            .args(["setpriv", "--pdeathsig", "TERM", "--"])
            .arg(lab.bin()?.join("ldm"))
            .arg("local-session")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LDM_LOGLEVEL", "7")
            .env("LDM_LOCAL_ORDERS", orders.to_string())
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?);
        let program = Program::adopt("ldm local-session", &mut command, &log)?;
        Ok(Self { program, stream: Some(ours), numbers: 0 })
    }

    /// Its process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Waits this long for answers from here on.
    pub fn wait_for(&self, limit: Duration) -> Result<()> {
        Ok(self.stream.as_ref().context("closed")?.set_read_timeout(Some(limit))?)
    }

    /// The next message.
    pub fn message(&mut self) -> Result<Value> {
        let stream = self.stream.as_mut().context("closed")?;
        let mut prefix = [0; frame::PREFIX];
        let message = stream.read_exact(&mut prefix).map_err(anyhow::Error::from).and_then(|()| {
            let mut payload = vec![0; usize::try_from(u32::from_ne_bytes(prefix))?];
            stream.read_exact(&mut payload)?;
            Ok(serde_json::from_slice(&payload)?)
        });
        message.inspect_err(|_| wait::note_failure()).with_context(|| format!("its log: {}", self.program.log_text()))
    }

    /// Waits until programs can be started; or why they cannot.
    pub fn ready(&mut self) -> Result<std::result::Result<(), String>> {
        let message = self.message()?;
        let Some(ready) = message.get("ready") else {
            wait::note_failure();
            bail!("{message}")
        };
        Ok(match ready.get("Err") {
            Some(why) => Err(why.as_str().unwrap_or_default().to_owned()),
            None => Ok(()),
        })
    }

    /// The socket that the next message asks to serve.
    pub fn mount(&mut self) -> Result<PathBuf> {
        let message = self.message()?;
        let socket = message.pointer("/mount/socket").and_then(Value::as_str);
        Ok(PathBuf::from(socket.with_context(|| message.to_string())?))
    }

    /// Waits until programs can be started, for a user whose home the server does not give.
    pub fn ready_without_home(&mut self, client: &Client) -> Result<()> {
        let socket = self.mount()?;
        drop(UnixStream::connect(client.file(&socket))?);
        let message = self.message()?;
        anyhow::ensure!(message.get("not_mounted").is_some(), "{message}");
        self.ready()?.map_err(anyhow::Error::msg)
    }

    /// Sends these bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.as_mut().context("closed")?.write_all(bytes)?)
    }

    /// Asks for a program; its number.
    pub fn ask(&mut self, program: &Value) -> Result<u64> {
        self.numbers += 1;
        let message = json!({ "run": { "number": self.numbers, "program": program } });
        self.write(&frame::encode_within(limits::LOCAL_FRAME, &message)?)?;
        Ok(self.numbers)
    }

    /// Asks for a program and gives the first answer.
    pub fn first(&mut self, program: &Value) -> Result<Value> {
        let number = self.ask(program)?;
        self.answer(number)
    }

    /// The next answer, which must be for this number.
    pub fn answer(&mut self, number: u64) -> Result<Value> {
        let message = self.message()?;
        let program = message.get("program").with_context(|| message.to_string())?;
        anyhow::ensure!(program.get("number").and_then(Value::as_u64) == Some(number), "{message}");
        program.get("event").cloned().context("no event")
    }

    /// Runs a program to its end and gives how that was.
    pub fn run(&mut self, program: &Value) -> Result<Value> {
        let number = self.ask(program)?;
        let first = self.answer(number)?;
        anyhow::ensure!(first == json!({ "event": "started" }), "{first}");
        self.answer(number)
    }

    /// Runs a script, which must succeed.
    pub fn shell(&mut self, script: &str) -> Result<()> {
        let end = self.run(&json!({ "argv": ["sh", "-c", script] }))?;
        anyhow::ensure!(end.get("status") == Some(&json!(0)), "{script}: {end}");
        Ok(())
    }

    /// Ends it as a worker does that is done, and waits until it has ended well.
    pub fn end(mut self) -> Result<()> {
        self.stream = None;
        let status = self.program.wait(wait::STEP)?;
        anyhow::ensure!(status.success(), "{status}: {}", self.program.log_text());
        Ok(())
    }
}
