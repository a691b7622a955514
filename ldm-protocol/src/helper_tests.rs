#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn what_a_server_sends_is_bounded() {
    let entry =
        |id: &str, name: &str| SessionEntry { id: id.into(), name: name.into(), comment: Some("\u{1b}[1m".into()) };
    let mut sessions = vec![
        entry("../x", "a"),
        entry("-x", "a"),
        entry("", "a"),
        entry("ok", "\u{7}"),
        entry("long", &"n".repeat(5000)),
    ];
    sessions.extend((0..500).map(|i| entry(&format!("s{i}"), "s")));
    let info = Info {
        sessions,
        remembered: Some("../x".into()),
        languages: vec!["de_DE.UTF-8".into(), "$(x)".into()],
        ..Info::default()
    }
    .sanitised();
    assert!(info.sessions.len() <= limits::SESSIONS);
    let first = info.sessions.first().unwrap();
    assert_eq!((first.id.as_str(), first.name.as_str(), first.comment.as_deref()), ("ok", "ok", None));
    assert!(info.sessions.iter().all(|s| s.name.len() <= limits::SESSION_NAME));
    assert_eq!(info.remembered, None);
    assert_eq!(info.languages, ["de_DE.UTF-8"]);
}

#[test]
fn what_the_login_decides_is_nobody_elses_to_set() {
    for good in ["SCHOOL", "http_proxy", "_X1", "LC_TIME", "XDG_DATA_DIRS", "EDITOR"] {
        assert!(may_set(good), "{good}");
    }
    for bad in [
        "PATH",
        "LD_PRELOAD",
        "HOME",
        "IFS",
        "BASH_ENV",
        "ENV",
        "PYTHONPATH",
        "PULSE_SERVER",
        "DBUS_SESSION_BUS_ADDRESS",
        "XDG_RUNTIME_DIR",
        "GTK_MODULES",
        "QT_PLUGIN_PATH",
        "GTK_PATH",
        "GIO_MODULE_DIR",
        "GDK_PIXBUF_MODULE_FILE",
        "ZDOTDIR",
        "BASHOPTS",
        "PPID",
        "LTSP_CLIENT",
        "LANG",
        "BASH_FUNC_x%%",
        "a-b",
        "",
        "1",
    ] {
        assert!(!may_set(bad), "{bad}");
    }
}

#[test]
fn the_layout_in_use_comes_first() {
    let keyboard = |layout: &str, variant: &str| Keyboard {
        layout: layout.into(),
        variant: variant.into(),
        model: "pc105".into(),
        ..Keyboard::default()
    };
    for (layout, variant, group, want) in [
        ("us,de,fr", "", 1, ("de,fr,us", "")),
        ("us,de,fr", ",nodeadkeys", 1, ("de,fr,us", "nodeadkeys,,")),
        ("us,de,fr", ",nodeadkeys,bepo", 2, ("fr,us,de", "bepo,,nodeadkeys")),
        ("us,de", "intl", 0, ("us,de", "intl")),
        ("us,de", "intl", 2, ("us,de", "intl")),
        ("", "", 1, ("", "")),
    ] {
        let got = keyboard(layout, variant).rotated(group);
        assert_eq!((got.layout.as_str(), got.variant.as_str()), want, "{layout} {variant} {group}");
        assert_eq!(got.model, "pc105");
    }
    let told: Vec<_> = keyboard("de,us", "").variables().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(told, ["XKBMODEL=pc105", "XKBLAYOUT=de,us"]);
    assert_eq!(keyboard("$(x)", "-x").variables().count(), 1);
    assert_eq!(keyboard("us,de", "").layouts(), 2);
}

#[test]
fn a_request_is_one_word_to_any_shell() {
    let request = SessionRequest { session: Some("a 'b' $(c) \u{fc} >?~".into()), ..SessionRequest::default() };
    let word = to_argument(&request).unwrap();
    assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{word}");
    assert_eq!(from_argument::<SessionRequest>(&word), Some(request));
    assert_eq!(from_argument::<SessionRequest>("not one"), None);
}

#[test]
fn unknown_fields_are_ignored_and_missing_ones_default() {
    let info: Info = serde_json::from_str(r#"{"version":7,"new":{"x":1}}"#).unwrap();
    assert_eq!(info.version, 7);
    let event: SessionEvent = serde_json::from_str(r#"{"event":"refused","reason":"gone","more":1}"#).unwrap();
    assert_eq!(event, SessionEvent::Refused { reason: Refusal::Gone, detail: String::new() });
}
