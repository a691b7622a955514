//! [`Exec`]: a command on the server.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use ldm_protocol::{limits, secret, text};
use russh::client::Msg;
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};

use super::Reason;
use super::channel::{ByteStream, Closed, X11Request};
use super::handler::Shared;
use super::inbox::Inbox;

/// Bytes of standard error that are kept.
pub const STDERR_TAIL: usize = 4096;

/// A command that runs on the server. Its parts may be taken out and used apart; when all but `stdin` are gone, the channel
/// is closed.
#[derive(Debug)]
pub struct Exec {
    /// Standard input; `shutdown` or dropping it is end of file.
    pub stdin: Stdin,
    /// Standard output.
    pub stdout: Stdout,
    /// How it ended, and what it said on standard error.
    pub outcome: Outcome,
}

impl Exec {
    /// Waits until the command has ended.
    pub async fn wait(&self) -> ExitStatus {
        self.outcome.wait().await
    }

    /// The last bytes of standard error so far (at most [`STDERR_TAIL`]), sanitised.
    pub fn stderr_tail(&self) -> String {
        self.outcome.stderr_tail()
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// Its exit code.
    Code(u32),
    /// The signal that ended it, without `SIG`.
    Signal(String),
    /// The channel or the connection ended without telling.
    Lost,
}

impl ExitStatus {
    /// The code as a shell has it: the exit code, 128 + signal number, or 255.
    pub fn code(&self) -> i32 {
        let signals = [
            ("HUP", 1),
            ("INT", 2),
            ("QUIT", 3),
            ("ILL", 4),
            ("ABRT", 6),
            ("FPE", 8),
            ("KILL", 9),
            ("USR1", 10),
            ("SEGV", 11),
            ("PIPE", 13),
            ("ALRM", 14),
            ("TERM", 15),
        ];
        match self {
            Self::Code(code) => i32::try_from(*code).unwrap_or(255),
            Self::Signal(name) => {
                128 + signals.iter().find(|(known, _)| known == name).map_or(0, |(_, number)| *number)
            }
            Self::Lost => 255,
        }
    }
}

/// See [`Exec::wait`]. Clones see the same command.
#[derive(Debug, Clone)]
pub struct Outcome {
    status: watch::Receiver<Option<ExitStatus>>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
}

impl Outcome {
    /// Waits until the command has ended; may be called again. Does not wait for the end of its output, which programs
    /// that it left behind may keep open.
    pub async fn wait(&self) -> ExitStatus {
        let mut status = self.status.clone();
        match status.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or(ExitStatus::Lost),
            Err(_) => ExitStatus::Lost,
        }
    }

    /// See [`Exec::stderr_tail`].
    pub fn stderr_tail(&self) -> String {
        let bytes: Vec<u8> = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        text::sanitise(&String::from_utf8_lossy(&bytes), STDERR_TAIL)
    }

    /// Whether sshd ran its password change instead of the command, and failed for want of a terminal: with
    /// `PasswordAuthentication` alone, that is how an expired password shows. (With keyboard-interactive it is changed
    /// during the login.)
    pub fn password_expired(&self) -> bool {
        self.stderr_tail().contains("Password change required but no TTY available")
    }
}

/// Standard input of an [`Exec`].
pub struct Stdin {
    writer: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    /// Dropped without a word: end of file is still to be sent.
    eof: Option<oneshot::Sender<()>>,
    closed: Closed,
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stdin")
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.writer.as_mut().poll_write(cx, buf) {
            Poll::Pending => self.closed.poll_broken(cx),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.writer.as_mut().poll_shutdown(cx);
        if poll.is_ready()
            && let Some(eof) = self.eof.take()
        {
            let _ = eof.send(());
        }
        poll
    }
}

/// Standard output of an [`Exec`].
#[derive(Debug)]
pub struct Stdout {
    queue: mpsc::UnboundedReceiver<Bytes>,
    rest: Bytes,
    inbox: Arc<Inbox>,
    /// Keeps the channel open.
    _status: watch::Receiver<Option<ExitStatus>>,
}

