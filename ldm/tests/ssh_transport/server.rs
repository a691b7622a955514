//! A russh server that follows a script.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldm::auth::{AuthMessageType, Cancelled, Conversation};
use ldm::ssh::{Connection, HostKeyPolicy, SshError, Target, connect};
use ldm_protocol::Secret;
use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a test waits for at most.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One step of the server's keyboard-interactive.
#[derive(Clone, Debug)]
pub enum Step {
    Ask { name: &'static str, instructions: String, prompts: Vec<(&'static str, bool)> },
    Accept,
    Reject,
    Partial(Vec<MethodKind>),
    HangUp,
}

pub fn ask(prompts: &[(&'static str, bool)]) -> Step {
    Step::Ask { name: "", instructions: String::new(), prompts: prompts.to_vec() }
}

#[derive(Clone)]
pub struct Setup {
    pub keys: Vec<PrivateKey>,
    pub certificates: Vec<Certificate>,
    pub methods: Vec<MethodKind>,
    pub banner: Option<String>,
    /// Steps of keyboard-interactive, over all attempts of a connection.
    pub steps: Vec<Step>,
    pub password: Option<&'static str>,
    /// The user's public key.
    pub authorized: Option<PublicKey>,
    pub grant_x11: bool,
    pub grant_exec: bool,
    pub grant_session: bool,
    pub answer_exec: bool,
    pub grant_sftp: bool,
    pub grant_socket: bool,
    /// The port that is listened at, once one is asked for.
    pub grant_port: Option<u32>,
    /// A connection to the socket comes with the answer: before it, and after it.
    pub eager: bool,
    pub window: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            keys: vec![key()],
            certificates: Vec::new(),
            methods: vec![MethodKind::PublicKey, MethodKind::KeyboardInteractive],
            banner: None,
            steps: vec![Step::Accept],
            password: None,
            authorized: None,
            grant_x11: true,
            grant_exec: true,
            grant_session: true,
            answer_exec: true,
            grant_sftp: true,
            grant_socket: true,
            grant_port: Some(4713),
            eager: false,
            window: 2 * 1024 * 1024,
        }
    }
}

pub fn key() -> PrivateKey {
    key_of(Algorithm::Ed25519)
}

pub fn key_of(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap()
}

/// What the server has seen.
#[derive(Debug)]
pub enum Seen {
    Answers(Vec<String>),
    X11 {
        cookie: String,
        screen: u32,
    },
    Exec {
        command: String,
        handle: Handle,
        id: ChannelId,
    },
    Subsystem {
        name: String,
        handle: Handle,
        id: ChannelId,
    },
    /// Asked to listen here, or no longer.
    Listen {
        place: String,
        handle: Handle,
    },
    Cancel {
        place: String,
    },
    Data(Vec<u8>),
    Eof,
    Closed,
}

pub struct Server {
    pub port: u16,
    pub keys: Vec<PrivateKey>,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub directory: tempfile::TempDir,
}

impl Server {
    pub async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = mpsc::unbounded_channel();
        let keys = setup.keys.clone();
        tokio::spawn(serve(listener, setup, sender));
        Self { port, keys, seen, directory: tempfile::tempdir().unwrap() }
    }

    pub fn target(&self) -> Target {
        Target::parse(&format!("127.0.0.1:{}", self.port), 22).unwrap()
    }

    /// A known-hosts file of these lines; `HOST` stands for this server and `KEY` for its first key.
    pub fn known_hosts(&self, lines: &str) -> PathBuf {
        let path = self.directory.path().join("known_hosts");
        let key = self.keys[0].public_key().to_openssh().unwrap();
        let host = format!("[127.0.0.1]:{}", self.port);
        std::fs::write(&path, lines.replace("HOST", &host).replace("KEY", &key)).unwrap();
        path
    }

    pub fn policy(&self, lines: &str) -> HostKeyPolicy {
        HostKeyPolicy { known_hosts: vec![self.known_hosts(lines)], trust_first_use: None }
    }

    pub async fn connect(&self, lines: &str) -> Result<Connection, SshError> {
        within(connect(&[self.target()], &self.policy(lines))).await
    }

    /// Connected and logged in.
    pub async fn login(&self) -> Connection {
        let mut connection = self.connect("HOST KEY\n").await.unwrap();
        within(connection.authenticate("alice", &mut Script::new(&[]))).await.unwrap();
        connection
    }

    pub async fn next(&mut self) -> Seen {
        within(self.seen.recv()).await.unwrap()
    }

    /// A line to this server for one connection, and what can be done to it.
    pub async fn relay(&self) -> (u16, Relay) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = self.port;
        let (relay, mut orders) = mpsc::channel::<()>(1);
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let order = tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => None,
                order = orders.recv() => order,
            };
            // Dropped: the line is cut. Ordered to stop: it stays, but nothing passes any more.
            if order.is_some() {
                orders.recv().await;
            }
        });
        (port, Relay(relay))
    }

    /// The next command that runs.
    pub async fn exec(&mut self) -> (String, Handle, ChannelId) {
        loop {
            if let Seen::Exec { command, handle, id } = self.next().await {
                return (command, handle, id);
            }
        }
    }
}

/// Cut when it is dropped.
pub struct Relay(mpsc::Sender<()>);

impl Relay {
    /// Lets nothing pass any more, without a word.
    pub async fn stop(&self) {
        self.0.send(()).await.unwrap();
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

async fn serve(listener: TcpListener, setup: Setup, seen: mpsc::UnboundedSender<Seen>) {
    let config = Arc::new(server::Config {
        keys: setup.keys.clone(),
        certificates: setup.certificates.clone(),
        methods: MethodSet::from(setup.methods.as_slice()),
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        window_size: setup.window,
        ..server::Config::default()
    });
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let handler =
            Handler { setup: setup.clone(), steps: setup.steps.clone().into_iter(), asked: false, seen: seen.clone() };
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, stream, handler).await {
                let _ = session.await;
            }
        });
    }
}

