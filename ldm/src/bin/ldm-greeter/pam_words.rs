//! The usual words of PAM's modules and of sshd, in the user's language. What is not known word by word is shown as it came.

/// The text as the user is to read it.
pub(crate) fn shown(text: &str) -> String {
    text.trim().to_owned()
}
