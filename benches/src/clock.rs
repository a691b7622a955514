//! One clock for all processes of this machine.

use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC, which is the same in every process (clock_gettime(2)).
pub fn now() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}
