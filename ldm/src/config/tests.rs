use super::*;

fn good(lines: &str) -> Loaded {
    parse(Path::new("lts.conf"), format!("[Default]\n{lines}").as_bytes()).unwrap()
}

fn bad(lines: &str) -> String {
    parse(Path::new("lts.conf"), format!("[Default]\n{lines}").as_bytes()).unwrap_err().to_string()
}

#[test]
fn every_key_is_read() {
    let loaded = good(
        "LDM_SERVER = a, b:2222 [::1]:22\nSSH_OVERRIDE_PORT=2200\nLDM_KNOWN_HOSTS=/a \"/b c\"\n\
         LDM_TRUST_FIRST_USE=yes\nLDM_SESSION=xfce\nLDM_FORCE_SESSION=icewm\nLDM_LANGUAGE=de_DE.UTF-8\n\
         LDM_FORCE_LANGUAGE=C\nLANG=fr\nLDM_XSESSION=/etc/X11/Xsession\nLDM_GREETER=tuigreet --time\nLDM_THEME=school\n\
         LDM_DIRECTX=Y\nLDM_LOGLEVEL=7\nLDM_SYSLOG=ON\nLDM_XSERVER=\"Xorg -config dummy.conf\"\nLDM_VT=7\n\
         LDM_GREETER_USER=g\nLDM_WORKER_USER=w\nSOUND=no\nSOUND_DAEMON=/run/pulse/native\nVOLUME=70\n\
         MIC_VOLUME=0\nMICROPHONE=False\nLOCAL_APPS=True\nLOCAL_APPS_WHITELIST=/usr/bin/firefox vlc\n\
         LOCAL_APPS_GROUPS=audio, scanner\nLOCAL_APPS_EXTRAMOUNTS=/srv/a, \"/srv/b c\"\nSSH_FOLLOW_SYMLINKS=True\n\
         LOCAL_APPS_MENU=True\nLOCAL_APPS_MENU_ITEMS=firefox.desktop,vlc\nLOCAL_APPS_OPEN=firefox --new-window\n\
         LDM_AUTOLOGIN=yes\nLDM_GUESTLOGIN=yes\nLDM_USERNAME=guest\nLDM_PASSWORD=sesame\nLDM_GUEST_KEY=/k\n\
         LDM_GUEST_SERVER=g\nLDM_AUTOLOGIN_SERVER=h\nLDM_LOGIN_TIMEOUT=30\nLDM_TIMEOUT_ENABLED=y\nLDM_TIMEOUT_TIME=40\n\
         HOST_TO_USERNAME=pc/guest\nLDM_USER_ALLOW=a,@b\nLDM_USER_DENY=c\nLDM_LIMIT_ONE_SESSION=y\n\
         LDM_LIMIT_ONE_SESSION_PROMPT=y\nLDM_REMEMBER_USER=y\nCLIENT_ENV=A=1\nXKBLAYOUT=us,de\nXKBVARIANT=,nodeadkeys\n\
         XKBMODEL=pc105\nXKBOPTIONS=grp:alt_shift_toggle\nXKBRULES=evdev\nX_NUMLOCK=y\nX_BLANKING=0\n\
         LDM_MENU_ITEM_3=Radio\nLDM_MENU_COMMAND_3=radio on\nLDM_POWER=reboot\nLDM_POWER_PROGRAM=/bin/p\nLDM_CLOCK_FORMAT=%H\n\
         LDM_MONITOR=HDMI-1\nLDM_ACCESSIBILITY=large-text, keyboard\nLDM_SCREEN_READER=r\nLDM_ONSCREEN_KEYBOARD=k -s\n\
         LDM_STATE_DIR=/s\nLDM_DEBUG=y\n\
         REMOTE_APPS=True\n",
    );
    assert!(loaded.warnings.is_empty() && loaded.notes.is_empty());
    let mut config = loaded.config;
    assert_eq!(config.places.len(), keys::KEYS.len(), "a key of the table is missing above");
    assert_eq!(config.place("LDM_VT").unwrap().to_string(), "lts.conf:18");
    config.places.clear();
    assert_eq!(
        config,
        Config {
            servers: vec!["a".into(), "b:2222".into(), "[::1]:22".into()],
            port: 2200,
            known_hosts: vec!["/a".into(), "/b c".into()],
            trust_first_use: Some(keys::FIRST_USE_FILE.into()),
            session: Some("xfce".into()),
            force_session: Some("icewm".into()),
            language: Some("de_DE.UTF-8".into()),
            force_language: Some("C".into()),
            lang: Some("fr".into()),
            xsession: Some("/etc/X11/Xsession".into()),
            autologin: true,
            guest_login: true,
            username: Some("guest".into()),
            password: Some(Password::new(Secret::new("sesame").unwrap())),
            guest_key: Some("/k".into()),
            guest_servers: vec!["g".into()],
            autologin_servers: vec!["h".into()],
            login_timeout: Some(30),
            timeout_enabled: true,
            timeout_time: Some(40),
            host_to_username: Some(("pc".into(), "guest".into())),
            user_allow: vec!["a".into(), "@b".into()],
            user_deny: vec!["c".into()],
            limit_one_session: true,
            limit_one_session_prompt: true,
            remember_user: true,
            client_env: vec!["A=1".into()],
            keyboard: Keyboard {
                rules: "evdev".into(),
                model: "pc105".into(),
                layout: "us,de".into(),
                variant: ",nodeadkeys".into(),
                options: "grp:alt_shift_toggle".into(),
            },
            num_lock: Some(true),
            blanking: 0,
            menu_items: BTreeMap::from([(3, "Radio".into())]),
            menu_commands: BTreeMap::from([(3, vec!["radio".into(), "on".into()])]),
            power: vec![Power::Reboot],
            power_program: vec!["/bin/p".into()],
            clock_format: Some("%H".into()),
            monitor: Some("HDMI-1".into()),
            access: Access { large_text: true, keyboard: true, ..Access::default() },
            screen_reader: vec!["r".into()],
            onscreen_keyboard: vec!["k".into(), "-s".into()],
            state_dir: "/s".into(),
            debug: true,
            greeter: vec!["tuigreet".into(), "--time".into()],
            theme: Some("school".into()),
            directx: true,
            log_level: 7,
            syslog: true,
            xserver: vec!["Xorg".into(), "-config".into(), "dummy.conf".into()],
            vt: Some(7),
            greeter_user: "g".into(),
            worker_user: "w".into(),
            sound: false,
            sound_daemon: SoundDaemon::Socket("/run/pulse/native".into()),
            volume: 70,
            mic_volume: 0,
            microphone: false,
            local_apps: true,
            local_apps_whitelist: vec!["/usr/bin/firefox".into(), "vlc".into()],
            local_apps_groups: vec!["audio".into(), "scanner".into()],
            local_apps_extra_mounts: vec!["/srv/a".into(), "/srv/b c".into()],
            follow_symlinks: Some(true),
            local_apps_menu: true,
            local_apps_menu_items: vec!["firefox".into(), "vlc".into()],
            local_apps_open: vec!["firefox".into(), "--new-window".into()],
            remote_apps: true,
            places: Vec::new(),
        }
    );
}

