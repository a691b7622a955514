//! What happens by itself: the guest's countdown, what is dropped when nobody is there, and the look at the servers.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gtk4::glib::{self, clone};
use gtk4::prelude::*;
use ldm::sys;

use crate::bar::Bar;
use crate::model::{Event, Model};
use crate::setup;

/// How often the list of servers is looked at while it is open.
const SERVERS: Duration = Duration::from_secs(3);

thread_local! {
    static STOPPED: Cell<bool> = const { Cell::new(false) };
}

/// For pictures: nothing happens by itself, however long it takes to draw one.
pub(crate) fn stop() {
    STOPPED.set(true);
}

/// The timers. Each is set only while it is wanted, so that an idle greeter sleeps.
pub(crate) struct Timers {
    bar: Rc<Bar>,
    send: Rc<dyn Fn(Event)>,
    idle: Duration,
    /// When that was, by a clock that goes on while the computer sleeps.
    touched: Cell<Duration>,
    counting: Cell<bool>,
    looking: Cell<bool>,
    waiting: Cell<bool>,
}

impl Timers {
    /// Nothing is set yet. What they bring about goes to `send`.
    pub(crate) fn new(bar: &Rc<Bar>, send: &Rc<dyn Fn(Event)>) -> Rc<Self> {
        Rc::new(Self {
            bar: Rc::clone(bar),
            send: Rc::clone(send),
            idle: setup::idle(),
            touched: Cell::new(sys::since_boot()),
            counting: Cell::new(false),
            looking: Cell::new(false),
            waiting: Cell::new(false),
        })
    }

    /// Notices the mouse on a window or on what a menu opens. Keys are told of by [`Timers::used`].
    pub(crate) fn watch(self: &Rc<Self>, root: &impl IsA<gtk4::Widget>) {
        let motion = gtk4::EventControllerMotion::new();
        motion.connect_motion(clone!(
            #[weak(rename_to = this)]
            self,
            move |_, _, _| this.used()
        ));
        root.add_controller(motion);
        let click = gtk4::GestureClick::builder().button(0).propagation_phase(gtk4::PropagationPhase::Capture).build();
        click.connect_pressed(clone!(
            #[weak(rename_to = this)]
            self,
            move |_, _, _, _| {
                this.used();
                (this.send)(Event::Touched);
            }
        ));
        root.add_controller(click);
        self.wait();
    }

    /// Somebody uses the greeter.
    pub(crate) fn used(self: &Rc<Self>) {
        self.look();
        self.touched();
    }

    /// Before anything happens where nobody did anything for long: what was left behind goes first. A timer stands still while
    /// the computer sleeps, and may come late.
    pub(crate) fn look(&self) {
        if self.waiting.get() && self.is_idle() {
            self.leave();
        }
    }

    /// Somebody is there, or there is something to be read.
    pub(crate) fn touched(self: &Rc<Self>) {
        self.touched.set(sys::since_boot());
        self.wait();
    }

    fn untouched(&self) -> Duration {
        sys::since_boot().saturating_sub(self.touched.get())
    }

    fn is_idle(&self) -> bool {
        self.untouched() >= self.idle
    }

    /// Nobody is there: what they opened is closed, and the rest is the dialog's.
    fn leave(&self) {
        // Told once.
        self.touched.set(sys::since_boot());
        if let Some(menu) = self.bar.opened() {
            menu.close();
        }
        (self.send)(Event::Idle);
    }

    fn wait(self: &Rc<Self>) {
        if STOPPED.get() || self.waiting.replace(true) {
            return;
        }
        let left = self.idle.saturating_sub(self.untouched());
        glib::timeout_add_local_once(
            left.max(Duration::from_millis(1)),
            clone!(
                #[weak(rename_to = this)]
                self,
                move || {
                    this.waiting.set(false);
                    if this.is_idle() {
                        this.leave();
                    } else {
                        this.wait();
                    }
                }
            ),
        );
    }

    /// Sets what this model wants.
    pub(crate) fn show(self: &Rc<Self>, model: &Model) {
        if STOPPED.get() {
            return;
        }
        if model.counting().is_some() && !self.counting.replace(true) {
            glib::timeout_add_local_once(
                Duration::from_secs(1),
                clone!(
                    #[weak(rename_to = this)]
                    self,
                    move || {
                        this.counting.set(false);
                        (this.send)(Event::Tick);
                    }
                ),
            );
        }
        if self.bar.server.is_open() && !self.looking.replace(true) {
            glib::timeout_add_local_once(
                SERVERS,
                clone!(
                    #[weak(rename_to = this)]
                    self,
                    move || {
                        this.looking.set(false);
                        if this.bar.server.is_open() {
                            (this.send)(Event::ServersOpened);
                        }
                    }
                ),
            );
        }
    }
}
