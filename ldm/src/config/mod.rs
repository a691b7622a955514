//! The configuration in lts.conf syntax, read by the daemon (root) from a file that root wrote.
//!
//! A value that cannot be right is refused with its place; an unknown key is only warned about, because lts.conf belongs to
//! many programs. Only the section `[Default]` counts so far.

pub mod ini;
pub mod keys;

use std::io::Read;
use std::path::{Path, PathBuf};

use ldm_protocol::text;

pub use ini::Place;

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
    /// `LDM_XSESSION`.
    pub xsession: Option<String>,
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
            xsession: None,
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
        let result = if setting.value == "NONE" { Ok(()) } else { (key.set)(&mut loaded.config, &setting.value) };
        match result {
            Ok(()) => loaded.config.places.push((key.name, place.clone())),
            Err(why) => {
                errors.push((place.line, format!("{place}: {}: {}", key.name, text::sanitise_line(&why, 300))));
            }
        }
    }
    if errors.is_empty() {
        return Ok(loaded);
    }
    errors.sort_by_key(|(line, _)| *line);
    Err(ConfigError::Wrong(errors.into_iter().map(|(_, text)| text).collect()))
}

fn unknown(loaded: &mut Loaded, name: &str, place: &Place) {
    match keys::nearest(name) {
        Some(near) => loaded.warnings.push(format!("{place}: {name} is not known here; is {near} meant?")),
        None if name.to_uppercase().starts_with("LDM_") => {
            loaded.warnings.push(format!("{place}: {name} is not known here"));
        }
        None => loaded.notes.push(format!("{place}: {name} is not used by ldm")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(lines: &str) -> Loaded {
        parse(Path::new("lts.conf"), format!("[Default]\n{lines}").as_bytes()).unwrap()
    }

    fn bad(lines: &str) -> String {
        parse(Path::new("lts.conf"), format!("[Default]\n{lines}").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_key_is_read() {
        let loaded = good(
            "LDM_SERVER = a, b:2222 [::1]:22\nSSH_OVERRIDE_PORT=2200\nLDM_KNOWN_HOSTS=/a \"/b c\"\n\
             LDM_TRUST_FIRST_USE=yes\nLDM_SESSION=xfce\nLDM_FORCE_SESSION=icewm\nLDM_LANGUAGE=de_DE.UTF-8\n\
             LDM_FORCE_LANGUAGE=C\nLDM_XSESSION=/etc/X11/Xsession\nLDM_GREETER=tuigreet --time\nLDM_THEME=school\n\
             LDM_DIRECTX=Y\nLDM_LOGLEVEL=7\nLDM_SYSLOG=ON\nLDM_XSERVER=\"Xorg -config dummy.conf\"\nLDM_VT=7\n\
             LDM_GREETER_USER=g\nLDM_WORKER_USER=w\nSOUND=no\nSOUND_DAEMON=/run/pulse/native\nVOLUME=70\n\
             MIC_VOLUME=0\nMICROPHONE=False\nLOCAL_APPS=True\nLOCAL_APPS_WHITELIST=/usr/bin/firefox vlc\n\
             LOCAL_APPS_GROUPS=audio, scanner\nLOCAL_APPS_EXTRAMOUNTS=/srv/a, \"/srv/b c\"\nSSH_FOLLOW_SYMLINKS=True\n\
             LOCAL_APPS_MENU=True\nLOCAL_APPS_MENU_ITEMS=firefox.desktop,vlc\nLOCAL_APPS_OPEN=firefox --new-window\n\
             REMOTE_APPS=True\n",
        );
        assert!(loaded.warnings.is_empty() && loaded.notes.is_empty());
        let mut config = loaded.config;
        assert_eq!(config.places.len(), keys::KEYS.len(), "a key of the table is missing above");
        assert_eq!(config.place("LDM_VT").unwrap().to_string(), "lts.conf:17");
        config.places.clear();
        assert_eq!(
            config,
            Config {
                servers: vec!["a".into(), "b:2222".into(), "[::1]:22".into()],
                port: 2200,
                known_hosts: vec!["/a".into(), "/b c".into()],
                trust_first_use: Some(keys::FIRST_USE_FILE.into()),
                session: Some("xfce".into()),
                force_session: Some("icewm".into()),
                language: Some("de_DE.UTF-8".into()),
                force_language: Some("C".into()),
                xsession: Some("/etc/X11/Xsession".into()),
                greeter: vec!["tuigreet".into(), "--time".into()],
                theme: Some("school".into()),
                directx: true,
                log_level: 7,
                syslog: true,
                xserver: vec!["Xorg".into(), "-config".into(), "dummy.conf".into()],
                vt: Some(7),
                greeter_user: "g".into(),
                worker_user: "w".into(),
                sound: false,
                sound_daemon: SoundDaemon::Socket("/run/pulse/native".into()),
                volume: 70,
                mic_volume: 0,
                microphone: false,
                local_apps: true,
                local_apps_whitelist: vec!["/usr/bin/firefox".into(), "vlc".into()],
                local_apps_groups: vec!["audio".into(), "scanner".into()],
                local_apps_extra_mounts: vec!["/srv/a".into(), "/srv/b c".into()],
                follow_symlinks: Some(true),
                local_apps_menu: true,
                local_apps_menu_items: vec!["firefox".into(), "vlc".into()],
                local_apps_open: vec!["firefox".into(), "--new-window".into()],
                remote_apps: true,
                places: Vec::new(),
            }
        );
    }

    #[test]
    fn bad_values_are_refused_with_their_place() {
        for (line, want) in [
            ("SSH_OVERRIDE_PORT = 0", "lts.conf:2: SSH_OVERRIDE_PORT: “0” is no number from 1 to 65535"),
            ("LDM_LOGLEVEL = 8", "lts.conf:2: LDM_LOGLEVEL: “8” is no number from 0 to 7"),
            ("LDM_DIRECTX = maybe", "lts.conf:2: LDM_DIRECTX: “maybe” is neither True nor False"),
            ("LDM_SERVER = a -b", "lts.conf:2: LDM_SERVER: “-b” is no host or host:port"),
            ("LDM_SERVER =", "lts.conf:2: LDM_SERVER: no server is named"),
            (
                "LDM_SESSION = /usr/bin/xterm -e",
                "lts.conf:2: LDM_SESSION: “/usr/bin/xterm -e” is no session id: write the base name of its .desktop file, such as xfce",
            ),
            ("LDM_LANGUAGE = $(x)", "lts.conf:2: LDM_LANGUAGE: “$(x)” is no locale: write one such as de_DE.UTF-8"),
            ("LDM_XSESSION = x", "lts.conf:2: LDM_XSESSION: “x” is no path from the root: it must begin with /"),
            ("LDM_GREETER = ", "lts.conf:2: LDM_GREETER: the value is empty"),
            ("LDM_WORKER_USER = -x", "lts.conf:2: LDM_WORKER_USER: “-x” is no user name"),
        ] {
            assert_eq!(bad(line), want);
        }
        assert_eq!(
            bad("LDM_VT = x\nnonsense\nLDM_SYSLOG = 2"),
            "lts.conf:2: LDM_VT: “x” is no number from 1 to 63\n\
             lts.conf:3: this is neither KEY = value nor [section]\n\
             lts.conf:4: LDM_SYSLOG: “2” is neither True nor False"
        );
    }

    #[test]
    fn unknown_keys_and_sections_are_told_not_refused() {
        let loaded = good(
            "LDM_SEVER = x\nldm_session = y\nLDM_WALLPAPERS_OF_THE_WORLD = 1\nPRINTER_0_DEVICE = z\n[00:11:22:33:44:55]\nLDM_SERVER = other\n",
        );
        assert_eq!(
            loaded.warnings,
            [
                "lts.conf:2: LDM_SEVER is not known here; is LDM_SERVER meant?",
                "lts.conf:3: ldm_session is not known here; is LDM_SESSION meant?",
                "lts.conf:4: LDM_WALLPAPERS_OF_THE_WORLD is not known here",
            ]
        );
        assert_eq!(
            loaded.notes,
            [
                "lts.conf:6: section [00:11:22:33:44:55] is skipped; only [Default] counts so far",
                "lts.conf:5: PRINTER_0_DEVICE is not used by ldm",
            ]
        );
        assert_eq!(loaded.config.servers, ["server"]);
    }

    #[test]
    fn the_last_of_two_counts_and_none_unsets() {
        let loaded = good("LDM_SESSION = a\nLDM_SESSION = b\nLDM_LANGUAGE = C\nLDM_LANGUAGE = NONE\n");
        assert_eq!(loaded.config.session.as_deref(), Some("b"));
        assert_eq!(loaded.config.language, None);
        assert_eq!(
            loaded.warnings,
            [
                "lts.conf:2: LDM_SESSION is set again at lts.conf:3, which counts",
                "lts.conf:4: LDM_LANGUAGE is set again at lts.conf:5, which counts"
            ]
        );
    }

    #[test]
    fn the_named_file_must_exist_the_default_one_need_not() {
        let error = load(Some(Path::new("/nonexistent/lts.conf"))).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/lts.conf cannot be read");
        assert!(matches!(parse(Path::new("f"), &vec![b'\n'; ini::FILE + 1]), Err(ConfigError::TooLarge(_))));
    }

    #[test]
    fn the_table_and_the_defaults_agree() {
        let mut config = Config::default();
        for key in [
            "LDM_SERVER",
            "SSH_OVERRIDE_PORT",
            "LDM_KNOWN_HOSTS",
            "LDM_TRUST_FIRST_USE",
            "LDM_DIRECTX",
            "LDM_LOGLEVEL",
            "LDM_SYSLOG",
            "LDM_XSERVER",
            "LDM_GREETER_USER",
            "LDM_WORKER_USER",
            "SOUND",
            "SOUND_DAEMON",
            "VOLUME",
            "MIC_VOLUME",
            "MICROPHONE",
            "LOCAL_APPS",
            "LOCAL_APPS_GROUPS",
            "LOCAL_APPS_MENU",
            "REMOTE_APPS",
        ] {
            let key = keys::find(key).unwrap();
            (key.set)(&mut config, key.default).unwrap();
        }
        assert_eq!(config, Config::default());
    }
}