#[test]
fn bad_values_are_refused_with_their_place() {
    for (line, want) in [
        ("SSH_OVERRIDE_PORT = 0", "lts.conf:2: SSH_OVERRIDE_PORT: “0” is no number from 1 to 65535"),
        ("LDM_LOGLEVEL = 8", "lts.conf:2: LDM_LOGLEVEL: “8” is no number from 0 to 7"),
        ("LDM_DIRECTX = maybe", "lts.conf:2: LDM_DIRECTX: “maybe” is neither True nor False"),
        ("LDM_SERVER = a -b", "lts.conf:2: LDM_SERVER: “-b” is no host or host:port"),
        ("LDM_SERVER =", "lts.conf:2: LDM_SERVER: no server is named"),
        (
            "LDM_SESSION = /usr/bin/xterm -e",
            "lts.conf:2: LDM_SESSION: “/usr/bin/xterm -e” is no session id: write the base name of its .desktop file, such as xfce",
        ),
        ("LDM_LANGUAGE = $(x)", "lts.conf:2: LDM_LANGUAGE: “$(x)” is no locale: write one such as de_DE.UTF-8"),
        ("LDM_XSESSION = x", "lts.conf:2: LDM_XSESSION: “x” is no path from the root: it must begin with /"),
        ("LDM_GREETER = ", "lts.conf:2: LDM_GREETER: the value is empty"),
        ("LDM_MENU_ITEM_1 = \" \"", "lts.conf:2: LDM_MENU_ITEM_n: the value is empty"),
        ("LDM_WORKER_USER = -x", "lts.conf:2: LDM_WORKER_USER: “-x” is no user name"),
    ] {
        assert_eq!(bad(line), want);
    }
    assert_eq!(
        bad("LDM_VT = x\nnonsense\nLDM_SYSLOG = 2"),
        "lts.conf:2: LDM_VT: “x” is no number from 1 to 63\n\
         lts.conf:3: this is neither KEY = value nor [section]\n\
         lts.conf:4: LDM_SYSLOG: “2” is neither True nor False"
    );
}

