//! The configuration in lts.conf syntax, read by the daemon (root) from a file that root wrote.
//!
//! A value that cannot be right is refused with its place; an unknown key is only warned about, because lts.conf belongs to
//! many programs. Only the section `[Default]` counts so far.

mod gone;
pub mod ini;
pub mod keys;
mod values;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ldm_protocol::client::{Access, Power};
use ldm_protocol::helper::{self, Keyboard};
use ldm_protocol::{Secret, text};

pub use ini::Place;

/// What guests come by.
const GUESTS: &str = "LDM_GUESTLOGIN, LDM_AUTOLOGIN or LDM_LOGIN_TIMEOUT";

/// The file read when none is named; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/ldm/lts.conf";

/// `SOUND_DAEMON`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SoundDaemon {
    /// The one that runs, else PulseAudio, else PipeWire, whichever is installed.
    #[default]
    Auto,
    /// PulseAudio, started for each session.
    PulseAudio,
    /// PipeWire with pipewire-pulse, started for each session.
    PipeWire,
    /// One that runs already, at this socket.
    Socket(PathBuf),
}

/// `LDM_PASSWORD`. It stands in a file that others may read, and is treated like any other secret all the same.
#[derive(Clone)]
pub struct Password(Arc<Secret>);

impl Password {
    pub(crate) fn new(secret: Secret) -> Self {
        Self(Arc::new(secret))
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Password {}

/// Everything that can be configured, with the defaults of [`keys::KEYS`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // that is what a file of switches is
pub struct Config {
    /// `LDM_SERVER`.
    pub servers: Vec<String>,
    /// `SSH_OVERRIDE_PORT`.
    pub port: u16,
    /// `LDM_KNOWN_HOSTS`.
    pub known_hosts: Vec<PathBuf>,
    /// `LDM_TRUST_FIRST_USE`: the file for new keys.
    pub trust_first_use: Option<PathBuf>,
    /// `LDM_SESSION`.
    pub session: Option<String>,
    /// `LDM_FORCE_SESSION`.
    pub force_session: Option<String>,
    /// `LDM_LANGUAGE`.
    pub language: Option<String>,
    /// `LDM_FORCE_LANGUAGE`.
    pub force_language: Option<String>,
    /// `LANG`.
    pub lang: Option<String>,
    /// `LDM_XSESSION`.
    pub xsession: Option<String>,
    /// `LDM_AUTOLOGIN`.
    pub autologin: bool,
    /// `LDM_GUESTLOGIN`.
    pub guest_login: bool,
    /// `LDM_USERNAME`.
    pub username: Option<String>,
    /// `LDM_PASSWORD`.
    pub password: Option<Password>,
    /// `LDM_GUEST_KEY`.
    pub guest_key: Option<PathBuf>,
    /// `LDM_GUEST_SERVER`.
    pub guest_servers: Vec<String>,
    /// `LDM_AUTOLOGIN_SERVER`.
    pub autologin_servers: Vec<String>,
    /// `LDM_LOGIN_TIMEOUT`.
    pub login_timeout: Option<u32>,
    /// `LDM_TIMEOUT_ENABLED`.
    pub timeout_enabled: bool,
    /// `LDM_TIMEOUT_TIME`.
    pub timeout_time: Option<u32>,
    /// `HOST_TO_USERNAME`.
    pub host_to_username: Option<(String, String)>,
    /// `LDM_USER_ALLOW`.
    pub user_allow: Vec<String>,
    /// `LDM_USER_DENY`.
    pub user_deny: Vec<String>,
    /// `LDM_LIMIT_ONE_SESSION`.
    pub limit_one_session: bool,
    /// `LDM_LIMIT_ONE_SESSION_PROMPT`.
    pub limit_one_session_prompt: bool,
    /// `LDM_REMEMBER_USER`.
    pub remember_user: bool,
    /// `CLIENT_ENV`.
    pub client_env: Vec<String>,
    /// `XKBLAYOUT` and friends; empty: the X server's own.
    pub keyboard: Keyboard,
    /// `X_NUMLOCK`.
    pub num_lock: Option<bool>,
    /// `X_BLANKING`.
    pub blanking: u32,
    /// `LDM_MENU_ITEM_n`.
    pub menu_items: BTreeMap<u8, String>,
    /// `LDM_MENU_COMMAND_n`.
    pub menu_commands: BTreeMap<u8, Vec<String>>,
    /// `LDM_POWER`.
    pub power: Vec<Power>,
    /// `LDM_POWER_PROGRAM`.
    pub power_program: Vec<String>,
    /// `LDM_CLOCK_FORMAT`.
    pub clock_format: Option<String>,
    /// `LDM_MONITOR`.
    pub monitor: Option<String>,
    /// `LDM_ACCESSIBILITY`.
    pub access: Access,
    /// `LDM_SCREEN_READER`.
    pub screen_reader: Vec<String>,
    /// `LDM_ONSCREEN_KEYBOARD`.
    pub onscreen_keyboard: Vec<String>,
    /// `LDM_STATE_DIR`.
    pub state_dir: PathBuf,
    /// `LDM_DEBUG`.
    pub debug: bool,
    /// `LDM_GREETER`; empty: our own.
    pub greeter: Vec<String>,
    /// `LDM_THEME`.
    pub theme: Option<String>,
    /// `LDM_DIRECTX`.
    pub directx: bool,
    /// `LDM_LOGLEVEL`.
    pub log_level: u8,
    /// `LDM_SYSLOG`.
    pub syslog: bool,
    /// `LDM_XSERVER`.
    pub xserver: Vec<String>,
    /// `LDM_VT`.
    pub vt: Option<u8>,
    /// `LDM_GREETER_USER`.
    pub greeter_user: String,
    /// `LDM_WORKER_USER`.
    pub worker_user: String,
    /// `SOUND`.
    pub sound: bool,
    /// `SOUND_DAEMON`.
    pub sound_daemon: SoundDaemon,
    /// `VOLUME`, in percent.
    pub volume: u8,
    /// `MIC_VOLUME`, in percent.
    pub mic_volume: u8,
    /// `MICROPHONE`.
    pub microphone: bool,
    /// `LOCAL_APPS`.
    pub local_apps: bool,
    /// `LOCAL_APPS_WHITELIST`; empty: all.
    pub local_apps_whitelist: Vec<String>,
    /// `LOCAL_APPS_GROUPS`.
    pub local_apps_groups: Vec<String>,
    /// `LOCAL_APPS_EXTRAMOUNTS`.
    pub local_apps_extra_mounts: Vec<PathBuf>,
    /// `SSH_FOLLOW_SYMLINKS`.
    pub follow_symlinks: Option<bool>,
    /// `LOCAL_APPS_MENU`.
    pub local_apps_menu: bool,
    /// `LOCAL_APPS_MENU_ITEMS`; empty: all.
    pub local_apps_menu_items: Vec<String>,
    /// `LOCAL_APPS_OPEN`; empty: nothing is opened here.
    pub local_apps_open: Vec<String>,
    /// `REMOTE_APPS`.
    pub remote_apps: bool,
    /// Where each value that was set stands.
    places: Vec<(&'static str, Place)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec!["server".to_owned()],
            port: 22,
            known_hosts: vec![PathBuf::from("/etc/ssh/ssh_known_hosts")],
            trust_first_use: None,
            session: None,
            force_session: None,
            language: None,
            force_language: None,
            lang: None,
            xsession: None,
            autologin: false,
            guest_login: false,
            username: None,
            password: None,
            guest_key: None,
            guest_servers: Vec::new(),
            autologin_servers: Vec::new(),
            login_timeout: None,
            timeout_enabled: false,
            timeout_time: None,
            host_to_username: None,
            user_allow: Vec::new(),
            user_deny: Vec::new(),
            limit_one_session: false,
            limit_one_session_prompt: false,
            remember_user: false,
            client_env: Vec::new(),
            keyboard: Keyboard::default(),
            num_lock: None,
            blanking: 600,
            menu_items: BTreeMap::new(),
            menu_commands: BTreeMap::new(),
            power: vec![Power::Reboot, Power::ShutDown, Power::Suspend],
            power_program: vec!["systemctl".to_owned()],
            clock_format: None,
            monitor: None,
            access: Access::default(),
            screen_reader: vec!["orca".to_owned()],
            onscreen_keyboard: vec!["xvkbd".to_owned()],
            state_dir: PathBuf::from("/var/lib/ldm"),
            debug: false,
            greeter: Vec::new(),
            theme: None,
            directx: false,
            log_level: 6,
            syslog: false,
            xserver: vec!["Xorg".to_owned()],
            vt: None,
            greeter_user: "ldm-greeter".to_owned(),
            worker_user: "ldm".to_owned(),
            sound: true,
            sound_daemon: SoundDaemon::Auto,
            volume: 90,
            mic_volume: 40,
            microphone: true,
            local_apps: false,
            local_apps_whitelist: Vec::new(),
            local_apps_groups: vec!["audio".to_owned(), "video".to_owned()],
            local_apps_extra_mounts: Vec::new(),
            follow_symlinks: None,
            local_apps_menu: false,
            local_apps_menu_items: Vec::new(),
            local_apps_open: Vec::new(),
            remote_apps: false,
            places: Vec::new(),
        }
    }
}

impl Config {
    /// The greeter's language, if any is configured.
    pub fn greeter_language(&self) -> Option<&String> {
        [&self.lang, &self.force_language, &self.language].into_iter().find_map(Option::as_ref)
    }

