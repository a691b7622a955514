//! The folder of a theme: opens its own plain files and nothing else.
//!
//! A name is one component, a link must end in the same folder, and only regular files of a bounded size are read. Nothing
//! here waits: a FIFO is opened without blocking and refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ldm_protocol::near;
use nix::fcntl::OFlag;

use super::ThemeError;

/// Where themes are found by name.
const FOLDERS: [&str; 2] = ["/usr/local/share/ldm/themes", "/usr/share/ldm/themes"];

/// Files of one folder that are looked at.
const FILES: usize = 200;

/// Some editors begin a file with it.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// A theme's folder, with every link on the way to it resolved.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder with this path.
    pub(crate) fn open(path: &Path) -> Result<Self, ThemeError> {
        let failed = |source| ThemeError::Read { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(failed)?;
        if !path.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self { path })
    }

    /// The theme that is wanted by name or by folder.
    pub(crate) fn find(wanted: &str) -> Result<Self, ThemeError> {
        let missing = || ThemeError::Missing(wanted.to_owned());
        if wanted.contains('/') {
            return Self::open(Path::new(wanted)).map_err(|_| missing());
        }
        if !plain(wanted) {
            return Err(missing());
        }
        let places = FOLDERS.iter().map(PathBuf::from).chain(beside_the_program());
        places.map(|place| place.join(wanted)).find_map(|folder| Self::open(&folder).ok()).ok_or_else(missing)
    }

    /// The path, for messages and for GTK.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, which may not be there.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file of the folder; `None` if there is none of this name.
    fn open_file(&self, name: &str) -> Result<Option<(File, u64)>, ThemeError> {
        let path = self.path.join(name);
        let failed = |source| ThemeError::Read { path: path.clone(), source };
        let refused = |what: &str| ThemeError::File { path: path.clone(), what: what.to_owned() };
        if !plain(name) {
            return Err(refused("not the name of a file in the theme's folder"));
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            // A link to nowhere is a mistake, and not the same as no file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        if real.parent() != Some(&self.path) {
            return Err(refused("a link that leads out of the theme's folder"));
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits()).open(&real).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(refused("not a regular file"));
        }
        Ok(Some((file, metadata.len())))
    }

    /// What is in a file of the folder; `None` if there is none of this name.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ThemeError> {
        let Some((file, length)) = self.open_file(name)? else { return Ok(None) };
        let path = self.path.join(name);
        let too_large = || ThemeError::File { path: path.clone(), what: format!("larger than {} KiB", limit / 1024) };
        if length > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| ThemeError::Read { path: path.clone(), source })?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(too_large());
        }
        Ok(Some(bytes))
    }

    /// As [`Folder::read`], for text.
    pub(crate) fn text(&self, name: &str, limit: u64) -> Result<Option<String>, ThemeError> {
        let Some(mut bytes) = self.read(name, limit)? else { return Ok(None) };
        if bytes.starts_with(MARK) {
            bytes.drain(..MARK.len());
        }
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            ThemeError::Line {
                path: self.path.join(name),
                line: good.split(|&byte| byte == b'\n').count(),
                what: "not UTF-8".to_owned(),
            }
        })
    }

    /// Whether there is something of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// That there is no file of this name, and which one was perhaps meant: the letters' case counts, and is easily forgotten.
    pub(crate) fn lacks(&self, name: &str) -> String {
        let names = self.names();
        let small: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let near = near::nearest(&name.to_lowercase(), small.iter().map(String::as_str));
        let meant = names.iter().zip(&small).find(|(_, small)| near == Some(small.as_str()));
        let meant = meant.map(|(meant, _)| format!(" (perhaps {meant}?)")).unwrap_or_default();
        format!("there is no “{name}”{meant}")
    }

    /// The names of what is in it, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.take(FILES).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// `PREFIX/share/ldm/themes` of the prefix that the program is installed to, and `themes` of the checkout it was built in.
fn beside_the_program() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let mut places: Vec<_> =
        program.ancestors().skip(2).take(2).map(|prefix| prefix.join("share/ldm/themes")).collect();
    let built_in = program.ancestors().skip(1).take(3).find(|folder| folder.file_name().is_some_and(|n| n == "target"));
    places.extend(built_in.and_then(Path::parent).map(|checkout| checkout.join("themes")));
    places
}

/// Whether this can only be a file directly in a folder: no path, no scheme, no escape, not hidden.
pub(crate) fn plain(name: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ' | '+');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_theme_is_found_by_folder_or_not_at_all() {
        assert!(Folder::find("/").is_ok());
        for name in ["no-such-theme", "/no/such/folder", "..", ".hidden", "", "a\\b"] {
            assert!(Folder::find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_plain_files_of_the_folder_are_read() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("good.css"), "x").unwrap();
        symlink("good.css", at("inside.css")).unwrap();
        symlink(outside.path().join("secret"), at("out.css")).unwrap();
        symlink("nowhere", at("dangling.css")).unwrap();
        symlink("/dev/zero", at("zero.css")).unwrap();
        fs::create_dir(at("folder.css")).unwrap();
        nix::unistd::mkfifo(&at("fifo.css"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        fs::write(at("marked.css"), "\u{feff}x").unwrap();
        for name in ["good.css", "inside.css", "marked.css"] {
            assert_eq!(folder.text(name, 10).unwrap().as_deref(), Some("x"), "{name}");
        }
        assert!(folder.text("missing.css", 10).unwrap().is_none());
        for name in ["out.css", "dangling.css", "zero.css", "folder.css", "fifo.css", "../x", "/etc/passwd", ".", ".."]
        {
            assert!(folder.text(name, 10).is_err(), "{name}");
        }
        fs::write(at("large.css"), "x".repeat(11)).unwrap();
        assert!(folder.text("large.css", 10).is_err());
    }

    #[test]
    fn a_file_that_is_not_there_was_perhaps_another() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sea.jpg"), "").unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        for (name, want) in [("Sea.JPG", true), ("sea.png", true), ("see.jpg", true), ("logo.png", false)] {
            let meant = if want { " (perhaps sea.jpg?)" } else { "" };
            assert_eq!(folder.lacks(name), format!("there is no “{name}”{meant}"));
        }
    }

    #[test]
    fn what_is_not_text_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("theme.ini"), b"a\nb\n\xff").unwrap();
        let error = Folder::open(dir.path()).unwrap().text("theme.ini", 10).unwrap_err();
        assert!(error.to_string().ends_with("theme.ini:3: not UTF-8"), "{error}");
    }
}
