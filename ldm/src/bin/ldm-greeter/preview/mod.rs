//! `--preview`: a theme with made-up data, in a window or as pictures, and what is wrong with how it looks.
//!
//! There is no daemon and no link: [`fake`] answers. The window, the model and the theme are the greeter's own.

mod check;
mod contrast;
mod fake;
mod inspect;
mod lines;
mod measure;
mod patience;
mod place;
mod scenarios;
mod shot;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use gtk4::{gdk, gio, glib, prelude::*};

use ldm_protocol::greetd::Response;

use self::fake::Fake;
use self::scenarios::{Act, Scenario};
use crate::model::{Action, Event, Kept, Model};
use crate::screens::Screens;
use crate::theme::seen::Wrong;
use crate::theme::{self, Look};
use crate::window::Window;
use crate::{clock, field, i18n, monitors, timers};

/// Several files of a theme change at once when an editor saves them.
const RELOAD: Duration = Duration::from_millis(150);

/// What the command line says of previews.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, clippy::struct_field_names)] // Each is an option of its own, named as it is given.
pub(crate) struct Preview {
    /// Show a theme (a name or a folder) with made-up data; no daemon is needed
    #[arg(long, value_name = "THEME")]
    preview: Option<String>,
    /// What to show: a scenario's name, "main", "all", or "list" for their names
    #[arg(long, value_name = "NAME", requires = "preview")]
    scenario: Vec<String>,
    /// The language of the preview, such as "de"
    #[arg(long, value_name = "LANGUAGE", requires = "preview")]
    language: Option<String>,
    /// The size of the screen to show it on
    #[arg(long, value_name = "WxH", value_parser = size, default_value = "1024x768")]
    size: (i32, i32),
    /// Write a picture (PNG) and end; of several scenarios, into this folder
    #[arg(long, value_name = "FILE", requires = "preview")]
    screenshot: Option<PathBuf>,
    /// Pictures as JPEG, of which thousands fit a disk
    #[arg(long, requires = "preview", hide = true)]
    jpeg: bool,
    /// Say what is cut off or outside of the screen, and fail if anything is
    #[arg(long, requires = "preview")]
    check: bool,
    /// Print every text that is seen
    #[arg(long, requires = "preview", hide = true)]
    texts: bool,
    /// Print the names of all widgets, and their classes, as selectors
    #[arg(long, requires = "preview", hide = true)]
    names: bool,
    /// Say what is wrong with the theme in this folder, and fail if anything is
    #[arg(long, value_name = "DIR", conflicts_with = "preview")]
    check_theme: Option<PathBuf>,
}

fn size(text: &str) -> Result<(i32, i32), String> {
    let wrong = || "expected WIDTHxHEIGHT, such as 1024x768".to_owned();
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let number = |text: &str| text.parse().ok().filter(|length| (100..=16_384).contains(length));
    number(width).zip(number(height)).ok_or_else(wrong)
}

impl Preview {
    /// Whether this is a preview or a check and not a login.
    pub(crate) fn wanted(&self) -> bool {
        self.preview.is_some() || self.check_theme.is_some()
    }

