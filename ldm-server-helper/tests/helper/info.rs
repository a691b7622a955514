//! `info`, and the command line.

use std::time::{Duration, Instant};

use ldm_protocol::helper::{Info, VERSION};
use ldm_protocol::limits;

use crate::harness::Server;

pub(crate) fn info(server: &Server, input: &str) -> Info {
    let output = server.output("info", input.as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.split_inclusive(|&b| b == b'\n').count(), 1, "one line");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tells_sessions_in_the_asked_language() {
    let server = Server::new();
    server.desktop("zz-test", "Name=A\\sname\nName[de]=Ein\\tName\nComment=\\x1b[1m\u{1b}[31mred\nExec=sh -c \"x\" %U");
    std::fs::write(server.home(".dmrc"), "[Desktop]\nSession=zz-test\n").unwrap();
    let of = |info: &Info| {
        let entry = info.sessions.iter().find(|s| s.id == "zz-test").unwrap();
        (entry.name.clone(), entry.comment.clone())
    };
    let german = info(&server, "{\"version\":1,\"locale\":\"de_AT.UTF-8\",\"future\":[]}\n");
    assert_eq!(of(&german), ("Ein Name".into(), Some("\\x1b[1mred".into())));
    for defaults in ["", "\n", "{\"version\":1}", "{\"version\":1,\"locale\":\"$(x)\"}\n"] {
        let info = info(&server, defaults);
        assert_eq!(of(&info).0, "A name", "{defaults}");
        assert_eq!(info.version, VERSION);
        assert_eq!(info.remembered.as_deref(), Some("zz-test"));
        assert!(!info.hostname.is_empty() && info.load.cpus > 0);
        assert!(info.languages.contains(&"C.UTF-8".into()));
    }
    std::fs::remove_file(server.path("data/xsessions/zz-test.desktop")).unwrap();
    let gone = info(&server, "");
    assert_eq!(gone.remembered, None, "a session that is gone is not proposed");
    assert_eq!(gone.gone.as_deref(), Some("zz-test"));
    std::fs::write(server.home(".dmrc"), "[Desktop]\nSession=default\n").unwrap();
    assert_eq!(info(&server, "").gone, None, "what other display managers write for none");
}

#[test]
fn tells_who_asks_and_what_of_theirs_runs() {
    let server = Server::new();
    let told = |server: &Server| {
        let info = info(server, "");
        // Of this very server: another test's sessions are the same user's.
        let here = info.elsewhere.into_iter().filter(|e| e.client.starts_with("tells-")).collect::<Vec<_>>();
        (info.user.unwrap(), here)
    };
    let (user, elsewhere) = told(&server);
    assert_eq!((user.uid, elsewhere), (nix::unistd::getuid().as_raw(), vec![]));
    server.session("x", "exec sleep 1000");
    let mut request = server.request("x");
    request.client.hostname = Some("tells-17".into());
    let mut running = server.start(&request);
    running.started();
    let (_, elsewhere) = told(&server);
    assert_eq!(elsewhere.len(), 1, "{elsewhere:?}");
    assert!(elsewhere[0].client == "tells-17" && elsewhere[0].since > 1_700_000_000, "{elsewhere:?}");
    running.close_stdin();
    running.ended();
    assert_eq!(told(&server).1, []);
}

#[test]
fn hostile_directories_cost_little() {
    let server = Server::new();
    let dir = server.path("data/xsessions");
    nix::unistd::mkfifo(&dir.join("a-fifo.desktop"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.join("a-zero.desktop")).unwrap();
    std::os::unix::fs::symlink("a-loop.desktop", dir.join("a-loop.desktop")).unwrap();
    std::fs::write(dir.join("a-huge.desktop"), vec![b'\n'; 10_000_000]).unwrap();
    for i in 0..10_000 {
        server.desktop(&format!("s{i:05}"), &format!("Name={}\nExec=sh", "\"\u{1}ä".repeat(1000)));
    }
    let begin = Instant::now();
    let info = info(&server, "");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(info.sessions.len(), limits::SESSIONS);
    assert!(info.sessions.iter().all(|s| s.name.len() <= limits::SESSION_NAME && s.id.starts_with('s')));
}

#[test]
fn a_bad_request_is_an_error() {
    let server = Server::new();
    let huge = "x".repeat(limits::HELPER_LINE + 1);
    for input in ["x", "[]", "{\"version\":\"one\"}", &huge] {
        let output = server.output("info", input.as_bytes());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_command_line() {
    let server = Server::new();
    for (command, code, stdout) in [
        ("--version", 0, concat!("ldm-server-helper ", env!("CARGO_PKG_VERSION"), "\n")),
        ("\u{1b}[1mnope", 2, ""),
        ("", 2, ""),
    ] {
        let output = server.output(command, b"");
        assert_eq!(output.status.code(), Some(code), "{command}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout);
        assert!(!output.stderr.contains(&0x1b));
        assert_eq!(output.stderr.is_empty(), code == 0);
    }
    assert!(String::from_utf8(server.output("--help", b"").stdout).unwrap().contains("session"));
    let output = server.command("info").args(["one", "more"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = server.command("info").arg("no request").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
