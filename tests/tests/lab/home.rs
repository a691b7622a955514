//! The user's files from the server, as local programs have them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use ldm_tests::{
    Client, Daemon, Desk, Guest, Kind, Lab, LocalSession, Program, Scene, Sshd, User, XServer, daemon, sweep, wait,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A guest with a home on the server, at a client.
struct Home {
    // Dropped first: what it serves is on the client.
    servers: Vec<Program>,
    client: Client,
    guest: Guest,
    path: PathBuf,
    lab: Lab,
}

impl Home {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        fs::create_dir(lab.file("srv"))?;
        let client = Client::with(&lab, &[], "mount -t tmpfs -o mode=755 tmpfs \"$LAB/srv\"")?;
        let guest = Guest::new()?;
        let path = guest.home(&lab, "alice")?;
        Ok(Self { servers: Vec::new(), client, guest, path, lab })
    }

    fn start(&self, more: Value) -> Result<LocalSession> {
        LocalSession::start(&self.lab, &self.client, &self.guest.record("alice", &self.path), more)
    }

    fn serve(&mut self, session: &mut LocalSession) -> Result<()> {
        let socket = session.mount()?;
        self.servers.push(self.guest.serve(&self.client, &socket, &self.lab.log("sftp"))?);
        Ok(())
    }

    /// A local session that has the home.
    fn log_in(&mut self, more: Value) -> Result<LocalSession> {
        let mut session = self.start(more)?;
        self.serve(&mut session)?;
        session.ready()?.map_err(anyhow::Error::msg)?;
        Ok(session)
    }

    fn log_out(&self, session: LocalSession) -> Result<()> {
        session.end()?;
        self.client.wait_until_clean()?;
        assert_eq!(sweep::processes_of(self.guest.uid), Vec::<i32>::new());
        assert_eq!(self.client.shell(&format!("ls -A {}", self.lab.file("home").display()))?, "");
        Ok(())
    }
}

fn why_not_mounted(message: &Value) -> Result<&str> {
    message.pointer("/not_mounted/why").and_then(Value::as_str).with_context(|| message.to_string())
}

#[test]
fn local_programs_read_and_write_the_users_files_and_nobody_else_does() -> Result<()> {
    let mut home = Home::new()?;
    let mut session = home.log_in(json!({}))?;
    session.shell("test \"$PWD\" = \"$HOME\" && test \"$(cat hello)\" = 'from the server'")?;
    session.shell("echo one >new && echo two >other && mv other new && mkdir -p 'a b' && cp hello 'a b' && ln -s hello 'a b/link'")?;
    session.shell("echo from the client >>hello; umask 077; echo >private; echo x >gone; rm gone")?;
    session.shell("cat 'a b/link' >'a b/copy'; test \"$(stat -c %u:%g new)\" = \"$(id -u):$(id -g)\"")?;
    assert_eq!(fs::read_to_string(home.path.join("new"))?, "two\n");
    assert_eq!(fs::read_to_string(home.path.join("a b/copy"))?, "from the server\n");
    assert_eq!(fs::read_to_string(home.path.join("hello"))?, "from the server\nfrom the client\n");
    assert_eq!(fs::metadata(home.path.join("private"))?.permissions().mode() & 0o777, 0o600);
    assert!(!home.path.join("other").exists() && !home.path.join("gone").exists());

    let path = home.path.display();
    let mount = home.client.shell("grep sshfs /proc/self/mountinfo")?;
    assert!(mount.contains("nosuid") && mount.contains("nodev") && !mount.contains("allow_other"), "{mount}");
    let seen = home.client.shell(&format!("ls {path} 2>&1; setpriv --reuid 65534 --clear-groups ls {path} 2>&1"))?;
    assert_eq!(seen.matches("Permission denied").count(), 2, "root or nobody sees: {seen}");
    home.log_out(session)?;
    assert_eq!(fs::read_to_string(home.path.join("new"))?, "two\n");
    Ok(())
}

