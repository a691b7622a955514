//! What a session gets besides its windows and its sound: programs on this client, programs on the server from here, the menu.
//!
//! All of it runs beside the session and ends with it; what fails in it is told and ends nothing.

mod local;
mod menu;
mod mounts;
mod relay;
mod remote_apps;

use std::os::unix::net::UnixStream;
use std::str::FromStr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ldm_protocol::apps::Refusal;
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Remote;
use super::link::Events;
use super::protocol::{Event, LocalDisplay, Services, Start};
use crate::localapps::{Asked, Requests, Watcher};
use crate::x11::DisplayName;
use crate::xauth::Cookie;
use relay::{Next, Relay};

/// Things that wait to be told to the user, or to be mounted: few.
const QUEUE: usize = 16;

/// Why programs on the server are not started.
const REMOTE_OFF: &str = "REMOTE_APPS is off on this client.";

/// Why neither they nor the menu are.
const NO_HELPER: &str = "The server has no ldm-server-helper.";

/// What is needed to run them, kept from the session's order.
pub(super) struct Wanted {
    display: LocalDisplay,
    services: Services,
    local_session: Option<UnixStream>,
}

impl Wanted {
    /// What this session wants; `local_session` leads there.
    pub(super) fn new(start: &Start, local_session: Option<UnixStream>) -> Self {
        Self { display: start.display.clone(), services: start.services.clone(), local_session }
    }

    /// Runs them. Returns only after `ending` was cancelled, and then once local programs have ended.
    pub(super) async fn run<W: AsyncWrite + Send + Unpin>(
        self,
        remote: &Remote,
        directory: Option<&str>,
        events: Events<W>,
        ending: CancellationToken,
    ) {
        let (watcher, requests) = match self.watch() {
            Ok(watched) => watched,
            Err(why) => {
                tracing::error!("programs cannot be asked for on this display: {why}");
                return ending.cancelled().await;
            }
        };
        let tell_asker = |asker, event| watcher.answer(asker, event);
        let (notices, told) = mpsc::channel(QUEUE);
        let (mounts, to_mount) = mpsc::channel(QUEUE);
        let local = local::Local {
            relay: Relay::new(&tell_asker),
            requests: requests.local,
            stream: self.local_session.filter(|_| self.services.local_apps),
            wanted: self.services.local_apps,
            mounts,
            notices: notices.clone(),
        };
        let far = async {
            match directory {
                _ if !self.services.remote_apps => refuse(Relay::new(&tell_asker), requests.remote, REMOTE_OFF).await,
                None => refuse(Relay::new(&tell_asker), requests.remote, NO_HELPER).await,
                Some(directory) => far(remote, directory, Relay::new(&tell_asker), requests.remote).await,
            }
        };
        tokio::select! {
            // Ends when all is over.
            () = local.run(ending) => {}
            () = tell(told, events) => {}
            () = mounts::serve(remote, to_mount, notices.clone()) => {}
            () = far => {}
            () = fill_menu(remote, directory, &self.services, notices) => {}
        }
    }

    fn watch(&self) -> Result<(Watcher, Requests), String> {
        let display = DisplayName::from_str(&self.display.name).map_err(|e| e.to_string())?;
        Watcher::start(display, self.display.cookie.map(Cookie::from)).map_err(|e| e.to_string())
    }
}

/// Tells the daemon what is missing, each kind once.
async fn tell<W: AsyncWrite + Send + Unpin>(mut notices: mpsc::Receiver<Failure>, events: Events<W>) {
    let mut said: Vec<FailureKind> = Vec::new();
    while let Some(failure) = notices.recv().await {
        let line = text::sanitise_line(&failure.to_string(), limits::PROMPT);
        if said.contains(&failure.kind) {
            tracing::warn!("the session lacks something: {line}");
        } else {
            // The daemon logs what it is told.
            tracing::debug!("the session lacks something: {line}");
            said.push(failure.kind);
            // Whether the daemon is there is found out elsewhere.
            let _ = events.send(&Event::Notice(failure)).await;
        }
    }
    std::future::pending::<()>().await;
}

/// Sends the menu, once.
async fn fill_menu(remote: &Remote, directory: Option<&str>, services: &Services, notices: mpsc::Sender<Failure>) {
    let sent = match directory {
        Some(directory) => menu::send(remote, services.menu.as_ref(), services.open, directory).await,
        None if services.menu.is_none() && !services.open => Ok(()),
        None => Err(Failure::new(FailureKind::NoMenu).server(remote.server()).detail(NO_HELPER)),
    };
    // Where it is the connection that has ended, the session's end tells.
    if let Err(failure) = sent
        && failure.kind == FailureKind::NoMenu
    {
        let _ = notices.try_send(failure);
    }
    std::future::pending::<()>().await;
}

/// Runs programs on the server.
async fn far(remote: &Remote, directory: &str, mut relay: Relay<'_>, mut requests: mpsc::UnboundedReceiver<Asked>) {
    // Two for each that runs, and those are bounded.
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut running = FuturesUnordered::new();
    let start = |Next { number, program }| {
        let tell = tell.clone();
        remote_apps::run(remote, directory, program, move |event| drop(tell.send((number, event))))
    };
    loop {
        tokio::select! {
            Some(asked) = requests.recv() => running.extend(relay.take(asked).map(start)),
            Some((number, event)) = told.recv() => running.extend(relay.happened(number, event).map(start)),
            Some(()) = running.next() => {}
        }
    }
}

/// Refuses everything.
async fn refuse(mut relay: Relay<'_>, mut requests: mpsc::UnboundedReceiver<Asked>, why: &str) {
    while let Some(asked) = requests.recv().await {
        relay.refuse(asked, Refusal::Off, why);
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests;
