//! The keyboard's layouts, as the X server has them, whoever switches between them; sticky and slow keys.
//!
//! Without XKB in the X server there is one layout, without a name, and no such help.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use x11rb::protocol::Event;
use x11rb::protocol::xkb::{self, ConnectionExt as _, EventType, Group, ID, MapPart, NameDetail, StatePart};
use x11rb::protocol::xproto::{ConnectionExt as _, ModMask};

use crate::catalogue::Catalogue;
use crate::i18n;
use crate::xserver::XServer;

/// The names that setxkbmap(1) leaves: rules, model, layouts, variants and options, each ended by a zero byte.
const RULES: &str = "_XKB_RULES_NAMES";

/// Names of layouts for people.
const NAMES: &str = "/usr/share/X11/xkb/rules/evdev.lst";

/// Where translations of [`NAMES`] are, and what they are called there.
const LOCALE_DIR: &str = "/usr/share/locale";
const DOMAIN: &str = "LC_MESSAGES/xkeyboard-config.mo";

/// Largest [`NAMES`].
const NAMES_SIZE: u64 = 1024 * 1024;

/// XKB has no more groups.
const GROUPS: usize = 4;

/// Characters of a name.
const NAME: usize = 80;

/// One layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Such as `de`.
    code: String,
    /// Such as `nodeadkeys`; empty: none.
    variant: String,
    /// The group's own name, if there is no code.
    group: String,
}

impl Layout {
    /// A few capital letters.
    pub(crate) fn short(&self) -> String {
        match (self.code.is_empty(), self.group.chars().take(3).collect::<String>()) {
            (false, _) => self.code.to_uppercase(),
            (true, group) if group.is_empty() => "⌨".to_owned(),
            (true, group) => group.to_uppercase(),
        }
    }

    /// The name for people, translated where xkeyboard-config is; else the code.
    fn name(&self, names: &HashMap<String, String>, catalogue: &Catalogue) -> String {
        let key = if self.variant.is_empty() { self.code.clone() } else { format!("{}:{}", self.code, self.variant) };
        match names.get(&key) {
            Some(name) => catalogue.get(name).unwrap_or(name).to_owned(),
            None if self.code.is_empty() => self.group.clone(),
            None if self.variant.is_empty() => self.code.clone(),
            None => format!("{} ({})", self.code, self.variant),
        }
    }
}

/// The keyboard of the display.
pub(crate) struct Keyboard {
    /// Has XKB; `None`: the keyboard is made up.
    server: Option<Rc<XServer>>,
    layouts: RefCell<Vec<Layout>>,
    group: Cell<u8>,
    changed: RefCell<Option<Rc<dyn Fn()>>>,
}

impl Keyboard {
    /// The keyboard of this display, which has XKB.
    pub(crate) fn new(server: &Rc<XServer>) -> Rc<Self> {
        let this = Self::of(Some(Rc::clone(server)), Vec::new());
        this.select();
        this.read();
        let weak = Rc::downgrade(&this);
        let rules = server.atom(RULES);
        server.listen(move |event| {
            let Some(this) = weak.upgrade() else { return };
            match event {
                Event::XkbStateNotify(event) => this.show(u8::from(event.group)),
                Event::PropertyNotify(event) if Some(event.atom) == rules => this.reread(),
                Event::XkbNewKeyboardNotify(_) => this.reread(),
                _ => {}
            }
        });
        this
    }

    /// One with these layouts, for previews.
    pub(crate) fn made_up(codes: &[&str]) -> Rc<Self> {
        let layout = |code: &&str| Layout { code: (*code).to_owned(), ..Layout::default() };
        Self::of(None, codes.iter().map(layout).collect())
    }

    fn of(server: Option<Rc<XServer>>, layouts: Vec<Layout>) -> Rc<Self> {
        let (layouts, group, changed) = (RefCell::new(layouts), Cell::new(0), RefCell::new(None));
        Rc::new(Self { server, layouts, group, changed })
    }

    /// What can be chosen from, in the order of the groups.
    pub(crate) fn layouts(&self) -> Vec<Layout> {
        self.layouts.borrow().clone()
    }

