//! Waiting for what has no event of its own: with a time limit, and a message that says what did not happen.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a healthy machine may take for one step, with several scenarios on two processors.
pub const STEP: Duration = Duration::from_secs(20);

thread_local! {
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has ever waited in vain: its scenario has probably failed.
pub fn has_failed() -> bool {
    FAILED.get()
}

/// Notes that this thread's scenario has failed, so that its logs are shown.
pub fn note_failure() {
    FAILED.set(true);
}

/// Asks until there is an answer. `what` ends the sentence "waited in vain for …".
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    try_until(what, limit, || Ok(look()))
}

/// [`until`] for a look that can fail for good.
pub fn try_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().with_context(|| format!("while waiting for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= end {
            FAILED.set(true);
            bail!("waited {:.1} s in vain for {what}", limit.as_secs_f32());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a line that contains `pattern` in a file that grows, and returns it.
pub fn for_line(file: &Path, pattern: &str, limit: Duration) -> Result<String> {
    until(&format!("“{pattern}” in {}", file.display()), limit, || {
        let text = std::fs::read(file).ok()?;
        String::from_utf8_lossy(&text).lines().find(|line| line.contains(pattern)).map(str::to_owned)
    })
    .with_context(|| format!("{} ends with:\n{}", file.display(), tail(file)))
}

/// The last lines of a log, for a message.
pub fn tail(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last: Vec<&str> = lines.iter().skip(lines.len().saturating_sub(40)).copied().collect();
    format!("  | {}\n", last.join("\n  | "))
}
