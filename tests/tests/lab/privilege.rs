//! Who may do what on the client, and what a hostile greeter gets.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_protocol::greetd::{Request, Response};
use ldm_protocol::limits;
use ldm_tests::daemon::identity;
use ldm_tests::scene::RECOVERY;
use ldm_tests::{Lab, Scene, XServer, wait};

#[test]
fn greeter_and_worker_run_under_users_of_their_own() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    let greeter_user = scene.daemon.greeter_user();
    let worker_user = scene.daemon.worker_user();
    for (pid, user) in [(greeter.hello().pid, greeter_user), (scene.daemon.wait_for_worker()?, worker_user)] {
        let (uids, groups) = identity(pid)?;
        assert_eq!(uids, [user.uid; 4], "of {}", ldm_tests::sweep::command_line(pid));
        assert!(!groups.contains(&0), "{groups:?}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", scene.daemon.wait_for_worker()?))?;
    for field in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"] {
        assert!(status.contains(field), "{status}");
    }
    assert_ne!(greeter_user.uid, worker_user.uid);
    drop(greeter);
    scene.finish()
}

#[test]
fn without_root_the_same_processes_run_as_the_one_user() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.daemon.stop()?;
    let client = ldm_tests::User::new(&scene.lab)?;
    let authority = client.home.join(".Xauthority");
    fs::copy(scene.x.authority(), &authority)?;
    std::os::unix::fs::chown(&authority, Some(client.uid), Some(client.gid))?;
    let screen = ldm_tests::xserver::Screen { display: scene.x.display().to_owned(), authority };
    let builder = ldm_tests::Daemon::builder(&scene.lab).on(screen).server(&scene.sshd, scene.sshd.port())?;
    scene.daemon = builder.as_user(&client).start()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login_to_question(&scene.user.name)?;
    for pid in [scene.daemon.pid(), greeter.hello().pid, scene.daemon.wait_for_worker()?] {
        assert_eq!(identity(pid)?.0, [client.uid; 4], "{}", ldm_tests::sweep::command_line(pid));
    }
    assert!(matches!(greeter.request(&Request::CancelSession)?, Response::Success));
    scene.log_in_at(greeter)?;
    scene.log_out()?;
    scene.daemon.greeter_within(RECOVERY)?;
    scene.daemon.stop()?;
    client.wait_for_no_process(wait::STEP)?;
    scene.user.wait_for_no_process(wait::STEP)
}

#[test]
fn a_greeter_gets_its_socket_its_display_and_nothing_else() -> Result<()> {
    let mut scene = Scene::new()?;
    let greeter = scene.daemon.greeter()?;
    let socket = fs::metadata(greeter.env("GREETD_SOCK")?)?;
    assert_eq!(socket.uid(), scene.daemon.greeter_user().uid);
    assert_eq!(socket.permissions().mode() & 0o077, 0, "others may use the greeter's socket");
    let authority = fs::metadata(greeter.env("XAUTHORITY")?)?;
    assert_eq!((authority.uid(), authority.permissions().mode() & 0o777), (scene.daemon.greeter_user().uid, 0o600));
    assert_eq!(greeter.env("DISPLAY")?.trim_end_matches(".0"), scene.x.display());
    for (number, target) in &greeter.hello().descriptors {
        assert!(["0", "1", "2"].contains(&number.as_str()), "descriptor {number} is {target}");
    }
    let secretive = ["LDM_WORKER_FD", "SSH_AUTH_SOCK", "SUDO_USER"];
    assert!(secretive.iter().all(|name| greeter.env(name).is_err()), "{:?}", greeter.hello().env);
    drop(greeter);
    scene.finish()
}

#[test]
fn no_command_line_and_no_environment_holds_a_secret() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.log_in()?;
    let password = scene.user.password.clone();
    let cookie = Command::new("xauth").arg("-f").arg(scene.x.authority()).arg("list").output()?;
    let cookie = String::from_utf8(cookie.stdout)?;
    let cookie = cookie.split_whitespace().last().context("no cookie")?.to_owned();
    let mut seen = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        for file in ["cmdline", "environ"] {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            seen += usize::from(text.contains("ldm"));
            assert!(!text.contains(&password) && !text.contains(&cookie), "{}/{file}", entry.path().display());
        }
    }
    assert!(seen > 2);
    scene.log_out()?;
    scene.finish()
}

#[test]
fn frames_that_are_wrong_end_the_greeters_connection_and_a_new_greeter_comes() -> Result<()> {
    let mut scene = Scene::new()?;
    let too_large = u32::try_from(limits::FRAME + 1)?.to_ne_bytes();
    let endless = u32::MAX.to_ne_bytes();
    for bytes in [&too_large[..], &endless] {
        let mut greeter = scene.daemon.greeter()?;
        greeter.send_bytes(bytes)?;
        ensure!(greeter.is_closed_within(Duration::from_secs(10)), "a frame of {bytes:?} bytes was waited for");
    }
    let memory = fs::read_to_string(format!("/proc/{}/status", scene.daemon.pid()))?;
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    assert!(peak < 200_000, "the daemon used {peak} kB");
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    drop(greeter);
    scene.finish()
}

