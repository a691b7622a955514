//! Programs on the client: whose they are, which they are, and how they end.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ldm_protocol::limits;
use ldm_tests::{Client, Guest, Lab, LocalSession, User, sweep, wait};
use serde_json::{Value, json};

/// A guest without a home on the server.
struct Seat {
    client: Client,
    guest: Guest,
    lab: Lab,
}

impl Seat {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        Ok(Self { client: Client::new(&lab, &[])?, guest: Guest::new()?, lab })
    }

    /// With a user whom the client has, too.
    fn with_user() -> Result<(Self, User)> {
        let lab = Lab::new()?;
        let user = User::new(&lab)?;
        Ok((Self { client: Client::new(&lab, &[])?, guest: Guest::new()?, lab }, user))
    }

    fn record(&self, name: &str) -> Value {
        self.guest.record(name, &self.lab.file("home").join("guest"))
    }

    /// Programs can be started by a guest of this name.
    fn log_in_as(&self, name: &str, more: Value) -> Result<LocalSession> {
        let mut session = LocalSession::start(&self.lab, &self.client, &self.record(name), more)?;
        session.ready_without_home(&self.client)?;
        Ok(session)
    }

    fn log_in(&self, more: Value) -> Result<LocalSession> {
        self.log_in_as("alice", more)
    }

    /// What a program has written into its home.
    fn wrote(&self, session: &mut LocalSession, name: &str) -> Result<Vec<u8>> {
        let home = PathBuf::from(format!("/run/ldm/local-{}/home", session.program().pid()));
        Ok(fs::read(self.client.file(&home.join(name)))?)
    }

    fn log_out(&self, session: LocalSession) -> Result<()> {
        session.end()?;
        self.client.wait_until_clean()?;
        assert_eq!(sweep::processes_of(self.guest.uid), Vec::<i32>::new());
        Ok(())
    }

    /// Why a record is not let in.
    fn refused(&self, record: &Value) -> Result<String> {
        let mut session = LocalSession::start(&self.lab, &self.client, record, json!({}))?;
        let why = session.ready()?.err().with_context(|| format!("let in: {record}"))?;
        assert!(!session.program().wait(wait::STEP)?.success());
        self.client.wait_until_clean()?;
        Ok(why)
    }
}

