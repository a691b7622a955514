//! What the values of [`super::keys::KEYS`] may be: each parser gives the value or says why it cannot be one.

use std::path::PathBuf;

use ldm_protocol::client::{Access, CLOCK_CONVERSIONS, Power};
use ldm_protocol::helper::{self, SessionEntry};
use ldm_protocol::{Secret, limits};

use super::keys::FIRST_USE_FILE;
use super::{Password, SoundDaemon};

pub(super) fn boolean(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "true" | "y" | "yes" | "1" | "on" => Ok(true),
        "false" | "n" | "no" | "0" | "off" => Ok(false),
        _ => Err(format!("“{value}” is neither True nor False")),
    }
}

pub(super) fn number(value: &str, least: u16, most: u16) -> Result<u16, String> {
    let out_of_range = || format!("“{value}” is no number from {least} to {most}");
    value.parse().ok().filter(|n| (least..=most).contains(n)).ok_or_else(out_of_range)
}

pub(super) fn number_from(value: &str, least: u8, most: u8) -> Result<u8, String> {
    number(value, least.into(), most.into()).map(|number| u8::try_from(number).unwrap_or(most))
}

/// Items separated by commas or blanks; those with blanks in them are quoted.
pub(super) fn list(value: &str) -> Result<Vec<String>, String> {
    words(&value.replace(',', " "))
}

pub(super) fn sound_daemon(value: &str) -> Result<SoundDaemon, String> {
    match value {
        "auto" => Ok(SoundDaemon::Auto),
        // The original's names of it.
        "pulseaudio" | "pulse" => Ok(SoundDaemon::PulseAudio),
        "pipewire" => Ok(SoundDaemon::PipeWire),
        path if path.starts_with('/') => absolute(path).map(SoundDaemon::Socket),
        _ => Err(format!("“{value}” is none of auto, pulseaudio, pipewire and the path of a socket")),
    }
}

pub(super) fn groups(value: &str) -> Result<Vec<String>, String> {
    list(value)?.iter().map(|name| user(name).map_err(|_| format!("“{name}” is no group name"))).collect()
}

pub(super) fn directories(value: &str) -> Result<Vec<PathBuf>, String> {
    list(value)?.iter().map(|path| absolute(path)).collect()
}

pub(super) fn menu_items(value: &str) -> Result<Vec<String>, String> {
    let name = |item: &String| {
        let name = item.strip_suffix(".desktop").unwrap_or(item);
        let good = SessionEntry::is_valid_id(name);
        if good { Ok(name.to_owned()) } else { Err(format!("“{item}” is no base name of a .desktop file")) }
    };
    list(value)?.iter().map(name).collect()
}

pub(super) fn text(value: &str) -> Result<String, String> {
    if value.trim().is_empty() { Err("the value is empty".to_owned()) } else { Ok(value.to_owned()) }
}

/// A format without a conversion that the greeter could not follow.
pub(super) fn clock(value: &str) -> Result<String, String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        let after = after.trim_start_matches(['_', '-', '0', 'O']);
        rest = match after.chars().next() {
            Some(c) if CLOCK_CONVERSIONS.contains(c) => after.get(1..).unwrap_or_default(),
            Some(c) => return Err(format!("“%{c}” is nothing of a clock's")),
            None => return Err("there is nothing after the last %; write %% for the sign itself".to_owned()),
        };
    }
    text(value)
}

pub(super) fn session(value: &str) -> Result<String, String> {
    if !SessionEntry::is_valid_id(value) || value.contains(char::is_whitespace) {
        return Err(format!("“{value}” is no session id: write the base name of its .desktop file, such as xfce"));
    }
    Ok(value.to_owned())
}

pub(super) fn locale(value: &str) -> Result<String, String> {
    if !helper::is_locale(value) {
        return Err(format!("“{value}” is no locale: write one such as de_DE.UTF-8"));
    }
    Ok(value.to_owned())
}

pub(super) fn absolute(value: &str) -> Result<PathBuf, String> {
    if !value.starts_with('/') {
        return Err(format!("“{value}” is no path from the root: it must begin with /"));
    }
    Ok(PathBuf::from(value))
}

