//! The user's files from the server, through sshfs on SFTP channels that the session worker opens. sshfs runs as the user, who
//! alone can look into its mounts: not even root can.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use tokio::io::Interest;
use tokio::net::UnixListener;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::remains::{self, MOUNTS, Remains};
use crate::localapps::protocol::FromLocal;
use crate::sys::{self, Account, Child, Output, Spawn};

/// Programs wait this long for their files at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// After its mount was taken away sshfs ends by itself.
const ENDS: Duration = Duration::from_secs(2);
/// Attributes and names are believed this long, in seconds: what the session changes on the server is to be seen here soon.
const CACHE: &str = "2";

/// One directory of the server's, to be mounted at the same path.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The directory.
    pub(super) path: PathBuf,
    /// Whether the server is to follow its symbolic links.
    pub(super) follow_symlinks: bool,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there: mounted by us, or before.
    There,
    /// Why not, in a sentence.
    Not(String),
}

/// The mounts of one local session.
pub(super) struct Mounts {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Where nothing could be mounted; closed until the end.
    closed: Vec<Point>,
    /// Processes that serve them.
    pub(super) servers: Vec<i32>,
}

impl Mounts {
    /// Mounts what is wanted, all at once and no later than [`PATIENCE`]; the outcomes are in the order of `wanted`.
    pub(super) async fn mount(
        wanted: &[Wanted],
        account: &Account,
        worker: u32,
        remains: &mut Remains,
        to_worker: &Sender<FromLocal>,
    ) -> (Self, Vec<Outcome>) {
        let until = Instant::now() + PATIENCE;
        let mut begun = Vec::new();
        for (number, wanted) in wanted.iter().enumerate() {
            begun.push(begin(number, wanted, account, worker, remains));
        }
        let mut this =
            Self { stop: CancellationToken::new(), tasks: JoinSet::new(), closed: Vec::new(), servers: Vec::new() };
        // All are asked for before any is waited for.
        for point in begun.iter().flatten().flatten() {
            let _ = to_worker.send(FromLocal::Mount { socket: point.socket.clone() }).await;
        }
        let mut outcomes = Vec::new();
        let mut coming = JoinSet::new();
        for (begun, wanted) in begun.into_iter().zip(wanted.iter().cloned()) {
            let number = outcomes.len();
            outcomes.push(match begun {
                Ok(None) => Outcome::There,
                Err(why) => Outcome::Not(why),
                Ok(Some(point)) => {
                    let (account, unknown) = (account.clone(), format!("{} cannot be mounted", wanted.path.display()));
                    coming.spawn(async move {
                        let served = tokio::time::timeout_at(until, serve(&point, &wanted, &account, worker)).await;
                        let late = |_| Err("the server does not answer in time".to_owned());
                        (number, point, served.unwrap_or_else(late))
                    });
                    Outcome::Not(unknown)
                }
            });
        }
        while let Some(Ok((number, point, served))) = coming.join_next().await {
            let outcome = match served {
                Ok(child) => {
                    this.keep(child, point, to_worker);
                    Outcome::There
                }
                Err(why) => this.give_up(point, &why),
            };
            if let Some(place) = outcomes.get_mut(number) {
                *place = outcome;
            }
        }
        (this, outcomes)
    }

    fn keep(&mut self, mut child: Child, point: Point, to_worker: &Sender<FromLocal>) {
        self.servers.push(child.pid());
        let (stop, to_worker) = (self.stop.clone(), to_worker.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                status = child.wait() => {
                    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    let last = child.last_words().await.pop().unwrap_or(how);
                    let path = point.path.display();
                    tracing::warn!(path = %path, "the server's files are gone: {last}");
                    let why = format!("the connection to {path} on the server was lost");
                    let _ = to_worker.send(FromLocal::NotMounted { why }).await;
                    // Empty it stays, and closed: what were written into it now would be lost.
                    stop.cancelled().await;
                }
            }
            point.unmount();
            let _ = child.terminate(ENDS).await;
        });
    }

    fn give_up(&mut self, point: Point, why: &str) -> Outcome {
        point.unmount();
        if let Err(error) = point.close() {
            tracing::warn!(path = %point.path.display(), %error, "cannot be closed");
        }
        let why = format!("{} of the server: {why}", point.path.display());
        self.closed.push(point);
        Outcome::Not(why)
    }

    /// Takes all of them away.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A directory that is ready to be mounted on.
