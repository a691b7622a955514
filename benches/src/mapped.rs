//! When is a window mapped, and when is something to be seen in it? A minimal X client that is told by the server, so that
//! nothing polls and nobody guesses.

use std::collections::VecDeque;
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
const CW_BACK_PIXEL: u32 = 1 << 1;
const CW_EVENT_MASK: u32 = 1 << 11;
const SUBSTRUCTURE_NOTIFY: u32 = 1 << 19;
const CLEAR_AREA: u8 = 61;
const GET_IMAGE: u8 = 73;
const QUERY_EXTENSION: u8 = 98;
/// Six bytes, padded to words.
const DAMAGE: [[u8; 4]; 2] = [*b"DAMA", *b"GE\0\0"];
const DAMAGE_QUERY_VERSION: u8 = 0;
const DAMAGE_CREATE: u8 = 1;
/// Tells of every drawing, with its rectangle.
const RAW_RECTANGLES: u32 = 0;
const Z_PIXMAP: u8 = 2;

/// A connection that hears of every window that is mapped on the root window.
pub struct Watch {
    stream: UnixStream,
    /// The root window.
    root: u32,
    /// The first number that this connection may give to something of its own.
    own: u32,
    /// The number of the event that tells of drawing, if it is asked for.
    drawn: Option<u8>,
    /// Events that came before a reply that was waited for, each with its time.
    early: VecDeque<(Duration, [u8; EVENT])>,
}

/// When a program was there.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Its first window was mapped.
    pub mapped: Duration,
    /// The first of its pixels that is not black was on the screen.
    pub painted: Duration,
}

impl Watch {
    /// Begins to listen; when this returns, the server knows.
    pub fn new(screen: &Screen) -> Result<Self> {
        let number = screen.display.trim_start_matches(':');
        let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
        let (own, root) = set_up(&mut stream, &cookie(screen)?)?;
        let mut watch = Self { stream, root, own, drawn: None, early: VecDeque::new() };
        watch.request(CHANGE_WINDOW_ATTRIBUTES, 0, &[root, CW_EVENT_MASK, SUBSTRUCTURE_NOTIFY])?;
        watch.settle()?;
        Ok(watch)
    }

    /// The same for [`Watch::shown`]: makes the screen black and hears of everything that is drawn on it.
    pub fn painting(screen: &Screen) -> Result<Self> {
        let mut watch = Self::new(screen)?;
        let (root, own) = (watch.root, watch.own);
        watch.request(CHANGE_WINDOW_ATTRIBUTES, 0, &[root, CW_BACK_PIXEL, 0])?;
        watch.request(CLEAR_AREA, 0, &[root, 0, 0])?;
        let [damage, end] = DAMAGE.map(u32::from_le_bytes);
        watch.request(QUERY_EXTENSION, 0, &[6, damage, end])?;
        let ([_, _, _, _, _, _, _, _, present, major, first, ..], _) = watch.reply()?;
        ensure!(present == 1, "the X server cannot tell what is drawn");
        watch.request(major, DAMAGE_QUERY_VERSION, &[1, 1])?;
        watch.reply()?;
        watch.request(major, DAMAGE_CREATE, &[own, root, RAW_RECTANGLES])?;
        watch.settle()?;
        watch.drawn = Some(first);
        watch.early.clear();
        Ok(watch)
    }

    /// The moment at which the next window that a window manager would look after is mapped.
    pub fn mapped(&mut self, limit: Duration) -> Result<Duration> {
        let end = clock::now()? + limit;
        loop {
            let left = end.saturating_sub(clock::now()?).max(Duration::from_millis(1));
            let (at, event) = self.event(left).context("no window was mapped")?;
            let [code, .., _] = event;
            if code & 0x7f == MAP_NOTIFY && event.get(12) == Some(&0) {
                return Ok(at);
            }
        }
    }

