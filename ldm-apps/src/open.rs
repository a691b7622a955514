//! `ltsp-open`: a file or an address is opened on the other side of the session.
//!
//! A file is handed over by its path, which means the same there below the home, and below what this client has mounted from
//! the server. Any other is copied into the home first.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ldm_protocol::apps::{Program, Refusal, Word};
use ldm_protocol::services::is_address;
use nix::fcntl::OFlag;

use crate::Queue;
use crate::command::{self, note, print, shown};

/// The command's own name, under which the programs are linked.
pub const NAME: &str = "ltsp-open";

/// The variable that is set for programs of the client's local session.
pub const ON_THE_CLIENT: &str = "LDM_LOCAL_SESSION";

/// The one that `ldm-server-helper` sets for those of a session on the server.
const ON_THE_SERVER: &str = "LDM_SESSION_TOKEN";

/// Where copies are, below the home.
const COPIES: &str = ".cache/ltsp-open";

/// How long a copy is kept.
const KEPT: Duration = Duration::from_hours(24);

const HELP: &str = "\
Usage: ltsp-open [--wait] [--] FILE|ADDRESS

Open a file or an address on the other side: from the session on the computer
in front of you, from a program on that computer in the session.

Options:
  -w, --wait     wait until that is done, and exit with its status
  -V, --version  print the version
  -h, --help     print this help

A file outside the home directory is opened as a copy, which is kept for a day.
Exit status: as that of ltsp-localapps and ltsp-remoteapps.
";

/// Why something cannot be handed over.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    /// There is no such file, or it may not be read.
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    /// A directory, device… that the other side does not see.
    #[error("{} is outside the home directory, and only regular files can be copied there", .0.display())]
    NotRegular(PathBuf),
    /// There is no home to copy it to.
    #[error("HOME is not set to a directory")]
    NoHome,
    /// The home's file system is too full.
    #[error("{} has more than the {free} bytes that are free in the home directory", path.display())]
    NoRoom { path: PathBuf, free: u64 },
    /// An address of a file that is on another machine, or no address of a file.
    #[error("{0}: not the address of a file of this computer")]
    BadAddress(String),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |error| OpenError::File { path: path.to_owned(), error }
}

/// The side this process is on, by its environment; where that does not tell, `otherwise`.
pub fn queue(otherwise: Queue) -> Queue {
    side(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()), otherwise)
}

fn side(is_set: impl Fn(&str) -> bool, otherwise: Queue) -> Queue {
    match (is_set(ON_THE_CLIENT), is_set(ON_THE_SERVER)) {
        (true, _) => Queue::Remote,
        (false, true) => Queue::Local,
        (false, false) => otherwise,
    }
}

/// The whole of `ltsp-open`.
pub fn run(queue: Queue, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let usage = |what: &str| {
        note(NAME, &format!("{what}; see --help"));
        ExitCode::from(Refusal::BadRequest.exit_status())
    };
    let mut words = words.into_iter().peekable();
    let mut wait = false;
    while let Some(word) = words.next_if(|word| word.as_bytes().first() == Some(&b'-')) {
        match word.as_bytes() {
            b"--wait" | b"-w" => wait = true,
            b"--help" | b"-h" => return print(HELP),
            b"--version" | b"-V" => return print(concat!("ldm-apps ", env!("CARGO_PKG_VERSION"), "\n")),
            b"--" => break,
            _ => return usage(&format!("there is no option “{}”", shown(&word.to_string_lossy()))),
        }
    }
    let (Some(word), None) = (words.next().filter(|word| !word.is_empty()), words.next()) else {
        return usage("one file or address is needed");
    };
    match hand_over(&word, queue) {
        Ok(word) => {
            let argv = vec![Word(word.into_vec())];
            command::ask(NAME, queue, Program { argv, cwd: None, open: true, ..command::program(Vec::new()) }, wait)
        }
        Err(error) => {
            note(NAME, &shown(&error.to_string()));
            ExitCode::from(Refusal::Failed.exit_status())
        }
    }
}

/// What the other side is asked to open.
fn hand_over(word: &OsStr, queue: Queue) -> Result<OsString, OpenError> {
    let path = match file_address(word)? {
        Some(path) => path,
        None if is_address(word.as_bytes()) && !Path::new(word).exists() => return Ok(word.to_owned()),
        None => std::path::absolute(word).map_err(at(Path::new(word)))?,
    };
    let home = std::env::home_dir().filter(|home| home.is_absolute() && home.is_dir()).ok_or(OpenError::NoHome)?;
    // The server cannot know what the client sees of it; the client does.
    let mounts = match queue {
        Queue::Remote => fs::read("/proc/self/mountinfo").unwrap_or_default(),
        Queue::Local => Vec::new(),
    };
    visible(&path, &home, &mounts).map(PathBuf::into_os_string)
}

