//! From a list of targets to a connection whose host key is good. Nothing secret is known here yet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ldm_protocol::{limits, text};
use russh::client;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::handler::{Handler, HandlerError, Shared};
use super::host_key::HostKeys;
use super::link::{Greeting, Link, Monitor};
use super::{Connection, HostKeyPolicy, Reason, SshError, Target, algorithms};

/// For finding the address and connecting to it.
const CONNECT: Duration = Duration::from_secs(10);

/// For greeting and key exchange.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often a server is tried that drops the connection before its greeting (sshd's `MaxStartups` does that at random
/// while many clients log in at once).
const ATTEMPTS: u32 = 4;

/// Before the second attempt; doubled each time, plus as much again at random, so that clients that were switched on
/// together do not come back together.
const BACKOFF: Duration = Duration::from_millis(250);

/// Connects to the first of `targets` that answers, and checks its host key.
///
/// # Errors
/// The most telling error of all targets.
pub async fn connect(targets: &[Target], policy: &HostKeyPolicy) -> Result<Connection, SshError> {
    let mut worst: Option<SshError> = None;
    for target in targets {
        match connect_one(target, policy).await {
            Ok(connection) => return Ok(connection),
            Err(reason) => {
                tracing::info!("{}: {reason}", target.name);
                if worst.as_ref().is_none_or(|known| telling(&reason) >= telling(&known.reason)) {
                    worst = Some(SshError::new(&target.name, reason));
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| SshError::new("", Reason::BadTarget("no server is configured".to_owned()))))
}

/// How much an error tells about the way to a login: the further it got the more, and a wrong key the most.
fn telling(reason: &Reason) -> u8 {
    match reason {
        Reason::HostKeyChanged(_) | Reason::HostKeyRevoked(_) => 6,
        Reason::HostKeyUnknown(_) => 5,
        Reason::Incompatible(_) | Reason::Lost(_) => 4,
        Reason::Silent => 3,
        Reason::Refused(_) => 2,
        Reason::Unreachable(_) => 1,
        _ => 0,
    }
}

async fn connect_one(target: &Target, policy: &HostKeyPolicy) -> Result<Connection, Reason> {
    let keys = HostKeys::load(target, policy);
    let mut attempt = 1;
    loop {
        let stream = open(target).await?;
        match handshake(target, stream, &keys).await {
            Err(Failed::Dropped(why)) if attempt < ATTEMPTS => {
                let base = BACKOFF * 2u32.pow(attempt - 1);
                let wait = base + base.mul_f64(random_fraction());
                tracing::info!("{}: dropped before the greeting ({why}), again in {wait:?}", target.name);
                tokio::time::sleep(wait).await;
                attempt += 1;
            }
            Err(Failed::Dropped(why)) => return Err(Reason::Refused(why)),
            Err(Failed::Other(reason)) => return Err(reason),
            Ok(connection) => return Ok(connection),
        }
    }
}

fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

/// Finds the address and connects to it; all addresses share the time.
async fn open(target: &Target) -> Result<TcpStream, Reason> {
    let deadline = Instant::now() + CONNECT;
    let addresses = match timeout_at(deadline, tokio::net::lookup_host((target.host.as_str(), target.port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => return Err(Reason::Unresolvable(error.to_string())),
        Err(_) => return Err(Reason::Unresolvable("no answer from the name service".to_owned())),
    };
    let mut last = Reason::Unresolvable("the name has no address".to_owned());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
        left -= 1;
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Reason::Refused(error.to_string()),
            Ok(Err(error)) => Reason::Unreachable(error.to_string()),
            Err(_) => Reason::Unreachable("no answer in time".to_owned()),
        };
    }
    Err(last)
}

enum Failed {
    /// Before any greeting: worth another try.
    Dropped(String),
    Other(Reason),
}

async fn handshake(target: &Target, stream: TcpStream, keys: &HostKeys) -> Result<Connection, Failed> {
    let other = |error: io::Error| Failed::Other(Reason::Unreachable(error.to_string()));
    let (link, monitor, greeting) = Link::new(stream).map_err(other)?;
    let shared = Shared::new();
    let (handler, banners) = Handler::new(Arc::clone(&shared), keys.clone());
    let config = algorithms::config(keys.algorithms(), keys.certificate_algorithms());
    match timeout(HANDSHAKE, client::connect_stream(config, link, handler)).await {
        Ok(Ok(handle)) => {
            tracing::debug!("{}: connected, host key is good", target.name);
            Ok(Connection::new(target, handle, shared, monitor, banners))
        }
        Ok(Err(error)) => Err(refusal(&error, &shared, &greeting)),
        Err(_) => {
            // russh's task may still wait for the server.
            Monitor::sever(&monitor);
            Err(Failed::Other(Reason::Silent))
        }
    }
}

/// What a failed handshake means.
fn refusal(error: &HandlerError, shared: &Shared, greeting: &Greeting) -> Failed {
    // russh may report how the connection then ended instead of why.
    if let Some(reason) = shared.refused() {
        return Failed::Other(reason);
    }
    let said = greeting.text();
    let first_line = text::sanitise_line(said.lines().next().unwrap_or_default(), limits::LOG_TAIL_LINE);
    let is_ssh = said.lines().any(|line| line.starts_with("SSH-2.0-") || line.starts_with("SSH-1.99-"));
    let HandlerError::Protocol(error) = error else { return Failed::Other(Reason::Incompatible(error.to_string())) };
    let ended = matches!(error, russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_));
    match (ended, is_ssh) {
        (true, false) if said.is_empty() => Failed::Dropped("closed without a greeting".to_owned()),
        (true, false) if said.starts_with("Exceeded MaxStartups") => Failed::Dropped(first_line),
        // sshd ≥ 9.8, `PerSourcePenalties`: coming back at once makes it worse.
        (true, false) if said.starts_with("Not allowed at this time") => Failed::Other(Reason::Refused(first_line)),
        (_, false) => Failed::Other(Reason::Incompatible(format!("not SSH, it says: {first_line}"))),
        (true, true) => Failed::Other(Reason::Lost("during the key exchange".to_owned())),
        (false, true) => Failed::Other(Reason::Incompatible(text::sanitise_line(&error.to_string(), limits::PROMPT))),
    }
}
