//! What a session has besides its windows: its directory, sound, the way to the client's programs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use ldm_protocol::helper::{SessionEvent, SessionRequest, Sound, UserRecord};
use ldm_protocol::limits;
use nix::sys::signal::Signal;

use crate::harness::{Lines, Running, Server};

const REPORT: &str = r#"
for name in PULSE_SERVER PULSE_CLIENTCONFIG PULSE_COOKIE LTSP_ALSA_DEFAULT XDG_DATA_DIRS BROWSER LDM_SESSION_TOKEN; do
    eval "echo \"$name=\${$name-unset}\"" >>"$REPORTS"
done
echo "pid $$" >>"$REPORTS"
exec sleep 1000
"#;

struct Started {
    running: Running,
    reports: Lines,
    directory: PathBuf,
    user: Option<UserRecord>,
    no_sound: Option<String>,
}

fn start(server: &Server, request: SessionRequest) -> Started {
    server.session("x", REPORT);
    let running = server.start(&SessionRequest { session: Some("x".into()), ..request });
    match running.event() {
        SessionEvent::Started { user, directory, no_sound, .. } => {
            let directory = directory.expect("a directory").into();
            Started { running, reports: server.reports(), directory, user, no_sound }
        }
        other => panic!("{other:?}"),
    }
}

/// What sshd would listen on.
fn endpoint(server: &Server) -> (UnixListener, Sound) {
    let path = server.path("run/ldm-0123.sound");
    (UnixListener::bind(&path).unwrap(), Sound::Socket { path: path.to_str().unwrap().into() })
}

fn is_empty(dir: &Path) -> bool {
    dir.read_dir().unwrap().next().is_none()
}

#[test]
fn a_session_has_a_directory_and_tells_who_runs_it() {
    let server = Server::new();
    let mut started = start(&server, server.request("x"));
    assert_eq!(started.directory.parent().unwrap(), server.path("run"));
    assert_eq!(started.directory.metadata().unwrap().mode() & 0o7777, 0o700);
    let token = fs::read_to_string(started.directory.join("token")).unwrap();
    assert_eq!(started.reports.value("LDM_SESSION_TOKEN="), token);
    let user = started.user.unwrap();
    assert_eq!(user.uid, nix::unistd::getuid().as_raw());
    assert!(!user.name.is_empty() && !user.group.name.is_empty() && user.home.starts_with('/'), "{user:?}");
    assert_eq!(started.no_sound, None);
    started.running.close_stdin();
    started.running.ended();
    assert!(is_empty(&server.path("run")));
}

#[test]
fn sound_is_the_sessions_alone_and_gone_with_it() {
    let server = Server::new();
    let (listener, sound) = endpoint(&server);
    let mut started = start(&server, SessionRequest { sound: Some(sound), ..server.request("x") });
    assert_eq!(started.directory, server.path("run/ldm-0123"));
    let pulse = started.directory.join("pulse");
    assert_eq!(started.reports.value("PULSE_SERVER="), format!("unix:{}", pulse.display()));
    let config = started.reports.value("PULSE_CLIENTCONFIG=");
    assert!(Path::new(&config).starts_with(&started.directory));
    assert!(fs::read_to_string(config).unwrap().contains("enable-shm = no"));
    assert_eq!(started.reports.value("PULSE_COOKIE="), "unset");
    assert_eq!(started.reports.value("LTSP_ALSA_DEFAULT="), "pulse");
    let metadata = pulse.metadata().unwrap();
    assert!(metadata.file_type().is_socket() && metadata.mode() & 0o777 == 0o600);
    let client = UnixStream::connect(&pulse).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    drop(client);
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
    started.running.close_stdin();
    started.running.ended();
    assert!(is_empty(&server.path("run")));
}

#[test]
fn a_port_needs_the_cookie_in_the_directory() {
    let server = Server::new();
    let cookie = "5c".repeat(limits::SOUND_COOKIE);
    let sound = Some(Sound::Port { port: 4712, cookie });
    let mut started = start(&server, SessionRequest { sound, ..server.request("x") });
    assert_eq!(started.reports.value("PULSE_SERVER="), "tcp:127.0.0.1:4712");
    let cookie = started.reports.value("PULSE_COOKIE=");
    assert!(Path::new(&cookie).starts_with(&started.directory));
    assert_eq!(fs::read(cookie).unwrap(), [0x5c; limits::SOUND_COOKIE]);
    started.running.close_stdin();
    started.running.ended();
}

#[test]
fn a_session_goes_on_without_sound_and_says_why() {
    let server = Server::new();
    let path = server.path("run/ldm-0123.sound");
    fs::write(&path, "no socket").unwrap();
    for path in [path.to_str().unwrap(), "/nonexistent/ldm-0123.sound", "/tmp/ldm-$(x).sound"] {
        let sound = Some(Sound::Socket { path: path.into() });
        server.session("x", REPORT);
        let mut running = server.start(&SessionRequest { sound, ..server.request("x") });
        let SessionEvent::Started { no_sound, .. } = running.event() else { panic!("refused") };
        assert!(no_sound.is_some(), "{path}");
        running.close_stdin();
        running.ended();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "no socket", "it is somebody's");
}

#[test]
fn a_session_that_is_refused_leaves_no_socket() {
    let server = Server::new();
    let (_listener, sound) = endpoint(&server);
    let mut running = server.start(&SessionRequest { sound: Some(sound), ..server.request("gone") });
    assert!(matches!(running.event(), SessionEvent::Refused { .. }));
    running.wait();
    assert!(is_empty(&server.path("run")));
}

#[test]
fn entries_for_the_menu_come_first_whatever_the_profile_says() {
    let server = Server::new();
    server.program("ltsp-open", "");
    let reports = server.reports();
    for (profile, rest) in [
        ("", server.path("data").to_str().unwrap()),
        ("export XDG_DATA_DIRS=/theirs:/more", "/theirs:/more"),
        ("unset XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
    ] {
        fs::write(server.home(".profile"), profile).unwrap();
        server.session("x", REPORT);
        let mut command = server.command("session");
        command.env("PATH", format!("{}:/usr/bin:/bin", server.path("bin").display()));
        let request = SessionRequest { menu: true, open_on_client: true, ..server.request("x") };
        let mut running = Server::start_command(command, &request);
        let SessionEvent::Started { directory: Some(directory), .. } = running.event() else { panic!("refused") };
        let share = Path::new(&directory).join("share");
        assert_eq!(reports.value("XDG_DATA_DIRS="), format!("{}:{rest}", share.display()));
        assert_eq!(reports.value("BROWSER="), "ltsp-open");
        assert!(share.join("applications").is_dir() && share.join("icons").is_dir());
        running.close_stdin();
        running.ended();
    }
}

#[test]
fn what_a_killed_helper_leaves_is_tidied_up() {
    let server = Server::new();
    let (_listener, sound) = endpoint(&server);
    let mut started = start(&server, SessionRequest { sound: Some(sound), ..server.request("x") });
    let session = started.reports.pid("pid ");
    started.running.signal(Signal::SIGKILL);
    started.running.wait();
    assert!(started.directory.exists());
    assert!(server.output("tidy", b"").status.success());
    session.wait();
    assert!(is_empty(&server.path("run")));
}
