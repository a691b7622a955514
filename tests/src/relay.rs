//! [`Relay`]: a network between client and server that can be slow, be cut, or fall silent.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Bytes under way in one direction of one connection.
const WINDOW: usize = 4 << 20;

#[derive(Default)]
struct State {
    latency_us: AtomicU64,
    silent: AtomicBool,
    ended: AtomicBool,
    bytes: AtomicU64,
    connections: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A TCP relay on 127.0.0.1. It ends, and cuts what it carries, when it is dropped.
pub struct Relay {
    port: u16,
    state: Arc<State>,
}

impl Relay {
    /// Relays to a port of 127.0.0.1.
    pub fn new(to: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::Builder::new().name("relay".into()).spawn(move || accept(&listener, to, &shared))?;
        Ok(Self { port, state })
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays every byte this long, each way.
    pub fn set_latency(&self, latency: Duration) {
        self.state.latency_us.store(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// From now on nothing passes, and nobody is told: a pulled cable.
    pub fn fall_silent(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    /// Lets everything pass again.
    pub fn recover(&self) {
        self.state.silent.store(false, Ordering::Relaxed);
    }

    /// Closes every connection at once, with a reset.
    pub fn cut(&self) {
        for stream in self.state.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Unread bytes at the close make it a reset; the shutdown wakes whoever waits.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Bytes carried so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: &TcpListener, to: u16, state: &Arc<State>) {
    for client in listener.incoming().flatten() {
        if state.ended.load(Ordering::Relaxed) {
            return;
        }
        state.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let ends = [(client.try_clone(), server.try_clone()), (server.try_clone(), client.try_clone())];
        state.open.lock().unwrap_or_else(PoisonError::into_inner).extend([client, server]);
        for (from, to) in ends {
            let (Ok(from), Ok(to)) = (from, to) else { continue };
            let state = Arc::clone(state);
            let _ = thread::Builder::new().name("relay".into()).spawn(move || pump(from, to, &state));
        }
    }
}

/// Carries one direction. Reading goes on while bytes wait for their time, so that latency does not limit the rate.
fn pump(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut held = 0;
    let mut ended = false;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if state.silent.load(Ordering::Relaxed) {
            if state.ended.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let now = Instant::now();
        while waiting.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, bytes)) = waiting.pop_front() else { break };
            held -= bytes.len();
            if to.write_all(&bytes).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
            state.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        if ended && waiting.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        let pause = waiting.front().map_or(Duration::from_millis(20), |(due, _)| due.saturating_duration_since(now));
        if ended || held >= WINDOW {
            thread::sleep(pause.min(Duration::from_millis(20)));
            continue;
        }
        let _ = from.set_read_timeout(Some(pause.clamp(Duration::from_micros(200), Duration::from_millis(20))));
        match from.read(&mut buffer) {
            Ok(0) => ended = true,
            Ok(n) => {
                let latency = Duration::from_micros(state.latency_us.load(Ordering::Relaxed));
                held += n;
                waiting.push_back((Instant::now() + latency, buffer.iter().take(n).copied().collect()));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => ended = true,
        }
    }
}