/// The path in a `file:` address (RFC 8089), which desktops hand to what opens things.
fn file_address(word: &OsStr) -> Result<Option<PathBuf>, OpenError> {
    let Some(rest) = word.as_bytes().strip_prefix(b"file:") else { return Ok(None) };
    let bad = || OpenError::BadAddress(word.to_string_lossy().into_owned());
    let path = match rest.strip_prefix(b"//") {
        Some(rest) => rest.strip_prefix(b"localhost").unwrap_or(rest),
        None => rest,
    };
    let mut bytes = path.iter();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                u8::try_from(high * 16 + low).map_err(|_| bad())?
            }
            byte => byte,
        });
    }
    if decoded.first() != Some(&b'/') || decoded.contains(&0) {
        return Err(bad());
    }
    Ok(Some(OsString::from_vec(decoded).into()))
}

/// The path under which the other side sees this file, of a copy if need be.
fn visible(path: &Path, home: &Path, mounts: &[u8]) -> Result<PathBuf, OpenError> {
    let real = path.canonicalize().map_err(at(path))?;
    let real_home = home.canonicalize().map_err(at(home))?;
    // Written with the home's name, which the other side has, not with where it happens to be here.
    if let Ok(rest) = real.strip_prefix(&real_home) {
        return Ok(home.join(rest));
    }
    if is_of_the_server(&real, mounts) {
        return Ok(real);
    }
    if !real.metadata().map_err(at(path))?.is_file() {
        return Err(OpenError::NotRegular(path.to_owned()));
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&real).map_err(at(path))?;
    if !file.metadata().map_err(at(path))?.is_file() {
        return Err(OpenError::NotRegular(path.to_owned()));
    }
    let copies = home.join(COPIES);
    prepare(&copies).map_err(at(&copies))?;
    let name = path.file_name().or_else(|| real.file_name()).unwrap_or(OsStr::new("file"));
    let copy = copy(path, file, &copies, name)?;
    note(NAME, &format!("{} is opened as a copy, which cannot be changed", shown(&path.to_string_lossy())));
    Ok(copy)
}

/// Whether the file lies on a file system that this client has mounted from a server by sshfs (proc_pid_mountinfo(5)), where it
/// has the same path.
fn is_of_the_server(path: &Path, mounts: &[u8]) -> bool {
    let mut best: Option<(usize, bool)> = None;
    for line in mounts.split(|&b| b == b'\n') {
        let mut fields = line.split(|&b| b == b' ');
        let (Some(point), Some(kind)) = (fields.nth(4), fields.skip_while(|field| *field != b"-").nth(1)) else {
            continue;
        };
        let point = PathBuf::from(OsString::from_vec(unescape(point)));
        // Of two at one place the later one is on top.
        let length = point.as_os_str().len();
        if path.starts_with(&point) && best.is_none_or(|(longest, _)| length >= longest) {
            best = Some((length, kind == b"fuse.sshfs"));
        }
    }
    best.is_some_and(|(_, sshfs)| sshfs)
}

/// `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        if let (b'\\', Some(code)) = (byte, code.and_then(|digits| u8::from_str_radix(digits, 8).ok())) {
            out.push(code);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// Makes the folder of copies, and removes those that are old.
fn prepare(copies: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(copies)?;
    let metadata = copies.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other("not a directory of this user's own"));
    }
    fs::set_permissions(copies, fs::Permissions::from_mode(0o700))?;
    for old in copies.read_dir()?.flatten() {
        let ours = old.file_name().as_bytes().iter().all(u8::is_ascii_hexdigit);
        let modified = old.metadata().and_then(|metadata| metadata.modified());
        if ours && modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > KEPT)) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(old.path());
        }
    }
    Ok(())
}

/// Copies the open file into a new folder, read-only: what somebody changed in it would be lost.
fn copy(from: &Path, file: File, copies: &Path, name: &OsStr) -> Result<PathBuf, OpenError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| at(copies)(io::Error::other(error)))?;
    let folder = copies.join(format!("{:032x}", u128::from_ne_bytes(random)));
    DirBuilder::new().mode(0o700).create(&folder).map_err(at(&folder))?;
    let path = folder.join(name);
    let done = fill(from, file, &path);
    if done.is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    done.map(|()| path)
}