#[test]
fn unknown_keys_and_sections_are_told_not_refused() {
    let loaded = good(
        "LDM_SEVER = x\nldm_session = y\nLDM_WALLPAPERS_OF_THE_WORLD = 1\nPRINTER_0_DEVICE = z\n[00:11:22:33:44:55]\nLDM_SERVER = other\n",
    );
    assert_eq!(
        loaded.warnings,
        [
            "lts.conf:2: LDM_SEVER is not known here; is LDM_SERVER meant?",
            "lts.conf:3: ldm_session is not known here; is LDM_SESSION meant?",
            "lts.conf:4: LDM_WALLPAPERS_OF_THE_WORLD is not known here",
        ]
    );
    assert_eq!(
        loaded.notes,
        [
            "lts.conf:6: section [00:11:22:33:44:55] is skipped; only [Default] counts so far",
            "lts.conf:5: PRINTER_0_DEVICE is not used by ldm",
        ]
    );
    assert_eq!(loaded.config.servers, ["server"]);
}

#[test]
fn what_is_gone_says_why_and_what_is_half_says_what_is_missing() {
    let loaded = good(
        "LDM_PASSWORD_HASH = True\nLDM_MENU_ITEM_1 = Radio\nLDM_MENU_COMMAND_2 = radio\nLDM_MENU_ITEM_3 = TV\n\
         LDM_MENU_COMMAND_3 = tv\nCLIENT_ENV = A=1 LD_PRELOAD=/x\n",
    );
    let [note] = loaded.notes.as_slice() else { panic!("{:?}", loaded.notes) };
    assert!(note.starts_with("lts.conf:2: LDM_PASSWORD_HASH of LDM 2 is not here: no hash"), "{note}");
    assert_eq!(
        loaded.warnings,
        [
            "lts.conf:3: LDM_MENU_ITEM_1 is of no use without LDM_MENU_COMMAND_1",
            "lts.conf:4: LDM_MENU_COMMAND_2 is of no use without LDM_MENU_ITEM_2",
            "lts.conf:7: CLIENT_ENV: LD_PRELOAD cannot be set so: the login decides it, or it would break every session",
        ]
    );
    let config = loaded.config;
    assert_eq!((config.menu_items.len(), config.menu_commands.len()), (1, 1));
    assert_eq!(config.client_env, ["A=1"]);
    assert!(keys::GONE.iter().all(|(name, _)| keys::find(name).is_none()));
}

#[test]
fn what_does_nothing_alone_says_so() {
    for (lines, want) in [
        ("LDM_LIMIT_ONE_SESSION_PROMPT = y\n", Some("without LDM_LIMIT_ONE_SESSION")),
        ("LDM_LIMIT_ONE_SESSION_PROMPT = y\nLDM_LIMIT_ONE_SESSION = y\n", None),
        ("LDM_TIMEOUT_TIME = 20\n", Some("without LDM_TIMEOUT_ENABLED")),
        ("LDM_TIMEOUT_TIME = 20\nLDM_TIMEOUT_ENABLED = y\n", None),
        ("LDM_GUEST_SERVER = s\n", Some("without LDM_GUESTLOGIN, ")),
        ("LDM_USERNAME = u\n", Some("without LDM_GUESTLOGIN, ")),
        ("LDM_USERNAME = NONE\n", None),
        ("LDM_USERNAME = u\nLDM_LOGIN_TIMEOUT = 20\n", None),
        ("LDM_CLOCK_FORMAT = \"%a <b>%H</b>\"\n", Some("has markup in it")),
        ("LDM_CLOCK_FORMAT = %H\n", None),
    ] {
        let warnings = good(lines).warnings;
        assert_eq!(warnings.len(), usize::from(want.is_some()), "{lines} {warnings:?}");
        let said =
            warnings.iter().zip(want).all(|(said, want)| said.starts_with("lts.conf:2: ") && said.contains(want));
        assert!(said, "{lines} {warnings:?}");
    }
}

