//! `ldm-greeter`: asks the user what the server wants to know.
//!
//! Runs on the client as user `ldm-greeter`, started by `ldm` (or any greetd) with `GREETD_SOCK` set. It trusts the daemon at
//! the other end of that socket and nothing it relays, opens no network connection and starts no program but itself.

mod access;
mod ahead;
mod aids;
mod announce;
mod bar;
mod catalogue;
mod choices;
mod chooser;
mod clock;
mod density;
mod edge;
mod failure;
mod field;
mod fonts;
mod help;
mod i18n;
mod icons;
mod keyboard;
mod keys;
mod languages;
mod link;
mod menu;
mod model;
mod monitors;
mod page;
mod pam_words;
mod preview;
mod question;
mod said;
mod screens;
mod setup;
mod sleep;
mod theme;
mod timers;
mod window;
mod xserver;

use std::cell::{OnceCell, RefCell};
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use gtk4::{gdk, glib};
use ldm_protocol::greetd::Response;

use crate::link::Link;
use crate::model::{Action, Event, Model};
use crate::screens::Screens;
use crate::window::Window;
use crate::xserver::Connected;

/// The program's name, in logs and for assistive programs.
const NAME: &str = "ldm-greeter";

/// The login screen of LDM.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A theme's name, or its folder (also LDM_THEME)
    #[arg(long)]
    theme: Option<String>,
    /// Serve screen readers and other assistive programs (also LDM_GREETER_A11Y=1)
    #[arg(long)]
    accessible: bool,
    /// What a daemon that is a plain greetd starts after the login
    #[arg(long, value_name = "COMMAND")]
    cmd: Option<String>,
    /// Tell what is in LDM_NOTICE over a session that runs; the daemon does that
    #[arg(long, hide = true)]
    notice: bool,
    /// Draw what standard input has, for a place of this size; the greeter starts itself so
    #[arg(long, hide = true)]
    draw: Option<theme::drawing::Place>,
    #[command(flatten)]
    preview: preview::Preview,
}

/// One line for the log. Never a secret: nothing that was typed is passed here.
pub(crate) fn say(text: &str) {
    // A log that is gone is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{NAME}: {}", ldm_protocol::text::sanitise_line(text, 1024));
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(place) = args.draw {
        return theme::drawing::serve(place);
    }
    let connected = xserver::connect();
    if let Err(error) = setup::ensure(args.accessible || setup::accessible(), &connected) {
        say(&format!("goes on without the light set-up: {error}"));
    }
    let ended =
        if args.preview.wanted() { args.preview.run() } else { run(args, connected).map(|()| ExitCode::SUCCESS) };
    match ended {
        Ok(code) => code,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Model, window and link, each with its own job, and the way from one to the other.
struct Greeter {
    model: RefCell<Model>,
    window: OnceCell<Rc<Window>>,
    link: Rc<RefCell<Link>>,
    screens: Rc<Screens>,
    /// `--accessible`.
    accessible: bool,
}

fn run(args: Args, connected: Connected) -> anyhow::Result<()> {
    glib::set_prgname(Some(NAME));
    // What assistive programs call the greeter.
    glib::set_application_name(NAME);
    if args.notice {
        let theme = args.theme.or_else(setup::theme);
        return announce::run(theme.as_deref());
    }
    let link = Rc::new(RefCell::new(Link::open(setup::inherits_link())?));
    gtk4::init()?;
    i18n::init();
    let display = gdk::Display::default().ok_or_else(|| anyhow::anyhow!("no display: is DISPLAY set?"))?;
    let theme = args.theme.or_else(setup::theme);
    let look = Rc::new(theme::apply(theme.as_deref(), &display));
    let kept = setup::kept();
    let username = kept.username.clone();
    let screens = Screens::new(connected);
    let greeter = Rc::new(Greeter {
        model: RefCell::new(Model::new(kept, args.cmd)),
        window: OnceCell::new(),
        link: Rc::clone(&link),
        screens: Rc::clone(&screens),
        accessible: args.accessible,
    });
    let sender = Rc::clone(&greeter);
    let window = Window::new(&look, &screens, args.accessible, &username, Rc::new(move |event| sender.step(event)))?;
    let window = greeter.window.get_or_init(|| window);
    let receiver = Rc::clone(&greeter);
    link::watch(
        &link,
        Rc::new(move |response| match response {
            Ok(response) => receiver.answered(response),
            Err(error) => fail(&error.to_string()),
        }),
    );
    greeter.step(Event::Opened);
    window.present(&look);
    let sender = Rc::clone(&greeter);
    window.watch(Rc::new(move |wrong| match wrong {
        None => sender.step(Event::Shown),
        Some(wrong) => look.refuse(&wrong),
    }));
    glib::MainLoop::new(None, false).run();
    Ok(())
}

impl Greeter {
    fn answered(&self, response: Response) {
        // A question is not for what somebody has typed who is not there any more.
        if let Some(window) = self.window.get() {
            window.look_whether_idle();
        }
        self.step(Event::Answered(response));
    }

    fn step(&self, event: Event) {
        let actions = self.model.borrow_mut().update(event);
        for action in actions {
            match action {
                Action::Send(request) => {
                    if let Err(error) = self.link.borrow_mut().send(request) {
                        fail(&error.to_string());
                    }
                }
                Action::FirstLayout => {
                    if let Some(keyboard) = self.screens.keyboard() {
                        keyboard.lock(0);
                    }
                }
                // At once: the daemon waits for this process to be gone, and there is nothing to save.
                Action::Quit => {
                    self.screens.leave();
                    std::process::exit(0)
                }
                Action::Fail(reason) => fail(reason),
                Action::Restart => self.restart(),
            }
        }
        if let Some(window) = self.window.get() {
            window.show(&self.model.borrow());
        }
    }

    fn restart(&self) {
        let typed = self.window.get().and_then(|window| window.name_typed());
        let kept = self.model.borrow().kept(typed);
        let error = match self.link.borrow().descriptor() {
            Ok(descriptor) => {
                let reader = self.window.get().is_some_and(|window| window.aids.wants_reader());
                setup::restart(descriptor, &kept, self.accessible || reader)
            }
            Err(error) => error,
        };
        say(&format!("cannot start again: {error}"));
    }
}

/// Ends the greeter; the daemon starts another one.
fn fail(reason: &str) -> ! {
    say(reason);
    std::process::exit(1)
}
