//! The sessions that a user has on this server at other clients: telling of them, and ending them.
//!
//! Each is known by its [directory](crate::directory), in which its helper has left where it is used and since when. Ending one is
//! left to that helper: it is asked, and has the time it needs; only one that does not end is killed.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ldm_protocol::client::Elsewhere;
use ldm_protocol::helper::{Client, SessionRequest};
use ldm_protocol::{limits, text};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::directory::{self, Directory};
use crate::processes::{self, Marker};
use crate::regular_file;
use crate::request::note;
use crate::session_directory::SessionDirectory;

/// The file in a session's directory that says where it is used.
pub const RECORD: &str = "client";

/// The file in it that says by which client it was taken over.
const TAKEN: &str = "taken";

/// The file in it that says that its helper has begun to look for others: one that came to be seen later may have been missed.
const LOOKS: &str = "looks";

/// Longest such file.
const SIZE: usize = 1024;

/// Directories that are looked at. A user has a handful.
const MOST: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    client: String,
    since: u64,
}

/// What a client calls itself; empty if it does not say.
pub fn name_of(client: &Client) -> String {
    let name = client.hostname.as_deref().or(client.address.as_deref()).unwrap_or_default();
    text::sanitise_line(name, limits::SESSION_NAME - '…'.len_utf8())
}

/// Leaves word of where the session of this directory is used. Without it the session is told of with its time alone.
pub fn record(directory: &Directory, client: &Client) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let record = serde_json::to_vec(&Record { client: name_of(client), since });
    if let Err(error) = record.map_err(Into::into).and_then(|record| directory.write(RECORD, &record)) {
        note(&format!("the session is told of without its client: {error}"));
    }
}

/// This user's sessions here, the oldest first.
pub fn list(account: &Account) -> Vec<Elsewhere> {
    let mut all: Vec<Elsewhere> = running(account).iter().map(told).collect();
    all.sort_by_key(|session| session.since);
    all.truncate(limits::ELSEWHERE);
    all
}

/// Which of a user's other sessions end for a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All of them.
    All,
    /// Those that the user was asked about, by [`Elsewhere::id`].
    Named(Vec<String>),
}

impl Ending {
    /// As a client asks for it; `None`: all go on.
    pub fn of(request: &SessionRequest) -> Option<Self> {
        match &request.end_only {
            _ if !request.end_others => None,
            Some(named) => Some(Self::Named(named.iter().take(limits::ELSEWHERE).cloned().collect())),
            None => Some(Self::All),
        }
    }
}

/// Sessions that keep a new one from starting, by their clients.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InTheWay(String);

impl InTheWay {
    fn of(sessions: &[SessionDirectory]) -> Self {
        let clients = sessions.iter().take(limits::ELSEWHERE).map(|session| told(session).client);
        let clients: Vec<String> = clients.filter(|client| !client.is_empty()).collect();
        Self(if clients.is_empty() { "another client".to_owned() } else { clients.join(", ") })
    }
}

/// Ends this user's sessions here that are older than that of `own`, which begins at `client` and can be seen in `directory`.
///
/// Of several that begin at once the youngest stays: each ends the older ones that it sees. A younger one that looked before
/// this one could be seen has missed it, and has said before that it looks; so this one gives way.
///
/// # Errors
/// [`InTheWay`] if it does, or if there are others than those that were named. Then none is ended, unless more run than can be
/// told of at once.
pub fn end(
    account: &Account,
    directory: Option<&Directory>,
    own: &Marker,
    client: &str,
    ending: &Ending,
) -> Result<(), InTheWay> {
    if let Some(Err(error)) = directory.map(|directory| directory.write(LOOKS, b"")) {
        note(&format!("another session that begins now may go on: {error}"));
    }
    let all = running(account).into_iter().filter(|session| session.marker() != own);
    let (older, younger): (Vec<_>, Vec<_>) = all.partition(|session| session.marker().is_older_than(own));
    if let Some(first) = younger.iter().find(|session| session.path().join(LOOKS).exists()) {
        return Err(InTheWay::of(std::slice::from_ref(first)));
    }
    let (others, unnamed): (Vec<_>, Vec<_>) = older.into_iter().partition(|session| match ending {
        Ending::All => true,
        Ending::Named(named) => named.contains(&session.marker().number()),
    });
    // As many as are asked about at a time: the rest can be named only when these have gone.
    if unnamed.is_empty() || others.len() >= limits::ELSEWHERE {
        end_these(&others, client);
    }
    if unnamed.is_empty() { Ok(()) } else { Err(InTheWay::of(&unnamed)) }
}

