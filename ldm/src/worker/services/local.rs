//! Programs on this client: between the display's requests and the local session.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ldm_protocol::apps::{Event, Refusal};
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::relay::{Next, Relay};
use crate::localapps::protocol::{FromLocal, ToLocal};
use crate::localapps::{Asked, Frame, Link, Reader, Writer};

/// Requests that wait for the local session to read them. Those behind wait where they were found.
const QUEUE: usize = 16;

/// A local session that cannot say by then whether programs can be started hangs: in the client's user database, in PAM. Its
/// mounts have 10 s.
const READY: Duration = Duration::from_secs(30);

/// Said of such a one.
const SILENT: &str = "The local session on the client does not answer.";

/// Said when the local session is not there, or no longer.
const GONE: &str = "The local session on the client has ended.";

pub(super) struct Local<'a> {
    pub(super) relay: Relay<'a>,
    pub(super) requests: mpsc::UnboundedReceiver<Asked>,
    pub(super) stream: Option<UnixStream>,
    /// `LOCAL_APPS`.
    pub(super) wanted: bool,
    pub(super) mounts: mpsc::Sender<PathBuf>,
    pub(super) notices: mpsc::Sender<Failure>,
}

impl Local<'_> {
    /// Until `ending` is cancelled and the local session has ended.
    pub(super) async fn run(mut self, ending: CancellationToken) {
        if let Some(stream) = self.stream.take() {
            match Link::new(stream) {
                Ok(link) => {
                    let why = self.serve(link, &ending).await;
                    self.relay.give_up(&why);
                    if !ending.is_cancelled() {
                        self.missing(FailureKind::NoLocalApps, &why);
                    }
                    return self.refuse(&why, &ending).await;
                }
                Err(error) => tracing::error!(%error, "the socket to the local session"),
            }
        }
        if self.wanted {
            self.missing(FailureKind::NoLocalApps, GONE);
            self.refuse(GONE, &ending).await;
        } else {
            self.refuse("LOCAL_APPS is off on this client.", &ending).await;
        }
    }

    /// Until the local session ends; gives what to say then.
    async fn serve(&mut self, link: Link, ending: &CancellationToken) -> String {
        let Link { reader, writer } = link;
        let (to, frames) = mpsc::channel(QUEUE);
        let (why, ()) = tokio::join!(self.talk(reader, to, ending), write(writer, frames));
        why
    }

    async fn talk(&mut self, mut reader: Reader, to: mpsc::Sender<Frame>, ending: &CancellationToken) -> String {
        let mut to = Some(to);
        let mut ready = false;
        let mut held = None;
        let hung = tokio::time::sleep(READY);
        tokio::pin!(hung);
        loop {
            tokio::select! {
                message = reader.next() => match message {
                    Ok(Some(FromLocal::Ready(Ok(())))) => ready = true,
                    Ok(Some(FromLocal::Ready(Err(why)))) => return sanitised(&why),
                    Ok(Some(FromLocal::Mount { socket })) => {
                        if self.mounts.try_send(socket).is_err() {
                            tracing::error!("too many directories of the server are wanted at once");
                        }
                    }
                    Ok(Some(FromLocal::NotMounted { why })) => self.missing(FailureKind::NoHome, &sanitised(&why)),
                    // Only one of those that wait for their turn is ever under way.
                    Ok(Some(FromLocal::Program { number, event })) => held = self.relay.happened(number, event).or(held),
                    Ok(None) => return GONE.to_owned(),
                    Err(error) => {
                        tracing::error!(%error, "the connection to the local session failed");
                        return GONE.to_owned();
                    }
                },
                (room, job) = job(to.clone().filter(|_| ready), &mut held, &mut self.requests) => {
                    let next = match job {
                        Job::Held(next) => Some(next),
                        Job::Asked(asked) => self.relay.take(asked),
                    };
                    // Refusing one may be another's turn.
                    let mut next = next;
                    while let Some(Next { number, program }) = next.take() {
                        match Frame::new(&ToLocal::Run { number, program }) {
                            Ok(frame) => {
                                room.send(frame);
                                break;
                            }
                            Err(_) => next = self.relay.happened(number, too_long()),
                        }
                    }
                }
                () = &mut hung, if !ready => return SILENT.to_owned(),
                // Letting go of it shuts the writing side: programs end, and the local session with them.
                () = ending.cancelled(), if to.is_some() => to = None,
            }
        }
    }

    /// Refuses whatever is asked, until the session ends.
    async fn refuse(&mut self, why: &str, ending: &CancellationToken) {
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Some(asked) = self.requests.recv() => self.relay.refuse(asked, Refusal::Off, why),
            }
        }
    }

    fn missing(&self, kind: FailureKind, why: &str) {
        // Full: the user is being told already.
        let _ = self.notices.try_send(Failure::new(kind).detail(why));
    }
}

enum Job {
    Held(Next),
    Asked(Asked),
}

/// What is to be started next, and room to say so. Nothing is taken before there is room. May be dropped at any await.
async fn job(
    to: Option<mpsc::Sender<Frame>>,
    held: &mut Option<Next>,
    requests: &mut mpsc::UnboundedReceiver<Asked>,
) -> (mpsc::OwnedPermit<Frame>, Job) {
    let Some(to) = to else { return std::future::pending().await };
    // The end of the writer shows on the reader's side, too.
    let Ok(room) = to.reserve_owned().await else { return std::future::pending().await };
    if let Some(next) = held.take() {
        return (room, Job::Held(next));
    }
    match requests.recv().await {
        Some(asked) => (room, Job::Asked(asked)),
        None => std::future::pending().await,
    }
}

/// Sends until there is no more to be sent.
async fn write(mut writer: Writer, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = writer.send(&frame).await {
            tracing::error!(%error, "the local session cannot be told");
            return;
        }
    }
}

fn too_long() -> Event {
    Event::Refused { reason: Refusal::BadRequest, detail: "The command line is too long.".to_owned() }
}

fn sanitised(why: &str) -> String {
    text::sanitise_line(why, limits::PROMPT)
}
