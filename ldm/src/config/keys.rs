//! The one table of keys: parsing, help text and the "did you mean" of unknown keys all come from it.

use std::fmt::Write as _;

use ldm_protocol::near;

use super::Config;
use super::values::{
    absolute, access, assignments, boolean, clock, directories, groups, layouts, locale, login_name, menu_items,
    number, number_from, password, paths, power, seconds, servers, session, sound_daemon, substitution, text, trust,
    user, users, words, xkb,
};

pub use super::gone::{GONE, gone};
pub use super::values::{is_server, words as split_words};

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
    pub(super) set: Set,
}

/// How a value is put in.
pub(super) enum Set {
    /// The key as it is called.
    One(fn(&mut Config, &str) -> Result<(), String>),
    /// Ten keys, whose last letter `n` stands for 0 to 9.
    Numbered(fn(&mut Config, u8, &str) -> Result<(), String>),
}

use Set::{Numbered, One};

/// Where trust on first use keeps its keys when it is switched on without a path.
pub const FIRST_USE_FILE: &str = "/var/lib/ldm/known_hosts";

/// All keys, in the order of the manual.
pub const KEYS: &[Key] = &[
    Key {
        name: "LDM_SERVER",
        takes: "HOST[:PORT]…",
        default: "server",
        about: "The servers to log in to, separated by blanks or commas; the user may choose one, else the first that answers is used.",
        set: One(|c, v| servers(v).map(|v| c.servers = v)),
    },
    Key {
        name: "SSH_OVERRIDE_PORT",
        takes: "number",
        default: "22",
        about: "Port of the servers that name none.",
        set: One(|c, v| number(v, 1, u16::MAX).map(|v| c.port = v)),
    },
    Key {
        name: "LDM_KNOWN_HOSTS",
        takes: "path…",
        default: "/etc/ssh/ssh_known_hosts",
        about: "Known-hosts files, separated by blanks; a server whose key is in none of them is refused.",
        set: One(|c, v| paths(v).map(|v| c.known_hosts = v)),
    },
    Key {
        name: "LDM_TRUST_FIRST_USE",
        takes: "True, False or path",
        default: "False",
        about: "Trust a server that no known-hosts file knows the first time it is met, and remember its key in this file \
                (True: /var/lib/ldm/known_hosts). Whoever answers first is trusted then: for networks that are safe at that moment only.",
        set: One(|c, v| trust(v).map(|v| c.trust_first_use = v)),
    },
    Key {
        name: "LDM_SESSION",
        takes: "id",
        default: "the server's default",
        about: "Session where the server remembers none for the user and they do not ask to choose: the base name of its .desktop file.",
        set: One(|c, v| session(v).map(|v| c.session = Some(v))),
    },
    Key {
        name: "LDM_FORCE_SESSION",
        takes: "id",
        default: "none",
        about: "The session everybody gets; nobody is asked.",
        set: One(|c, v| session(v).map(|v| c.force_session = Some(v))),
    },
    Key {
        name: "LDM_LANGUAGE",
        takes: "locale",
        default: "the server's",
        about: "Language of sessions for which none was chosen, such as de_DE.UTF-8.",
        set: One(|c, v| locale(v).map(|v| c.language = Some(v))),
    },
    Key {
        name: "LDM_FORCE_LANGUAGE",
        takes: "locale",
        default: "none",
        about: "The language of every session, whatever was chosen.",
        set: One(|c, v| locale(v).map(|v| c.force_language = Some(v))),
    },
    Key {
        name: "LANG",
        takes: "locale",
        default: "LDM_FORCE_LANGUAGE, else LDM_LANGUAGE",
        about: "Language of the greeter alone, where it is not to be that of sessions.",
        set: One(|c, v| locale(v).map(|v| c.lang = Some(v))),
    },
    Key {
        name: "LDM_XSESSION",
        takes: "path",
        default: "the server's Xsession",
        about: "Xsession script on the server that starts the session.",
        set: One(|c, v| absolute(v).map(|_| c.xsession = Some(v.to_owned()))),
    },
    Key {
        name: "LDM_AUTOLOGIN",
        takes: "True or False",
        default: "False",
        about: "Log a guest in as soon as the client is up, without a greeter; if that fails, the greeter says why.",
        set: One(|c, v| boolean(v).map(|v| c.autologin = v)),
    },
    Key {
        name: "LDM_GUESTLOGIN",
        takes: "True or False",
        default: "False",
        about: "Offer a login as guest.",
        set: One(|c, v| boolean(v).map(|v| c.guest_login = v)),
    },
    Key {
        name: "LDM_USERNAME",
        takes: "user",
        default: "the client's host name",
        about: "Whom a guest or an automatic login is.",
        set: One(|c, v| login_name(v).map(|v| c.username = Some(v))),
    },
    Key {
        name: "LDM_PASSWORD",
        takes: "password",
        default: "the user's name",
        about: "Password of that user. Whoever can read this file can read it: LDM_GUEST_KEY is better.",
        set: One(|c, v| password(v).map(|v| c.password = Some(v))),
    },
    Key {
        name: "LDM_GUEST_KEY",
        takes: "path",
        default: "none",
        about: "Private SSH key of that user, without a passphrase, readable by LDM_WORKER_USER; then no password is used.",
        set: One(|c, v| absolute(v).map(|v| c.guest_key = Some(v))),
    },
    Key {
        name: "LDM_GUEST_SERVER",
        takes: "HOST[:PORT]…",
        default: "LDM_SERVER",
        about: "Servers for guests and automatic logins.",
        set: One(|c, v| servers(v).map(|v| c.guest_servers = v)),
    },
    Key {
        name: "LDM_AUTOLOGIN_SERVER",
        takes: "HOST[:PORT]…",
        default: "LDM_SERVER",
        about: "The same under its other name; LDM_GUEST_SERVER goes before it.",
        set: One(|c, v| servers(v).map(|v| c.autologin_servers = v)),
    },
    Key {
        name: "LDM_LOGIN_TIMEOUT",
        takes: "seconds",
        default: "none",
        about: "Log a guest in when nobody has done anything at the greeter for so long.",
        set: One(|c, v| seconds(v).map(|v| c.login_timeout = Some(v))),
    },
    Key {
        name: "LDM_TIMEOUT_ENABLED",
        takes: "True or False",
        default: "False",
        about: "Old form: whether LDM_TIMEOUT_TIME counts.",
        set: One(|c, v| boolean(v).map(|v| c.timeout_enabled = v)),
    },
    Key {
        name: "LDM_TIMEOUT_TIME",
        takes: "seconds",
        default: "none",
        about: "Old form of LDM_LOGIN_TIMEOUT.",
        set: One(|c, v| seconds(v).map(|v| c.timeout_time = Some(v))),
    },
    Key {
        name: "HOST_TO_USERNAME",
        takes: "PATTERN/REPLACEMENT",
        default: "none",
        about: "Make the guest's name out of the client's: pc/guest makes guest01 of pc01. A client without the pattern in its name has no guest login.",
        set: One(|c, v| substitution(v).map(|v| c.host_to_username = Some(v))),
    },
    Key {
        name: "LDM_USER_ALLOW",
        takes: "user,@group…",
        default: "everybody",
        about: "Who may log in at this client, separated by commas; a name with @ before it is a group of the server.",
        set: One(|c, v| users(v).map(|v| c.user_allow = v)),
    },
    Key {
        name: "LDM_USER_DENY",
        takes: "user,@group…",
        default: "nobody",
        about: "Who may not, also if LDM_USER_ALLOW names them.",
        set: One(|c, v| users(v).map(|v| c.user_deny = v)),
    },
    Key {
        name: "LDM_LIMIT_ONE_SESSION",
        takes: "True or False",
        default: "False",
        about: "A user's other sessions on that server end when a new one starts.",
        set: One(|c, v| boolean(v).map(|v| c.limit_one_session = v)),
    },
    Key {
        name: "LDM_LIMIT_ONE_SESSION_PROMPT",
        takes: "True or False",
        default: "False",
        about: "Ask before that.",
        set: One(|c, v| boolean(v).map(|v| c.limit_one_session_prompt = v)),
    },
    Key {
        name: "LDM_REMEMBER_USER",
        takes: "True or False",
        default: "False",
        about: "Put the name of whoever logged in last into the greeter.",
        set: One(|c, v| boolean(v).map(|v| c.remember_user = v)),
    },
    Key {
        name: "CLIENT_ENV",
        takes: "NAME=VALUE…",
        default: "none",
        about: "Variables for every session, separated by blanks.",
        set: One(|c, v| assignments(v).map(|v| c.client_env = v)),
    },
    Key {
        name: "XKBLAYOUT",
        takes: "layout,…",
        default: "the X server's",
        about: "Keyboard layouts, at most 4; the first is used at first.",
        set: One(|c, v| layouts(v).map(|v| c.keyboard.layout = v)),
    },
    Key {
        name: "XKBVARIANT",
        takes: "variant,…",
        default: "none",
        about: "Their variants, in the same order.",
        set: One(|c, v| xkb(v).map(|v| c.keyboard.variant = v)),
    },
    Key {
        name: "XKBMODEL",
        takes: "model",
        default: "the X server's",
        about: "The keyboard's model.",
        set: One(|c, v| xkb(v).map(|v| c.keyboard.model = v)),
    },
    Key {
        name: "XKBOPTIONS",
        takes: "option,…",
        default: "none",
        about: "Options of the keyboard, such as grp:alt_shift_toggle.",
        set: One(|c, v| xkb(v).map(|v| c.keyboard.options = v)),
    },
    Key {
        name: "XKBRULES",
        takes: "rules",
        default: "the X server's",
        about: "Rules by which these names are understood.",
        set: One(|c, v| xkb(v).map(|v| c.keyboard.rules = v)),
    },
    Key {
        name: "X_NUMLOCK",
        takes: "True or False",
        default: "as the X server has it",
        about: "Switch Num Lock on, or off, when the display starts.",
        set: One(|c, v| boolean(v).map(|v| c.num_lock = Some(v))),
    },
    Key {
        name: "X_BLANKING",
        takes: "seconds",
        default: "600",
        about: "Blank the screen of an idle greeter after so long; 0: never.",
        set: One(|c, v| seconds(v).map(|v| c.blanking = v)),
    },
    Key {
        name: "LDM_MENU_ITEM_n",
        takes: "text",
        default: "none",
        about: "Name of an item of the greeter's menu; n is 0 to 9.",
        set: Numbered(|c, n, v| {
            text(v).map(|v| {
                c.menu_items.insert(n, v);
            })
        }),
    },
    Key {
        name: "LDM_MENU_COMMAND_n",
        takes: "command line",
        default: "none",
        about: "What that item runs on the client, as root.",
        set: Numbered(|c, n, v| {
            words(v).map(|v| {
                c.menu_commands.insert(n, v);
            })
        }),
    },
    Key {
        name: "LDM_POWER",
        takes: "action…",
        default: "reboot shutdown suspend",
        about: "What the greeter offers of these; None: nothing.",
        set: One(|c, v| power(v).map(|v| c.power = v)),
    },
    Key {
        name: "LDM_POWER_PROGRAM",
        takes: "command line",
        default: "systemctl",
        about: "Does it; reboot, poweroff or suspend is added.",
        set: One(|c, v| words(v).map(|v| c.power_program = v)),
    },
    Key {
        name: "LDM_CLOCK_FORMAT",
        takes: "strftime",
        default: "the language's own",
        about: "How the greeter writes date and time.",
        set: One(|c, v| clock(v).map(|v| c.clock_format = Some(v))),
    },
    Key {
        name: "LDM_MONITOR",
        takes: "name",
        default: "where the pointer is",
        about: "Monitor for the greeter's dialog, such as HDMI-1.",
        set: One(|c, v| text(v).map(|v| c.monitor = Some(v))),
    },
    Key {
        name: "LDM_ACCESSIBILITY",
        takes: "aid…",
        default: "none",
        about: "What is switched on until somebody chooses otherwise: screen-reader, high-contrast, large-text, large-pointer, sticky-keys, slow-keys, keyboard.",
        set: One(|c, v| access(v).map(|v| c.access = v)),
    },
    Key {
        name: "LDM_SCREEN_READER",
        takes: "command line",
        default: "orca",
        about: "The screen reader for the greeter.",
        set: One(|c, v| words(v).map(|v| c.screen_reader = v)),
    },
    Key {
        name: "LDM_ONSCREEN_KEYBOARD",
        takes: "command line",
        default: "xvkbd",
        about: "The keyboard on the screen for the greeter.",
        set: One(|c, v| words(v).map(|v| c.onscreen_keyboard = v)),
    },
    Key {
        name: "LDM_STATE_DIR",
        takes: "path",
        default: "/var/lib/ldm",
        about: "Where this client remembers who logged in last and what was switched on.",
        set: One(|c, v| absolute(v).map(|v| c.state_dir = v)),
    },
    Key {
        name: "LDM_DEBUG",
        takes: "True or False",
        default: "False",
        about: "Old form of LDM_LOGLEVEL = 7.",
        set: One(|c, v| boolean(v).map(|v| c.debug = v)),
    },
    Key {
        name: "LDM_GREETER",
        takes: "command line",
        default: "ldm-greeter",
        about: "The greeter: any program that speaks the greetd protocol on the socket in GREETD_SOCK.",
        set: One(|c, v| words(v).map(|v| c.greeter = v)),
    },
    Key {
        name: "LDM_THEME",
        takes: "name or path",
        default: "default",
        about: "Theme of ldm-greeter.",
        set: One(|c, v| text(v).map(|v| c.theme = Some(v))),
    },
    Key {
        name: "LDM_DIRECTX",
        takes: "True or False",
        default: "False",
        about: "Send the session's windows over plain TCP: faster on weak machines, and readable and alterable by everybody on the network.",
        set: One(|c, v| boolean(v).map(|v| c.directx = v)),
    },
    Key {
        name: "LDM_LOGLEVEL",
        takes: "0 to 7",
        default: "6",
        about: "How much is logged, as in syslog(3): 3 errors, 4 warnings, 6 what happens, 7 everything. Answers are logged at no level.",
        set: One(|c, v| number(v, 0, 7).map(|v| c.log_level = u8::try_from(v).unwrap_or(7))),
    },
    Key {
        name: "LDM_SYSLOG",
        takes: "True or False",
        default: "False",
        about: "Log to /dev/log instead of the journal or standard error.",
        set: One(|c, v| boolean(v).map(|v| c.syslog = v)),
    },
    Key {
        name: "LDM_XSERVER",
        takes: "command line",
        default: "Xorg",
        about: "The X server with its arguments; the display, the cookie and -displayfd are added.",
        set: One(|c, v| words(v).map(|v| c.xserver = v)),
    },
    Key {
        name: "LDM_VT",
        takes: "1 to 63",
        default: "the X server's choice",
        about: "Virtual terminal of the X server.",
        set: One(|c, v| number(v, 1, 63).map(|v| c.vt = u8::try_from(v).ok())),
    },
    Key {
        name: "LDM_GREETER_USER",
        takes: "user",
        default: "ldm-greeter",
        about: "User that the greeter runs as.",
        set: One(|c, v| user(v).map(|v| c.greeter_user = v)),
    },
    Key {
        name: "LDM_WORKER_USER",
        takes: "user",
        default: "ldm",
        about: "User that holds the connection to the server.",
        set: One(|c, v| user(v).map(|v| c.worker_user = v)),
    },
    Key {
        name: "SOUND",
        takes: "True or False",
        default: "True",
        about: "Give the session the sound of this client. False: nothing is forwarded.",
        set: One(|c, v| boolean(v).map(|v| c.sound = v)),
    },
    Key {
        name: "SOUND_DAEMON",
        takes: "auto, pulseaudio, pipewire or path",
        default: "auto",
        about: "The sound daemon: one of the two, which is then started for each session; the socket of one that runs; or auto: the one that runs, else the one that is installed.",
        set: One(|c, v| sound_daemon(v).map(|v| c.sound_daemon = v)),
    },
    Key {
        name: "VOLUME",
        takes: "0 to 100",
        default: "90",
        about: "Volume of the speakers at the start of a session, in percent.",
        set: One(|c, v| number_from(v, 0, 100).map(|v| c.volume = v)),
    },
    Key {
        name: "MIC_VOLUME",
        takes: "0 to 100",
        default: "40",
        about: "Volume of the microphone at the start of a session, in percent.",
        set: One(|c, v| number_from(v, 0, 100).map(|v| c.mic_volume = v)),
    },
    Key {
        name: "MICROPHONE",
        takes: "True or False",
        default: "True",
        about: "Let the session record. False: it can only play.",
        set: One(|c, v| boolean(v).map(|v| c.microphone = v)),
    },
    Key {
        name: "LOCAL_APPS",
        takes: "True or False",
        default: "False",
        about: "Let sessions start programs on this client (ltsp-localapps).",
        set: One(|c, v| boolean(v).map(|v| c.local_apps = v)),
    },
    Key {
        name: "LOCAL_APPS_WHITELIST",
        takes: "program…",
        default: "all programs",
        about: "The programs that may be started so, separated by blanks: paths, or names to be found in the PATH.",
        set: One(|c, v| words(v).map(|v| c.local_apps_whitelist = v)),
    },
    Key {
        name: "LOCAL_APPS_GROUPS",
        takes: "group…",
        default: "audio video",
        about: "Groups of this client that a user of local programs gets where the server has them in a group of the same name; audio and video in any case.",
        set: One(|c, v| groups(v).map(|v| c.local_apps_groups = v)),
    },
    Key {
        name: "LOCAL_APPS_EXTRAMOUNTS",
        takes: "path…",
        default: "none",
        about: "Directories of the server, besides the home, that local programs see, separated by commas or blanks.",
        set: One(|c, v| directories(v).map(|v| c.local_apps_extra_mounts = v)),
    },
    Key {
        name: "SSH_FOLLOW_SYMLINKS",
        takes: "True or False",
        default: "False for the home, True for other directories",
        about: "Follow the server's symbolic links there instead of showing them.",
        set: One(|c, v| boolean(v).map(|v| c.follow_symlinks = Some(v))),
    },
    Key {
        name: "LOCAL_APPS_MENU",
        takes: "True or False",
        default: "False",
        about: "Show the programs of this client in the session's menu.",
        set: One(|c, v| boolean(v).map(|v| c.local_apps_menu = v)),
    },
    Key {
        name: "LOCAL_APPS_MENU_ITEMS",
        takes: "name…",
        default: "all programs",
        about: "Which of them: base names of .desktop files, separated by commas or blanks.",
        set: One(|c, v| menu_items(v).map(|v| c.local_apps_menu_items = v)),
    },
    Key {
        name: "LOCAL_APPS_OPEN",
        takes: "command line",
        default: "none",
        about: "Open web addresses of the session on this client with this program, such as firefox; it also opens what ltsp-open hands over.",
        set: One(|c, v| words(v).map(|v| c.local_apps_open = v)),
    },
    Key {
        name: "REMOTE_APPS",
        takes: "True or False",
        default: "False",
        about: "Let programs on this client start programs in the session on the server (ltsp-remoteapps).",
        set: One(|c, v| boolean(v).map(|v| c.remote_apps = v)),
    },
];

