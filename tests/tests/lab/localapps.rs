//! Local applications: requests through the display's properties, as programs of a session write them, well-meant or not.

pub(crate) mod rig;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ldm::localapps::Watcher;
use ldm_protocol::apps::{self, Answer, Event, Refusal, Word};
use ldm_protocol::limits;
use ldm_tests::{Desk, Lab, Scene, XServer, client, wait};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt, PropMode};
use x11rb::wrapper::ConnectionExt as _;

use rig::{Client, Rig, cookie, line, status};

#[test]
fn a_thousand_requests_of_four_programs_are_each_answered_with_their_own_end() -> Result<()> {
    let rig = Rig::new()?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let asker = &rig.asker;
                scope.spawn(move || -> Result<()> {
                    for number in 0..250 {
                        let want = (writer * 61 + number) % 256;
                        let got = asker.status(&["--wait", "true", &want.to_string()])?;
                        ensure!(got == want, "writer {writer}, request {number}: {got} instead of {want}");
                    }
                    Ok(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))
    })?;
    assert_eq!(rig.seen().len(), 1000);
    rig.finish()
}

#[test]
fn a_thousand_written_without_waiting_come_once_and_in_order() -> Result<()> {
    let rig = Rig::new()?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let screen = &rig.asker.screen;
                scope.spawn(move || -> Result<()> {
                    let client = Client::new(screen)?;
                    let window = client.window()?;
                    for number in 0..250 {
                        let line = line(
                            &number.to_string(),
                            &["true", &number.to_string(), &writer.to_string()],
                            Some(window),
                            true,
                        )?;
                        client.append(apps::LOCAL_QUEUE, &line)?;
                    }
                    let mut answers = Vec::new();
                    wait::try_until("all answers", wait::STEP, || {
                        answers.extend(client.answers(window)?);
                        Ok((answers.len() >= 500).then_some(()))
                    })?;
                    let want = (0..250).flat_map(|number| {
                        let ended = Event::Ended { status: number, signal: None, stderr: Vec::new() };
                        [Event::Started, ended].map(|event| Answer { id: number.to_string(), event })
                    });
                    ensure!(answers == want.collect::<Vec<_>>(), "writer {writer}: {answers:?}");
                    Ok(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))
    })?;
    let mut of_writer: HashMap<Vec<u8>, usize> = HashMap::new();
    for argv in rig.seen() {
        let next = of_writer.entry(argv[2].0.clone()).or_default();
        assert_eq!(argv[1].0, next.to_string().into_bytes());
        *next += 1;
    }
    assert!(of_writer.len() == 4 && of_writer.values().all(|count| *count == 250), "{of_writer:?}");
    rig.finish()
}

#[test]
fn words_arrive_as_they_were_given() -> Result<()> {
    let rig = Rig::new()?;
    let long = "ä".repeat(50_000);
    let words: Vec<OsString> = [
        &b"xterm"[..],
        b"",
        b" two  blanks ",
        b"'single' \"double\" `back` \\",
        b"$(touch /tmp/x); $HOME ${IFS} & | > <",
        b"line\nfeed\ttab\r\x01\x7f",
        b"\xff\xfe latin \xe4",
        "ü 🖥 \u{202e}".as_bytes(),
        b"--wait",
        long.as_bytes(),
    ]
    .iter()
    .map(|word| OsString::from_vec(word.to_vec()))
    .collect();
    let home = std::fs::canonicalize(rig.lab.path())?;
    let mut command = rig.asker.ask(&[]);
    command.args(&words).current_dir(&home).env("LANG", "de_DE.UTF-8").env("LC_TIME", "C").env("SECRET", "x");
    let output = command.output()?;
    ensure!(output.status.success(), "{output:?}");
    let seen = rig.seen.lock().unwrap().clone();
    let got: Vec<&OsStr> = seen[0].argv.iter().map(|word| OsStr::from_bytes(&word.0)).collect();
    assert_eq!(got, words);
    assert_eq!(seen[0].cwd, Some(Word(home.into_os_string().into_vec())));
    let env: Vec<(&str, &str)> = seen[0].env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert!(env.contains(&("LANG", "de_DE.UTF-8")) && env.contains(&("LC_TIME", "C")), "{env:?}");
    assert!(!env.iter().any(|(name, _)| *name == "SECRET" || *name == "DISPLAY"), "{env:?}");
    // A byte more than may be.
    let mut command = rig.asker.ask(&["xterm"]);
    command.args(["x".repeat(limits::APP_BYTES / 2), "x".repeat(limits::APP_BYTES / 2)]);
    assert_eq!(status(&command.output()?)?, 125);
    rig.finish()
}

