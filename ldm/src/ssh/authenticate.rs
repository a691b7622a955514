//! Authentication: the server's questions go to a [`Conversation`], its answers go back.
//!
//! Round trips after the last answer: keyboard-interactive needs two with OpenSSH and PAM (it sends one more round without
//! prompts, which is answered at once), `password` one. No `none` request goes ahead to learn the methods: a server that
//! lacks keyboard-interactive says which ones it has when it refuses it.
//!
//! What of an answer stays in memory: russh takes answers as `String` and copies them into its packet buffer. It wipes the
//! `String` of the `password` method, but neither those of keyboard-interactive nor the buffer, where the answer is encrypted
//! in place or overwritten by later packets. So an answer exists in the clear in this process for a while after it was sent;
//! the process is the worker of this one login, runs as its own user and is not dumpable.

use std::time::Duration;

use ldm_protocol::greetd::AuthMessageType;
use ldm_protocol::{Secret, limits, text};
use russh::client::{Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::{MethodKind, MethodSet};
use tokio::sync::mpsc;

use super::Reason;
use super::handler::{End, Handler, Shared};
use super::link::Monitor;
use crate::auth::{Cancelled, Conversation};

/// Rounds of keyboard-interactive. A password change takes five.
const MAX_ROUNDS: usize = 200;

/// Prompts of one round. PAM modules ask one to three at a time.
const MAX_PROMPTS: usize = 64;

/// Methods tried one after the other (`AuthenticationMethods` may ask for several).
const MAX_METHODS: usize = 8;

/// For the answer to the `password` method. PAM delays a refusal by a few seconds, directories by some more.
const PASSWORD_REPLY: Duration = Duration::from_mins(1);

/// How long the reason for the end of a connection may take to be known.
const EPITAPH: Duration = Duration::from_secs(2);

/// One login on one connection.
pub(super) struct Login<'a, C> {
    pub(super) handle: &'a mut Handle<Handler>,
    pub(super) shared: &'a Shared,
    pub(super) monitor: &'a Monitor,
    pub(super) banners: &'a mut mpsc::Receiver<String>,
    pub(super) user: &'a str,
    pub(super) conversation: &'a mut C,
}

/// How one method ended.
enum Step {
    Success,
    Failure { remaining: MethodSet, partial: bool, asked: bool },
}

