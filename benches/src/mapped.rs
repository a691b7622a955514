//! When is a window mapped? A minimal X client that is told by the server, so that nothing polls and nobody guesses.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ldm_tests::xserver::Screen;

use crate::clock;

const COOKIE: usize = 16;
const PROTOCOL: &[u8; 18] = b"MIT-MAGIC-COOKIE-1";
const EVENT: usize = 32;
const MAP_NOTIFY: u8 = 19;
const GET_INPUT_FOCUS: u8 = 43;
const CHANGE_WINDOW_ATTRIBUTES: u8 = 2;
const CW_EVENT_MASK: u32 = 1 << 11;
const SUBSTRUCTURE_NOTIFY: u32 = 1 << 19;

/// A connection that hears of every window that is mapped on the root window.
pub struct Watch {
    stream: UnixStream,
}

impl Watch {
    /// Begins to listen; when this returns, the server knows.
    pub fn new(screen: &Screen) -> Result<Self> {
        let number = screen.display.trim_start_matches(':');
        let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
        let root = set_up(&mut stream, &cookie(screen)?)?;
        let mut request = vec![CHANGE_WINDOW_ATTRIBUTES, 0];
        request.extend(4_u16.to_le_bytes());
        for word in [root, CW_EVENT_MASK, SUBSTRUCTURE_NOTIFY] {
            request.extend(word.to_le_bytes());
        }
        // A request with a reply: it comes when the one before has been done.
        request.extend([GET_INPUT_FOCUS, 0, 1, 0]);
        stream.write_all(&request)?;
        let mut watch = Self { stream };
        loop {
            match watch.next(Duration::from_secs(5))?.first() {
                Some(0) => bail!("the X server refuses the event mask"),
                Some(1) => return Ok(watch),
                _ => {}
            }
        }
    }

    /// The moment at which the next window that a window manager would look after is mapped.
    pub fn mapped(&mut self, limit: Duration) -> Result<Duration> {
        let end = clock::now()? + limit;
        loop {
            let left = end.saturating_sub(clock::now()?).max(Duration::from_millis(1));
            let event = self.next(left).context("no window was mapped")?;
            let [code, .., _] = event;
            if code & 0x7f == MAP_NOTIFY && event.get(12) == Some(&0) {
                return clock::now();
            }
        }
    }

    /// Forgets what has happened so far.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            match self.next(Duration::from_millis(1)) {
                Ok(_) => {}
                Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| timed_out(e.kind())) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn next(&mut self, limit: Duration) -> Result<[u8; EVENT]> {
        self.stream.set_read_timeout(Some(limit))?;
        let mut event = [0; EVENT];
        self.stream.read_exact(&mut event)?;
        Ok(event)
    }
}

fn timed_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The cookie of a lab's authority file, which holds one entry whose data comes last (Xau).
fn cookie(screen: &Screen) -> Result<[u8; COOKIE]> {
    let bytes = fs::read(&screen.authority)?;
    Ok(*bytes.last_chunk::<COOKIE>().context("the authority file is too short")?)
}

/// Connection set-up (X11 protocol, chapter 8), little-endian. Gives the root window of the first screen.
fn set_up(stream: &mut UnixStream, cookie: &[u8; COOKIE]) -> Result<u32> {
    let mut request = vec![b'l', 0, 11, 0, 0, 0];
    for length in [PROTOCOL.len(), COOKIE, 0] {
        request.extend(u16::try_from(length)?.to_le_bytes());
    }
    request.extend(PROTOCOL);
    request.extend([0; 2]);
    request.extend(cookie);
    stream.write_all(&request)?;
    let mut head = [0; 8];
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.read_exact(&mut head)?;
    let [status, _, _, _, _, _, low, high] = head;
    ensure!(status == 1, "the X server refuses the cookie");
    let mut body = vec![0; usize::from(u16::from_le_bytes([low, high])) * 4];
    stream.read_exact(&mut body)?;
    let vendor = usize::from(u16::from_le_bytes(chunk(&body, 16)?)).next_multiple_of(4);
    let [formats] = chunk(&body, 21)?;
    Ok(u32::from_le_bytes(chunk(&body, 32 + vendor + 8 * usize::from(formats))?))
}

fn chunk<const N: usize>(body: &[u8], at: usize) -> Result<[u8; N]> {
    body.get(at..).and_then(|b| b.first_chunk()).copied().context("the X server's answer is too short")
}