#[test]
fn one_liners_of_old_scripts_are_understood() -> Result<()> {
    let rig = Rig::new()?;
    for (format, value, argv) in [
        ("8s", "xterm -e top", &["xterm", "-e", "top"][..]),
        ("8u", "firefox http://example.org/?a=b&c=d", &["firefox", "http://example.org/?a=b&c=d"]),
        ("8u", "soffice \"/home/u/My file; $(x).odt\" 'b c'", &["soffice", "/home/u/My file; $(x).odt", "b c"]),
        ("8s", "vlc $HOME/a.avi; reboot", &["vlc", "$HOME/a.avi;", "reboot"]),
    ] {
        rig.xprop(&["-f", "LTSP_COMMAND", format, "-set", "LTSP_COMMAND", value])?;
        rig.wait_for(argv)?;
        let client = Client::new(&rig.asker.screen)?;
        wait::until("the slot to be empty", wait::STEP, || client.is_empty("LTSP_COMMAND").ok()?.then_some(()))?;
    }
    // As the original's own command: first the flag.
    rig.xprop(&["-f", "LTSP_COMMAND_WAIT", "8u", "-set", "LTSP_COMMAND_WAIT", "true"])?;
    rig.xprop(&["-f", "LTSP_COMMAND", "8u", "-set", "LTSP_COMMAND", "gimp"])?;
    rig.wait_for(&["gimp"])?;
    // Ours, from a shell.
    let line = "{\"argv\":[\"xterm\",\"-e\",\"a b\"]}";
    rig.xprop(&["-f", "_LDM_LOCALAPPS", "8u", "-set", "_LDM_LOCALAPPS", line])?;
    rig.wait_for(&["xterm", "-e", "a b"])?;
    // What nobody closes, and nothing at all.
    for value in ["xterm 'open", ""] {
        rig.xprop(&["-f", "LTSP_COMMAND", "8s", "-set", "LTSP_COMMAND", value])?;
    }
    rig.xprop(&["-f", "LTSP_COMMAND", "32c", "-set", "LTSP_COMMAND", "7"])?;
    assert_eq!(rig.asker.status(&["--wait", "true", "3"])?, 3);
    assert_eq!(rig.seen().len(), 7);
    rig.finish()
}

#[test]
fn what_is_no_request_is_thrown_away_and_the_next_is_served() -> Result<()> {
    let rig = Rig::new()?;
    let client = Client::new(&rig.asker.screen)?;
    let window = client.window()?;
    let queue = client.atom(apps::LOCAL_QUEUE)?;
    // 4 MB, of which the first line could be answered.
    let mut huge = line("huge", &["true"], Some(window), false)?;
    huge.resize(4 * 1024 * 1024, b'x');
    client.x.change_property8(PropMode::REPLACE, client.root, queue, client.utf8, &huge)?.check()?;
    let first = wait::until("an answer", wait::STEP, || client.answers(window).ok()?.into_iter().next())?;
    assert_eq!(first.id, "huge");
    assert!(matches!(first.event, Event::Refused { reason: Refusal::TooMany, .. }), "{first:?}");
    assert_eq!(rig.asker.status(&["--wait", "true", "1"])?, 1);
    // Of another type, and of another format.
    client.x.change_property32(PropMode::REPLACE, client.root, queue, AtomEnum::INTEGER, &[1, 2, 3])?.check()?;
    assert_eq!(rig.asker.status(&["--wait", "true", "2"])?, 2);
    client.x.change_property16(PropMode::REPLACE, client.root, queue, client.utf8, &[0x7b7d; 40])?.check()?;
    assert_eq!(rig.asker.status(&["--wait", "true", "3"])?, 3);
    // Lines that are none, and one that says whom to tell.
    let lines =
        format!("rubbish\n\u{0}\n{{\"id\":\"bad\",\"window\":{window},\"argv\":7}}\n{{\"window\":4294967295}}\n[[[[\n");
    client.append(apps::LOCAL_QUEUE, lines.as_bytes())?;
    let bad = wait::until("an answer", wait::STEP, || client.answers(window).ok()?.into_iter().next())?;
    assert!(matches!(bad.event, Event::Refused { reason: Refusal::BadRequest, .. }) && bad.id == "bad", "{bad:?}");
    // Cut in the middle by somebody who deletes it, again and again.
    for _ in 0..200 {
        client.append(apps::LOCAL_QUEUE, b"{\"argv\":[\"true\"")?;
        client.x.delete_property(client.root, queue)?.check()?;
    }
    assert_eq!(rig.asker.status(&["--wait", "true", "4"])?, 4);
    // Answers to nobody's window do not pile up.
    let long = "x".repeat(limits::APP_ID);
    for _ in 0..2000 {
        client.append(apps::LOCAL_QUEUE, &line(&long, &["true"], None, false)?)?;
    }
    assert_eq!(rig.asker.status(&["--wait", "true", "5"])?, 5);
    let answers = client.atom(apps::ANSWERS)?;
    let left = client.x.get_property(false, client.root, answers, AtomEnum::ANY, 0, 0)?.reply()?.bytes_after;
    assert!(left > 0 && left < 70_000, "{left}");
    rig.finish()
}

