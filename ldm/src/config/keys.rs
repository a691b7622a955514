//! The one table of keys: parsing, help text and the "did you mean" of unknown keys all come from it.

use std::fmt::Write as _;
use std::path::PathBuf;

use ldm_protocol::helper::{self, SessionEntry};

use super::{Config, SoundDaemon};

/// One key of the configuration.
pub struct Key {
    /// Its name in lts.conf.
    pub name: &'static str,
    /// What kind of value it takes, for the reader of the manual.
    pub takes: &'static str,
    /// The value it has where none is set.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Puts the value in, or says why it cannot be one.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

/// Where trust on first use keeps its keys when it is switched on without a path.
pub const FIRST_USE_FILE: &str = "/var/lib/ldm/known_hosts";

/// All keys, in the order of the manual.
pub const KEYS: &[Key] = &[
    Key {
        name: "LDM_SERVER",
        takes: "HOST[:PORT]…",
        default: "server",
        about: "The servers to log in to, separated by blanks or commas; the first that answers is used.",
        set: |c, v| servers(v).map(|v| c.servers = v),
    },
    Key {
        name: "SSH_OVERRIDE_PORT",
        takes: "number",
        default: "22",
        about: "Port of the servers that name none.",
        set: |c, v| number(v, 1, u16::MAX).map(|v| c.port = v),
    },
    Key {
        name: "LDM_KNOWN_HOSTS",
        takes: "path…",
        default: "/etc/ssh/ssh_known_hosts",
        about: "Known-hosts files, separated by blanks; a server whose key is in none of them is refused.",
        set: |c, v| paths(v).map(|v| c.known_hosts = v),
    },
    Key {
        name: "LDM_TRUST_FIRST_USE",
        takes: "True, False or path",
        default: "False",
        about: "Trust a server that no known-hosts file knows the first time it is met, and remember its key in this file \
                (True: /var/lib/ldm/known_hosts). Whoever answers first is trusted then: for networks that are safe at that moment only.",
        set: |c, v| trust(v).map(|v| c.trust_first_use = v),
    },
    Key {
        name: "LDM_SESSION",
        takes: "id",
        default: "the server's default",
        about: "Session to preselect where the server remembers none for the user: the base name of its .desktop file.",
        set: |c, v| session(v).map(|v| c.session = Some(v)),
    },
    Key {
        name: "LDM_FORCE_SESSION",
        takes: "id",
        default: "none",
        about: "The session everybody gets; nobody is asked.",
        set: |c, v| session(v).map(|v| c.force_session = Some(v)),
    },
    Key {
        name: "LDM_LANGUAGE",
        takes: "locale",
        default: "the server's",
        about: "Language of sessions for which none was chosen, such as de_DE.UTF-8.",
        set: |c, v| locale(v).map(|v| c.language = Some(v)),
    },
    Key {
        name: "LDM_FORCE_LANGUAGE",
        takes: "locale",
        default: "none",
        about: "The language of every session, whatever was chosen.",
        set: |c, v| locale(v).map(|v| c.force_language = Some(v)),
    },
    Key {
        name: "LDM_XSESSION",
        takes: "path",
        default: "the server's Xsession",
        about: "Xsession script on the server that starts the session.",
        set: |c, v| absolute(v).map(|_| c.xsession = Some(v.to_owned())),
    },
    Key {
        name: "LDM_GREETER",
        takes: "command line",
        default: "ldm-greeter",
        about: "The greeter: any program that speaks the greetd protocol on the socket in GREETD_SOCK.",
        set: |c, v| words(v).map(|v| c.greeter = v),
    },
    Key {
        name: "LDM_THEME",
        takes: "name or path",
        default: "default",
        about: "Theme of ldm-greeter.",
        set: |c, v| text(v).map(|v| c.theme = Some(v)),
    },
    Key {
        name: "LDM_DIRECTX",
        takes: "True or False",
        default: "False",
        about: "Send the session's windows over plain TCP: faster on weak machines, and readable and alterable by everybody on the network.",
        set: |c, v| boolean(v).map(|v| c.directx = v),
    },
    Key {
        name: "LDM_LOGLEVEL",
        takes: "0 to 7",
        default: "6",
        about: "How much is logged, as in syslog(3): 3 errors, 4 warnings, 6 what happens, 7 everything. Answers are logged at no level.",
        set: |c, v| number(v, 0, 7).map(|v| c.log_level = u8::try_from(v).unwrap_or(7)),
    },
    Key {
        name: "LDM_SYSLOG",
        takes: "True or False",
        default: "False",
        about: "Log to /dev/log instead of the journal or standard error.",
        set: |c, v| boolean(v).map(|v| c.syslog = v),
    },
    Key {
        name: "LDM_XSERVER",
        takes: "command line",
        default: "Xorg",
        about: "The X server with its arguments; the display, the cookie and -displayfd are added.",
        set: |c, v| words(v).map(|v| c.xserver = v),
    },
    Key {
        name: "LDM_VT",
        takes: "1 to 63",
        default: "the X server's choice",
        about: "Virtual terminal of the X server.",
        set: |c, v| number(v, 1, 63).map(|v| c.vt = u8::try_from(v).ok()),
    },
    Key {
        name: "LDM_GREETER_USER",
        takes: "user",
        default: "ldm-greeter",
        about: "User that the greeter runs as.",
        set: |c, v| user(v).map(|v| c.greeter_user = v),
    },
    Key {
        name: "LDM_WORKER_USER",
        takes: "user",
        default: "ldm",
        about: "User that holds the connection to the server.",
        set: |c, v| user(v).map(|v| c.worker_user = v),
    },
    Key {
        name: "SOUND",
        takes: "True or False",
        default: "True",
        about: "Give the session the sound of this client. False: nothing is forwarded.",
        set: |c, v| boolean(v).map(|v| c.sound = v),
    },
    Key {
        name: "SOUND_DAEMON",
        takes: "auto, pulseaudio, pipewire or path",
        default: "auto",
        about: "The sound daemon: one of the two, which is then started for each session; the socket of one that runs; or auto: the one that runs, else the one that is installed.",
        set: |c, v| sound_daemon(v).map(|v| c.sound_daemon = v),
    },
    Key {
        name: "VOLUME",
        takes: "0 to 100",
        default: "90",
        about: "Volume of the speakers at the start of a session, in percent.",
        set: |c, v| number_from(v, 0, 100).map(|v| c.volume = v),
    },
    Key {
        name: "MIC_VOLUME",
        takes: "0 to 100",
        default: "40",
        about: "Volume of the microphone at the start of a session, in percent.",
        set: |c, v| number_from(v, 0, 100).map(|v| c.mic_volume = v),
    },
    Key {
        name: "MICROPHONE",
        takes: "True or False",
        default: "True",
        about: "Let the session record. False: it can only play.",
        set: |c, v| boolean(v).map(|v| c.microphone = v),
    },
    Key {
        name: "LOCAL_APPS",
        takes: "True or False",
        default: "False",
        about: "Let sessions start programs on this client (ltsp-localapps).",
        set: |c, v| boolean(v).map(|v| c.local_apps = v),
    },
    Key {
        name: "LOCAL_APPS_WHITELIST",
        takes: "program…",
        default: "all programs",
        about: "The programs that may be started so, separated by blanks: paths, or names to be found in the PATH.",
        set: |c, v| words(v).map(|v| c.local_apps_whitelist = v),
    },
    Key {
        name: "LOCAL_APPS_GROUPS",
        takes: "group…",
        default: "audio video",
        about: "Groups of this client that a user of local programs gets where the server has them in a group of the same name; audio and video in any case.",
        set: |c, v| groups(v).map(|v| c.local_apps_groups = v),
    },
    Key {
        name: "LOCAL_APPS_EXTRAMOUNTS",
        takes: "path…",
        default: "none",
        about: "Directories of the server, besides the home, that local programs see, separated by commas or blanks.",
        set: |c, v| directories(v).map(|v| c.local_apps_extra_mounts = v),
    },
    Key {
        name: "SSH_FOLLOW_SYMLINKS",
        takes: "True or False",
        default: "False for the home, True for other directories",
        about: "Follow the server's symbolic links there instead of showing them.",
        set: |c, v| boolean(v).map(|v| c.follow_symlinks = Some(v)),
    },
    Key {
        name: "LOCAL_APPS_MENU",
        takes: "True or False",
        default: "False",
        about: "Show the programs of this client in the session's menu.",
        set: |c, v| boolean(v).map(|v| c.local_apps_menu = v),
    },
    Key {
        name: "LOCAL_APPS_MENU_ITEMS",
        takes: "name…",
        default: "all programs",
        about: "Which of them: base names of .desktop files, separated by commas or blanks.",
        set: |c, v| menu_items(v).map(|v| c.local_apps_menu_items = v),
    },
    Key {
        name: "LOCAL_APPS_OPEN",
        takes: "command line",
        default: "none",
        about: "Open web addresses of the session on this client with this program, such as firefox; it also opens what ltsp-open hands over.",
        set: |c, v| words(v).map(|v| c.local_apps_open = v),
    },
    Key {
        name: "REMOTE_APPS",
        takes: "True or False",
        default: "False",
        about: "Let programs on this client start programs in the session on the server (ltsp-remoteapps).",
        set: |c, v| boolean(v).map(|v| c.remote_apps = v),
    },
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key most like `name`, if one is like it at all.
pub fn nearest(name: &str) -> Option<&'static str> {
    let upper: String = name.chars().take(64).collect::<String>().to_uppercase();
    let (distance, key) = KEYS.iter().map(|key| (distance(&upper, key.name), key.name)).min()?;
    // A third of the letters may differ: enough for a typing error, too little for a key of somebody else's.
    (distance <= upper.len().max(3) / 3).then_some(key)
}

/// Letters to insert, remove or change to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(from != to)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The table as the text of `ldm --help`.
pub fn reference() -> String {
    let mut out = String::from("Keys of the configuration file, in its section [Default]:\n");
    for key in KEYS {
        let Key { name, takes, default, about, .. } = key;
        let _ = write!(out, "\n  {name} = {takes}   (default: {default})\n      {about}\n");
    }
    out
}

fn boolean(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "true" | "y" | "yes" | "1" | "on" => Ok(true),
        "false" | "n" | "no" | "0" | "off" => Ok(false),
        _ => Err(format!("“{value}” is neither True nor False")),
    }
}

