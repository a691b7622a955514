//! What is typed before its question is there. It waits for a hidden entry; nothing else ever gets it, because whoever types
//! ahead types a password, and does not look.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gtk4::gdk;
use gtk4::glib::{self, Propagation, clone};
use gtk4::prelude::*;
use ldm_protocol::limits;
use zeroize::Zeroizing;

/// What was typed while the user waited.
pub(crate) struct Ahead {
    /// Puts together what takes several keys: an accent and its letter.
    composer: gtk4::IMContextSimple,
    typed: RefCell<Zeroizing<String>>,
    /// Enter was pressed after it. What comes then belongs to no question that anybody could know of.
    entered: Cell<bool>,
    waiting: Cell<bool>,
}

impl Ahead {
    /// Listens to the keys in `root` that nothing else has a use for.
    pub(crate) fn new(root: &gtk4::Window) -> Rc<Self> {
        let this = Rc::new(Self {
            composer: gtk4::IMContextSimple::new(),
            typed: RefCell::default(),
            entered: Cell::new(false),
            waiting: Cell::new(false),
        });
        this.composer.connect_commit(clone!(
            #[weak]
            this,
            move |_, text| this.push(text)
        ));
        let keys = gtk4::EventControllerKey::new();
        keys.connect_key_pressed(clone!(
            #[weak]
            this,
            #[weak]
            root,
            #[upgrade_or]
            Propagation::Proceed,
            move |keys, key, _, _| {
                // Whoever has gone to a button presses buttons.
                let taken = this.waiting.get() && gtk4::prelude::RootExt::focus(&root).is_none() && this.key(keys, key);
                if taken { Propagation::Stop } else { Propagation::Proceed }
            }
        ));
        root.add_controller(keys);
        this
    }

    /// Whether the user waits for a question. What was typed stays in any case.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.set(waiting);
    }

    /// Drops what was typed, and says whether there was anything.
    pub(crate) fn clear(&self) -> bool {
        !self.take().0.is_empty()
    }

    /// Takes out what was typed, and whether it was finished with Enter.
    pub(crate) fn take(&self) -> (Zeroizing<String>, bool) {
        self.composer.reset();
        (self.typed.take(), self.entered.take())
    }

    fn key(&self, keys: &gtk4::EventControllerKey, key: gdk::Key) -> bool {
        match key {
            gdk::Key::Return | gdk::Key::KP_Enter | gdk::Key::ISO_Enter | gdk::Key::Tab => {
                let something = !self.typed.borrow().is_empty();
                self.entered.set(something);
                something
            }
            gdk::Key::BackSpace => {
                if !self.entered.get() {
                    self.typed.borrow_mut().pop();
                }
                true
            }
            _ => keys.current_event().is_some_and(|event| self.composer.filter_keypress(event)),
        }
    }

    fn push(&self, text: &str) {
        let mut typed = self.typed.borrow_mut();
        if typed.capacity() == 0 {
            // All at once: growing would leave copies behind.
            typed.reserve(limits::ANSWER + 64);
        }
        // What is longer than any answer is refused where it is read, however much longer it is.
        if !self.entered.get() && typed.len() <= limits::ANSWER && text.len() <= 64 {
            typed.push_str(text);
        }
    }
}
