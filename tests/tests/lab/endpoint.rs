//! Where a session's sound is on the server: who can reach it, and when it goes. The client's daemon is one of the lab's own,
//! which gives back what it gets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ldm_protocol::FailureKind;
use ldm_protocol::limits::SOUND_COOKIE;
use ldm_tests::{Daemon, Lab, Relay, Scene, User, sshd, sweep, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The client's daemon, as the worker meets it.
struct Echo {
    path: PathBuf,
    clients: Arc<AtomicUsize>,
}

impl Echo {
    fn new(lab: &Lab) -> Result<Self> {
        let path = lab.file("sound-daemon");
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        let clients = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&clients);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = (&stream).read(&mut buffer) {
                        let packet = buffer.get(..read).unwrap_or_default();
                        // The seat asks for volumes too, with the version of its library.
                        if packet.windows(VERSION.len()).any(|window| window == VERSION) {
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        if (&stream).write_all(packet).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Ok(Self { path, clients })
    }

    fn clients(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }
}

/// How our clients tell the version of the protocol.
const VERSION: [u8; 5] = [b'L', 0, 0, 0, 32];

/// A client's first packet: AUTH with this cookie (PulseAudio's native protocol, version 32).
fn auth(cookie: &[u8; SOUND_COOKIE]) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    for number in [8_u32, 0] {
        payload.push(b'L');
        payload.extend(number.to_be_bytes());
    }
    payload.extend(VERSION);
    payload.push(b'x');
    payload.extend(u32::try_from(SOUND_COOKIE)?.to_be_bytes());
    payload.extend(cookie);
    let mut packet = Vec::new();
    for number in [u32::try_from(payload.len())?, u32::MAX, 0, 0, 0] {
        packet.extend(number.to_be_bytes());
    }
    packet.extend(payload);
    Ok(packet)
}

/// Whether the far end answers a client with this cookie.
fn answers(mut stream: impl Read + Write, cookie: &[u8; SOUND_COOKIE]) -> bool {
    let Ok(packet) = auth(cookie) else { return false };
    let mut back = [0; 20];
    stream.write_all(&packet).is_ok() && stream.read_exact(&mut back).is_ok() && packet.starts_with(&back)
}

/// Whether this user can connect to a socket.
fn connects(user: &User, socket: &Path) -> Result<bool> {
    let script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    let output = user.command(Path::new("/usr/bin/python3")).args(["-c", script]).arg(socket).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() || error.contains("Permission denied"), "{error}");
    Ok(output.status.success())
}

fn scene(server: impl FnOnce(sshd::Builder<'_>) -> sshd::Builder<'_>) -> Result<(Scene, Echo)> {
    let mut scene = Scene::with(server, |daemon| Ok(daemon))?;
    let echo = Echo::new(&scene.lab)?;
    scene.daemon.stop()?;
    scene.daemon = seat(&scene, &echo, scene.sshd.port())?;
    Ok((scene, echo))
}

fn seat(scene: &Scene, echo: &Echo, port: u16) -> Result<Daemon> {
    Daemon::builder(&scene.lab)
        .on(scene.x.screen())
        .server(&scene.sshd, port)?
        .set("SOUND_DAEMON", &echo.path.to_string_lossy())
        .start()
}

/// The socket that the session's programs are told.
fn socket(scene: &Scene) -> Result<PathBuf> {
    let env = scene.desk().env()?;
    let server = env.get("PULSE_SERVER").context("the session knows of no sound")?;
    Ok(server.strip_prefix("unix:").with_context(|| format!("{server} is no socket"))?.into())
}

/// What is left of this user's sessions where their things are.
fn left_over(user: &User) -> Vec<PathBuf> {
    let entries = fs::read_dir("/tmp").into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user.uid));
    ours.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("/ldm-")).collect()
}

fn wait_for_nothing_left(user: &User) -> Result<()> {
    wait::until("the session's directory to go", wait::STEP, || left_over(user).is_empty().then_some(()))
        .with_context(|| format!("{:?}", left_over(user)))
}

fn helper_of(user: &User) -> Result<Pid> {
    let find = || {
        let all = sweep::processes_of(user.uid);
        all.into_iter().find(|&pid| sweep::command_line(pid).starts_with("ldm-server-helper session"))
    };
    Ok(Pid::from_raw(wait::until("the helper", wait::STEP, find)?))
}

