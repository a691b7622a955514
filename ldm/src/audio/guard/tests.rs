use super::*;

/// A frame with this channel, these flags and this content.
fn frame(channel: u32, flags: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [u32::try_from(content.len()).unwrap(), channel, 0, 0, flags] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(content);
    out
}

fn packet(command: u32, tag: u32, rest: &[u8]) -> Vec<u8> {
    let mut content = vec![b'L'];
    content.extend_from_slice(&command.to_be_bytes());
    content.push(b'L');
    content.extend_from_slice(&tag.to_be_bytes());
    content.extend_from_slice(rest);
    frame(CONTROL, 0, &content)
}

fn hello(version: u32, cookie: &[u8]) -> Vec<u8> {
    let mut rest = vec![b'L'];
    rest.extend_from_slice(&version.to_be_bytes());
    rest.push(b'x');
    rest.extend_from_slice(&u32::try_from(cookie.len()).unwrap().to_be_bytes());
    rest.extend_from_slice(cookie);
    packet(AUTH, 0, &rest)
}

fn denied(tag: u32) -> Vec<u8> {
    let mut rest = vec![b'L'];
    rest.extend_from_slice(&ACCESS_DENIED.to_be_bytes());
    packet(ERROR, tag, &rest)
}

type Said = (Vec<u8>, Vec<u8>, Vec<u32>);

/// What becomes of `input` when it comes in pieces of `step` bytes.
fn push(mut guard: Requests, input: &[u8], step: usize) -> Result<Said, Violation> {
    let (mut onward, mut back, mut refused): Said = Default::default();
    for piece in input.chunks(step) {
        guard.push(piece, &mut onward, &mut back, |command| refused.push(command))?;
        assert!(guard.held.len() <= DESCRIPTOR + PACKET);
    }
    Ok((onward, back, refused))
}

fn guard() -> Requests {
    Requests::new(true, None)
}

#[test]
fn what_is_allowed_passes_and_the_rest_is_answered_in_all_splits() {
    let sound: Vec<u8> = (0..=255).collect();
    let rest = [
        packet(3, 7, b"stream"),
        frame(0, 1, &sound),
        packet(51, 8, b"t module-native-protocol-tcp\0"),
        packet(20, 9, b""),
        packet(7, 10, b""),
        frame(5, 0, b"x"),
    ];
    let mut input = hello(0xe000_0023, &[7; 256]);
    let mut wanted = hello(35, &[0; 256]);
    for (number, part) in rest.iter().enumerate() {
        input.extend_from_slice(part);
        if ![2, 4].contains(&number) {
            wanted.extend_from_slice(part);
        }
    }
    let answers = [denied(8), denied(10)].concat();
    for step in 1..=input.len() {
        let (onward, back, refused) = push(guard(), &input, step).unwrap();
        assert!(onward == wanted && back == answers, "{step}");
        assert_eq!(refused, [51, 7]);
    }
}

#[test]
fn each_command_is_allowed_or_not() {
    let refused = |microphone| -> Vec<u32> {
        let mut input = hello(35, &[0; 256]);
        for command in (0..120).chain([u32::MAX]).filter(|command| *command != AUTH) {
            input.extend_from_slice(&packet(command, command, b""));
        }
        push(Requests::new(microphone, None), &input, usize::MAX).unwrap().2
    };
    let with = refused(true);
    // Replies, EXIT, KILL_*, modules and autoload; what only daemons say; EXTENSION; shared memory, messages, and the unknown.
    let never = [0..=2, 7..=7, 48..=56, 61..=66, 76..=79, 86..=87, 91..=95, 101..=119, u32::MAX..=u32::MAX];
    assert_eq!(with, never.into_iter().flatten().collect::<Vec<_>>());
    let without = refused(false);
    assert_eq!(without.iter().filter(|command| !with.contains(command)).copied().collect::<Vec<_>>(), [5]);
    assert_eq!(with.iter().filter(|command| !without.contains(command)).count(), 0);
}

#[test]
fn who_does_not_introduce_themselves_is_cut_off() {
    for first in [packet(20, 0, b""), packet(51, 0, b""), frame(0, 0, b"sound")] {
        assert_eq!(push(guard(), &first, 3).unwrap_err(), Violation::NoAuth);
    }
    for version in [8, 35, 0xffff_ffff] {
        let (onward, ..) = push(guard(), &hello(version, &[1; 256]), usize::MAX).unwrap();
        assert_eq!(onward, hello(version & 0xffff, &[0; 256]));
    }
    let mut odd = hello(35, &[0; 256]);
    odd[DESCRIPTOR + 10] = b'N';
    let mut long = hello(35, &[0; 256]);
    let at = long.len() - 256;
    long[at - 1] = 1;
    for bad in [hello(35, &[0; 255]), hello(35, &[0; 257]), packet(AUTH, 0, b""), odd, long] {
        assert_eq!(push(guard(), &bad, usize::MAX).unwrap_err(), Violation::Malformed);
    }
}