    /// Shows or checks.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.scenario.iter().any(|name| name == "list") {
            let names: Vec<_> = scenarios::all().into_iter().map(|scenario| scenario.name).collect();
            out(&names.join("\n"));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(folder) = &self.check_theme {
            return check::run(folder);
        }
        gtk4::init()?;
        i18n::init();
        if let Some(language) = &self.language {
            anyhow::ensure!(i18n::begin(language), "there is no catalogue for {language}");
        }
        let display = gdk::Display::default().ok_or_else(|| anyhow::anyhow!("no display: is DISPLAY set?"))?;
        monitors::pretend(self.size);
        let chosen = self.chosen()?;
        if self.screenshot.is_some() || self.check || self.texts || self.names {
            self.batch(&display, chosen)
        } else {
            self.interactive(&display, chosen.into_iter().next().map(|scenario| scenario.name).unwrap_or_default());
            Ok(ExitCode::SUCCESS)
        }
    }

    fn chosen(&self) -> anyhow::Result<Vec<Scenario>> {
        let mut wanted: Vec<&str> = self.scenario.iter().map(String::as_str).collect();
        if wanted.is_empty() {
            wanted.push("name");
        }
        let mut all = scenarios::all();
        for name in &wanted {
            anyhow::ensure!(
                ["main", "all"].contains(name) || all.iter().any(|scenario| scenario.name == *name),
                "there is no scenario {name}: see --scenario list"
            );
        }
        let is = |name: &str| wanted.contains(&name);
        all.retain(|scenario| is("all") || is("main") && scenario.main || is(&scenario.name));
        Ok(all)
    }

    fn batch(&self, display: &gdk::Display, chosen: Vec<Scenario>) -> anyhow::Result<ExitCode> {
        still();
        let look = Rc::new(theme::apply(self.preview.as_deref(), display));
        let several = chosen.len() > 1 || self.scenario.iter().any(|name| name == "main" || name == "all");
        let (mut names, mut classes) = (BTreeSet::new(), BTreeSet::new());
        let mut wrong = false;
        for scenario in chosen {
            let (name, long) = (scenario.name.clone(), scenario.long);
            let stage = Stage::still(&look, scenario)?;
            let window = Stage::root()?;
            if let Some(path) = &self.screenshot {
                let suffix = if self.jpeg { "jpg" } else { "png" };
                let path = if several { path.join(format!("{name}.{suffix}")) } else { path.clone() };
                let picture = shot::take(&window, &shot::whole(self.size));
                let picture = picture.ok_or_else(|| anyhow::anyhow!("nothing was drawn"))?;
                let saved = if self.jpeg {
                    let pixels = gdk::pixbuf_get_from_texture(&picture);
                    let pixels = pixels.ok_or_else(|| anyhow::anyhow!("nothing was drawn"))?;
                    pixels.savev(&path, "jpeg", &[("quality", "82")]).map_err(|error| error.to_string())
                } else {
                    picture.save_to_png(&path).map_err(|error| error.to_string())
                };
                saved.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            }
            if self.check {
                let clipped = inspect::clipped(&window, self.size.0, self.size.1, long);
                for line in stage
                    .complaints()
                    .into_iter()
                    .chain(clipped)
                    .chain(lines::cut(&window))
                    .chain(lines::at_the_edge(&window, self.size.0))
                {
                    wrong = true;
                    out(&format!("{name}: {line}"));
                }
            }
            if self.texts {
                for (place, text) in inspect::words(&window) {
                    let whose = if stage.says(&place, &text) { "data" } else { "own" };
                    out(&format!("{name}\t{place}\t{whose}\t{text}"));
                }
            }
            inspect::names(&window, &mut names);
            inspect::classes(&window, &mut classes);
            stage.close();
        }
        if self.names {
            let names = names.iter().map(|name| format!("#{name}"));
            out(&names.chain(classes.iter().map(|class| format!(".{class}"))).collect::<Vec<_>>().join("\n"));
        }
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// A window that follows the theme's files, until Ctrl+Q or the end of the terminal's patience.
    fn interactive(&self, display: &gdk::Display, name: String) {
        let theme = self.preview.clone().unwrap_or_default();
        let shown: Rc<RefCell<Option<Shown>>> = Rc::default();
        let main = glib::MainLoop::new(None, false);
        let show = {
            let (display, shown, theme, main) = (display.clone(), Rc::clone(&shown), theme.clone(), main.clone());
            move || {
                if let Some((look, stage)) = shown.take() {
                    stage.close();
                    look.withdraw(&display);
                }
                let look = Rc::new(theme::apply(Some(&theme), &display));
                let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == name);
                let Some(scenario) = scenario else { return };
                match Stage::open(&look, scenario) {
                    Ok(stage) => {
                        if let Ok(window) = Stage::root() {
                            quits(&window, &main);
                        }
                        shown.replace(Some((look, stage)));
                    }
                    Err(error) => crate::say(&error.to_string()),
                }
            }
        };
        show();
        let _monitor = theme::folder::Folder::find(&theme).ok().and_then(|folder| follow(folder.path(), show));
        main.run();
    }
}

/// What an open preview shows.
type Shown = (Rc<Look>, Stage);

/// Ctrl+Q ends a preview.
fn quits(window: &gtk4::Window, main: &glib::MainLoop) {
    let keys = gtk4::EventControllerKey::new();
    keys.set_propagation_phase(gtk4::PropagationPhase::Capture);
    let main = main.clone();
    keys.connect_key_pressed(move |_, key, _, modifiers| {
        if key.to_lower() == gdk::Key::q && modifiers.contains(gdk::ModifierType::CONTROL_MASK) {
            main.quit();
        }
        glib::Propagation::Proceed
    });
    window.add_controller(keys);
}

