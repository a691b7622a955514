//! What the scenarios of local applications are played with.

use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use ldm::localapps::{Asked, Watcher};
use ldm::x11::DisplayName;
use ldm_protocol::apps::{self, Answer, Event, Program, Request, Word};
use ldm_tests::xserver::Screen;
use ldm_tests::{Lab, XServer, wait};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt, CreateWindowAux, EventMask, PropMode, Window, WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

/// A display that is watched, and a stand-in for the local session. `true N` has ended with status N.
pub(super) struct Rig {
    pub(super) watcher: Option<Arc<Watcher>>,
    pub(super) seen: Arc<Mutex<Vec<Program>>>,
    pub(super) server: Option<JoinHandle<()>>,
    pub(super) asker: Asker,
    // Dropped last.
    _x: XServer,
    pub(super) lab: Lab,
}

/// `ltsp-localapps` on one display.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) screen: Screen,
    pub(super) program: String,
}

impl Asker {
    pub(super) fn new(lab: &Lab, x: &XServer) -> Result<Self> {
        let program = lab.bin()?.join("ltsp-localapps").to_string_lossy().into_owned();
        Ok(Self { screen: x.screen(), program })
    }

    pub(super) fn ask(&self, words: &[&str]) -> Command {
        let mut command = self.screen.command(&self.program);
        command.args(words);
        command
    }

    /// Runs it and gives its exit status.
    pub(super) fn status(&self, words: &[&str]) -> Result<i32> {
        status(&self.ask(words).output()?)
    }
}

impl Rig {
    pub(super) fn new() -> Result<Self> {
        Self::with(|program| {
            let status =
                program.argv.get(1).and_then(|word| String::from_utf8_lossy(&word.0).parse().ok()).unwrap_or(0);
            vec![Event::Started, Event::Ended { status, signal: None, stderr: Vec::new() }]
        })
    }

    pub(super) fn with(answer: impl Fn(&Program) -> Vec<Event> + Send + 'static) -> Result<Self> {
        let lab = Lab::new()?;
        let x = XServer::new(&lab)?;
        let display: DisplayName = x.display().parse()?;
        let (watcher, mut requests) = Watcher::start(display, Some(cookie(&x.screen())?.into()))?;
        let watcher = Arc::new(watcher);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (teller, log) = (Arc::clone(&watcher), Arc::clone(&seen));
        let server = std::thread::spawn(move || {
            while let Some(Asked { program, asker, .. }) = requests.local.blocking_recv() {
                let events = answer(&program);
                let stop = program.argv.first().is_some_and(|word| word.0 == STOP);
                log.lock().unwrap_or_else(PoisonError::into_inner).push(program);
                for event in events {
                    if let Some(asker) = &asker
                        && (asker.wait || !matches!(event, Event::Ended { .. }))
                    {
                        teller.answer(asker.clone(), event);
                    }
                }
                if stop {
                    return;
                }
            }
        });
        let asker = Asker::new(&lab, &x)?;
        let rig = Self { watcher: Some(watcher), seen, server: Some(server), asker, _x: x, lab };
        wait::until("the watch to begin", wait::STEP, || {
            let client = Client::new(&rig.asker.screen).ok()?;
            (client.reader().ok()? != x11rb::NONE).then_some(())
        })?;
        Ok(rig)
    }

    /// xprop(1) as scripts use it.
    pub(super) fn xprop(&self, words: &[&str]) -> Result<()> {
        let output = self.asker.screen.command("xprop").arg("-root").args(words).output()?;
        ensure!(output.status.success(), "xprop: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// What has been asked for so far.
    pub(super) fn seen(&self) -> Vec<Vec<Word>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|program| program.argv.clone()).collect()
    }

    pub(super) fn wait_for(&self, argv: &[&str]) -> Result<()> {
        let argv: Vec<Word> = argv.iter().map(|word| Word(word.as_bytes().to_vec())).collect();
        wait::until(&format!("the request {argv:?}"), wait::STEP, || self.seen().contains(&argv).then_some(()))
            .with_context(|| format!("{:?}", self.seen()))
    }