    /// Where the value of `key` stands; `None` for a default.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.places.iter().rev().find(|(name, _)| *name == key).map(|(_, place)| place)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Name a file that exists and can be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A configuration of this size is none.
    #[error("{0} is larger than {limit} bytes", limit = ini::FILE)]
    TooLarge(PathBuf),
    /// Correct the lines; all that are wrong are named.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

/// A configuration, and what its author should know about it. The log is not open yet when it is read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What counts.
    pub config: Config,
    /// To be logged as warnings.
    pub warnings: Vec<String>,
    /// To be logged as information.
    pub notes: Vec<String>,
}

/// Reads `file`, or [`DEFAULT_FILE`] where that exists.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let unreadable = |source| ConfigError::Unreadable { file: path.to_owned(), source };
    let opened = match std::fs::File::open(path) {
        Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => return Ok(Loaded::default()),
        other => other.map_err(unreadable)?,
    };
    let mut text = Vec::new();
    opened.take(ini::FILE as u64 + 1).read_to_end(&mut text).map_err(unreadable)?;
    parse(path, &text)
}

/// The configuration in `text`, which stands in `file`. Takes any bytes.
pub fn parse(file: &Path, text: &[u8]) -> Result<Loaded, ConfigError> {
    if text.len() > ini::FILE {
        return Err(ConfigError::TooLarge(file.to_owned()));
    }
    let parsed = ini::parse(file, text);
    let mut errors: Vec<(usize, String)> = parsed.errors.iter().map(|e| (e.place.line, e.to_string())).collect();
    let mut loaded = Loaded::default();
    for (section, place) in parsed.sections.iter().filter(|(name, _)| name != "default") {
        loaded.notes.push(format!("{place}: section [{section}] is skipped; only [Default] counts so far"));
    }
    let settings: Vec<_> = parsed.settings.iter().filter(|s| s.section == "default").collect();
    for (index, setting) in settings.iter().enumerate() {
        let place = &setting.place;
        let Some(key) = keys::find(&setting.key) else {
            unknown(&mut loaded, &setting.key, place);
            continue;
        };
        if let Some(later) = settings.iter().skip(index + 1).find(|s| s.key == setting.key) {
            loaded.warnings.push(format!("{place}: {} is set again at {}, which counts", key.name, later.place));
            continue;
        }
        // getltscfg(1): NONE un-sets.
        if setting.value == "NONE" {
            continue;
        }
        match key.put(&mut loaded.config, &setting.key, &setting.value) {
            Ok(()) => loaded.config.places.push((key.name, place.clone())),
            Err(why) => {
                errors.push((place.line, format!("{place}: {}: {}", key.name, text::sanitise_line(&why, 300))));
            }
        }
    }
    if errors.is_empty() {
        review(&mut loaded, &settings);
        return Ok(loaded);
    }
    errors.sort_by_key(|(line, _)| *line);
    Err(ConfigError::Wrong(errors.into_iter().map(|(_, text)| text).collect()))
}

