//! greetd IPC (greetd-ipc(7)) and LDM's additions to it.
//!
//! The framing is in [`crate::frame`]. The first four requests and first three responses are greetd's own, so any greetd
//! greeter can log in; the `ldm_…` ones are ours. A greeter that wants them sends [`Request::LdmHello`] first: LDM answers with
//! [`Response::LdmSeat`], greetd with an error. Strictly one response to one request.

use serde::{Deserialize, Serialize};

use crate::client::{Access, Elsewhere, Facts, MenuItem, Power, Server};
use crate::helper::SessionEntry;
use crate::{Failure, Secret};

/// The word before a session's id in the command of [`Request::StartSession`]: `["ldm-session", "xfce"]`. Foreign greeters
/// take it from the `Exec` lines of the `.desktop` files that LDM writes for them; words before it (a greeter's wrapper) are dropped.
pub const SESSION_COMMAND: &str = "ldm-session";

/// The id that stands for the server's own default session.
pub const DEFAULT_SESSION: &str = "default";

/// The `LDM_THEME` of a greeter that is to read no theme.
pub const BUILT_IN_LOOK: &str = "built-in";

/// Version of the `ldm_…` messages. A daemon answers a greeter of another version with an error.
pub const VERSION: u32 = 2;

/// What a greeter asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Begin a login.
    CreateSession {
        /// As typed; checked by the daemon.
        username: String,
    },
    /// Answer the last [`Response::AuthMessage`]. `null` acknowledges `info` and `error` messages and is never an empty password.
    PostAuthMessageResponse {
        /// The answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<Secret>,
    },
    /// Start the session once the greeter has ended.
    StartSession {
        /// `["ldm-session", ID]`, see [`SESSION_COMMAND`].
        cmd: Vec<String>,
        /// `KEY=VALUE`; LDM takes `LANG` alone from it.
        #[serde(default)]
        env: Vec<String>,
        /// Ours: nobody has picked this session, so it is not to be remembered as the user's choice.
        #[serde(default, rename = "ldm_unasked", skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
    /// Give up the login that was begun. Answered with success even if there is none.
    CancelSession,
    /// Ask for the seat's facts; shows that the greeter knows LDM's messages.
    LdmHello {
        /// [`VERSION`].
        version: u32,
    },
    /// The user has begun to type: connect to the server now, so that the first prompt comes at once.
    LdmPrepare,
    /// After authentication: the sessions of this server.
    LdmSessions,
    /// Begin a guest's login; answered like [`Request::CreateSession`]. The daemon knows the name and the answers.
    LdmGuest,
    /// After authentication, in answer to [`Sessions::elsewhere`]: end those sessions, and no others, when this one starts.
    LdmEndOthers,
    /// What is known of the servers now; asking again tells more.
    LdmServers,
    /// Use this server for the logins to come.
    LdmServer {
        /// One of [`Seat::servers`]; `None`: whichever the daemon finds best.
        name: Option<String>,
    },
    /// Run the administrator's command.
    LdmMenu {
        /// [`MenuItem::number`].
        number: u8,
    },
    /// Restart, switch off or suspend the client.
    LdmPower {
        /// Which.
        action: Power,
        /// The user has been told that somebody is logged in here. Without it [`Response::LdmConfirm`] may be the answer.
        confirmed: bool,
    },
    /// The first frame is on the screen.
    LdmShown,
    /// For the help page.
    LdmFacts,
    /// Play a tone; [`Facts::sound`] tells how it went.
    LdmSoundTest,
    /// Switch help in seeing, hearing and typing on or off; remembered for this client.
    LdmAccess {
        /// All of it.
        access: Access,
    },
    /// The keyboard layout in use, which the session is to have too.
    LdmLayout {
        /// Place in `XKBLAYOUT`, from 0.
        group: u8,
    },
}

/// How a message is to be shown, and whether it wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMessageType {
    /// A question; the answer may be seen.
    Visible,
    /// A question; the answer is hidden.
    Secret,
    /// For the user to read.
    Info,
    /// For the user to read: something was wrong.
    Error,
}

/// Kind of a [`Response::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The server refused the user's answers: ask again.
    AuthError,
    /// Anything else.
    Error,
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// Done; after `create_session` and answers: the user is authenticated.
    Success,
    /// It failed. The login that was begun is gone.
    Error {
        /// Whether the answers were wrong.
        error_type: ErrorType,
        /// English, for greeters that know no better.
        description: String,
        /// Ours: what exactly failed, to be told in the user's language.
        #[serde(default, rename = "ldm_failure", skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// The server's PAM conversation asks or says something.
    AuthMessage {
        /// How to show it.
        auth_message_type: AuthMessageType,
        /// The server's own text, sanitised.
        auth_message: String,
        /// Ours, for greeters that have said hello: the server whose text it is, which may be another than [`Seat::server`].
        #[serde(default, rename = "ldm_server", skip_serializing_if = "Option::is_none")]
        server: Option<String>,
    },
    /// Answer to [`Request::LdmHello`].
    LdmSeat(Box<Seat>),
    /// Answer to [`Request::LdmSessions`].
    LdmSessions(Sessions),
    /// Answer to [`Request::LdmServers`].
    LdmServers {
        /// In the order of [`Seat::servers`].
        servers: Vec<Server>,
    },
    /// Answer to [`Request::LdmPower`]: these users are logged in to this client; ask first.
    LdmConfirm {
        /// Their names.
        users: Vec<String>,
    },
    /// Answer to [`Request::LdmFacts`].
    LdmFacts(Box<Facts>),
}

