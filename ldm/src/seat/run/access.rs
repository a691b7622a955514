//! Help in seeing, hearing and typing at the greeter: what is switched on is remembered, and the programs for it run beside the
//! greeter, as its user, on its display and its message bus.
//!
//! The greeter starts no programs. It says what is wanted; which programs that means is the administrator's to say.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ldm_protocol::client::Access;
use ldm_protocol::greetd::Assistants;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::{Driver, Part, state};
use crate::greeter_link::Beside;
use crate::log::chain;
use crate::seat::backoff::Backoff;
use crate::sys::{self, Child};

/// In `LDM_STATE_DIR`.
const FILE: &str = "access.json";
/// What is longer was not written by us.
const SIZE: u64 = 4096;
/// The greeter's assistants have nothing to save.
const ENDS: Duration = Duration::from_secs(1);
/// Tells the message bus that its socket is descriptor 3 (sd_listen_fds(3)): only the process itself knows its number.
const BUS: [&str; 3] = ["/bin/sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\""];
const BUS_DAEMON: [&str; 4] = ["dbus-daemon", "--session", "--nofork", "--address=systemd:"];
/// A bus that cannot be started is not tried again for every program that wants one.
const BUS_AGAIN: Duration = Duration::from_secs(10);

/// The file is not written more often than this in the long run: who says what is in it may be a greeter that was taken over,
/// and the disk a card that wears out.
const WRITE_AGAIN: Duration = Duration::from_mins(1);
/// What may be ahead of that: somebody who switches one after the other.
const WRITE_AHEAD: Duration = Duration::from_mins(15);

/// What the next greeter begins with: what was chosen here last, else what the administrator wants.
pub(super) fn remembered(state_dir: &Path, otherwise: Access) -> Access {
    match read(state_dir) {
        Ok(Some(access)) => access,
        Ok(None) => otherwise,
        Err(error) => {
            tracing::warn!(file = %state_dir.join(FILE).display(), %error, "what was switched on here is not known any more");
            otherwise
        }
    }
}

fn read(state_dir: &Path) -> io::Result<Option<Access>> {
    let Some(text) = state::read(state_dir, FILE, SIZE)? else { return Ok(None) };
    // Its text may quote what is in the file.
    serde_json::from_slice(&text).map(Some).map_err(|e| io::Error::other(format!("not ours (column {})", e.column())))
}

fn write(state_dir: &Path, access: Access) -> io::Result<()> {
    state::write(state_dir, FILE, &serde_json::to_vec(&access)?)
}

/// Keeps what is switched on in the file, in which is `kept` now: changes at once as long as there are not too many, and the last
/// one always, also when the sender is dropped.
async fn keep(state_dir: PathBuf, mut kept: Access, mut changes: watch::Receiver<Access>) {
    // Once is enough: a root file system that cannot be written stays so.
    let mut told = false;
    // Until when there would be nothing to write, at the long run's rate.
    let mut paid = Instant::now();
    while changes.changed().await.is_ok() {
        let access = *changes.borrow_and_update();
        if access == kept {
            continue;
        }
        match write(&state_dir, access) {
            Ok(()) => kept = access,
            Err(error) if !told => {
                told = true;
                let dir = state_dir.display();
                tracing::warn!(%dir, %error, "what is switched on at the greeter is not remembered");
            }
            Err(_) => {}
        }
        paid = paid.max(Instant::now()) + WRITE_AGAIN;
        let wait = paid.saturating_duration_since(Instant::now()).saturating_sub(WRITE_AHEAD);
        let mut ended = changes.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = async { while ended.changed().await.is_ok() {} } => {}
        }
    }
}

/// The programs beside one greeter, and who may change which of them run. Dropping it ends them all.
pub(super) struct Running(watch::Sender<Access>);

impl Driver {
    /// Which of the programs this client has.
    pub(super) fn assistants(&self) -> Assistants {
        let has = |command: &[String]| command.first().is_some_and(|program| is_installed(program));
        Assistants { screen_reader: has(&self.config.screen_reader), keyboard: has(&self.config.onscreen_keyboard) }
    }

    /// Switches programs on and off, and remembers all of it for the next greeter.
    pub(super) fn set_access(&mut self, access: Access) {
        if std::mem::replace(&mut self.access, access) == access {
            return;
        }
        if let Some(Running(wanted)) = &self.beside {
            wanted.send_replace(access);
        }
        self.keep_access.send_replace(access);
    }

