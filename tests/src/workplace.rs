//! [`Lab`]: the directory of one scenario, its secrets and its logs.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{stage, sweep};

/// Writes a script that can be executed at once. Another process writes it: a descriptor of ours open for writing would be
/// inherited by a scenario that forks at this moment, and executing the script would then fail with ETXTBSY.
pub fn write_script(path: &Path, body: &str) -> Result<()> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut child = command.spawn()?;
    write!(child.stdin.take().context("no standard input")?, "#!/bin/sh\n{body}\n")?;
    ensure!(child.wait()?.success(), "{} cannot be written", path.display());
    Ok(())
}

/// The prefix of everything the lab leaves in shared places, so that a killed run's remains can be told.
pub const PREFIX: &str = "ldm-lab-";

/// One scenario's place: make it first, drop it last.
///
/// When it is dropped, every log in it is searched for every secret it knows. A scenario that has failed keeps its logs on
/// standard error instead.
pub struct Lab {
    dir: TempDir,
    secrets: RefCell<Vec<String>>,
}

impl Lab {
    /// Sweeps what killed runs have left, and makes the directory.
    pub fn new() -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "the lab makes users and starts sshd, so its tests need root");
        sweep::once();
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in("/tmp").context("no directory in /tmp")?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        fs::write(dir.path().join(sweep::OWNER), sweep::owner())?;
        for name in ["home", "log", "share/xsessions", "sessions"] {
            fs::create_dir_all(dir.path().join(name))?;
        }
        Ok(Self { dir, secrets: RefCell::default() })
    }

    /// The lab's directory; everyone may enter and read.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file of this name in the lab's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A log of this name; it will be searched for secrets.
    pub fn log(&self, name: &str) -> PathBuf {
        (0..10_000)
            .map(|n| self.file(&if n == 0 { format!("log/{name}.log") } else { format!("log/{name}-{n}.log") }))
            .find(|path| !path.exists())
            .unwrap_or_default()
    }

    /// Remembers a text that no log may hold.
    pub fn secret(&self, text: &str) {
        self.secrets.borrow_mut().push(text.to_owned());
    }

    /// Where the programs under test are, reachable by every user.
    pub fn bin(&self) -> Result<PathBuf> {
        stage::bin()
    }

    /// Writes an executable script into the lab's directory.
    pub fn script(&self, name: &str, body: &str) -> Result<PathBuf> {
        let path = self.file(name);
        write_script(&path, body)?;
        Ok(path)
    }

    /// Offers a session on the lab's server: `ID.desktop` whose `Exec` is `exec`.
    pub fn session(&self, id: &str, name: &str, exec: &str) -> Result<()> {
        fs::write(
            self.file(&format!("share/xsessions/{id}.desktop")),
            format!("[Desktop Entry]\nType=Application\nName={name}\nExec={exec}\nDesktopNames=Lab;{id};\n"),
        )?;
        Ok(())
    }

    /// Where secrets stand in logs, one line for each.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for entry in fs::read_dir(self.file("log")).into_iter().flatten().flatten() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            for (number, line) in text.lines().enumerate() {
                if self.secrets.borrow().iter().any(|secret| line.contains(secret.as_str())) {
                    leaks.push(format!("{}:{}", entry.path().display(), number + 1));
                }
            }
        }
        leaks
    }

    fn show_logs(&self) {
        let mut paths: Vec<_> =
            fs::read_dir(self.file("log")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut out = String::new();
        for path in paths {
            let _ = write!(out, "── {}\n{}", path.display(), crate::wait::tail(&path));
        }
        report(&out);
    }
}

#[allow(clippy::print_stderr)]
fn report(text: &str) {
    eprintln!("{text}");
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::env::var_os("LDM_LAB_KEEP").is_some() {
            let copy = format!("/tmp/kept-{}", self.path().file_name().unwrap_or_default().to_string_lossy());
            let _ = std::process::Command::new("cp").args(["-a", "--"]).arg(self.file("log")).arg(copy).status();
        }
        if std::thread::panicking() || crate::wait::has_failed() {
            self.show_logs();
        }
        if std::thread::panicking() {
            return;
        }
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "a secret stands in a log: {leaks:?}");
    }
}
