//! What is started, with which arguments and environment, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use ldm_protocol::client::Access;
use ldm_protocol::helper::{Client, DirectDisplay, Refusal, SessionEvent, SessionRequest};
use ldm_protocol::limits;
use ldm_server_helper::account::Account;
use ldm_server_helper::error_log::ErrorLog;
use ldm_server_helper::launch::{self, Target};

use crate::harness::{Lines, Server, read};

const REPORT_ENVIRONMENT: &str = r#"
for name in DESKTOP_SESSION XDG_SESSION_DESKTOP GDMSESSION XDG_CURRENT_DESKTOP XDG_SESSION_TYPE XDG_SESSION_CLASS \
    LTSP_CLIENT LTSP_CLIENT_HOSTNAME LTSP_CLIENT_MAC DISPLAY LANG LC_ALL XAUTHORITY SSH_CONNECTION FROM_PROFILE; do
    eval "echo \"$name=\${$name-unset}\"" >>"$REPORTS"
done
echo "blocked $(sed -n 's/^SigBlk:[[:space:]]*//p' /proc/self/status)" >>"$REPORTS"
echo "end" >>"$REPORTS"
"#;

fn environment(server: &Server, reports: &Lines, request: &SessionRequest) -> Vec<String> {
    let mut command = server.command("session");
    command.env("SSH_CONNECTION", "kept").env("LC_ALL", "C").env("GDMSESSION", "stale");
    let running = Server::start_command(command, request);
    running.started();
    let mut lines = Vec::new();
    loop {
        match reports.next() {
            line if line == "end" => break,
            line => lines.push(line),
        }
    }
    assert_eq!(running.ended(), (0, true, vec![]));
    lines
}

#[test]
fn xsession_gets_one_argument_and_the_session_its_environment() {
    let server = Server::new();
    let id = "odd näme $(id) ; 'x'";
    server.session(id, REPORT_ENVIRONMENT);
    std::fs::write(server.home(".profile"), "export FROM_PROFILE=yes DISPLAY=:0 DESKTOP_SESSION=theirs; set -e; false")
        .unwrap();
    let client = Client {
        address: Some("192.168.67.20".into()),
        hostname: Some("tc 17;reboot".into()),
        mac: Some("00:11:22:aa:bb:cc".into()),
    };
    let lines = environment(&server, &server.reports(), &SessionRequest { client, ..server.request(id) });
    let program = server.path("bin").join(format!("session-{}", id.len()));
    let want = [
        format!("Xsession 1 [{}]", program.display()),
        format!("DESKTOP_SESSION={id}"),
        format!("XDG_SESSION_DESKTOP={id}"),
        format!("GDMSESSION={id}"),
        "XDG_CURRENT_DESKTOP=A:B".into(),
        "XDG_SESSION_TYPE=x11".into(),
        "XDG_SESSION_CLASS=user".into(),
        "LTSP_CLIENT=192.168.67.20".into(),
        "LTSP_CLIENT_HOSTNAME=tc17reboot".into(),
        "LTSP_CLIENT_MAC=00:11:22:aa:bb:cc".into(),
        "DISPLAY=localhost:10.0".into(),
    ];
    assert_eq!(lines[..want.len()], want);
    assert!(lines.contains(&"LC_ALL=C".into()), "sshd's environment stays: {lines:?}");
    assert!(lines.contains(&"SSH_CONNECTION=kept".into()));
    assert!(lines.contains(&"FROM_PROFILE=yes".into()));
    assert!(lines.contains(&"blocked 0000000000000000".into()), "{lines:?}");
}

#[test]
fn a_chosen_language_beats_the_profile_if_it_is_installed() {
    let server = Server::new();
    server.session("x", REPORT_ENVIRONMENT);
    std::fs::write(server.home(".profile"), "export LANG=from_PROFILE.UTF-8").unwrap();
    let reports = server.reports();
    let with = |language: Option<&str>| {
        environment(&server, &reports, &SessionRequest { language: language.map(Into::into), ..server.request("x") })
    };
    assert!(with(None).contains(&"LANG=from_PROFILE.UTF-8".into()));
    // glibc's own; every system has it.
    let lines = with(Some("C.utf8"));
    assert!(lines.contains(&"LANG=C.UTF-8".into()) && lines.contains(&"LC_ALL=unset".into()), "{lines:?}");
    for missing in ["xx_YY.UTF-8", "$(reboot)", ""] {
        let running = server.start(&SessionRequest { language: Some(missing.into()), ..server.request("x") });
        assert!(running.note().ends_with("is not installed; the session gets another"));
        let (status, ..) = {
            running.started();
            running.ended()
        };
        assert_eq!(status, 0);
    }
}

