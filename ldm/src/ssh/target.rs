//! [`Target`]: a server as the configuration names it.

use std::net::Ipv6Addr;

use super::{Reason, SshError};

/// Longest host name (RFC 1035) with room for an address scope.
const MAX_HOST: usize = 300;

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As configured; what the user is shown.
    pub name: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Target {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `[IPV6]` or `IPV6`.
    ///
    /// # Errors
    /// [`Reason::BadTarget`]: correct the configuration.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, SshError> {
        let bad = || SshError::new(text, Reason::BadTarget(format!("{text:?}")));
        let name = text.trim();
        let (host, port) = if let Some(rest) = name.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(bad()),
            }
        } else if is_ipv6(name) {
            (name, None)
        } else {
            match name.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (name, None),
            }
        };
        // Whatever is allowed here ends up in getaddrinfo and in a known-hosts line: nothing that could be an option, a
        // pattern or a second field.
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || host.len() > MAX_HOST || host.starts_with('-') || !host.chars().all(plain) {
            return Err(bad());
        }
        if host.contains(':') && !is_ipv6(host) {
            return Err(bad());
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or_else(bad)?,
            None => default_port,
        };
        Ok(Self { name: name.to_owned(), host: host.to_owned(), port })
    }
}

/// An IPv6 address, with or without a scope such as `%eth0`.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, host, port) in [
            ("srv", "srv", 22),
            (" srv.example.org ", "srv.example.org", 22),
            ("srv:2222", "srv", 2222),
            ("10.0.0.1:22", "10.0.0.1", 22),
            ("::1", "::1", 22),
            ("fe80::1%eth0", "fe80::1%eth0", 22),
            ("[::1]", "::1", 22),
            ("[::1]:2222", "::1", 2222),
            ("[srv]:2222", "srv", 2222),
        ] {
            let target = Target::parse(text, 22).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
            assert_eq!(target.name, text.trim());
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            " ",
            ":22",
            "srv:",
            "srv:0",
            "srv:99999",
            "srv:x",
            "[::1",
            "[::1]x",
            "-oProxyCommand=x",
            "a b",
            "a,b",
            "*",
        ] {
            assert!(matches!(Target::parse(text, 22).unwrap_err().reason, Reason::BadTarget(_)), "{text:?}");
        }
    }
}
