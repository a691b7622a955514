//! What a session has of its client: how soon a program runs there, and how far away the sound daemon is.

use std::time::Duration;

use anyhow::{Context, Result};
use ldm_tests::sound::SoundDaemon;
use ldm_tests::{Program, program};

use crate::peer::{Ldm, OpenSsh, Place, Start};
use crate::report::Metric;
use crate::session::Session;

/// How the original did it, rebuilt in a few lines: a loop around xprop(1) that watches one property of the root window, runs
/// its text through a login shell of the user, and empties the property. `$1` is the user.
const ORIGINAL: &str = r#"
xprop -root -f LTSP_COMMAND 8u -set LTSP_COMMAND ""
while read -r line; do
    command=${line#*= \"}
    [ "$command" != "$line" ] && command=${command%\"} && [ -n "$command" ] || continue
    xprop -root LTSP_COMMAND_WAIT >/dev/null
    su - "$1" -c "DISPLAY=$DISPLAY XAUTHORITY=$XAUTHORITY $command" &
    xprop -root -f LTSP_COMMAND 8u -set LTSP_COMMAND ""
done < <(exec xprop -root -spy LTSP_COMMAND)
"#;

/// Command started in the session → the program on the client looks at the clock. One after the other and not in turns: LDM
/// understands the original's property, too, and would be quicker.
pub fn to_program(place: &Place, rounds: usize) -> Result<Metric> {
    let mut metric = Metric::new("request in the session → local program running", "ms", "ldm ≤ 5 ms");
    let (mark, name) = (place.sessions.command(), "the original's way");
    {
        let ssh = OpenSsh::new(name, place, place.sshd.port(), Start::Bare, &[])?;
        let _terminal = ssh.login(mark)?.terminal;
        let (mut session, _) = place.sessions.next()?;
        let _watch = watch(place)?;
        let ask = format!("exec xprop -root -f LTSP_COMMAND 8u -set LTSP_COMMAND '{mark}'");
        // A request that comes before the last one's slot is empty is lost.
        let ready = r#"while xprop -root LTSP_COMMAND | grep -q '= "[^"]'; do sleep 0.01; done"#;
        take(&mut metric, name, place, &mut session, [ready, &ask], rounds);
    }
    place.settle()?;
    let mut ldm = Ldm::with_local_apps("ldm", place)?;
    ldm.login("mark")?;
    let (mut session, _) = place.sessions.next()?;
    let ask = format!("exec {} {mark}", place.lab.bin()?.join("ltsp-localapps").display());
    take(&mut metric, "ldm", place, &mut session, ["", &ask], rounds);
    Ok(metric.done())
}

/// The original's loop, as root on the client.
fn watch(place: &Place) -> Result<Program> {
    let screen = place.screen();
    let log = place.lab.log("original");
    let mut command = program::command("bash");
    command.args(["-c", ORIGINAL, "bash", &place.user.name]);
    command.env("DISPLAY", &screen.display).env("XAUTHORITY", &screen.authority);
    Program::start("the original's loop", &mut command, &log)
}

fn take(metric: &mut Metric, name: &str, place: &Place, session: &mut Session, [ready, ask]: [&str; 2], rounds: usize) {
    // The first one waits for whatever is not there yet.
    for round in 0..=rounds {
        let sample = session.run(ready).and_then(|_| request(place, session, ask));
        if round > 0 || sample.is_err() {
            metric.add(name, sample);
        }
    }
}

fn request(place: &Place, session: &mut Session, ask: &str) -> Result<f64> {
    let said = session.run(&format!("echo $BEGAN; {ask}"))?;
    let began = said.lines().next().and_then(|line| line.parse().ok()).with_context(|| said.clone())?;
    let (program, runs) = place.sessions.next()?;
    drop(program);
    Ok(runs.saturating_sub(Duration::from_nanos(began)).as_secs_f64() * 1000.0)
}

/// A question of a sound client to the daemon and its answer, on the client itself and from the session.
pub fn sound_round_trip(place: &Place, rounds: usize) -> Result<Metric> {
    let mut metric = Metric::new("round trip to the client's sound daemon", "ms", "none; ldm sound-test's own number");
    let sound = SoundDaemon::new(&place.lab)?;
    let mut ldm = Ldm::with_sound("ldm", place, &sound)?;
    ldm.login("mark")?;
    let (mut session, _) = place.sessions.next()?;
    let test = format!("{} sound-test", place.lab.bin()?.join("ldm").display());
    let direct = format!("PULSE_SERVER=unix:{} {test}", sound.socket().display());
    for _ in 0..rounds {
        for (name, test) in [("on the client", &direct), ("from the session", &test)] {
            metric.add(name, session.run(test).and_then(|said| milliseconds(&said)));
        }
    }
    Ok(metric.done())
}

/// What `ldm sound-test` says of round trips.
fn milliseconds(said: &str) -> Result<f64> {
    let number = said.split_once("Round trip to the daemon: ").and_then(|(_, rest)| rest.split(' ').next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("ldm sound-test said {said:?}"))
}
