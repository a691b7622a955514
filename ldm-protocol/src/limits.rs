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

/// One locale name such as `de_DE.UTF-8`.
pub const LANGUAGE: usize = 64;

/// Lines of a failed session's own output that are passed on.
pub const LOG_TAIL_LINES: usize = 5;

/// One such line.
pub const LOG_TAIL_LINE: usize = 300;