fn reason(answer: &Value) -> &str {
    answer.get("reason").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn ends_are_told_exactly() -> Result<()> {
    let seat = Seat::new()?;
    let mut session = seat.log_in(json!({}))?;
    for status in 0..256 {
        let end = session.run(&json!({ "argv": ["sh", "-c", format!("exit {status}")] }))?;
        assert_eq!(end, json!({ "event": "ended", "status": status, "stderr": [] }));
    }
    for signal in [1, 2, 6, 9, 11, 15] {
        let script = format!("echo going >&2; printf 'by \\033[1m{signal}' >&2; kill -{signal} $$");
        let end = session.run(&json!({ "argv": ["sh", "-c", script] }))?;
        assert_eq!(end.get("status"), Some(&json!(128 + signal)));
        assert_eq!(end.get("signal"), Some(&json!(signal)));
        let last = end.pointer("/stderr/1").and_then(Value::as_str).unwrap_or_default();
        assert!(end.pointer("/stderr/0") == Some(&json!("going")) && last.starts_with("by "), "{end}");
        assert!(!last.contains('\u{1b}'), "{end}");
    }
    seat.log_out(session)
}

#[test]
fn who_writes_on_keeps_no_end_back() -> Result<()> {
    let seat = Seat::new()?;
    let mut session = seat.log_in(json!({}))?;
    let end = session.run(&json!({ "argv": ["sh", "-c", "echo going >&2; yes on and on >&2 & sleep 0.3; exit 3"] }))?;
    assert_eq!(end.get("status"), Some(&json!(3)), "{end}");
    seat.log_out(session)
}

#[test]
fn the_language_that_is_set_for_the_seat_is_that_of_programs() -> Result<()> {
    let lab = Lab::new()?;
    let client = Client::with(&lab, &[], "echo LANG=fr_FR.UTF-8 >/etc/default/locale")?;
    let seat = Seat { client, guest: Guest::new()?, lab };
    for (more, language) in [(json!("de_DE.UTF-8"), "de_DE.UTF-8"), (Value::Null, "fr_FR.UTF-8")] {
        let mut session = seat.log_in(json!({ "language": more }))?;
        session.shell(&format!("test \"$LANG\" = {language}"))?;
        seat.log_out(session)?;
    }
    Ok(())
}

#[test]
fn words_arrive_as_they_were_given() -> Result<()> {
    let seat = Seat::new()?;
    let mut session = seat.log_in(json!({}))?;
    let long = "x".repeat(100_000);
    let script = "for word; do printf '%s\\0' \"$word\"; done >\"$HOME/words\"";
    // b"\xff\xfe" is no UTF-8.
    let words = json!(["sh", "-c", script, "sh", "a b", "", "$(id)`id`", "\"'\n\t;&|", { "base64": "//4=" }, long]);
    let end = session.run(&json!({ "argv": words }))?;
    assert_eq!(end.get("status"), Some(&json!(0)), "{end}");
    let expected = [b"a b\0\0$(id)`id`\0\"'\n\t;&|\0\xff\xfe\0".as_slice(), long.as_bytes(), b"\0"].concat();
    assert!(seat.wrote(&mut session, "words")? == expected);
    seat.log_out(session)
}

#[test]
fn a_program_has_its_users_rights_and_the_environment_that_was_meant() -> Result<()> {
    let seat = Seat::new()?;
    let mut record = seat.record("alice");
    let groups = json!([{ "name": "games", "gid": 4711 }, { "name": "adm", "gid": 4 }, { "name": "tape", "gid": 26 }]);
    record.as_object_mut().context("no record")?.insert("groups".into(), groups);
    let more = json!({
        "groups": ["audio", "video", "games", "no-such-group"], "cookie": vec![7; 16], "display": ":77",
        "sound": "/run/sound/native", "language": "de_DE.UTF-8",
    });
    seat.client.shell("mkdir -p /run/sound/local")?;
    let mut session = LocalSession::start(&seat.lab, &seat.client, &record, more)?;
    session.ready_without_home(&seat.client)?;
    assert_eq!(seat.client.shell("stat -c %g:%a /run/sound/local")?, format!("{}:710\n", seat.guest.uid));
    let env = json!({
        "LC_TIME": "C", "TZ": "Asia/Tokyo", "PATH": "/evil", "LD_PRELOAD": "/evil.so", "HOME": "/evil", "LC_evil": "x",
        "DBUS_SESSION_BUS_ADDRESS": "unix:/evil",
    });
    let script = "env -0 >\"$HOME/env\"; id -u >\"$HOME/id\"; id -Gn >>\"$HOME/id\"; ls /proc/self/fd >\"$HOME/fd\"; pwd >\"$HOME/cwd\"; \
                  cat \"/proc/$PPID/environ\" >\"$HOME/peek\"; umask >\"$HOME/umask\"; grep CapEff /proc/self/status >\"$HOME/caps\"";
    session.run(&json!({ "argv": ["/bin/sh", "-c", script], "env": env, "cwd": "/usr" }))?;
    let text = |name: &str, session: &mut LocalSession| -> Result<String> {
        Ok(String::from_utf8(seat.wrote(session, name)?)?)
    };
    let dir = format!("/run/ldm/local-{}", session.program().pid());
    let env = text("env", &mut session)?;
    let mut env: BTreeMap<&str, &str> = env.split_terminator('\0').filter_map(|pair| pair.split_once('=')).collect();
    let (home, authority, runtime) = (format!("{dir}/home"), format!("{dir}/xauthority"), format!("{dir}/runtime"));
    for (name, value) in [
        ("HOME", home.as_str()),
        ("USER", "alice"),
        // Tells ltsp-open which side it is on.
        ("LDM_LOCAL_SESSION", "1"),
        ("LOGNAME", "alice"),
        ("SHELL", "/bin/bash"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"),
        ("LANG", "de_DE.UTF-8"),
        ("LC_TIME", "C"),
        ("TZ", "Asia/Tokyo"),
        ("DISPLAY", ":77"),
        ("XAUTHORITY", &authority),
        ("XDG_RUNTIME_DIR", &runtime),
        ("XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
        ("PULSE_SERVER", "unix:/run/sound/local/native"),
    ] {
        assert_eq!(env.remove(name), Some(value), "{name}");
    }
    // The shell's own, and what was meant for logind.
    env.retain(|name, _| !matches!(*name, "PWD" | "OLDPWD" | "_" | "SHLVL") && !name.starts_with("XDG_S"));
    assert!(env.is_empty(), "{env:?}");
    let id = text("id", &mut session)?;
    let groups: Vec<&str> = id.lines().nth(1).unwrap_or_default().split(' ').collect();
    assert_eq!(id.lines().next(), Some(seat.guest.uid.to_string().as_str()));
    assert_eq!(groups.first(), Some(&"alice"), "{groups:?}");
    let has = |name| groups.contains(&name);
    assert!(has("audio") && has("video") && has("games") && groups.len() == 4, "{groups:?}");
    assert_eq!(text("fd", &mut session)?, "0\n1\n2\n3\n");
    assert_eq!(text("cwd", &mut session)?, "/usr\n");
    assert_eq!(text("peek", &mut session)?, "", "the orders can be read");
    assert_eq!(text("umask", &mut session)?, "0022\n");
    assert!(text("caps", &mut session)?.ends_with("0000000000000000\n"));
    let meta = fs::metadata(seat.client.file(Path::new(&authority)))?;
    assert_eq!((meta.uid(), meta.mode() & 0o777), (seat.guest.uid, 0o600));
    // Where it cannot be, it is at home.
    let end = session.run(&json!({ "argv": ["sh", "-c", "pwd >\"$HOME/cwd\""], "cwd": "/root" }))?;
    assert!(end.to_string().contains("/root: cannot be entered"), "{end}");
    assert_eq!(text("cwd", &mut session)?, format!("{home}\n"));
    seat.log_out(session)
}

#[test]
fn only_what_is_on_the_list_is_started_whatever_it_is_called() -> Result<()> {
    let seat = Seat::new()?;
    let more = json!({ "allowed": ["true", "/usr/bin/env"], "open": ["env", "-i"] });
    let mut session = seat.log_in(more)?;
    let links = seat.lab.file("links");
    fs::create_dir(&links)?;
    for (name, target) in [("true", "/bin/sh"), ("innocent", "/usr/bin/env"), ("env", "/usr/bin/env")] {
        symlink(target, links.join(name))?;
    }
    seat.lab.script("links/sh", "exit 3")?;
    let at = |name: &str| links.join(name).to_string_lossy().into_owned();
    for argv in [json!(["true"]), json!(["/bin/true"]), json!(["env", "true"]), json!([at("env"), "-u", "X", "true"])] {
        let end = session.run(&json!({ "argv": argv }))?;
        assert_eq!(end.get("status"), Some(&json!(0)), "{argv}: {end}");
    }
    for argv in
        [json!(["sh"]), json!([at("true")]), json!([at("innocent")]), json!([at("sh")]), json!(["/bin/no-such"])]
    {
        let answer = session.first(&json!({ "argv": argv }))?;
        assert_eq!(reason(&answer), "not_allowed", "{argv}: {answer}");
    }
    for (what, expected) in
        [("-x", "not_allowed"), ("/etc/passwd", "not_allowed"), ("file:///etc/passwd", "not_allowed")]
    {
        assert_eq!(reason(&session.first(&json!({ "argv": [what], "open": true }))?), expected, "{what}");
    }
    // env -i tries to run the address: it got it as one word.
    let end = session.run(&json!({ "argv": ["http://example.org/?$(b)"], "open": true }))?;
    assert_eq!(end.get("status"), Some(&json!(127)), "{end}");
    assert!(end.to_string().contains("http://example.org/?$(b)"), "{end}");
    seat.log_out(session)?;

    let mut session = seat.log_in(json!({}))?;
    for (request, expected) in [
        (json!({ "argv": ["no-such-program"] }), "not_found"),
        (json!({ "argv": ["/no/such/program"] }), "not_found"),
        (json!({ "argv": ["/etc/passwd"] }), "failed"),
        (json!({ "argv": [] }), "bad_request"),
        (json!({ "argv": ["./x"] }), "bad_request"),
        (json!({ "argv": ["true", "a\u{0}b"] }), "bad_request"),
        (json!({ "argv": ["http://example.org"], "open": true }), "off"),
    ] {
        let answer = session.first(&request)?;
        assert_eq!(reason(&answer), expected, "{request}: {answer}");
    }
    seat.log_out(session)
}

#[test]
fn everything_that_was_started_ends_with_the_session() -> Result<()> {
    let seat = Seat::new()?;
    let marks = seat.lab.file("marks");
    fs::create_dir(&marks)?;
    std::os::unix::fs::chown(&marks, Some(seat.guest.uid), None)?;
    let mut session = seat.log_in(json!({}))?;
    let mark = |name: &str| marks.join(name).to_string_lossy().into_owned();
    let (up, asked) = (mark("up"), mark("asked"));
    // One that tidies up when asked, one that will not hear, and some that left their parents, sessions and groups.
    let kind = format!("trap 'echo >{asked}; exit 0' TERM; echo >{up}1; while :; do sleep 1000 & wait; done");
    let deaf = format!("trap '' TERM; echo >{up}2; while :; do sleep 1000; done");
    let lost = format!(
        "(setsid sh -c 'trap \"\" TERM HUP; echo >{up}3; (setsid sleep 1000 &); sleep 1000' &) & sleep 1000 & exit 0"
    );
    for script in [&kind, &deaf] {
        assert_eq!(session.first(&json!({ "argv": ["sh", "-c", script] }))?, json!({ "event": "started" }));
    }
    assert_eq!(session.run(&json!({ "argv": ["sh", "-c", lost] }))?.get("status"), Some(&json!(0)));
    for number in 1..4 {
        let file = PathBuf::from(format!("{up}{number}"));
        wait::until("the programs", wait::STEP, || file.exists().then_some(()))?;
    }
    let all = || (sweep::processes_of(seat.guest.uid).len() >= 7).then_some(());
    wait::until("what the programs start", wait::STEP, all)?;
    seat.log_out(session)?;
    assert!(marks.join("asked").exists(), "nobody was asked");
    Ok(())
}

#[test]
fn asked_by_a_signal_it_ends_as_well() -> Result<()> {
    let seat = Seat::new()?;
    let mut session = seat.log_in(json!({}))?;
    session.first(&json!({ "argv": ["sleep", "1000"] }))?;
    session.program().signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(session.answer(1)?.get("signal"), Some(&json!(15)));
    assert!(session.program().wait(wait::STEP)?.success());
    seat.log_out(session)
}

#[test]
fn so_many_and_no_more_at_once() -> Result<()> {
    let seat = Seat::new()?;
    let mut session = seat.log_in(json!({}))?;
    for _ in 0..64 {
        assert_eq!(session.first(&json!({ "argv": ["sleep", "1000"] }))?, json!({ "event": "started" }));
    }
    assert_eq!(reason(&session.first(&json!({ "argv": ["true"] }))?), "too_many");
    seat.log_out(session)
}

#[test]
fn a_worker_that_sends_nonsense_gets_nothing() -> Result<()> {
    let seat = Seat::new()?;
    for bytes in [u32::MAX.to_ne_bytes().to_vec(), [&4_u32.to_ne_bytes()[..], b"\xff\xff{}"].concat()] {
        let mut session = seat.log_in(json!({}))?;
        session.first(&json!({ "argv": ["sleep", "1000"] }))?;
        session.write(&bytes)?;
        session.program().wait(wait::STEP)?;
        seat.log_out(session)?;
    }
    let mut session = seat.log_in(json!({}))?;
    let words = vec!["x"; limits::APP_WORDS + 1];
    assert_eq!(reason(&session.first(&json!({ "argv": words }))?), "bad_request");
    session.shell("true")?;
    seat.log_out(session)
}

#[test]
fn names_of_directories_are_names_here() -> Result<()> {
    let seat = Seat::new()?;
    for name in ["DOMAIN\\user", "first.last@site", "Two Words", "müller", "x$"] {
        let mut session = seat.log_in_as(name, json!({}))?;
        session.run(&json!({ "argv": ["sh", "-c", "{ id -un; id -gn; getent passwd \"$USER\"; } >\"$HOME/id\""] }))?;
        let text = String::from_utf8(seat.wrote(&mut session, "id")?)?;
        let record = format!("{name}:x:{0}:{0}:A Guest:", seat.guest.uid);
        assert!(text.starts_with(&format!("{name}\n{name}\n{record}")), "{text}");
        seat.log_out(session)?;
    }
    Ok(())
}

#[test]
fn who_would_be_somebody_else_here_is_not_let_in() -> Result<()> {
    let (seat, local) = Seat::with_user()?;
    let home = seat.lab.file("home").join("guest");
    let record = |name: &str, uid: u32, group: &str, gid: u32| json!({ "name": name, "uid": uid, "group": { "name": group, "gid": gid }, "home": home });
    let uid = seat.guest.uid;
    for (record, why) in [
        (record("root", 0, "root", 0), "only users from 1000"),
        (record("daemon", 1, "daemon", 1), "only users from 1000"),
        (record("alice", 999, "alice", 5000), "only users from 1000"),
        (record("nobody", 65534, "nogroup", 65534), "only users from 1000"),
        (record(&local.name, uid, "alice", uid), "on this computer and"),
        (record("alice", local.uid, "alice", uid), "which is that of"),
        (record("alice", uid, "alice", local.gid), "is another one on this computer"),
        (record("alice", uid, "audio", uid), "is another one on this computer"),
        (record("alice", uid, "root", 0), "one of this computer's"),
        (record("alice", uid, "tape", 26), "one of this computer's"),
        (record("alice", uid, &local.name, local.gid), "one of this computer's"),
        (record("../alice", uid, "alice", uid), "no user can have"),
        (record("-alice", uid, "alice", uid), "no user can have"),
    ] {
        let told = seat.refused(&record)?;
        assert!(told.contains(why), "{told}");
    }
    let mut odd = record("alice", uid, "alice", uid);
    odd.as_object_mut().context("no record")?.insert("home".into(), json!("/etc/alice"));
    assert!(seat.refused(&odd)?.contains("a home"));
    Ok(())
}

#[test]
fn who_logged_in_cannot_have_the_server_say_that_it_was_somebody_else() -> Result<()> {
    let (seat, local) = Seat::with_user()?;
    let of_this_client = json!({
        "name": local.name, "uid": local.uid, "group": { "name": "x", "gid": 5000 }, "home": local.home,
    });
    for (record, login) in [
        (&of_this_client, "mallory"),
        (&of_this_client, "OTHER\\mallory"),
        (&of_this_client, "root"),
        (&seat.record("alice"), "mallory"),
        (&seat.record("alice"), local.name.as_str()),
    ] {
        let mut session = LocalSession::start(&seat.lab, &seat.client, record, json!({ "login": login }))?;
        let why = session.ready()?.err().with_context(|| format!("{login} is let in: {record}"))?;
        assert!(why.contains("logged in, and the server says"), "{why}");
        session.program().wait(wait::STEP)?;
    }
    let session = seat.log_in(json!({ "login": "CORP\\Alice" }))?;
    seat.log_out(session)
}

#[test]
fn a_user_of_the_client_is_used_as_it_is() -> Result<()> {
    let (seat, local) = Seat::with_user()?;
    let record = json!({
        "name": local.name, "uid": local.uid, "group": { "name": "another", "gid": 1 }, "home": "/nonexistent/on/the/server",
        "groups": [{ "name": "games", "gid": 60 }],
    });
    let mut session = LocalSession::start(&seat.lab, &seat.client, &record, json!({ "groups": ["audio", "games"] }))?;
    session.ready()?.map_err(anyhow::Error::msg)?;
    let out = seat.lab.file("out");
    fs::create_dir(&out)?;
    std::os::unix::fs::chown(&out, Some(local.uid), None)?;
    session.shell(&format!("{{ id -u; id -G; echo \"$HOME\"; }} >{}/id", out.display()))?;
    let expected = format!("{}\n{}\n{}\n", local.uid, local.gid, local.home.display());
    assert_eq!(fs::read_to_string(out.join("id"))?, expected);
    assert_eq!(seat.client.shell("ls -A /run/userdb 2>&1 | grep user$; grep -c sshfs /proc/self/mountinfo")?, "0\n");
    seat.log_out(session)
}

#[test]
fn two_seats_do_not_share_a_guest() -> Result<()> {
    let seat = Seat::new()?;
    let session = seat.log_in(json!({}))?;
    let mut second = LocalSession::start(&seat.lab, &seat.client, &seat.record("alice"), json!({}))?;
    let why = second.ready()?.err().context("let in")?;
    assert!(why.contains("another seat"), "{why}");
    second.program().wait(wait::STEP)?;
    assert!(seat.client.shell("getent passwd alice")?.starts_with("alice:"), "the first one's user is gone");
    seat.log_out(session)
}

#[test]
fn what_a_client_lacks_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let guest = Guest::new()?;
    let record = guest.record("alice", &lab.file("home").join("guest"));
    for (more, why) in [
        ("rm /etc/pam.d/ldm-localapps", "no PAM service /etc/pam.d/ldm-localapps"),
        ("sed -i 's/systemd//' /etc/nsswitch.conf", "install libnss-systemd"),
        ("echo closed >/etc/nologin", "gives alice no session"),
    ] {
        let client = Client::with(&lab, &[], more)?;
        let mut session = LocalSession::start(&lab, &client, &record, json!({}))?;
        let told = session.ready()?.err().context("let in")?;
        assert!(told.contains(why), "{told}");
        session.program().wait(wait::STEP)?;
        client.wait_until_clean()?;
    }
    Ok(())
}

#[test]
fn without_root_it_is_only_for_the_one_user() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    let number = user.uid.to_string();
    let by: Vec<String> =
        ["setpriv", "--reuid", &number, "--regid", &number, "--init-groups"].map(str::to_owned).to_vec();
    let more = || json!({ "directory": user.home });
    let record =
        |name: &str| json!({ "name": name, "uid": user.uid, "group": { "name": "x", "gid": 1 }, "home": user.home });
    let mut session = LocalSession::start_by(&lab, &by, &record(&user.name), more())?;
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.shell("test \"$PWD\" = \"$HOME\" && touch here")?;
    session.end()?;
    assert!(user.home.join("here").exists());
    let mut session = LocalSession::start_by(&lab, &by, &record("other"), more())?;
    assert!(session.ready()?.is_err());
    session.program().wait(wait::STEP)?;
    assert_eq!(
        fs::read_dir(&user.home)?.flatten().filter(|e| e.file_name().to_string_lossy().contains("local-")).count(),
        0
    );
    Ok(())
}
