//! What a session gets besides its windows, as the configuration has it.

use std::os::fd::OwnedFd;

use ldm_protocol::helper::UserRecord;
use ldm_protocol::{Failure, FailureKind};
use tokio::sync::oneshot;

use super::{Driver, Event, Input, Part, own_language};
use crate::audio::{self, Sound};
use crate::local_session::{self, Orders};
use crate::seat::local_link::{self, Local};
use crate::worker::protocol::{self, Menu, Services};

impl Driver {
    pub(super) fn services(&self) -> Services {
        let config = &self.config;
        Services {
            sound: None,
            local_apps: config.local_apps,
            menu: (config.local_apps && config.local_apps_menu)
                .then(|| Menu { items: config.local_apps_menu_items.clone() }),
            open: config.local_apps && !config.local_apps_open.is_empty(),
            remote_apps: config.remote_apps,
        }
    }

    /// Sound for the session that begins, if there is to be any; its daemon is started when `after` has closed.
    pub(super) fn start_sound(&mut self, after: Option<oneshot::Receiver<()>>) -> Option<protocol::Sound> {
        let config = &self.config;
        if !config.sound {
            return None;
        }
        let settings = audio::Settings {
            daemon: config.sound_daemon.clone(),
            volume: Some((config.volume, config.mic_volume)),
            microphone: config.microphone,
            local: config.local_apps,
        };
        match Sound::prepare(settings, &self.worker_account, self.directory.path()) {
            Ok((sound, task)) => {
                let told = protocol::Sound { socket: sound.socket().to_owned(), microphone: self.config.microphone };
                self.sound = Some(sound);
                self.spawn(Part::Sound, async move {
                    if let Some(after) = after {
                        let _ = after.await;
                    }
                    task.await;
                });
                Some(told)
            }
            Err(error) => {
                tracing::error!(%error, "the session gets no sound");
                self.announce(&Failure::new(FailureKind::NoSound).detail(&error.to_string()));
                None
            }
        }
    }

    /// The worker's end of the socket pair to a local session; ours is kept until that is started.
    pub(super) fn pair_for_local(&mut self) -> Option<OwnedFd> {
        self.local_end = None;
        if !self.config.local_apps {
            return None;
        }
        match local_link::pair() {
            Ok((ours, theirs)) => {
                self.local_end = Some(ours);
                Some(theirs)
            }
            Err(error) => {
                tracing::error!(%error, "no socket pair: programs cannot be started here");
                None
            }
        }
    }

    pub(super) fn start_local(&mut self, id: u64, login: String, user: Option<Box<UserRecord>>) {
        let (stop, stopped) = oneshot::channel();
        self.stop_local = Some(stop);
        let started = match (self.local_end.take(), user) {
            (None, _) => Err("there is no connection to the session worker".to_owned()),
            (Some(end), None) => {
                let why = "the server has no ldm-server-helper of this version, which would say who the user is";
                local_session::refuse(end, why);
                Err(why.to_owned())
            }
            (Some(end), Some(user)) => Local::start(&self.orders(login, *user), end, self.config.log_level),
        };
        let (events, directory) = (self.events.clone(), self.directory.base().to_owned());
        self.spawn(Part::Local(id), async move {
            let why = match started {
                Ok(local) => local.serve(stopped).await,
                Err(why) => Some(why),
            };
            // One that was killed has left everything.
            let _ = tokio::task::spawn_blocking(move || local_session::sweep(&directory)).await;
            let _ = events.send(Input::Seat(Event::LocalExited(id, why))).await;
        });
    }

    fn orders(&self, login: String, user: UserRecord) -> Orders {
        let config = &self.config;
        let display = self.display.clone().unwrap_or_default();
        Orders {
            user,
            login,
            display: display.name,
            cookie: display.cookie,
            allowed: config.local_apps_whitelist.clone(),
            groups: config.local_apps_groups.clone(),
            extra_mounts: config.local_apps_extra_mounts.clone(),
            follow_symlinks: config.follow_symlinks,
            open: config.local_apps_open.clone(),
            language: config
                .force_language
                .clone()
                .or(config.language.clone())
                .or(config.lang.clone())
                .or_else(own_language),
            vt: config.vt,
            sound: self.sound.as_ref().map(|sound| sound.socket().to_owned()),
            directory: self.directory.base().to_owned(),
            worker: self.worker_account.uid,
        }
    }
}
