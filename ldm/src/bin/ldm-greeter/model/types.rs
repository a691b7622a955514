//! What goes into the dialog, what comes out of it, and what it shows.

use ldm_protocol::client::{Access, Elsewhere, Power};
use ldm_protocol::greetd::{Request, Response};
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{Failure, Secret};

/// What a greeter that starts again goes on with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What stands in the name entry.
    pub(crate) username: String,
    /// The language that was chosen: a catalogue's name or a locale.
    pub(crate) language: Option<String>,
    /// The session is to be asked for.
    pub(crate) ask_for_session: bool,
    /// The user has left the screen that tells how the last session ended.
    pub(crate) told: bool,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The greeter is there: ask the daemon who it is.
    Opened,
    /// A key or a button of the mouse was pressed, whatever it means; not Escape.
    Touched,
    /// A key changed the name entry.
    Typed {
        /// Nothing is left in it.
        empty: bool,
    },
    /// The entry was submitted, with exactly what was typed.
    Submitted(Secret),
    /// The entry was submitted, and its text is longer than any answer.
    TooLong,
    /// The session with this place in [`Choice::entries`] was chosen; `None` is the default.
    Chosen(Option<usize>),
    /// Escape, or the Back button.
    Back,
    /// After a failure: once more.
    Retry,
    /// A letter of a name was typed where [`super::Model::is_of_before`]. It is in the entry next.
    NameBegun,
    /// Yes, do what the [`Question`] is about.
    Confirmed,
    /// A second has passed. Wanted while [`super::Model::counting`].
    Tick,
    /// Nobody has touched anything for a while.
    Idle,
    /// The guest's button.
    Guest,
    /// The list of servers is open, and is to be right.
    ServersOpened,
    /// Use this server; `None`: whichever is best.
    ServerChosen(Option<String>),
    /// Whether the session is to be asked for also where the user's last one is known.
    AskForSession(bool),
    /// Speak this language from now on: a catalogue's name or a locale of the server.
    LanguageChosen(String),
    /// The administrator's command of this number.
    Menu(u8),
    /// Restart, switch off or suspend the client.
    Power(Power),
    /// Open or close the help page.
    Help,
    /// Play a tone.
    SoundTest,
    /// The help page wants to know how it went.
    FactsWanted,
    /// Help in seeing, hearing and typing was switched.
    AccessChanged(Access),
    /// The keyboard layout was switched to this place in the list.
    LayoutChanged(u8),
    /// Alt+Super+S: turn accessibility on or off, which needs a restart of the greeter.
    AccessToggled,
    /// The first frame is on the screen.
    Shown,
    /// The daemon answered the oldest open request.
    Answered(Response),
}

/// What to do about it, in order.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send this to the daemon.
    Send(Request),
    /// Use the first keyboard layout again.
    FirstLayout,
    /// End with success: the session starts as soon as the greeter is gone.
    Quit,
    /// End with a failure: the daemon does not keep to the protocol.
    Fail(&'static str),
    /// Start the greeter again with accessibility turned on or off; nothing is open with the daemon.
    Restart,
}

/// What the user sees and may do now.
#[derive(Debug)]
pub(crate) enum State {
    /// Type a user name.
    Name,
    /// Nothing but Escape.
    Waiting,
    /// Answer the server's question.
    Prompt {
        /// Whether the answer stays hidden.
        secret: bool,
        /// The server's own words.
        text: String,
    },
    /// Choose a session.
    Sessions(Choice),
    /// Read what went wrong; try again, take another server, or go back.
    Failed(Failure),
    /// The session is about to start; there is no way back.
    Starting,
}

/// The sessions to choose from; "Default" comes before them.
#[derive(Debug)]
pub(crate) struct Choice {
    /// What the server offers.
    pub(crate) entries: Vec<SessionEntry>,
    /// Which one to select first; `None` is the default.
    pub(crate) preselected: Option<usize>,
}

/// What is asked beside the login, before anything else can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// These users are logged in at this client.
    Power(Power, Vec<String>),
    /// The user is logged in elsewhere and may be so only once.
    Elsewhere(Vec<Elsewhere>),
}

/// Why the last step did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// What the daemon reported.
    Failure(Failure),
    /// What a plain greetd reported, in its own words.
    Foreign(String),
    /// Nothing was typed for a name.
    EmptyName,
    /// The name or the answer is longer than any can be. Nothing was sent.
    TooLong,
    /// The daemon is a plain greetd and `--cmd` was not given.
    NoCommand,
    /// The session of this id, which the user chose last time, is no longer there.
    Gone(String),
    /// Nobody was there, and what had been typed is gone.
    Idle,
}

/// Something PAM said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Whether it was sent as an error.
    pub(crate) error: bool,
    /// The server's own words.
    pub(crate) text: String,
    /// The login attempt it belongs to.
    pub(super) attempt: u32,
    /// Said since the last submit.
    pub(super) fresh: bool,
}

/// What the answer to an open request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Open {
    Hello,
    Prepare,
    /// `create_session`, a guest's login or an answer: the conversation goes on.
    Conversation,
    Cancel,
    Sessions,
    EndOthers,
    Start,
    Client(Client),
}

/// A request that is about the client. Its answer is of use in whatever state it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Client {
    Servers,
    Server(Option<String>),
    Facts,
    SoundTest,
    Power(Power),
    Menu,
    Access,
    Layout,
    Shown,
}

/// Whether the server is to be connected to while the name is being typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Ahead {
    #[default]
    No,
    /// The user has begun to type.
    Wanted,
    /// The daemon was asked to.
    Asked,
}

/// How far the attempt is.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a question of its own
pub(super) struct Progress {
    pub(super) ahead: Ahead,
    /// The user has answered a question.
    pub(super) answered: bool,
    /// The session that is to be started was offered, and not the administrator's decision.
    pub(super) chosen: bool,
    /// The user has picked it.
    pub(super) picked: bool,
    /// It is a guest's.
    pub(super) guest: bool,
    /// A session was refused: the next one is the user's choice.
    pub(super) choose: bool,
    /// What was to be started when the user had to be asked about sessions elsewhere once more.
    pub(super) interrupted: Option<Vec<String>>,
}

/// Seconds until a guest is logged in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Countdown {
    /// There is none, or the user does not want it, or it has done its work.
    #[default]
    Off,
    /// So many are left.
    Running(u32),
    /// Somebody is there. It begins anew when nothing is left of what they typed.
    Stopped,
}