#[test]
fn sound_is_at_a_socket_of_the_users_alone_and_goes_with_the_session() -> Result<()> {
    let (mut scene, echo) = scene(|sshd| sshd)?;
    scene.log_in()?;
    let socket = socket(&scene)?;
    let directory = socket.parent().context("no directory")?;
    let (file, above) = (socket.metadata()?, directory.metadata()?);
    assert!(file.file_type().is_socket() && file.mode() & 0o777 == 0o600 && file.uid() == scene.user.uid);
    assert!(above.mode() & 0o7777 == 0o700 && above.uid() == scene.user.uid);
    assert!(connects(&scene.user, &socket)?);
    assert!(!connects(&User::new(&scene.lab)?, &socket)?, "another user of the server hears the session");
    assert!(
        answers(UnixStream::connect(&socket)?, &[7; SOUND_COOKIE]),
        "the daemon's log:\n{}",
        scene.daemon.log_text()
    );
    assert_eq!(echo.clients(), 1);
    assert_eq!(left_over(&scene.user), [directory]);
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;

    // And anew, under another name.
    scene.log_in()?;
    assert_ne!(self::socket(&scene)?, socket);
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn a_forced_session_has_sound_too() -> Result<()> {
    let (mut scene, echo) = scene(|sshd| sshd)?;
    scene.daemon.stop()?;
    scene.daemon = Daemon::builder(&scene.lab)
        .on(scene.x.screen())
        .server(&scene.sshd, scene.sshd.port())?
        .set("SOUND_DAEMON", &echo.path.to_string_lossy())
        .set("LDM_FORCE_SESSION", "desk")
        .start()?;
    scene.log_in()?;
    assert!(answers(UnixStream::connect(socket(&scene)?)?, &[0; SOUND_COOKIE]));
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn a_killed_helper_leaves_no_endpoint() -> Result<()> {
    let (mut scene, _echo) = scene(|sshd| sshd)?;
    scene.log_in()?;
    assert!(!left_over(&scene.user).is_empty());
    kill(helper_of(&scene.user)?, Signal::SIGKILL)?;
    wait_for_nothing_left(&scene.user)?;
    scene.daemon.greeter()?;
    scene.user.wait_for_no_process(Duration::from_secs(15))?;
    scene.finish()
}

#[test]
fn a_cut_link_leaves_no_endpoint() -> Result<()> {
    let (mut scene, echo) = scene(|sshd| sshd)?;
    let relay = Relay::new(scene.sshd.port())?;
    scene.daemon.stop()?;
    scene.daemon = seat(&scene, &echo, relay.port())?;
    scene.log_in()?;
    assert!(!left_over(&scene.user).is_empty());
    relay.cut();
    scene.daemon.greeter()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn one_channel_at_a_time_is_enough_for_sound() -> Result<()> {
    let (mut scene, _echo) = scene(|sshd| sshd.line("MaxSessions 1"))?;
    scene.log_in()?;
    assert!(answers(UnixStream::connect(socket(&scene)?)?, &[0; SOUND_COOKIE]));
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn a_port_answers_to_the_sessions_cookie_alone() -> Result<()> {
    // `GatewayPorts` would bind it to every address, and has no say in what we are told of it.
    for gateway in ["no", "yes"] {
        let (mut scene, echo) =
            scene(|sshd| sshd.line("AllowStreamLocalForwarding no").line(&format!("GatewayPorts {gateway}")))?;
        scene.log_in()?;
        let env = scene.desk().env()?;
        let address = env.get("PULSE_SERVER").and_then(|server| server.strip_prefix("tcp:")).context("no port")?;
        ensure!(address.starts_with("127.0.0.1:"), "{address}");
        let file = Path::new(env.get("PULSE_COOKIE").context("no cookie")?);
        assert_eq!(file.metadata()?.mode() & 0o777, 0o600);
        let cookie: [u8; SOUND_COOKIE] = fs::read(file)?.as_slice().try_into()?;
        let mut wrong = cookie;
        wrong[SOUND_COOKIE - 1] ^= 1;
        for wrong in [[0; SOUND_COOKIE], wrong] {
            assert!(!answers(TcpStream::connect(address)?, &wrong));
        }
        assert_eq!(echo.clients(), 0, "the daemon was reached without the cookie");
        assert!(answers(TcpStream::connect(address)?, &cookie));
        // No log may hold it.
        let hex = cookie.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        scene.lab.secret(&hex);
        scene.log_out()?;
        wait_for_nothing_left(&scene.user)?;
        scene.finish()?;
    }
    Ok(())
}

#[test]
fn a_session_without_sound_goes_on_and_says_so() -> Result<()> {
    let lines = "AllowStreamLocalForwarding no\nAllowTcpForwarding no";
    let (mut scene, _echo) = scene(|sshd| sshd.line(lines))?;
    scene.log_in()?;
    assert_eq!(scene.desk().env()?.get("PULSE_SERVER"), None);
    wait::for_line(scene.daemon.log(), "AllowStreamLocalForwarding yes", wait::STEP)?;
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn a_server_that_forwards_nothing_at_all_gives_no_session() -> Result<()> {
    let (mut scene, _echo) = scene(|sshd| sshd.line("DisableForwarding yes"))?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(Some("desk"))?;
    let failure = scene.daemon.greeter()?.seat()?.failure.context("the next greeter was told of no failure")?;
    assert_eq!(failure.kind, FailureKind::NoX11, "{failure:?}");
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn sound_that_is_switched_off_is_not_asked_for() -> Result<()> {
    let mut scene = Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("SOUND", "False")))?;
    scene.log_in()?;
    assert_eq!(scene.desk().env()?.get("PULSE_SERVER"), None);
    ensure!(!scene.sshd.log_text().contains("streamlocal-forward"), "the server was asked");
    let [directory] = &*left_over(&scene.user) else { anyhow::bail!("{:?}", left_over(&scene.user)) };
    assert!(!directory.join("pulse").exists());
    scene.log_out()?;
    wait_for_nothing_left(&scene.user)?;
    scene.finish()
}

#[test]
fn without_the_helper_there_is_no_sound_and_no_socket() -> Result<()> {
    let (mut scene, _echo) = scene(|sshd| sshd.helper(false))?;
    scene.daemon.stop()?;
    // Forced, so that the socket is asked for before it is known that there is no helper.
    let known_hosts = scene.sshd.known_hosts(&scene.lab, scene.sshd.port())?;
    scene.daemon = Daemon::builder(&scene.lab)
        .on(scene.x.screen())
        .set("LDM_SERVER", &format!("127.0.0.1:{}", scene.sshd.port()))
        .set("LDM_KNOWN_HOSTS", &known_hosts.to_string_lossy())
        .set("LDM_FORCE_SESSION", "icewm-session")
        .start()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(None)?;
    scene.x.screen().wait_for("TaskBar", wait::STEP)?;
    assert_eq!(left_over(&scene.user), Vec::<PathBuf>::new());
    wait::for_line(scene.daemon.log(), "no ldm-server-helper, which gives a session its sound", wait::STEP)?;
    scene.daemon.stop()?;
    scene.user.wait_for_no_process(Duration::from_secs(10))
}