#[test]
fn large_files_arrive_whole_both_ways() -> Result<()> {
    let mut home = Home::new()?;
    let big = home.path.join("big");
    let bytes = io::copy(&mut File::open("/dev/urandom")?.take(100 << 20), &mut File::create(&big)?)?;
    let mut session = home.log_in(json!({}))?;
    // As long as a busy disk may take.
    session.wait_for(Duration::from_mins(3))?;
    session.shell("cp big copy")?;
    assert_eq!(fs::metadata(home.path.join("copy"))?.len(), bytes);
    assert!(sweep::quietly("cmp", &[&big.to_string_lossy(), &home.path.join("copy").to_string_lossy()]));
    home.log_out(session)
}

#[test]
fn a_connection_that_is_lost_is_told_and_nothing_is_written_beside_it() -> Result<()> {
    let mut home = Home::new()?;
    let mut session = home.log_in(json!({}))?;
    for server in &mut home.servers {
        server.kill();
    }
    let message = session.message()?;
    assert!(why_not_mounted(&message)?.contains("was lost"), "{message}");
    let end = session.run(&json!({ "argv": ["sh", "-c", "echo lost >\"$HOME/lost\""] }))?;
    assert_ne!(end.get("status"), Some(&json!(0)), "{end}");
    assert!(!home.path.join("lost").exists());
    home.log_out(session)
}

#[test]
fn without_the_home_programs_run_and_it_is_told() -> Result<()> {
    let mut home = Home::new()?;
    let mut session = home.start(json!({}))?;
    fs::remove_dir_all(&home.path)?;
    home.serve(&mut session)?;
    let message = session.message()?;
    assert!(why_not_mounted(&message)?.contains("No such file or directory"), "{message}");
    session.ready()?.map_err(anyhow::Error::msg)?;
    // Not where it should be, where it would be taken for the real one.
    session.shell(&format!("test \"$PWD\" = \"$HOME\" && touch \"$HOME/x\" && ! touch '{}/x'", home.path.display()))?;
    home.log_out(session)
}

#[test]
fn files_in_the_way_are_left_alone() -> Result<()> {
    let home = Home::new()?;
    let path = home.path.display().to_string();
    home.client.shell(&format!("mkdir -p {path} && echo mine >{path}/here"))?;
    let mut session = home.start(json!({}))?;
    let message = session.message()?;
    assert!(why_not_mounted(&message)?.contains("there are files in"), "{message}");
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.end()?;
    assert_eq!(home.client.shell(&format!("cat {path}/here"))?, "mine\n");
    // A link in the way leads nowhere.
    home.client.shell(&format!("rm -r {path} && mkdir /run/elsewhere && ln -s /run/elsewhere {path}"))?;
    let mut session = home.start(json!({}))?;
    assert!(why_not_mounted(&session.message()?)?.contains("root's alone"));
    session.end()?;
    // What others may write to is no place to make directories in, either.
    home.client.shell(&format!("rm {path} && chmod 777 {}", home.lab.file("home").display()))?;
    let mut session = home.start(json!({}))?;
    assert!(why_not_mounted(&session.message()?)?.contains("root's alone"));
    session.end()?;
    Ok(())
}

#[test]
fn a_directory_that_was_there_is_as_it_was_and_nobody_elses_is_taken() -> Result<()> {
    let mut home = Home::new()?;
    let path = home.path.display().to_string();
    let look = format!("stat -c %u:%g:%a {path}");
    home.client.shell(&format!("mkdir -p {path} && chmod 751 {path}"))?;
    let mut session = home.log_in(json!({}))?;
    session.shell("test -f hello")?;
    session.end()?;
    assert_eq!(home.client.shell(&look)?, "0:0:751\n");
    let mut session = home.start(json!({}))?;
    session.ready_without_home(&home.client)?;
    // Closed as long as what is written there would be lost.
    assert_eq!(home.client.shell(&look)?, "0:0:500\n");
    session.end()?;
    assert_eq!(home.client.shell(&look)?, "0:0:751\n");
    home.client.shell(&format!("chown 65534 {path}"))?;
    let mut session = home.start(json!({}))?;
    assert!(why_not_mounted(&session.message()?)?.contains("somebody else's"));
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.end()?;
    assert_eq!(home.client.shell(&look)?, "65534:0:751\n");
    Ok(())
}

