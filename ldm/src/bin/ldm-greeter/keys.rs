//! The keys that mean something everywhere on the greeter.

use gtk4::gdk::{self, ModifierType};
use gtk4::glib::Propagation;
use gtk4::prelude::*;

/// A key with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key {
    /// Escape.
    Back,
    /// Tab, which submits an entry as Enter does.
    Submit,
    /// Alt+Super+S, known for the screen reader.
    Access,
    /// Page Up and Page Down: this many pages of what was said.
    Scroll(f64),
    /// A letter or a digit, in lower case.
    Letter(char),
}

impl Key {
    fn of(key: gdk::Key, modifiers: ModifierType) -> Option<Self> {
        let held = modifiers & (ModifierType::ALT_MASK | ModifierType::SUPER_MASK | ModifierType::CONTROL_MASK);
        if held == ModifierType::ALT_MASK | ModifierType::SUPER_MASK {
            return matches!(key, gdk::Key::s | gdk::Key::S).then_some(Self::Access);
        }
        if !held.is_empty() {
            return None;
        }
        match key {
            gdk::Key::Escape => Some(Self::Back),
            gdk::Key::Tab => Some(Self::Submit),
            gdk::Key::Page_Up => Some(Self::Scroll(-1.0)),
            gdk::Key::Page_Down => Some(Self::Scroll(1.0)),
            key => {
                key.to_unicode().filter(|c| c.is_alphanumeric()).and_then(|c| c.to_lowercase().next()).map(Self::Letter)
            }
        }
    }
}

/// Gives such keys to `act` before any widget sees them.
pub(crate) fn connect(window: &gtk4::Window, act: impl Fn(Key) -> Propagation + 'static) {
    let controller = gtk4::EventControllerKey::new();
    controller.set_propagation_phase(gtk4::PropagationPhase::Capture);
    controller
        .connect_key_pressed(move |_, key, _, modifiers| Key::of(key, modifiers).map_or(Propagation::Proceed, &act));
    window.add_controller(controller);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_they_mean() {
        let (none, alt_super) = (ModifierType::empty(), ModifierType::ALT_MASK | ModifierType::SUPER_MASK);
        for (key, modifiers, want) in [
            (gdk::Key::Escape, none, Some(Key::Back)),
            (gdk::Key::Escape, ModifierType::LOCK_MASK, Some(Key::Back)),
            (gdk::Key::Tab, none, Some(Key::Submit)),
            (gdk::Key::ISO_Left_Tab, ModifierType::SHIFT_MASK, None),
            (gdk::Key::Return, none, None),
            (gdk::Key::s, alt_super, Some(Key::Access)),
            (gdk::Key::s, ModifierType::ALT_MASK, None),
            (gdk::Key::S, ModifierType::SHIFT_MASK, Some(Key::Letter('s'))),
            (gdk::Key::space, none, None),
        ] {
            assert_eq!(Key::of(key, modifiers), want, "{key:?} {modifiers:?}");
        }
    }
}
