//! Locales installed on this server, and its own.
//!
//! The list comes from `locale -a`, not from `/usr/lib/locale`: the archive there is private to one libc, some distributions
//! keep locales elsewhere, and the program takes a millisecond beside the reading of the sessions.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ldm_protocol::helper::is_locale;
use ldm_protocol::limits;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::regular_file;

/// Debian's full set has 900 lines in 12 KiB.
const MAX_OUTPUT: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);
/// Debian's file, then systemd's.
const OWN: [&str; 2] = ["/etc/default/locale", "/etc/locale.conf"];

/// `locale -a` at work. [`Listing::finish`] waits for it.
pub struct Listing(Option<Child>);

impl Listing {
    /// Starts it. A server without the program has no locales to offer.
    pub fn start() -> Self {
        let mut command = Command::new("locale");
        command.arg("-a").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().ok())
    }

    /// Its UTF-8 locales in canonical spelling, sorted; at most [`limits::LANGUAGES`].
    pub fn finish(mut self) -> Vec<String> {
        let Some(mut child) = self.0.take() else { return Vec::new() };
        let output = read_all(&mut child);
        // It has closed its output or has had its time.
        let _ = child.kill();
        let _ = child.wait();
        parse(&String::from_utf8_lossy(&output))
    }
}

fn read_all(child: &mut Child) -> Vec<u8> {
    let mut output = Vec::new();
    let Some(mut stdout) = child.stdout.take() else { return output };
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 16 * 1024];
    while output.len() < MAX_OUTPUT {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(1..) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) | Err(_) => break,
        }
        match stdout.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => output.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
    output
}

fn parse(output: &str) -> Vec<String> {
    let mut languages: Vec<String> = output.lines().filter_map(canonical).collect();
    languages.sort_unstable();
    languages.dedup();
    languages.truncate(limits::LANGUAGES);
    languages
}

/// `ca_ES.utf8@valencia` → `ca_ES.UTF-8@valencia`; `None` for what is no UTF-8 locale.
pub fn canonical(name: &str) -> Option<String> {
    let name = name.trim();
    if !is_locale(name) {
        return None;
    }
    let (name, modifier) = match name.split_once('@') {
        Some((name, modifier)) => (name, format!("@{modifier}")),
        None => (name, String::new()),
    };
    let (language, codeset) = name.split_once('.')?;
    (!language.is_empty() && ["utf8", "utf-8"].contains(&codeset.to_ascii_lowercase().as_str()))
        .then(|| format!("{language}.UTF-8{modifier}"))
}

/// The installed locale that `wanted` names, with or without its codeset.
pub fn installed(wanted: &str, languages: &[String]) -> Option<String> {
    if !is_locale(wanted) {
        return None;
    }
    let wanted = canonical(wanted).or_else(|| {
        let (language, modifier) = wanted.split_once('@').map_or((wanted, None), |(l, m)| (l, Some(m)));
        canonical(&modifier.map_or_else(|| format!("{language}.UTF-8"), |m| format!("{language}.UTF-8@{m}")))
    })?;
    languages.contains(&wanted).then_some(wanted)
}

/// `LANGUAGE` for a locale: the chain of translations to try, `de_AT.UTF-8` → `de_AT:de`. `None` for the C locale, which
/// has none.
pub fn translations(locale: &str) -> Option<String> {
    let language = locale.split(['.', '@']).next().filter(|l| !matches!(*l, "" | "C" | "POSIX"))?;
    Some(match language.split_once('_') {
        Some((short, _)) => format!("{language}:{short}"),
        None => language.to_owned(),
    })
}

/// The server's own locale: `LANG` of its configuration.
pub fn own() -> Option<String> {
    OWN.iter().find_map(|path| {
        let bytes = regular_file::read(Path::new(path), 64 * 1024).ok()?;
        lang_of(&String::from_utf8_lossy(&bytes))
    })
}

fn lang_of(text: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| {
        let line = line.trim();
        line.strip_prefix("export ").unwrap_or(line).trim_start().strip_prefix("LANG=")
    })?;
    let value = value.trim().trim_matches(['"', '\'']);
    is_locale(value).then(|| canonical(value).unwrap_or_else(|| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_in_one_spelling() {
        let output = "C\nC.utf8\nPOSIX\nde_DE\nde_DE.iso88591\nde_DE.utf8\nde_DE.UTF-8\nca_ES.utf8@valencia\ngerman\n$(x).utf8\n.utf8\n";
        assert_eq!(parse(output), ["C.UTF-8", "ca_ES.UTF-8@valencia", "de_DE.UTF-8"]);
    }

    #[test]
    fn what_is_wanted_must_be_installed() {
        let languages = ["ca_ES.UTF-8@valencia", "de_DE.UTF-8"].map(str::to_owned);
        for (wanted, want) in [
            ("de_DE.UTF-8", Some("de_DE.UTF-8")),
            ("de_DE.utf8", Some("de_DE.UTF-8")),
            ("de_DE", Some("de_DE.UTF-8")),
            ("ca_ES@valencia", Some("ca_ES.UTF-8@valencia")),
            ("de_DE.ISO-8859-1", None),
            ("fr_FR.UTF-8", None),
            ("de_DE.UTF-8; x", None),
            ("", None),
        ] {
            assert_eq!(installed(wanted, &languages).as_deref(), want, "{wanted}");
        }
    }

    #[test]
    fn chains_of_translations() {
        for (locale, want) in [
            ("de_AT.UTF-8", Some("de_AT:de")),
            ("eo.UTF-8", Some("eo")),
            ("C.UTF-8", None),
            ("sr_RS.UTF-8@latin", Some("sr_RS:sr")),
        ] {
            assert_eq!(translations(locale).as_deref(), want, "{locale}");
        }
    }

    #[test]
    fn the_servers_own() {
        for (text, want) in [
            ("# c\nLANG=de_DE.UTF-8\nLANGUAGE=de\n", Some("de_DE.UTF-8")),
            ("export LANG=\"C.utf8\"", Some("C.UTF-8")),
            ("LANG='C'", Some("C")),
            ("LANG=$(x)", None),
            ("LC_ALL=C", None),
            ("", None),
        ] {
            assert_eq!(lang_of(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn this_machine_has_some() {
        assert!(Listing::start().finish().iter().all(|l| canonical(l).as_ref() == Some(l)));
    }
}