fn number(value: &str, least: u16, most: u16) -> Result<u16, String> {
    let out_of_range = || format!("“{value}” is no number from {least} to {most}");
    value.parse().ok().filter(|n| (least..=most).contains(n)).ok_or_else(out_of_range)
}

fn number_from(value: &str, least: u8, most: u8) -> Result<u8, String> {
    number(value, least.into(), most.into()).map(|number| u8::try_from(number).unwrap_or(most))
}

/// Items separated by commas or blanks; those with blanks in them are quoted.
fn list(value: &str) -> Result<Vec<String>, String> {
    words(&value.replace(',', " "))
}

fn sound_daemon(value: &str) -> Result<SoundDaemon, String> {
    match value {
        "auto" => Ok(SoundDaemon::Auto),
        // The original's names of it.
        "pulseaudio" | "pulse" => Ok(SoundDaemon::PulseAudio),
        "pipewire" => Ok(SoundDaemon::PipeWire),
        path if path.starts_with('/') => absolute(path).map(SoundDaemon::Socket),
        _ => Err(format!("“{value}” is none of auto, pulseaudio, pipewire and the path of a socket")),
    }
}

fn groups(value: &str) -> Result<Vec<String>, String> {
    list(value)?.iter().map(|name| user(name).map_err(|_| format!("“{name}” is no group name"))).collect()
}

