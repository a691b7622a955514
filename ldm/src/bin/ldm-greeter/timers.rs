//! What happens by itself: the guest's countdown, what is dropped when nobody is there, and the look at the servers.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gtk4::glib::{self, clone};
use gtk4::prelude::*;

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
    send: Rc<dyn Fn(Event)>,
    idle: Duration,
    touched: Cell<Instant>,
    counting: Cell<bool>,
    looking: Cell<bool>,
    waiting: Cell<bool>,
}

impl Timers {
    /// Nothing is set yet. What they bring about goes to `send`.
    pub(crate) fn new(send: &Rc<dyn Fn(Event)>) -> Rc<Self> {
        Rc::new(Self {
            send: Rc::clone(send),
            idle: setup::idle(),
            touched: Cell::new(Instant::now()),
            counting: Cell::new(false),
            looking: Cell::new(false),
            waiting: Cell::new(false),
        })
    }

    /// Notices the mouse on a window or on what a menu opens. Keys are told of by [`Timers::touched`].
    pub(crate) fn watch(self: &Rc<Self>, root: &impl IsA<gtk4::Widget>) {
        let motion = gtk4::EventControllerMotion::new();
        motion.connect_motion(clone!(
            #[weak(rename_to = this)]
            self,
            move |_, _, _| this.touched()
        ));
        root.add_controller(motion);
        let click = gtk4::GestureClick::builder().button(0).propagation_phase(gtk4::PropagationPhase::Capture).build();
        click.connect_pressed(clone!(
            #[weak(rename_to = this)]
            self,
            move |_, _, _, _| {
                this.touched();
                (this.send)(Event::Touched);
            }
        ));
        root.add_controller(click);
        self.wait();
    }

    /// Somebody is there.
    pub(crate) fn touched(self: &Rc<Self>) {
        self.touched.set(Instant::now());
        self.wait();
    }

    fn wait(self: &Rc<Self>) {
        if STOPPED.get() || self.waiting.replace(true) {
            return;
        }
        let left = self.idle.saturating_sub(self.touched.get().elapsed());
        glib::timeout_add_local_once(
            left.max(Duration::from_millis(1)),
            clone!(
                #[weak(rename_to = this)]
                self,
                move || {
                    this.waiting.set(false);
                    if this.touched.get().elapsed() >= this.idle {
                        (this.send)(Event::Idle);
                    } else {
                        this.wait();
                    }
                }
            ),
        );
    }

    /// Sets what this model wants.
    pub(crate) fn show(self: &Rc<Self>, model: &Model, bar: &Rc<Bar>) {
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
        if bar.server.is_open() && !self.looking.replace(true) {
            glib::timeout_add_local_once(
                SERVERS,
                clone!(
                    #[weak(rename_to = this)]
                    self,
                    #[weak]
                    bar,
                    move || {
                        this.looking.set(false);
                        if bar.server.is_open() {
                            (this.send)(Event::ServersOpened);
                        }
                    }
                ),
            );
        }
    }
}