    /// Ends it; a thread that still runs is a defect.
    pub(super) fn finish(mut self) -> Result<()> {
        let client = Client::new(&self.asker.screen)?;
        client.append(apps::LOCAL_QUEUE, b"{\"argv\":[\"stop the rig\"]}\n")?;
        ensure!(self.server.take().context("once")?.join().is_ok(), "the stand-in panicked");
        self.watcher = None;
        Ok(())
    }

    /// Ends the watch alone, and then does this with the display still there.
    pub(super) fn finish_but(mut self, then: impl FnOnce(Self) -> Result<()>) -> Result<()> {
        let client = Client::new(&self.asker.screen)?;
        client.append(apps::LOCAL_QUEUE, b"{\"argv\":[\"stop the rig\"]}\n")?;
        ensure!(self.server.take().context("once")?.join().is_ok(), "the stand-in panicked");
        self.watcher = None;
        then(self)
    }
}

const STOP: &[u8] = b"stop the rig";

pub(super) fn status(output: &Output) -> Result<i32> {
    output.status.code().with_context(|| format!("{output:?}"))
}

pub(super) fn cookie(screen: &Screen) -> Result<[u8; 16]> {
    let authority = std::fs::read(&screen.authority)?;
    Ok(*authority.last_chunk().context("no cookie")?)
}

/// An X client that writes whatever it likes.
pub(crate) struct Client {
    pub(crate) x: RustConnection,
    pub(super) root: Window,
    pub(super) utf8: Atom,
}

impl Client {
    pub(crate) fn new(screen: &Screen) -> Result<Self> {
        let number = screen.display.trim_start_matches(':');
        let stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
        let (stream, _) = DefaultStream::from_unix_stream(stream)?;
        let name = b"MIT-MAGIC-COOKIE-1".to_vec();
        let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie(screen)?.to_vec())?;
        let root = x.setup().roots.first().context("no screen")?.root;
        let utf8 = x.intern_atom(false, b"UTF8_STRING")?.reply()?.atom;
        Ok(Self { x, root, utf8 })
    }

    pub(super) fn atom(&self, name: &str) -> Result<Atom> {
        Ok(self.x.intern_atom(false, name.as_bytes())?.reply()?.atom)
    }

    pub(super) fn reader(&self) -> Result<Window> {
        Ok(self.x.get_selection_owner(self.atom(apps::SELECTION)?)?.reply()?.owner)
    }

    pub(super) fn append(&self, property: &str, bytes: &[u8]) -> Result<()> {
        let property = self.atom(property)?;
        Ok(self.x.change_property8(PropMode::APPEND, self.root, property, self.utf8, bytes)?.check()?)
    }

    pub(super) fn window(&self) -> Result<Window> {
        let window = self.x.generate_id()?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        self.x.create_window(0, window, self.root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?.check()?;
        Ok(window)
    }

    /// Takes the answers that there are.
    pub(super) fn answers(&self, window: Window) -> Result<Vec<Answer>> {
        let answers = self.atom(apps::ANSWERS)?;
        let value = self.x.get_property(true, window, answers, AtomEnum::ANY, 0, 1 << 20)?.reply()?.value;
        value.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| Ok(serde_json::from_slice(l)?)).collect()
    }

    pub(super) fn is_empty(&self, property: &str) -> Result<bool> {
        let property = self.atom(property)?;
        Ok(self.x.get_property(false, self.root, property, AtomEnum::ANY, 0, 0)?.reply()?.type_ == x11rb::NONE)
    }
}

pub(super) fn line(id: &str, words: &[&str], window: Option<Window>, wait: bool) -> Result<Vec<u8>> {
    let argv = words.iter().map(|word| Word(word.as_bytes().to_vec())).collect();
    let request = Request { id: id.into(), program: Program { argv, ..Program::default() }, wait, window };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    Ok(line)
}
