//! Users as processes run under them.

use std::ffi::CString;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// A user a process can be started as, with everything that needs a database looked up already: between `fork` and `exec`
/// nothing of the kind is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All group ids, as initgroups(3) would set them.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Why there is no such account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Create the user (the package does it through sysusers.d), or name another one in the configuration.
    #[error("there is no user “{0}” here")]
    Unknown(String),
    /// The user database could not be read. Nothing to do here; see the cause.
    #[error("the user “{name}” cannot be looked up")]
    Lookup {
        /// The user.
        name: String,
        /// Why.
        source: nix::Error,
    },
}

impl Account {
    /// The user of this name.
    pub fn find(name: &str) -> Result<Self, AccountError> {
        let failed = |source| AccountError::Lookup { name: name.to_owned(), source };
        let user = User::from_name(name).map_err(failed)?.ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        Self::from_user(user)
    }

    /// The user this process runs as.
    pub fn current() -> Result<Self, AccountError> {
        let uid = Uid::effective();
        let failed = |source| AccountError::Lookup { name: uid.to_string(), source };
        let user = User::from_uid(uid).map_err(failed)?.ok_or_else(|| AccountError::Unknown(uid.to_string()))?;
        Self::from_user(user)
    }

    fn from_user(user: User) -> Result<Self, AccountError> {
        let failed = |source| AccountError::Lookup { name: user.name.clone(), source };
        let name = CString::new(user.name.as_str()).map_err(|_| AccountError::Unknown(user.name.clone()))?;
        let groups = nix::unistd::getgrouplist(&name, user.gid).map_err(failed)?;
        Ok(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
            home: user.dir,
            shell: user.shell,
            name: user.name,
        })
    }

    /// Whether a process under this account is what we are already.
    pub fn is_current(&self) -> bool {
        self.uid == super::uid()
    }
}
