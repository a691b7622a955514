//! One login on one server: connection, authentication, list of sessions, session. The worker and `ldm login` both use it.

use std::path::Path;
use std::time::Duration;

use ldm_protocol::client::{Elsewhere, Transport};
use ldm_protocol::helper::{self, Info, InfoRequest, VERSION};
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::io::AsyncWriteExt;

use super::fallback;
use super::lines::Lines;
use super::protocol::{Connect, Start};
use super::session::RemoteSession;
use super::sound::{Listening, SoundLoop};
use crate::auth::Conversation;
use crate::ssh::{self, Connection, Exec, HostKeyPolicy, Reason, SshError, Target};

/// What is run on the server; found in the `PATH` that sshd and the user's shell give it.
const INFO: &str = "ldm-server-helper info";

/// Likewise, after a session that did not end by itself.
const TIDY: &str = "ldm-server-helper tidy";

/// It goes on without us, and the user waits.
const TIDY_TIME: Duration = Duration::from_secs(2);

/// A list that takes longer is done without: the default session can be started all the same.
const INFO_TIME: Duration = Duration::from_secs(15);

/// Time to look once more, while the user waits for their session.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// A connection to a server whose host key is good. Dropping it ends it, and with it the session on it.
pub struct Remote {
    connection: Connection,
    /// Known to be without helper.
    bare: bool,
    want_sound: bool,
    /// The user's own directory on the server.
    runtime_dir: Option<String>,
    /// Where the server listens for the session's sound, once it was asked.
    sound: Option<Result<Listening, Failure>>,
}

/// Why a session started by the shell script has no sound.
const NO_HELPER: &str = "The server has no ldm-server-helper, which gives a session its sound.";

impl Remote {
    /// Connects to the first of the servers that answers.
    pub async fn connect(to: &Connect) -> Result<Self, Failure> {
        let targets: Result<Vec<_>, _> = to.servers.iter().map(|s| Target::parse(s, to.port)).collect();
        let policy = HostKeyPolicy { known_hosts: to.known_hosts.clone(), trust_first_use: to.trust_first_use.clone() };
        let connection = ssh::connect(&targets.map_err(told)?, &policy).await.map_err(told)?;
        Ok(Self { connection, bare: false, want_sound: to.want_sound, runtime_dir: None, sound: None })
    }

    /// The server's name as configured.
    pub fn server(&self) -> &str {
        self.connection.server()
    }

    /// What was agreed upon with the server.
    pub fn transport(&self) -> Transport {
        self.connection.transport()
    }

    /// Authenticates, with the private key in the file `key` if there is one; `None` if the user gave up. After a failure the
    /// connection is of no more use.
    pub async fn authenticate(
        &mut self,
        user: &str,
        key: Option<&Path>,
        conversation: &mut impl Conversation,
    ) -> Option<Result<(), Failure>> {
        let result = match key {
            Some(key) => self.connection.authenticate_key(user, key).await,
            None => self.connection.authenticate(user, conversation).await,
        };
        match result {
            Ok(()) => Some(Ok(())),
            Err(SshError { reason: Reason::Cancelled, .. }) => None,
            Err(SshError { reason: Reason::BadKey(why), .. }) => {
                tracing::error!("LDM_GUEST_KEY cannot be used: {why}");
                Some(Err(Failure::new(FailureKind::GuestRefused).server(self.server()).detail(&why)))
            }
            Err(error) => Some(Err(told(error))),
        }
    }

    /// What the server offers, sanitised. An empty list if it does not say: its default session can still be started.
    pub async fn info(&mut self, locale: Option<&str>) -> Result<Info, Failure> {
        let listed = tokio::time::timeout(INFO_TIME, async {
            if !self.bare
                && let Some(info) = self.ask_helper(locale).await?
            {
                return Ok::<_, Failure>(info);
            }
            let info = self.ask_fallback().await?;
            self.without_helper();
            Ok(info)
        });
        if let Ok(info) = listed.await {
            let info = info?.sanitised();
            self.runtime_dir.clone_from(&info.runtime_dir);
            return Ok(info);
        }
        tracing::warn!(server = self.server(), "the server does not list its sessions in time");
        Ok(Info::default())
    }

