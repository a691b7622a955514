//! `ldm-bench-mark SOCKET`: the session command of the measurements, run on the server as the user.
//!
//! Tells the moment at which it runs, then runs each line it is sent as a shell command and sends the output back as a JSON
//! string; the command finds the moment at which it was begun in `BEGAN`. Ends when the socket is closed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use anyhow::{Context, Result};
use ldm_benches::clock;

fn main() -> Result<()> {
    let now = clock::now()?;
    let socket = std::env::args_os().nth(1).context("no socket is named")?;
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{}", now.as_nanos())?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line?);
        let output = command.env("BEGAN", clock::now()?.as_nanos().to_string()).output()?;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        writeln!(stream, "{}", serde_json::to_string(&text)?)?;
    }
    Ok(())
}