#[test]
fn requests_out_of_order_are_errors_and_do_no_harm() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut greeter = scene.daemon.greeter()?;
    let start =
        || Request::StartSession { cmd: vec!["ldm-session".into(), "desk".into()], env: Vec::new(), unasked: false };
    let answer = || Request::PostAuthMessageResponse { response: None };
    for request in [start(), answer(), Request::LdmSessions] {
        let what = format!("{request:?}");
        let response = greeter.request(&request).with_context(|| what.clone())?;
        assert!(matches!(response, Response::Error { .. }), "{what}: {response:?}");
    }
    greeter.login_to_question(&scene.user.name)?;
    for request in [start(), Request::LdmSessions, Request::CreateSession { username: "other".into() }] {
        let what = format!("{request:?}");
        let response = greeter.request(&request).with_context(|| what.clone())?;
        assert!(matches!(response, Response::Error { .. }), "{what} in the middle of a login: {response:?}");
    }
    // `null` is never an empty password: that question is still open, or the login has failed, but nobody is in.
    let unanswered = greeter.request(&answer()).context("null for an answer")?;
    assert!(!matches!(unanswered, Response::Success), "{unanswered:?}");
    let _ = greeter.request(&Request::CancelSession)?;
    // Bytes that are no message.
    let junk = b"{\"type\":\"open_the_door\"}";
    greeter.send_bytes(&[&u32::try_from(junk.len())?.to_ne_bytes()[..], junk].concat()).context("junk")?;
    if let Ok(response) = greeter.receive() {
        assert!(matches!(response, Response::Error { .. }), "{response:?}");
    }
    if greeter.is_closed_within(Duration::from_secs(2)) {
        greeter = scene.daemon.greeter()?;
    }
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    drop(greeter);
    scene.finish()
}

#[test]
fn the_daemon_links_no_gtk_and_the_greeter_no_network_library() -> Result<()> {
    let lab = Lab::new()?;
    let libraries = |program: &str| -> Result<String> {
        let output = Command::new("ldd").arg(lab.bin()?.join(program)).output()?;
        ensure!(output.status.success(), "ldd failed");
        Ok(String::from_utf8(output.stdout)?)
    };
    for program in ["ldm", "ldm-server-helper"] {
        let list = libraries(program)?;
        for word in ["gtk", "gdk", "libX11", "libxcb", "libglib", "libssl", "libcrypto"] {
            assert!(!list.contains(word), "{program} links {word}: {list}");
        }
    }
    assert!(libraries("ldm-greeter")?.contains("libgtk-4"));
    Ok(())
}

/// Inodes of the sockets that a process has open.
fn sockets(pid: i32) -> HashSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
}

/// Inodes of every socket of the Internet's families.
fn internet_sockets() -> HashSet<String> {
    let mut found = HashSet::new();
    for (table, column) in [("tcp", 9), ("tcp6", 9), ("udp", 9), ("udp6", 9), ("raw", 9), ("raw6", 9)] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        let inodes = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(column));
        found.extend(inodes.map(str::to_owned));
    }
    found
}

#[test]
fn the_real_greeter_and_the_daemon_have_no_connection_to_the_network() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = ldm_tests::Sshd::new(&lab)?;
    let x = XServer::new(&lab)?;
    let bin = lab.bin()?;
    let mut daemon = ldm_tests::Daemon::builder(&lab)
        .on(x.screen())
        .server(&sshd, sshd.port())?
        .set("LDM_GREETER", &bin.join("ldm-greeter").to_string_lossy())
        .set("LDM_THEME", &bin.join("themes/default").to_string_lossy())
        .start()?;
    let pids = wait::until("the greeter", wait::STEP, || {
        let pids = daemon.greeter_user().processes();
        (!pids.is_empty()).then_some(pids)
    })?;
    wait::until("a picture", wait::STEP, || x.screen().colours().is_ok_and(|colours| colours > 20).then_some(()))?;
    // The user types a name: the worker connects now, and nobody else.
    x.screen().type_text("somebody")?;
    let worker = daemon.wait_for_worker()?;
    wait::until("the worker's connection", wait::STEP, || {
        (!sockets(worker).is_disjoint(&internet_sockets())).then_some(())
    })?;
    let internet = internet_sockets();
    for pid in pids.into_iter().chain([daemon.pid()]) {
        let name = ldm_tests::sweep::command_line(pid);
        assert!(!sockets(pid).is_empty(), "{name} has no socket at all: the test looks in the wrong place");
        assert!(sockets(pid).is_disjoint(&internet), "{name} is connected to the network");
    }
    daemon.stop()
}
