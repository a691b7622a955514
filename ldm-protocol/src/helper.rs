//! Session worker ↔ `ldm-server-helper`: one JSON object a line, on stdin and stdout of an SSH exec channel.
//!
//! `info`: one [`InfoRequest`] in, one [`Info`] out. `session`: one [`SessionRequest`] in, [`SessionEvent`]s out; **stdin
//! stays open for as long as the session may live**, its end ends the session. Unknown fields are ignored both ways; a helper
//! that knows only an older [`VERSION`] says so in [`Info::version`].
//!
//! The request is the command's one argument ([`to_argument`]), because OpenSSH takes input for a command only a round trip
//! after it has started it; or it is the first line of stdin, where it holds a cookie, which no command line may.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::{Access, Elsewhere};
use crate::{limits, text};

/// Version of these messages.
pub const VERSION: u32 = 1;

/// A request as one word that means the same to every shell: base64url without padding (RFC 4648 section 5). Anybody on the
/// server can read it there; it must hold no secret.
///
/// # Errors
/// Only for types that JSON cannot express.
pub fn to_argument(request: &impl Serialize) -> serde_json::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(request)?))
}

/// Reads what [`to_argument`] made; `None` for anything else.
pub fn from_argument<T: DeserializeOwned>(argument: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(argument).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Input of `ldm-server-helper info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoRequest {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// Locale in which names and comments are wanted, such as `de_DE.UTF-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// One startable X session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Base name of the `.desktop` file. What is started is looked up again by this id, on the server.
    pub id: String,
    /// Localised name.
    pub name: String,
    /// Localised comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl SessionEntry {
    /// Whether `id` can be a session's id: not empty, bounded, no `/`, no control characters, no leading `-` or `.`.
    pub fn is_valid_id(id: &str) -> bool {
        !id.is_empty()
            && id.len() <= limits::SESSION_ID
            && !id.starts_with(['-', '.'])
            && !id.contains(|c: char| c == '/' || c.is_control())
    }

    /// The entry as it may be shown, or `None` when its id is none.
    pub fn sanitised(self) -> Option<Self> {
        let name = text::sanitise_line(&self.name, limits::SESSION_NAME - '…'.len_utf8());
        let comment = self.comment.map(|c| text::sanitise_line(&c, limits::SESSION_COMMENT - '…'.len_utf8()));
        Self::is_valid_id(&self.id).then(|| Self {
            name: if name.is_empty() { self.id.clone() } else { name },
            comment: comment.filter(|c| !c.is_empty()),
            id: self.id,
        })
    }
}

/// Output of `ldm-server-helper info`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// [`VERSION`] of the helper.
    pub version: u32,
    /// The server's host name.
    #[serde(default)]
    pub hostname: String,
    /// What can be started.
    #[serde(default)]
    pub sessions: Vec<SessionEntry>,
    /// The session this user chose last, if it is still offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<String>,
    /// The session this user chose last, if it is **no longer** offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// The language this user chose last, if it is still installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_language: Option<String>,
    /// Who asks, with all of their groups; `None` where that cannot be told in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRecord>,
    /// Sessions that this user has here already.
    #[serde(default)]
    pub elsewhere: Vec<Elsewhere>,
    /// Locales installed on the server, such as `de_DE.UTF-8`.
    #[serde(default)]
    pub languages: Vec<String>,
    /// The server's own locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The Xsession script that will be used; `None`: sessions are started from a login shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xsession: Option<String>,
    /// The user's runtime directory (`XDG_RUNTIME_DIR`), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_dir: Option<String>,
    /// Load of the server.
    #[serde(default)]
    pub load: Load,
}

