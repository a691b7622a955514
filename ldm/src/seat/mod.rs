//! The seat: one display, and whoever logs in there. Runs in the daemon, as root or as the one user of a developer's desktop.
//!
//! [`Seat`] is a plain value that turns [`Event`]s into [`Action`]s: no I/O, no clock, no task. [`run`] feeds it from one
//! bounded queue and carries its actions out. What comes from the greeter (user `ldm-greeter`) and from the session worker
//! (user `ldm`) is bounded and checked here again: neither is trusted, only what they may ask for is done.

mod allow;
mod backoff;
mod choice;
mod client;
mod guest;
mod language;
mod local_link;
mod login;
mod machine;
mod run;
mod shown;
#[cfg(test)]
mod tests;
mod worker_link;

use ldm_protocol::Failure;
use ldm_protocol::client::{Access, Facts, Power};
use ldm_protocol::greetd::{self, Request, Response};
use ldm_protocol::helper::{SessionEntry, UserRecord};

pub use allow::{Limit, Rules};
pub use choice::Choice;
pub use client::Told;
pub use guest::Guest;
pub use machine::{Seat, State};
pub use run::{Options, SetupError, run};

use crate::worker::protocol;

/// What the configuration and the command line decide about a seat's behaviour.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a key, or a word of the command line
pub struct Policy {
    /// This client's name.
    pub hostname: String,
    /// `LDM_SERVER`'s first, for the greeter to show.
    pub server: String,
    /// What the greeter shows besides.
    pub facts: greetd::Seat,
    /// `LDM_SESSION`.
    pub session: Option<String>,
    /// `LDM_FORCE_SESSION`.
    pub force_session: Option<String>,
    /// `LDM_LANGUAGE`.
    pub language: Option<String>,
    /// `LDM_FORCE_LANGUAGE`.
    pub force_language: Option<String>,
    /// `LOCAL_APPS`.
    pub local_apps: bool,
    /// `LDM_USER_ALLOW`, `LDM_USER_DENY`.
    pub rules: Rules,
    /// `LDM_LIMIT_ONE_SESSION`.
    pub limit: Limit,
    /// `LDM_GUESTLOGIN`, `LDM_LOGIN_TIMEOUT`, `LDM_AUTOLOGIN`.
    pub guest: Option<Guest>,
    /// The greeter is our own (`LDM_GREETER` names no other).
    pub own_greeter: bool,
    /// Layouts in `XKBLAYOUT`.
    pub layouts: u8,
    /// `LDM_REMEMBER_USER`.
    pub remember_user: bool,
    /// The display is not ours (`--display`): it is never stopped, and when it ends, so do we.
    pub attached: bool,
    /// `--once`.
    pub once: bool,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// Begin: the first event.
    Start,
    /// The X server accepts clients.
    DisplayReady,
    /// The X server has ended, or could not be started.
    DisplayExited(String),
    /// The greeter has ended, or could not be started.
    GreeterExited(String),
    /// The greeter asks.
    Request(Request),
    /// The greeter has closed its connection.
    LinkClosed,
    /// The greeter broke the protocol; its connection is closed already.
    LinkBroken(String),
    /// The session worker of this number says something.
    Worker(u64, protocol::Event),
    /// The session worker of this number is gone.
    WorkerExited(u64),
    /// The local session of this number has ended; why, if not as it should.
    LocalExited(u64, Option<String>),
    /// What came of an action that is about the client.
    Client(client::Told),
    /// The time of [`Seat::deadline`] has come.
    Tick,
    /// We have been asked to end.
    Shutdown,
}

/// Something is to be done. Each is answered by the event it leads to, failures included.
#[derive(Debug)]
pub enum Action {
    /// Start the X server, or attach to the one that runs.
    StartDisplay,
    /// End the X server; [`Event::DisplayExited`] follows.
    StopDisplay,
    /// Start the greeter.
    StartGreeter,
    /// Greeters to come have the built-in look.
    WithdrawTheme,
    /// Ask the greeter to end.
    TerminateGreeter,
    /// End the greeter.
    KillGreeter,
    /// Answer the greeter's oldest unanswered request.
    Reply(Response),
    /// Close the connection to the greeter.
    CloseLink,
    /// Write the `.desktop` files of these sessions for foreign greeters.
    PublishSessions(Vec<SessionEntry>),
    /// Start a session worker of this number and have it connect to one of these servers; empty: as configured.
    StartWorker(u64, Vec<String>),
    /// Send to the worker.
    Tell(protocol::Command),
    /// Have the worker start the session.
    StartSession(Choice),
    /// Let go of the worker: it ends its connection and then itself.
    DropWorker,
    /// Tell the user of the session that runs.
    Announce(Failure),
    /// Start the local session for this user, who logged in under this name; `None`: the server did not say who that is.
    /// [`Event::LocalExited`] follows.
    StartLocal(u64, String, Option<Box<UserRecord>>),
    /// Have the local session end everything that it began.
    StopLocal,
    /// Learn more of the servers' state; [`client::Told::Server`] and [`client::Told::ServersAsked`] follow.
    ProbeServers,
    /// Use this server alone for workers to come; `None`: the configured ones.
    UseServer(Option<String>),
    /// Run the administrator's command of this number; [`client::Told::Command`] follows.
    RunCommand(u8),
    /// Restart, switch off or suspend this client; [`client::Told::Power`] follows.
    Power {
        /// Which.
        action: Power,
        /// Also if somebody is logged in.
        confirmed: bool,
    },
    /// Play a tone; [`client::Told::Sound`] follows.
    TestSound,
    /// Answer the greeter's request with these facts, completed by what only the system knows: version, addresses, and the
    /// time of the failure, which is its age in seconds here.
    Facts(Box<Facts>),
    /// The layout that the session to come is to begin with.
    UseLayout(u8),
    /// This user's session runs: remember who it was.
    RememberUser(String),
    /// Switch help in seeing, hearing and typing on and off, and remember it.
    SetAccess(Access),
    /// Something failed, for the log.
    Failed(String),
    /// Everything has ended; leave with this status.
    Exit(u8),
}

/// Exit status: the display could not be kept.
pub const EXIT_DISPLAY: u8 = 3;
/// Exit status: the one session (`--once`) failed.
pub const EXIT_SESSION: u8 = 4;

/// An error answer to the greeter that ends its login.
fn refusal(failure: Failure) -> Response {
    use ldm_protocol::FailureKind;
    use ldm_protocol::greetd::ErrorType;
    let error_type = if failure.kind == FailureKind::Denied { ErrorType::AuthError } else { ErrorType::Error };
    Response::Error { error_type, description: failure.to_string(), failure: Some(failure) }
}

/// An error answer to a request that makes no sense now; for developers of greeters.
fn misuse(description: &str) -> Response {
    Response::Error {
        error_type: ldm_protocol::greetd::ErrorType::Error,
        description: description.to_owned(),
        failure: None,
    }
}
