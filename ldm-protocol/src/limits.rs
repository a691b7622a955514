//! Upper bounds of everything a peer can send, in one place. All sizes are in bytes.

/// One greetd IPC frame, without its length prefix. greetd itself has no limit; a frame over this one is refused before
/// anything is allocated for it.
pub const FRAME: usize = 64 * 1024;

/// One JSON line of `ldm-server-helper`, without the newline.
pub const HELPER_LINE: usize = 256 * 1024;

/// One answer to a prompt. PAM's own `PAM_MAX_RESP_SIZE` is 512; directories allow more, and we relay what they take.
pub const ANSWER: usize = 4096;

/// A user name as typed. Linux allows 256; `DOMAIN\user` forms are longer.
pub const USERNAME: usize = 512;

/// A server as it is configured: a host, and perhaps a port.
pub const SERVER: usize = 300;

/// A prompt, an instruction or a banner after sanitising. Longer text is cut and marked with an ellipsis.
pub const PROMPT: usize = 4096;

/// Sessions taken from one server's list.
pub const SESSIONS: usize = 64;

/// A session's id (the base name of its `.desktop` file).
pub const SESSION_ID: usize = 100;

/// A session's shown name.
pub const SESSION_NAME: usize = 100;

/// A session's comment.
pub const SESSION_COMMENT: usize = 200;

/// Languages taken from one server's list.
pub const LANGUAGES: usize = 512;

/// All languages of one server together, each counted with its quotes and comma: they share a frame with the sessions.
pub const LANGUAGES_BYTES: usize = 8 * 1024;

/// Sessions elsewhere of one user that are told of.
pub const ELSEWHERE: usize = 8;

/// What such a session is known by.
pub const ELSEWHERE_ID: usize = 64;

/// Variables of `CLIENT_ENV`.
pub const CLIENT_VARIABLES: usize = 64;

/// One such variable.
pub const CLIENT_VARIABLE: usize = 4096;

/// One of XKB's names of a keyboard, or several with commas between them.
pub const KEYBOARD: usize = 256;

/// One line of the probe's, which asks servers how they are.
pub const PROBE_LINE: usize = 1024;

/// What is read of an old server's ldminfod.
pub const LDMINFOD: usize = 16 * 1024;

/// Names of users in [`crate::greetd::Response::LdmConfirm`].
pub const LOGGED_IN: usize = 16;

/// Commands of the administrator's menu that run at the same time.
pub const MENU_COMMANDS: usize = 8;

/// One locale name such as `de_DE.UTF-8`.
pub const LANGUAGE: usize = 64;

/// Lines of a failed session's own output that are passed on.
pub const LOG_TAIL_LINES: usize = 5;

/// One such line.
pub const LOG_TAIL_LINE: usize = 300;

/// One request for a local or remote application, as JSON in the queue property. An X request without the BIG-REQUESTS
/// extension carries no more than 262,140 bytes.
pub const APP_REQUEST: usize = 256 * 1024;

/// The queue property as a whole. What is larger is thrown away unread.
pub const APP_QUEUE: usize = 1024 * 1024;

/// Words of an application's command line.
pub const APP_WORDS: usize = 4096;

/// Bytes of an application's command line in all.
pub const APP_BYTES: usize = 128 * 1024;

/// Variables that a request for an application may set.
pub const APP_VARIABLES: usize = 32;

/// Value of one of them.
pub const APP_VARIABLE: usize = 1024;

/// A request's own name.
pub const APP_ID: usize = 64;

/// One frame between session worker and the local session: a request with its frame around it.
pub const LOCAL_FRAME: usize = APP_REQUEST + 4096;

/// Lines of a local or remote application's standard error that are passed on.
pub const APP_STDERR_LINES: usize = 10;

/// Groups taken from a server's record of a user.
pub const GROUPS: usize = 256;

/// Cookie of PulseAudio's native protocol (its `PA_NATIVE_COOKIE_LENGTH`).
pub const SOUND_COOKIE: usize = 256;

/// Entries of the menu of local applications.
pub const MENU_ENTRIES: usize = 512;

/// One `.desktop` file of that menu.
pub const MENU_ENTRY: usize = 64 * 1024;

/// One icon of that menu.
pub const MENU_ICON: usize = 256 * 1024;

/// All of that menu.
pub const MENU: usize = 16 * 1024 * 1024;

/// A directory of LDM's own on the server, which must fit into a socket's address (`sun_path`, unix(7)) with a name in it.
pub const PLAIN_PATH: usize = 80;
