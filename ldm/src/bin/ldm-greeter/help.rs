//! The help page: what a help desk asks for, also as a picture that a telephone can read. Never a secret, nothing that was typed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::gdk;
use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use ldm_protocol::client::{Facts, SoundTest};
use qrcodegen::{QrCode, QrCodeEcc};

use crate::i18n::{fill, gettext};
use crate::model::{Event, Model};
use crate::monitors::Room;
use crate::window::{Missing, get, set};
use crate::{clock, failure, page, said};

const FACT: &str = include_str!("fact.ui");

/// Letters in a line of a fact, at least; and on a very small monitor, where large ones need the same room.
const LETTERS: (i32, i32) = (26, 14);

/// White modules around the code (ISO/IEC 18004).
const QUIET: i32 = 4;

/// The page.
pub(crate) struct Help {
    page: gtk4::Box,
    title: gtk4::Label,
    area: gtk4::ScrolledWindow,
    columns: gtk4::Box,
    facts: gtk4::ListBox,
    qr: gtk4::Picture,
    qr_spoken: gtk4::Label,
    sound_test: gtk4::Button,
    sound_result: gtk4::Label,
    close: gtk4::Button,
    /// What stands in the list.
    shown: RefCell<Vec<(String, String)>>,
    /// What the picture says.
    code: RefCell<String>,
    /// Pixels of a module's side.
    scale: Cell<i32>,
    /// Letters that a fact has room for at least.
    letters: Cell<i32>,
    send: Rc<dyn Fn(Event)>,
    asking: Cell<bool>,
}

impl Help {
    /// Takes the page over.
    pub(crate) fn new(ui: &gtk4::Builder, send: &Rc<dyn Fn(Event)>) -> Result<Rc<Self>, Missing> {
        let this = Rc::new(Self {
            page: get(ui, "help")?,
            title: get(ui, "help-title")?,
            area: get(ui, "help-area")?,
            columns: get(ui, "help-columns")?,
            facts: get(ui, "facts")?,
            qr: get(ui, "qr")?,
            qr_spoken: get(ui, "qr-spoken")?,
            sound_test: get(ui, "sound-test")?,
            sound_result: get(ui, "sound-result")?,
            close: get(ui, "help-close")?,
            shown: RefCell::new(Vec::new()),
            code: RefCell::new(String::new()),
            scale: Cell::new(4),
            letters: Cell::new(LETTERS.0),
            send: Rc::clone(send),
            asking: Cell::new(false),
        });
        for button in [&this.sound_test, &this.close] {
            page::shorten(button);
        }
        let test = Rc::clone(send);
        this.sound_test.connect_clicked(move |_| test(Event::SoundTest));
        this.area.vadjustment().connect_changed(clone!(
            #[weak]
            this,
            move |_| {
                // Not now: it is being given its place.
                glib::idle_add_local_once(clone!(
                    #[weak]
                    this,
                    move || this.fit()
                ));
            }
        ));
        let close = Rc::clone(send);
        this.close.connect_clicked(move |_| close(Event::Back));
        Ok(this)
    }

    /// The texts, in the language in use.
    pub(crate) fn set_texts(&self) {
        set(&self.title, &gettext("Help"));
        self.sound_test.set_label(&gettext("Test the sound"));
        self.close.set_label(&gettext("Close"));
        // Translators: of a QR code, for those who cannot see it.
        set(&self.qr_spoken, &gettext("The same as a picture for the telephone of the help desk"));
    }

    /// How much room there is.
    pub(crate) fn set_room(&self, room: Room) {
        self.columns.set_orientation(if room.compact {
            gtk4::Orientation::Vertical
        } else {
            gtk4::Orientation::Horizontal
        });
        self.scale.set(if room.compact { 3 } else { 4 });
        self.letters.set(if room.tiny { LETTERS.1 } else { LETTERS.0 });
        self.shown.take();
        self.code.replace(String::new());
    }

    /// Opens or closes it.
    pub(crate) fn set_visible(&self, visible: bool) {
        self.page.set_visible(visible);
    }

    /// Gives it the keyboard.
    pub(crate) fn grab_focus(&self) {
        self.close.grab_focus();
    }

    /// Turns this many pages.
    pub(crate) fn scroll(&self, pages: f64) {
        said::turn(&self.area, pages);
    }

    /// What is scrolled asks for the height that it has without a broken line. So it is made to ask for what it needs at the
    /// width it got; where that is more than there is, it scrolls.
    fn fit(&self) {
        let width = self.area.width();
        if width > 0 {
            self.columns.set_height_request(-1);
            let (_, height, _, _) = self.columns.measure(gtk4::Orientation::Vertical, width);
            self.columns.set_height_request(height);
        }
    }

