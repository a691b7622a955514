//! Sound: what is played in a session is heard at its client, what is said there is heard in the session, and nobody else hears
//! either.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use ldm_tests::sound::{self, FORMAT, Recorder, SoundDaemon, aligned, correlation, longest_silence, strength};
use ldm_tests::{
    Client, Daemon, Desk, Guest, Lab, LocalSession, Program, Scene, Sshd, User, XServer, daemon, program, sshd, sweep,
    wait,
};

/// What tells whether a sound is the one that was played.
#[test]
fn sounds_are_told_apart() -> Result<()> {
    let played = sound::sweep(300.0, 3000.0, 1.0);
    let mut recorded = vec![0; 5000];
    recorded.extend(played.iter().map(|sample| sample / 3));
    recorded.extend([0; 5000]);
    assert!(correlation(&played, aligned(&played, &recorded)?) > 0.999);
    assert!(longest_silence(aligned(&played, &recorded)?) < 5);
    // A tenth of a second is missing.
    recorded.drain(20_000..24_410);
    assert!(correlation(&played, aligned(&played, &recorded)?) < 0.7);
    assert!(aligned(&played, &[0; 100]).is_err());
    let high = sound::tone(900.0, 1.0);
    assert!(strength(&high, 900.0) > 0.99 && strength(&high, 500.0) < 0.001);
    Ok(())
}

