//! [`Assistant`]: an assistive program on the greeter's own message bus, as a screen reader or a switch would be: it looks and
//! acts through at-spi alone.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{Lab, Program, User, wait};

/// One widget.
#[derive(Debug, Clone, Deserialize)]
pub struct Widget {
    /// Its role: `label`, `text`, `password text`, `push button`…
    pub role: String,
    /// What it is called.
    pub name: String,
    /// What else there is to say of it.
    pub description: String,
    /// What stands in it.
    pub text: String,
    /// Of what is pressed or chosen: the texts that are seen on it.
    pub labels: Vec<String>,
    /// Its states, such as `focused`.
    pub states: Vec<String>,
    /// What can be done with it.
    pub actions: Vec<String>,
    /// Left, top, width and height in the window.
    pub extents: [i32; 4],
}

impl Widget {
    /// Whether it is in this state.
    pub fn is(&self, state: &str) -> bool {
        self.states.iter().any(|own| own == state)
    }
}

/// The assistive program.
pub struct Assistant {
    script: PathBuf,
    socket: PathBuf,
    uid: u32,
    gid: u32,
}

impl Assistant {
    /// On the bus with this socket, as the greeter's user.
    pub fn new(lab: &Lab, user: &User, socket: PathBuf) -> Result<Self> {
        let script = lab.file("assistive.py");
        std::fs::write(&script, include_str!("assistive.py"))?;
        Ok(Self { script, socket, uid: user.uid, gid: user.gid })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string(), "--clear-groups"])
            .args(["--pdeathsig", "KILL", "--", "/usr/bin/python3"])
            .arg(&self.script)
            .args(words)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.socket.display()))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output()?;
        // What it was to write may be a password.
        let word = words.first().copied().unwrap_or_default();
        ensure!(output.status.success(), "{word}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Every widget there is now.
    pub fn tree(&self) -> Vec<Widget> {
        let text = self.run(&["tree"]).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a widget that fits.
    pub fn wait_for(&self, what: &str, limit: Duration, fits: impl Fn(&Widget) -> bool) -> Result<Widget> {
        let mut last = Vec::new();
        wait::until(what, limit, || {
            last = self.tree();
            last.iter().find(|widget| fits(widget)).cloned()
        })
        .with_context(|| {
            let all: Vec<String> = last
                .iter()
                .map(|w| format!("{} “{}” “{}” “{}” {:?}", w.role, w.name, w.description, w.text, w.states))
                .collect();
            format!("the greeter shows {all:#?}")
        })
    }

    /// Waits for an entry with this in its name that has the keyboard and takes text.
    pub fn wait_for_question(&self, question: &str) -> Result<Widget> {
        self.wait_for(&format!("the question “{question}”"), wait::STEP, |widget| {
            widget.role.contains("text") && widget.name.contains(question) && widget.is("focused")
        })
    }

    /// Uses the first action of the widget of this name.
    pub fn press(&self, name: &str) -> Result<()> {
        self.find_and(&["press", name])
    }

    /// Writes into the entry of this name.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        self.find_and(&["write", name, text])
    }

    /// Selects this in its list.
    pub fn select(&self, name: &str) -> Result<()> {
        self.find_and(&["select", name])
    }

    /// [`Self::run`], which fails where widgets change while it looks at them.
    fn find_and(&self, words: &[&str]) -> Result<()> {
        let mut failed = None;
        let done = wait::until("the widget", wait::STEP, || self.run(words).map_err(|error| failed = Some(error)).ok());
        done.map(drop).map_err(|error| failed.unwrap_or(error))
    }

    /// Begins to hear what is announced; it stands in the program's log, a JSON object a line.
    pub fn hear(&self, lab: &Lab) -> Result<Program> {
        let log = lab.log("heard");
        let program = Program::start("assistive.py", &mut self.command(&["hear"]), &log)?;
        wait::for_line(&log, "listening", wait::STEP)?;
        Ok(program)
    }
}