#[test]
fn a_clock_that_cannot_be_shown_is_refused() {
    for format in ["%a %-d %B, %H:%M", "100%% %_H %OH", "no clock", "%A %B %e"] {
        assert_eq!(good(&format!("LDM_CLOCK_FORMAT = \"{format}\"\n")).config.clock_format.as_deref(), Some(format));
    }
    for (format, why) in
        [("%H:%Q", "“%Q”"), ("%D", "“%D”"), ("%H%n%M", "“%n”"), ("%é", "“%é”"), ("100%", "last %"), ("%-", "last %")]
    {
        assert!(bad(&format!("LDM_CLOCK_FORMAT = \"{format}\"\n")).contains(why), "{format}");
    }
}

#[test]
fn the_greeters_language_is_its_own_first() {
    for (lines, want) in [
        ("", None),
        ("LDM_LANGUAGE = de\n", Some("de")),
        ("LDM_LANGUAGE = de\nLDM_FORCE_LANGUAGE = fr\n", Some("fr")),
        ("LDM_LANGUAGE = de\nLDM_FORCE_LANGUAGE = fr\nLANG = it\n", Some("it")),
    ] {
        assert_eq!(good(lines).config.greeter_language().map(String::as_str), want, "{lines}");
    }
}

#[test]
fn the_old_word_for_a_verbose_log() {
    assert_eq!(good("LDM_DEBUG = yes\n").config.log_level, 7);
    assert_eq!(good("LDM_DEBUG = no\n").config.log_level, 6);
    assert_eq!(good("LDM_DEBUG = yes\nLDM_LOGLEVEL = 4\n").config.log_level, 4);
}

#[test]
fn the_last_of_two_counts_and_none_unsets() {
    let loaded = good("LDM_SESSION = a\nLDM_SESSION = b\nLDM_LANGUAGE = C\nLDM_LANGUAGE = NONE\n");
    assert_eq!(loaded.config.session.as_deref(), Some("b"));
    assert_eq!(loaded.config.language, None);
    assert_eq!(
        loaded.warnings,
        [
            "lts.conf:2: LDM_SESSION is set again at lts.conf:3, which counts",
            "lts.conf:4: LDM_LANGUAGE is set again at lts.conf:5, which counts"
        ]
    );
}

#[test]
fn the_named_file_must_exist_the_default_one_need_not() {
    let error = load(Some(Path::new("/nonexistent/lts.conf"))).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/lts.conf cannot be read");
    assert!(matches!(parse(Path::new("f"), &vec![b'\n'; ini::FILE + 1]), Err(ConfigError::TooLarge(_))));
}

#[test]
fn the_table_and_the_defaults_agree() {
    let mut config = Config::default();
    for key in [
        "LDM_SERVER",
        "SSH_OVERRIDE_PORT",
        "LDM_KNOWN_HOSTS",
        "LDM_TRUST_FIRST_USE",
        "LDM_DIRECTX",
        "LDM_LOGLEVEL",
        "LDM_SYSLOG",
        "LDM_XSERVER",
        "LDM_GREETER_USER",
        "LDM_WORKER_USER",
        "X_BLANKING",
        "LDM_POWER",
        "LDM_POWER_PROGRAM",
        "LDM_SCREEN_READER",
        "LDM_ONSCREEN_KEYBOARD",
        "LDM_STATE_DIR",
        "SOUND",
        "SOUND_DAEMON",
        "VOLUME",
        "MIC_VOLUME",
        "MICROPHONE",
        "LOCAL_APPS",
        "LOCAL_APPS_GROUPS",
        "LOCAL_APPS_MENU",
        "REMOTE_APPS",
    ] {
        let key = keys::find(key).unwrap();
        key.put(&mut config, key.name, key.default).unwrap();
    }
    assert_eq!(config, Config::default());
}