#[test]
fn what_is_mounted_already_is_used() -> Result<()> {
    let home = Home::new()?;
    let path = home.path.display().to_string();
    let owner = home.guest.uid;
    home.client.shell(&format!("mkdir -p {path} && mount -t tmpfs -o uid={owner},mode=700 tmpfs {path}"))?;
    let mut session = home.start(json!({}))?;
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.shell(&format!("test \"$PWD\" = {path} && touch here"))?;
    session.end()?;
    assert_eq!(home.client.shell(&format!("ls {path}"))?, "here\n");
    Ok(())
}

#[test]
fn other_directories_of_the_server_come_too_and_a_missing_one_stops_none() -> Result<()> {
    let mut home = Home::new()?;
    let srv = home.lab.file("srv");
    for name in ["data", "a b,suid\\x"] {
        fs::create_dir(srv.join(name))?;
        fs::write(srv.join(name).join("file"), format!("{name}\n"))?;
    }
    fs::write(home.lab.file("outside"), "outside\n")?;
    symlink(home.lab.file("outside"), srv.join("data/link"))?;
    symlink("hello", home.path.join("link"))?;
    let extra = ["data", "missing", "a b,suid\\x"].map(|name| srv.join(name));
    let mut session = home.start(json!({ "extra_mounts": extra }))?;
    for _ in 0..4 {
        home.serve(&mut session)?;
    }
    let message = session.message()?;
    assert!(why_not_mounted(&message)?.contains("srv/missing"), "{message}");
    session.ready()?.map_err(anyhow::Error::msg)?;
    let srv = srv.display();
    session.shell(&format!(
        "test \"$(cat {srv}/data/file)\" = data && test \"$(cat '{srv}/a b,suid\\x/file')\" = 'a b,suid\\x'"
    ))?;
    // Followed there, shown in the home.
    session
        .shell(&format!("test ! -L {srv}/data/link && test \"$(cat {srv}/data/link)\" = outside && test -L link"))?;
    let end = session.run(&json!({ "argv": ["test", "-e", format!("{srv}/missing/x")] }))?;
    assert_eq!(end.get("status"), Some(&json!(1)), "{end}");
    home.log_out(session)?;
    assert_eq!(home.client.shell(&format!("ls -A {srv}"))?, "");
    Ok(())
}

#[test]
fn one_that_does_not_come_is_not_waited_for_by_the_others_nor_for_ever() -> Result<()> {
    let mut home = Home::new()?;
    let data = home.lab.file("srv/data");
    fs::create_dir(&data)?;
    fs::write(data.join("file"), "data\n")?;
    let mut session = home.start(json!({ "extra_mounts": [data] }))?;
    let _unserved = session.mount()?;
    home.serve(&mut session)?;
    let message = session.message()?;
    assert!(
        why_not_mounted(&message)?.contains("home/alice of the server: the server does not answer in time"),
        "{message}"
    );
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.shell(&format!("test \"$(cat {}/file)\" = data", data.display()))?;
    home.log_out(session)
}

#[test]
fn symbolic_links_are_followed_or_shown_as_is_set() -> Result<()> {
    let mut home = Home::new()?;
    symlink("hello", home.path.join("link"))?;
    for (follow, test) in [(true, "test ! -L link"), (false, "test -L link")] {
        let mut session = home.log_in(json!({ "follow_symlinks": follow }))?;
        session.shell(&format!("{test} && test \"$(cat link)\" = 'from the server'"))?;
        home.log_out(session)?;
    }
    Ok(())
}

#[test]
fn only_the_session_worker_can_serve_files() -> Result<()> {
    let home = Home::new()?;
    let mut session = home.start(json!({ "worker": 65534 }))?;
    let socket = home.client.file(&session.mount()?);
    // It can put nothing else in its place.
    let folder = fs::metadata(socket.parent().context("no folder")?)?;
    assert_eq!((folder.uid(), folder.mode() & 0o022), (0, 0));
    assert_eq!((fs::metadata(&socket)?.uid(), fs::metadata(&socket)?.mode() & 0o077), (65534, 0));
    // Root, who can reach it anyway, is not who was asked.
    let mut stream = UnixStream::connect(&socket)?;
    stream.set_read_timeout(Some(wait::STEP))?;
    assert_eq!(stream.read(&mut [0; 16])?, 0, "a stranger was let in");
    session.program().signal(Signal::SIGTERM);
    home.log_out(session)
}

