//! `ldm probe`: asks servers how they are. A short-lived process under the worker's user, because it reads what the network
//! sends; it knows no secret. Each server is a line of JSON ([`Server`]) on standard output, and another when more is known.
//!
//! A server is up when something says an SSH identification (RFC 4253 section 4.2) at its port. How busy it is says the
//! ldminfod of LDM 2 (TCP 9571), where there is one: lines of text, of which `rating:` counts, 0 to 100, higher is better.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use ldm_protocol::client::{Load, Server};
use ldm_protocol::limits;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ssh::Target;

/// The subcommand.
pub const COMMAND: &str = "probe";
/// For finding a server, connecting to it and its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where ldminfod listens.
const LDMINFOD: u16 = 9571;
/// A server may say other lines before its identification.
const GREETING: usize = 8 * 1024;

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of servers that name none.
    #[arg(long, default_value_t = 22)]
    port: u16,

    /// As configured.
    #[arg(value_name = "HOST[:PORT]")]
    servers: Vec<String>,
}

/// Asks all of them at once. Logging is set up by the caller.
pub fn run(args: &Args) -> ExitCode {
    let _ = nix::sys::prctl::set_no_new_privs();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(ask_all(args));
            // A name service that does not answer holds a thread.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "servers cannot be asked");
            ExitCode::FAILURE
        }
    }
}

async fn ask_all(args: &Args) {
    let mut asked = JoinSet::new();
    for name in &args.servers {
        match Target::parse(name, args.port) {
            Ok(target) => {
                asked.spawn(ask(target, LDMINFOD));
            }
            Err(error) => tracing::debug!(%error, "not asked"),
        }
    }
    asked.join_all().await;
}

async fn ask(target: Target, ldminfod: u16) {
    let mut server = Server { name: target.name.clone(), ..Server::default() };
    let load = timeout(PATIENCE, load_at(&target.host, ldminfod));
    tokio::pin!(load);
    let up = timeout(PATIENCE, is_up(&target));
    tokio::pin!(up);
    tokio::select! {
        is_up = &mut up => {
            server.up = Some(is_up.unwrap_or(false));
            tell(&server);
            if server.up == Some(true) && let Ok(Some(load)) = load.await {
                server.load = Some(load);
                tell(&server);
            }
        }
        busy = &mut load => {
            server.up = Some(up.await.unwrap_or(false));
            // Of a server where nobody can log in it does not matter.
            server.load = busy.ok().flatten().filter(|_| server.up == Some(true));
            tell(&server);
        }
    }
}

fn tell(server: &Server) {
    let Ok(mut line) = serde_json::to_string(server) else { return };
    line.push('\n');
    // The daemon that asked may have gone.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

async fn is_up(target: &Target) -> bool {
    let Ok(stream) = TcpStream::connect((target.host.as_str(), target.port)).await else { return false };
    identifies(stream).await
}

async fn identifies(mut stream: impl AsyncRead + Unpin) -> bool {
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while said.len() < GREETING {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return false };
        said.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if said.split_inclusive(|b| *b == b'\n').any(|line| line.starts_with(b"SSH-") && line.ends_with(b"\n")) {
            return true;
        }
    }
    false
}

async fn load_at(host: &str, port: u16) -> Option<Load> {
    let stream = TcpStream::connect((host, port)).await.ok()?;
    let mut said = Vec::new();
    stream.take(limits::LDMINFOD as u64).read_to_end(&mut said).await.ok()?;
    load(&said)
}

/// What an ldminfod says of the load. Takes any bytes.
pub fn load(said: &[u8]) -> Option<Load> {
    let said = String::from_utf8_lossy(said);
    let rating: u8 = said.lines().find_map(|line| line.strip_prefix("rating:"))?.trim().parse().ok()?;
    match rating {
        0..=29 => Some(Load::High),
        30..=59 => Some(Load::Medium),
        60..=100 => Some(Load::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_becomes_a_word() {
        for (said, want) in [
            ("language:C\nsession:xterm\nrating:87\n", Some(Load::Low)),
            ("rating: 45", Some(Load::Medium)),
            ("rating:0\r\n", Some(Load::High)),
            ("rating:100\nrating:0\n", Some(Load::Low)),
            ("rating:101\n", None),
            ("rating:-1\n", None),
            ("rating:999999999999999999999\n", None),
            (" rating:50\n", None),
            ("rating:\u{1b}[1m50\n", None),
            ("ERROR\n", None),
            ("", None),
        ] {
            assert_eq!(load(said.as_bytes()), want, "{said:?}");
        }
        assert_eq!(load(b"\xff\xfe\nrating:70\n"), Some(Load::Low));
    }

    #[tokio::test]
    async fn an_identification_may_have_lines_before_it_and_must_end() {
        assert!(identifies(&b"Welcome\r\nSSH-2.0-OpenSSH_9.2\r\n"[..]).await);
        for not in [&b"SSH-2.0-cut off"[..], b"HTTP/1.0 400\r\n", b"", b"x SSH-2.0\n"] {
            assert!(!identifies(not).await);
        }
        assert!(!identifies(tokio::io::repeat(b'\n')).await, "who says nothing else for ever is no server");
    }
}