pub(super) fn paths(value: &str) -> Result<Vec<PathBuf>, String> {
    words(value)?.iter().map(|path| absolute(path)).collect()
}

pub(super) fn trust(value: &str) -> Result<Option<PathBuf>, String> {
    if value.starts_with('/') {
        return absolute(value).map(Some);
    }
    let on =
        boolean(value).map_err(|_| format!("“{value}” is neither True nor False nor a path that begins with /"))?;
    Ok(on.then(|| PathBuf::from(FIRST_USE_FILE)))
}

pub(super) fn user(value: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if value.is_empty() || value.len() > 32 || value.starts_with('-') || !value.chars().all(good) {
        return Err(format!("“{value}” is no user name"));
    }
    Ok(value.to_owned())
}

pub(super) fn servers(value: &str) -> Result<Vec<String>, String> {
    let list: Vec<_> =
        value
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|s| !s.is_empty())
            .map(|host| {
                if is_server(host) { Ok(host.to_owned()) } else { Err(format!("“{host}” is no host or host:port")) }
            })
            .collect::<Result<_, _>>()?;
    match list.len() {
        0 => Err("no server is named".to_owned()),
        1..=64 => Ok(list),
        more => Err(format!("{more} servers are too many; 64 are enough")),
    }
}

/// Whether `host` can be `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
pub fn is_server(host: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|p| p > 0);
    let is_v6 = |a: &str| {
        a.contains(':') && a.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c) || good(c) || c == '%')
    };
    if host.len() > limits::SERVER {
        return false;
    }
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return is_v6(address) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    if host.matches(':').count() > 1 {
        return is_v6(host);
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(n, p)| (n, Some(p)));
    !name.is_empty() && !name.starts_with('-') && name.chars().all(good) && port.is_none_or(is_port)
}

/// Splits a command line at its blanks; single or double quotes keep blanks together. There is no shell and no expansion.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    match (quote, out.first()) {
        (Some(_), _) => Err("the closing quote is missing".to_owned()),
        (None, Some(first)) if !first.is_empty() => Ok(out),
        _ => Err("the value is empty".to_owned()),
    }
}

/// Never with the value in the message.
pub(super) fn password(value: &str) -> Result<Password, String> {
    Secret::new(value).map(Password::new).map_err(|error| error.to_string())
}

pub(super) fn login_name(value: &str) -> Result<String, String> {
    let good = !value.is_empty() && value.len() <= limits::USERNAME && !value.contains(char::is_control);
    if good { Ok(value.to_owned()) } else { Err(format!("“{value}” can be no user's name")) }
}

/// `pattern/replacement`, both plain text.
pub(super) fn substitution(value: &str) -> Result<(String, String), String> {
    match value.split_once('/') {
        Some((pattern, replacement)) if !pattern.is_empty() && !replacement.contains('/') => {
            Ok((pattern.to_owned(), replacement.to_owned()))
        }
        _ => Err(format!("“{value}” is not of the form PATTERN/REPLACEMENT, such as pc/guest")),
    }
}

/// Users, and groups with `@` before them; names may hold blanks, so commas alone part them.
pub(super) fn users(value: &str) -> Result<Vec<String>, String> {
    let one = |name: &str| match name.strip_prefix('@') {
        // A group that is called “ staff” would let in, or keep out, nobody.
        Some(group) => login_name(group.trim()).map(|group| format!("@{group}")),
        None => login_name(name),
    };
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(one).collect::<Result<_, _>>()?;
    if names.is_empty() { Err("nobody is named".to_owned()) } else { Ok(names) }
}

/// `KEY=VALUE` words.
pub(super) fn assignments(value: &str) -> Result<Vec<String>, String> {
    let list = words(value)?;
    for word in &list {
        let key = word.split_once('=').map(|(key, _)| key).unwrap_or_default();
        let good = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good || word.len() > limits::CLIENT_VARIABLE || word.contains(char::is_control) {
            return Err(format!("“{word}” is not of the form NAME=VALUE"));
        }
    }
    if list.len() > limits::CLIENT_VARIABLES {
        return Err(format!("more than {} variables", limits::CLIENT_VARIABLES));
    }
    Ok(list)
}