#[test]
fn the_same_user_can_come_again_and_again() -> Result<()> {
    let mut home = Home::new()?;
    for number in 0..3 {
        let mut session = home.log_in(json!({}))?;
        session.shell(&format!("test ! -e seen{number} && touch seen{number} && (setsid sleep 1000 &)"))?;
        home.log_out(session)?;
    }
    Ok(())
}

#[test]
fn what_a_killed_local_session_leaves_goes_with_the_next() -> Result<()> {
    let mut home = Home::new()?;
    let mut session = home.log_in(json!({}))?;
    session.shell("setsid sleep 1000 & cd /; setsid sleep 1000 &")?;
    // As a hung server leaves it: sshfs does not end by itself.
    let below = daemon::descendants(session.program().pid());
    let sshfs = below.iter().find(|(pid, _)| sweep::command_line(*pid).starts_with("sshfs")).context("no sshfs")?;
    kill(Pid::from_raw(sshfs.0), Signal::SIGSTOP)?;
    session.program().kill();
    let left = home.client.shell("ls /run/userdb; grep -c sshfs /proc/self/mountinfo")?;
    assert!(left.contains("alice.user") && left.ends_with("1\n"), "{left}");
    // The server's of the same number is one of them.
    assert_eq!(sweep::processes_of(home.guest.uid).len(), 4);
    // Another user's login cleans up as well as this one's.
    let bob = Guest::new()?;
    let record = bob.record("bob", &bob.home(&home.lab, "bob")?);
    let mut session = LocalSession::start(&home.lab, &home.client, &record, json!({}))?;
    session.ready_without_home(&home.client)?;
    let left = home.client.shell("ls /run/userdb; grep -c sshfs /proc/self/mountinfo")?;
    assert!(!left.contains("alice") && left.contains("bob.user") && left.ends_with("0\n"), "{left}");
    assert_eq!(sweep::processes_of(home.guest.uid), Vec::<i32>::new());
    home.log_out(session)?;
    assert_eq!(fs::read_to_string(home.path.join("hello"))?, "from the server\n");
    Ok(())
}

/// [`Scene::log_in`] on a client whose process numbers mean nothing here.
fn log_in_from_afar(scene: &mut Scene) -> Result<()> {
    scene.desk().prepare()?;
    let mut greeter = scene.daemon.greeter()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.choose(Some("desk"), &[])?;
    drop(greeter);
    scene.desk().wait_until_up()
}

/// A whole seat on this client, with greeters and workers of these users.
fn scene_on(
    lab: Lab,
    user: User,
    (greeters, workers): (User, &User),
    client: &Client,
    keys: &[(&str, &str)],
) -> Result<Scene> {
    let sshd = Sshd::builder(&lab).line("Subsystem sftp /usr/lib/openssh/sftp-server").start()?;
    let x = XServer::new(&lab)?;
    let daemon = daemon_on((&lab, &x, &sshd), (greeters, workers), client, keys)?;
    Ok(Scene { daemon, x, user, sshd, lab })
}

/// A daemon at which nobody hears anything.
fn daemon_on(
    (lab, x, sshd): (&Lab, &XServer, &Sshd),
    (greeters, workers): (User, &User),
    client: &Client,
    keys: &[(&str, &str)],
) -> Result<Daemon> {
    let enter = [client.enter(), ["setpriv", "--pdeathsig", "TERM", "--"].map(str::to_owned).to_vec()].concat();
    let words: Vec<&str> = enter.iter().map(String::as_str).collect();
    let mut daemon = Daemon::builder(lab).on(x.screen()).server(sshd, sshd.port())?.by(&words);
    daemon = daemon.set("LDM_WORKER_USER", &workers.name).greeter_user(greeters);
    for (key, value) in [("LOCAL_APPS", "True"), ("SOUND", "False")].iter().chain(keys) {
        daemon = daemon.set(key, value);
    }
    daemon.start()
}

