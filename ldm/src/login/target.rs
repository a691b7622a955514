//! `[USER@]SERVER[:PORT]`.

use ldm_protocol::limits;

/// SSH's port.
pub(super) const PORT: u16 = 22;

/// Whom to log in as, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    user: Option<String>,
    /// `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
    pub(super) server: String,
}

/// Write it as `[USER@]SERVER[:PORT]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BadTarget {
    /// No server in it.
    #[error("there is no server in this; write it as [USER@]SERVER[:PORT]")]
    NoServer,
    /// Not a name that any server could know.
    #[error("this cannot be a user name; write it as [USER@]SERVER[:PORT]")]
    BadUser,
    /// Name the user.
    #[error("your user name is not known here; write it as USER@SERVER")]
    NoUser,
}

impl std::str::FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        // A user name may hold an @ (directories), a server's name cannot.
        let (user, server) = match text.rsplit_once('@') {
            Some((user, server)) => (Some(user.to_owned()), server),
            None => (None, text),
        };
        if user.as_deref().is_some_and(|u| u.is_empty() || u.len() > limits::USERNAME || u.contains(char::is_control)) {
            return Err(BadTarget::BadUser);
        }
        if server.is_empty() {
            return Err(BadTarget::NoServer);
        }
        Ok(Self { user, server: server.to_owned() })
    }
}

impl Target {
    /// The user that was named, else the one who runs this.
    pub(super) fn user(&self) -> Result<String, BadTarget> {
        let ours = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
        self.user.clone().or_else(ours).ok_or(BadTarget::NoUser)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target =
            |user: Option<&str>, server: &str| Ok(Target { user: user.map(str::to_owned), server: server.to_owned() });
        assert_eq!("srv".parse(), target(None, "srv"));
        assert_eq!("al@srv:2222".parse(), target(Some("al"), "srv:2222"));
        assert_eq!("al@corp@srv".parse(), target(Some("al@corp"), "srv"));
        assert_eq!("D\\al@[::1]:22".parse(), target(Some("D\\al"), "[::1]:22"));
        assert_eq!("".parse::<Target>(), Err(BadTarget::NoServer));
        assert_eq!("al@".parse::<Target>(), Err(BadTarget::NoServer));
        assert_eq!("@srv".parse::<Target>(), Err(BadTarget::BadUser));
        assert_eq!("a\nb@srv".parse::<Target>(), Err(BadTarget::BadUser));
        assert!("srv".parse::<Target>().unwrap().user().is_ok());
    }
}
