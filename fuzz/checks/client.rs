//! What must hold for any bytes that reach the client's `ldm`.
//!
//! Shared by the fuzz targets and by `ldm/tests/fuzz_smoke.rs`.

// Compiled in by its path: it is private to the SSH module, and parses files that may be anybody's slip of the pen.
#[allow(dead_code)]
#[path = "../../ldm/src/ssh/known_hosts.rs"]
mod known_hosts_file;

use std::path::Path;

use known_hosts_file::{HostName, KnownHosts, Marker};
use ldm::audio::guard::{Replies, Requests};
use ldm::config::{self, ConfigError};
use ldm::localapps::{Asker, queue};
use ldm::x11::{DisplayName, Forward, ForwardError};
use ldm::xauth::{self, Cookie};
use ldm_protocol::apps::{self, Program, Request};
use ldm_protocol::limits;

/// The name of a target, which is also that of its seeds' folder, and its check.
pub type Check = (&'static str, fn(&[u8]));

/// Every check here.
pub const ALL: &[Check] = &[
    ("lts_conf", lts_conf),
    ("known_hosts", known_hosts),
    ("xauthority", xauthority),
    ("x11_setup", x11_setup),
    ("sound_guard", sound_guard),
    ("app_requests", app_requests),
    ("ldminfod", ldminfod),
];

/// A configuration is taken whole, or every complaint says where.
pub fn lts_conf(data: &[u8]) {
    match config::parse(Path::new("lts.conf"), data) {
        Ok(loaded) => {
            assert!(!loaded.config.servers.is_empty());
            for note in loaded.warnings.iter().chain(&loaded.notes) {
                placed(note);
            }
        }
        Err(ConfigError::Wrong(errors)) => {
            assert!(!errors.is_empty());
            for error in &errors {
                placed(error);
            }
        }
        Err(ConfigError::TooLarge(_)) => assert!(data.len() > config::ini::FILE),
        Err(error) => panic!("{error}"),
    }
}

/// What an old server says of its load is one of three words, or none.
pub fn ldminfod(data: &[u8]) {
    if ldm::probe::load(data).is_some() {
        assert!(data.windows(7).any(|window| window == b"rating:"));
    }
}

fn placed(text: &str) {
    let line =
        text.strip_prefix("lts.conf:").and_then(|rest| rest.split_once(':')).map(|(line, _)| line.parse::<usize>());
    assert!(matches!(line, Some(Ok(1..))), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Whatever stands in the file, a line of it is for a host or it is not, and says a key that is as it was written.
pub fn known_hosts(data: &[u8]) {
    let mut all = KnownHosts::default();
    all.add(&String::from_utf8_lossy(data), Path::new("known_hosts"));
    for (host, port) in [("server", 22), ("server", 2222), ("::1", 22), ("a.example.org", 22)] {
        let host = HostName::new(host, port);
        for marker in [Marker::Key, Marker::Authority, Marker::Revoked] {
            let any = all.any(&host, marker).count();
            assert!(all.exactly(&host, marker).inspect(|entry| assert!(!entry.blob.is_empty())).count() <= any);
        }
    }
}

/// The entries of an authority file are parts of it, and a cookie is 16 bytes or none.
pub fn xauthority(data: &[u8]) {
    let entries = xauth::parse(data);
    let sizes = entries.iter().map(|e| 10 + e.address.len() + e.number.len() + e.name.len() + e.data.len());
    assert!(sizes.sum::<usize>() <= data.len());
    let _: Option<Cookie> = xauth::find(entries, None, 7);
    let _: Option<Cookie> = xauth::find(xauth::parse(data), Some(&[127, 0, 0, 1]), 10);
}

/// The cookie that the server was given.
const FAKE: [u8; 16] = *b"the fake cookie!";

/// Only a first packet that shows the cookie gets as far as the display, which does not exist here.
pub fn x11_setup(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    let fake = Cookie::from_slice(&FAKE).expect("16 bytes");
    let forward = Forward { display: DisplayName::local(59_535), real: None, fake };
    let channel = tokio::io::join(data, tokio::io::sink());
    match RUNTIME.with(|runtime| runtime.block_on(forward.serve(channel))) {
        Err(ForwardError::Connect { .. }) => {
            assert!(matches!(data.first(), Some(b'B' | b'l')));
            assert_eq!(data.get(12..30), Some(xauth::PROTOCOL.as_bytes()));
            assert_eq!(data.get(32..48), Some(FAKE.as_slice()));
        }
        Err(ForwardError::Setup(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Whatever a sound client sends, whole or in pieces, the daemon sees the same frames, none of which is a command that is not
/// for sessions, offers shared memory, or records without a microphone.
pub fn sound_guard(data: &[u8]) {
    let feed = |step: usize| {
        let mut guard = Requests::new(false, None);
        let (mut onward, mut back) = (Vec::new(), Vec::new());
        let mut result = Ok(());
        for piece in data.chunks(step) {
            result = guard.push(piece, &mut onward, &mut back, |_| {});
            if result.is_err() {
                break;
            }
        }
        (onward, back, result)
    };
    let (onward, back, result) = feed(usize::MAX);
    let pieces = feed(7);
    assert!(pieces.2 == result);
    if result.is_ok() {
        assert!(pieces.0 == onward && pieces.1 == back);
    }
    assert!(onward.len() <= data.len());
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut rest = onward.as_slice();
    let mut first = true;
    while rest.len() >= 20 {
        let (length, channel, flags) = (word(rest, 0) as usize, word(rest, 4), word(rest, 16));
        assert!(flags <= 3 && (1..=16 << 20).contains(&length));
        if channel == u32::MAX {
            let command = word(rest, 21);
            assert!(![0, 1, 2, 5, 7, 48, 49, 50, 51, 52, 87, 101, 102, 103, 104].contains(&command), "{command}");
            assert!(!first || command == 8);
            let packet = rest.get(20..20 + length).unwrap_or_default();
            assert!(!packet.windows(8).any(|bytes| bytes == b"tfilter."));
            if command == 8 {
                assert_eq!(word(rest, 31) >> 16, 0);
            }
            first = false;
        } else {
            assert!(!first);
        }
        rest = rest.get(20 + length..).unwrap_or_default();
    }
    // Answers are whole frames, as a daemon's are.
    let (mut replies, mut at) = (Replies::default(), 0);
    while at < back.len() {
        at += replies.advance(&back[at..]).unwrap();
        assert!(replies.between_frames());
    }
    let _ = Replies::default().advance(data);
}

/// What stands in a root-window property: each request that is obeyed is within its limits, and means the same written again.
pub fn app_requests(data: &[u8]) {
    for request in queue::requests(data) {
        match request {
            Ok((asker, program)) => {
                app_program(&program);
                app_asker(&asker);
                let Asker { id, window, wait } = asker.clone();
                let line =
                    serde_json::to_vec(&Request { id, program: program.clone(), wait, window }).expect("plain data");
                // Bytes become longer in base64; then it is refused, never changed.
                match queue::requests(&line).next().expect("one line") {
                    Ok(again) => assert_eq!(again, (asker, program)),
                    Err(bad) => assert!(line.len() > limits::APP_REQUEST, "{bad:?}"),
                }
            }
            Err(bad) => bad.asker.iter().for_each(app_asker),
        }
    }
    queue::askers(data).for_each(|asker| app_asker(&asker));
    if let Ok(Some(program)) = queue::old(data) {
        app_program(&program);
    }
    let _: bool = queue::old_flag(data);
}

fn app_asker(asker: &Asker) {
    assert!(asker.id.len() <= limits::APP_ID && !asker.id.contains(char::is_control), "{asker:?}");
}

fn app_program(program: &Program) {
    assert!(program.argv.first().is_some_and(|word| !word.0.is_empty()) && program.argv.len() <= limits::APP_WORDS);
    assert!(program.argv.iter().map(|word| word.0.len()).sum::<usize>() <= limits::APP_BYTES);
    assert!(program.argv.iter().chain(&program.cwd).all(|word| !word.0.contains(&0)));
    assert!(program.env.len() <= limits::APP_VARIABLES && program.env.keys().all(|name| apps::is_variable(name)));
}
