//! Session workers, and what they are told of the session to start.

use ldm_protocol::helper::DirectDisplay;
use ldm_protocol::{Failure, FailureKind};
use tokio::sync::mpsc;

use super::{COMMANDS, Driver, Event, Input, Part, own_language};
use crate::seat::worker_link::Worker;
use crate::seat::{Choice, Limit, allow};
use crate::worker::protocol::{self, Command, Connect, Start};

impl Driver {
    pub(super) fn start_worker(&mut self, id: u64, servers: Vec<String>) {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let events = self.events.clone();
        let local = self.pair_for_local();
        match Worker::start(id, &self.worker_account, self.config.log_level, local) {
            Ok(worker) => {
                self.to_worker = Some((id, commands));
                self.spawn(Part::Worker(id), worker.serve(events, queue));
                let mut connect = self.connect();
                if !servers.is_empty() {
                    connect.servers = servers;
                }
                self.tell_worker(Command::Connect(connect));
            }
            Err(error) => {
                tracing::error!(%error, "no session worker");
                let failure = Failure::new(FailureKind::Internal).detail(&error.to_string());
                self.spawn(Part::Worker(id), async move {
                    let event = Event::Worker(id, protocol::Event::Failed(failure));
                    let _ = events.send(Input::Seat(event)).await;
                });
            }
        }
    }

    fn connect(&self) -> Connect {
        let config = &self.config;
        Connect {
            servers: self.servers(),
            port: config.port,
            known_hosts: config.known_hosts.clone(),
            trust_first_use: config.trust_first_use.clone(),
            locale: config.greeter_language().cloned().or_else(own_language),
            want_info: config.force_session.is_none() || allow::checks_users(config),
            checked: allow::checks_users(config),
            want_sound: config.sound,
        }
    }

    pub(super) fn tell_worker(&mut self, command: Command) {
        let Some((id, worker)) = &self.to_worker else { return };
        if worker.try_send(command).is_err() {
            // Gone, which its task reports; or hung, which letting go of it ends.
            tracing::warn!(worker = id, "the session worker takes no commands");
            self.to_worker = None;
        }
    }

    pub(super) fn start_session(&mut self, choice: Choice) {
        if let Some(missing) = choice.missing_default {
            let place = self.config.place("LDM_SESSION").map(|place| format!("{place}: ")).unwrap_or_default();
            tracing::warn!(session = missing, "{place}the server has no session of LDM_SESSION; another is started");
        }
        if let Some(missing) = choice.missing_language {
            tracing::warn!(language = missing, "the server has no such language; the session gets another");
        }
        tracing::info!(session = choice.session.as_deref().unwrap_or("default"), "starting the session");
        let display = self.display.clone().unwrap_or_default();
        let direct = display.cookie.filter(|_| self.config.directx).map(|cookie| DirectDisplay {
            // The worker puts this machine's address before it, as the server sees it.
            display: display.name.clone(),
            cookie: crate::xauth::Cookie::from(cookie).to_hex().to_string(),
        });
        let xsession = self.config.xsession.clone();
        let card_is_free = self.end_sound_test();
        let services = protocol::Services { sound: self.start_sound(card_is_free), ..self.services() };
        let keyboard = self.session_keyboard();
        self.tell_start(Command::Start(Box::new(Start {
            session: choice.session,
            remember: choice.remember,
            language: choice.language,
            xsession,
            display,
            direct,
            services,
            remember_language: choice.remember_language,
            language_is_default: choice.language_is_default,
            env: self.config.client_env.clone(),
            keyboard,
            access: self.access,
            end_others: Limit::of(&self.config) != Limit::Off,
            end_only: choice.end_only,
        })));
    }
}