    /// The user's other sessions there, sanitised. None if the server does not say: whoever starts a session there looks again.
    pub async fn elsewhere(&self) -> Result<Vec<Elsewhere>, Failure> {
        if self.bare {
            return Ok(Vec::new());
        }
        let Ok(info) = tokio::time::timeout(LOOK_TIME, self.ask_helper(None)).await else {
            tracing::warn!(server = self.server(), "the server does not list the user's sessions in time");
            return Ok(Vec::new());
        };
        Ok(Elsewhere::sanitised(info?.unwrap_or_default().elsewhere))
    }

    async fn ask_helper(&self, locale: Option<&str>) -> Result<Option<Info>, Failure> {
        let request = InfoRequest { version: VERSION, locale: locale.map(str::to_owned) };
        let request = helper::to_argument(&request).map_err(|e| self.internal(&e))?;
        let mut exec = self.run(&format!("{INFO} {request}"), &[]).await?;
        let mut lines = Lines::new(&mut exec.stdout);
        while let Ok(Some(line)) = lines.next().await {
            // Anything that is no such object was printed by a start-up file of the shell.
            if let Ok(info) = serde_json::from_slice::<Info>(&line) {
                notes(&exec.stderr_tail());
                return Ok(Some(info));
            }
        }
        self.say_why(&exec.outcome).await?;
        Ok(None)
    }

    async fn ask_fallback(&self) -> Result<Info, Failure> {
        let mut exec = self.run(&fallback::command(), fallback::list_input().as_bytes()).await?;
        let mut lines = Lines::new(&mut exec.stdout);
        let mut listing = fallback::Listing::default();
        while let Ok(Some(line)) = lines.next().await {
            if let Some(info) = listing.push(&line) {
                return Ok(info);
            }
        }
        self.say_why(&exec.outcome).await?;
        // Where keyboard-interactive is off, sshd lets an expired password in and then refuses every command.
        if exec.outcome.password_expired() {
            return Err(Failure::new(FailureKind::PasswordExpired).server(self.server()));
        }
        // Not even a shell: `nologin`, a forced command, a full disk.
        Err(Failure::new(FailureKind::NoSession).server(self.server()).detail(&exec.outcome.stderr_tail()))
    }

    /// Runs a command; its input is to follow.
    pub(super) async fn exec(&self, command: &str) -> Result<Exec, Failure> {
        self.connection.exec(command, None).await.map_err(told)
    }

    /// Runs a command with this as all its input.
    pub(super) async fn run(&self, command: &str, input: &[u8]) -> Result<Exec, Failure> {
        let mut exec = self.connection.exec_with_input(command, None, input).await.map_err(told)?;
        // A command that has ended already shows in its output.
        let _ = exec.stdin.shutdown().await;
        Ok(exec)
    }

    /// Gets the session's channel, and the place of its sound, while the user chooses: a round trip less afterwards.
    pub async fn get_ready(&mut self) {
        if self.want_sound && !self.bare && self.sound.is_none() {
            let ask = Listening::ask(&self.connection, self.runtime_dir.as_deref());
            // Both requests go out before either is answered.
            let ((), sound) = tokio::join!(self.connection.open_ahead(), ask);
            self.sound = Some(sound);
        } else {
            self.connection.open_ahead().await;
        }
    }

    /// Starts a session; returns once its command runs.
    pub async fn start(&mut self, start: Start) -> Result<RemoteSession, Failure> {
        let sound = start.services.sound.as_ref();
        self.want_sound = sound.is_some();
        if self.want_sound && self.sound.is_none() {
            self.get_ready().await;
        }
        let (listening, missing) = match self.sound.take().filter(|_| self.want_sound).transpose() {
            Ok(listening) => (listening, None),
            Err(failure) => (None, Some(failure)),
        };
        if listening.is_none() {
            self.connection.stop_listening().await;
        }
        let place = || listening.as_ref().map(Listening::request);
        let for_script = place().filter(|place| matches!(place, helper::Sound::Socket { .. }));
        if !self.bare {
            let for_helper = place();
            // From the start: programs of the session may be there sooner than the word that it has started.
            let serving = listening.zip(sound).map(|(listening, sound)| listening.serve(sound));
            if let Some(result) = RemoteSession::start_with_helper(&self.connection, &start, for_helper).await {
                let mut session = result?;
                session.set_sound(serving);
                if let Some(failure) = missing {
                    session.notice(failure);
                }
                return Ok(session);
            }
        }
        self.connection.stop_listening().await;
        let mut session = RemoteSession::start_with_fallback(&self.connection, &start, for_script).await?;
        self.without_helper();
        if self.want_sound {
            session.notice(Failure::new(FailureKind::NoSound).server(self.server()).detail(NO_HELPER));
        }
        Ok(session)
    }

