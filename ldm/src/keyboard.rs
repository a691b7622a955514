//! `ldm keyboard`: locks Num Lock, and the keyboard's layout, on a display, and has keys be sticky or slow there. A short-lived
//! process of its own, under the greeter's user, because the daemon speaks no X11; the layouts themselves are set by
//! setxkbmap(1), which has no word for this. The greeter, which has a connection of its own, uses [`help`] alone.

use std::process::ExitCode;

use x11rb::connection::Connection;
use x11rb::cookie::VoidCookie;
use x11rb::errors::ConnectionError;
use x11rb::protocol::xkb::{AXOption, BoolCtrl, ConnectionExt as _, Control, Group, ID, VMod};
use x11rb::protocol::xproto::{ConnectionExt as _, ModMask};

/// The subcommand.
pub const COMMAND: &str = "keyboard";

/// `Num_Lock` of keysymdef.h.
const NUM_LOCK: u32 = 0xff7f;

/// What is to be set; nothing of it is changed where it is not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Num Lock on or off.
    #[arg(long)]
    pub num_lock: Option<bool>,

    /// Place of the layout that is to be in use, from 0.
    #[arg(long)]
    pub group: Option<u8>,

    /// Shift and the like stay until the next key.
    #[arg(long, requires = "slow_keys")]
    pub sticky_keys: Option<bool>,

    /// A key counts only when it is held.
    #[arg(long, requires = "sticky_keys")]
    pub slow_keys: Option<bool>,
}

/// Sets it on the display that the environment names. Logging is set up by the caller.
pub fn run(args: Args) -> ExitCode {
    match set(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::warn!(%error, "the keyboard cannot be set");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn set(args: Args) -> Result<()> {
    let (x, _) = x11rb::connect(None)?;
    if !x.xkb_use_extension(1, 0)?.reply()?.supported {
        return Err("the X server has no XKB".into());
    }
    let mask = match args.num_lock {
        Some(_) => num_lock_mask(&x)?,
        None => ModMask::from(0u16),
    };
    let locks = if args.num_lock == Some(true) { mask } else { ModMask::from(0u16) };
    let group = args.group.map_or(Group::M1, |group| Group::from(group.min(3)));
    x.xkb_latch_lock_state(
        ID::USE_CORE_KBD.into(),
        mask,
        locks,
        args.group.is_some(),
        group,
        ModMask::from(0u16),
        false,
        0,
    )?
    .check()?;
    if let (Some(sticky), Some(slow)) = (args.sticky_keys, args.slow_keys) {
        help(&x, sticky, slow)?.check()?;
    }
    Ok(())
}

/// Shift and the like stay until the next key; a key counts only when it is held (XKB's StickyKeys and SlowKeys). Both stay
/// when whoever asks for it has gone.
///
/// # Errors
/// When the connection has failed. What the X server says to it is in the cookie.
pub fn help<C: Connection>(x: &C, sticky: bool, slow: bool) -> std::result::Result<VoidCookie<'_, C>, ConnectionError> {
    let both = BoolCtrl::STICKY_KEYS | BoolCtrl::SLOW_KEYS;
    let none = BoolCtrl::from(0_u32);
    let wanted = if sticky { BoolCtrl::STICKY_KEYS } else { none } | if slow { BoolCtrl::SLOW_KEYS } else { none };
    let (mods, vmods) = (ModMask::from(0_u16), VMod::from(0_u16));
    let options = AXOption::from(0_u16);
    // Only what is said to change is read by the server: the switches, and none of the times.
    x.xkb_set_controls(
        ID::USE_CORE_KBD.into(),
        mods,
        mods,
        mods,
        mods,
        vmods,
        vmods,
        vmods,
        vmods,
        0,
        0,
        options,
        both,
        wanted,
        Control::CONTROLS_ENABLED,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        none,
        none,
        options,
        options,
        &[0; 32],
    )
}

/// The modifier that the Num Lock key sets (`Mod2` by custom).
fn num_lock_mask(x: &impl Connection) -> Result<ModMask> {
    let setup = x.setup();
    let count = setup.max_keycode - setup.min_keycode + 1;
    let (modifiers, keys) = (x.get_modifier_mapping()?, x.get_keyboard_mapping(setup.min_keycode, count)?);
    let (modifiers, keys) = (modifiers.reply()?, keys.reply()?);
    let per_key = usize::from(keys.keysyms_per_keycode).max(1);
    let keycodes: Vec<u8> = keys
        .keysyms
        .chunks(per_key)
        .zip(setup.min_keycode..=setup.max_keycode)
        .filter(|(keysyms, _)| keysyms.contains(&NUM_LOCK))
        .map(|(_, keycode)| keycode)
        .collect();
    let per_modifier = usize::from(modifiers.keycodes_per_modifier()).max(1);
    let place = modifiers
        .keycodes
        .chunks(per_modifier)
        .position(|of_modifier| of_modifier.iter().any(|keycode| keycodes.contains(keycode)))
        .ok_or("this keyboard has no Num Lock")?;
    Ok(ModMask::from(1u16 << place))
}