#[test]
fn a_client_that_writes_without_end_starves_nobody() -> Result<()> {
    let rig = Rig::new()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let screen = &rig.asker.screen;
        let stop = &stop;
        let writing = scope.spawn(move || -> Result<()> {
            let client = Client::new(screen)?;
            let queue = client.atom(apps::LOCAL_QUEUE)?;
            let old = client.atom(apps::OLD_LOCAL)?;
            let selection = client.atom(apps::SELECTION)?;
            let window = client.window()?;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Appended, so that the others' requests are not overwritten: that would be another client's right, too.
                client
                    .x
                    .change_property8(PropMode::APPEND, client.root, queue, client.utf8, b"rubbish\n")?
                    .ignore_error();
                client.x.change_property8(PropMode::REPLACE, client.root, old, AtomEnum::INTEGER, b"x")?.ignore_error();
                client.x.set_selection_owner(window, selection, x11rb::CURRENT_TIME)?.check()?;
            }
            Ok(())
        });
        let asked = (0..20).try_for_each(|number| {
            let got = rig.asker.status(&["--wait", "true", &number.to_string()])?;
            ensure!(got == number, "{got} instead of {number}");
            Ok(())
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writing.join().expect("no panic").and(asked)
    });
    asked?;
    // The reader is who it was.
    let client = Client::new(&rig.asker.screen)?;
    client.append(apps::LOCAL_QUEUE, b"\n")?;
    assert_eq!(rig.asker.status(&["--wait", "true", "9"])?, 9);
    rig.finish()
}

#[test]
fn the_watch_goes_on_when_its_connection_is_killed() -> Result<()> {
    let rig = Rig::with(|program| {
        if program.argv[0].0 == b"slow" {
            // Ended by a later request.
            return vec![Event::Started];
        }
        vec![Event::Started, Event::Ended { status: 4, signal: None, stderr: Vec::new() }]
    })?;
    let mut waiting = rig.asker.ask(&["--wait", "slow"]).spawn()?;
    rig.wait_for(&["slow"])?;
    let client = Client::new(&rig.asker.screen)?;
    for _ in 0..3 {
        client.x.kill_client(client.reader()?)?.check()?;
        // Asked for at once: with nobody there, or somebody new.
        assert_eq!(rig.asker.status(&["--wait", "true"])?, 4);
    }
    assert!(waiting.try_wait()?.is_none(), "who waits for a program waits on");
    waiting.kill()?;
    waiting.wait()?;
    // Without its window the answer goes nowhere, and the next is answered.
    assert_eq!(rig.asker.status(&["--wait", "true"])?, 4);
    rig.finish()
}

#[test]
fn an_asker_that_dies_costs_nothing() -> Result<()> {
    let rig = Rig::new()?;
    for _ in 0..20 {
        let mut asker = rig.asker.ask(&["--wait", "true", "1"]).spawn()?;
        asker.kill()?;
        asker.wait()?;
    }
    assert_eq!(rig.asker.status(&["--wait", "true", "6"])?, 6);
    rig.finish()
}