    /// Ends what a session's helper left on the server when it was killed itself. What cannot be ended is left to the user's next
    /// session there.
    pub async fn tidy(&self) {
        let tidy = async {
            let exec = self.run(TIDY, &[]).await?;
            let status = exec.wait().await;
            tracing::info!(?status, stderr = exec.stderr_tail(), "cleared up on the server");
            Ok::<_, Failure>(())
        };
        match tokio::time::timeout(TIDY_TIME, tidy).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::info!(%failure, "what the session left on the server stays"),
            Err(_) => tracing::info!("the server is still clearing up"),
        }
    }

    /// A channel to the server's SFTP (`draft-ietf-secsh-filexfer`), for the user's home.
    ///
    /// # Errors
    /// [`FailureKind::NoHome`] where the server has none or no room for it.
    pub async fn sftp(&self) -> Result<ssh::ByteStream, Failure> {
        let no_home = |why: &str| Failure::new(FailureKind::NoHome).server(self.server()).detail(why);
        self.connection.subsystem("sftp").await.map_err(|error| {
            tracing::warn!(%error, "no SFTP");
            match &error.reason {
                Reason::NoSubsystem(_) => {
                    no_home("The server's sshd has no SFTP: its sshd_config needs a line Subsystem sftp.")
                }
                Reason::NoSession(why) => {
                    no_home(&format!("The server opens no channel for SFTP: {why} (MaxSessions)."))
                }
                _ => error.failure(),
            }
        })
    }

    /// Lets sound go to the server and back. It ends with the value that is returned; then [`Self::end_sound_loop`].
    ///
    /// # Errors
    /// [`FailureKind::NoSound`] where the server forwards neither sockets nor ports.
    pub async fn begin_sound_loop(&self, sound: &super::protocol::Sound) -> Result<SoundLoop, Failure> {
        SoundLoop::begin(&self.connection, self.runtime_dir.as_deref(), sound).await
    }

    /// Connects to it on the server, as a session's program does.
    pub async fn dial_sound(&self, sound: &SoundLoop) -> Result<ssh::ByteStream, Failure> {
        sound.dial(&self.connection).await.map_err(told)
    }

    /// Removes what it left on the server.
    pub async fn end_sound_loop(&self, sound: SoundLoop) {
        self.connection.stop_listening().await;
        if let Some(path) = sound.leftover()
            && let Ok(exec) = self.run(&format!("rm -f {path}"), &[]).await
        {
            exec.wait().await;
        }
    }

    /// Waits until the connection is lost.
    pub async fn closed(&self) -> Failure {
        told(self.connection.closed().await)
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.connection.close().await;
    }

    /// The shell script has done what the helper did not: from now on it is asked at once. Said once.
    fn without_helper(&mut self) {
        if !self.bare {
            tracing::warn!(server = self.server(), "{}", fallback::MISSING);
            self.bare = true;
        }
    }

    /// Logs how a command ended that did not answer. An error if it was the connection that ended.
    async fn say_why(&self, outcome: &ssh::Outcome) -> Result<(), Failure> {
        let status = outcome.wait().await;
        if status == ssh::ExitStatus::Lost {
            let lost = tokio::time::timeout(Duration::ZERO, self.connection.closed()).await;
            if let Ok(error) = lost {
                return Err(told(error));
            }
        }
        tracing::info!(?status, stderr = outcome.stderr_tail(), "a command on the server gave no answer");
        Ok(())
    }

    fn internal(&self, error: &dyn std::error::Error) -> Failure {
        Failure::new(FailureKind::Internal).server(self.server()).detail(&error.to_string())
    }
}

/// Logs what the helper said beside its answer, such as what it could not do.
pub(super) fn notes(stderr: &str) {
    let notes = stderr.lines().filter_map(|line| line.strip_prefix("ldm-server-helper: "));
    for note in notes.take(limits::LOG_TAIL_LINES) {
        tracing::warn!("the server's helper says: {}", text::sanitise_line(note, limits::LOG_TAIL_LINE));
    }
}

/// What the user is told about an SSH error, which the log has in full.
#[allow(clippy::needless_pass_by_value)] // for map_err
pub(super) fn told(error: SshError) -> Failure {
    tracing::info!(%error, "SSH");
    error.failure()
}
