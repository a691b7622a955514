//! A server without `ldm-server-helper`: a script for its plain `sh` does what is needed most.

use ldm_protocol::helper::{
    self, Group, Info, Keyboard, Refusal, SessionEntry, SessionEvent, SessionRequest, Sound, UserRecord, VERSION,
};
use ldm_protocol::{limits, text};

/// The script; its head says what it takes and gives.
const SCRIPT: &str = include_str!("fallback.sh");

/// A session that ends sooner was none, as for the helper.
const TOO_SHORT: u64 = 5;

/// What is missing then, for the log.
pub(super) const MISSING: &str = "the server has no ldm-server-helper: sessions are listed and started by a plain shell script, \
    with untranslated names, without the user's remembered choices, without a list of languages, without sound and without LDM_DIRECTX";

/// The command that runs the script from standard input. It is the same for everybody: whatever the user's login shell is,
/// it finds nothing in it to expand, and what the user chose is not on any command line. `dd` takes off the script and not a
/// byte more.
pub(super) fn command() -> String {
    format!("exec /bin/sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null)\"'", SCRIPT.len())
}

/// Standard input to list the sessions.
pub(super) fn list_input() -> String {
    format!("{SCRIPT}list\n")
}

/// Standard input to start one. It has no sound, and the socket that was made for it is removed. `None` if the request cannot be said in lines.
pub(super) fn start_input(request: &SessionRequest) -> Option<String> {
    let client = &request.client;
    let sound = match &request.sound {
        Some(Sound::Socket { path }) => Some(path.clone()),
        _ => None,
    };
    let fields = [
        &request.session,
        &request.language,
        &request.xsession,
        &client.address,
        &client.hostname,
        &client.mac,
        &sound,
    ];
    let mut input = format!("{SCRIPT}start\n");
    for field in fields {
        let field = field.as_deref().unwrap_or_default();
        if field.contains(|c: char| c.is_control()) {
            return None;
        }
        input.push_str(field);
        input.push('\n');
    }
    for variable in variables(request) {
        input.push_str(&variable);
        input.push('\n');
    }
    // No more of them.
    input.push('\n');
    Some(input)
}

/// `CLIENT_ENV` and the keyboard, as far as the script can set them: it has variables of its own, in small letters.
fn variables(request: &SessionRequest) -> Vec<String> {
    let own = |name: &str| !name.contains(|c: char| c.is_ascii_lowercase());
    let env = request.env.iter().take(limits::CLIENT_VARIABLES).filter(|variable| {
        variable.split_once('=').is_some_and(|(name, _)| helper::may_set(name) && own(name))
            && !variable.contains(char::is_control)
    });
    let keyboard = request.keyboard.iter().flat_map(Keyboard::variables);
    env.cloned().chain(keyboard.map(|(name, value)| format!("{name}={value}"))).collect()
}

/// Collects the answer to [`list_input`].
#[derive(Default)]
pub(super) struct Listing {
    sessions: Vec<SessionEntry>,
    user: Option<UserRecord>,
    /// More was said than a record has room for.
    overflow: bool,
}

impl Listing {
    /// Takes a line; gives the list when it is whole.
    pub(super) fn push(&mut self, line: &[u8]) -> Option<Info> {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_prefix("LDM ")?;
        if line == "listed" {
            let sessions = std::mem::take(&mut self.sessions);
            let user = self.user.take().filter(|_| !self.overflow);
            return Some(Info { version: VERSION, sessions, user, ..Info::default() });
        }
        if let Some(user) = line.strip_prefix("user ") {
            self.user = uid_and_name(user).map(|(uid, name)| UserRecord { uid, name, ..UserRecord::default() });
            return None;
        }
        if let Some(group) = line.strip_prefix("group ") {
            match (&mut self.user, uid_and_name(group)) {
                (Some(user), Some((gid, name))) if user.groups.len() < limits::GROUPS => {
                    user.groups.push(Group { name, gid });
                }
                _ => self.overflow = true,
            }
            return None;
        }
        let (id, name) = line.strip_prefix("session ")?.split_once('/')?;
        if self.sessions.len() < limits::SESSIONS {
            self.sessions.push(SessionEntry { id: id.to_owned(), name: name.to_owned(), comment: None });
        }
        None
    }
}

/// `1000/alice`.
fn uid_and_name(line: &str) -> Option<(u32, String)> {
    let (number, name) = line.split_once('/')?;
    Some((number.parse().ok()?, name.to_owned()))
}

/// Reads the answers to [`start_input`].
#[derive(Default)]
pub(super) struct Events {
    last_words: Vec<String>,
}

impl Events {
    pub(super) fn push(&mut self, line: &[u8]) -> Option<SessionEvent> {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_prefix("LDM ")?;
        let (event, rest) = line.split_once(' ').unwrap_or((line, ""));
        match event {
            "started" => {
                Some(SessionEvent::Started { session: rest.to_owned(), user: None, directory: None, no_sound: None })
            }
            "refused" => {
                let (reason, detail) = rest.split_once(' ').unwrap_or((rest, ""));
                let reason = match reason {
                    "gone" => Refusal::Gone,
                    "not_executable" => Refusal::NotExecutable,
                    "no_display" => Refusal::NoDisplay,
                    _ => Refusal::Failed,
                };
                Some(SessionEvent::Refused { reason, detail: detail.to_owned() })
            }
            "words" => {
                if self.last_words.len() < limits::LOG_TAIL_LINES {
                    self.last_words.push(text::sanitise_line(rest, limits::LOG_TAIL_LINE));
                }
                None
            }
            "ended" => {
                let (status, seconds) = rest.split_once(' ')?;
                let seconds: u64 = seconds.parse().ok()?;
                Some(SessionEvent::Ended {
                    status: status.parse().ok()?,
                    milliseconds: seconds.saturating_mul(1000),
                    too_short: seconds < TOO_SHORT,
                    last_words: std::mem::take(&mut self.last_words),
                    taken_by: None,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
