//! Asking in a terminal: echo on or off, and always back on.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use ldm_protocol::greetd::AuthMessageType;
use ldm_protocol::{Secret, limits};
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use zeroize::Zeroizing;

use crate::auth::{Cancelled, Conversation};

/// The user's terminal, or standard input and standard error where there is none.
pub(super) struct Terminal {
    tty: Option<File>,
}

impl Terminal {
    /// The controlling terminal, so that answers are typed even if standard input is something else.
    pub(super) fn open() -> Self {
        Self { tty: OpenOptions::new().read(true).write(true).open("/dev/tty").ok() }
    }

    /// Whether somebody is there to choose and to try again.
    pub(super) fn is_interactive(&self) -> bool {
        self.tty.is_some() && io::stdin().is_terminal()
    }

    /// Shows a text, and a line end.
    pub(super) fn tell(&self, text: &str) {
        self.show(&format!("{text}\n"));
    }

    fn show(&self, text: &str) {
        let _ = match self.tty.as_ref() {
            Some(tty) => (&*tty).write_all(text.as_bytes()),
            None => io::stderr().write_all(text.as_bytes()),
        };
    }

    /// Asks for a line that is no secret.
    pub(super) async fn ask(&self, prompt: &str) -> Result<String, Cancelled> {
        self.show(prompt);
        self.read_line().await.map(|answer| answer.expose().to_owned())
    }

    /// One line, in a thread, for a terminal cannot be waited for otherwise. The thread stays if this is dropped, and ends with
    /// the process.
    async fn read_line(&self) -> Result<Secret, Cancelled> {
        let tty = self.tty.as_ref().map(File::try_clone).transpose().map_err(|_| Cancelled)?;
        let read = tokio::task::spawn_blocking(move || match tty {
            Some(mut tty) => read_line(&mut tty),
            None => read_line(&mut io::stdin().lock()),
        });
        read.await.ok().and_then(Result::ok).flatten().ok_or(Cancelled)
    }
}

impl Conversation for Terminal {
    async fn message(&mut self, style: AuthMessageType, text: &str) -> Result<Option<Secret>, Cancelled> {
        match style {
            AuthMessageType::Info | AuthMessageType::Error => {
                self.tell(text);
                Ok(None)
            }
            AuthMessageType::Visible => {
                self.show(&spaced(text));
                self.read_line().await.map(Some)
            }
            AuthMessageType::Secret => {
                let silent = self.tty.as_ref().and_then(|tty| tty.try_clone().ok()).and_then(Silent::new);
                self.show(&spaced(text));
                let answer = self.read_line().await.map(Some);
                drop(silent);
                // The line end that was typed was not echoed.
                self.show("\n");
                answer
            }
        }
    }
}

/// A prompt with a blank behind it.
fn spaced(prompt: &str) -> String {
    if prompt.ends_with(char::is_whitespace) { prompt.to_owned() } else { format!("{prompt} ") }
}

/// For what goes wrong when there may be no terminal.
pub(super) fn complain(text: &str) {
    // Not `eprintln!`, which panics when standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Reads up to a line end, and no further. `None` at the end of input, or if it is longer than any answer.
fn read_line(from: &mut impl Read) -> io::Result<Option<Secret>> {
    // At its greatest size from the start, so that no copy is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(limits::ANSWER));
    let mut byte = Zeroizing::new([0_u8]);
    loop {
        match from.read(byte.as_mut_slice()) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte.as_slice() == b"\n" => break,
            Ok(_) if line.len() == limits::ANSWER => return Ok(None),
            Ok(_) => line.extend_from_slice(byte.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Secret::new(text).ok())
}

/// A terminal without echo; dropping it brings the echo back.
struct Silent {
    tty: File,
    before: Termios,
}

impl Silent {
    fn new(tty: File) -> Option<Self> {
        let before = termios::tcgetattr(tty.as_fd()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHOE | LocalFlags::ECHOK | LocalFlags::ECHONL);
        // What was typed ahead, with echo, is thrown away.
        termios::tcsetattr(tty.as_fd(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self { tty, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.tty.as_fd(), SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_as_it_is() {
        let mut input = "  blank \u{1f512}\t\nrest".as_bytes();
        assert_eq!(read_line(&mut input).unwrap().unwrap().expose(), "  blank \u{1f512}\t");
        assert_eq!(input, b"rest");
        assert_eq!(read_line(&mut input).unwrap().unwrap().expose(), "rest");
        assert!(read_line(&mut input).unwrap().is_none());
        assert_eq!(read_line(&mut b"\n".as_slice()).unwrap().unwrap().expose(), "");
        assert!(read_line(&mut vec![b'x'; limits::ANSWER + 1].as_slice()).unwrap().is_none());
        assert!(read_line(&mut b"\xff\n".as_slice()).is_err());
    }

    #[test]
    fn echo_comes_back() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let echo = || termios::tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ECHO);
        assert!(echo());
        let silent = Silent::new(File::from(pty.slave.try_clone().unwrap())).unwrap();
        assert!(!echo());
        drop(silent);
        assert!(echo());
    }
}
