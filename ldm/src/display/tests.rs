use super::*;

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("timed out")
}

fn xvfb(directory: &Path) -> DisplaySpec {
    DisplaySpec {
        program: "Xvfb".into(),
        args: ["-screen", "0", "64x64x24"].map(Into::into).into(),
        ..DisplaySpec::new(directory)
    }
}

/// A program that stands for an X server.
fn fake(directory: &Path, script: &str) -> DisplaySpec {
    let path = directory.join("X");
    crate::sys::write_script(&path, script);
    DisplaySpec { program: path.into(), ..DisplaySpec::new(directory) }
}

/// Whether a real X client gets in with this authority file.
async fn client(display: &Display, authority: &Path) -> bool {
    let mut child = crate::sys::Spawn::new("xdpyinfo")
        .env_from_ours(&["PATH"])
        .env("DISPLAY", display.name().to_string())
        .env("XAUTHORITY", authority)
        .output(crate::sys::Output::Null)
        .start()
        .unwrap();
    within(child.wait()).await.unwrap().success()
}

#[tokio::test]
async fn a_real_x_server_accepts_our_cookie_alone_and_ends_with_us() {
    let dir = tempfile::tempdir().unwrap();
    let display = within(Display::start(&xvfb(dir.path()))).await.unwrap();
    let authority = dir.path().join("client");
    display.write_authority(&authority, None).unwrap();
    assert!(client(&display, &authority).await);
    assert!(!client(&display, Path::new("/dev/null")).await);

    let mut attached = within(Display::attach(&display.name().to_string(), Some(&authority))).await.unwrap();
    assert!(attached.cookie().unwrap().matches(display.cookie().unwrap().expose()));
    assert!(display.is_ours() && !attached.is_ours());
    let name = display.name().clone();
    within(display.stop()).await;
    within(attached.exited()).await;
    assert!(!name.socket().unwrap().exists(), "the X server had no time to clean up");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "its authority file is left");
    assert!(matches!(Display::attach(&name.to_string(), None).await, Err(DisplayError::NoServer { .. })));
}

#[tokio::test]
async fn a_crash_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut display = within(Display::start(&xvfb(dir.path()))).await.unwrap();
    let Kind::Started(server) = &display.kind else { panic!("not started") };
    server.kill();
    assert!(within(display.exited()).await.contains("signal: 9"));
    let _ = std::fs::remove_file(display.name().socket().unwrap());
    let _ = std::fs::remove_file(format!("/tmp/.X{}-lock", display.name().number()));
}

/// An X server closes a connection that says nothing for a minute; that is not its end.
#[tokio::test]
async fn a_connection_that_ends_is_not_the_end_of_the_server() {
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("X");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut attached = attached::Attached::for_test(path.clone(), stream);
    let server = async {
        drop(listener.accept().await.unwrap());
        let (held, _) = listener.accept().await.unwrap();
        std::fs::remove_file(&path).unwrap();
        drop(held);
    };
    let (said, ()) = within(async { tokio::join!(attached.exited(), server) }).await;
    assert!(said.contains("no longer answers"), "{said}");
}

#[tokio::test]
async fn what_is_no_x_server_is_told_and_ended() {
    const SILENT: &str = "exec /bin/sleep 1000";
    let dir = tempfile::tempdir().unwrap();
    let start = async |script: &str| {
        let mut spec = fake(dir.path(), script);
        if script == SILENT {
            spec.ready_within = Duration::from_millis(500);
        }
        within(Display::start(&spec)).await.map(|_| ()).unwrap_err().to_string()
    };
    assert!(start("exit 3").await.ends_with("ended before it was ready (exit status: 3); its messages are in the log"));
    assert!(start("echo nonsense >&3; exec 3>&-; exec /bin/sleep 1000").await.contains("is no X server"));
    assert!(start("/usr/bin/yes >&3").await.contains("is no X server"));
    assert!(start(SILENT).await.contains("was not ready within"));
    let missing = DisplaySpec { program: "/nonexistent/X".into(), ..DisplaySpec::new(dir.path()) };
    let error = Display::start(&missing).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/X cannot be started: No such file"), "{error}");
}

#[tokio::test]
async fn arguments_are_those_of_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("args");
    let script = format!("echo \"$*\" >{}; echo 77 >&3; exec 3>&-; exec /bin/sleep 1000", log.display());
    let mut spec = fake(dir.path(), &script);
    spec.args = vec!["-first".into()];
    let display = within(Display::start(&spec)).await.unwrap();
    assert_eq!(display.name().number(), 77);
    let args = std::fs::read_to_string(&log).unwrap();
    assert!(args.starts_with("-first -displayfd 3 -auth "), "{args}");
    assert!(args.trim_end().ends_with("-nolisten tcp -noreset"), "{args}");
    assert!(!args.contains(display.cookie().unwrap().to_hex().as_str()));
    drop(display);
    spec = DisplaySpec { number: Some(5), vt: Some(7), listen_tcp: true, ..spec };
    drop(within(Display::start(&spec)).await.unwrap());
    let args = std::fs::read_to_string(&log).unwrap();
    assert!(args.starts_with("-first :5 -displayfd"), "{args}");
    assert!(args.trim_end().ends_with("-listen tcp -noreset vt7"), "{args}");
}

/// A real X client with the fake cookie gets through a forward to a real X server, and one with the real cookie does not.
#[tokio::test]
async fn a_real_client_is_forwarded_by_the_fake_cookie_alone() {
    use crate::x11::Forward;

    let dir = tempfile::tempdir().unwrap();
    let display = within(Display::start(&xvfb(dir.path()))).await.unwrap();
    let fake = Cookie::generate().unwrap();
    // Where sshd would listen on the server.
    let mut number = 40_000 + std::process::id() % 10_000;
    let (listener, forwarded) = loop {
        let name = DisplayName::local(number);
        match tokio::net::UnixListener::bind(name.socket().unwrap()) {
            Ok(listener) => break (listener, name),
            Err(_) => number += 1,
        }
    };
    let forward = Forward { display: display.name().clone(), real: display.cookie().cloned(), fake: fake.clone() };
    let serve = tokio::spawn(async move {
        let mut served = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            served.push(forward.serve(stream).await.map_err(|e| e.to_string()));
        }
        served
    });
    let lets_in = async |cookie: &Cookie| {
        let authority = dir.path().join("authority");
        xauth::write(&authority, &xauth::entries_for(Some(forwarded.number()), cookie), None).unwrap();
        let mut child = crate::sys::Spawn::new("xdpyinfo")
            .env_from_ours(&["PATH"])
            .env("DISPLAY", forwarded.to_string())
            .env("XAUTHORITY", authority)
            .output(crate::sys::Output::Null)
            .start()
            .unwrap();
        within(child.wait()).await.unwrap().success()
    };
    assert!(lets_in(&fake).await);
    assert!(!lets_in(display.cookie().unwrap()).await);
    std::fs::remove_file(forwarded.socket().unwrap()).unwrap();
    let served = within(serve).await.unwrap();
    assert_eq!(served.first(), Some(&Ok(())));
    assert!(served[1].as_ref().unwrap_err().contains("wrong cookie"), "{served:?}");
}