/// What has to be said of values that are right by themselves.
fn review(loaded: &mut Loaded, settings: &[&ini::Setting]) {
    let Loaded { config, warnings, .. } = loaded;
    if config.debug && config.place("LDM_LOGLEVEL").is_none() {
        config.log_level = 7;
    }
    let place = |name: &str| settings.iter().rev().find(|setting| setting.key == name).map(|setting| &setting.place);
    for number in 0..=9 {
        let (item, command) = (format!("LDM_MENU_ITEM_{number}"), format!("LDM_MENU_COMMAND_{number}"));
        let is = (config.menu_items.contains_key(&number), config.menu_commands.contains_key(&number));
        let (here, there) = match is {
            (true, false) => (item, command),
            (false, true) => (command, item),
            _ => continue,
        };
        if let Some(place) = place(&here) {
            warnings.push(format!("{place}: {here} is of no use without {there}"));
        }
        config.menu_items.remove(&number);
        config.menu_commands.remove(&number);
    }
    let guests = config.guest_login || config.autologin || config.login_timeout.is_some() || config.timeout_enabled;
    for (of_use, key, without) in [
        (config.limit_one_session, "LDM_LIMIT_ONE_SESSION_PROMPT", "LDM_LIMIT_ONE_SESSION"),
        (config.timeout_enabled, "LDM_TIMEOUT_TIME", "LDM_TIMEOUT_ENABLED"),
        (guests, "LDM_USERNAME", GUESTS),
        (guests, "LDM_PASSWORD", GUESTS),
        (guests, "LDM_GUEST_KEY", GUESTS),
        (guests, "LDM_GUEST_SERVER", GUESTS),
        (guests, "LDM_AUTOLOGIN_SERVER", GUESTS),
        (guests, "HOST_TO_USERNAME", GUESTS),
    ] {
        if let Some(place) = config.place(key).filter(|_| !of_use) {
            warnings.push(format!("{place}: {key} is of no use without {without}"));
        }
    }
    if let Some(format) = config.clock_format.as_ref().filter(|format| format.contains('<')) {
        let place = config.place("LDM_CLOCK_FORMAT").map(ToString::to_string).unwrap_or_default();
        warnings
            .push(format!("{place}: LDM_CLOCK_FORMAT: “{format}” has markup in it, which is shown as it stands here"));
    }
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let refused: Vec<String> = config.client_env.iter().map(name).filter(|name| !helper::may_set(name)).collect();
    if !refused.is_empty() {
        config.client_env.retain(|variable| helper::may_set(&name(variable)));
        let place = config.place("CLIENT_ENV").map(ToString::to_string).unwrap_or_default();
        warnings.push(format!(
            "{place}: CLIENT_ENV: {} cannot be set so: the login decides it, or it would break every session",
            refused.join(", ")
        ));
    }
}

fn unknown(loaded: &mut Loaded, name: &str, place: &Place) {
    if let Some(why) = keys::gone(name) {
        loaded.notes.push(format!("{place}: {name} of LDM 2 is not here: {why}"));
        return;
    }
    match keys::nearest(name) {
        Some(near) => loaded.warnings.push(format!("{place}: {name} is not known here; is {near} meant?")),
        None if name.to_uppercase().starts_with("LDM_") => {
            loaded.warnings.push(format!("{place}: {name} is not known here"));
        }
        None => loaded.notes.push(format!("{place}: {name} is not used by ldm")),
    }
}

#[cfg(test)]
mod tests;
