//! A check ends, also where GTK does not come back from drawing a theme.

use std::cell::OnceCell;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::out;

/// Drawing one scenario and all that is measured of it takes about a second.
const LIMIT: Duration = Duration::from_mins(1);

thread_local! {
    static STEPS: OnceCell<Sender<String>> = const { OnceCell::new() };
}

/// The next scenario begins, of which `complaint` is said if it does not end.
pub(super) fn begin(complaint: String) {
    STEPS.with(|steps| {
        let steps = steps.get_or_init(watch);
        // A watch that has ended ends the process.
        let _ = steps.send(complaint);
    });
}

/// A thread of its own: GTK's hangs.
fn watch() -> Sender<String> {
    let (steps, begun) = channel::<String>();
    std::thread::spawn(move || {
        let Ok(mut complaint) = begun.recv() else { return };
        loop {
            match begun.recv_timeout(LIMIT) {
                Ok(next) => complaint = next,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    out(&complaint);
                    std::process::exit(1);
                }
            }
        }
    });
    steps
}
