//! [`XServer`]: an X server with its own cookie, and what can be seen on it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::program::{self, Program};
use crate::{Lab, wait};

/// xorg.conf(5) for [`XServer::with_outputs`].
const OUTPUTS: &str = "\
Section \"ServerFlags\"\n  Option \"AutoAddDevices\" \"false\"\nEndSection\n\
Section \"Device\"\n  Identifier \"dummy\"\n  Driver \"dummy\"\n  VideoRam 131072\nEndSection\n\
Section \"Monitor\"\n  Identifier \"monitor\"\n  HorizSync 5.0-1000.0\n  VertRefresh 5.0-200.0\nEndSection\n\
Section \"Screen\"\n  Identifier \"screen\"\n  Device \"dummy\"\n  Monitor \"monitor\"\n  DefaultDepth 24\n\
  SubSection \"Display\"\n    Depth 24\n    Virtual 4096 2048\n    Modes \"1280x800\" \"1024x768\" \"800x600\"\n\
  EndSubSection\nEndSection\n";

/// A running X server.
pub struct XServer {
    program: Program,
    display: String,
    authority: PathBuf,
}

impl XServer {
    /// Xvfb with one screen of 1280×800.
    pub fn new(lab: &Lab) -> Result<Self> {
        let mut command = program::command("Xvfb");
        command.args(["-screen", "0", "1280x800x24", "-noreset", "-nolisten", "tcp"]);
        Self::start(lab, "xvfb", command)
    }

    /// Xvfb with one screen of this size, as `WIDTHxHEIGHT`.
    pub fn sized(lab: &Lab, size: &str) -> Result<Self> {
        let mut command = program::command("Xvfb");
        command.args(["-screen", "0", &format!("{size}x24"), "-noreset", "-nolisten", "tcp"]);
        Self::start(lab, "xvfb", command)
    }

    /// Xvfb that also accepts TCP connections, as direct X needs.
    pub fn listening(lab: &Lab) -> Result<Self> {
        let mut command = program::command("Xvfb");
        command.args(["-screen", "0", "1280x800x24", "-noreset", "-listen", "tcp"]);
        Self::start(lab, "xvfb", command)
    }

    /// Xorg with Debian's dummy driver, which has sixteen outputs, `DUMMY0` and so on, and one monitor of 800×600 at first.
    pub fn with_outputs(lab: &Lab) -> Result<Self> {
        let config = lab.file("outputs.conf");
        fs::write(&config, OUTPUTS)?;
        let mut command = program::command("Xorg");
        command.arg("-config").arg(&config).arg("-logfile").arg(lab.log("xorg"));
        command.args(["-noreset", "-nolisten", "tcp"]);
        let this = Self::start(lab, "xorg", command)?;
        this.screen().plug("DUMMY0", "800x600", "0x0")?;
        Ok(this)
    }

    /// Xephyr: a window on the display that this process uses.
    pub fn nested(lab: &Lab, title: &str) -> Result<Self> {
        let mut command = program::command("Xephyr");
        command.args([
            "-screen",
            "1280x800",
            "-resizeable",
            "-no-host-grab",
            "-noreset",
            "-nolisten",
            "tcp",
            "-title",
            title,
        ]);
        Self::start(lab, "xephyr", command)
    }

    fn start(lab: &Lab, name: &str, mut command: Command) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let authority = lab.file(&format!("xauthority-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        write_authority(&authority)?;
        let log = lab.log(name);
        command.args(["-displayfd", "1", "-auth"]).arg(&authority);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut program = Program::adopt(name, &mut command, &log)?;
        let out = program.child().stdout.take().context("no pipe")?;
        // The number and a newline come when the server accepts clients.
        let mut line = String::new();
        BufReader::new(out.take(16)).read_line(&mut line)?;
        let number = line.trim();
        ensure!(!number.is_empty(), "{name} does not start:\n{}", wait::tail(&log));
        Ok(Self { program, display: format!(":{number}"), authority })
    }

    /// Its name, `:N`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Its X authority file, for root.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The server's process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// What is on it.
    pub fn screen(&self) -> Screen {
        Screen { display: self.display.clone(), authority: self.authority.clone() }
    }
}

impl std::ops::Deref for XServer {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

/// A look at a display, whoever runs it.
#[derive(Debug, Clone)]
pub struct Screen {
    /// Its name, `:N`.
    pub display: String,
    /// An X authority file with its cookie.
    pub authority: PathBuf,
}

impl Screen {
    /// A command that is an X client of this display.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).env("XAUTHORITY", &self.authority).stdin(Stdio::null());
        command
    }

    /// The titles of the windows that are mapped at the top or just below it (a window manager's frames).
    pub fn windows(&self) -> Vec<String> {
        let Ok(output) = self.command("xwininfo").args(["-root", "-tree"]).stderr(Stdio::null()).output() else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter_map(|line| Some(line.split_once('"')?.1.split_once('"')?.0.to_owned())).collect()
    }