impl Info {
    /// The same with everything bounded, sanitised and without what cannot be used. Call it on all that came from a server.
    #[must_use]
    pub fn sanitised(mut self) -> Self {
        self.sessions = self.sessions.into_iter().take(limits::SESSIONS).filter_map(SessionEntry::sanitised).collect();
        self.hostname = text::sanitise_line(&self.hostname, limits::SESSION_NAME);
        self.remembered = self.remembered.filter(|id| self.sessions.iter().any(|s| &s.id == id));
        self.gone = self.gone.filter(|id| SessionEntry::is_valid_id(id));
        self.remembered_language = self.remembered_language.filter(|l| is_locale(l));
        self.user = self.user.filter(UserRecord::is_bounded);
        self.elsewhere = Elsewhere::sanitised(self.elsewhere);
        self.languages.retain(|l| is_locale(l));
        self.languages.truncate(limits::LANGUAGES);
        let mut room = limits::LANGUAGES_BYTES;
        self.languages.retain(|l| {
            room.checked_sub(l.len() + 3).is_some_and(|left| {
                room = left;
                true
            })
        });
        self.language = self.language.filter(|l| is_locale(l));
        self.xsession = self.xsession.map(|x| text::sanitise_line(&x, limits::PROMPT));
        self.runtime_dir = self.runtime_dir.filter(|dir| is_plain_path(dir));
        self
    }
}

/// Whether `name` looks like a locale: letters, digits and `_.@-`, bounded (XPG, setlocale(3)).
pub fn is_locale(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= limits::LANGUAGE
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.@-".contains(c))
}

/// Whether `CLIENT_ENV` may set the variable `name`.
///
/// It is for facts that programs want to know (a proxy, a school's name). What is refused would make it something else: what
/// the login itself decides (who the user is, where their display, sound and message bus are), and what has other code loaded
/// into, or put in the place of, the programs that start the session. Those are wrong in a session of *every* user, and a
/// session that cannot start cannot say why.
pub fn may_set(name: &str) -> bool {
    const NAMES: [&str; 31] = [
        "PATH",
        "HOME",
        "SHELL",
        "USER",
        "LOGNAME",
        "MAIL",
        "PWD",
        "OLDPWD",
        "IFS",
        "ENV",
        "SHELLOPTS",
        "PROMPT_COMMAND",
        "ZDOTDIR",
        "FPATH",
        // Setting one of these ends some shells.
        "UID",
        "EUID",
        "PPID",
        "OPTIND",
        "CDPATH",
        "PS4",
        "TERM",
        "TERMINFO",
        "DISPLAY",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
        "DESKTOP_SESSION",
        "GDMSESSION",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "GTK_EXE_PREFIX",
    ];
    const BEGINNINGS: [&str; 21] = [
        "LD_",
        "GLIBC_",
        "MALLOC_",
        "GCONV_",
        "LOCPATH",
        "NLSPATH",
        "HOSTALIASES",
        "RESOLV_",
        "DBUS_",
        "SSH_",
        "PULSE_",
        "ALSA_",
        "XDG_SESSION_",
        "XDG_CURRENT_",
        "LTSP_",
        "LDM_",
        "PYTHON",
        "PERL",
        "RUBY",
        "BASH",
        "SYSTEMD_",
    ];
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // `GTK_MODULES`, `GTK_PATH`, `GIO_MODULE_DIR`, `GDK_PIXBUF_MODULE_FILE`, `QT_QPA_PLATFORM_PLUGIN_PATH` and their like.
    let ends = ["_MODULES", "_MODULE_PATH", "_MODULE_DIR", "_MODULE_FILE", "_PLUGIN_PATH", "GTK_PATH"];
    let module = ends.iter().any(|end| name.ends_with(end));
    plain && !module && !NAMES.contains(&name) && !BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

impl Keyboard {
    /// The variables that tell a session of it: those that are not empty.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("XKBRULES", &self.rules),
            ("XKBMODEL", &self.model),
            ("XKBLAYOUT", &self.layout),
            ("XKBVARIANT", &self.variant),
            ("XKBOPTIONS", &self.options),
        ];
        all.into_iter().map(|(name, value)| (name, value.as_str())).filter(|(_, value)| is_xkb(value))
    }

    /// The same keyboard with the layout at place `group` first, and the others in the order in which a key that goes to the
    /// next one finds them. A place that is not there changes nothing.
    #[must_use]
    pub fn rotated(&self, group: u8) -> Self {
        let layouts: Vec<&str> = self.layout.split(',').collect();
        let group = usize::from(group);
        if group == 0 || group >= layouts.len() {
            return self.clone();
        }
        // A variant belongs to the layout at its place; the last ones may be missing.
        let mut variants: Vec<&str> =
            if self.variant.is_empty() { Vec::new() } else { self.variant.split(',').collect() };
        let named = !variants.is_empty();
        variants.resize(layouts.len(), "");
        let turn = |mut list: Vec<&str>| {
            list.rotate_left(group);
            list.join(",")
        };
        Self { layout: turn(layouts), variant: if named { turn(variants) } else { String::new() }, ..self.clone() }
    }

    /// How many layouts there are to choose from.
    pub fn layouts(&self) -> usize {
        self.layout.split(',').filter(|layout| !layout.is_empty()).count()
    }
}

