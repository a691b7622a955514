//! Real processes, started and ended.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::*;

/// Runs a shell with its fd 9 on a pipe and gives what it wrote there.
async fn run(spawn: impl FnOnce(Spawn) -> Spawn, script: &str) -> (ExitStatus, String) {
    let (mut reader, writer) = io::pipe().unwrap();
    let shell = Spawn::new("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin").fd(9, writer.into());
    let mut child = spawn(shell).start().unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (status, text)
}

#[tokio::test]
async fn nothing_is_inherited_that_was_not_given() {
    // A descriptor that is not closed on exec, as a careless parent of ours would leave it.
    let leaked = nix::unistd::dup(File::open("/dev/null").unwrap()).unwrap();
    let (status, text) = run(|s| s.env("A", "b c"), "env >&9; ls /proc/$$/fd >&9; readlink /proc/$$/fd/0 >&9").await;
    assert!(status.success());
    drop(leaked);
    let lines: Vec<_> = text.lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("_=")).collect();
    // 10 and above may be the shell's own.
    let fds: Vec<_> = lines.iter().filter_map(|l| l.parse::<i32>().ok()).filter(|fd| *fd < 10).collect();
    assert_eq!(fds, [0, 1, 2, 9]);
    let rest: Vec<_> = lines.iter().filter(|l| l.parse::<i32>().is_err()).collect();
    assert_eq!(rest, [&"A=b c", &"PATH=/usr/bin:/bin", &"/dev/null"]);
}

#[tokio::test]
async fn several_descriptors_may_swap_places() {
    let (mut one, one_writer) = io::pipe().unwrap();
    let (mut two, two_writer) = io::pipe().unwrap();
    let (first, second) = (one_writer.as_raw_fd(), two_writer.as_raw_fd());
    let (status, _) = run(
        |s| s.fd(second, one_writer.into()).fd(first, two_writer.into()),
        &format!("echo one >/proc/self/fd/{second}; echo two >/proc/self/fd/{first}"),
    )
    .await;
    assert!(status.success());
    let mut text = String::new();
    one.read_to_string(&mut text).unwrap();
    two.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
}

#[tokio::test]
async fn the_user_is_dropped_for_good() {
    if !super::super::is_root() {
        return;
    }
    let nobody = Account::find("nobody").unwrap();
    let (status, text) = run(|s| s.account(&nobody), "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status >&9").await;
    assert!(status.success());
    let (u, g) = (nobody.uid, nobody.gid);
    let words: Vec<Vec<_>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["Uid:", &u.to_string(), &u.to_string(), &u.to_string(), &u.to_string()]);
    assert_eq!(words[1], ["Gid:", &g.to_string(), &g.to_string(), &g.to_string(), &g.to_string()]);
    assert_eq!(words[2], ["Groups:", &g.to_string()]);
    assert_eq!(words[3], ["CapEff:", "0000000000000000"]);
}

#[tokio::test]
async fn the_first_directory_that_the_user_can_enter_is_entered() {
    if !super::super::is_root() {
        return;
    }
    let nobody = Account::find("nobody").unwrap();
    let root_only = tempfile::tempdir().unwrap();
    super::super::set_mode(root_only.path(), 0o700).unwrap();
    let (_, text) = run(|s| s.account(&nobody).cwd(root_only.path()).cwd("/nonexistent").cwd("/usr"), "pwd >&9").await;
    assert_eq!(text, "/usr\n");
    let error = Spawn::new("/bin/true").account(&nobody).cwd(root_only.path()).start().unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn standard_input_and_output_may_be_one_socket() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut child = Spawn::new("/bin/cat").stdio(theirs.into()).start().unwrap();
    let mut ours = ours;
    io::Write::write_all(&mut ours, b"there and back").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "there and back");
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_last_words_are_those_before_the_end_whoever_has_the_pipe() {
    for _ in 0..50 {
        let script =
            "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i >&2; done; sleep 1000 & printf end >&2; exit 3";
        let mut child = Spawn::new("/bin/sh")
            .args(["-c", script])
            .env("PATH", "/usr/bin:/bin")
            .output(Output::Tail)
            .keep_group()
            .start()
            .unwrap();
        let pid = child.pid();
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let last = child.last_words().await;
        assert_eq!(last.len(), ldm_protocol::limits::APP_STDERR_LINES);
        assert_eq!(last[..2], ["line 22", "line 23"]);
        assert_eq!(last.last().unwrap(), "end");
        assert!(child.last_words().await.is_empty());
        // The one that went on: its group was kept.
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

#[tokio::test]
async fn a_failed_exec_is_told_even_with_low_descriptors_taken() {
    let (_reader, writer) = io::pipe().unwrap();
    let error = Spawn::new("/nonexistent/program").fd(3, writer.into()).start().unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "/nonexistent/program cannot be started");
}

#[tokio::test]
async fn terminate_ends_the_whole_group_even_if_it_will_not() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut child = Spawn::new("/bin/sh")
        .arg("-c")
        .arg("trap '' TERM; (while :; do /bin/sleep 1000; done) & echo up >&9; wait; while :; do wait; done")
        .fd(9, writer.into())
        .start()
        .unwrap();
    let mut up = [0; 3];
    reader.read_exact(&mut up).unwrap();
    let status = child.terminate(Duration::from_millis(50)).await.unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    // The pipe closes once nobody of the group is left.
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
}

#[test]
fn gaps_cover_everything_else() {
    assert_eq!(gaps(vec![]), [(3, u32::MAX)]);
    assert_eq!(gaps(vec![5, 3]), [(4, 4), (6, u32::MAX)]);
    assert_eq!(gaps(vec![4]), [(3, 3), (5, u32::MAX)]);
}