struct Handler {
    setup: Setup,
    steps: std::vec::IntoIter<Step>,
    asked: bool,
    seen: mpsc::UnboundedSender<Seen>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, russh::Error> {
        Ok(self.setup.banner.clone())
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(if self.setup.password == Some(password) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let authorized = self.setup.authorized.as_ref().map(PublicKey::key_data);
        let sha1 = matches!(key.algorithm, Algorithm::Rsa { hash: None });
        Ok(if authorized == Some(key.public_key.key_data()) && !sha1 { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        if let Some(answers) = response
            && self.asked
        {
            let answers = answers.map(|answer| String::from_utf8(answer.to_vec()).unwrap()).collect();
            let _ = self.seen.send(Seen::Answers(answers));
        }
        self.asked = false;
        if !self.setup.methods.contains(&MethodKind::KeyboardInteractive) {
            let methods = MethodSet::from(self.setup.methods.as_slice());
            return Ok(Auth::Reject { proceed_with_methods: Some(methods), partial_success: false });
        }
        Ok(match self.steps.next() {
            Some(Step::Ask { name, instructions, prompts }) => {
                self.asked = true;
                let prompts: Vec<_> = prompts.into_iter().map(|(text, echo)| (Cow::Borrowed(text), echo)).collect();
                Auth::Partial {
                    name: Cow::Borrowed(name),
                    instructions: Cow::Owned(instructions),
                    prompts: Cow::Owned(prompts),
                }
            }
            Some(Step::Accept) => Auth::Accept,
            Some(Step::Reject) => {
                let methods = MethodSet::from(self.setup.methods.as_slice());
                Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
            }
            Some(Step::Partial(methods)) => {
                Auth::Reject { proceed_with_methods: Some(methods.as_slice().into()), partial_success: true }
            }
            Some(Step::HangUp) | None => return Err(russh::Error::Disconnect),
        })
    }

    async fn channel_open_session(
        &mut self,
        mut channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.setup.grant_session {
            // Kept, and read: the connection stands still when a channel's queue is full.
            tokio::spawn(async move { while channel.wait().await.is_some() {} });
            reply.accept().await;
        }
        Ok(())
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        assert_eq!(protocol, "MIT-MAGIC-COOKIE-1");
        let _ = self.seen.send(Seen::X11 { cookie: cookie.to_owned(), screen });
        if self.setup.grant_x11 { session.channel_success(id) } else { session.channel_failure(id) }
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        if !self.setup.grant_exec {
            return session.channel_failure(id);
        }
        if self.setup.answer_exec {
            session.channel_success(id)?;
        }
        let command = String::from_utf8(command.to_vec()).unwrap();
        let _ = self.seen.send(Seen::Exec { command, handle: session.handle(), id });
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.setup.grant_sftp {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        let _ = self.seen.send(Seen::Subsystem { name: name.to_owned(), handle: session.handle(), id });
        Ok(())
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, russh::Error> {
        let handle = session.handle();
        let _ = self.seen.send(Seen::Listen { place: path.to_owned(), handle: handle.clone() });
        if self.setup.eager {
            // Into the same segment as the answer, before it…
            session.channel_open_forwarded_streamlocal(path)?;
            // …and into the next.
            let path = path.to_owned();
            tokio::spawn(async move {
                let _ = handle.channel_open_forwarded_streamlocal(path).await;
            });
        }
        Ok(self.setup.grant_socket)
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, russh::Error> {
        let _ = self.seen.send(Seen::Cancel { place: path.to_owned() });
        Ok(true)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        let _ = self.seen.send(Seen::Listen { place: format!("{address}:{port}"), handle: session.handle() });
        *port = self.setup.grant_port.unwrap_or_default();
        Ok(self.setup.grant_port.is_some())
    }

    async fn cancel_tcpip_forward(&mut self, address: &str, port: u32, _: &mut Session) -> Result<bool, russh::Error> {
        let _ = self.seen.send(Seen::Cancel { place: format!("{address}:{port}") });
        Ok(true)
    }

    async fn data(&mut self, _: ChannelId, data: &[u8], _: &mut Session) -> Result<(), russh::Error> {
        let _ = self.seen.send(Seen::Data(data.to_vec()));
        Ok(())
    }

    async fn channel_eof(&mut self, _: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        let _ = self.seen.send(Seen::Eof);
        Ok(())
    }

    async fn channel_close(&mut self, _: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        let _ = self.seen.send(Seen::Closed);
        Ok(())
    }
}

/// A conversation that gives these answers and keeps what it was told.
pub struct Script {
    answers: VecDeque<&'static str>,
    pub heard: Vec<(AuthMessageType, String)>,
}

impl Script {
    pub fn new(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().copied().collect(), heard: Vec::new() }
    }

    pub fn texts(&self) -> Vec<&str> {
        self.heard.iter().map(|(_, text)| text.as_str()).collect()
    }
}

impl Conversation for Script {
    async fn message(&mut self, style: AuthMessageType, text: &str) -> Result<Option<Secret>, Cancelled> {
        self.heard.push((style, text.to_owned()));
        match style {
            AuthMessageType::Visible | AuthMessageType::Secret => match self.answers.pop_front() {
                Some("^C") => Err(Cancelled),
                Some("^D") => std::future::pending().await,
                Some(answer) => Ok(Some(Secret::new(answer).unwrap())),
                None => panic!("unexpected question {text:?}"),
            },
            AuthMessageType::Info | AuthMessageType::Error => Ok(None),
        }
    }
}
