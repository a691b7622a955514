//! PulseAudio's native protocol, as far as it must be understood to keep a session from what is not its business.
//!
//! Both directions are frames of a descriptor of five numbers (big endian) and as many bytes as the first one says:
//!
//! ```text
//! 0   length   of what follows, 1 to 16 MiB
//! 4   channel  0xffffffff: a control packet; else a stream, and what follows is sound
//! 8   offset   (8 bytes)
//! 16  flags    0 for control packets; for sound 0 to 3, how to seek. All others are about shared memory.
//! ```
//!
//! A control packet begins with `'L'` and its command, `'L'` and its tag, by which the answer names it. Commands and numbers
//! are those of pulseaudio's `native-common.h` at protocol 35, which pipewire-pulse shares. There is a list of what is
//! allowed, not of what is forbidden: newer daemons add commands.

use super::SoundCookie;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 20;
/// The channel of control packets.
const CONTROL: u32 = u32::MAX;
/// Largest frame that daemons take.
const FRAME: usize = 16 * 1024 * 1024;
/// Largest control packet that is passed on; the biggest real ones are lists of properties of a few KiB.
const PACKET: usize = 64 * 1024;
/// Command and tag.
const PREFIX: usize = 10;
/// A whole AUTH: command, tag, version, and the cookie with type and length.
const AUTH_LEN: usize = PREFIX + 5 + 5 + super::COOKIE_LEN;
/// The part of AUTH's version word that is the version; the rest offers shared memory.
const VERSION: u32 = 0xffff;
/// `PA_ERR_ACCESS`.
const ACCESS_DENIED: u32 = 1;

const ERROR: u32 = 0;
const CREATE_RECORD_STREAM: u32 = 5;
const AUTH: u32 = 8;
const STAT: u32 = 13;
/// Keys of properties, as strings begin with `'t'`, by which a stream has a daemon load a module (`filter.want`, PulseAudio's
/// module-filter-apply) or a plugin (`audioconvert.filter-graph`, PipeWire), with its parameters and the path of a library.
const LOADING: [&[u8]; 2] = [b"tfilter.", b"taudioconvert."];

/// The version that we speak ourselves.
const PROTOCOL: u32 = 35;

/// Why a client's stream is closed. Nothing of it is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A length, flag or type that no client sends.
    #[error("what it sent is not PulseAudio's native protocol")]
    Malformed,
    /// Shared memory, which cannot travel. The session's `client.conf` switches it off.
    #[error("it wanted to share memory")]
    SharedMemory,
    /// It did not begin with AUTH.
    #[error("it did not introduce itself first")]
    NoAuth,
    /// Somebody on the server tried the port without being told the cookie.
    #[error("it showed a wrong cookie")]
    WrongCookie,
}

/// Numbers of a descriptor that matter here.
struct Descriptor {
    length: usize,
    channel: u32,
    flags: u32,
}

impl Descriptor {
    fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let word = |at: usize| word(bytes, at).ok_or(Violation::Malformed);
        let length = usize::try_from(word(0)?).map_err(|_| Violation::Malformed)?;
        Ok(Self { length, channel: word(4)?, flags: word(16)? })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// The direction from the session's client to the daemon.
#[derive(Debug)]
pub struct Requests {
    microphone: bool,
    cookie: Option<SoundCookie>,
    known: bool,
    /// The frame that is being gathered: its descriptor, and all of it if it is a control packet.
    held: Vec<u8>,
    /// How long that is going to be.
    whole: usize,
    /// What is still to come of a frame of sound.
    passing: usize,
}

impl Requests {
    /// A client from which nothing has come yet.
    pub fn new(microphone: bool, cookie: Option<SoundCookie>) -> Self {
        Self { microphone, cookie, known: false, held: Vec::new(), whole: DESCRIPTOR, passing: 0 }
    }

