//! What a greeter shows and offers besides the login: facts and choices of the client itself. Carried by [`crate::greetd`].

use serde::{Deserialize, Serialize};

use crate::{Failure, limits, text};

/// The conversions that a clock's format may have after `%` and one of `_`, `-`, `0` and `O`: those of g_date_time_format() in
/// GLib 2.74, which are nearly those of strftime(3). A clock has one line, and no `%n` or `%t`.
pub const CLOCK_CONVERSIONS: &str = "aAbBcCdeFgGhHIjklmMpPrRsSTuVwxXyYzZ%";

/// One item of the administrator's menu.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuItem {
    /// The `n` of `LDM_MENU_ITEM_n`.
    pub number: u8,
    /// What it is called.
    pub name: String,
}

/// What can be done with the client's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Start it again.
    Reboot,
    /// Switch it off.
    ShutDown,
    /// Let it sleep.
    Suspend,
}

/// One of several servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// As configured.
    pub name: String,
    /// Whether it answers; `None`: not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// How busy it is; `None`: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
}

/// A word on a server's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Plenty of room.
    Low,
    /// In use.
    Medium,
    /// Slow, perhaps.
    High,
}

/// Help in seeing, hearing and typing. What is on is on for this client until somebody switches it off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // that is what a panel of switches is
pub struct Access {
    /// What is on the screen is spoken.
    pub screen_reader: bool,
    /// Black and white.
    pub high_contrast: bool,
    /// Half as large again.
    pub large_text: bool,
    /// A pointer that is easily found.
    pub large_pointer: bool,
    /// Shift and the like stay until the next key (XKB's StickyKeys).
    pub sticky_keys: bool,
    /// A key counts only when it is held (XKB's SlowKeys).
    pub slow_keys: bool,
    /// A keyboard on the screen.
    pub keyboard: bool,
}

/// For the help page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of LDM.
    pub version: String,
    /// Addresses of this client, without the loopback's.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Hardware address of the first interface that is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The last connection, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The last failure, and when it was (seconds since 1970).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<(Failure, u64)>,
    /// The sound test that was asked for last.
    #[serde(default)]
    pub sound: SoundTest,
}

/// What an SSH connection was agreed upon, in SSH's own words (RFC 4253 section 7.1). Sanitised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// The server, as configured.
    pub server: String,
    /// Its identification string (RFC 4253 section 4.2).
    pub software: String,
    /// Key exchange.
    pub key_exchange: String,
    /// Host key algorithm.
    pub host_key: String,
    /// Encryption.
    pub cipher: String,
    /// Integrity; with an authenticated cipher there is none of its own.
    pub mac: String,
}

/// How the sound test goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoundTest {
    /// Nobody has asked for one.
    #[default]
    None,
    /// It plays.
    Playing,
    /// The tone has been played.
    Played,
    /// There is no sound.
    Failed(Failure),
}

/// A session that the user already has on the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The client it is used from, as it called itself; empty: not known.
    pub client: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// What the server knows it by, among this user's; empty: a helper that gives no names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl Elsewhere {
    /// Whether `id` can be one: numbers with `-` between them, bounded.
    pub fn is_valid_id(id: &str) -> bool {
        !id.is_empty() && id.len() <= limits::ELSEWHERE_ID && id.chars().all(|c| c.is_ascii_digit() || c == '-')
    }

    /// These as they may be shown: no more than are told of, sanitised, without ids that are none. Call it on all that came
    /// from a server.
    #[must_use]
    pub fn sanitised(mut all: Vec<Self>) -> Vec<Self> {
        all.truncate(limits::ELSEWHERE);
        for other in &mut all {
            other.client = text::sanitise_line(&other.client, limits::SESSION_NAME);
            if !Self::is_valid_id(&other.id) {
                other.id.clear();
            }
        }
        all
    }
}