/// A name, or several with commas, of XKB's (xkeyboard-config(7)). Also empty ones: `XKBVARIANT = ,nodeadkeys`.
pub(super) fn xkb(value: &str) -> Result<String, String> {
    if value.is_empty() || helper::is_xkb(value) {
        return Ok(value.to_owned());
    }
    Err(format!("“{value}” is no name of the X keyboard extension"))
}

/// At most four: an X keyboard has no more.
pub(super) fn layouts(value: &str) -> Result<String, String> {
    let names = xkb(value)?;
    match names.split(',').filter(|name| !name.is_empty()).count() {
        0 => Err("no layout is named".to_owned()),
        1..=4 if !names.split(',').any(str::is_empty) => Ok(names),
        1..=4 => Err(format!("“{value}” has an empty name in it")),
        more => Err(format!("{more} layouts are too many; an X keyboard has room for 4")),
    }
}

pub(super) fn seconds(value: &str) -> Result<u32, String> {
    number(value, 0, u16::MAX).map(u32::from)
}

pub(super) fn power(value: &str) -> Result<Vec<Power>, String> {
    if value.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let one = |name: &String| match name.as_str() {
        "reboot" => Ok(Power::Reboot),
        "shutdown" => Ok(Power::ShutDown),
        "suspend" => Ok(Power::Suspend),
        _ => Err(format!("“{name}” is none of reboot, shutdown, suspend")),
    };
    list(value)?.iter().map(one).collect()
}

pub(super) fn access(value: &str) -> Result<Access, String> {
    let mut access = Access::default();
    for name in list(value)? {
        *match name.as_str() {
            "screen-reader" => &mut access.screen_reader,
            "high-contrast" => &mut access.high_contrast,
            "large-text" => &mut access.large_text,
            "large-pointer" => &mut access.large_pointer,
            "sticky-keys" => &mut access.sticky_keys,
            "slow-keys" => &mut access.slow_keys,
            "keyboard" => &mut access.keyboard,
            _ => {
                return Err(format!(
                    "“{name}” is none of screen-reader, high-contrast, large-text, large-pointer, sticky-keys, \
                     slow-keys, keyboard"
                ));
            }
        } = true;
    }
    Ok(access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let ok = |line| words(line).unwrap();
        assert_eq!(ok("a  b\tc"), ["a", "b", "c"]);
        assert_eq!(ok("\"/opt/my greeter\" --x='1 2' ''"), ["/opt/my greeter", "--x=1 2", ""]);
        assert_eq!(ok("agreety --cmd '$HOME;`x`'"), ["agreety", "--cmd", "$HOME;`x`"]);
        assert!(words("a 'b").is_err() && words(" ").is_err() && words("''").is_err());
    }

    #[test]
    fn servers_are_hosts() {
        for good in ["server", "10.0.0.1", "srv:2222", "[::1]:22", "fe80::1%eth0", "::1", "bücher.example"] {
            assert!(is_server(good), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "a b", "srv:0", "srv:99999", "srv:", ":22", "a/b", "[::1]22", "user@srv"] {
            assert!(!is_server(bad), "{bad}");
        }
    }

    #[test]
    fn names_of_users_and_keyboards() {
        assert_eq!(users("alice, @Domain Users,bob").unwrap(), ["alice", "@Domain Users", "bob"]);
        assert_eq!(users("@ staff").unwrap(), ["@staff"]);
        assert!(users(" , ").is_err() && users("a, @ ").is_err());
        assert_eq!(substitution("pc/guest"), Ok(("pc".into(), "guest".into())));
        assert!(substitution("pc").is_err() && substitution("/x").is_err() && substitution("a/b/c").is_err());
        assert_eq!(layouts("us,de").as_deref(), Ok("us,de"));
        assert!(layouts("a,b,c,d,e").is_err() && layouts("us,,de").is_err() && xkb("-x").is_err());
        assert_eq!(assignments("A=1 'B=two words'").unwrap(), ["A=1", "B=two words"]);
        assert!(assignments("1=x").is_err() && assignments("novalue").is_err());
        assert_eq!(power("shutdown, reboot"), Ok(vec![Power::ShutDown, Power::Reboot]));
        assert_eq!(power("none"), Ok(vec![]));
    }
}
