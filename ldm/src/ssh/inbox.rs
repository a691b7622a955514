//! Bytes that have come for a channel and were not read yet.
//!
//! russh 0.65.1 grants a channel's window anew as soon as data has arrived (`Encrypted::adjust_window_size`, called before
//! the data is handed over), whatever its consumer does, and offers no way to grant it oneself; its own brake is to stop
//! reading the connection when a channel's queue is full, which stops every channel. So a consumer that stops for good (a
//! grabbed X server, say) would stop the very channel that has to wake it.
//!
//! Here the handler is the brake. Each channel's queue is large, and what it holds is counted:
//! - Up to [`SOFT`], nothing happens.
//! - Above it, reading of the connection waits for the consumer, as long as the consumer moves: a slow X server slows its
//!   clients down, and what the others have to wait for is no more than one window.
//! - A consumer that does not move for [`PATIENCE`] is waited for no longer: the others go on, and its data piles up.
//! - When [`HARD`] has piled up on the whole connection, the channel that gets more is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::channel::ByteStream;

/// Bytes per channel that are held without slowing anything down.
pub(super) const SOFT: usize = 256 * 1024;

/// Bytes of one connection that are held at most.
pub(super) const HARD: usize = 64 * 1024 * 1024;

/// How long a consumer may stand still before the others stop waiting for it.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// What is to become of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Close,
}

/// One channel's account.
#[derive(Debug)]
pub(super) struct Inbox {
    held: AtomicUsize,
    /// Of the whole connection.
    total: Arc<AtomicUsize>,
    moved: Notify,
    frozen: AtomicBool,
    abandoned: AtomicBool,
    /// Its consumer takes no extended data.
    plain: AtomicBool,
    /// Extended data that came all the same.
    stray: AtomicUsize,
    closed: watch::Sender<bool>,
    /// Where X11 channels go once the server says yes to the `x11-req` that was sent on this channel.
    asked_x11: Mutex<Option<mpsc::Sender<ByteStream>>>,
}

impl Inbox {
    pub(super) fn new(total: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            total: Arc::clone(total),
            moved: Notify::new(),
            frozen: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            plain: AtomicBool::new(false),
            stray: AtomicUsize::new(0),
            closed: watch::Sender::new(false),
            asked_x11: Mutex::new(None),
        })
    }

    /// The handler has seen this many bytes arrive. Counted before the consumer can count them as read.
    pub(super) async fn arrived(&self, bytes: usize) -> Verdict {
        if self.abandoned.load(Ordering::Acquire) {
            return Verdict::Keep;
        }
        self.held.fetch_add(bytes, Ordering::AcqRel);
        self.total.fetch_add(bytes, Ordering::AcqRel);
        while self.held() > SOFT && !self.frozen.load(Ordering::Acquire) {
            if tokio::time::timeout(PATIENCE, self.moved.notified()).await.is_err() {
                self.frozen.store(true, Ordering::Release);
            }
        }
        // The counters of the connection wrap like those of the channel, see `read`.
        let total = self.total.load(Ordering::Acquire);
        if self.held() > SOFT && total > HARD && isize::try_from(total).is_ok() {
            Verdict::Close
        } else {
            Verdict::Keep
        }
    }

    /// Extended data has arrived. Where nobody takes it (the standard error of a subsystem), a little is left lying.
    pub(super) async fn extended_arrived(&self, bytes: usize) -> Verdict {
        if !self.plain.load(Ordering::Acquire) {
            return self.arrived(bytes).await;
        }
        let stray = self.stray.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        if stray > SOFT { Verdict::Close } else { Verdict::Keep }
    }

    pub(super) fn set_plain(&self) {
        self.plain.store(true, Ordering::Release);
    }

    /// The consumer has read this many bytes.
    pub(super) fn read(&self, bytes: usize) {
        if self.abandoned.load(Ordering::Acquire) {
            return;
        }
        // russh hands data over just before it tells the handler, so the consumer may be first: the counter then wraps for
        // a moment, and `held` takes that for nothing.
        self.held.fetch_sub(bytes, Ordering::AcqRel);
        self.total.fetch_sub(bytes, Ordering::AcqRel);
        self.frozen.store(false, Ordering::Release);
        self.moved.notify_one();
    }

    fn held(&self) -> usize {
        let held = self.held.load(Ordering::Acquire);
        if isize::try_from(held).is_ok() { held } else { 0 }
    }

    /// The consumer is gone; what comes now is dropped by russh.
    pub(super) fn abandon(&self) {
        if !self.abandoned.swap(true, Ordering::AcqRel) {
            let held = self.held.swap(0, Ordering::AcqRel);
            self.total.fetch_sub(held, Ordering::AcqRel);
            self.moved.notify_one();
        }
    }

    /// The server has closed the channel, or the connection is gone.
    pub(super) fn set_closed(&self) {
        self.closed.send_replace(true);
        self.moved.notify_one();
    }

    /// Waits for [`Self::set_closed`].
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            let _ = closed.wait_for(|&closed| closed).await;
        }
    }

    pub(super) fn ask_x11(&self, streams: mpsc::Sender<ByteStream>) {
        *self.asked_x11.lock().unwrap_or_else(PoisonError::into_inner) = Some(streams);
    }

    /// Takes the question that the server has just answered, if it was that one: replies come in the order of the requests,
    /// and `x11-req` is the first.
    pub(super) fn answered_x11(&self) -> Option<mpsc::Sender<ByteStream>> {
        self.asked_x11.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moving_consumer_is_waited_for_and_a_frozen_one_is_not() {
        let total = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox::new(&total);
        assert_eq!(inbox.arrived(SOFT).await, Verdict::Keep);

        let begin = tokio::time::Instant::now();
        let reader = {
            let inbox = Arc::clone(&inbox);
            tokio::spawn(async move {
                for _ in 0..10 {
                    tokio::time::sleep(PATIENCE / 2).await;
                    inbox.read(10);
                }
            })
        };
        assert_eq!(inbox.arrived(100).await, Verdict::Keep);
        assert_eq!(begin.elapsed(), PATIENCE / 2 * 10, "waits for as long as the consumer moves");
        reader.await.unwrap();

        let begin = tokio::time::Instant::now();
        assert_eq!(inbox.arrived(100).await, Verdict::Keep);
        assert_eq!(begin.elapsed(), PATIENCE, "the consumer stands still");
        assert_eq!(inbox.arrived(100).await, Verdict::Keep);
        assert_eq!(begin.elapsed(), PATIENCE, "and is not waited for again");

        assert_eq!(inbox.arrived(HARD).await, Verdict::Close);
        inbox.abandon();
        inbox.read(100);
        assert_eq!(total.load(Ordering::Acquire), 0);
        assert_eq!(inbox.arrived(HARD).await, Verdict::Keep);
    }

    #[tokio::test(start_paused = true)]
    async fn one_channel_does_not_pay_for_another() {
        let total = Arc::new(AtomicUsize::new(0));
        let (full, other) = (Inbox::new(&total), Inbox::new(&total));
        assert_eq!(full.arrived(HARD + 1).await, Verdict::Close);
        assert_eq!(other.arrived(1000).await, Verdict::Keep);
    }

    #[tokio::test]
    async fn a_consumer_may_be_faster_than_the_count() {
        let total = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox::new(&total);
        inbox.read(500);
        assert_eq!(inbox.arrived(500).await, Verdict::Keep);
        assert_eq!((inbox.held(), total.load(Ordering::Acquire)), (0, 0));
    }
}
