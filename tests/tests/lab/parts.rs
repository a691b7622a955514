//! The lab's own parts, with OpenSSH's client: whatever fails below is then not the lab's fault.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ldm_tests::{Kind, Lab, Relay, Sshd, User, XServer, sweep};

/// OpenSSH's client, which takes the password from an askpass program.
pub(crate) fn ssh(lab: &Lab, sshd: &Sshd, port: u16, user: &User) -> Result<Command> {
    let askpass = lab.file("askpass");
    if !askpass.exists() {
        lab.script("askpass", "printf '%s\\n' \"$LAB_PASSWORD\"")?;
    }
    let known_hosts = sshd.known_hosts(lab, port)?;
    let mut command = Command::new("ssh");
    command
        .args(["-F", "none", "-o", "NumberOfPasswordPrompts=1", "-p", &port.to_string()])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .env("SSH_ASKPASS", askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("LAB_PASSWORD", &user.password)
        .args(["-l", &user.name, "127.0.0.1"]);
    Ok(command)
}

#[test]
fn a_user_logs_in_with_openssh_and_sees_the_labs_server() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    lab.session("one", "The One", "/bin/true")?;
    let command = "echo $PATH; echo $XDG_DATA_DIRS; pwd; command -v ldm-server-helper";
    let output = ssh(&lab, &sshd, sshd.port(), &user)?.arg(command).output()?;
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.lines().collect();
    ensure!(lines.len() == 4, "{text} {}", String::from_utf8_lossy(&output.stderr));
    let bin = lab.bin()?;
    assert!(lines[0].starts_with(&*bin.to_string_lossy()), "{text}");
    assert!(lines[1].starts_with(&format!("{}/share:", lab.path().display())), "{text}");
    assert_eq!(Path::new(lines[2]), user.home);
    assert_eq!(Path::new(lines[3]), bin.join("ldm-server-helper"));

    let mut wrong = ssh(&lab, &sshd, sshd.port(), &user)?;
    assert!(!wrong.env("LAB_PASSWORD", "wrong").arg("true").output()?.status.success());
    let expired = User::create(&lab, Kind::Expired, "Lab-old-password")?;
    assert!(!ssh(&lab, &sshd, sshd.port(), &expired)?.arg("true").output()?.status.success());
    Ok(())
}

#[test]
fn a_window_crosses_to_an_x_server_of_the_lab() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let mut client = ssh(&lab, &sshd, sshd.port(), &user)?;
    client
        .env("DISPLAY", x.display())
        .env("XAUTHORITY", x.authority())
        .args(["-Y", "xterm -title crossing -e sleep 1000"]);
    let mut client = client.spawn()?;
    let shown = x.screen().wait_for("crossing", Duration::from_secs(20));
    let _ = client.kill();
    client.wait()?;
    shown?;
    x.screen().wait_until_gone("crossing", Duration::from_secs(20))?;
    user.wait_for_no_process(Duration::from_secs(20))
}

#[test]
fn a_relay_delays_cuts_and_falls_silent() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let user = User::new(&lab)?;
    let relay = Relay::new(sshd.port())?;
    relay.set_latency(Duration::from_millis(25));
    let began = Instant::now();
    assert!(ssh(&lab, &sshd, relay.port(), &user)?.arg("true").status()?.success());
    // At least: greeting, key exchange, service, two authentication rounds, channel, command.
    assert!(began.elapsed() > Duration::from_millis(7 * 50), "{:?}", began.elapsed());
    assert!(relay.bytes() > 3000);
    relay.set_latency(Duration::ZERO);

    let mut client = ssh(&lab, &sshd, relay.port(), &user)?;
    let mut client = client.arg("echo up; sleep 1000").stdout(std::process::Stdio::piped()).spawn()?;
    let mut up = [0; 3];
    std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut up)?;
    relay.fall_silent();
    assert!(client.try_wait()?.is_none());
    relay.cut();
    assert!(!client.wait()?.success());
    Ok(())
}

#[test]
fn what_a_dead_run_left_is_swept_and_the_living_are_not() -> Result<()> {
    let lab = Lab::new()?;
    let user = User::new(&lab)?;
    assert!(sweep::is_alive(&sweep::owner()));
    assert!(!sweep::is_alive(&format!("{} 1", std::process::id())), "another process of this number");
    assert!(!sweep::is_alive(""));
    let dead = format!("{}dead{}", ldm_tests::account::NAME_PREFIX, std::process::id());
    let left = ["--comment", "ldm-lab 1 1", "--no-create-home", &dead];
    ensure!(sweep::quietly("useradd", &left), "useradd failed");
    sweep::all();
    let names: Vec<String> = ldm_tests::account::lab_users().into_iter().map(|(name, ..)| name).collect();
    assert!(names.contains(&user.name) && !names.contains(&dead), "{names:?}");
    assert!(lab.path().exists());
    Ok(())
}