impl Drop for Stdout {
    fn drop(&mut self) {
        self.queue.close();
        let mut unread = self.rest.len();
        while let Ok(data) = self.queue.try_recv() {
            unread += data.len();
        }
        self.inbox.read(unread);
    }
}

impl AsyncRead for Stdout {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(data)) => self.rest = data,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let length = self.rest.len().min(buf.remaining());
        let data = self.rest.split_to(length);
        buf.put_slice(&data);
        self.inbox.read(data.len());
        Poll::Ready(Ok(()))
    }
}

/// Sends the requests and waits for their replies, which come in the same order.
pub(super) async fn run(
    channel: Channel<Msg>,
    shared: &Arc<Shared>,
    command: &str,
    x11: Option<X11Request>,
    input: &[u8],
) -> Result<Exec, Reason> {
    let id = channel.id();
    let inbox = shared.inbox(id);
    let (mut reader, writer) = channel.split();
    let guard = CloseOnDrop { writer: Arc::new(writer), shared: Arc::clone(shared), id };
    let writer = Arc::clone(&guard.writer);
    let lost = |_| Reason::Lost("the connection ended".to_owned());
    let asked_x11 = x11.is_some();
    if let Some(x11) = x11 {
        let cookie = secret::hex(&x11.fake_cookie);
        inbox.ask_x11(x11.streams);
        writer.request_x11(true, false, "MIT-MAGIC-COOKIE-1", cookie.as_str(), x11.screen).await.map_err(lost)?;
    }
    writer.exec(true, command).await.map_err(lost)?;

    let (stdout, queue) = mpsc::unbounded_channel();
    let (status, status_receiver) = watch::channel(None);
    let (eof, eof_receiver) = oneshot::channel();
    let stderr = Arc::default();
    let stdin = Stdin { writer: Box::pin(writer.make_writer()), eof: Some(eof), closed: Closed::new(&inbox) };
    let mut pump = Pump { inbox: Arc::clone(&inbox), stdout: Some(stdout), stderr: Arc::clone(&stderr), status };

    let replies = async {
        let x11_granted = !asked_x11 || pump.reply(&mut reader).await?;
        Ok::<_, Reason>((x11_granted, pump.reply(&mut reader).await?))
    };
    // A server that refuses the command never takes the input.
    let mut send_input = pin!(send(&writer, input));
    let mut sent = false;
    let (x11_granted, started) = {
        let mut replies = pin!(replies);
        loop {
            tokio::select! {
                replies = &mut replies => break replies?,
                result = &mut send_input, if !sent => { result.map_err(lost)?; sent = true; }
            }
        }
    };
    if !x11_granted {
        // The command may run by now; without its channel it is hung up.
        return Err(Reason::NoX11);
    }
    if !started {
        return Err(Reason::NoSession("the server refused to run the command".to_owned()));
    }
    tokio::select! {
        result = &mut send_input, if !sent => result.map_err(lost)?,
        () = inbox.closed(), if !sent => {}
        else => {}
    }
    tokio::spawn(async move {
        pump.run(reader, &guard.writer, eof_receiver).await;
        drop(guard);
    });
    let outcome = Outcome { status: status_receiver.clone(), stderr };
    Ok(Exec { stdin, stdout: Stdout { queue, rest: Bytes::new(), inbox, _status: status_receiver }, outcome })
}

async fn send(writer: &ChannelWriteHalf<Msg>, input: &[u8]) -> Result<(), russh::Error> {
    if input.is_empty() { Ok(()) } else { writer.data(input).await }
}

/// Asks for a subsystem and waits for the reply.
pub(super) async fn subsystem(channel: Channel<Msg>, shared: &Arc<Shared>, name: &str) -> Result<ByteStream, Reason> {
    // In a task, so that the channel is closed also if this is given up half-way.
    let asking = tokio::spawn(ask_subsystem(channel, Arc::clone(shared), name.to_owned()));
    asking.await.unwrap_or_else(|error| Err(Reason::Lost(error.to_string())))
}