#[test]
fn a_session_starts_programs_on_a_client_that_does_not_know_its_user() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    let (greeter_user, worker_user) = (User::create(&lab, Kind::System, "")?, User::create(&lab, Kind::System, "")?);
    let client = Client::apart(&lab, &[&user.name])?;
    let script = "cat \"$HOME/hello\"; id -un; ls /run/userdb/$USER.user; test ! -e \"$HOME/end\" || echo same; echo written >\"$HOME/here\"; exit 7";
    let ask = "echo from the server >\"$HOME/hello\"; ltsp-localapps --wait sh -c '{ SCRIPT; } >\"$HOME/answer\"'; echo $? >\"$HOME/code\"\n\
               ltsp-localapps sh -c 'setsid sleep 1000 & sleep 1000'";
    Desk::offer(
        &lab,
        "desk",
        &ask.replace("SCRIPT", script).replace("ltsp-localapps", &lab.bin()?.join("ltsp-localapps").to_string_lossy()),
    )?;
    let mut scene = scene_on(lab, user, (greeter_user, &worker_user), &client, &[])?;
    for round in 1..=2 {
        for name in ["answer", "here", "code"] {
            let _ = fs::remove_file(scene.user.home.join(name));
        }
        log_in_from_afar(&mut scene)?;
        assert_eq!(fs::read_to_string(scene.user.home.join("code"))?, "7\n");
        let name = &scene.user.name;
        let expected = format!("from the server\n{name}\n/run/userdb/{name}.user\nsame\n");
        assert_eq!(fs::read_to_string(scene.user.home.join("answer"))?, expected);
        assert_eq!(fs::read_to_string(scene.user.home.join("here"))?, "written\n");
        let mounts = client.shell("grep -c sshfs /proc/self/mountinfo")?;
        assert_eq!(mounts, "1\n");
        if round == 2 {
            // The session outlives its local programs, and nothing outlives them here.
            let killed =
                client.shell("pgrep -f '[l]dm local-session' | tee /run/killed | xargs kill -9; wc -l </run/killed")?;
            assert_eq!(killed, "1\n");
            client.wait_until_clean()?;
            assert_eq!(client.shell("pgrep -c sleep")?, "1\n", "of the client itself alone");
            scene.x.screen().wait_for(&scene.desk().title(), wait::STEP)?;
        }
        scene.log_out()?;
        // The next greeter comes when nothing is left.
        wait::until("a greeter", wait::STEP, || scene.daemon.has_new_greeter().then_some(()))?;
        client.wait_until_clean()?;
        assert_eq!(client.shell(&format!("getent passwd {name}; ls -A {}", scene.lab.file("home").display()))?, "");
    }
    scene.finish()
}

#[test]
fn local_programs_get_what_the_configuration_says_and_end_with_the_worker() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    let (greeter_user, worker_user) = (User::create(&lab, Kind::System, "")?, User::create(&lab, Kind::System, "")?);
    let srv = lab.file("srv");
    let data = srv.join("data");
    fs::create_dir_all(&data)?;
    fs::write(data.join("file"), "of everybody\n")?;
    symlink("file", data.join("link"))?;
    symlink("hello", user.home.join("link"))?;
    let client = Client::apart(&lab, &[&user.name])?;
    // Of the server alone, now that the client has files of its own.
    user.join_groups("games,tape")?;
    client.shell(&format!("mount -t tmpfs -o mode=755 tmpfs '{}'", srv.display()))?;
    let script = format!(
        "echo from the server >\"$HOME/hello\"
         ltsp-localapps --wait sh -c '{{ id -nG; cat {0}/link; findmnt -no FSTYPE {0}; test -L \"$HOME/link\" || echo followed; }} \
            >\"$HOME/answer\"'; echo $? >\"$HOME/codes\"
         ltsp-localapps --wait true; echo $? >>\"$HOME/codes\"
         ltsp-localapps sh -c 'setsid sleep 1000 & sleep 1000'",
        data.display()
    );
    Desk::offer(&lab, "desk", &format!("PATH={}:$PATH\n{script}", lab.bin()?.display()))?;
    let keys = [
        ("LOCAL_APPS_WHITELIST", "sh"),
        ("LOCAL_APPS_GROUPS", "games"),
        ("LOCAL_APPS_EXTRAMOUNTS", &*data.to_string_lossy()),
        ("SSH_FOLLOW_SYMLINKS", "True"),
    ];
    let mut scene = scene_on(lab, user, (greeter_user, &worker_user), &client, &keys)?;
    log_in_from_afar(&mut scene)?;
    let read = |name: &str| fs::read_to_string(scene.user.home.join(name)).context(scene.daemon.log_text());
    assert_eq!(read("answer")?, format!("{} games\nof everybody\nfuse.sshfs\nfollowed\n", scene.user.name));
    // The program that is not on the list is not there for this user.
    assert_eq!(read("codes")?, "0\n126\n");
    // Nobody is left who could tell the local session to end.
    let killed = client.shell("pgrep -f '[l]dm worker' | tee /run/killed | xargs kill -9; wc -l </run/killed")?;
    assert_eq!(killed, "1\n");
    wait::until("a greeter", wait::STEP, || scene.daemon.has_new_greeter().then_some(()))?;
    client.wait_until_clean()?;
    assert_eq!(client.shell("pgrep -c sleep")?, "1\n", "of the client itself alone");
    scene.finish()
}