struct Point {
    path: PathBuf,
    /// What is below the mount: it can be reached by this alone once there is one.
    below: File,
    was: Metadata,
    socket: PathBuf,
    listener: UnixListener,
}

impl Point {
    /// Without its mount it is nobody's: what is written there would be lost in this computer's memory.
    fn close(&self) -> io::Result<()> {
        nix::unistd::fchown(&self.below, Some(0.into()), Some(0.into()))?;
        self.below.set_permissions(fs::Permissions::from_mode(0o500))
    }

    fn unmount(&self) {
        if remains::mount_at(&self.path).is_some_and(|kind| kind == remains::SSHFS)
            && let Err(error) = sys::unmount(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot be unmounted");
        }
    }
}

impl Drop for Point {
    /// One that was there before us is as it was.
    fn drop(&mut self) {
        let owner = (Some(self.was.uid().into()), Some(self.was.gid().into()));
        let back = nix::unistd::fchown(&self.below, owner.0, owner.1).map_err(io::Error::from);
        if let Err(error) = back.and_then(|()| self.below.set_permissions(self.was.permissions())) {
            tracing::warn!(path = %self.path.display(), %error, "owner and mode cannot be set back");
        }
    }
}

/// Makes the mount point and its socket; `None` if the files are there by other means.
fn begin(
    number: usize,
    wanted: &Wanted,
    account: &Account,
    worker: u32,
    remains: &mut Remains,
) -> Result<Option<Point>, String> {
    let path = &wanted.path;
    let failed = |error: io::Error| format!("{} cannot be made on this computer: {error}", path.display());
    if remains::mount_at(path).is_some() {
        tracing::info!(path = %path.display(), "something is mounted there; it is used as it is");
        return Ok(None);
    }
    make_directory(path, remains).map_err(failed)?;
    // Where others may make directories, as in /tmp, somebody could put a link in its place now.
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let below = File::options().read(true).custom_flags(flags.bits()).open(path).map_err(failed)?;
    let was = below.metadata().map_err(failed)?;
    if fs::read_dir(path).map_err(failed)?.next().is_some() {
        // As where all homes are mounted from a file server.
        if fs::metadata("/").is_ok_and(|root| root.dev() != was.dev()) && was.uid() == account.uid {
            tracing::info!(path = %path.display(), "it is on a file system of its own; it is used as it is");
            return Ok(None);
        }
        return Err(format!(
            "there are files in {} on this computer, and nothing is mounted over them",
            path.display()
        ));
    }
    if ![0, account.uid].contains(&was.uid()) {
        return Err(format!("{} on this computer is somebody else's", path.display()));
    }
    remains.mount(path).map_err(failed)?;
    let socket = remains.dir().join(format!("mount-{number}"));
    let listener = listen(&socket, worker).map_err(failed)?;
    let point = Point { path: path.clone(), below, was, socket, listener };
    // fusermount3 mounts on what the user may write to.
    let owner = (Some(account.uid.into()), Some(account.gid.into()));
    nix::unistd::fchown(&point.below, owner.0, owner.1).map_err(|error| failed(error.into()))?;
    point.below.set_permissions(fs::Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(Some(point))
}

/// A directory that root alone could have put there, made if it is missing. Its parents, too.
fn make_directory(path: &Path, remains: &mut Remains) -> io::Result<()> {
    let other = |path: &Path| io::Error::other(format!("{} is not a directory of root's alone", path.display()));
    let mut at = PathBuf::new();
    let last = path.components().next_back();
    for part in path.components() {
        if !matches!(part, Component::RootDir | Component::Normal(_)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        at.push(part);
        let is_last = Some(part) == last && at == path;
        match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remains.directory(&at)?;
                fs::create_dir(&at)?;
                sys::set_mode(&at, 0o755)?;
            }
            Err(error) => return Err(error),
            Ok(meta) if is_last && meta.is_dir() => {}
            // Nobody else can put another one in its place: it is root's, or lies in one of root's that is sticky.
            Ok(meta) if meta.is_dir() && meta.uid() == 0 && (meta.mode() & 0o022 == 0 || meta.mode() & 0o1000 != 0) => {
            }
            Ok(_) => return Err(other(&at)),
        }
    }
    Ok(())
}

