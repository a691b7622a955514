//! Themes on the real greeter under an Xvfb: what they may do, what they may not, and how they look.
//!
//! The greeter runs as `--preview`, with a daemon it plays itself. Nothing here waits for a time, but for programs to end.
#![cfg(feature = "greeter")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "themes/fonts.rs"]
mod fonts;
#[path = "themes/guide.rs"]
mod guide;
#[path = "themes/hostile.rs"]
mod hostile;
#[path = "themes/looks.rs"]
mod looks;
#[path = "themes/pictures.rs"]
mod pictures;
#[path = "themes/words.rs"]
mod words;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(5);

/// The themes that are shipped.
const SHIPPED: [&str; 4] = ["default", "dark", "high-contrast", "school"];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped(name: &str) -> String {
    checkout().join("themes").join(name).to_string_lossy().into_owned()
}

/// An X server of this size.
struct Screen {
    x: Child,
    display: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.x.kill();
        let _ = self.x.wait();
    }
}

/// What a greeter said until it ended.
#[derive(Debug)]
struct Said {
    good: bool,
    out: String,
    log: String,
}

impl Screen {
    /// `None` where there is no Xvfb. One greeter after the other may use it.
    fn new(size: &str) -> Option<Self> {
        Self::with(size, "-noreset")
    }

    fn with(size: &str, at_the_end: &str) -> Option<Self> {
        let started = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &format!("{size}x24"), "-nolisten", "tcp", at_the_end])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut x) = started else {
            eprintln!("skipped: Xvfb is needed");
            return None;
        };
        let mut number = String::new();
        BufReader::new(x.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self { x, display: format!(":{}", number.trim()) })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ldm-greeter"));
        // English alone, whatever `make` has put beside the program.
        command.args(args).env("LDM_LOCALEDIR", "/nonexistent").env("DISPLAY", &self.display);
        command.env("LC_ALL", "C").env_remove("LDM_THEME");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the greeter to its end.
    fn run(&self, args: &[&str]) -> Said {
        finish(self.command(args))
    }

    /// A picture of this theme, as bytes, with what the log says.
    fn picture(&self, theme: &str, args: &[&str]) -> (Vec<u8>, String) {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("picture.png");
        let mut all = vec!["--preview", theme, "--screenshot", file.to_str().unwrap()];
        all.extend(args);
        let said = self.run(&all);
        assert!(said.good, "{theme}: {said:?}");
        (std::fs::read(&file).unwrap(), said.log)
    }
}

fn finish(mut command: Command) -> Said {
    let mut child = command.spawn().unwrap();
    // Both to their ends, each by a thread of its own: neither pipe fills up.
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(text(&mut stdout)));
    let log = std::thread::spawn(move || text(&mut stderr));
    // Its output ends when it does.
    let Ok(out) = ended.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the greeter does not end: {command:?}");
    };
    let status = child.wait().unwrap();
    Said { good: status.success(), out, log: log.join().unwrap() }
}

fn text(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A theme's folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn path(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}

/// The catalogues of this checkout, compiled, in `DIR/LANGUAGE/LC_MESSAGES`; the languages. `None` without gettext.
fn catalogues(dir: &Path) -> Option<Vec<String>> {
    let mut languages = Vec::new();
    for entry in std::fs::read_dir(checkout().join("po")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "po") {
            let language = path.file_stem().unwrap().to_string_lossy().into_owned();
            compile(&path, dir, &language)?;
            languages.push(language);
        }
    }
    languages.sort();
    Some(languages)
}

fn compile(po: &Path, dir: &Path, language: &str) -> Option<()> {
    let to = dir.join(language).join("LC_MESSAGES");
    std::fs::create_dir_all(&to).unwrap();
    let done = Command::new("msgfmt").arg("-o").arg(to.join("ldm.mo")).arg(po).status();
    let Ok(status) = done else {
        eprintln!("skipped: gettext is needed");
        return None;
    };
    assert!(status.success(), "{}", po.display());
    Some(())
}