    /// Fills it with what is known now.
    pub(crate) fn show(self: &Rc<Self>, model: &Model) {
        let rows = rows(model);
        if *self.shown.borrow() != rows {
            while let Some(row) = self.facts.first_child() {
                self.facts.remove(&row);
            }
            for (name, value) in &rows {
                if let Some(row) = row(name, value, self.letters.get()) {
                    self.facts.append(&row);
                }
            }
            self.shown.replace(rows);
        }
        let text = report(model, clock::now().and_then(|now| now.to_utc().ok()));
        if *self.code.borrow() != text {
            self.qr.set_paintable(picture(&text, self.scale.get()).as_ref());
            self.code.replace(text);
        }
        self.sound_test.set_visible(model.offers_sound_test());
        let sound = model.facts().map_or(&SoundTest::None, |facts| &facts.sound);
        let told = match sound {
            SoundTest::None => String::new(),
            SoundTest::Playing => gettext("A tone is being played…"),
            SoundTest::Played => gettext("The tone has been played. If you heard nothing, turn the volume up."),
            SoundTest::Failed(failure) => failure.text(gettext),
        };
        self.sound_result.set_visible(!told.is_empty());
        set(&self.sound_result, &told);
        if *sound == SoundTest::Playing && !self.asking.replace(true) {
            glib::timeout_add_local_once(
                std::time::Duration::from_millis(500),
                clone!(
                    #[weak(rename_to = this)]
                    self,
                    move || {
                        this.asking.set(false);
                        if this.page.is_visible() {
                            (this.send)(Event::FactsWanted);
                        }
                    }
                ),
            );
        }
    }
}

/// Name and value of each fact.
fn rows(model: &Model) -> Vec<(String, String)> {
    let none = Facts::default();
    let facts = model.facts().unwrap_or(&none);
    let seat = model.seat();
    let mut rows = vec![
        // Translators: names of facts about this computer, on the help page.
        (gettext("This computer"), seat.map(|seat| seat.hostname.clone()).unwrap_or_default()),
        (gettext("Addresses"), facts.addresses.join("\n")),
        (gettext("Hardware address"), facts.mac.clone().unwrap_or_default()),
        (gettext("Server"), model.last_server().unwrap_or_default().to_owned()),
        (gettext("Version of LDM"), versions(facts)),
    ];
    if let Some(transport) = &facts.transport {
        let algorithms = [&transport.key_exchange, &transport.host_key, &transport.cipher, &transport.mac];
        let algorithms: Vec<&str> =
            algorithms.into_iter().map(String::as_str).filter(|algorithm| !algorithm.is_empty()).collect();
        rows.push((gettext("Last connected to"), format!("{} ({})", transport.server, transport.software)));
        rows.push((gettext("Encryption"), algorithms.join(", ")));
    }
    if let Some((kind, time)) = last_failure(model) {
        let code = failure::code(kind);
        let text = time.map_or(code.clone(), |time| {
            // Translators: the code of an error and when it was.
            fill(&fill(&gettext("{code} on {time}"), "time", &time), "code", &code)
        });
        rows.push((gettext("Last error"), text));
    }
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

fn versions(facts: &Facts) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if facts.version.is_empty() || facts.version == own { own.to_owned() } else { format!("{} ({own})", facts.version) }
}

fn last_failure(model: &Model) -> Option<(ldm_protocol::FailureKind, Option<String>)> {
    let known = model.facts().and_then(|facts| facts.failure.as_ref());
    let told = known.map(|(failure, time)| {
        let time = i64::try_from(*time).ok().and_then(|time| glib::DateTime::from_unix_local(time).ok());
        (failure.kind, time.and_then(|time| time.format("%Y-%m-%d %H:%M:%S").ok()).map(Into::into))
    });
    told.or_else(|| model.last_failure().map(|failure| (failure.kind, None)))
}

/// What the help desk reads, the same in every language.
fn report(model: &Model, now: Option<glib::DateTime>) -> String {
    let none = Facts::default();
    let facts = model.facts().unwrap_or(&none);
    let seat = model.seat();
    let (kind, failed) = last_failure(model).map_or((String::new(), None), |(kind, time)| (failure::code(kind), time));
    // To the minute, so that it is not another picture every second.
    let now = now.and_then(|now| now.format("%Y-%m-%dT%H:%MZ").ok()).map(String::from).unwrap_or_default();
    [
        ("host", seat.map(|seat| seat.hostname.clone()).unwrap_or_default()),
        ("address", facts.addresses.first().cloned().unwrap_or_default()),
        ("mac", facts.mac.clone().unwrap_or_default()),
        ("server", model.last_server().unwrap_or_default().to_owned()),
        ("error", kind),
        ("error-time", failed.unwrap_or_default()),
        ("time", now),
        ("ldm", versions(facts)),
        ("ssh", facts.transport.as_ref().map(|transport| transport.software.clone()).unwrap_or_default()),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .fold(String::new(), |text, (name, value)| text + name + ": " + value + "\n")
}

/// The QR code of a text; `None`: it is too long for one.
fn picture(text: &str, scale: i32) -> Option<gdk::MemoryTexture> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let side = (code.size() + 2 * QUIET) * scale;
    let mut pixels = Vec::with_capacity(usize::try_from(side * side * 3).ok()?);
    for y in 0..side {
        for x in 0..side {
            let dark = code.get_module(x / scale - QUIET, y / scale - QUIET);
            pixels.extend([if dark { 0 } else { u8::MAX }; 3]);
        }
    }
    let stride = usize::try_from(side * 3).ok()?;
    Some(gdk::MemoryTexture::new(side, side, gdk::MemoryFormat::R8g8b8, &glib::Bytes::from_owned(pixels), stride))
}