#[test]
fn whatever_is_killed_the_next_login_works_and_nothing_is_left() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    let (greeter_user, worker_user) = (User::create(&lab, Kind::System, "")?, User::create(&lab, Kind::System, "")?);
    let client = Client::apart(&lab, &[&user.name])?;
    let ask = "ltsp-localapps sh -c 'echo >\"$HOME/runs\"; setsid sleep 1000 & sleep 1000'";
    Desk::offer(&lab, "desk", &format!("PATH={}:$PATH\n{ask}", lab.bin()?.display()))?;
    let mut scene = scene_on(lab, user, (greeter_user, &worker_user), &client, &[])?;
    for victim in ["", "sshfs -f", "ssh: ldm worker", "ldm local-session", "ldm --config"] {
        let runs = scene.user.home.join("runs");
        let _ = fs::remove_file(&runs);
        log_in_from_afar(&mut scene)?;
        wait::until("the program", wait::STEP, || runs.exists().then_some(()))?;
        // The shell's own command line must not match.
        if victim.is_empty() {
            scene.log_out()?;
            // What ends as it should is nothing to warn of.
            let log = scene.daemon.log_text();
            let odd = |line: &&str| line.contains("WARN") && !line.contains("as soon as it had started");
            assert_eq!(log.lines().find(odd), None);
        } else {
            let killed = client.shell(&format!("pkill -KILL -c -f '[{}]{}'", &victim[..1], &victim[1..]))?;
            assert_eq!(killed, "1\n", "{victim}");
        }
        if matches!(victim, "sshfs -f" | "ldm local-session") {
            scene.log_out()?;
        }
        if victim != "ldm --config" {
            wait::until("a greeter", wait::STEP, || scene.daemon.has_new_greeter().then_some(()))?;
        }
        client.wait_until_clean()?;
    }
    Ok(())
}

#[test]
fn what_a_killed_daemon_leaves_goes_when_it_is_started_again() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    let (greeter_user, worker_user) = (User::create(&lab, Kind::System, "")?, User::create(&lab, Kind::System, "")?);
    // Before the client, which knows no users that come later.
    let next_greeter_user = User::create(&lab, Kind::System, "")?;
    let client = Client::apart(&lab, &[&user.name])?;
    let script = format!("PATH={}:$PATH\nltsp-localapps sleep 1000", lab.bin()?.display());
    Desk::offer(&lab, "desk", &script)?;
    let mut scene = scene_on(lab, user, (greeter_user, &worker_user), &client, &[])?;
    log_in_from_afar(&mut scene)?;
    // Stopped first, so that nobody cleans up after who is killed before.
    client.shell("pids=$(pgrep -f '[l]dm (worker|local-session|--config)'); kill -STOP $pids; kill -KILL $pids")?;
    let left = client.shell("ls /run/userdb; ls -d /run/ldm/local-*")?;
    assert!(left.contains(&scene.user.name) && left.contains("/run/ldm/local-"), "{left}");
    let parts = (&scene.lab, &scene.x, &scene.sshd);
    scene.daemon = daemon_on(parts, (next_greeter_user, &worker_user), &client, &[])?;
    client.wait_until_clean()?;
    scene.user.wait_for_no_process(wait::STEP)?;
    drop(scene.daemon.greeter()?);
    scene.finish()
}