#[test]
fn ends_and_refusals_are_told_in_words_and_statuses() -> Result<()> {
    let rig = Rig::with(|program| {
        let word =
            |n: usize| program.argv.get(n).map(|w| String::from_utf8_lossy(&w.0).into_owned()).unwrap_or_default();
        let refused = |reason, detail: &str| vec![Event::Refused { reason, detail: detail.into() }];
        let stderr = vec!["first line".to_owned(), "\u{1b}[31mred".to_owned()];
        match word(0).as_str() {
            "exit" => {
                vec![Event::Started, Event::Ended { status: word(1).parse().unwrap(), signal: None, stderr }]
            }
            "signal" => vec![Event::Started, Event::Ended { status: 137, signal: Some(9), stderr: Vec::new() }],
            "off" => refused(Refusal::Off, "LOCAL_APPS is off on this client."),
            "forbidden" => refused(Refusal::NotAllowed, ""),
            "missing" => refused(Refusal::NotFound, ""),
            _ => refused(Refusal::Failed, "Permission \u{1b}[31mdenied"),
        }
    })?;
    for number in 0..=255 {
        assert_eq!(rig.asker.status(&["--wait", "exit", &number.to_string()])?, number);
    }
    for (words, want, said) in [
        (&["exit", "7"][..], 0, ""),
        (&["--wait", "exit", "7"], 7, "first line\nred\n"),
        (&["--wait", "exit", "0"], 0, ""),
        (&["--wait", "signal"], 137, "signal 9"),
        (&["off"], 123, "LOCAL_APPS is off on this client."),
        (&["--wait", "forbidden"], 126, "forbidden is not among the programs that the administrator allows"),
        (&["missing"], 127, "missing is not installed there"),
        (&["odd"], 125, "odd could not be started: Permission denied"),
        (&["--what"], 125, "there is no option"),
        (&["--help"], 0, ""),
    ] {
        let output = rig.asker.ask(words).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(want) && stderr.contains(said), "{words:?}: {:?} {stderr}", output.status);
        assert!(!said.is_empty() || stderr.is_empty(), "{words:?}: {stderr}");
    }
    rig.finish()
}

#[test]
fn a_display_that_serves_somebody_else_alone_is_not_waited_for_without_end() -> Result<()> {
    let rig = Rig::new()?;
    let client = Client::new(&rig.asker.screen)?;
    client.x.grab_server()?.check()?;
    let output = rig.asker.ask(&["true"]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(124) && stderr.contains("no answer came"), "{output:?}");
    // The watch waits meanwhile, and then answers what comes.
    let waiting = rig.asker.ask(&["--wait", "true", "5"]).spawn()?;
    client.x.ungrab_server()?.check()?;
    assert_eq!(waiting.wait_with_output()?.status.code(), Some(5));
    rig.finish()
}

#[test]
fn a_display_without_a_client_says_so_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    let asker = lab.bin()?.join("ltsp-localapps");
    let output = x.screen().command(&asker.to_string_lossy()).args(["--wait", "true"]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(124) && stderr.contains("belongs to no session"), "{output:?}");
    // Nothing is left for whoever comes later.
    assert!(Client::new(&x.screen())?.is_empty(apps::LOCAL_QUEUE)?);
    let output = Command::new(&asker).arg("true").env("DISPLAY", ":59535").output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(124) && stderr.contains("display cannot be reached"), "{output:?}");
    Ok(())
}

#[test]
fn what_was_asked_before_the_session_is_not_started() -> Result<()> {
    let lab = Lab::new()?;
    let x = XServer::new(&lab)?;
    let client = Client::new(&x.screen())?;
    client.append(apps::LOCAL_QUEUE, &line("", &["stale"], None, false)?)?;
    client.append(apps::OLD_LOCAL, b"stale")?;
    let (watcher, mut requests) = Watcher::start(x.display().parse()?, Some(cookie(&x.screen())?.into()))?;
    wait::until("the watch to begin", wait::STEP, || (client.reader().ok()? != x11rb::NONE).then_some(()))?;
    client.append(apps::LOCAL_QUEUE, &line("", &["fresh"], None, false)?)?;
    let asked = requests.local.blocking_recv().context("no request")?;
    assert_eq!(asked.program.argv, [Word(b"fresh".to_vec())]);
    // Remote ones have a queue of their own.
    client.append(apps::REMOTE_QUEUE, &line("", &["there"], None, false)?)?;
    client.append(apps::OLD_REMOTE, b"there too")?;
    let first = requests.remote.blocking_recv().context("no request")?;
    assert!(first.program.argv[0].0.starts_with(b"there") && requests.local.try_recv().is_err());
    drop(watcher);
    // Its end is seen: whoever waits is told.
    wait::until("the watch to end", wait::STEP, || (client.reader().ok()? == x11rb::NONE).then_some(()))
}

