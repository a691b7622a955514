//! The conversation of a login: what PAM on the server asks, and who answers.
//!
//! Runs in the session worker and in `ldm login`. Texts come from the server and are sanitised before they get here.

use std::future::Future;

use ldm_protocol::Secret;
pub use ldm_protocol::greetd::AuthMessageType;

/// The user gave up. Ends the login; nothing is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the login was cancelled")]
pub struct Cancelled;

/// Whoever answers: a greeter, a terminal, a script.
pub trait Conversation: Send {
    /// One message at a time, as PAM has it.
    ///
    /// `Visible` and `Secret` are questions and want `Some` answer; `Info` and `Error` are to be read, want `None`, and
    /// return as soon as they are taken over (not when the user has read them).
    ///
    /// # Errors
    /// [`Cancelled`] ends the login.
    fn message(
        &mut self,
        style: AuthMessageType,
        text: &str,
    ) -> impl Future<Output = Result<Option<Secret>, Cancelled>> + Send;
}
