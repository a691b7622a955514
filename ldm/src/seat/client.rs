//! The greeter's requests that are about the client and not about a login: servers, power, menu, facts.
//!
//! Each is answered once, like all others; those whose answer takes time keep the greeter waiting, as a login's do. An error
//! among them leaves a login that was begun alone.

use std::time::Duration;

use ldm_protocol::client::{Facts, Server, SoundTest, Transport};
use ldm_protocol::greetd::{Request, Response};
use ldm_protocol::{Failure, FailureKind, limits, text};
use tokio::time::Instant;

use super::machine::State;
use super::{Action, Seat, refusal};

/// What is known of the servers is not asked for anew within this time.
const FRESH: Duration = Duration::from_secs(10);

/// What came of an action that is about the client.
#[derive(Debug)]
pub enum Told {
    /// How a server is.
    Server(Server),
    /// All servers have been asked.
    ServersAsked,
    /// Whether the administrator's command could be started.
    Command(Result<(), String>),
    /// What became of [`Action::Power`].
    Power(PowerTold),
    /// How the sound test goes.
    Sound(SoundTest),
    /// A task of one of these has died, a defect; nothing more is to be heard of it.
    Died,
}

/// What became of [`Action::Power`].
#[derive(Debug)]
pub enum PowerTold {
    /// Nothing was done: these users are logged in here.
    Confirm(Vec<String>),
    /// It was done, or is about to be.
    Done,
    /// It was not; why.
    Failed(String),
}

/// What the seat knows of its client.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// A request that still waits for its answer.
    owed: Option<Owed>,
    /// What is known of servers, in no order.
    servers: Vec<Server>,
    asking: bool,
    asked: Option<Instant>,
    /// `LDM_SERVER`'s first, while another one is chosen.
    default_server: Option<String>,
    /// Of the last connection.
    transport: Option<Transport>,
    /// The last failure, and when it was.
    failure: Option<(Failure, Instant)>,
    sound: SoundTest,
    /// Who has typed their name; not a guest.
    person: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Command,
    Power,
}

impl Client {
    /// Nobody waits for an answer any more.
    pub(super) fn greeter_gone(&mut self) {
        self.owed = None;
    }

    /// What was agreed upon with the server. It is kept, and a worker that was taken over may say anything.
    pub(super) fn connected(&mut self, transport: Transport) {
        let line = |text: String| text::sanitise_line(&text, limits::SESSION_NAME);
        let Transport { server, software, key_exchange, host_key, cipher, mac } = transport;
        self.transport = Some(Transport {
            server: text::sanitise_line(&server, limits::SERVER),
            software: line(software),
            key_exchange: line(key_exchange),
            host_key: line(host_key),
            cipher: line(cipher),
            mac: line(mac),
        });
    }

    /// A login begins; of somebody who has typed this name, or of a guest.
    pub(super) fn begins(&mut self, person: Option<&str>) {
        self.person = person.map(str::to_owned);
    }

    /// For the help page. A mistyped password is no failure that anybody could be helped with, and would hide one.
    pub(super) fn failed(&mut self, failure: &Failure, now: Instant) {
        if failure.kind != FailureKind::Denied {
            self.failure = Some((failure.clone(), now));
        }
    }
}

/// Whether a request has nothing to do with a login.
pub(super) fn is_about_client(request: &Request) -> bool {
    matches!(
        request,
        Request::LdmServers
            | Request::LdmServer { .. }
            | Request::LdmMenu { .. }
            | Request::LdmPower { .. }
            | Request::LdmFacts
            | Request::LdmShown
            | Request::LdmSoundTest
            | Request::LdmAccess { .. }
            | Request::LdmLayout { .. }
    )
}

impl Seat {
    /// Looks at a request before it is obeyed. Whether it breaks the protocol and is not to be.
    pub(super) fn client_waits(&mut self, request: &Request) -> bool {
        if self.client.owed.take().is_none() {
            return false;
        }
        if matches!(request, Request::CancelSession) {
            self.misused("cancelled");
            return false;
        }
        self.report("the greeter broke the protocol: a request before the last one was answered".to_owned());
        self.act(Action::CloseLink);
        true
    }

    pub(super) fn client_request(&mut self, request: Request) {
        match request {
            Request::LdmServers => self.tell_servers(),
            Request::LdmServer { name } => self.use_server(name.as_ref()),
            Request::LdmMenu { number } => {
                let offered = self.policy.facts.menu.iter().any(|item| item.number == number);
                self.ask_system(offered, Owed::Command, Action::RunCommand(number));
            }
            Request::LdmPower { action, confirmed } => {
                let offered = self.policy.facts.power.contains(&action);
                self.ask_system(offered, Owed::Power, Action::Power { action, confirmed });
            }
            Request::LdmFacts => {
                let facts = Facts {
                    transport: self.client.transport.clone(),
                    failure: self.client.failure.clone().map(|(failure, at)| (failure, (self.now - at).as_secs())),
                    sound: self.client.sound.clone(),
                    ..Facts::default()
                };
                self.act(Action::Facts(Box::new(facts)));
            }
            Request::LdmShown => self.greeter_shown(),
            Request::LdmSoundTest if self.has_greeter() => {
                if self.client.sound != SoundTest::Playing {
                    self.client.sound = SoundTest::Playing;
                    self.act(Action::TestSound);
                }
                self.act(Action::Reply(Response::Success));
            }
            Request::LdmSoundTest => self.misused(NOT_NOW),
            Request::LdmLayout { group } if group < self.policy.layouts => {
                self.act(Action::UseLayout(group));
                self.act(Action::Reply(Response::Success));
            }
            Request::LdmLayout { .. } => self.misused("not offered"),
            Request::LdmAccess { access } => {
                // The next greeter begins with it.
                self.policy.facts.access = access;
                self.act(Action::SetAccess(access));
                self.act(Action::Reply(Response::Success));
            }
            _ => {}
        }
    }

