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
    /// F1: the help page.
    Help,
    /// F10 or F6: to the menus, and back.
    Menus,
    /// F8: show what is typed into a hidden entry, or hide it.
    Peek,
    /// F9: the next keyboard layout.
    Layout,
    /// Alt+Super+S, known for the screen reader.
    Access,
    /// Page Up and Page Down: this many pages of what was said.
    Scroll(f64),
    /// A letter or a digit, in lower case.
    Letter(char),
    /// Any other.
    Other,
}

/// The key that has the S on a PC's keyboard, as X numbers them (evdev).
const S: u32 = 39;

/// Whether the key with this number is the one with the S, whatever it types in the layout in use.
fn is_s(display: &gdk::Display, number: u32) -> bool {
    let types_s = |typed: &gdk::Key| matches!(*typed, gdk::Key::s | gdk::Key::S);
    let typed = display.map_keycode(number).unwrap_or_default();
    let elsewhere = || display.map_keyval(gdk::Key::s).is_some_and(|keys| !keys.is_empty());
    typed.iter().any(|(_, typed)| types_s(typed)) || number == S && !elsewhere()
}

impl Key {
    /// `is_s`: whether it is the key with the S.
    fn of(key: gdk::Key, modifiers: ModifierType, is_s: impl FnOnce() -> bool) -> Self {
        let held = modifiers & (ModifierType::ALT_MASK | ModifierType::SUPER_MASK | ModifierType::CONTROL_MASK);
        if held == ModifierType::ALT_MASK | ModifierType::SUPER_MASK {
            return if is_s() { Self::Access } else { Self::Other };
        }
        if !held.is_empty() {
            return Self::Other;
        }
        match key {
            gdk::Key::Escape => Self::Back,
            gdk::Key::Tab => Self::Submit,
            gdk::Key::F1 | gdk::Key::Help => Self::Help,
            gdk::Key::F10 | gdk::Key::F6 | gdk::Key::Menu => Self::Menus,
            gdk::Key::F8 => Self::Peek,
            gdk::Key::F9 => Self::Layout,
            gdk::Key::Page_Up => Self::Scroll(-1.0),
            gdk::Key::Page_Down => Self::Scroll(1.0),
            key => {
                let letter = key.to_unicode().filter(|c| c.is_alphanumeric());
                letter.and_then(|c| c.to_lowercase().next()).map_or(Self::Other, Self::Letter)
            }
        }
    }
}

/// What keys do in one line, which is broken between its parts only: a key stands beside what it does.
pub(crate) fn joined(hints: &[&str]) -> String {
    let parts = hints.iter().flat_map(|hint| hint.split(BETWEEN));
    let parts: Vec<String> = parts.map(|part| part.replace(' ', "\u{a0}")).collect();
    parts.join(BETWEEN)
}

/// What stands between the parts.
const BETWEEN: &str = "   ";

/// Gives every key to `act` before any widget in `root` sees it, a window or what a menu opens.
pub(crate) fn connect(
    root: &impl IsA<gtk4::Widget>,
    act: impl Fn(&gtk4::EventControllerKey, Key) -> Propagation + 'static,
) {
    let controller = gtk4::EventControllerKey::new();
    controller.set_propagation_phase(gtk4::PropagationPhase::Capture);
    controller.connect_key_pressed(move |keys, key, number, modifiers| {
        let is_s = || keys.widget().is_some_and(|root| is_s(&root.display(), number));
        act(keys, Key::of(key, modifiers, is_s))
    });
    root.add_controller(controller);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_beside_what_it_does() {
        let all = joined(&["Enter: go on   Escape: back to the user name", "F1: help"]);
        assert_eq!(
            all,
            "Enter:\u{a0}go\u{a0}on   Escape:\u{a0}back\u{a0}to\u{a0}the\u{a0}user\u{a0}name   F1:\u{a0}help"
        );
    }

    #[test]
    fn keys_and_what_they_mean() {
        let (none, alt_super) = (ModifierType::empty(), ModifierType::ALT_MASK | ModifierType::SUPER_MASK);
        for (key, modifiers, want) in [
            (gdk::Key::Escape, none, Key::Back),
            (gdk::Key::Escape, ModifierType::LOCK_MASK, Key::Back),
            (gdk::Key::Tab, none, Key::Submit),
            (gdk::Key::ISO_Left_Tab, ModifierType::SHIFT_MASK, Key::Other),
            (gdk::Key::Return, none, Key::Other),
            (gdk::Key::F1, none, Key::Help),
            (gdk::Key::F10, none, Key::Menus),
            (gdk::Key::F10, ModifierType::CONTROL_MASK, Key::Other),
            (gdk::Key::F8, none, Key::Peek),
            (gdk::Key::s, alt_super, Key::Access),
            (gdk::Key::x, alt_super, Key::Other),
            (gdk::Key::s, ModifierType::ALT_MASK, Key::Other),
            (gdk::Key::S, ModifierType::SHIFT_MASK, Key::Letter('s')),
            (gdk::Key::space, none, Key::Other),
        ] {
            assert_eq!(Key::of(key, modifiers, || key == gdk::Key::s), want, "{key:?} {modifiers:?}");
        }
    }
}
