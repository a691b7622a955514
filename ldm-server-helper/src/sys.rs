//! What std and nix have no safe call for, random names, and hexadecimal.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};

/// Starts the command as leader of a session and process group of its own, with no signal blocked, and lets it get SIGTERM
/// when this process dies without having ended it (SIGKILL, out of memory), as long as it becomes no set-id program.
pub(crate) fn detach(command: &mut Command) {
    let hook = || {
        // std passes on the mask, with what this process takes through its descriptor.
        SigSet::empty().thread_set_mask()?;
        nix::unistd::setsid()?;
        prctl::set_pdeathsig(Signal::SIGTERM)?;
        Ok(())
    };
    // SAFETY: between fork and exec the hook makes three plain system calls. It allocates nothing, takes no lock and touches
    // no memory of the parent.
    unsafe { command.pre_exec(hook) };
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut hex, b| {
        use std::fmt::Write;
        let _ = write!(hex, "{b:02x}");
        hex
    }))
}

/// As many bytes as are expected, from hexadecimal; `None` for anything else.
pub(crate) fn from_hex(hex: &str, expected: usize) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digits: Vec<u8> = hex.chars().take(2 * expected + 1).map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    (pairs.len() == expected && rest.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