    /// Whether a greeter is there that is not about to go.
    fn has_greeter(&mut self) -> bool {
        matches!(self.state, State::Greeting) || self.login().is_some()
    }

    fn ask_system(&mut self, offered: bool, owed: Owed, action: Action) {
        if !offered {
            return self.misused("not offered");
        }
        if !self.has_greeter() {
            return self.misused(NOT_NOW);
        }
        self.client.owed = Some(owed);
        self.act(action);
    }

    fn tell_servers(&mut self) {
        let known = &self.client.servers;
        let of = |name: &String| {
            let server = known.iter().find(|server| &server.name == name).cloned();
            server.unwrap_or_else(|| Server { name: name.clone(), ..Server::default() })
        };
        let servers: Vec<Server> = self.policy.facts.servers.iter().map(of).collect();
        let stale = self.client.asked.is_none_or(|at| self.now - at >= FRESH);
        if servers.len() > 1 && stale && !self.client.asking {
            self.client.asking = true;
            self.act(Action::ProbeServers);
        }
        self.act(Action::Reply(Response::LdmServers { servers }));
    }

    fn use_server(&mut self, name: Option<&String>) {
        if name.is_some_and(|name| !self.policy.facts.servers.contains(name)) {
            return self.misused("not offered");
        }
        if !matches!(self.state, State::Greeting) {
            return self.misused("a session is already being configured");
        }
        let alone = self.chosen.is_some();
        self.choose_server(name.cloned());
        // What was connected ahead is of use only if it leads there; what is still being connected, not to one server alone.
        let there = |server: Option<&String>| match name {
            Some(_) => server == name,
            None => server.is_some() || !alone,
        };
        if self.worker.as_ref().is_some_and(|worker| !there(worker.server.as_ref())) {
            self.drop_worker();
            self.prepare();
        }
        self.act(Action::Reply(Response::Success));
    }

    fn choose_server(&mut self, name: Option<String>) {
        let default = self.client.default_server.take().unwrap_or_else(|| self.policy.server.clone());
        self.policy.server = name.clone().unwrap_or_else(|| default.clone());
        self.client.default_server = Some(default);
        self.chosen.clone_from(&name);
        self.act(Action::UseServer(name));
    }

    /// Something that was asked of the system has been done, or not.
    pub(super) fn client_told(&mut self, told: Told) {
        match told {
            Told::Server(server) => {
                // The process that says it reads what the network sends.
                if self.policy.facts.servers.contains(&server.name) {
                    self.client.servers.retain(|known| known.name != server.name);
                    self.client.servers.push(server);
                }
            }
            Told::ServersAsked => {
                self.client.asking = false;
                self.client.asked = Some(self.now);
            }
            Told::Command(result) => self.system_answered(Owed::Command, FailureKind::CommandFailed, result.err()),
            Told::Power(PowerTold::Confirm(users)) => {
                if self.client.owed.take_if(|owed| *owed == Owed::Power).is_some() {
                    let users = users.iter().take(limits::LOGGED_IN);
                    let users = users.map(|user| text::sanitise_line(user, limits::USERNAME)).collect();
                    self.act(Action::Reply(Response::LdmConfirm { users }));
                }
            }
            Told::Power(PowerTold::Done) => self.system_answered(Owed::Power, FailureKind::PowerFailed, None),
            Told::Power(PowerTold::Failed(why)) => {
                self.system_answered(Owed::Power, FailureKind::PowerFailed, Some(why));
            }
            Told::Sound(sound) => {
                if let SoundTest::Failed(failure) = &sound {
                    self.report(format!("the sound test failed: {failure}"));
                }
                self.client.sound = sound;
            }
            Told::Died => {
                self.client.asking = false;
                if self.client.sound == SoundTest::Playing {
                    self.client.sound = SoundTest::None;
                }
                if self.client.owed.take().is_some() {
                    self.act(Action::Reply(refusal(Failure::new(FailureKind::Internal))));
                }
            }
        }
    }

    fn system_answered(&mut self, owed: Owed, kind: FailureKind, why: Option<String>) {
        let failure = why.map(|why| Failure::new(kind).detail(&why).sanitised());
        if let Some(failure) = &failure {
            self.report(failure.to_string());
            self.client.failed(failure, self.now);
        }
        // The greeter may have gone, or given up.
        if self.client.owed.take_if(|o| *o == owed).is_some() {
            self.act(Action::Reply(failure.map_or(Response::Success, refusal)));
        }
    }

    /// The session runs.
    pub(super) fn client_started(&mut self) {
        if let Some(name) = self.client.person.take().filter(|_| self.policy.remember_user) {
            self.policy.facts.username = Some(name.clone());
            self.act(Action::RememberUser(name));
        }
    }

    /// The session has ended: whoever comes next has chosen no server yet.
    pub(super) fn client_ended(&mut self) {
        if self.client.default_server.is_some() {
            self.choose_server(None);
            self.client.default_server = None;
        }
    }
}

const NOT_NOW: &str = "this is not the time for it";