    /// The one in use.
    pub(crate) fn group(&self) -> u8 {
        self.group.get()
    }

    /// Names for people of [`Keyboard::layouts`].
    pub(crate) fn names(&self) -> Vec<String> {
        let layouts = self.layouts.borrow();
        let wanted = |key: &str| {
            let code = key.split(':').next().unwrap_or_default();
            layouts.iter().any(|layout| layout.code == code)
        };
        let mut text = String::new();
        let _ = File::open(NAMES).and_then(|file| file.take(NAMES_SIZE).read_to_string(&mut text));
        let names = parse_names(&text, wanted);
        let language = i18n::current();
        let catalogue = Catalogue::read(&Path::new(LOCALE_DIR).join(language).join(DOMAIN)).unwrap_or_default();
        let name = |layout: &Layout| ldm_protocol::text::sanitise_line(&layout.name(&names, &catalogue), NAME);
        layouts.iter().map(name).collect()
    }

    /// Has `changed` called when layouts or the one in use are others.
    pub(crate) fn on_change(&self, changed: impl Fn() + 'static) {
        self.changed.replace(Some(Rc::new(changed)));
    }

    /// Uses this group; the X server says when it does.
    pub(crate) fn lock(&self, group: u8) {
        if usize::from(group) >= self.layouts.borrow().len() {
            return;
        }
        let Some(server) = &self.server else { return self.show(group) };
        let none = ModMask::from(0_u16);
        let device = u16::from(ID::USE_CORE_KBD);
        let _ = server.x.xkb_latch_lock_state(device, none, none, true, Group::from(group), none, false, 0);
        server.settle();
    }

    /// Uses the group after the one in use.
    pub(crate) fn next(&self) {
        let count = u8::try_from(self.layouts.borrow().len()).unwrap_or(1).max(1);
        self.lock((self.group.get() + 1) % count);
    }

    /// Has keys be sticky and slow, or not. Both stay when the greeter has gone.
    pub(crate) fn help(&self, sticky: bool, slow: bool) {
        let Some(server) = &self.server else { return };
        let _ = ldm::keyboard::help(&server.x, sticky, slow);
        server.settle();
    }

    fn select(&self) {
        let Some(server) = &self.server else { return };
        let parts = StatePart::GROUP_STATE;
        let details = xkb::SelectEventsAux::new()
            .state_notify(xkb::SelectEventsAuxStateNotify { affect_state: parts, state_details: parts })
            .new_keyboard_notify(xkb::SelectEventsAuxNewKeyboardNotify {
                affect_new_keyboard: xkb::NKNDetail::KEYCODES,
                new_keyboard_details: xkb::NKNDetail::KEYCODES,
            });
        let (no_events, no_parts) = (EventType::from(0_u16), MapPart::from(0_u16));
        let device = u16::from(ID::USE_CORE_KBD);
        let _ = server.x.xkb_select_events(device, no_events, no_events, no_parts, no_parts, &details);
        server.settle();
    }

    fn read(&self) {
        let Some(server) = &self.server else { return };
        let named = server.root_text(RULES).map(|value| parse_rules(&value)).unwrap_or_default();
        let layouts = if named.is_empty() { groups(server) } else { named };
        let group = server.x.xkb_get_state(u16::from(ID::USE_CORE_KBD)).ok().and_then(|cookie| cookie.reply().ok());
        self.layouts.replace(layouts);
        self.group.set(group.map_or(0, |state| u8::from(state.group)));
    }

    fn reread(&self) {
        let before = (self.layouts(), self.group());
        self.read();
        if let Some(server) = &self.server {
            server.settle();
        }
        if before != (self.layouts(), self.group()) {
            self.tell();
        }
    }

    fn show(&self, group: u8) {
        if self.group.replace(group) != group {
            self.tell();
        }
    }

    fn tell(&self) {
        let changed = self.changed.borrow().clone();
        if let Some(changed) = changed {
            changed();
        }
    }
}

