//! How long to wait before something that ended is started again.

use std::time::Duration;

use tokio::time::Instant;

/// Wait after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_millis(200);
/// Longest wait.
const MOST: Duration = Duration::from_secs(30);
/// Who has lived this long is healthy again.
const STABLE: Duration = Duration::from_secs(10);

/// The failures in a row of one part.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    up_since: Option<Instant>,
}

impl Backoff {
    /// The part is up.
    pub(super) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// The part has ended; when to start it again.
    pub(super) fn down(&mut self, now: Instant) -> Instant {
        if self.up_since.take().is_some_and(|since| now.duration_since(since) >= STABLE) {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        now + wait
    }

    /// The part has ended because it had done its work.
    pub(super) fn done(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_a_stable_life_resets_them() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..10).map(|_| (backoff.down(now) - now).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        backoff.up(now);
        let short = now + Duration::from_secs(9);
        assert_eq!(backoff.down(short), short + MOST);
        backoff.up(now);
        assert_eq!(backoff.down(now + STABLE), now + STABLE + FIRST);
    }
}
