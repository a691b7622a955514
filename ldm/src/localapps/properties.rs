//! The properties of one X display.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use ldm_protocol::apps::{self, Answer, Event as AppEvent};
use ldm_protocol::limits;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt, CreateWindowAux, EventMask, PropMode, Property, Window,
    WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use super::Asker;
use crate::x11::DisplayName;
use crate::xauth::{self, Cookie};

/// Events read before what they tell of is looked at.
const EVENTS: usize = 1000;

/// Bytes of answers that may stand on the root window, where nobody need ever take them.
const ROOT_ANSWERS: u32 = 64 * 1024;

/// Properties that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    LocalQueue,
    RemoteQueue,
    OldLocal,
    OldRemote,
}

impl Kind {
    const ALL: [Self; 4] = [Self::LocalQueue, Self::RemoteQueue, Self::OldLocal, Self::OldRemote];

    fn name(self) -> &'static str {
        match self {
            Self::LocalQueue => apps::LOCAL_QUEUE,
            Self::RemoteQueue => apps::REMOTE_QUEUE,
            Self::OldLocal => apps::OLD_LOCAL,
            Self::OldRemote => apps::OLD_REMOTE,
        }
    }

    fn is_remote(self) -> bool {
        matches!(self, Self::RemoteQueue | Self::OldRemote)
    }
}

