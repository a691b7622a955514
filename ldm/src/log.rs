//! The log of the daemon, of the session worker and of `ldm login`.
//!
//! Only `tracing` events of our own crates arrive here. There is deliberately no bridge from the `log` crate: at its most
//! verbose level russh writes packets there, and with them answers.

use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::{Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where journald listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// Facility `daemon` of syslog(3).
const FACILITY: u8 = 3 << 3;

/// Where to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The journal where there is one, unless standard error leads to somebody who wants to read it there: a terminal, a
    /// file or a pipe.
    Journal,
    /// `/dev/log` (`LDM_SYSLOG`), or what [`Target::Journal`] would give where nobody listens there.
    Syslog,
    /// Standard error, for a person.
    Stderr,
    /// Standard error, read by the daemon, which writes it to the log: each line begins with its level as `<N>`.
    Daemon,
}

/// Opens the log, once in a process. `level` is `LDM_LOGLEVEL`, 0 to 7 as in syslog(3).
pub fn init(target: Target, level: u8) {
    let filter = filter(level);
    let registry = tracing_subscriber::registry();
    // A second call finds the log open already, which is what it wanted.
    let _ = match open(target) {
        Sink::Journal(layer) => registry.with(layer.with_filter(filter)).try_init(),
        Sink::Stderr => {
            let layer = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(Unpanicking);
            registry.with(layer.with_filter(filter)).try_init()
        }
        Sink::Marked(sink) => {
            let layer = tracing_subscriber::fmt::layer()
                .with_target(false)
                .with_level(false)
                .without_time()
                .with_ansi(false)
                .with_writer(sink);
            registry.with(layer.with_filter(filter)).try_init()
        }
    };
}

fn filter(level: u8) -> LevelFilter {
    match level {
        0..=3 => LevelFilter::ERROR,
        4 => LevelFilter::WARN,
        5 | 6 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    }
}

enum Sink {
    Journal(tracing_journald::Layer),
    Stderr,
    Marked(Marked),
}

fn open(target: Target) -> Sink {
    match target {
        Target::Stderr => Sink::Stderr,
        Target::Daemon => Sink::Marked(Marked::Stderr),
        Target::Syslog => Marked::syslog(Path::new(SYSLOG)).map_or_else(|_| open(Target::Journal), Sink::Marked),
        Target::Journal if !Path::new(JOURNAL).exists() || is_read(std::env::var("JOURNAL_STREAM").ok().as_deref()) => {
            Sink::Stderr
        }
        Target::Journal => match tracing_journald::layer() {
            Ok(layer) => {
                Sink::Journal(layer.with_syslog_identifier("ldm".to_owned()).with_field_prefix(Some("LDM".to_owned())))
            }
            Err(_) => Sink::Stderr,
        },
    }
}

/// Whether somebody reads standard error. `stream` is `JOURNAL_STREAM`: device and inode of the journal's own (systemd.exec(5)).
fn is_read(stream: Option<&str>) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    let journal = format!("{}:{}", stderr.dev(), stderr.ino());
    let null = stderr.file_type().is_char_device() && !io::stderr().is_terminal();
    stream != Some(&journal) && !null
}

/// The level of an event in the numbers of syslog(3).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Standard error whose end is nobody's problem: a log that cannot be written must not end a seat.
#[derive(Debug, Clone, Copy)]
struct Unpanicking;

impl Write for Unpanicking {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Unpanicking {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Lines that carry their level as a mark.
#[derive(Debug)]
enum Marked {
    Stderr,
    Syslog(UnixDatagram, PathBuf),
}

impl Marked {
    fn syslog(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A line that syslog has no room for is lost; a seat that waits for it would be, too.
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        Ok(Self::Syslog(socket, path.to_owned()))
    }
}

struct Line<'a> {
    sink: &'a Marked,
    severity: u8,
}

impl Write for Line<'_> {
    /// `fmt` writes one event with one call.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let severity = self.severity;
        match self.sink {
            Marked::Stderr => {
                let mut line = format!("<{severity}>").into_bytes();
                line.extend_from_slice(buf);
                let _ = io::stderr().write_all(&line);
            }
            Marked::Syslog(socket, path) => {
                let mut line = format!("<{}>ldm[{}]: ", FACILITY | severity, std::process::id()).into_bytes();
                line.extend_from_slice(buf.trim_ascii_end());
                let sent = socket.send(&line);
                if sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
                    // It was started anew since.
                    let _ = socket.connect(path).and_then(|()| socket.send(&line));
                }
            }
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Marked {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sink: self, severity: 6 }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { sink: self, severity: severity(*meta.level()) }
    }
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_levels() {
        assert_eq!(
            [0, 3, 4, 6, 7].map(filter),
            [LevelFilter::ERROR, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::TRACE]
        );
    }

    #[test]
    fn a_journals_own_stream_is_not_somebody_who_reads() {
        use std::os::unix::fs::MetadataExt;
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(!is_read(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        assert_eq!(is_read(Some("0:0")), is_read(None));
    }

    #[test]
    fn syslog_lines_are_one_datagram_each() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_level(false)
            .without_time()
            .with_ansi(false)
            .with_writer(Marked::syslog(&path).unwrap());
        let subscriber = tracing_subscriber::registry().with(layer);
        let _guard = tracing::subscriber::set_default(subscriber);
        let line = |syslog: &UnixDatagram| {
            let mut buffer = [0; 200];
            syslog.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            let n = syslog.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        };
        tracing::warn!(part = "x11", "gone");
        assert_eq!(line(&first), format!("<28>ldm[{}]: gone part=\"x11\"", std::process::id()));
        // Syslog is started anew, and does not read for a while: the log goes on, and nobody waits.
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        for _ in 0..5000 {
            tracing::info!("again");
        }
        assert_eq!(line(&second), format!("<30>ldm[{}]: again", std::process::id()));
    }
}