/// A socket that the worker's user alone can reach (unix(7): who connects must be allowed to write to it).
fn listen(socket: &Path, worker: u32) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(socket)?;
    sys::set_mode(socket, 0o600)?;
    std::os::unix::fs::lchown(socket, Some(worker), None)?;
    Ok(listener)
}

/// Mounts: once the worker has connected the socket with the server.
async fn serve(point: &Point, wanted: &Wanted, account: &Account, worker: u32) -> Result<Child, String> {
    let failed = |error: io::Error| error.to_string();
    let stream = accept(&point.listener, worker).await.map_err(failed)?;
    let _ = fs::remove_file(&point.socket);
    // sshfs waits in its reads and writes.
    let stream = stream.into_std().map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    let mut child = sshfs(wanted, account, stream.into())?;
    let ready = tokio::select! {
        _ = child.wait() => Err(io::ErrorKind::BrokenPipe.into()),
        ready = ready(&point.path, account) => ready,
    };
    let Err(error) = ready.and_then(|()| point.close()) else { return Ok(child) };
    // What cannot be looked into is most often an sshfs that ends, and knows why.
    let _ = tokio::time::timeout(ENDS, child.wait()).await;
    Err(child.last_words().await.pop().unwrap_or_else(|| error.to_string()))
}

async fn accept(listener: &UnixListener, worker: u32) -> io::Result<tokio::net::UnixStream> {
    loop {
        let (stream, _) = listener.accept().await?;
        if stream.peer_cred()?.uid() == worker {
            return Ok(stream);
        }
        tracing::warn!("somebody else than the session worker wants to serve files; not let in");
    }
}

fn sshfs(wanted: &Wanted, account: &Account, stream: OwnedFd) -> Result<Child, String> {
    let mut options = format!("passive,idmap=none,dcache_timeout={CACHE}");
    if wanted.follow_symlinks {
        options.push_str(",follow_symlinks");
    }
    let mut source = std::ffi::OsString::from("server:");
    source.push(&wanted.path);
    Spawn::new("sshfs")
        .args(["-f", "-o", &options])
        .arg(source)
        .arg(&wanted.path)
        .env("PATH", "/usr/bin:/bin")
        .account(account)
        .stdio(stream)
        .output(Output::Tail)
        .die_with_us()
        .start()
        .map_err(|error| match error.source.kind() {
            io::ErrorKind::NotFound => "sshfs is not installed on this computer".to_owned(),
            _ => format!("{error}: {}", error.source),
        })
}

/// Waits until the user's files can be looked at: it is mounted, and the server has answered.
async fn ready(path: &Path, account: &Account) -> io::Result<()> {
    let table = sys::watch_priority(File::open(MOUNTS)?)?;
    let is_mounted = || remains::mount_at(path).is_some_and(|kind| kind == remains::SSHFS);
    while !is_mounted() {
        table.ready(Interest::PRIORITY).await?.clear_ready();
    }
    // Root cannot look.
    let mut look =
        Spawn::new("/usr/bin/test").arg("-d").arg(path.join(".")).account(account).start().map_err(|e| e.source)?;
    // An sshfs that gave up has taken its mount away, and what was looked into was what is below it.
    if look.wait().await?.success() && is_mounted() {
        Ok(())
    } else {
        Err(io::Error::other("it cannot be looked into"))
    }
}