/// The key of this name.
///
/// `LDM_MENU_ITEM_3` is one of `LDM_MENU_ITEM_n`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.number_in(name).is_some())
}

impl Key {
    /// The number in `name`, if that is one of the ten keys that this one stands for.
    fn number_in(&self, name: &str) -> Option<u8> {
        let Numbered(_) = self.set else { return None };
        let stem = self.name.strip_suffix('n')?;
        name.strip_prefix(stem).filter(|rest| rest.len() == 1)?.parse().ok()
    }

    /// Puts `value` in, for the key that is called `name` in the file.
    pub(super) fn put(&self, config: &mut Config, name: &str, value: &str) -> Result<(), String> {
        match self.set {
            One(set) => set(config, value),
            Numbered(set) => set(config, self.number_in(name).ok_or("the number is missing")?, value),
        }
    }
}

/// The key most like `name`, if one is like it at all: of the same words, or of nearly the same letters.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_uppercase();
    let words = |name: &str| {
        let mut words: Vec<String> = name.split('_').map(str::to_owned).collect();
        words.sort();
        words
    };
    let mut names = KEYS.iter().map(|key| key.name);
    names.find(|key| words(key) == words(&name)).or_else(|| near::nearest(&name, KEYS.iter().map(|key| key.name)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_errors_only() {
        assert_eq!(nearest("LDM_SEVER"), Some("LDM_SERVER"));
        assert_eq!(nearest("ldm_greeter"), Some("LDM_GREETER"));
        assert_eq!(nearest("LDM_FORCESESSION"), Some("LDM_FORCE_SESSION"));
        assert_eq!(nearest("LDM_ALLOW_USER"), Some("LDM_USER_ALLOW"), "as documents of LTSP spelled it");
        assert_eq!(nearest("PRINTER_0_DEVICE"), None);
        assert_eq!(nearest("X"), None);
    }
}
