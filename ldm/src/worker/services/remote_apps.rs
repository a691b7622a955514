//! Programs on the server that a program on this client asks for, each on a channel of its own.

use ldm_protocol::apps::{Event, Program, Refusal};
use ldm_protocol::helper::is_plain_path;
use ldm_protocol::services::RemoteRequest;
use ldm_protocol::{FailureKind, limits, text};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::worker::Remote;
use crate::worker::lines::Lines;

/// What is run on the server.
const COMMAND: &str = "ldm-server-helper remoteapp";

/// At once; sshd's own limit (`MaxSessions`, 10 by default) counts the session, too.
const MOST: usize = 32;

/// A worker has one session.
static ROOM: Semaphore = Semaphore::const_new(MOST);

/// Status of a program whose end nobody has told.
const UNKNOWN: i32 = 255;

/// Runs a program in the session of this directory and tells what happens to it: [`Event::Refused`], or [`Event::Started`] and
/// later [`Event::Ended`]. When this is dropped, the program goes on until the session ends.
pub(in crate::worker) async fn run(remote: &Remote, directory: &str, program: Program, mut tell: impl FnMut(Event)) {
    let Ok(_room) = ROOM.try_acquire() else {
        return tell(refused(Refusal::TooMany, &format!("{MOST} run already.")));
    };
    match start(remote, directory, program, &mut tell).await {
        Ok(()) => {}
        Err(refusal) => tell(refusal),
    }
}

/// `Err`: it was not started.
async fn start(remote: &Remote, directory: &str, program: Program, tell: &mut impl FnMut(Event)) -> Result<(), Event> {
    if !is_plain_path(directory) {
        return Err(refused(Refusal::Off, "The server's name for the session's directory cannot be used."));
    }
    let request = RemoteRequest { directory: directory.to_owned(), program };
    let mut line = serde_json::to_vec(&request).map_err(|error| refused(Refusal::BadRequest, &error.to_string()))?;
    line.push(b'\n');
    let mut exec = remote.exec(COMMAND).await.map_err(|failure| match failure.kind {
        FailureKind::NoSession => {
            let why = failure.detail.unwrap_or_default();
            refused(Refusal::TooMany, &format!("The server opens no channel for it: {why} (MaxSessions)."))
        }
        _ => refused(Refusal::Failed, &failure.to_string()),
    })?;
    // One that has ended already says why.
    let _ = exec.stdin.write_all(&line).await;
    let _ = exec.stdin.shutdown().await;
    let mut started = false;
    let mut lines = Lines::new(&mut exec.stdout);
    while let Ok(Some(line)) = lines.next().await {
        match serde_json::from_slice(&line).map(bounded) {
            Ok(Event::Started) if !started => {
                started = true;
                tell(Event::Started);
            }
            Ok(refusal @ Event::Refused { .. }) if !started => return Err(refusal),
            Ok(ended @ Event::Ended { .. }) if started => {
                tell(ended);
                return Ok(());
            }
            // Printed by a start-up file of the shell.
            _ => {}
        }
    }
    let status = exec.outcome.wait().await;
    let stderr = text::sanitise_line(&exec.outcome.stderr_tail(), limits::LOG_TAIL_LINE);
    tracing::warn!(?status, stderr, started, "the server does not tell of a program that was asked for");
    if !started {
        return Err(refused(Refusal::Failed, &stderr));
    }
    tell(Event::Ended { status: UNKNOWN, signal: None, stderr: vec!["Its end is not known.".to_owned()] });
    Ok(())
}

fn refused(reason: Refusal, detail: &str) -> Event {
    Event::Refused { reason, detail: text::sanitise_line(detail, limits::LOG_TAIL_LINE) }
}

/// What a server says, as it may be handed on.
fn bounded(event: Event) -> Event {
    match event {
        Event::Started => Event::Started,
        Event::Refused { reason, detail } => refused(reason, &detail),
        Event::Ended { status, signal, stderr } => {
            let lines = stderr.iter().take(limits::APP_STDERR_LINES);
            let stderr = lines.map(|line| text::sanitise_line(line, limits::LOG_TAIL_LINE)).collect();
            // What an exit status can be (wait(2)): a process's exit code has eight bits.
            Event::Ended { status: status & 0xff, signal: signal.filter(|signal| (1..=64).contains(signal)), stderr }
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_bounded() {
        let event = Event::Ended { status: 7 + 256, signal: Some(1000), stderr: vec!["\u{1b}[1mx\n".repeat(500); 50] };
        let Event::Ended { status, signal, stderr } = bounded(event) else { panic!("another event") };
        assert_eq!((status, signal, stderr.len()), (7, None, limits::APP_STDERR_LINES));
        assert!(
            stderr.iter().all(|line| line.len() <= limits::LOG_TAIL_LINE + '…'.len_utf8() && !line.contains('\u{1b}'))
        );
        let Event::Refused { detail, .. } =
            bounded(Event::Refused { reason: Refusal::Failed, detail: "\u{7}a".into() })
        else {
            panic!("another event")
        };
        assert_eq!(detail, "a");
    }
}
