use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use ldm_protocol::helper::Client;

use super::*;

/// Runs the script as the server would: through a login shell, in a home of its own, with the session directories replaced.
struct Server {
    home: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for dir in ["a", "b"] {
            std::fs::create_dir(home.path().join(dir)).unwrap();
        }
        Self { home }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn session(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    fn spawn(&self, shell: &str, input: &str, display: &str) -> std::process::Child {
        let dirs = format!("dirs=\"{0}/a {0}/b\"\n", self.path().display());
        let script = SCRIPT.replace("dirs=\"/usr/local/share/xsessions /usr/share/xsessions\"\n", &dirs);
        assert!(script.contains(&dirs), "the script's directories were not replaced");
        let command = command().replace(&SCRIPT.len().to_string(), &script.len().to_string());
        let input = input.replace(SCRIPT, &script);
        let mut child = Command::new(shell)
            .arg("-c")
            .arg(command)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("DISPLAY", display)])
            .env("HOME", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
        child
    }

    fn output(&self, shell: &str, input: &str, display: &str) -> String {
        let output = self.spawn(shell, input, display).wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// All events until the script ends; its input stays open meanwhile, as during a session.
    fn start(&self, request: &SessionRequest) -> Vec<SessionEvent> {
        let mut child = self.spawn("sh", &start_input(request).unwrap(), ":99");
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let mut events = Events::default();
        output.stdout.split(|b| *b == b'\n').filter_map(|line| events.push(line)).collect()
    }

    /// An Xsession that does what the real one does with its argument.
    fn xsession(&self) -> String {
        let path = self.path().join("Xsession");
        crate::sys::write_script(&path, "[ $# -le 1 ] || exit 99\nexec ${1:-/bin/echo default}");
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn sessions_are_listed_by_the_rules_whatever_the_login_shell() {
    let server = Server::new();
    server
        .session("a/one.desktop", "# x\n[Other]\nName=No\n[Desktop Entry]\nName = One & only \nExec=sh\nTryExec=sh\n");
    server.session("b/one.desktop", "[Desktop Entry]\nName=Masked\nExec=sh\n");
    server.session("a/hidden.desktop", "[Desktop Entry]\nName=H\nExec=sh\nHidden=true\n");
    server.session("b/hidden.desktop", "[Desktop Entry]\nName=Not masked\nExec=sh\n");
    server.session("a/noexec.desktop", "[Desktop Entry]\nName=N\n");
    server.session("a/try.desktop", "[Desktop Entry]\nName=T\nExec=sh\nTryExec=/nonexistent\n");
    server.session(
        "b/two words.desktop",
        "[Desktop Entry]\nName=$(touch oops)`id`\nExec=sh\n[Desktop Action x]\nName=No\n",
    );
    for shell in ["sh", "bash", "dash"] {
        let mut listing = Listing::default();
        let output = server.output(shell, &list_input(), "");
        let info = output.lines().find_map(|line| listing.push(line.as_bytes())).expect("no whole list");
        let got: Vec<_> = info.sessions.iter().map(|s| (s.id.as_str(), s.name.as_str())).collect();
        assert_eq!(got, [("one", "One & only"), ("two words", "$(touch oops)`id`")], "{shell}");
    }
}

/// Who the script says it is, with this `id` and `getent`.
fn who(id: &str, getent: &str) -> Option<UserRecord> {
    let server = Server::new();
    let bin = server.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for (name, text) in [("id", id), ("getent", getent)] {
        crate::sys::write_script(&bin.join(name), text);
    }
    let path = format!("PATH={}:$PATH; export PATH\n", bin.display());
    let input = list_input().replacen(SCRIPT, "", 1);
    let mut child = Command::new("sh")
        .args(["-c", &format!("{path}\n{SCRIPT}")])
        .env("HOME", server.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let mut listing = Listing::default();
    output.lines().find_map(|line| listing.push(line.as_bytes())).expect("no whole list").sanitised().user
}

#[test]
fn the_user_is_told_with_all_groups_or_not_at_all() {
    let id = |names: &str| {
        format!("case $1 in -u) echo 1000;; -un) echo alice;; -G) echo 1000 27 33;; -Gn) echo '{names}';; esac")
    };
    let groups = |user: UserRecord| user.groups.into_iter().map(|g| (g.gid, g.name)).collect::<Vec<_>>();
    let group = |gid: u32, name: &str| (gid, name.to_owned());
    let user = who(&id("alice sudo web"), "exit 1").unwrap();
    assert_eq!((user.name.as_str(), user.uid), ("alice", 1000));
    assert_eq!(groups(user), [group(1000, "alice"), group(27, "sudo"), group(33, "web")]);
    // With blanks in a name.
    let user = who(&id("alice domain users web"), "echo \"name of $2:x:$2:\"").unwrap();
    assert_eq!(groups(user), [group(1000, "name of 1000"), group(27, "name of 27"), group(33, "name of 33")]);
    assert_eq!(who(&id("alice domain users web"), "exit 2"), None, "who is in the third group?");
    assert_eq!(who("exit 1", ""), None);
    let many = "case $1 in -u) echo 1;; -un) echo a;; *) seq -s ' ' 1 300;; esac";
    assert_eq!(who(many, "exit 1"), None, "more groups than there is room for");
    let huge = "case $1 in -u) echo 1;; -un) echo a;; -G) seq -s ' ' 1 200;; *) seq -f '%0200g' -s ' ' 1 200;; esac";
    assert_eq!(who(huge, "exit 1"), None, "longer names than there is room for");
    // The machine's own.
    let server = Server::new();
    let output = server.output("sh", &list_input(), "");
    let mut listing = Listing::default();
    let info = output.lines().find_map(|line| listing.push(line.as_bytes())).unwrap();
    assert_eq!(info.user.map(|user| user.uid), Some(crate::sys::uid()));
}

#[test]
fn a_session_gets_one_argument_the_profile_and_its_environment() {
    let server = Server::new();
    let out = server.path().join("out");
    server.session(".profile", "FROM_PROFILE=yes; export FROM_PROFILE; LANG=C.profile; export LANG\n");
    server.session(
        "b/x.desktop",
        &format!("[Desktop Entry]\nName=X\nExec=sh {}/run %U 100%%\nDesktopNames=A;B;\n", server.path().display()),
    );
    server.session("run", &format!("echo \"$*\" >{0}; env >>{0}; echo last; exit 7\n", out.display()));
    let events = server.start(&SessionRequest {
        session: Some("x".into()),
        language: Some("de_DE.UTF-8".into()),
        xsession: Some(server.xsession()),
        client: Client { hostname: Some("tc1".into()), ..Client::default() },
        env: ["SCHOOL=north $(id) 'x'", "dirs=/x", "PATH=/x", "A=b\nc"].map(str::to_owned).to_vec(),
        keyboard: Some(Keyboard { layout: "de,us".into(), ..Keyboard::default() }),
        ..SessionRequest::default()
    });
    assert_eq!(events[0], SessionEvent::Started { session: "x".into(), user: None, directory: None, no_sound: None });
    let SessionEvent::Ended { status: 7, too_short: true, last_words, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!(last_words, &["last"]);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("100%\n"), "{text}");
    for line in [
        "FROM_PROFILE=yes",
        "LANG=de_DE.UTF-8",
        "XDG_CURRENT_DESKTOP=A:B",
        "DESKTOP_SESSION=x",
        "XDG_SESSION_TYPE=x11",
        "LTSP_CLIENT_HOSTNAME=tc1",
        "SCHOOL=north $(id) 'x'",
        "XKBLAYOUT=de,us",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in {text}");
    }
    assert!(!text.contains("=/x\n") && !text.contains("A=b"), "{text}");
}

#[test]
fn what_cannot_be_started_is_refused_with_the_reason() {
    let server = Server::new();
    server.session("a/bad.desktop", "[Desktop Entry]\nName=B\nExec=/nonexistent/wm --x\n");
    server.session("a/hidden.desktop", "[Desktop Entry]\nName=H\nExec=sh\nHidden=true\n");
    let start = |id: &str| {
        let request =
            SessionRequest { session: Some(id.into()), xsession: Some(server.xsession()), ..Default::default() };
        server.start(&request).remove(0)
    };
    let refused = |reason, detail: &str| SessionEvent::Refused { reason, detail: detail.into() };
    assert_eq!(start("none"), refused(Refusal::Gone, ""));
    assert_eq!(start("hidden"), refused(Refusal::Gone, ""));
    assert_eq!(start("$(touch oops)"), refused(Refusal::Gone, ""));
    assert_eq!(start("bad"), refused(Refusal::NotExecutable, "/nonexistent/wm"));
    let input = start_input(&SessionRequest::default()).unwrap();
    assert_eq!(server.output("sh", &input, "").trim(), "LDM refused no_display");
    assert!(!server.path().join("oops").exists());
    let request = SessionRequest { session: Some("x\nevil".into()), ..SessionRequest::default() };
    assert_eq!(start_input(&request), None);
}

#[test]
fn the_default_session_is_xsession_without_argument() {
    let server = Server::new();
    let events = server.start(&SessionRequest { xsession: Some(server.xsession()), ..SessionRequest::default() });
    let SessionEvent::Ended { status: 0, last_words, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!(last_words, &["default"]);
}

/// The link is gone: everything ends, also what has left the process group and ignores SIGTERM.
#[test]
fn the_end_of_input_ends_every_process() {
    use std::io::{BufRead, BufReader, Read};
    let server = Server::new();
    let pids = server.path().join("pids");
    let script = format!(
        "trap '' TERM\n/usr/bin/setsid sh -c 'trap \"\" TERM; echo $$ >>{0}; while :; do sleep 1; done' &\n\
         echo $$ >>{0}\necho LDM words >{0}.ready; while :; do sleep 1; done\n",
        pids.display()
    );
    server.session("run", &script);
    server.session("a/x.desktop", &format!("[Desktop Entry]\nName=X\nExec=sh {}/run\n", server.path().display()));
    let request =
        SessionRequest { session: Some("x".into()), xsession: Some(server.xsession()), ..SessionRequest::default() };
    let mut child = server.spawn("sh", &start_input(&request).unwrap(), ":99");
    let stdin = child.stdin.take();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "LDM started x\n");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let running = loop {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        if text.lines().count() == 2 {
            break text;
        }
        assert!(std::time::Instant::now() < deadline, "the session did not start");
        std::thread::yield_now();
    };
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("LDM ended 137 "), "{rest}");
    child.wait().unwrap();
    // They have been killed, which takes a busy machine a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    for pid in running.lines() {
        loop {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z") {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{pid} still runs: {state}");
            std::thread::yield_now();
        }
    }
}
