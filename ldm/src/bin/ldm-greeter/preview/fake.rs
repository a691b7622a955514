//! The daemon of a preview: answers what the greeter asks with made-up data. Nothing leaves the process.

use std::collections::VecDeque;

use ldm_protocol::client::{Elsewhere, Facts, Load, MenuItem, Power, Server, SoundTest, Transport};
use ldm_protocol::greetd::{Assistants, AuthMessageType, ErrorType, Request, Response, Seat, Sessions};
use ldm_protocol::helper::SessionEntry;
use ldm_protocol::{Failure, FailureKind};

/// What the daemon would know and say.
#[derive(Debug)]
pub(crate) struct Fake {
    /// Answer to the first question of all.
    pub(crate) seat: Seat,
    /// What the server says, one after the other; when it is used up, nothing comes any more.
    pub(crate) said: VecDeque<Response>,
    /// Offered after the login.
    pub(crate) sessions: Sessions,
    /// Users who are logged in here.
    pub(crate) users: Vec<String>,
    /// For the help page.
    pub(crate) facts: Facts,
}

/// The layouts of the made-up keyboard.
pub(crate) const LAYOUTS: [&str; 2] = ["us", "de"];

/// The name that users of a preview have.
pub(crate) const USER: &str = "alex.example";

/// The server that is made up.
const SERVER: &str = "school.example";

impl Fake {
    /// A school's client with several servers.
    pub(crate) fn new() -> Self {
        Self {
            seat: Seat {
                hostname: "room12-pc07".to_owned(),
                server: SERVER.to_owned(),
                power: vec![Power::Reboot, Power::ShutDown, Power::Suspend],
                ..Seat::default()
            },
            said: VecDeque::from([question(true, "Password: "), Response::Success]),
            sessions: sessions(),
            users: Vec::new(),
            facts: facts(),
        }
    }

    /// Everything that can be chosen.
    pub(crate) fn with_choices(mut self) -> Self {
        self.seat.servers = [SERVER, "library.example", "old.example"].map(str::to_owned).to_vec();
        self.seat.menu = vec![
            MenuItem { number: 0, name: "Test page".to_owned() },
            MenuItem { number: 1, name: "Network test".to_owned() },
        ];
        self.seat.assistants = Assistants { screen_reader: true, keyboard: true };
        self
    }

    /// What the daemon answers; `None`: nothing yet.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<Response> {
        Some(match request {
            Request::LdmHello { .. } => Response::LdmSeat(Box::new(self.seat.clone())),
            Request::CreateSession { .. } | Request::PostAuthMessageResponse { .. } | Request::LdmGuest => {
                return self.said.pop_front();
            }
            Request::LdmSessions => Response::LdmSessions(self.sessions.clone()),
            Request::StartSession { .. } => return None,
            Request::LdmServers => Response::LdmServers { servers: servers(&self.seat.servers) },
            Request::LdmPower { confirmed: false, .. } if !self.users.is_empty() => {
                Response::LdmConfirm { users: self.users.clone() }
            }
            Request::LdmFacts => Response::LdmFacts(Box::new(self.facts.clone())),
            _ => Response::Success,
        })
    }
}

/// The server asks.
pub(crate) fn question(secret: bool, text: &str) -> Response {
    let auth_message_type = if secret { AuthMessageType::Secret } else { AuthMessageType::Visible };
    Response::AuthMessage { auth_message_type, auth_message: text.to_owned(), server: Some(SERVER.to_owned()) }
}

/// The server says.
pub(crate) fn message(error: bool, text: &str) -> Response {
    let auth_message_type = if error { AuthMessageType::Error } else { AuthMessageType::Info };
    Response::AuthMessage { auth_message_type, auth_message: text.to_owned(), server: Some(SERVER.to_owned()) }
}

/// It failed.
pub(crate) fn failure(kind: FailureKind) -> Response {
    let error_type = if kind == FailureKind::Denied { ErrorType::AuthError } else { ErrorType::Error };
    Response::Error { error_type, description: String::new(), failure: Some(failed(kind)) }
}

/// The same with made-up facts.
pub(crate) fn failed(kind: FailureKind) -> Failure {
    let detail = match kind {
        FailureKind::HostKeyUnknown | FailureKind::HostKeyChanged | FailureKind::HostKeyRevoked => {
            "SHA256:uNiVztksCsDhcc0u9e8BrwMJoE3mDuKAOqlnKyXrTcU"
        }
        FailureKind::SessionTooShort => "startxfce4: cannot write to the home directory: No space left on device",
        _ => "No such file or directory",
    };
    Failure::new(kind).server(SERVER).session("xfce").detail(detail)
}

/// A session elsewhere.
pub(crate) fn elsewhere() -> Elsewhere {
    Elsewhere { client: "room03-pc01".to_owned(), since: 1_760_000_000, ..Elsewhere::default() }
}

fn servers(names: &[String]) -> Vec<Server> {
    let states = [(Some(true), Some(Load::Low)), (Some(true), Some(Load::High)), (Some(false), None)];
    let states = states.into_iter().cycle();
    names.iter().zip(states).map(|(name, (up, load))| Server { name: name.clone(), up, load }).collect()
}

fn sessions() -> Sessions {
    let entry = |id: &str, name: &str, comment: &str| SessionEntry {
        id: id.to_owned(),
        name: name.to_owned(),
        comment: Some(comment.to_owned()).filter(|comment| !comment.is_empty()),
    };
    Sessions {
        sessions: vec![
            entry("xfce", "Xfce", "Xfce Session"),
            entry("mate", "MATE", "MATE Desktop"),
            entry("icewm", "IceWM", ""),
            entry("kiosk", "Kiosk", "The library's catalogue"),
        ],
        languages: ["de_DE.UTF-8", "en_GB.UTF-8", "fr_FR.UTF-8", "ja_JP.UTF-8"].map(str::to_owned).to_vec(),
        language: Some("en_GB.UTF-8".to_owned()),
        ..Sessions::default()
    }
}

fn facts() -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: vec!["192.0.2.107".to_owned(), "2001:db8::107".to_owned()],
        mac: Some("02:00:00:00:01:07".to_owned()),
        transport: Some(Transport {
            server: SERVER.to_owned(),
            software: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7".to_owned(),
            key_exchange: "mlkem768x25519-sha256".to_owned(),
            host_key: "ssh-ed25519".to_owned(),
            cipher: "aes128-gcm@openssh.com".to_owned(),
            mac: String::new(),
        }),
        failure: Some((failed(FailureKind::ServerUnreachable), 1_760_000_000)),
        sound: SoundTest::None,
    }
}