    /// Remembers what is switched on, in a task of its own.
    pub(super) fn start_keeping(&mut self) {
        let changes = self.keep_access.subscribe();
        let keep = keep(self.config.state_dir.clone(), self.access, changes);
        self.spawn(Part::Beside, keep);
    }

    /// The message bus of the greeter that is about to start, and the programs beside it. The address of the bus, if there
    /// can be one.
    pub(super) fn start_beside(&mut self, display: &str) -> Option<PathBuf> {
        // Those of the greeter before, if they are still there, end; their bus has another name.
        self.beside = None;
        self.buses += 1;
        let socket = self.directory.bus(self.buses);
        let listener = match listen(&socket, &self.greeter.account) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(%error, "no message bus for the greeter");
                None
            }
        };
        let address = listener.as_ref().map(|_| socket.clone());
        let beside = self.greeter.beside(display, &self.directory, address.as_deref());
        let (wanted, changes) = watch::channel(self.access);
        self.beside = Some(Running(wanted));
        let (over, ended) = oneshot::channel::<()>();
        let before = self.beside_ended.replace(ended);
        let programs = Programs {
            beside,
            reader: self.config.screen_reader.clone(),
            keyboard: self.config.onscreen_keyboard.clone(),
        };
        self.spawn(Part::Beside, async move {
            // It kills what its programs left behind, and could not tell it from what ours have put into the background.
            if let Some(before) = before {
                let _ = before.await;
            }
            programs.serve(listener, changes).await;
            let _ = fs::remove_file(socket);
            // Such as a speech synthesiser that put itself into the background.
            sys::end_strays().await;
            drop(over);
        });
        address
    }
}

/// Listens for programs of `account` that look for their message bus.
fn listen(socket: &Path, account: &sys::Account) -> io::Result<AsyncFd<UnixListener>> {
    let listener = UnixListener::bind(socket)?;
    sys::set_mode(socket, 0o600)?;
    sys::give_to(socket, account)?;
    sys::watch_listener(listener)
}

fn is_installed(program: &str) -> bool {
    if program.contains('/') { Path::new(program).is_file() } else { crate::audio::is_installed(program) }
}

struct Programs {
    beside: Beside,
    reader: Vec<String>,
    keyboard: Vec<String>,
}

impl Programs {
    /// Runs what is wanted, and a message bus from the moment when somebody asks for one.
    async fn serve(self, listener: Option<AsyncFd<UnixListener>>, mut changes: watch::Receiver<Access>) {
        let mut bus = Slot::default();
        let mut reader = Slot::default();
        let mut keyboard = Slot::default();
        let mut bus_refused = None;
        loop {
            let access = *changes.borrow_and_update();
            self.sync(&mut reader, access.screen_reader, &self.reader).await;
            self.sync(&mut keyboard, access.keyboard, &self.keyboard).await;
            let asked = async {
                match &listener {
                    Some(listener) => drop(listener.readable().await),
                    None => std::future::pending().await,
                }
            };
            let next = [bus_refused, reader.again, keyboard.again].into_iter().flatten().min();
            let again = tokio::time::sleep_until(next.unwrap_or_else(Instant::now));
            tokio::select! {
                told = changes.changed() => if told.is_err() { break },
                failed = reader.ended() => reader.plan(failed),
                failed = keyboard.ended() => keyboard.plan(failed),
                _ = bus.ended() => bus_refused = Some(Instant::now() + BUS_AGAIN),
                () = again, if next.is_some() => bus_refused = bus_refused.filter(|until| *until > Instant::now()),
                () = asked, if bus.child.is_none() && bus_refused.is_none() => {
                    let started = listener.as_ref().map(|listener| listener.get_ref().try_clone());
                    let started = started.transpose().map_err(|e| e.to_string()).and_then(|listener| {
                        let words = BUS.iter().chain(&["sh"]).chain(&BUS_DAEMON);
                        let words: Vec<String> = words.map(|&word| word.to_owned()).collect();
                        self.beside.start(&words, listener.map(OwnedFd::from)).map_err(|e| chain(&e))
                    });
                    match started {
                        Ok(child) => bus.child = Some(child),
                        Err(error) => {
                            tracing::warn!(error, "no message bus for the greeter");
                            bus_refused = Some(Instant::now() + BUS_AGAIN);
                        }
                    }
                }
            }
        }
        for slot in [&mut reader, &mut keyboard, &mut bus] {
            slot.end().await;
        }
    }