fn directories(value: &str) -> Result<Vec<PathBuf>, String> {
    list(value)?.iter().map(|path| absolute(path)).collect()
}

fn menu_items(value: &str) -> Result<Vec<String>, String> {
    let name = |item: &String| {
        let name = item.strip_suffix(".desktop").unwrap_or(item);
        let good = SessionEntry::is_valid_id(name);
        if good { Ok(name.to_owned()) } else { Err(format!("“{item}” is no base name of a .desktop file")) }
    };
    list(value)?.iter().map(name).collect()
}

fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("the value is empty".to_owned()) } else { Ok(value.to_owned()) }
}

fn session(value: &str) -> Result<String, String> {
    if !SessionEntry::is_valid_id(value) || value.contains(char::is_whitespace) {
        return Err(format!("“{value}” is no session id: write the base name of its .desktop file, such as xfce"));
    }
    Ok(value.to_owned())
}

fn locale(value: &str) -> Result<String, String> {
    if !helper::is_locale(value) {
        return Err(format!("“{value}” is no locale: write one such as de_DE.UTF-8"));
    }
    Ok(value.to_owned())
}

fn absolute(value: &str) -> Result<PathBuf, String> {
    if !value.starts_with('/') {
        return Err(format!("“{value}” is no path from the root: it must begin with /"));
    }
    Ok(PathBuf::from(value))
}