async fn ask_subsystem(mut channel: Channel<Msg>, shared: Arc<Shared>, name: String) -> Result<ByteStream, Reason> {
    let lost = || Reason::Lost("the connection ended".to_owned());
    let granted = match channel.request_subsystem(true, name.as_str()).await {
        Ok(()) => loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break Ok(()),
                // The far end of a subsystem speaks when it is spoken to.
                Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Data { .. }) => {
                    break Err(Reason::NoSubsystem(name));
                }
                Some(_) => {}
                None => break Err(lost()),
            }
        },
        Err(_) => Err(lost()),
    };
    // Made in either case: dropping it closes the channel for good.
    let stream = ByteStream::new(channel, &shared, None);
    granted.map(|()| stream)
}

/// Closes a session channel, also if [`run`] is given up half-way. What the server has closed is not closed again.
struct CloseOnDrop {
    writer: Arc<ChannelWriteHalf<Msg>>,
    shared: Arc<Shared>,
    id: ChannelId,
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.shared.forget(self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let writer = Arc::clone(&self.writer);
            runtime.spawn(async move {
                let _ = writer.close().await;
            });
        }
    }
}

/// Sorts what comes on a session channel.
struct Pump {
    inbox: Arc<Inbox>,
    stdout: Option<mpsc::UnboundedSender<Bytes>>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    status: watch::Sender<Option<ExitStatus>>,
}

impl Pump {
    /// The reply to the oldest request.
    async fn reply(&mut self, reader: &mut ChannelReadHalf) -> Result<bool, Reason> {
        loop {
            match reader.wait().await {
                Some(ChannelMsg::Success) => return Ok(true),
                Some(ChannelMsg::Failure) => return Ok(false),
                Some(ChannelMsg::Close) => {
                    return Err(Reason::NoSession("the server closed the channel".to_owned()));
                }
                Some(message) => self.take(message),
                None => return Err(Reason::Lost("the connection ended".to_owned())),
            }
        }
    }

    fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => {
                let length = data.len();
                // The budget is kept by the inbox; this queue holds what the inbox has counted.
                if self.stdout.as_ref().is_none_or(|stdout| stdout.send(data).is_err()) {
                    self.inbox.read(length);
                }
            }
            ChannelMsg::ExtendedData { data, .. } => {
                let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
                let fresh = data.get(data.len().saturating_sub(STDERR_TAIL)..).unwrap_or_default();
                tail.extend(fresh);
                let surplus = tail.len().saturating_sub(STDERR_TAIL);
                tail.drain(..surplus);
                drop(tail);
                self.inbox.read(data.len());
            }
            ChannelMsg::Eof => self.stdout = None,
            ChannelMsg::ExitStatus { exit_status } => self.set(ExitStatus::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => self.set(ExitStatus::Signal(signal(&signal_name))),
            _ => {}
        }
    }

    /// The first word counts.
    fn set(&mut self, status: ExitStatus) {
        self.status.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(status);
            first
        });
    }

    async fn run(mut self, mut reader: ChannelReadHalf, writer: &ChannelWriteHalf<Msg>, eof: oneshot::Receiver<()>) {
        tokio::pin!(eof);
        let mut stdin_open = true;
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                shut = &mut eof, if stdin_open => {
                    stdin_open = false;
                    if shut.is_err() {
                        let _ = writer.eof().await;
                    }
                    continue;
                }
                () = self.status.closed() => break,
            };
            match message {
                Some(ChannelMsg::Close) | None => break,
                Some(message) => self.take(message),
            }
        }
        self.set(ExitStatus::Lost);
    }
}

/// The server chooses the name: bounded like everything from there.
fn signal(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT".to_owned(),
        Sig::ALRM => "ALRM".to_owned(),
        Sig::FPE => "FPE".to_owned(),
        Sig::HUP => "HUP".to_owned(),
        Sig::ILL => "ILL".to_owned(),
        Sig::INT => "INT".to_owned(),
        Sig::KILL => "KILL".to_owned(),
        Sig::PIPE => "PIPE".to_owned(),
        Sig::QUIT => "QUIT".to_owned(),
        Sig::SEGV => "SEGV".to_owned(),
        Sig::TERM => "TERM".to_owned(),
        Sig::USR1 => "USR1".to_owned(),
        Sig::Custom(name) => text::sanitise_line(name, limits::SESSION_ID),
    }
}
