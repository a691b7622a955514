//! SVG, drawn by a process that ends.
//!
//! A small file can have librsvg draw for hours or need all memory (filters, strokes that cross each other, layers in layers),
//! and nothing stops it once it has begun. So the greeter starts itself once more for each drawing, with limits of time and
//! memory; what does not come back in time is a broken picture.

use std::cell::Cell;
use std::fmt;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use gtk4::gdk_pixbuf::{PixbufLoader, prelude::*};
use gtk4::glib::object::Cast;
use gtk4::{gdk, glib};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use super::picture::{self, PictureError};

/// A drawing may take so long.
pub(crate) const TIME: Duration = Duration::from_secs(5);

/// Memory that drawing takes besides the pixels.
const BESIDE: u64 = 128 * 1024 * 1024;

/// Pictures of the size of the drawing that may be in memory at once: its layers.
const LAYERS: u64 = 8;

/// What a picture is for, as the process that draws is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// All of so many pixels, some of it outside.
    Cover(i32, i32),
    /// At most so many, high and wide.
    Within(i32),
}

impl Place {
    /// By how much a picture of this size would be scaled.
    pub(super) fn scale(self, width: i32, height: i32) -> f64 {
        let (own_width, own_height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        match self {
            Self::Cover(width, height) => (f64::from(width) / own_width).max(f64::from(height) / own_height),
            Self::Within(edge) => (f64::from(edge) / own_width).min(f64::from(edge) / own_height),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cover(width, height) => write!(to, "{width}x{height}"),
            Self::Within(edge) => write!(to, "{edge}"),
        }
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('x') {
            Some((width, height)) => Ok(Self::Cover(width.parse()?, height.parse()?)),
            None => Ok(Self::Within(text.parse()?)),
        }
    }
}

thread_local! {
    static SLOW: Cell<bool> = const { Cell::new(false) };
}

/// Another theme: what was slow in the last one is forgotten.
pub(super) fn begin() {
    SLOW.set(false);
}

/// Has it drawn.
pub(super) fn draw(bytes: &[u8], place: Place) -> Result<gdk::Texture, PictureError> {
    if !picture::reads_drawings() {
        return Err(PictureError::NoDrawings);
    }
    // Nobody waits for one after the other.
    if SLOW.get() {
        return Err(PictureError::Slow);
    }
    let drawn = ask(bytes, place);
    SLOW.set(drawn == Err(PictureError::Slow));
    let drawn = drawn?;
    let broken = || PictureError::Broken("what was drawn is not all there".to_owned());
    let ([width, height, pixels @ ..], _) = drawn.as_chunks::<4>() else { return Err(broken()) };
    let side = |bytes| i32::try_from(u32::from_le_bytes(bytes)).ok().filter(|side| *side > 0);
    let (width, height) = side(*width).zip(side(*height)).ok_or_else(broken)?;
    let stride = usize::try_from(width).unwrap_or_default() * 4;
    if pixels.len() * 4 != stride * usize::try_from(height).unwrap_or_default() {
        return Err(broken());
    }
    let pixels = glib::Bytes::from(pixels.as_flattened());
    let format = gdk::MemoryFormat::R8g8b8a8;
    Ok(gdk::MemoryTexture::new(width, height, format, &pixels, stride).upcast())
}

/// What the process that draws has to say: two lengths and the pixels.
fn ask(bytes: &[u8], place: Place) -> Result<Vec<u8>, PictureError> {
    let broken = |error: std::io::Error| PictureError::Broken(format!("it cannot be drawn: {error}"));
    let until = Instant::now() + TIME;
    let mut child = std::env::current_exe()
        .and_then(|program| {
            let mut command = Command::new(program);
            // What librsvg says besides is of no use to anybody.
            command.arg("--draw").arg(place.to_string()).stderr(Stdio::null());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        })
        .map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read on has something to say.
        let _ = stdin.write_all(bytes);
    }
    let answer = answer(&mut child, until);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(broken)?;
    let mut answer = answer?;
    match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
        (Some(0), _) => Ok(answer),
        (_, Some(signal)) if signal == Signal::SIGXCPU as i32 => Err(PictureError::Slow),
        (Some(1), _) if !answer.is_empty() => {
            answer.truncate(200);
            Err(PictureError::Broken(String::from_utf8_lossy(&answer).into_owned()))
        }
        _ => Err(PictureError::Broken("drawing it fails, or needs too much memory".to_owned())),
    }
}