/// Whether `value` can be one of XKB's names, or several with commas between them.
pub fn is_xkb(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= limits::KEYBOARD
        && !value.starts_with('-')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-,:()+".contains(c))
}

/// Whether `path` is absolute, short and of letters, digits and `/_.-` alone, with no `..` in it: what LDM itself names
/// directories.
pub fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= limits::PLAIN_PATH
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
        && path.split('/').all(|part| part != "..")
}

/// Load of a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Load averages over 1, 5 and 15 minutes (proc_loadavg(5)).
    pub average: [f64; 3],
    /// Usable processors.
    pub cpus: u32,
    /// Memory in KiB (`MemTotal` of proc_meminfo(5)).
    pub memory_kib: u64,
    /// Memory available for new programs in KiB (`MemAvailable`).
    pub available_kib: u64,
    /// Distinct users that have processes of sessions here.
    pub users: u32,
}

/// Input of `ldm-server-helper session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // each is a wish of its own
pub struct SessionRequest {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// Id of the session; `None`: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Write the choice to `~/.dmrc`.
    #[serde(default)]
    pub remember: bool,
    /// Locale of the session; `None`: the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Xsession script to use instead of the one found (`LDM_XSESSION`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xsession: Option<String>,
    /// The client, as far as the session may want to know.
    #[serde(default)]
    pub client: Client,
    /// `LDM_DIRECTX`: the display to use instead of the one sshd forwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<DirectDisplay>,
    /// Where the client's sound is; `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    /// Entries for the menu will follow (`menu`): the session is to look for them.
    #[serde(default)]
    pub menu: bool,
    /// Addresses are to be opened on the client: `BROWSER` is `ltsp-open`.
    #[serde(default)]
    pub open_on_client: bool,
    /// Write [`SessionRequest::language`] to `~/.dmrc`.
    #[serde(default)]
    pub remember_language: bool,
    /// [`SessionRequest::language`] is the administrator's default, and the client has not asked what the user chose before:
    /// that goes first.
    #[serde(default)]
    pub language_is_default: bool,
    /// `CLIENT_ENV`: `KEY=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The keyboard at the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<Keyboard>,
    /// Help in seeing, hearing and typing that was switched on at the client.
    #[serde(default)]
    pub access: Access,
    /// End this user's other sessions on this server first.
    #[serde(default)]
    pub end_others: bool,
    /// No others than these, by [`Elsewhere::id`]: the user has been asked. Where there are more, the session is not started
    /// ([`Refusal::Elsewhere`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_only: Option<Vec<String>>,
}

/// A keyboard in XKB's names (xkeyboard-config(7)): `XKBLAYOUT` and friends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keyboard {
    /// `XKBRULES`.
    pub rules: String,
    /// `XKBMODEL`.
    pub model: String,
    /// `XKBLAYOUT`: the one in use first.
    pub layout: String,
    /// `XKBVARIANT`, in the same order.
    pub variant: String,
    /// `XKBOPTIONS`.
    pub options: String,
}