    /// The moments at which the next such window is mapped and the first pixel that is not black is on the screen. Who
    /// makes a window black first, or shows it and draws later, has not painted.
    pub fn shown(&mut self, limit: Duration) -> Result<Shown> {
        let end = clock::now()? + limit;
        let (mut mapped, mut painted) = (None, None);
        loop {
            if let (Some(mapped), Some(painted)) = (mapped, painted) {
                return Ok(Shown { mapped, painted });
            }
            let left = end.saturating_sub(clock::now()?).max(Duration::from_millis(1));
            let missing = if mapped.is_none() { "no window was mapped" } else { "nothing was painted" };
            let (at, event) = self.event(left).context(missing)?;
            let [code, .., _] = event;
            let code = code & 0x7f;
            if mapped.is_none() && code == MAP_NOTIFY && event.get(12) == Some(&0) {
                mapped = Some(at);
            } else if painted.is_none() && self.drawn == Some(code) && self.is_seen(&event)? {
                painted = Some(at);
            }
        }
    }

    /// Whether there is now anything but black where this event tells of drawing.
    fn is_seen(&mut self, event: &[u8; EVENT]) -> Result<bool> {
        let place = u32::from_le_bytes(chunk(event, 16)?);
        let size = u32::from_le_bytes(chunk(event, 20)?);
        self.request(GET_IMAGE, Z_PIXMAP, &[self.root, place, size, u32::MAX])?;
        let (_, pixels) = self.reply()?;
        // Four bytes each, the last of which means nothing (a screen of depth 24).
        Ok(pixels.chunks_exact(4).any(|pixel| !matches!(pixel, [0, 0, 0, _])))
    }

    /// Forgets what has happened so far.
    pub fn drain(&mut self) -> Result<()> {
        self.early.clear();
        loop {
            match self.next(Duration::from_millis(1)) {
                Ok(_) => {}
                Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| timed_out(e.kind())) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn request(&mut self, code: u8, detail: u8, words: &[u32]) -> Result<()> {
        let mut request = vec![code, detail];
        request.extend(u16::try_from(words.len() + 1)?.to_le_bytes());
        request.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        Ok(self.stream.write_all(&request)?)
    }

    /// Waits until all requests have been done.
    fn settle(&mut self) -> Result<()> {
        // A request with a reply: it comes when those before have been done.
        self.request(GET_INPUT_FOCUS, 0, &[])?;
        self.reply().map(drop)
    }

    /// The reply to the last request, with what follows its head.
    fn reply(&mut self) -> Result<([u8; EVENT], Vec<u8>)> {
        loop {
            let head = self.next(Duration::from_secs(5))?;
            match head {
                [0, error, ..] => bail!("the X server refuses a request (error {error})"),
                [1, ..] => {
                    let mut body = vec![0; usize::try_from(u32::from_le_bytes(chunk(&head, 4)?))? * 4];
                    self.stream.read_exact(&mut body)?;
                    return Ok((head, body));
                }
                _ => self.early.push_back((clock::now()?, head)),
            }
        }
    }

    /// The next event, and when it came.
    fn event(&mut self, limit: Duration) -> Result<(Duration, [u8; EVENT])> {
        match self.early.pop_front() {
            Some(event) => Ok(event),
            None => self.next(limit).and_then(|event| Ok((clock::now()?, event))),
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

/// Connection set-up (X11 protocol, chapter 8), little-endian. Gives the first number that is ours to use, and the root
/// window of the first screen.
fn set_up(stream: &mut UnixStream, cookie: &[u8; COOKIE]) -> Result<(u32, u32)> {
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
    let root = u32::from_le_bytes(chunk(&body, 32 + vendor + 8 * usize::from(formats))?);
    Ok((u32::from_le_bytes(chunk(&body, 4)?), root))
}

fn chunk<const N: usize>(body: &[u8], at: usize) -> Result<[u8; N]> {
    body.get(at..).and_then(|b| b.first_chunk()).copied().context("the X server's answer is too short")
}