fn fill(from: &Path, file: File, path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().unwrap_or(path);
    let room = nix::sys::statvfs::statvfs(folder).map_err(|error| at(folder)(error.into()))?;
    // Of different widths on different machines.
    #[allow(clippy::useless_conversion)]
    let free = u64::from(room.blocks_available()).saturating_mul(u64::from(room.fragment_size()));
    let no_room = || OpenError::NoRoom { path: from.to_owned(), free };
    if file.metadata().map_err(at(from))?.len() > free {
        return Err(no_room());
    }
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))?;
    // One that grows meanwhile is bounded, too.
    let copied = io::copy(&mut file.take(free.saturating_add(1)), &mut copy).map_err(at(path))?;
    if copied > free {
        return Err(no_room());
    }
    copy.set_permissions(fs::Permissions::from_mode(0o400)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn the_environment_tells_the_side() {
        let on = |names: &[&str], otherwise| side(|name| names.contains(&name), otherwise);
        for otherwise in [Queue::Local, Queue::Remote] {
            assert_eq!(on(&[ON_THE_CLIENT], otherwise), Queue::Remote);
            assert_eq!(on(&[ON_THE_SERVER], otherwise), Queue::Local);
            assert_eq!(on(&[ON_THE_CLIENT, ON_THE_SERVER], otherwise), Queue::Remote);
            assert_eq!(on(&[], otherwise), otherwise);
        }
    }

    #[test]
    fn addresses_of_files() {
        let path = |word: &str| file_address(OsStr::new(word)).map(|p| p.map(|p| p.to_str().unwrap().to_owned()));
        for (word, want) in [
            ("file:///a/b%20c%25", Some("/a/b c%")),
            ("file:/a", Some("/a")),
            ("file://localhost/a", Some("/a")),
            ("http://x", None),
            ("/file:/a", None),
        ] {
            assert_eq!(path(word).unwrap().as_deref(), want, "{word}");
        }
        for bad in
            ["file:", "file://", "file://other/a", "file:a", "file:///%", "file:///%4", "file:///%zz", "file:///%00"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_in_the_home_keeps_its_path() {
        let root = tempfile::tempdir().unwrap();
        let (real, home) = (root.path().join("disk/u"), root.path().join("home"));
        fs::create_dir_all(real.join("docs")).unwrap();
        std::os::unix::fs::symlink(&real, &home).unwrap();
        fs::write(real.join("docs/a b"), "x").unwrap();
        fs::write(root.path().join("out"), "outside").unwrap();
        std::os::unix::fs::symlink(root.path().join("out"), home.join("link")).unwrap();
        let visible = |path: PathBuf| visible(&path, &home, b"");
        assert_eq!(visible(real.join("docs/a b")).unwrap(), home.join("docs/a b"));
        assert_eq!(visible(home.join("docs/../docs")).unwrap(), home.join("docs"));
        assert_eq!(visible(home.clone()).unwrap(), home);
        // A link out of it leads to nothing on the other side.
        let copied = visible(home.join("link")).unwrap();
        assert!(copied.starts_with(home.join(COPIES)) && copied.ends_with("link"), "{copied:?}");
        assert_eq!(fs::read(&copied).unwrap(), b"outside");
        assert!(matches!(visible(home.join("none")), Err(OpenError::File { .. })));
    }

    #[test]
    fn copies_are_private_read_only_and_go() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir(&home).unwrap();
        let file = root.path().join("-odd $(x)\nname.pdf");
        fs::write(&file, "content").unwrap();
        let first = visible(&file, &home, b"").unwrap();
        let second = visible(&file, &home, b"").unwrap();
        assert_ne!(first, second);
        assert_eq!(first.file_name(), file.file_name());
        assert_eq!(first.metadata().unwrap().mode() & 0o777, 0o400);
        for dir in [first.parent().unwrap(), &home.join(COPIES)] {
            assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
        }
        let old = File::open(first.parent().unwrap()).unwrap();
        old.set_modified(SystemTime::now() - KEPT - Duration::from_mins(1)).unwrap();
        let kept = home.join(COPIES).join("not ours");
        fs::create_dir(&kept).unwrap();
        File::open(&kept).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        visible(&file, &home, b"").unwrap();
        assert!(!first.exists() && second.exists() && kept.exists());
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir(&home).unwrap();
        let fifo = root.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [root.path(), &fifo, Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert!(matches!(visible(path, &home, b""), Err(OpenError::NotRegular(_))), "{path:?}");
        }
        // Larger than any disk, without taking room.
        let huge = root.path().join("huge");
        File::create(&huge).unwrap().set_len(1 << 43).unwrap();
        assert!(matches!(visible(&huge, &home, b""), Err(OpenError::NoRoom { .. })));
        assert_eq!(home.join(COPIES).read_dir().unwrap().count(), 0, "nothing is left of it");
        fs::remove_dir(home.join(COPIES)).unwrap();
        std::os::unix::fs::symlink(root.path(), home.join(COPIES)).unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(visible(&file, &home, b"").is_err(), "a link in place of the folder");
    }

    #[test]
    fn what_is_mounted_from_the_server_keeps_its_path() {
        let mounts =
            b"1 0 8:1 / / rw shared:1 - ext4 /dev/x rw\n2 1 0:5 / /srv/a\\040b rw - fuse.sshfs server:/srv rw\n\
            3 1 0:6 / /srv/a\\040b/inner rw master:2 shared:3 - tmpfs tmpfs rw\nodd\n";
        for (path, want) in [
            ("/srv/a b", true),
            ("/srv/a b/x", true),
            ("/srv/a bc", false),
            ("/srv/a b/inner/x", false),
            ("/srv", false),
            ("/", false),
        ] {
            assert_eq!(is_of_the_server(Path::new(path), mounts), want, "{path}");
        }
        assert!(!is_of_the_server(Path::new("/"), b""));
    }
}
