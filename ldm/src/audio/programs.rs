//! The sound daemons that can be started, and how each is told to be quiet, private and ready for devices that come later.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::sys::{self, Account, Spawn};

/// What an administrator may add to PulseAudio's start script.
pub(super) const ADDITIONS: &str = "/etc/ldm/sound.pa";
/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The script, and the configuration, of the daemon.
const SCRIPT: &str = "start.pa";
const CONFIG: &str = "config";

/// A daemon that is started here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    PulseAudio,
    PipeWire,
}

impl Kind {
    /// Its programs. Each needs the ones before it, and none is of use alone.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::PulseAudio => &["pulseaudio"],
            Self::PipeWire => &["pipewire", "wireplumber", "pipewire-pulse"],
        }
    }

    /// The first of its programs that is not installed.
    pub(super) fn missing(self) -> Option<&'static str> {
        self.programs().iter().copied().find(|program| !is_installed(program))
    }
}

/// The `PATH` that programs get.
pub(super) fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_else(|| PATH.into())
}

/// Whether there is a program of this name.
pub fn is_installed(program: &str) -> bool {
    std::env::split_paths(&path()).any(|dir| dir.join(program).is_file())
}

/// What daemons live in: below a directory that is ours and that all may enter.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Ours.
    pub(super) top: PathBuf,
    /// The account's, and nobody else may look into it.
    pub(super) own: PathBuf,
}

impl Places {
    pub(super) fn make(top: PathBuf, account: &Account) -> io::Result<Self> {
        let mode = if sys::is_root() { 0o711 } else { 0o700 };
        make_dir(&top, mode)?;
        let this = Self { own: top.join("daemon"), top };
        // Filled before it is given away: root writes nothing into a directory of somebody else.
        make_dir(&this.own, 0o700)?;
        for name in ["home", "run", "state"] {
            make_dir(&this.own.join(name), 0o700)?;
            sys::give_to(&this.own.join(name), account)?;
        }
        this.write(SCRIPT, &this.script())?;
        let quoted = format!("\"unix:{}\"", this.socket().display());
        let pulse = format!(
            "pulse.properties = {{\n    server.address = [ {quoted} ]\n    pulse.allow-module-loading = false\n}}\n"
        );
        this.write("config/pipewire/pipewire-pulse.conf.d/ldm.conf", &pulse)?;
        sys::give_to(&this.own.join(CONFIG), account)?;
        sys::give_to(&this.own, account)?;
        make_dir(&this.local(), 0o700)?;
        sys::give_to(&this.local(), account)?;
        Ok(this)
    }

    /// Where the daemon listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.own.join("native")
    }

    /// What sessions are told: a link to whichever daemon it is.
    pub(super) fn link(&self) -> PathBuf {
        self.top.join("native")
    }

    /// Where programs of this client come in.
    pub(super) fn local(&self) -> PathBuf {
        self.top.join("local")
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.own.join(name);
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        }
        fs::write(&path, text)?;
        // Whatever our own mask says: the account must read it.
        sys::set_mode(&path, 0o644)
    }

    /// PulseAudio's start script. Devices may come later, so that modules can still be loaded then: by the daemon itself, not
    /// by its clients, all of which come through the guard.
    fn script(&self) -> String {
        let socket = self.socket();
        let mut script = format!(
            ".fail\nload-module module-native-protocol-unix socket={} auth-cookie-enabled=0\n.nofail\n\
             .ifexists module-udev-detect.so\nload-module module-udev-detect\n\
             .else\nload-module module-detect\n.endif\n\
             load-module module-always-sink\nload-module module-suspend-on-idle\n\
             load-module module-switch-on-port-available\n",
            socket.display()
        );
        if Path::new(ADDITIONS).exists() {
            script.push_str(".include ");
            script.push_str(ADDITIONS);
            script.push('\n');
        }
        script
    }

    /// How to start a daemon's programs.
    pub(super) fn spawns(&self, kind: Kind, account: &Account) -> Vec<Spawn> {
        let spawn = |program: &str| {
            Spawn::new(program)
                .env("PATH", path())
                .env("HOME", self.own.join("home"))
                .env("XDG_RUNTIME_DIR", self.own.join("run"))
                .env("XDG_CONFIG_HOME", self.own.join(CONFIG))
                .env("XDG_STATE_HOME", self.own.join("state"))
                .env_from_ours(&["LANG"])
                .account(account)
                .umask(0o077)
                .die_with_us()
        };
        let all = kind.programs().iter().map(|program| match *program {
            "pulseaudio" => spawn(program)
                .args(["-n", "-F"])
                .arg(self.own.join(SCRIPT))
                .args(["--daemonize=no", "--disallow-exit", "--exit-idle-time=-1", "--use-pid-file=no"])
                .args(["--disable-shm=yes", "--realtime=no", "--high-priority=no", "--log-target=stderr"]),
            // It ends without a session bus, where a client has none to spare.
            "wireplumber" if is_installed("dbus-run-session") => spawn("dbus-run-session").args(["--", program]),
            _ => spawn(program),
        });
        all.collect()
    }
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode).create(path)?;
    sys::set_mode(path, mode)
}