/// What stood in a property.
pub(super) enum Found {
    /// It is gone.
    Nothing,
    /// Lines.
    Queue { value: Vec<u8>, remote: bool },
    /// More than a queue may hold; its start.
    TooLong { start: Vec<u8>, name: &'static str },
    /// Something else.
    Odd { name: &'static str },
    /// The original's command line.
    Old { value: Vec<u8>, in_turn: bool, remote: bool },
}

struct Atoms {
    /// In the order of [`Kind::ALL`].
    kinds: [Atom; 4],
    local_flag: Atom,
    remote_flag: Atom,
    answers: Atom,
    utf8: Atom,
    selection: Atom,
}

/// The connection.
pub(super) struct Properties {
    x: RustConnection,
    root: Window,
    /// Owns the selection.
    window: Window,
    atoms: Atoms,
    /// In the order of [`Kind::ALL`].
    changed: [bool; 4],
}

impl Properties {
    pub(super) fn open(display: &DisplayName, cookie: Option<&Cookie>) -> io::Result<Self> {
        let (stream, _) = if let Some(path) = display.socket() {
            DefaultStream::from_unix_stream(UnixStream::connect(path)?)?
        } else {
            let stream = TcpStream::connect(display.address())?;
            stream.set_nodelay(true)?;
            DefaultStream::from_tcp_stream(stream)?
        };
        let screen = usize::try_from(display.screen()).unwrap_or_default();
        let (name, data) = cookie
            .map_or_else(Default::default, |cookie| (xauth::PROTOCOL.as_bytes().to_vec(), cookie.expose().to_vec()));
        let x = RustConnection::connect_to_stream_with_auth_info(stream, screen, name, data).map_err(refused)?;
        let root = x.setup().roots.get(screen).ok_or(io::ErrorKind::InvalidData)?.root;
        let kinds = intern(&x, Kind::ALL.map(Kind::name))?;
        let others = [apps::OLD_LOCAL_WAIT, apps::OLD_REMOTE_WAIT, apps::ANSWERS, "UTF8_STRING", apps::SELECTION];
        let [local_flag, remote_flag, answers, utf8, selection] = intern(&x, others)?;
        let atoms = Atoms { kinds, local_flag, remote_flag, answers, utf8, selection };
        let window = x.generate_id().map_err(no_id)?;
        let aux = CreateWindowAux::new();
        x.create_window(COPY_DEPTH_FROM_PARENT, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)
            .map_err(lost)?
            .ignore_error();
        Ok(Self { x, root, window, atoms, changed: [false; 4] })
    }

    /// Begins to watch, and says so to askers. `fresh`: throws away what is there; else it is to be read.
    pub(super) fn begin(&mut self, fresh: bool) -> io::Result<()> {
        if fresh {
            let Atoms { kinds, local_flag, remote_flag, answers, .. } = &self.atoms;
            for atom in kinds.iter().chain([local_flag, remote_flag, answers]) {
                self.delete(*atom)?;
            }
        }
        self.changed = [!fresh; 4];
        let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        self.x.change_window_attributes(self.root, &aux).map_err(lost)?.ignore_error();
        self.own()?;
        self.flush()
    }

    fn own(&self) -> io::Result<()> {
        let own = self.x.set_selection_owner(self.window, self.atoms.selection, x11rb::CURRENT_TIME);
        own.map_err(lost)?.ignore_error();
        Ok(())
    }

    fn delete(&self, atom: Atom) -> io::Result<()> {
        self.x.delete_property(self.root, atom).map_err(lost)?.ignore_error();
        Ok(())
    }

    /// Reads what has come; whether there may be more.
    pub(super) fn read_events(&mut self) -> io::Result<bool> {
        for count in 0..EVENTS {
            match self.x.poll_for_event().map_err(lost)? {
                None => return Ok(count > 0),
                Some(Event::PropertyNotify(event)) if event.state == Property::NEW_VALUE => {
                    for (changed, atom) in self.changed.iter_mut().zip(self.atoms.kinds) {
                        *changed |= atom == event.atom;
                    }
                }
                // Somebody else wants to be the reader, and askers would believe it.
                Some(Event::SelectionClear(event)) if event.selection == self.atoms.selection => self.own()?,
                Some(_) => {}
            }
        }
        Ok(true)
    }

    /// A property that has changed since it was taken.
    pub(super) fn next_changed(&mut self) -> Option<Kind> {
        let (changed, kind) = self.changed.iter_mut().zip(Kind::ALL).find(|(changed, _)| **changed)?;
        *changed = false;
        Some(kind)
    }

    /// Takes a property away and gives what stood in it.
    pub(super) fn take(&mut self, kind: Kind) -> io::Result<Found> {
        let [local, remote, old_local, old_remote] = self.atoms.kinds;
        let (atom, flag) = match kind {
            Kind::LocalQueue => (local, None),
            Kind::RemoteQueue => (remote, None),
            Kind::OldLocal => (old_local, Some(self.atoms.local_flag)),
            Kind::OldRemote => (old_remote, Some(self.atoms.remote_flag)),
        };
        let limit = if flag.is_some() { limits::APP_REQUEST } else { limits::APP_QUEUE };
        let reply = self.get(atom, limit)?;
        if reply.type_ == x11rb::NONE {
            return Ok(Found::Nothing);
        }
        let (name, remote) = (kind.name(), kind.is_remote());
        let text = reply.type_ == self.atoms.utf8 || flag.is_some() && reply.type_ == u32::from(AtomEnum::STRING);
        if reply.bytes_after > 0 {
            // Only what was read to its end has been deleted.
            self.delete(atom)?;
            let start = if text && flag.is_none() { reply.value } else { Vec::new() };
            return Ok(Found::TooLong { start, name });
        }
        Ok(match flag {
            _ if !text || reply.format != 8 => Found::Odd { name },
            None => Found::Queue { value: reply.value, remote },
            // The flag is set before the command line, and stays when there is none yet.
            Some(_) if reply.value.is_empty() => Found::Nothing,
            Some(flag) => {
                let flag = self.get(flag, limits::APP_ID)?;
                Found::Old { value: reply.value, in_turn: super::queue::old_flag(&flag.value), remote }
            }
        })
    }

    /// Reads and deletes; `limit` in bytes.
    fn get(&self, atom: Atom, limit: usize) -> io::Result<x11rb::protocol::xproto::GetPropertyReply> {
        let units = u32::try_from(limit / 4).unwrap_or(u32::MAX);
        let asked = self.x.get_property(true, self.root, atom, AtomEnum::ANY, 0, units).map_err(lost)?;
        asked.reply().map_err(failed)
    }

    /// Appends an answer. That the asker has gone is no concern of ours.
    pub(super) fn answer(&mut self, asker: &Asker, event: &AppEvent) -> io::Result<()> {
        let answer = Answer { id: asker.id.clone(), event: event.clone() };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        let window = asker.window.unwrap_or(self.root);
        if window == self.root {
            let there = self.x.get_property(false, self.root, self.atoms.answers, AtomEnum::ANY, 0, 0).map_err(lost)?;
            if there.reply().map_err(failed)?.bytes_after > ROOT_ANSWERS {
                self.delete(self.atoms.answers)?;
            }
        }
        let append = self.x.change_property8(PropMode::APPEND, window, self.atoms.answers, self.atoms.utf8, &line);
        append.map_err(lost)?.ignore_error();
        Ok(())
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.x.flush().map_err(lost)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.x.stream().as_fd()
    }
}

/// Atoms of these names, in one round trip.
fn intern<const N: usize>(x: &RustConnection, names: [&str; N]) -> io::Result<[Atom; N]> {
    let asked = names.map(|name| x.intern_atom(false, name.as_bytes()));
    let mut atoms = [x11rb::NONE; N];
    for (atom, asked) in atoms.iter_mut().zip(asked) {
        *atom = asked.map_err(lost)?.reply().map_err(failed)?.atom;
    }
    Ok(atoms)
}

fn lost(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

fn failed(error: ReplyError) -> io::Error {
    match error {
        ReplyError::ConnectionError(error) => lost(error),
        ReplyError::X11Error(error) => io::Error::other(format!("X error {:?}", error.error_kind)),
    }
}

fn no_id(error: ReplyOrIdError) -> io::Error {
    match error {
        ReplyOrIdError::ConnectionError(error) => lost(error),
        other => io::Error::other(other.to_string()),
    }
}

fn refused(error: ConnectError) -> io::Error {
    match error {
        ConnectError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
