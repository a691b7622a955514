//! The user's surroundings as sshd and PAM set them up, read once at the start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;

/// What the other modules need to know of the environment. Made by hand in tests.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// `HOME`; `None` when it is not set or not absolute.
    pub home: Option<PathBuf>,
    /// `SHELL`.
    pub shell: Option<PathBuf>,
    /// Absolute directories of `PATH`.
    pub path: Vec<PathBuf>,
    /// Absolute directories of `XDG_DATA_DIRS`, completed by `/usr/local/share` and `/usr/share`.
    pub data_dirs: Vec<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `DISPLAY`, if not empty.
    pub display: Option<String>,
    /// `XAUTHORITY`, if not empty.
    pub xauthority: Option<String>,
    /// The locale of messages: the first that is set of `LC_ALL`, `LC_MESSAGES` and `LANG`.
    pub locale: Option<String>,
    /// Whether `XDG_SESSION_CLASS` is set.
    pub has_session_class: bool,
}

impl Account {
    /// From this process's environment.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name).filter(|v| !v.is_empty()))
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| var(name).and_then(|v| v.into_string().ok());
        let absolute = |name: &str| var(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let dirs = |name: &str, default: &str| -> Vec<PathBuf> {
            let value = var(name).unwrap_or_else(|| default.into());
            std::env::split_paths(&value).filter(|p| p.is_absolute()).collect()
        };
        let mut data_dirs = Vec::new();
        let defaults = ["/usr/local/share", "/usr/share"].map(PathBuf::from);
        for dir in dirs("XDG_DATA_DIRS", "").into_iter().chain(defaults) {
            if !data_dirs.contains(&dir) {
                data_dirs.push(dir);
            }
        }
        Self {
            home: absolute("HOME"),
            shell: absolute("SHELL"),
            path: dirs("PATH", "/usr/local/bin:/usr/bin:/bin"),
            data_dirs,
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            display: text("DISPLAY"),
            xauthority: text("XAUTHORITY"),
            locale: ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(text),
            has_session_class: var("XDG_SESSION_CLASS").is_some(),
        }
    }

    /// The program a command's first word names: an absolute path, or a name to be found in `PATH`.
    pub fn find_program(&self, word: &str) -> Option<PathBuf> {
        if word.contains('/') {
            let path = PathBuf::from(word);
            return (path.is_absolute() && is_program(&path)).then_some(path);
        }
        self.path.iter().map(|dir| dir.join(word)).find(|path| is_program(path))
    }
}

/// Whether `path` is a regular file that this user may execute.
pub fn is_program(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_dirs_are_completed_and_relative_ones_ignored() {
        let account = Account::from_vars(|name| match name {
            "XDG_DATA_DIRS" => Some("rel:/usr/share/:/a:/a".into()),
            "LANG" => Some("de_DE.UTF-8".into()),
            "HOME" => Some("relative".into()),
            _ => None,
        });
        let dirs: Vec<_> = account.data_dirs.iter().map(|d| d.to_str().unwrap()).collect();
        assert_eq!(dirs, ["/usr/share/", "/a", "/usr/local/share"]);
        assert_eq!((account.home, account.locale.as_deref()), (None, Some("de_DE.UTF-8")));
    }

    #[test]
    fn programs() {
        let account = Account { path: vec!["/nowhere".into(), "/bin".into()], ..Account::default() };
        assert_eq!(account.find_program("sh"), Some("/bin/sh".into()));
        assert_eq!(account.find_program("/bin/sh"), Some("/bin/sh".into()));
        for word in ["", ".", "..", "/", "/bin", "bin/sh", "./sh", "no-such-program", "/etc/passwd", "a\0b"] {
            assert_eq!(account.find_program(word), None, "{word}");
        }
    }
}