/// A scene whose client has this sound daemon.
fn scene_with(
    server: impl FnOnce(sshd::Builder<'_>) -> sshd::Builder<'_>,
    seat: impl FnOnce(daemon::Builder<'_>) -> daemon::Builder<'_>,
) -> Result<(Scene, SoundDaemon)> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = server(Sshd::builder(&lab)).start()?;
    let user = User::new(&lab)?;
    let x = XServer::new(&lab)?;
    let sound = SoundDaemon::new(&lab)?;
    let builder = Daemon::builder(&lab).on(x.screen()).server(&sshd, sshd.port())?;
    let builder = builder.set("SOUND_DAEMON", &sound.socket().to_string_lossy()).set("VOLUME", "100");
    let daemon = seat(builder).start()?;
    Ok((Scene { daemon, x, user, sshd, lab }, sound))
}

fn scene() -> Result<(Scene, SoundDaemon)> {
    scene_with(|sshd| sshd, |seat| seat)
}

/// A scene whose seat starts a daemon by itself.
fn scene_of(kind: &str) -> Result<Scene> {
    Scene::with(|sshd| sshd, |seat| Ok(seat.set("SOUND_DAEMON", kind)))
}

/// A program of the session.
fn in_session(scene: &Scene, program: &str) -> Result<Command> {
    let mut command = scene.user.command(Path::new(program));
    let env = scene.desk().env()?;
    command.envs(env.iter().filter(|(name, _)| name.starts_with("PULSE_") || name.starts_with("ALSA_")));
    command.env("LC_ALL", "C.UTF-8");
    Ok(command)
}

fn pactl(scene: &Scene, args: &[&str]) -> Result<String> {
    sound::output(in_session(scene, "pactl")?.args(args))
}

/// Starts to play a signal in the session.
fn start_playing(scene: &Scene, samples: &[i16]) -> Result<std::process::Child> {
    let file = scene.lab.log("signal").with_extension("raw");
    sound::write(&file, samples)?;
    Ok(in_session(scene, "pacat")?.arg("-p").args(FORMAT).arg(&file).stdin(Stdio::null()).spawn()?)
}

fn play(scene: &Scene, samples: &[i16]) -> Result<()> {
    anyhow::ensure!(start_playing(scene, samples)?.wait()?.success(), "pacat failed");
    Ok(())
}

/// Records from the session's microphone, or what else it may hear.
fn record(scene: &Scene, source: &str) -> Result<Recorder> {
    Recorder::start(&scene.lab, in_session(scene, "parec")?, source)
}

#[test]
fn a_stream_of_a_session_arrives_whole_and_unchanged() -> Result<()> {
    let (mut scene, sound) = scene()?;
    scene.log_in()?;
    let played = sound::sweep(300.0, 3000.0, 20.0);
    let recorder = sound.record(&scene.lab, "speakers.monitor")?;
    play(&scene, &played)?;
    let heard = recorder.stop_after(played.len())?;
    let arrived = aligned(&played, &heard)?;
    let alike = correlation(&played, arrived);
    assert!(alike > 0.99, "{alike}");
    assert!(longest_silence(arrived) < 10, "{}", longest_silence(arrived));
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_hears_the_clients_microphone() -> Result<()> {
    let (mut scene, sound) = scene()?;
    scene.log_in()?;
    let said = sound::sweep(300.0, 3000.0, 2.0);
    let recorder = record(&scene, "@DEFAULT_SOURCE@")?;
    sound.play(&scene.lab, "mic", &said)?;
    let heard = recorder.stop_after(said.len())?;
    let alike = correlation(&said, aligned(&said, &heard)?);
    assert!(alike > 0.99, "{alike}");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_sees_and_sets_the_clients_devices_as_a_mixer_does() -> Result<()> {
    let (mut scene, sound) = scene_with(|sshd| sshd, |seat| seat.set("VOLUME", "35").set("MIC_VOLUME", "15"))?;
    sound.pactl(&["set-source-mute", "line", "1"])?;
    scene.log_in()?;
    // What the administrator set, and not for echoes of speakers.
    let volumes = || -> Result<[String; 4]> {
        let [speakers, line, monitor] = [["sink", "speakers"], ["source", "line"], ["source", "speakers.monitor"]]
            .map(|[kind, name]| pactl(&scene, &[&format!("get-{kind}-volume"), name]));
        Ok([speakers?, line?, monitor?, pactl(&scene, &["get-source-mute", "line"])?])
    };
    let is_set = |volumes: &[String; 4]| {
        let expected = [" 35%", " 15%", " 100%", "Mute: no"];
        volumes.iter().zip(expected).all(|(volume, expected)| volume.contains(expected))
    };
    wait::until("VOLUME and MIC_VOLUME", wait::STEP, || volumes().ok().filter(is_set))
        .with_context(|| format!("{:?}", volumes()))?;
    // All that pavucontrol asks for when it starts, and what it then waits to be told.
    let all = pactl(&scene, &["list"])?;
    for name in ["Name: speakers", "Name: mic.monitor", "Name: line", "Client #", "Module #"] {
        assert!(all.contains(name), "{name} is missing in {all}");
    }
    let told = scene.lab.log("told");
    let mut subscribe = in_session(&scene, "pactl")?;
    let mut told_by = Program::start("pactl", subscribe.arg("subscribe"), &told)?;
    let changed = || {
        sound.pactl(&["set-sink-volume", "speakers", "+1%"]).ok()?;
        fs::read_to_string(&told).ok()?.contains("'change' on sink").then_some(())
    };
    wait::until("a change of the client's to be told", wait::STEP, changed)?;
    told_by.kill();
    for args in [["set-sink-volume", "speakers", "70%"], ["set-sink-mute", "speakers", "1"]] {
        pactl(&scene, &args)?;
    }
    assert!(sound.pactl(&["get-sink-volume", "speakers"])?.contains(" 70%"));
    assert_eq!(sound.pactl(&["get-sink-mute", "speakers"])?, "Mute: yes\n");
    scene.log_out()?;
    scene.finish()
}

#[test]
fn alsa_programs_of_a_session_play_too() -> Result<()> {
    let (mut scene, sound) = scene()?;
    scene.log_in()?;
    let file = scene.lab.file("alsa.raw");
    sound::write(&file, &sound::tone(1000.0, 1.0))?;
    let recorder = sound.record(&scene.lab, "speakers.monitor")?;
    // As on a server whose own sound daemon makes itself ALSA's default.
    let mut aplay = Command::new("unshare");
    let mount = "mount -t tmpfs tmpfs /etc/alsa/conf.d\n\
        echo 'pcm.!default { type null }' >/etc/alsa/conf.d/99-pipewire-default.conf\nexec \"$@\"";
    aplay.args(["--mount", "--propagation=private", "sh", "-ec", mount, "sh"]);
    let user = in_session(&scene, "aplay")?;
    aplay
        .arg(user.get_program())
        .args(user.get_args())
        .args(["-q", "-t", "raw", "-f", "S16_LE", "-r", "44100", "-c", "1"]);
    aplay.arg(&file);
    aplay.env_clear().envs(user.get_envs().filter_map(|(name, value)| Some((name, value?))));
    sound::output(&mut aplay)?;
    let heard = recorder.stop_after(40_000)?;
    let start = heard.iter().position(|sample| sample.unsigned_abs() > 500).context("nothing was heard")?;
    let heard = strength(heard.get(start..start + 40_000).unwrap_or_default(), 1000.0);
    assert!(heard > 0.95, "{heard}");
    // What the user has chosen stays.
    let own = scene.user.home.join("own.raw");
    let choice = format!("pcm.!default {{ type file file {} slave.pcm null }}\n", own.display());
    scene.user.write(".asoundrc", &choice, 0o644)?;
    sound::output(&mut aplay)?;
    assert!(own.is_file());
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_changes_nothing_about_the_daemon() -> Result<()> {
    let (mut scene, mut sound) = scene()?;
    scene.log_in()?;
    // As PulseAudio's own start script has it: it loads what streams ask for.
    sound.pactl(&["load-module", "module-filter-apply"])?;
    let before = sound.pactl(&["list", "short", "modules"])?;
    let forbidden: [&[&str]; 6] = [
        &["load-module", "module-null-sink"],
        &["load-module", "module-native-protocol-tcp"],
        &["unload-module", "0"],
        &["unload-module", "module-null-sink"],
        &["exit"],
        &["send-message", "/core", "list-handlers"],
    ];
    for args in forbidden {
        assert!(pactl(&scene, args).is_err(), "{args:?}");
    }
    let filter = ["filter.want=ladspa-sink", "filter.apply.ladspa-sink.parameters=plugin=/tmp/x label=x", "a.b=c"];
    let mut player = in_session(&scene, "pacat")?
        .args(FORMAT)
        .args(filter.map(|property| format!("--property={property}")))
        .arg("/dev/zero")
        .stdin(Stdio::null())
        .spawn()?;
    let streams = wait::try_until("the stream", wait::STEP, || {
        let streams = sound.pactl(&["list", "sink-inputs"])?;
        Ok(streams.contains("a.b = ").then_some(streams))
    });
    player.kill()?;
    player.wait()?;
    assert!(!streams?.contains("filter.want"));
    assert_eq!(sound.pactl(&["list", "short", "modules"])?, before);
    assert!(sound.is_running());
    // And what is allowed goes on, however often.
    for _ in 0..30 {
        assert!(pactl(&scene, &["info"])?.contains("Default Sink: speakers"));
    }
    let told = || scene.daemon.log_text().contains("a sound client was refused LOAD_MODULE").then_some(());
    wait::until("the log to tell of it", wait::STEP, told)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn without_the_microphone_a_session_plays_and_does_not_record() -> Result<()> {
    let (mut scene, sound) = scene_with(|sshd| sshd, |seat| seat.set("MICROPHONE", "False"))?;
    scene.log_in()?;
    for source in ["@DEFAULT_SOURCE@", "speakers.monitor"] {
        // One that records does so without end.
        let mut parec = in_session(&scene, "timeout")?;
        let output = parec.args(["10", "parec"]).args(FORMAT).args(["-d", source]).stdin(Stdio::null()).output()?;
        assert!(!output.status.success() && output.stdout.is_empty(), "{source}");
    }
    let recorder = sound.record(&scene.lab, "speakers.monitor")?;
    let played = sound::sweep(300.0, 3000.0, 1.0);
    play(&scene, &played)?;
    let heard = recorder.stop_after(played.len())?;
    assert!(correlation(&played, aligned(&played, &heard)?) > 0.99);
    scene.log_out()?;
    scene.finish()
}

#[test]
fn two_sessions_never_hear_each_other_and_nobody_else_gets_in() -> Result<()> {
    let (mut one, sound_one) = scene()?;
    let (mut two, sound_two) = scene()?;
    one.log_in()?;
    two.log_in()?;
    let recorders = (sound_one.record(&one.lab, "speakers.monitor")?, sound_two.record(&two.lab, "speakers.monitor")?);
    let microphones = (record(&one, "@DEFAULT_SOURCE@")?, record(&two, "@DEFAULT_SOURCE@")?);
    let mut players = [start_playing(&one, &sound::tone(500.0, 2.0))?, start_playing(&two, &sound::tone(900.0, 2.0))?];
    sound_one.play(&one.lab, "mic", &sound::tone(700.0, 1.0))?;
    for player in &mut players {
        assert!(player.wait()?.success());
    }
    let (heard_one, heard_two) = (recorders.0.stop_after(80_000)?, recorders.1.stop_after(80_000)?);
    let (said_one, said_two) = (microphones.0.stop_after(40_000)?, microphones.1.stop());
    for (heard, own, foreign) in [(&heard_one, 500.0, 900.0), (&heard_two, 900.0, 500.0), (&said_one, 700.0, 900.0)] {
        let (own, foreign) = (strength(heard, own), strength(heard, foreign));
        assert!(own > 0.8 && foreign < 0.001, "{own} {foreign}");
    }
    assert!(said_two.iter().all(|sample| *sample == 0), "one user's microphone is heard by another");

    let server = one.desk().env()?.get("PULSE_SERVER").context("no PULSE_SERVER")?.clone();
    let stranger = User::new(&one.lab)?;
    for user in [&two.user, &stranger] {
        let output = user.command("pactl".as_ref()).arg("info").env("PULSE_SERVER", &server).output()?;
        assert!(!output.status.success(), "{} reaches {server}", user.name);
    }
    one.log_out()?;
    two.log_out()?;
    let socket = server.strip_prefix("unix:").context("no unix socket")?.to_owned();
    wait::until("the socket to go", wait::STEP, || (!Path::new(&socket).exists()).then_some(()))?;
    drop(sound_one);
    one.finish()?;
    two.finish()
}

#[test]
fn a_server_without_sockets_gives_a_port_that_asks_for_a_cookie() -> Result<()> {
    let (mut scene, sound) = scene_with(|sshd| sshd.line("AllowStreamLocalForwarding no"), |seat| seat)?;
    scene.log_in()?;
    let server = scene.desk().env()?.get("PULSE_SERVER").context("no PULSE_SERVER")?.clone();
    assert!(server.starts_with("tcp:127.0.0.1:"), "{server}");
    let recorder = sound.record(&scene.lab, "speakers.monitor")?;
    let played = sound::sweep(300.0, 3000.0, 1.0);
    play(&scene, &played)?;
    let heard = recorder.stop_after(played.len())?;
    assert!(correlation(&played, aligned(&played, &heard)?) > 0.99);
    let stranger = User::new(&scene.lab)?;
    let output = stranger.command("pactl".as_ref()).arg("info").env("PULSE_SERVER", &server).output()?;
    assert!(!output.status.success(), "a stranger without the cookie gets in");
    // It is the worker's, and comes through the daemon.
    let told = || scene.daemon.log_text().contains("it showed a wrong cookie").then_some(());
    wait::until("the log to tell of it", wait::STEP, told)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn a_session_without_sound_has_none() -> Result<()> {
    let (mut scene, _sound) = scene_with(|sshd| sshd, |seat| seat.set("SOUND", "False"))?;
    scene.log_in()?;
    assert!(scene.desk().env()?.keys().all(|name| !name.starts_with("PULSE_")));
    assert!(sound_directories(&scene.daemon).is_empty());
    scene.log_out()?;
    scene.finish()
}

/// What a seat has made for its daemons.
fn sound_directories(daemon: &Daemon) -> Vec<std::path::PathBuf> {
    let seat = Path::new("/run/ldm").join(format!("seat-{}", daemon.pid()));
    let all = fs::read_dir(seat).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sound-"))).collect()
}

/// A tone played in a session with a daemon of the seat's own is heard by that daemon's stand-in for speakers.
fn plays_and_records(scene: &Scene) -> Result<()> {
    // A busy machine may drop a piece of it.
    wait::try_until("the tone to be heard", wait::STEP, || {
        let recorder = record(scene, "@DEFAULT_MONITOR@")?;
        play(scene, &sound::tone(1000.0, 1.0))?;
        let heard = recorder.stop_after(40_000)?;
        let start = heard.iter().position(|sample| sample.unsigned_abs() > 500).context("nothing was heard")?;
        Ok((strength(heard.get(start..start + 40_000).unwrap_or_default(), 1000.0) > 0.9).then_some(()))
    })
}

#[test]
fn a_daemon_of_the_seat_is_started_set_started_again_and_ended() -> Result<()> {
    let mut scene = Scene::with(
        |sshd| sshd,
        |seat| Ok(seat.set("SOUND_DAEMON", "pulseaudio").set("VOLUME", "35").set("LOCAL_APPS", "True")),
    )?;
    scene.log_in()?;
    assert!(pactl(&scene, &["info"])?.contains("Server Name: pulseaudio"));
    let is_set = || -> Option<()> {
        let volume = pactl(&scene, &["get-sink-volume", "@DEFAULT_SINK@"]).ok()?;
        volume.contains(" 35%").then_some(())
    };
    wait::until("VOLUME", wait::STEP, is_set)?;
    assert!(pactl(&scene, &["load-module", "module-null-sink"]).is_err());
    assert!(pactl(&scene, &["exit"]).is_err());
    plays_and_records(&scene)?;

    // Programs of the client come in through a door of their own.
    let local = sound_directories(&scene.daemon).pop().context("no directory")?.join("local/native");
    sound::output(sound::at(Command::new("pactl").arg("info"), &local))?;
    assert!(sound::output(sound::at(Command::new("pactl").args(["load-module", "module-null-sink"]), &local)).is_err());
    let stranger = User::new(&scene.lab)?;
    assert!(sound::output(sound::at(stranger.command("pactl".as_ref()).arg("info"), &local)).is_err());

    let pulseaudio = || {
        let all = sweep::processes_of(scene.daemon.worker_user().uid);
        all.into_iter().find(|pid| sweep::command_line(*pid).starts_with("pulseaudio"))
    };
    let first = pulseaudio().context("no pulseaudio")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL)?;
    wait::until("another pulseaudio", wait::STEP, || pulseaudio().filter(|pid| *pid != first))?;
    plays_and_records(&scene)?;
    wait::until("VOLUME", wait::STEP, is_set)?;

    scene.log_out()?;
    scene.daemon.wait_for_no_worker()?;
    wait::until("the directory to go", wait::STEP, || sound_directories(&scene.daemon).is_empty().then_some(()))?;
    // And the next session has sound again.
    scene.log_in()?;
    plays_and_records(&scene)?;
    scene.log_out()?;
    scene.finish()
}

#[test]
fn pipewire_does_as_well() -> Result<()> {
    let mut scene = scene_of("pipewire")?;
    scene.log_in()?;
    assert!(pactl(&scene, &["info"])?.contains("PipeWire"));
    // PipeWire answers before it knows its devices.
    let has_sink =
        || pactl(&scene, &["list", "sinks"]).is_ok_and(|sinks| sinks.contains("Name: auto_null")).then_some(());
    wait::until("a sink", wait::STEP, has_sink)?;
    plays_and_records(&scene)?;
    let before = pactl(&scene, &["list", "short", "sinks"])?.lines().count();
    for args in [&["load-module", "module-null-sink"][..], &["exit"], &["unload-module", "module-always-sink"]] {
        assert!(pactl(&scene, args).is_err(), "{args:?}");
    }
    assert_eq!(pactl(&scene, &["list", "short", "sinks"])?.lines().count(), before);
    scene.log_out()?;
    scene.daemon.wait_for_no_worker()?;
    scene.finish()
}

/// `ldm` as a user of the client starts it, without a terminal: answers are on its standard input.
fn ldm(lab: &Lab, client: &User, arguments: &[&str], typed: &str, sound: &SoundDaemon) -> Result<Command> {
    let answers = client.write("answers", typed, 0o600)?;
    let mut command = client.command("setsid".as_ref());
    command.arg("--wait").arg(lab.bin()?.join("ldm")).args(arguments);
    sound::at(&mut command, &sound.socket()).stdin(fs::File::open(answers)?);
    Ok(command)
}

/// What `ldm sound-test` says, and whether it is content.
fn sound_test(
    lab: &Lab,
    client: &User,
    arguments: &[&str],
    typed: &str,
    sound: &SoundDaemon,
) -> Result<(bool, String)> {
    let arguments = [&["sound-test"], arguments].concat();
    let output = ldm(lab, client, &arguments, typed, sound)?.output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((output.status.success(), said))
}

#[test]
fn sound_test_measures_the_way_to_the_server_and_back() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = Sshd::new(&lab)?;
    let (user, client, sound) = (User::new(&lab)?, User::new(&lab)?, SoundDaemon::new(&lab)?);
    let known_hosts = client.home.join("known_hosts");
    fs::copy(sshd.known_hosts(&lab, sshd.port())?, &known_hosts)?;
    std::os::unix::fs::chown(&known_hosts, Some(client.uid), Some(client.gid))?;
    sound.pactl(&["set-default-source", "speakers.monitor"])?;
    let target = format!("{}@127.0.0.1:{}", user.name, sshd.port());
    let known_hosts = known_hosts.to_string_lossy();
    let through = [&*target, "--known-hosts", &known_hosts];
    let password = format!("{}\n", user.password);
    for (arguments, typed, way) in [(&[][..], "", "this client alone"), (&through, &*password, "a unix socket")] {
        let (worked, said) = sound_test(&lab, &client, arguments, typed, &sound)?;
        assert!(worked, "{said}");
        for line in
            [way, "Sound daemon: pulseaudio", "Speakers: speakers.", "Played: 3 s of 1000 Hz", "The tone was heard."]
        {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
    user.wait_for_no_process(wait::STEP)?;
    let left = fs::read_dir("/tmp")?.flatten().filter(|entry| {
        use std::os::unix::fs::MetadataExt;
        entry.file_name().to_string_lossy().ends_with(".sound") && entry.metadata().is_ok_and(|m| m.uid() == user.uid)
    });
    assert_eq!(left.count(), 0);
    // A microphone that hears nothing is told, and is no failure; a daemon that is gone is one.
    sound.pactl(&["set-default-source", "mic.monitor"])?;
    let (worked, said) = sound_test(&lab, &client, &[], "", &sound)?;
    assert!(worked && said.contains("The tone was not heard"), "{said}");
    Ok(())
}

#[test]
fn a_login_from_a_terminal_brings_the_users_own_sound_or_none() -> Result<()> {
    let lab = Lab::new()?;
    Desk::offer(&lab, "desk", "")?;
    let sshd = Sshd::new(&lab)?;
    let (user, client, sound) = (User::new(&lab)?, User::new(&lab)?, SoundDaemon::new(&lab)?);
    let x = XServer::new(&lab)?;
    let own = |name: &str, from: &Path| -> Result<String> {
        let path = client.home.join(name);
        fs::copy(from, &path)?;
        std::os::unix::fs::chown(&path, Some(client.uid), Some(client.gid))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let known_hosts = own("known_hosts", &sshd.known_hosts(&lab, sshd.port())?)?;
    let authority = own(".Xauthority", x.authority())?;
    let target = format!("{}@127.0.0.1:{}", user.name, sshd.port());
    let arguments = ["login", "--session", "desk", "--known-hosts", &known_hosts, &target];
    for silent in [false, true] {
        let desk = Desk { user: &user };
        desk.prepare()?;
        let arguments = [&arguments[..], if silent { &["--no-sound"] } else { &[] }].concat();
        let mut command = ldm(&lab, &client, &arguments, &format!("{}\n", user.password), &sound)?;
        command.env("DISPLAY", x.display()).env("XAUTHORITY", &authority);
        let log = lab.log("login");
        command.stdout(fs::File::create(&log)?).stderr(Stdio::null());
        let mut program = Program::adopt("ldm login", &mut command, &log)?;
        desk.wait_until_up()?;
        let server = desk.env()?.get("PULSE_SERVER").cloned();
        assert_eq!(server.is_none(), silent, "{server:?}");
        if let Some(server) = server {
            let mut pactl = user.command("pactl".as_ref());
            assert!(sound::output(pactl.arg("info").env("PULSE_SERVER", server))?.contains("Default Sink: speakers"));
        }
        desk.work()?;
        desk.end()?;
        assert!(program.wait(wait::STEP)?.success());
        user.wait_for_no_process(wait::STEP)?;
        client.wait_for_no_process(wait::STEP)?;
    }
    Ok(())
}

#[test]
fn programs_of_the_client_have_its_sound_under_the_same_rules() -> Result<()> {
    let lab = Lab::new()?;
    let (client, guest, sound) = (Client::new(&lab, &[])?, Guest::new()?, SoundDaemon::new(&lab)?);
    let door = lab.file("door");
    fs::create_dir_all(door.join("local"))?;
    fs::set_permissions(door.join("local"), fs::Permissions::from_mode(0o700))?;
    let mut guard = program::command(lab.bin()?.join("ldm"));
    guard.arg("sound-guard").arg(sound.socket()).arg(door.join("local/native")).arg("--no-microphone");
    let _guard = Program::start("sound-guard", &mut guard, &lab.log("sound-guard"))?;
    let home = guest.home(&lab, "alice")?;
    let orders = serde_json::json!({ "sound": door.join("native") });
    let mut session = LocalSession::start(&lab, &client, &guest.record("alice", &home), orders)?;
    let socket = session.mount()?;
    let _server = guest.serve(&client, &socket, &lab.log("sftp"))?;
    session.ready()?.map_err(anyhow::Error::msg)?;
    session.shell("pactl info | grep -q 'Default Sink: speakers'")?;
    session.shell("! pactl load-module module-null-sink && ! pactl exit")?;
    session.shell("test \"$(timeout 10 parec --raw -d mic.monitor | head -c 1 | wc -c)\" = 0")?;
    let stranger = User::new(&lab)?;
    let local = door.join("local/native");
    assert!(sound::output(sound::at(stranger.command("pactl".as_ref()).arg("info"), &local)).is_err());
    // Nor where all users have one group.
    let ask = |uid: u32| {
        let ids = [format!("--reuid={uid}"), format!("--regid={}", guest.uid), "--clear-groups".to_owned()];
        sound::output(sound::at(program::command("setpriv").args(ids).args(["pactl", "info"]).env("HOME", "/"), &local))
    };
    assert!(ask(stranger.uid).is_err());
    ask(guest.uid)?;
    session.end()?;
    client.wait_until_clean()
}