#[test]
fn what_cannot_be_started_is_refused() {
    let server = Server::new();
    server.session("x", "exit 0");
    server.desktop("no-program", "Name=x\nExec=/no/such/program --x");
    server.desktop("no-try", "Name=x\nExec=sh\nTryExec=no-such-program");
    server.desktop("hidden", "Name=x\nExec=sh\nHidden=true");
    let refusal = |request: &SessionRequest, display: &str| {
        let mut command = server.command("session");
        command.env("DISPLAY", display);
        let mut running = Server::start_command(command, request);
        let SessionEvent::Refused { reason, detail } = running.event() else { panic!("started") };
        assert_eq!(running.wait().code(), Some(1));
        (reason, detail)
    };
    for (id, want) in [
        ("gone", (Refusal::Gone, "gone")),
        ("hidden", (Refusal::Gone, "hidden")),
        ("../xsessions/x", (Refusal::Gone, "")),
        ("", (Refusal::Gone, "")),
        ("no-program", (Refusal::NotExecutable, "/no/such/program")),
        ("no-try", (Refusal::NotExecutable, "no-such-program")),
    ] {
        let (reason, detail) = refusal(&server.request(id), ":9");
        assert_eq!((reason, detail.as_str()), want, "{id}");
    }
    assert_eq!(refusal(&server.request("x"), "").0, Refusal::NoDisplay);
    for script in ["Xsession", "/no/such/Xsession", "/etc/passwd", "/dev/null"] {
        let request = SessionRequest { xsession: Some(script.into()), ..server.request("x") };
        assert_eq!(refusal(&request, ":9").0, Refusal::Failed, "{script}");
    }
    let direct = DirectDisplay { display: "tc:7; x".into(), cookie: "ab".repeat(16) };
    assert_eq!(refusal(&SessionRequest { direct: Some(direct), ..server.request("x") }, ":9").0, Refusal::Failed);
}