/// The facts a greeter shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // each is a field of the message
pub struct Seat {
    /// This client's host name.
    pub hostname: String,
    /// The server that is tried first: the one that was chosen, else the first that is configured.
    pub server: String,
    /// All that may be chosen from; one alone is no choice.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Who logged in last, where the administrator wants that remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Guests may log in.
    #[serde(default)]
    pub guest: bool,
    /// Seconds after which an idle greeter is to log a guest in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countdown: Option<u32>,
    /// The administrator's menu.
    #[serde(default)]
    pub menu: Vec<MenuItem>,
    /// What may be done with the client's power.
    #[serde(default)]
    pub power: Vec<Power>,
    /// The administrator has decided the language: do not offer others.
    #[serde(default)]
    pub language_forced: bool,
    /// The administrator has decided the session: do not offer to ask for it.
    #[serde(default)]
    pub session_forced: bool,
    /// `LDM_CLOCK_FORMAT` (strftime(3)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// What is switched on.
    #[serde(default)]
    pub access: Access,
    /// A screen reader and a keyboard for the screen can be started.
    #[serde(default)]
    pub assistants: Assistants,
    /// Name of the monitor for the dialog; `None`: where the pointer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<String>,
    /// Seconds until the idle screen goes blank; 0: never.
    #[serde(default)]
    pub blank: u32,
    /// The one of [`Seat::servers`] that was chosen, perhaps at an earlier greeter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Why the last session or login ended, if that needs telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Programs for [`Access`] that this client has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assistants {
    /// For [`Access::screen_reader`].
    pub screen_reader: bool,
    /// For [`Access::keyboard`].
    pub keyboard: bool,
}

/// The choice of sessions after authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// What this server offers, without "Default". May be empty: then only the default can be started.
    pub sessions: Vec<SessionEntry>,
    /// The session to preselect: remembered by the server for this user, else the admin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preselected: Option<String>,
    /// The admin's decision: do not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
    /// [`Sessions::preselected`] is what this user chose before.
    #[serde(default)]
    pub remembered: bool,
    /// Id of a session that the user chose before and the server no longer offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// Locales of the server, such as `de_DE.UTF-8`; empty where the language is not the user's to choose.
    #[serde(default)]
    pub languages: Vec<String>,
    /// The language to preselect: remembered for this user, else the admin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Sessions of this user that must end first; [`Request::LdmEndOthers`] agrees to that.
    #[serde(default)]
    pub elsewhere: Vec<Elsewhere>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    /// The wire transcript of a real agreety (docs/protocol.md).
    #[test]
    fn speaks_greetds_words() {
        for (json, want) in [
            (r#"{"type":"create_session","username":"alice"}"#, "CreateSession"),
            (r#"{"type":"post_auth_message_response","response":null}"#, "PostAuthMessageResponse { response: None }"),
            (r#"{"type":"post_auth_message_response"}"#, "PostAuthMessageResponse { response: None }"),
            (
                r#"{"type":"post_auth_message_response","response":"s"}"#,
                "PostAuthMessageResponse { response: Some(Secret(..)) }",
            ),
            (
                r#"{"type":"start_session","cmd":["/bin/true"]}"#,
                "StartSession { cmd: [\"/bin/true\"], env: [], unasked: false }",
            ),
            (r#"{"type":"cancel_session","unknown":1}"#, "CancelSession"),
        ] {
            let request: Request = serde_json::from_str(json).unwrap();
            assert!(format!("{request:?}").starts_with(want), "{request:?}");
        }
        let message = Response::AuthMessage {
            auth_message_type: AuthMessageType::Secret,
            auth_message: "Password:".into(),
            server: None,
        };
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"type":"auth_message","auth_message_type":"secret","auth_message":"Password:"}"#
        );
        assert_eq!(serde_json::to_string(&Response::Success).unwrap(), r#"{"type":"success"}"#);
        let error = Response::Error { error_type: ErrorType::AuthError, description: "no".into(), failure: None };
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"type":"error","error_type":"auth_error","description":"no"}"#
        );
    }

    #[test]
    fn our_additions_survive_a_round_trip() {
        let seat = Seat {
            hostname: "tc1".into(),
            server: "srv".into(),
            failure: Some(Failure::new(crate::FailureKind::LinkLost)),
            ..Seat::default()
        };
        let json = serde_json::to_string(&Response::LdmSeat(Box::new(seat.clone()))).unwrap();
        assert!(json.starts_with(r#"{"type":"ldm_seat","hostname":"tc1""#), "{json}");
        let Response::LdmSeat(back) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
        assert_eq!(*back, seat);
    }

    #[test]
    fn the_largest_session_list_fits_a_frame() {
        use crate::{frame, limits};
        let entry = SessionEntry {
            id: "\"".repeat(limits::SESSION_ID),
            name: "\"".repeat(limits::SESSION_NAME),
            comment: Some("\"".repeat(limits::SESSION_COMMENT)),
        };
        let sessions = Sessions {
            sessions: vec![entry; limits::SESSIONS],
            languages: vec!["x".repeat(61); limits::LANGUAGES_BYTES / 64],
            preselected: Some("\"".repeat(limits::SESSION_ID)),
            forced: Some("\"".repeat(limits::SESSION_ID)),
            gone: Some("\"".repeat(limits::SESSION_ID)),
            remembered: true,
            language: Some("x".repeat(limits::LANGUAGE)),
            elsewhere: vec![
                Elsewhere {
                    client: "\"".repeat(limits::SESSION_NAME) + "…",
                    since: u64::MAX,
                    id: "0".repeat(limits::ELSEWHERE_ID),
                };
                limits::ELSEWHERE
            ],
        };
        assert!(frame::encode(&Response::LdmSessions(sessions)).is_ok());
    }
}