    /// Whether a window of this title can be seen.
    pub fn shows(&self, title: &str) -> bool {
        if !self.windows().iter().any(|found| found.contains(title)) {
            return false;
        }
        let search = ["search", "--onlyvisible", "--name", title];
        self.command("xdotool").args(search).output().is_ok_and(|output| !output.stdout.is_empty())
    }

    /// Waits until a window with this in its title can be seen.
    pub fn wait_for(&self, title: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("the window “{title}”"), limit, || self.shows(title).then_some(()))
            .with_context(|| format!("windows on {}: {:?}", self.display, self.windows()))
    }

    /// Waits until no window has this in its title.
    pub fn wait_until_gone(&self, title: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("the window “{title}” to go"), limit, || {
            (!self.windows().iter().any(|found| found.contains(title))).then_some(())
        })
        .with_context(|| format!("windows on {}: {:?}", self.display, self.windows()))
    }

    /// Connects a monitor of this size to an output of [`XServer::with_outputs`], at this place (`800x0`).
    pub fn plug(&self, output: &str, size: &str, place: &str) -> Result<()> {
        // The first output has its modes already.
        let _ = self.command("xrandr").args(["--addmode", output, size]).output()?;
        let words = ["--output", output, "--mode", size, "--pos", place];
        // The second time the X server looks what is connected.
        for words in [&words[..], &["--query"]] {
            let done = self.command("xrandr").args(words).output()?;
            ensure!(done.status.success(), "xrandr: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Takes the monitor at this output away.
    pub fn unplug(&self, output: &str) -> Result<()> {
        let done = self.command("xrandr").args(["--output", output, "--off"]).output()?;
        ensure!(done.status.success(), "xrandr: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Types text, as on a keyboard; a line's end is the Enter key.
    pub fn type_text(&self, text: &str) -> Result<()> {
        for line in text.split_inclusive('\n') {
            let typed = line.trim_end_matches('\n');
            if !typed.is_empty() {
                self.xdotool(&["type", "--delay", "15", "--", typed])?;
            }
            if typed.len() < line.len() {
                self.key("Return")?;
            }
        }
        Ok(())
    }

    /// Presses one key by its X name.
    pub fn key(&self, key: &str) -> Result<()> {
        self.xdotool(&["key", "--", key])
    }

    /// Runs xdotool(1).
    pub fn xdotool(&self, arguments: &[&str]) -> Result<()> {
        let output = self.command("xdotool").args(arguments).output()?;
        ensure!(output.status.success(), "xdotool: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Writes a picture of the whole screen.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let output = self.command("import").args(["-silent", "-window", "root"]).arg(file).output()?;
        ensure!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Red, green and blue at each of these places.
    pub fn pixels(&self, places: &[(usize, usize)]) -> Result<Vec<[u8; 3]>> {
        let output = self.command("import").args(["-silent", "-window", "root", "-depth", "8", "ppm:-"]).output()?;
        ensure!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
        pixels(&output.stdout, places)
    }

    /// A number that changes with what the screen shows.
    pub fn signature(&self) -> Result<u64> {
        let output = self.command("xwd").args(["-silent", "-root"]).output()?;
        ensure!(output.status.success(), "xwd: {}", String::from_utf8_lossy(&output.stderr));
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hasher::write(&mut hasher, &output.stdout);
        Ok(std::hash::Hasher::finish(&hasher))
    }

    /// How many different colours the screen shows: a blank one has one.
    pub fn colours(&self) -> Result<u64> {
        let file = tempfile::Builder::new().suffix(".png").tempfile()?;
        self.picture(file.path())?;
        let output = Command::new("identify").args(["-format", "%k"]).arg(file.path()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }
}

/// Red, green and blue at each of these places of a picture, as ImageMagick writes it with `-depth 8 ppm:-`.
pub fn pixels(ppm: &[u8], places: &[(usize, usize)]) -> Result<Vec<[u8; 3]>> {
    // "P6", width, height and 255, each on a line or beside the next, and then the bytes.
    let mut parts = ppm.splitn(4, u8::is_ascii_whitespace);
    let mut word = || parts.next().context("no picture");
    ensure!(word()? == b"P6", "not the picture that was asked for");
    let width: usize = std::str::from_utf8(word()?)?.parse()?;
    word()?;
    let bytes = word()?.strip_prefix(b"255\n").context("not 8 bits")?;
    let pixel = |&(x, y): &(usize, usize)| {
        let pixel = bytes.get((y * width + x) * 3..).filter(|_| x < width);
        pixel.and_then(|rest| rest.first_chunk()).copied().with_context(|| format!("{x},{y} is not in the picture"))
    };
    places.iter().map(pixel).collect()
}

/// Writes an X authority file with a random cookie that fits every display (family `FamilyWild`).
pub fn write_authority(path: &Path) -> Result<()> {
    let mut cookie = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut cookie)?;
    let mut bytes = 0xffff_u16.to_be_bytes().to_vec();
    for field in [&b""[..], b"", b"MIT-MAGIC-COOKIE-1", &cookie] {
        bytes.extend(u16::try_from(field.len())?.to_be_bytes());
        bytes.extend(field);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, &bytes)?;
    Ok(())
}