#[test]
fn a_bad_request_is_refused_and_not_quoted() {
    let server = Server::new();
    let huge = vec![b'x'; limits::HELPER_LINE + 1];
    for input in [&b""[..], b"\n", b"{}", b"{\"version\":1,\"direct\":\"c00c1e\"}", b"\xff\n", &huge] {
        let output = server.output("session", input);
        let event: SessionEvent = serde_json::from_slice(&output.stdout).unwrap();
        let SessionEvent::Refused { reason: Refusal::BadRequest, detail } = event else { panic!("{event:?}") };
        assert!(!detail.contains("c00c1e"), "{detail}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn the_default_is_no_argument_and_failsafe_is_its_own_name() {
    let server = Server::new();
    // Keeps the server's real default from being started.
    server.program("Xsession", "echo \"Xsession $# [$1] ${DESKTOP_SESSION-unset}\" >>\"$REPORTS\"");
    std::fs::write(server.home(".xsession"), "").unwrap();
    let reports = server.reports();
    for (id, want) in [
        (None, "Xsession 0 [] unset"),
        (Some("default"), "Xsession 0 [] unset"),
        (Some("failsafe"), "Xsession 1 [failsafe] unset"),
    ] {
        let running = server.start(&SessionRequest { session: id.map(Into::into), ..server.request("") });
        running.started();
        assert_eq!(reports.next(), want);
        running.ended();
    }
    server.session("default", "exit 0");
    let running = server.start(&server.request("default"));
    running.started();
    assert!(reports.next().ends_with("] default"), "an entry of that name is preferred");
}

#[test]
fn without_xsession_the_login_shell_reads_its_profile_and_becomes_the_program() {
    let server = Server::new();
    std::fs::write(server.home(".bash_profile"), "export SEEN=yes A=theirs").unwrap();
    let account = Account { shell: Some("/bin/bash".into()), ..Account::default() };
    let words = ["/bin/sh", "-c", r#"echo "$#|$1|$A|$SEEN""#, "sh", "a  b $(x)"].map(str::to_owned).to_vec();
    let home = server.path("home");
    let log = ErrorLog::open(&home);
    let mut command =
        launch::command(&account, &home, &Target::Program(words), &[("A", Some("our's".into()))], &[], &log);
    let status = command.env("HOME", &home).stdin(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert_eq!(log.last_words(), ["1|a  b $(x)|our's|yes"]);
}

#[test]
fn too_short_a_session_has_last_words_of_its_own_only() {
    let server = Server::new();
    std::fs::write(server.home(".xsession-errors"), "of an earlier session\n").unwrap();
    server.session("x", "for i in 1 2 3 4 5 6; do echo line $i; done; printf '\\033[31mlast\\n'; exit 3");
    let running = server.start(&server.request("x"));
    running.started();
    let want = ["line 3", "line 4", "line 5", "line 6", "last"].map(str::to_owned).to_vec();
    assert_eq!(running.ended(), (3, true, want));
    let log = server.home(".xsession-errors");
    assert!(read(&log).starts_with("of an earlier session\n"));
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // What is said before Xsession, or by one that keeps its output, is caught as well.
    server.program("Xsession", "echo no such desktop >&2; kill -KILL $$");
    let running = server.start(&server.request("x"));
    running.started();
    assert_eq!(running.ended(), (137, true, vec!["no such desktop".to_owned()]));
}

#[test]
fn remembering_writes_dmrc_and_info_tells_it() {
    let server = Server::new();
    server.session("x", "exit 0");
    std::fs::write(server.home(".dmrc"), "[Desktop]\nLayout=us\nSession=old\n").unwrap();
    let run = |remember| {
        let running = server.start(&SessionRequest { remember, ..server.request("x") });
        running.started();
        running.ended();
        read(&server.home(".dmrc"))
    };
    assert_eq!(run(false), "[Desktop]\nLayout=us\nSession=old\n");
    assert_eq!(run(true), "[Desktop]\nSession=x\nLayout=us\n");

    let target = server.home("target");
    std::fs::rename(server.home(".dmrc"), &target).unwrap();
    std::fs::write(&target, "[Desktop]\nSession=linked\n").unwrap();
    std::os::unix::fs::symlink(&target, server.home(".dmrc")).unwrap();
    assert_eq!(run(true), "[Desktop]\nSession=linked\n", "never through a link");
}

/// A server with these locales besides C.UTF-8.
fn with_locales(server: &Server, locales: &str) -> String {
    server.program("locale", &format!("printf 'C.utf8\\n{locales}'"));
    format!("{}:/usr/bin:/bin", server.path("bin").display())
}

#[test]
fn a_chosen_language_is_used_and_remembered_if_it_is_installed() {
    let server = Server::new();
    server.session("x", "echo \"LANG=$LANG\" >>\"$REPORTS\"");
    let path = with_locales(&server, "de_DE.utf8\\n");
    let reports = server.reports();
    let run = |language: &str| {
        let request =
            SessionRequest { language: Some(language.into()), remember_language: true, ..server.request("x") };
        let mut command = server.command("session");
        command.env("PATH", &path).env("LANG", "C");
        let running = Server::start_command(command, &request);
        running.started();
        let note = (language == "fr_FR.UTF-8").then(|| running.note());
        let lang = reports.value("LANG=");
        running.ended();
        (lang, note)
    };
    assert_eq!(run("de_DE"), ("de_DE.UTF-8".into(), None));
    assert_eq!(read(&server.home(".dmrc")), "[Desktop]\nLanguage=de_DE.UTF-8\n");
    let (lang, note) = run("fr_FR.UTF-8");
    assert_eq!(lang, "C");
    assert!(note.unwrap().contains("the language fr_FR.UTF-8 is not installed"));
    assert_eq!(read(&server.home(".dmrc")), "[Desktop]\nLanguage=de_DE.UTF-8\n", "what cannot be is not remembered");
    // A default of the administrator's gives way to it, where that has not been looked at before.
    let request = SessionRequest { language: Some("C.UTF-8".into()), language_is_default: true, ..server.request("x") };
    for (path, want) in [(path.as_str(), "de_DE.UTF-8"), ("/usr/bin:/bin", "C.UTF-8")] {
        let mut command = server.command("session");
        let running = Server::start_command(
            {
                command.env("PATH", path);
                command
            },
            &request,
        );
        running.started();
        assert_eq!(reports.value("LANG="), want, "{path}");
        running.ended();
    }
    let info = |path: &str| {
        let output = server.command("info").env("PATH", path).stdin(Stdio::null()).output().unwrap();
        let info: ldm_protocol::helper::Info = serde_json::from_slice(&output.stdout).unwrap();
        (info.remembered_language, String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(info(&path), (Some("de_DE.UTF-8".into()), String::new()));
    let (language, note) = info(&with_locales(&server, ""));
    assert_eq!(language, None);
    assert!(note.contains("the remembered language de_DE.UTF-8 is not installed"), "{note}");
}

#[test]
fn the_administrators_variables_and_the_keyboard_are_the_sessions_too() {
    use ldm_protocol::helper::Keyboard;
    let server = Server::new();
    let names = "SCHOOL http_proxy LD_PRELOAD DESKTOP_SESSION XKBLAYOUT XKBMODEL XKBVARIANT XKBOPTIONS";
    server.session(
        "x",
        &format!("for name in {names}; do eval \"echo \\\"$name=\\${{$name-unset}}\\\"\" >>\"$REPORTS\"; done"),
    );
    std::fs::write(server.home(".profile"), "SCHOOL=theirs XKBLAYOUT=fr; export SCHOOL XKBLAYOUT\n").unwrap();
    let env = ["SCHOOL=north $(id) 'x'", "http_proxy=http://p:1", "LD_PRELOAD=/x", "DESKTOP_SESSION=y"];
    let keyboard =
        Keyboard { layout: "de,us".into(), variant: ",intl".into(), options: "$(x)".into(), ..Keyboard::default() };
    let request =
        SessionRequest { env: env.map(str::to_owned).to_vec(), keyboard: Some(keyboard), ..server.request("x") };
    let reports = server.reports();
    let running = server.start(&request);
    running.started();
    assert!(running.note().contains("CLIENT_ENV may not set LD_PRELOAD, DESKTOP_SESSION"));
    for (name, want) in [
        ("SCHOOL=", "north $(id) 'x'"),
        ("http_proxy=", "http://p:1"),
        ("LD_PRELOAD=", "unset"),
        ("DESKTOP_SESSION=", "x"),
        ("XKBLAYOUT=", "de,us"),
        ("XKBMODEL=", "unset"),
        ("XKBVARIANT=", ",intl"),
        ("XKBOPTIONS=", "unset"),
    ] {
        assert_eq!(reports.value(name), want, "{name}");
    }
    running.ended();
}

#[test]
fn a_direct_display_has_an_authority_file_while_it_lasts() {
    let server = Server::new();
    server.session(
        "x",
        &format!("{REPORT_ENVIRONMENT}\necho file $(stat -c %a \"$XAUTHORITY\") >>\"$REPORTS\"\nexec sleep 1000"),
    );
    let cookie = "0123456789abcdef0123456789abcdef";
    let direct = DirectDisplay { display: "192.168.67.20:7".into(), cookie: cookie.into() };
    let reports = server.reports();
    let mut command = server.command("session");
    command.env_remove("DISPLAY");
    let mut running = Server::start_command(command, &SessionRequest { direct: Some(direct), ..server.request("x") });
    running.started();
    assert_eq!(reports.value("DISPLAY="), "192.168.67.20:7");
    let file = std::path::PathBuf::from(reports.value("XAUTHORITY="));
    assert!(file.starts_with(server.path("run")));
    assert_eq!(reports.value("file"), "600");
    let helper = running.child.id();
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{helper}/{name}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(cookie));
    }
    running.close_stdin();
    assert_eq!(running.ended(), (143, false, vec![]));
    assert!(!file.exists());
}

#[test]
fn help_that_was_switched_on_at_the_client_reaches_the_session() {
    let server = Server::new();
    server.program("orca", "");
    server.session(
        "x",
        r#"
echo "theme $GTK_THEME" >>"$REPORTS"
echo "qt $QT_LINUX_ACCESSIBILITY_ALWAYS_ON" >>"$REPORTS"
echo "cursor ${XCURSOR_SIZE-unset}" >>"$REPORTS"
echo "orca $(sed -n 's/^Exec=//p' "${XDG_CONFIG_DIRS%%:*}/autostart/orca-autostart.desktop")" >>"$REPORTS"
echo "others ${XDG_CONFIG_DIRS#*:}" >>"$REPORTS"
"#,
    );
    std::fs::write(server.home(".profile"), "export XDG_CONFIG_DIRS=/their/own GTK_THEME=Theirs").unwrap();
    let access = Access { screen_reader: true, high_contrast: true, ..Access::default() };
    let reports = server.reports();
    let mut command = server.command("session");
    command.env("PATH", format!("{}:/usr/bin:/bin", server.path("bin").display()));
    let running = Server::start_command(command, &SessionRequest { access, ..server.request("x") });
    running.started();
    for (key, value) in
        [("theme", "HighContrast"), ("qt", "1"), ("cursor", "unset"), ("orca", "orca"), ("others", "/their/own")]
    {
        assert_eq!(reports.value(key), value, "{key}");
    }
    assert_eq!(running.ended().0, 0);
}