    /// Takes what came next. Appends what the daemon may see to `onward`, and whole frames that answer what it may not see to
    /// `back`; the commands that were refused go to `refused`. After an error nothing more may be passed on.
    pub fn push(
        &mut self,
        mut input: &[u8],
        onward: &mut Vec<u8>,
        back: &mut Vec<u8>,
        mut refused: impl FnMut(u32),
    ) -> Result<(), Violation> {
        while !input.is_empty() {
            let wanted = if self.passing > 0 { self.passing } else { self.whole.saturating_sub(self.held.len()) };
            let (now, later) = input.split_at(wanted.min(input.len()));
            input = later;
            if self.passing > 0 {
                onward.extend_from_slice(now);
                self.passing -= now.len();
                continue;
            }
            self.held.extend_from_slice(now);
            if self.held.len() < self.whole {
                continue;
            }
            if self.whole == DESCRIPTOR {
                self.descriptor(onward)?;
            } else {
                self.packet(onward, back, &mut refused)?;
                self.held.clear();
                self.whole = DESCRIPTOR;
            }
        }
        Ok(())
    }

    fn descriptor(&mut self, onward: &mut Vec<u8>) -> Result<(), Violation> {
        let Descriptor { length, channel, flags } = Descriptor::parse(&self.held)?;
        match (channel, flags) {
            (CONTROL, 0) if (PREFIX..=PACKET).contains(&length) => self.whole = DESCRIPTOR + length,
            (_, 0..=3) if channel != CONTROL && (1..=FRAME).contains(&length) => {
                if !self.known {
                    return Err(Violation::NoAuth);
                }
                onward.append(&mut self.held);
                self.passing = length;
            }
            (_, 0..=3) => return Err(Violation::Malformed),
            _ => return Err(Violation::SharedMemory),
        }
        Ok(())
    }