/// Calls `changed` after the files of a folder have changed, as long as the monitor lives.
fn follow(folder: &Path, changed: impl Fn() + 'static) -> Option<gio::FileMonitor> {
    let file = gio::File::for_path(folder);
    let monitor = file.monitor_directory(gio::FileMonitorFlags::WATCH_MOVES, gio::Cancellable::NONE);
    let monitor = monitor.inspect_err(|error| crate::say(&format!("changes are not seen: {error}"))).ok()?;
    let changed = Rc::new(changed);
    let waiting = Rc::new(RefCell::new(false));
    monitor.connect_changed(move |_, _, _, _| {
        if waiting.replace(true) {
            return;
        }
        let (changed, waiting) = (Rc::clone(&changed), Rc::clone(&waiting));
        glib::timeout_add_local_once(RELOAD, move || {
            waiting.replace(false);
            changed();
            crate::say("the theme was read again");
        });
    });
    Some(monitor)
}

/// Nothing moves in a picture, and it is the same whenever it is taken.
fn still() {
    clock::stop();
    timers::stop();
    if let Some(settings) = gtk4::Settings::default() {
        settings.set_gtk_enable_animations(false);
        settings.set_gtk_cursor_blink(false);
    }
}

/// Wherever the pointer is, it points at nothing of this window, which is the active one.
fn leave_alone(root: &gtk4::Window) {
    let mut all = inspect::popovers(root.upcast_ref());
    all.push(root.clone().upcast());
    for native in all {
        native.set_can_target(false);
        // What is in it cannot be pointed at now; itself, it always can.
        native.unset_state_flags(gtk4::StateFlags::PRELIGHT);
        native.connect_state_flags_changed(|native, _| native.unset_state_flags(gtk4::StateFlags::PRELIGHT));
    }
    if let Some(surface) = root.surface().and_downcast::<gdk::Toplevel>() {
        // Without a window manager, the window under the pointer would be the active one.
        surface.focus(gdk::CURRENT_TIME);
    }
}

fn out(text: &str) {
    // A reader that is gone wants no more.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be seen as users see it, also where that is not this theme.
    Picture,
    /// To find out what is wrong.
    Check,
    /// Somebody makes a theme, and sees what it does.
    Use,
}

impl Purpose {
    /// The theme shows nothing.
    fn unseen(self, look: &Look, wrong: &Wrong) {
        match (self, look.complaint(wrong)) {
            (_, None) => {}
            // That is measured, of all that is to be seen.
            (Self::Check, Some(_)) if matches!(wrong, Wrong::Outside(_)) => {}
            (Self::Picture, Some(_)) => look.refuse(wrong),
            (Self::Check, Some(complaint)) => {
                out(&complaint);
                std::process::exit(1);
            }
            (Self::Use, Some(complaint)) => crate::say(&format!("theme not to be used: {complaint}")),
        }
    }
}

/// The greeter with a made-up daemon.
struct Stage(Rc<Inner>);

struct Inner {
    model: RefCell<Model>,
    window: OnceCell<Rc<Window>>,
    fake: RefCell<Fake>,
    complaints: RefCell<Vec<String>>,
    /// All that is not the greeter's own words.
    data: String,
}

impl Stage {
    /// Shows a scenario as it is to be seen in pictures, and waits until it is drawn.
    fn still(look: &Rc<Look>, scenario: Scenario) -> anyhow::Result<Self> {
        Self::new(look, scenario, Purpose::Picture)
    }

    /// The same to find out whether the theme is right. One that shows nothing ends that at once: there is nothing to look at.
    fn checked(look: &Rc<Look>, scenario: Scenario) -> anyhow::Result<Self> {
        let slow = format!("{}: nothing is seen of it for a minute: it takes too long to draw", scenario.name);
        patience::begin(look.complaint(&slow).unwrap_or(slow));
        Self::new(look, scenario, Purpose::Check)
    }

    /// Shows a scenario to somebody who may go on from there.
    fn open(look: &Rc<Look>, scenario: Scenario) -> anyhow::Result<Self> {
        Self::new(look, scenario, Purpose::Use)
    }