impl<C: Conversation> Login<'_, C> {
    pub(super) async fn run(mut self) -> Result<(), Reason> {
        let result = self.methods().await;
        // PAM's last words ("your account has expired") come as a banner just before the connection ends.
        let _ = self.show_banners().await;
        result
    }

    async fn methods(&mut self) -> Result<(), Reason> {
        let mut method = MethodKind::KeyboardInteractive;
        let mut refused = Vec::new();
        let mut offered = false;
        for _ in 0..MAX_METHODS {
            let step = match method {
                MethodKind::Password => self.password().await?,
                _ => self.keyboard_interactive().await?,
            };
            let Step::Failure { remaining, partial, asked } = step else { return Ok(()) };
            if remaining.is_empty() || self.handle.is_closed() {
                return Err(self.why_ended(asked).await);
            }
            offered |= remaining.contains(&method);
            if partial {
                refused.clear();
            } else if asked {
                return Err(Reason::Denied);
            } else {
                refused.push(method);
            }
            let next = [MethodKind::KeyboardInteractive, MethodKind::Password]
                .into_iter()
                .find(|next| remaining.contains(next) && !refused.contains(next));
            method = match next {
                Some(next) => next,
                // It has the method but refuses this user without a question.
                None if offered => return Err(Reason::Denied),
                None => return Err(Reason::NoMethod),
            };
        }
        Err(Reason::Incompatible("no end of authentication methods".to_owned()))
    }

    async fn keyboard_interactive(&mut self) -> Result<Step, Reason> {
        let mut asked = false;
        let mut response = self.handle.authenticate_keyboard_interactive_start(self.user, None).await;
        for _ in 0..MAX_ROUNDS {
            self.show_banners().await?;
            let (name, instructions, prompts) = match response {
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(Step::Success),
                Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                    return Ok(Step::Failure { remaining: remaining_methods, partial: partial_success, asked });
                }
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts }) => {
                    (name, instructions, prompts)
                }
                Err(_) => return Err(self.why_ended(asked).await),
            };
            if prompts.len() > MAX_PROMPTS {
                return Err(Reason::Incompatible(format!("{} prompts at once", prompts.len())));
            }
            asked |= !prompts.is_empty();
            let answers = self.round(&name, &instructions, &prompts).await?;
            response = self.handle.authenticate_keyboard_interactive_respond(answers).await;
        }
        Err(Reason::Incompatible("no end of questions".to_owned()))
    }

    /// One round: what the server says, then its questions.
    async fn round(&mut self, name: &str, instructions: &str, prompts: &[Prompt]) -> Result<Vec<String>, Reason> {
        for words in [name, instructions] {
            self.tell(words).await?;
        }
        let mut answers = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let style = if prompt.echo { AuthMessageType::Visible } else { AuthMessageType::Secret };
            let words = text::sanitise(&prompt.prompt, limits::PROMPT);
            let answer = self.message(style, &words).await?;
            // No answer is not an empty answer.
            let answer = answer.ok_or(Reason::Cancelled)?;
            answers.push(answer.expose().to_owned());
        }
        Ok(answers)
    }

    async fn password(&mut self) -> Result<Step, Reason> {
        self.show_banners().await?;
        let answer = self.message(AuthMessageType::Secret, "Password:").await?.ok_or(Reason::Cancelled)?;
        let reply = self.handle.authenticate_password(self.user, answer.expose());
        // russh answers SSH_MSG_USERAUTH_PASSWD_CHANGEREQ with nothing at all, and no handler hears of it.
        let Ok(reply) = tokio::time::timeout(PASSWORD_REPLY, reply).await else {
            return Err(Reason::Silent);
        };
        drop(answer);
        self.show_banners().await?;
        match reply {
            Ok(russh::client::AuthResult::Success) => Ok(Step::Success),
            Ok(russh::client::AuthResult::Failure { remaining_methods, partial_success }) => {
                Ok(Step::Failure { remaining: remaining_methods, partial: partial_success, asked: true })
            }
            Err(_) => Err(self.why_ended(true).await),
        }
    }

    async fn show_banners(&mut self) -> Result<(), Reason> {
        while let Ok(banner) = self.banners.try_recv() {
            self.tell(&banner).await?;
        }
        Ok(())
    }

    /// Something to read.
    async fn tell(&mut self, words: &str) -> Result<(), Reason> {
        let words = text::sanitise(words, limits::PROMPT);
        let words = words.trim_matches('\n');
        if words.trim().is_empty() {
            return Ok(());
        }
        // Also when the line is dead by now: these may be the words that say why.
        match self.conversation.message(AuthMessageType::Info, words).await {
            Ok(_) => Ok(()),
            Err(Cancelled) => Err(Reason::Cancelled),
        }
    }

    /// A question; given up when the server hangs up meanwhile (`LoginGraceTime`).
    async fn message(&mut self, style: AuthMessageType, words: &str) -> Result<Option<Secret>, Reason> {
        tokio::select! {
            answer = self.conversation.message(style, words) => answer.map_err(|Cancelled| Reason::Cancelled),
            () = self.monitor.hung_up() => Err(Reason::Lost("while waiting for an answer".to_owned())),
        }
    }

    /// russh reports a connection that has ended like a refusal.
    async fn why_ended(&self, asked: bool) -> Reason {
        match tokio::time::timeout(EPITAPH, self.shared.ended()).await {
            Ok(End::NoMoreMethods) if asked => Reason::Denied,
            Ok(End::NoMoreMethods) => Reason::NoMethod,
            Ok(End::Broken(why)) => Reason::Incompatible(why),
            Ok(End::Lost(why)) => Reason::Lost(why),
            Err(_) => Reason::Lost("during authentication".to_owned()),
        }
    }
}