fn end_these(others: &[SessionDirectory], client: &str) {
    for session in others {
        let told = told(session);
        note(&format!("the session at “{}” ends for the one that begins at “{client}”", told.client));
        // Without it the other client learns that its session has ended, and not why.
        if let Err(error) = fs::write(session.path().join(TAKEN), client) {
            note(&format!("its client is not told why: {error}"));
        }
    }
    let markers: Vec<Marker> = others.iter().map(|session| session.marker().clone()).collect();
    processes::end_sessions(&markers);
}

/// The client that took over the session of this directory, if one did.
pub fn taken_by(directory: &Directory) -> Option<String> {
    let name = regular_file::read(&directory.path().join(TAKEN), SIZE).ok()?;
    Some(text::sanitise_line(&String::from_utf8_lossy(&name), limits::SESSION_NAME - '…'.len_utf8()))
}

fn running(account: &Account) -> Vec<SessionDirectory> {
    let paths: Vec<PathBuf> = directory::all(account);
    let open = |path: &PathBuf| SessionDirectory::open(path.to_str()?).ok();
    paths.iter().filter_map(open).filter(|session| session.marker().is_alive()).take(MOST).collect()
}

fn told(session: &SessionDirectory) -> Elsewhere {
    let record = regular_file::read(&session.path().join(RECORD), SIZE).ok();
    let id = session.marker().number();
    if let Some(Record { client, since }) = record.and_then(|record| serde_json::from_slice(&record).ok()) {
        let client = text::sanitise_line(&client, limits::SESSION_NAME - '…'.len_utf8());
        return Elsewhere { client, since, id };
    }
    // Of a helper that left none.
    let made = session.path().symlink_metadata().and_then(|metadata| metadata.modified()).ok();
    let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok()).unwrap_or(Duration::ZERO);
    Elsewhere { client: String::new(), since: since.as_secs(), id }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn live_sessions_are_told_of_with_their_client() {
        let root = tempfile::Builder::new().prefix("ldm.").tempdir_in("/tmp").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let account = Account { runtime_dir: Some(root.path().to_owned()), ..Account::default() };
        let ours = |account: &Account| -> Vec<Elsewhere> {
            let of_test = running(account).into_iter().filter(|session| session.path().starts_with(root.path()));
            of_test.map(|session| told(&session)).collect()
        };
        assert_eq!(ours(&account), []);
        let marker = Marker::new().unwrap();
        let directory = Directory::make(&account, None, &marker).unwrap();
        let [untold] = &ours(&account)[..] else { panic!() };
        assert!(untold.client.is_empty() && untold.since > 1_000_000_000);
        record(&directory, &Client { hostname: Some("tc\u{1b}[1m17".into()), ..Client::default() });
        assert_eq!(ours(&account)[0].client, "tc17");
        assert_eq!(taken_by(&directory), None);
        fs::write(directory.path().join(TAKEN), "tc\n18").unwrap();
        assert_eq!(taken_by(&directory).as_deref(), Some("tc 18"));
        // Of a dead helper, and none at all.
        let mut parts: Vec<String> = marker.as_str().split('-').map(str::to_owned).collect();
        parts[1].push('0');
        fs::write(directory.path().join(directory::TOKEN), parts.join("-")).unwrap();
        fs::create_dir(root.path().join("ldm-x")).unwrap();
        assert_eq!(ours(&account), []);
    }
}
