//! As much of LightDM as its greeters need to show themselves: it greets them back and asks for a name.
//!
//! Messages are a number, a length and that many bytes; numbers are 32 bits, most significant byte first.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

/// Longer ones are none of a greeter's.
const LONGEST: u32 = 1024;

// From the greeter.
const CONNECT: u32 = 0;
const AUTHENTICATE: u32 = 1;

// To the greeter.
const PROMPT_AUTHENTICATION: u32 = 1;
const CONNECTED_V2: u32 = 7;

/// `PAM_PROMPT_ECHO_ON`
const ECHO_ON: u32 = 2;

/// What LightDM would say of itself.
const VERSION: &str = "1.32.0";

/// As on a thin client, which has no users to list.
const HINTS: [(&str, &str); 2] = [("hide-users", "true"), ("show-manual-login", "true")];

/// Serves every greeter that comes.
pub fn serve(listener: &UnixListener) {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || while matches!(answer(&mut stream), Ok(true)) {});
    }
}

/// Reads one message and answers it. `false` when it is none.
fn answer(stream: &mut UnixStream) -> io::Result<bool> {
    let (code, length) = (number(stream)?, number(stream)?);
    if length > LONGEST {
        return Ok(false);
    }
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut body)?;
    let mut out = Message::default();
    match code {
        CONNECT => {
            out.number(1).text(VERSION).length(HINTS.len());
            for (key, value) in HINTS {
                out.text(key).text(value);
            }
            out.send(stream, CONNECTED_V2)?;
        }
        AUTHENTICATE => {
            // The number of the attempt is the greeter's, and is said back.
            let Some(sequence) = body.first_chunk() else { return Ok(false) };
            out.number(u32::from_be_bytes(*sequence)).text("").number(1).number(ECHO_ON).text("login:");
            out.send(stream, PROMPT_AUTHENTICATION)?;
        }
        _ => {}
    }
    Ok(true)
}

fn number(stream: &mut UnixStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// All that is sent is short.
    fn length(&mut self, length: usize) -> &mut Self {
        self.number(u32::try_from(length).unwrap_or(u32::MAX))
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.length(text.len()).0.extend(text.as_bytes());
        self
    }

    /// One write: the greeter's library reads what is there, and waits for no rest.
    fn send(&self, stream: &mut UnixStream, code: u32) -> io::Result<()> {
        let mut message = Self::default();
        message.number(code).length(self.0.len()).0.extend(&self.0);
        stream.write_all(&message.0)
    }
}
