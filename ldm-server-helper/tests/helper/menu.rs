//! The client's entries in a session's menu.

use std::fs;
use std::path::PathBuf;

use ldm_protocol::helper::{SessionEvent, SessionRequest};
use ldm_protocol::services::{MenuItem, MenuWritten};

use crate::harness::{Lines, Running, Server};

fn session(server: &Server) -> (Running, Lines, PathBuf) {
    server.session("x", "echo \"dirs $XDG_DATA_DIRS\" >>\"$REPORTS\"\nexec sleep 1000");
    let running = server.start(&SessionRequest { menu: true, ..server.request("x") });
    let SessionEvent::Started { directory: Some(directory), .. } = running.event() else { panic!("not started") };
    (running, server.reports(), directory.into())
}

fn send(server: &Server, directory: &str, items: &[MenuItem]) -> std::process::Output {
    let mut helper = server.command("menu");
    helper.arg(directory);
    let mut child = helper.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for item in items {
        // It may have refused already.
        let _ = serde_json::to_writer(&stdin, item);
        let _ = std::io::Write::write_all(&mut stdin, b"\n");
    }
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn entry(name: &str) -> MenuItem {
    MenuItem::Entry { entry: name.into(), text: "[Desktop Entry]\nType=Application\nName=X\nExec=x %U\n".into() }
}

#[test]
fn entries_are_where_the_session_looks_first_and_go_with_it() {
    let server = Server::new();
    let (mut running, reports, directory) = session(&server);
    let share = directory.join("share");
    assert!(reports.value("dirs ").starts_with(&format!("{}:", share.display())));
    let output = send(&server, directory.to_str().unwrap(), &[entry("x.desktop"), entry("../x.desktop")]);
    let written: MenuWritten = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((written.entries, written.refused, output.status.success()), (1, 1, true));
    let text = fs::read_to_string(share.join("applications/x.desktop")).unwrap();
    assert!(text.contains("Exec=ltsp-localapps x %U\n"), "{text}");
    running.close_stdin();
    running.ended();
    assert!(!directory.exists());
}

#[test]
fn nothing_is_written_where_no_session_is() {
    let server = Server::new();
    let home = server.path("home");
    for directory in [home.to_str().unwrap(), "/tmp", "", "relative", "/no/such"] {
        let output = send(&server, directory, &[entry("x.desktop")]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{directory}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("no session"), "{output:?}");
    }
    assert!(!home.join("share").exists());
}