/// What it writes until it ends.
fn answer(child: &mut Child, until: Instant) -> Result<Vec<u8>, PictureError> {
    let mut answer = Vec::new();
    let Some(mut stdout) = child.stdout.take() else { return Ok(answer) };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let ready = poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], timeout);
        if matches!(ready, Ok(0)) {
            return Err(PictureError::Slow);
        }
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(answer),
            Ok(read) => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PictureError::Broken(error.to_string())),
        }
        if u64::try_from(answer.len()).unwrap_or(u64::MAX) > picture::PIXELS * 4 + 8 {
            return Err(PictureError::Broken("more was drawn than a picture has".to_owned()));
        }
    }
}

/// `--draw`: draws what comes in, and ends.
pub(crate) fn serve(place: Place) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let said = match limit(TIME, BESIDE).map_err(|error| error.to_string()).and_then(|()| drawn(place)) {
        Ok(pixels) => out.write_all(&pixels).map(|()| ExitCode::SUCCESS),
        Err(what) => out.write_all(what.as_bytes()).map(|()| ExitCode::FAILURE),
    };
    said.and_then(|code| out.flush().map(|()| code)).unwrap_or(ExitCode::FAILURE)
}

fn limit(time: Duration, memory: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CPU, time.as_secs(), time.as_secs() + 1)?;
    setrlimit(Resource::RLIMIT_DATA, memory, BESIDE + LAYERS * 4 * picture::PIXELS)
}

fn drawn(place: Place) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(picture::BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let told = |error: glib::Error| error.message().to_owned();
    // From memory and so without a base: a drawing has nothing to name other files by.
    let loader = PixbufLoader::with_type("svg").map_err(told)?;
    let limited = Rc::new(Cell::new(Ok(())));
    let result = Rc::clone(&limited);
    loader.connect_size_prepared(move |loader, width, height| {
        let by = place.scale(width, height);
        let (width, height) = (picture::scaled(width.max(1), by), picture::scaled(height.max(1), by));
        let pixels = u64::from(width.unsigned_abs()) * u64::from(height.unsigned_abs());
        if pixels <= picture::PIXELS {
            loader.set_size(width, height);
            result.set(limit(TIME, BESIDE + LAYERS * 4 * pixels));
        } else {
            loader.set_size(1, 1);
        }
    });
    let wrote = loader.write(&bytes);
    let closed = loader.close();
    wrote.and(closed).map_err(told)?;
    limited.get().map_err(|error| error.to_string())?;
    let pixbuf = loader.pixbuf().ok_or("the drawing is empty")?;
    let pixbuf =
        if pixbuf.has_alpha() { pixbuf } else { pixbuf.add_alpha(false, 0, 0, 0).map_err(|e| e.to_string())? };
    let (width, height) = (pixbuf.width().unsigned_abs(), pixbuf.height().unsigned_abs());
    let mut answer: Vec<u8> = [width, height].iter().flat_map(|side| side.to_le_bytes()).collect();
    let pixels = pixbuf.read_pixel_bytes();
    let row = usize::try_from(width).unwrap_or_default() * 4;
    for line in pixels.chunks(usize::try_from(pixbuf.rowstride()).unwrap_or(row).max(1)) {
        answer.extend_from_slice(line.get(..row).unwrap_or_default());
    }
    Ok(answer)
}