#[test]
fn a_cookie_is_asked_for_and_kept() {
    let cookie = SoundCookie::generate().unwrap();
    let hex = cookie.to_hex();
    let bytes: Vec<u8> = (0..256).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    let guard = || Requests::new(true, Some(cookie.clone()));
    let (onward, ..) = push(guard(), &hello(35, &bytes), 11).unwrap();
    assert_eq!(onward, hello(35, &[0; 256]));
    let mut wrong = bytes.clone();
    wrong[255] ^= 1;
    for bad in [wrong, vec![0; 256]] {
        assert_eq!(push(guard(), &hello(35, &bad), usize::MAX).unwrap_err(), Violation::WrongCookie);
    }
}

#[test]
fn what_is_no_frame_is_cut_off_before_it_is_kept() {
    let head = |length: u32, channel: u32, flags: u32| -> Vec<u8> {
        let mut out = hello(35, &[0; 256]);
        for word in [length, channel, 0, 0, flags] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out
    };
    let malformed = [
        head(0, CONTROL, 0),
        head(9, CONTROL, 0),
        head(65_537, CONTROL, 0),
        head(u32::MAX, CONTROL, 0),
        head(20, CONTROL, 1),
        head(0, 0, 0),
        head(16 * 1024 * 1024 + 1, 0, 0),
        head(u32::MAX, 0, 0),
    ];
    for bad in malformed {
        assert_eq!(push(guard(), &bad, usize::MAX).unwrap_err(), Violation::Malformed);
    }
    for flags in [0x8000_0000, 0x4000_0000, 0xc000_0000, 0xa000_0000, 0x0080_0000, 4] {
        assert_eq!(push(guard(), &head(0, 0, flags), usize::MAX).unwrap_err(), Violation::SharedMemory);
        assert_eq!(push(guard(), &head(20, CONTROL, flags), usize::MAX).unwrap_err(), Violation::SharedMemory);
    }
    assert!(push(guard(), &head(16 * 1024 * 1024, 0, 3), usize::MAX).is_ok());
    assert!(push(guard(), &head(65_536, CONTROL, 0), usize::MAX).is_ok());
    let mut odd = hello(35, &[0; 256]);
    odd.extend_from_slice(&frame(CONTROL, 0, &[b't'; 10]));
    assert_eq!(push(guard(), &odd, usize::MAX).unwrap_err(), Violation::Malformed);
}

#[test]
fn the_daemons_frames_are_told_apart_in_all_splits() {
    let frames = [packet(2, 1, b"reply"), frame(3, 0, &[9; 70]), frame(0, 0x4000_0000, b"")];
    let input = frames.concat();
    let ends: Vec<usize> = frames
        .iter()
        .scan(0, |at, frame| {
            *at += frame.len();
            Some(*at)
        })
        .collect();
    for step in 1..=input.len() {
        let (mut replies, mut at, mut seen) = (Replies::default(), 0, Vec::new());
        for piece in input.chunks(step) {
            let mut piece = piece;
            while !piece.is_empty() {
                let taken = replies.advance(piece).unwrap();
                at += taken;
                piece = &piece[taken..];
                if replies.between_frames() {
                    seen.push(at);
                }
            }
        }
        assert_eq!(seen, ends, "{step}");
    }
    assert_eq!(Replies::default().advance(&[0xff; 20]).unwrap_err(), Violation::Malformed);
}

#[test]
fn properties_that_load_modules_are_not_known_to_the_daemon() {
    let stream = b"Pt-media.name\0L\0\0\0\x02x\0\0\0\x02a\0tfilter.want\0tfilter.apply.ladspa-sink.parameters\0t\
        audioconvert.filter-graph\0N";
    let plain = b"Pt-media.name\0L\0\0\0\x02x\0\0\0\x02a\0t-ilter.want\0t-ilter.apply.ladspa-sink.parameters\0t\
        -udioconvert.filter-graph\0N";
    for command in [3, 5, 9, 80, 81, 82] {
        let sound = frame(0, 0, stream);
        let input = [hello(35, &[0; 256]), packet(command, 1, stream), sound.clone()].concat();
        let wanted = [hello(35, &[0; 256]), packet(command, 1, plain), sound].concat();
        for step in 1..=input.len() {
            assert!(push(guard(), &input, step).unwrap().0 == wanted, "{command} {step}");
        }
    }
}