    /// Starts or ends one of them. One that ended by itself stays ended until it is switched on anew; one that failed is started
    /// again, because who needs it cannot do so without it.
    async fn sync(&self, slot: &mut Slot, wanted: bool, command: &[String]) {
        if slot.wanted == wanted {
            if slot.again.is_none_or(|again| again > Instant::now()) {
                return;
            }
        } else {
            slot.backoff.done();
        }
        (slot.wanted, slot.again) = (wanted, None);
        if !wanted {
            slot.end().await;
            return;
        }
        match self.beside.start(command, None) {
            Ok(child) => {
                slot.child = Some(child);
                slot.backoff.up(Instant::now());
            }
            Err(error) => tracing::warn!(error = %chain(&error), "switched on, but not there"),
        }
    }
}

/// A program that may run.
#[derive(Default)]
struct Slot {
    wanted: bool,
    child: Option<Child>,
    /// When it is started once more.
    again: Option<Instant>,
    backoff: Backoff,
}

impl Slot {
    /// Waits until it ends by itself; whether it has failed.
    async fn ended(&mut self) -> bool {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        let status = child.wait().await;
        let failed = !status.as_ref().is_ok_and(std::process::ExitStatus::success);
        let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        tracing::warn!(program = child.name(), "ended while the greeter runs: {status}");
        self.child = None;
        failed
    }

    /// Has it started once more if it has failed.
    fn plan(&mut self, failed: bool) {
        self.again = failed.then(|| self.backoff.down(Instant::now()));
    }

    async fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.terminate(ENDS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Access = Access {
        screen_reader: true,
        high_contrast: false,
        large_text: true,
        large_pointer: false,
        sticky_keys: false,
        slow_keys: false,
        keyboard: true,
    };

    #[test]
    fn what_is_chosen_is_remembered_and_goes_before_the_administrators() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(remembered(&state, ON), ON);
        write(&state, Access::default()).unwrap();
        assert_eq!(remembered(&state, ON), Access::default());
        write(&state, ON).unwrap();
        assert_eq!(remembered(&state, Access::default()), ON);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeter_that_switches_all_day_wears_no_disk_out() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let number = || file.metadata().map(|about| about.ino()).ok();
        let (sender, changes) = watch::channel(Access::default());
        let keeping = tokio::spawn(keep(dir.path().to_owned(), Access::default(), changes));
        let (mut writes, mut last) = (0, None);
        for second in 0..3600 {
            sender.send_replace(if second % 2 == 0 { ON } else { Access { slow_keys: true, ..ON } });
            tokio::time::sleep(Duration::from_secs(1)).await;
            if second == 8 {
                assert_eq!((writes, remembered(dir.path(), Access::default())), (8, ON), "a few are kept at once");
            }
            writes += u32::from(std::mem::replace(&mut last, number()) != number());
        }
        assert!((60..=80).contains(&writes), "{writes}");
        // And nothing is lost by it, whether the daemon goes on or ends.
        sender.send_replace(Access { large_pointer: true, ..ON });
        tokio::time::sleep(WRITE_AGAIN * 2).await;
        assert_eq!(remembered(dir.path(), ON), Access { large_pointer: true, ..ON });
        for access in [ON, Access::default()] {
            sender.send_replace(access);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(sender);
        keeping.await.unwrap();
        assert_eq!(remembered(dir.path(), ON), Access::default());
    }

    #[test]
    fn whatever_stands_in_the_file_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let long = format!("{{\"sticky_keys\":true,\"x\":\"{}\"}}", "y".repeat(5000));
        for text in ["", "null", "[1]", "{\"screen_reader\":\"yes\"}", "\u{1b}[2J", &long] {
            fs::write(&file, text).unwrap();
            assert_eq!(remembered(dir.path(), ON), ON, "{text:.20}");
        }
        fs::write(&file, "{\"large_pointer\":true,\"of a later version\":[]}").unwrap();
        assert_eq!(remembered(dir.path(), ON), Access { large_pointer: true, ..Access::default() });
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert_eq!(remembered(dir.path(), ON), ON);
        // A link is replaced, not followed.
        write(dir.path(), ON).unwrap();
        assert_eq!(remembered(dir.path(), Access::default()), ON);
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(remembered(dir.path(), ON), ON);
    }
}