/// The forwarded sound endpoint, as the server has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sound {
    /// A unix socket that sshd listens on.
    Socket {
        /// `DIRECTORY/ldm-RANDOM.sound`; the session moves it into its own directory `DIRECTORY/ldm-RANDOM`.
        path: String,
    },
    /// A port of the server's loopback, which every user there can reach, and therefore a cookie.
    Port {
        /// On 127.0.0.1.
        port: u16,
        /// [`limits::SOUND_COOKIE`] bytes in hexadecimal. It goes through stdin, never over a command line.
        cookie: String,
    },
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket { path } => f.debug_struct("Socket").field("path", path).finish(),
            Self::Port { port, .. } => f.debug_struct("Port").field("port", port).finish_non_exhaustive(),
        }
    }
}

/// The server's record of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Login name, as the server spells it.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub group: Group,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Full name (the first field of GECOS).
    #[serde(default)]
    pub real_name: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    #[serde(default)]
    pub shell: String,
}

impl UserRecord {
    /// Whether it names somebody, without control characters, and fits into a frame that it fills less than half of.
    pub fn is_bounded(&self) -> bool {
        let texts = [&self.name, &self.real_name, &self.home, &self.shell, &self.group.name];
        let mut texts = texts.into_iter().chain(self.groups.iter().map(|group| &group.name));
        !self.name.is_empty()
            && self.groups.len() <= limits::GROUPS
            && !texts.clone().any(|text| text.contains(char::is_control))
            // In JSON a byte takes two at most.
            && texts.try_fold(limits::FRAME / 4, |left, text| left.checked_sub(text.len())).is_some()
    }
}

/// A group of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

/// Facts about the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `LTSP_CLIENT`: its address as it knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `LTSP_CLIENT_HOSTNAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `LTSP_CLIENT_MAC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// A display reached over plain TCP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectDisplay {
    /// `HOST:N`, to be the session's `DISPLAY`.
    pub display: String,
    /// MIT-MAGIC-COOKIE-1 in hexadecimal. It goes through stdin, never over a command line.
    pub cookie: String,
}

impl std::fmt::Debug for DirectDisplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectDisplay").field("display", &self.display).finish_non_exhaustive()
    }
}

/// Output of `ldm-server-helper session`, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SessionEvent {
    /// The session's command runs.
    Started {
        /// What was started.
        session: String,
        /// Who runs it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserRecord>,
        /// The session's own directory on the server (mode 0700), gone with it. Names the session to other commands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// Sound was asked for and the session has none; why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_sound: Option<String>,
    },
    /// It was not started.
    Refused {
        /// Why.
        reason: Refusal,
        /// A fact about it: a path, an errno text.
        #[serde(default)]
        detail: String,
    },
    /// It ran and has ended; every process of it is gone.
    Ended {
        /// Exit status, or 128 + signal.
        status: i32,
        /// How long it ran, in milliseconds.
        milliseconds: u64,
        /// It was ended because its user has begun a session at this client; empty: the client did not say what it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_by: Option<String>,
        /// It ended within 5 s, which no user calls a session.
        #[serde(default)]
        too_short: bool,
        /// Last lines of `~/.xsession-errors` that this session wrote, when it was too short.
        #[serde(default)]
        last_words: Vec<String>,
    },
}

/// Why a session was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No session of this id is offered (any more).
    Gone,
    /// Its program is not there or cannot be run.
    NotExecutable,
    /// The request could not be understood.
    BadRequest,
    /// There is no `DISPLAY`.
    NoDisplay,
    /// The user has sessions that may not be ended ([`SessionRequest::end_only`]). `detail` names their clients.
    Elsewhere,
    /// Anything else; see `detail`.
    Failed,
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