#[test]
fn who_waits_is_told_of_the_sessions_end() -> Result<()> {
    let rig = Rig::with(|_| vec![Event::Started])?;
    let mut waiting = rig.asker.ask(&["--wait", "true"]).stderr(Stdio::piped()).spawn()?;
    rig.wait_for(&["true"])?;
    rig.finish_but(|rig| {
        let status = waiting.wait()?;
        let mut said = String::new();
        waiting.stderr.take().context("piped")?.read_to_string(&mut said)?;
        ensure!(status.code() == Some(124) && said.contains("session has ended"), "{status} {said}");
        drop(rig);
        Ok(())
    })
}

/// A session that runs this script before it opens its window, until that can be seen. What the script asks for is in the log.
pub(crate) fn session(scene: &mut Scene, script: &str) -> Result<()> {
    // The profiles set another.
    let script = format!("PATH={}:$PATH\n{script}", scene.lab.bin()?.display());
    Desk::offer(&scene.lab, "asking", &script)?;
    let mut greeter = scene.daemon.greeter()?;
    scene.desk().prepare()?;
    greeter.login(&scene.user.name, &[&scene.user.password])?.expect_in()?;
    greeter.start(Some("asking"))?;
    let up = scene.user.home.join("up");
    wait::until("the session", wait::STEP * 3, || up.exists().then_some(()))
        .with_context(|| format!("{}\n{}", scene.desk().last_words(), scene.daemon.log_text()))
}

#[test]
fn a_session_whose_client_allows_no_local_programs_is_told_so() -> Result<()> {
    let mut scene = Scene::new()?;
    session(&mut scene, "ltsp-localapps --wait true 2>\"$HOME/said\"; echo $? >>\"$HOME/said\"")?;
    let said = std::fs::read_to_string(scene.user.home.join("said"))?;
    assert!(said.contains("LOCAL_APPS is off on this client") && said.ends_with("\n123\n"), "{said}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_starts_programs_here_and_sees_how_they_end() -> Result<()> {
    let mut scene =
        Scene::with(|sshd| sshd, |daemon| Ok(daemon.set("LOCAL_APPS", "True").by(&client::same_machine())))?;
    let script = "cd /tmp
        for n in 0 1 2 7 42 123 124 125 126 127 128 200 255; do
            ltsp-localapps --wait sh -c \"exit $n\"; [ $? = $n ] || echo \"bad: $n\"
        done >\"$HOME/statuses\"
        for signal in 1 2 6 9 15; do
            ltsp-localapps --wait sh -c 'kill -$0 $$' $signal 2>/dev/null; [ $? = $((128 + signal)) ] || echo \"bad: $signal\"
        done >>\"$HOME/statuses\"
        ltsp-localapps --wait sh -c 'printf %s \"$1\" >\"$HOME/word\"; pwd >\"$HOME/cwd\"' sh \"$(printf ' a\\n\\377 \\047\\042$(x)')\"
        ltsp-localapps --wait sh -c 'echo why it failed >&2; exit 3' 2>\"$HOME/said\"
        ltsp-localapps --wait /usr/bin/ldm-lab-no-such-program 2>>\"$HOME/said\"; echo $? >>\"$HOME/said\"
        ltsp-localapps sleep 100007 && echo started >>\"$HOME/said\"";
    session(&mut scene, script)?;
    let read = |name: &str| std::fs::read(scene.user.home.join(name)).with_context(|| name.to_owned());
    assert_eq!(String::from_utf8(read("statuses")?)?, "", "{}", scene.daemon.log_text());
    assert_eq!(read("word")?.escape_ascii().to_string(), b" a\n\xff '\"$(x)".escape_ascii().to_string());
    assert_eq!(read("cwd")?, b"/tmp\n");
    let said = String::from_utf8(read("said")?)?;
    assert!(
        said.contains("why it failed") && said.contains("not installed there") && said.ends_with("127\nstarted\n"),
        "{said}"
    );
    let sleeps = || {
        let pids = scene.user.processes().into_iter();
        pids.map(ldm_tests::sweep::command_line).any(|line| line.ends_with("sleep 100007"))
    };
    assert!(sleeps());
    // It ends with the session.
    scene.log_out()?;
    assert!(!sleeps());
    scene.finish()
}
