//! What must hold for any bytes that reach `ldm-protocol`.
//!
//! Shared by the fuzz targets and by `ldm-protocol/tests/fuzz_smoke.rs`, so that `make test` runs them for a moment too.

use ldm_protocol::frame::{self, Decoder, FrameError, PREFIX};
use ldm_protocol::greetd::{Request, Response};
use ldm_protocol::helper::{self, Info, InfoRequest, SessionEntry, SessionEvent, SessionRequest};
use ldm_protocol::{Failure, FailureKind, limits, text};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name of a target, which is also that of its seeds' folder, and its check.
pub type Check = (&'static str, fn(&[u8]));

/// Every check here.
pub const ALL: &[Check] = &[
    ("greetd_stream", greetd_stream),
    ("greetd_messages", greetd_messages),
    ("helper_info", helper_info),
    ("helper_session", helper_session),
    ("sanitise", sanitise),
];

/// The first byte is the size of one read, the rest a client's stream: it means the same however it arrives.
pub fn greetd_stream(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let mut whole = stream;
    let mut expected = Vec::new();
    let end = loop {
        match frame::read::<Request>(&mut whole) {
            Ok(Some(request)) => expected.push(wire(&request)),
            Ok(None) | Err(FrameError::Truncated) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let mut failed = None;
    'stream: for part in stream.chunks(usize::from(size).max(1)) {
        decoder.push(part);
        loop {
            match decoder.next_message::<Request>() {
                Ok(Some(request)) => got.push(wire(&request)),
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error.to_string());
                    break 'stream;
                }
            }
        }
    }
    assert_eq!((got, failed), (expected, end));
}

/// Any JSON that is taken for a message means the same after it was sent on.
pub fn greetd_messages(data: &[u8]) {
    survives::<Request>(data);
    survives::<Response>(data);
}

/// A server's `info` line, and what is left of it to be shown.
pub fn helper_info(data: &[u8]) {
    let _: Result<InfoRequest, _> = serde_json::from_slice(data);
    let Ok(info) = serde_json::from_slice::<Info>(data) else { return };
    let info = info.sanitised();
    assert!(info.sessions.len() <= limits::SESSIONS && info.languages.len() <= limits::LANGUAGES);
    shown(&info.hostname, limits::SESSION_NAME + '…'.len_utf8());
    for session in &info.sessions {
        assert!(SessionEntry::is_valid_id(&session.id));
        assert!(!session.name.is_empty());
        shown(&session.name, limits::SESSION_NAME);
        shown(session.comment.as_deref().unwrap_or_default(), limits::SESSION_COMMENT);
    }
    assert!(info.languages.iter().chain(&info.language).all(|l| helper::is_locale(l)));
    if let Some(id) = &info.remembered {
        assert!(info.sessions.iter().any(|s| &s.id == id));
    }
    let sessions = ldm_protocol::greetd::Sessions {
        sessions: info.sessions,
        preselected: info.remembered,
        languages: info.languages,
        ..Default::default()
    };
    assert!(frame::encode(&Response::LdmSessions(sessions)).is_ok(), "a greeter can always be told the list");
}

/// The lines of a `session` run, both ways.
pub fn helper_session(data: &[u8]) {
    for line in data.split(|&b| b == b'\n') {
        if let Ok(request) = serde_json::from_slice::<SessionRequest>(line) {
            assert_eq!(again(&request), request);
        }
        if let Ok(event) = serde_json::from_slice::<SessionEvent>(line) {
            assert_eq!(again(&event), event);
        }
    }
}

/// Text of unknown origin: bounded, and free of what moves the cursor or the reader.
pub fn sanitise(data: &[u8]) {
    let Some((&max, rest)) = data.split_first() else { return };
    let given = String::from_utf8_lossy(rest);
    let max = usize::from(max) * 4;
    shown(&text::sanitise_line(&given, max), max + '…'.len_utf8());
    let out = text::sanitise(&given, max);
    assert!(out.len() <= max + '…'.len_utf8(), "{} > {max}", out.len());
    for line in out.split('\n') {
        shown(line, usize::MAX);
    }
    assert_eq!(text::sanitise(&out, out.len()), out, "sanitised text stays as it is");
    let failure = Failure::new(FailureKind::SessionTooShort).server(&given).session(&given).detail(&given);
    assert_eq!(again(&failure), failure);
    assert!(!failure.to_string().contains(|c: char| c.is_control() && c != '\n'));
}

fn shown(line: &str, max: usize) {
    assert!(line.len() <= max, "{} > {max}", line.len());
    assert!(!line.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{line:?}");
}

fn survives<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(message) = frame::decode::<T>(data) else { return };
    // What came from one frame may be longer when written again ("\u0001" for a raw byte), never wrong.
    let Ok(bytes) = frame::encode(&message) else { return };
    assert!(bytes.len() <= PREFIX + limits::FRAME);
    let back = frame::decode::<T>(bytes.get(PREFIX..).unwrap_or_default()).expect("what we wrote can be read");
    assert_eq!(wire(&back), bytes.to_vec());
}

fn wire<T: Serialize>(message: &T) -> Vec<u8> {
    frame::encode(message).map(|bytes| bytes.to_vec()).unwrap_or_default()
}

fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(value).expect("plain data")).expect("what we wrote can be read")
}