fn paths(value: &str) -> Result<Vec<PathBuf>, String> {
    words(value)?.iter().map(|path| absolute(path)).collect()
}

fn trust(value: &str) -> Result<Option<PathBuf>, String> {
    if value.starts_with('/') {
        return absolute(value).map(Some);
    }
    let on =
        boolean(value).map_err(|_| format!("“{value}” is neither True nor False nor a path that begins with /"))?;
    Ok(on.then(|| PathBuf::from(FIRST_USE_FILE)))
}

fn user(value: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if value.is_empty() || value.len() > 32 || value.starts_with('-') || !value.chars().all(good) {
        return Err(format!("“{value}” is no user name"));
    }
    Ok(value.to_owned())
}

fn servers(value: &str) -> Result<Vec<String>, String> {
    let list: Vec<_> =
        value
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|s| !s.is_empty())
            .map(|host| {
                if is_server(host) { Ok(host.to_owned()) } else { Err(format!("“{host}” is no host or host:port")) }
            })
            .collect::<Result<_, _>>()?;
    match list.len() {
        0 => Err("no server is named".to_owned()),
        1..=64 => Ok(list),
        more => Err(format!("{more} servers are too many; 64 are enough")),
    }
}

/// Whether `host` can be `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
pub fn is_server(host: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|p| p > 0);
    let is_v6 = |a: &str| {
        a.contains(':') && a.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c) || good(c) || c == '%')
    };
    if host.len() > 300 {
        return false;
    }
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return is_v6(address) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    if host.matches(':').count() > 1 {
        return is_v6(host);
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(n, p)| (n, Some(p)));
    !name.is_empty() && !name.starts_with('-') && name.chars().all(good) && port.is_none_or(is_port)
}

/// Splits a command line at its blanks; single or double quotes keep blanks together. There is no shell and no expansion.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    match (quote, out.first()) {
        (Some(_), _) => Err("the closing quote is missing".to_owned()),
        (None, Some(first)) if !first.is_empty() => Ok(out),
        _ => Err("the value is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_errors_only() {
        assert_eq!(nearest("LDM_SEVER"), Some("LDM_SERVER"));
        assert_eq!(nearest("ldm_greeter"), Some("LDM_GREETER"));
        assert_eq!(nearest("LDM_FORCESESSION"), Some("LDM_FORCE_SESSION"));
        assert_eq!(nearest("PRINTER_0_DEVICE"), None);
        assert_eq!(nearest("X"), None);
    }

    #[test]
    fn distances() {
        for (a, b, want) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn command_lines() {
        let ok = |line| words(line).unwrap();
        assert_eq!(ok("a  b\tc"), ["a", "b", "c"]);
        assert_eq!(ok("\"/opt/my greeter\" --x='1 2' ''"), ["/opt/my greeter", "--x=1 2", ""]);
        assert_eq!(ok("agreety --cmd '$HOME;`x`'"), ["agreety", "--cmd", "$HOME;`x`"]);
        assert!(words("a 'b").is_err() && words(" ").is_err() && words("''").is_err());
    }

    #[test]
    fn servers_are_hosts() {
        for good in ["server", "10.0.0.1", "srv:2222", "[::1]:22", "fe80::1%eth0", "::1", "bücher.example"] {
            assert!(is_server(good), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "a b", "srv:0", "srv:99999", "srv:", ":22", "a/b", "[::1]22", "user@srv"] {
            assert!(!is_server(bad), "{bad}");
        }
    }
}