/// Each from its own copy of `fact.ui`: there its label becomes its accessible name.
fn row(name: &str, value: &str, letters: i32) -> Option<gtk4::ListBoxRow> {
    let ui = gtk4::Builder::from_string(FACT);
    ui.object::<gtk4::Label>("value")?.set_width_chars(letters);
    for (label, text) in [("name", name), ("value", value), ("spoken", &format!("{name}: {value}"))] {
        let label: gtk4::Label = ui.object(label)?;
        label.set_text(text);
    }
    ui.object("row")
}

#[cfg(test)]
mod tests {
    use ldm_protocol::client::Transport;
    use ldm_protocol::greetd::{AuthMessageType, ErrorType, Response, Seat};
    use ldm_protocol::{Failure, FailureKind, Secret};

    use super::*;
    use crate::model::Kept;

    #[test]
    fn the_report_has_what_a_help_desk_asks_for_and_nothing_that_was_typed() {
        let mut model = Model::new(Kept::default(), None);
        let failure = Failure::new(FailureKind::ServerSilent).server("srv");
        model.update(Event::Opened);
        model.update(Event::Answered(Response::LdmSeat(Box::new(Seat {
            hostname: "tc1".into(),
            server: "srv".into(),
            ..Seat::default()
        }))));
        model.update(Event::Answered(Response::LdmFacts(Box::new(Facts {
            version: "9.8".into(),
            addresses: vec!["192.0.2.7".into(), "2001:db8::7".into()],
            mac: Some("02:00:00:00:00:07".into()),
            failure: Some((failure, 1_790_000_000)),
            transport: Some(Transport {
                server: "first".into(),
                software: "SSH-2.0-OpenSSH_9.2p1".into(),
                key_exchange: "curve25519-sha256".into(),
                host_key: "ssh-ed25519".into(),
                cipher: "aes128-gcm@openssh.com".into(),
                // The cipher is one that needs none.
                mac: String::new(),
            }),
            ..Facts::default()
        }))));
        model.update(Event::Submitted(Secret::new("alice-typed-this").unwrap()));
        let now = glib::DateTime::from_utc(2026, 11, 20, 16, 5, 9.0).ok();
        let text = report(&model, now);
        for want in [
            "host: tc1\n",
            "address: 192.0.2.7\n",
            "server: srv\n",
            "error: server_silent\n",
            "time: 2026-11-20T16:05Z\n",
            "ssh: SSH-2.0-OpenSSH_9.2p1\n",
        ] {
            assert!(text.contains(want), "{want} is not in {text}");
        }
        assert!(text.contains("9.8") && !text.contains("alice"), "{text}");
        for (name, value) in [
            ("Last connected to", "first (SSH-2.0-OpenSSH_9.2p1)"),
            ("Encryption", "curve25519-sha256, ssh-ed25519, aes128-gcm@openssh.com"),
        ] {
            assert!(rows(&model).contains(&(name.into(), value.into())), "{name}: {:?}", rows(&model));
        }
        assert!(rows(&model).iter().all(|(name, value)| !name.is_empty() && !value.contains("alice")));
        assert!(QrCode::encode_text(&text, QrCodeEcc::Medium).is_ok());
        // The one that answers, and not the one that was to.
        model.update(Event::Answered(Response::AuthMessage {
            auth_message_type: AuthMessageType::Secret,
            auth_message: "Password: ".into(),
            server: Some("other".into()),
        }));
        assert!(report(&model, None).contains("server: other\n"));
        assert!(rows(&model).iter().any(|(_, value)| value == "other"));
        // Nor anything of an answer, on its way or refused, on the page or in the picture.
        let parts = |text: &str, answer: &str| {
            answer.as_bytes().windows(3).any(|part| {
                let part = String::from_utf8_lossy(part).into_owned();
                text.contains(&part)
            })
        };
        let answer = "qZ7xKw9v";
        for event in [
            Event::Submitted(Secret::new(answer).unwrap()),
            Event::Answered(Response::Error {
                error_type: ErrorType::AuthError,
                description: String::new(),
                failure: Some(Failure::new(FailureKind::Denied)),
            }),
        ] {
            model.update(event);
            model.update(Event::Help);
            let text = report(&model, None) + &format!("{:?}", rows(&model));
            assert!(!parts(&text, answer) && parts(&format!("{text}{answer}"), answer), "{text}");
        }
    }
}
