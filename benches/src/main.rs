//! `ldm-bench [--quick] [--out FILE] [WHAT…]`: measures, prints ratios, and keeps the raw numbers in FILE. Each WHAT is one
//! of `login`, `round-trips`, `window`, `drawing`, `local`, `sound`, `greeter`; without any, all are measured.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use ldm_benches::peer::{Place, Start};
use ldm_benches::report::{Machine, Metric, Report};
use ldm_benches::{drawing, greeter, local, login};

const ALL: [&str; 7] = ["login", "round-trips", "window", "drawing", "local", "sound", "greeter"];

fn main() -> Result<()> {
    let mut rounds = Rounds { login: 15, slope: 5, window: 11, drawing: 5, local: 50, sound: 3, greeter: 9 };
    let mut file = PathBuf::from("bench-out/bench.json");
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => rounds = Rounds { login: 3, slope: 1, window: 3, drawing: 1, local: 10, sound: 1, greeter: 2 },
            "--out" => file = arguments.next().context("--out needs a file")?.into(),
            name if ALL.contains(&name) => wanted.push(argument),
            name => bail!("{name} is none of {ALL:?}"),
        }
    }
    let place = Place::new()?;
    let machine = Machine::this();
    say(&format!("{}\n", serde_json::to_string(&machine)?));
    let mut report = Report { machine, metrics: Vec::new() };
    for what in ALL.into_iter().filter(|what| wanted.is_empty() || wanted.iter().any(|name| name == what)) {
        match measure(what, &place, &rounds) {
            Ok(metrics) => {
                for metric in metrics {
                    say(&metric.lines());
                    report.metrics.push(metric);
                }
            }
            // One that cannot be taken leaves the others.
            Err(e) => say(&format!("\n{what}: not measured: {e:#}\n")),
        }
    }
    report.write(&file)?;
    say(&format!("\nRaw numbers: {}\n", file.display()));
    Ok(())
}

fn measure(what: &str, place: &Place, rounds: &Rounds) -> Result<Vec<Metric>> {
    Ok(match what {
        "login" => vec![
            login::to_command(place, Start::Bare, rounds.login)?,
            login::to_command(place, Start::Xsession, rounds.login)?,
        ],
        "round-trips" => login::round_trips(place, rounds.slope)?.into(),
        "window" => vec![login::to_window(place, rounds.window)?],
        "drawing" => drawing::all(place, rounds.drawing)?,
        "local" => vec![local::to_program(place, rounds.local)?],
        "sound" => vec![local::sound_round_trip(place, rounds.sound)?],
        _ => greeter::all(place, rounds.greeter)?.into(),
    })
}

struct Rounds {
    login: usize,
    slope: usize,
    window: usize,
    drawing: usize,
    local: usize,
    sound: usize,
    greeter: usize,
}

/// A closed pipe is the reader's wish, not a failure.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
