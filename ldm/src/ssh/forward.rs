//! Where the server listens for us: one unix socket, or one port of its loopback. What connects there comes as a channel.
//!
//! A server may open channels for any place it likes; only those for the place that we asked for, and that it granted, are
//! accepted, at most [`MAX_FORWARDED`] at once.

use std::sync::Arc;

use russh::Channel;
use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::{Semaphore, mpsc, watch};

use super::channel::ByteStream;
use super::handler::{Shared, accept, refuse};

/// Forwarded connections that may be open at once. A desktop's programs have a few to their sound daemon.
pub const MAX_FORWARDED: usize = 64;

/// The address that a port is asked for on.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A unix socket.
    Socket(String),
    /// A port of [`LOOPBACK`]; `None`: whichever is free.
    Port(Option<u16>),
}

impl Place {
    /// The port that a server names; `None` if it is none of ours.
    pub(super) fn port(address: &str, port: u32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|&port| port != 0)?;
        (address == LOOPBACK).then_some(Self::Port(Some(port)))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Socket(_) => "forwarded-streamlocal",
            Self::Port(_) => "forwarded-tcpip",
        }
    }
}

/// A place that the server was asked to listen on.
#[derive(Debug)]
pub(super) struct Forward {
    asked: Place,
    granted: watch::Receiver<Option<Place>>,
    room: Arc<Semaphore>,
    /// Channels that came before the answer to our request was seen.
    early: Arc<Semaphore>,
    streams: mpsc::Sender<ByteStream>,
}

impl Forward {
    /// To be known before the request goes out. The sender is for the place granted.
    pub(super) fn new(asked: Place, streams: mpsc::Sender<ByteStream>) -> (Arc<Self>, watch::Sender<Option<Place>>) {
        let (grant, granted) = watch::channel(None);
        let room = Arc::new(Semaphore::new(MAX_FORWARDED));
        let early = Arc::new(Semaphore::new(MAX_FORWARDED));
        (Arc::new(Self { asked, granted, room, early, streams }), grant)
    }

    pub(super) fn granted(&self) -> Option<Place> {
        self.granted.borrow().clone()
    }

    fn may_be(&self, place: &Place) -> bool {
        match (&self.asked, place) {
            (Place::Socket(asked), Place::Socket(path)) => asked == path,
            (Place::Port(_), Place::Port(_)) => true,
            _ => false,
        }
    }

    async fn answer(&self, shared: &Arc<Shared>, place: &Place, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        if self.granted().as_ref() == Some(place) {
            accept(place.kind(), channel, reply, shared, &self.room, &self.streams).await;
        } else {
            refuse(place.kind(), reply).await;
        }
    }
}

/// The server opens a channel for a connection at `place`.
pub(super) async fn offered(shared: &Arc<Shared>, place: Place, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let Some(forward) = shared.forward().filter(|forward| forward.may_be(&place)) else {
        return refuse(place.kind(), reply).await;
    };
    if forward.granted().is_some() {
        return forward.answer(shared, &place, channel, reply).await;
    }
    // The first connection may come in the same segment as the answer to our request, which russh tells to the asker alone and
    // not to its handler. Waiting for it here would keep it from being read.
    let Ok(early) = Arc::clone(&forward.early).try_acquire_owned() else {
        return refuse(place.kind(), reply).await;
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        // An error: nobody waits for the grant any more.
        let _ = forward.granted.clone().wait_for(Option::is_some).await;
        forward.answer(&shared, &place, channel, reply).await;
        drop(early);
    });
}