/// The groups by their own names, where nobody has left the layouts' codes.
fn groups(server: &XServer) -> Vec<Layout> {
    let x = &server.x;
    let names = x.xkb_get_names(u16::from(ID::USE_CORE_KBD), NameDetail::GROUP_NAMES);
    let names = names.ok().and_then(|cookie| cookie.reply().ok());
    let atoms = names.and_then(|names| names.value_list.groups).unwrap_or_default();
    let name = |atom| {
        let name = x.get_atom_name(atom).ok()?.reply().ok()?.name;
        Some(ldm_protocol::text::sanitise_line(&String::from_utf8_lossy(&name), NAME))
    };
    let layout = |atom| Layout { group: name(atom).unwrap_or_default(), ..Layout::default() };
    atoms.into_iter().take(GROUPS).map(layout).collect()
}

/// The layouts in a value of [`RULES`].
fn parse_rules(value: &[u8]) -> Vec<Layout> {
    let text = String::from_utf8_lossy(value);
    let mut parts = text.split('\0').skip(2);
    let layouts = parts.next().unwrap_or_default();
    let mut variants = parts.next().unwrap_or_default().split(',');
    let clean = |name: &str| -> String {
        name.chars().filter(|&c| c.is_ascii_alphanumeric() || "_-".contains(c)).take(NAME).collect()
    };
    let layout = |code: &str| {
        let variant = clean(variants.next().unwrap_or_default());
        Layout { code: clean(code), variant, group: String::new() }
    };
    layouts.split(',').take(GROUPS).map(layout).filter(|layout| !layout.code.is_empty()).collect()
}

/// Names of layouts (`de`) and variants (`de:neo`) whose keys are `wanted`, from a list of rules.
fn parse_names(text: &str, wanted: impl Fn(&str) -> bool) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('!') {
            section = name.trim();
            continue;
        }
        let Some((code, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        let entry = match section {
            "layout" => Some((code.to_owned(), rest)),
            "variant" => rest.split_once(':').map(|(layout, name)| (format!("{}:{code}", layout.trim()), name)),
            _ => None,
        };
        if let Some((key, name)) = entry.filter(|(key, _)| wanted(key)) {
            names.insert(key, name.trim().to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(code: &str, variant: &str) -> Layout {
        Layout { code: code.into(), variant: variant.into(), group: String::new() }
    }

    #[test]
    fn layouts_are_read_from_the_rules() {
        let value = b"evdev\0pc105\0de,us,fr\0nodeadkeys,,bepo\0grp:alt_shift_toggle\0";
        assert_eq!(parse_rules(value), [layout("de", "nodeadkeys"), layout("us", ""), layout("fr", "bepo")]);
        assert_eq!(parse_rules(b"evdev\0pc105\0us\0\0\0"), [layout("us", "")]);
        for odd in [&b""[..], b"\0\0\0", b"evdev", b"a\0b\0,,\0", &[0xff; 100]] {
            assert_eq!(parse_rules(odd), [], "{odd:?}");
        }
        assert_eq!(parse_rules(b"\0\0a,b,c,d,e,f\0").len(), GROUPS);
        assert_eq!(parse_rules(b"\0\0d\x1be<b>\0"), [layout("deb", "")]);
    }

    #[test]
    fn layouts_have_names_for_people() {
        let text = "! model\n  de   A model\n\n! layout\n  de              German\n  us   English (US)\n! variant\n  neo             de: German (Neo 2)\n";
        let names = parse_names(text, |_| true);
        assert_eq!(names.len(), 3);
        assert_eq!(layout("de", "").name(&names, &Catalogue::default()), "German");
        assert_eq!(layout("de", "neo").name(&names, &Catalogue::default()), "German (Neo 2)");
        assert_eq!(layout("de", "own").name(&names, &Catalogue::default()), "de (own)");
        assert_eq!(layout("xx", "").name(&names, &Catalogue::default()), "xx");
        assert_eq!(layout("de", "neo").short(), "DE");
        assert_eq!(Layout { group: "English (US)".into(), ..Layout::default() }.short(), "ENG");
        assert_eq!(Layout::default().short(), "⌨");
        assert!(parse_names(text, |_| false).is_empty());
    }
}
