//! [`Reader`]: what a screen reader finds in the real greeter, which is how the lab knows what a user reads there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::program::{self, Program};
use crate::{Lab, User, wait};

/// A session bus for the greeter's user, and a reader on it. Lives longer than any one greeter.
pub struct Reader {
    _bus: Program,
    address: String,
    script: PathBuf,
    uid: u32,
    gid: u32,
    home: PathBuf,
    bin: PathBuf,
}

/// One widget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widget {
    /// Its role: `label`, `text`, `password text`, `push button`…
    pub role: String,
    /// Its name; of a label, its text.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// Whether it has the keyboard.
    pub focused: bool,
    /// Its left edge in the window, in pixels.
    pub x: i32,
}

impl Reader {
    /// Starts the bus as the greeter's user.
    pub fn new(lab: &Lab, user: &User) -> Result<Self> {
        let script = lab.file("accessible.py");
        fs::write(&script, include_str!("accessible.py"))?;
        // Not the user's home, which a client of its own does not see.
        let home = lab.file(&format!("bus-{}", user.name));
        fs::create_dir(&home)?;
        std::os::unix::fs::chown(&home, Some(user.uid), Some(user.gid))?;
        let address = format!("unix:path={}/bus", home.display());
        let mut command = program::command("setpriv");
        command
            .args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"])
            .args(["--pdeathsig", "KILL", "--"])
            .args(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--address", &address])
            .env_clear()
            .env("HOME", &home)
            .env("PATH", "/usr/bin:/bin");
        let bus = Program::start("dbus-daemon", &mut command, &lab.log("dbus"))?;
        let socket = home.join("bus");
        wait::until("the session bus", wait::STEP, || socket.exists().then_some(()))?;
        Ok(Self { _bus: bus, address, script, uid: user.uid, gid: user.gid, home, bin: lab.bin()? })
    }

    /// `LDM_GREETER` for a greeter that can be read.
    pub fn greeter(&self) -> String {
        let bin = self.bin.display();
        format!("/usr/bin/env DBUS_SESSION_BUS_ADDRESS={} {bin}/ldm-greeter --accessible", self.address)
    }

    /// The same, in the languages of these catalogues.
    pub fn greeter_with(&self, catalogues: &Path) -> String {
        self.greeter().replacen("env ", &format!("env LDM_LOCALEDIR={} ", catalogues.display()), 1)
    }

    /// `LDM_THEME` for it.
    pub fn theme(&self) -> String {
        self.bin.join("themes/default").to_string_lossy().into_owned()
    }

    /// Every widget there is now.
    pub fn widgets(&self) -> Vec<Widget> {
        let output = Command::new("setpriv")
            .args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string(), "--clear-groups", "--"])
            .args(["timeout", "10", "/usr/bin/python3"])
            .arg(&self.script)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let widget = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            Some(Widget {
                role: fields.next()?,
                name: fields.next()?,
                text: fields.next()?,
                focused: fields.next()? == "focused",
                x: fields.next()?.parse().ok()?,
            })
        };
        text.lines().filter_map(widget).collect()
    }

    /// Waits for a widget that fits.
    pub fn wait_for(&self, what: &str, limit: Duration, fits: impl Fn(&Widget) -> bool) -> Result<Widget> {
        let mut last = Vec::new();
        wait::until(what, limit, || {
            last = self.widgets();
            last.iter().find(|widget| fits(widget)).cloned()
        })
        .with_context(|| {
            let names: Vec<String> = last.iter().map(|w| format!("{} “{}” “{}”", w.role, w.name, w.text)).collect();
            format!("the greeter shows {names:#?}")
        })
    }

    /// Waits for an entry of this name that has the keyboard.
    pub fn wait_for_question(&self, question: &str, limit: Duration) -> Result<Widget> {
        self.wait_for(&format!("the question “{question}”"), limit, |widget| {
            widget.focused && widget.role.contains("text") && widget.name.contains(question)
        })
    }

    /// Waits for a text to be read: a label, or an alert.
    pub fn wait_for_text(&self, text: &str, limit: Duration) -> Result<Widget> {
        self.wait_for(&format!("the text “{text}”"), limit, |widget| widget.name.contains(text))
    }
}