    fn new(look: &Rc<Look>, scenario: Scenario, purpose: Purpose) -> anyhow::Result<Self> {
        let data = format!("{:?} {}", scenario.fake, fake::USER);
        // Pictures do not show the keyboard of whoever takes them.
        field::pretend_locked((scenario.locks || purpose != Purpose::Use).then_some(scenario.locks));
        let inner = Rc::new(Inner {
            model: RefCell::new(Model::new(Kept::default(), None)),
            window: OnceCell::new(),
            fake: RefCell::new(scenario.fake),
            complaints: RefCell::default(),
            data,
        });
        let sender = Rc::downgrade(&inner);
        let send = move |event| {
            if let Some(inner) = sender.upgrade() {
                inner.step(event);
            }
        };
        let window = Window::new(look, &Screens::untouched(&fake::LAYOUTS), false, "", Rc::new(send))?;
        let window = inner.window.get_or_init(|| window);
        inner.step(Event::Opened);
        window.present(look);
        let shown = Rc::clone(look);
        window.watch(Rc::new(move |wrong| {
            if let Some(wrong) = wrong {
                purpose.unseen(&shown, &wrong);
            }
        }));
        let this = Self(Rc::clone(&inner));
        let root = Self::root()?;
        if purpose != Purpose::Use {
            leave_alone(&root);
        }
        this.settle(&root);
        for act in scenario.acts {
            this.act(&root, act);
        }
        Ok(this)
    }

    fn act(&self, root: &gtk4::Window, act: Act) {
        match act {
            Act::Event(event) => self.0.step(event),
            Act::Press(name) => self.press(inspect::find(root, name), name),
            Act::Open(name) => {
                // What this client does not have is not offered.
                if let Some(button) = inspect::find(root, name).filter(WidgetExt::is_mapped) {
                    self.press(Some(button), name);
                }
            }
            Act::PressIn(name, place) => {
                let buttons = inspect::find(root, name).map(|list| inspect::buttons(&list)).unwrap_or_default();
                self.press(buttons.into_iter().nth(place), name);
            }
        }
        self.settle(root);
    }

    fn settle(&self, root: &gtk4::Window) {
        if !shot::settle(root) {
            self.0.complaints.borrow_mut().push("something moves and does not come to rest".to_owned());
        }
    }

    fn press(&self, widget: Option<gtk4::Widget>, name: &str) {
        match widget.filter(WidgetExt::is_mapped).and_then(|widget| widget.downcast::<gtk4::Button>().ok()) {
            Some(button) => button.emit_clicked(),
            None => self.0.complaints.borrow_mut().push(format!("there is no button #{name} to press")),
        }
    }

    /// The window.
    fn root() -> anyhow::Result<gtk4::Window> {
        let windows = gtk4::Window::list_toplevels().into_iter().filter_map(|w| w.downcast::<gtk4::Window>().ok());
        let mut windows = windows.filter(|window| window.is_visible() && window.widget_name() == "greeter");
        windows.next().ok_or_else(|| anyhow::anyhow!("there is no window"))
    }

    /// Whether this text is data, or is made of nothing else. What has no spaces is shown with places to break it.
    fn says(&self, place: &str, text: &str) -> bool {
        let words = || text.split([' ', ',', '(', ')']).filter(|word| !word.is_empty());
        self.0.data.contains(&text.replace('\u{200b}', ""))
            || place == "#facts" && words().all(|word| self.0.data.contains(word))
    }

    fn complaints(&self) -> Vec<String> {
        self.0.complaints.borrow().clone()
    }

    fn close(self) {
        // What the user switched on is the display's, and would stay.
        let mut plain = Model::new(Kept::default(), None);
        plain.update(Event::Opened);
        plain.update(Event::Answered(Response::LdmSeat(Box::default())));
        if let Some(window) = self.0.window.get() {
            window.show(&plain);
        }
        if let Ok(window) = Self::root() {
            for popover in inspect::popovers(window.upcast_ref()) {
                popover.unparent();
            }
            window.destroy();
        }
    }
}

impl Inner {
    fn step(&self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.model.borrow_mut().update(event);
            for action in actions {
                match action {
                    Action::Send(request) => {
                        events.extend(self.fake.borrow_mut().answer(&request).map(Event::Answered));
                    }
                    Action::Fail(reason) => self.complaints.borrow_mut().push(reason.to_owned()),
                    Action::FirstLayout | Action::Quit | Action::Restart => {}
                }
            }
        }
        if let Some(window) = self.window.get() {
            window.show(&self.model.borrow());
        }
    }
}