    fn packet(
        &mut self,
        onward: &mut Vec<u8>,
        back: &mut Vec<u8>,
        refused: &mut impl FnMut(u32),
    ) -> Result<(), Violation> {
        let packet = self.held.get_mut(DESCRIPTOR..).ok_or(Violation::Malformed)?;
        let (Some(b'L'), Some(command), Some(b'L'), Some(tag)) =
            (packet.first(), word(packet, 1), packet.get(5), word(packet, 6))
        else {
            return Err(Violation::Malformed);
        };
        if command == AUTH {
            auth(packet, self.cookie.as_ref())?;
            self.known = true;
        } else if !self.known {
            return Err(Violation::NoAuth);
        }
        if is_allowed(command, self.microphone) {
            rename_loading(packet);
            onward.append(&mut self.held);
        } else {
            refused(command);
            deny(tag, back);
        }
        Ok(())
    }
}

/// Checks an AUTH, and takes out of it what does not concern the daemon: offers to share memory, and the cookie. The daemon
/// knows the worker by its uid.
fn auth(packet: &mut [u8], cookie: Option<&SoundCookie>) -> Result<(), Violation> {
    if packet.len() != AUTH_LEN {
        return Err(Violation::Malformed);
    }
    let (head, presented) = packet.split_at_mut(AUTH_LEN - super::COOKIE_LEN);
    let [.., b'L', v0, v1, v2, v3, b'x', l0, l1, l2, l3] = head else { return Err(Violation::Malformed) };
    if u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize != super::COOKIE_LEN {
        return Err(Violation::Malformed);
    }
    if cookie.is_some_and(|cookie| !cookie.matches(presented)) {
        return Err(Violation::WrongCookie);
    }
    [*v0, *v1, *v2, *v3] = (u32::from_be_bytes([*v0, *v1, *v2, *v3]) & VERSION).to_be_bytes();
    presented.fill(0);
    Ok(())
}

/// Gives [`LOADING`] properties a name that no daemon knows. The stream plays all the same: programs ask for an echo canceller,
/// and do not depend on it.
fn rename_loading(packet: &mut [u8]) {
    for key in LOADING {
        let places = packet.windows(key.len()).enumerate().filter(|(_, bytes)| *bytes == key);
        let places: Vec<usize> = places.map(|(at, _)| at + 1).collect();
        for at in places {
            if let Some(first) = packet.get_mut(at) {
                *first = b'-';
            }
        }
    }
}

/// Appends the answer to a refused command.
fn deny(tag: u32, back: &mut Vec<u8>) {
    write_packet(&[ERROR, tag, ACCESS_DENIED], &[], back);
}

/// Appends a control packet of these numbers, and of what is encoded already.
fn write_packet(numbers: &[u32], rest: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(numbers.len() * 5 + rest.len()).unwrap_or_default();
    for word in [length, CONTROL, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for number in numbers {
        out.push(b'L');
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(rest);
}

/// Packets of a client that introduces itself and then asks a small question (STAT) `count` times. Each is answered with one.
pub fn probe(cookie: Option<&SoundCookie>, count: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut arbitrary = vec![b'x'];
    arbitrary.extend_from_slice(&u32::try_from(super::COOKIE_LEN).unwrap_or_default().to_be_bytes());
    arbitrary.extend_from_slice(cookie.map_or([0; super::COOKIE_LEN].as_slice(), SoundCookie::expose));
    (0..=count).map(move |tag| {
        let mut packet = Vec::new();
        if tag == 0 {
            write_packet(&[AUTH, tag, PROTOCOL], &arbitrary, &mut packet);
        } else {
            write_packet(&[STAT, tag], &[], &mut packet);
        }
        packet
    })
}

/// Whether a session may give this command.
///
/// Not among them: loading and unloading modules (each can open a port or write a file), ending the daemon or what others play,
/// messages to modules and objects, and all that hands over memory.
fn is_allowed(command: u32, microphone: bool) -> bool {
    match command {
        CREATE_RECORD_STREAM => microphone,
        // Streams of the session's own, begun and ended; samples (event sounds).
        3 | 4 | 6 | 8..=19
        // What there is: server, sinks, sources, modules, clients, streams, samples; and being told of changes.
        | 20..=35
        // Volume and mute of sinks, streams and sources.
        | 36..=40
        // Cork, flush, trigger; default sink and source; names.
        | 41..=47
        // The recording ones of these, and prebuf.
        | 57..=60
        // Move, mute and suspend; buffers and rates of own streams.
        | 67..=75
        // Properties of own streams and of the client.
        | 80..=85
        // Cards, profiles, ports, and the volume of recordings.
        | 88..=90 | 96..=100 => true,
        _ => false,
    }
}

/// The name of a command that is refused, for the log.
pub fn name(command: u32) -> &'static str {
    match command {
        CREATE_RECORD_STREAM => "CREATE_RECORD_STREAM",
        7 => "EXIT",
        48 => "KILL_CLIENT",
        49 => "KILL_SINK_INPUT",
        50 => "KILL_SOURCE_OUTPUT",
        51 => "LOAD_MODULE",
        52 => "UNLOAD_MODULE",
        87 => "EXTENSION",
        103 => "REGISTER_MEMFD_SHMID",
        104 => "SEND_OBJECT_MESSAGE",
        _ => "a command that is not for sessions",
    }
}

/// The direction from the daemon to the session's client: where one frame ends and the next begins.
#[derive(Debug, Default)]
pub struct Replies {
    head: Vec<u8>,
    passing: usize,
}

impl Replies {
    /// Whether an answer of ours may be put here.
    pub fn between_frames(&self) -> bool {
        self.head.is_empty() && self.passing == 0
    }

    /// Takes what came next, up to the end of a frame if one ends in it; how many bytes that is.
    pub fn advance(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let mut taken = 0;
        while let Some(rest @ [_, ..]) = input.get(taken..) {
            if self.passing > 0 {
                let now = self.passing.min(rest.len());
                self.passing -= now;
                taken += now;
            } else {
                let now = (DESCRIPTOR - self.head.len()).min(rest.len());
                self.head.extend_from_slice(rest.get(..now).unwrap_or_default());
                taken += now;
                if self.head.len() == DESCRIPTOR {
                    self.passing = Descriptor::parse(&self.head)?.length;
                    self.head.clear();
                    if self.passing > FRAME {
                        return Err(Violation::Malformed);
                    }
                }
            }
            if self.between_frames() {
                break;
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
