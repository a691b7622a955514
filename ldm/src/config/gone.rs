//! What became of the variables of LDM 2 that are not here.

/// Variables of LDM 2 that are not here, each with what to do instead.
pub const GONE: &[(&str, &str)] = &[
    (
        "LDM_PASSWORD_HASH",
        "no hash of a password is kept on the client; a screen locker runs in the session, on the server, which knows the \
         password",
    ),
    ("LDM_FORCE_BACKEND", "there is one way to log in, SSH"),
    ("LDM_DEFAULT_BACKEND", "there is one way to log in, SSH"),
    (
        "LDM_NOMAD",
        "every login has a session; one that outlives its connection is the server's to offer, as a session of its own",
    ),
    ("KILL_DBUS_DAEMON", "every process of a session ends with it, its message bus too"),
    (
        "LDM_XCOMPMGR",
        "the desktop brings its own compositor; write xcompmgr into the session's autostart on the server",
    ),
    ("LDM_WINMANAGER", "the greeter needs no window manager"),
    ("LDM_DEBUG_TERMINAL", "an item of the menu does it: LDM_MENU_COMMAND_0 = xterm"),
    ("LDM_REMOTECMD", "write a .desktop file into the server's xsessions folder, and name it in LDM_FORCE_SESSION"),
    ("LDM_GLOBAL_DMRC", "put the default into LDM_SESSION and LDM_LANGUAGE"),
    ("LDM_NUMLOCK", "its name is X_NUMLOCK"),
    ("LDM_RUNONCE", "ldm --once ends after the first session"),
    ("LDM_DEFAULT_XSESSION", "it is nothing to be set; LDM_XSESSION names a script"),
    ("LDM_SELECTED_SESSION", "it is nothing to be set; a session finds its name in DESKTOP_SESSION"),
    ("LDM_SOCKET", "it is nothing to be set, and there is no control socket"),
    ("LDMINFO_IPADDR", "it is nothing to be set; a session finds the address in LTSP_CLIENT"),
];

/// Why a variable of LDM 2 is not here any more, and what to do instead.
pub fn gone(name: &str) -> Option<&'static str> {
    GONE.iter().find(|(gone, _)| *gone == name).map(|(_, why)| *why)
}
