//! `ldm-bench [--quick] [OUT.json]`: runs every measurement and prints ratios; the raw numbers go to OUT.json.

use std::path::PathBuf;

use anyhow::Result;
use ldm_benches::peer::{Place, Start};
use ldm_benches::report::{Machine, Metric, Report};
use ldm_benches::{drawing, greeter, login};

fn main() -> Result<()> {
    let mut rounds = Rounds { login: 15, slope: 5, window: 11, drawing: 3, greeter: 9 };
    let mut file = PathBuf::from("bench-out/bench.json");
    for argument in std::env::args_os().skip(1) {
        if argument == "--quick" {
            rounds = Rounds { login: 3, slope: 1, window: 3, drawing: 1, greeter: 2 };
        } else {
            file = argument.into();
        }
    }
    let place = Place::new()?;
    let machine = Machine::this();
    say(&format!("{}\n", serde_json::to_string(&machine)?));
    let mut report = Report { machine, metrics: Vec::new() };
    let mut keep = |what: &str, metrics: Result<Vec<Metric>>| match metrics {
        Ok(metrics) => {
            for metric in metrics {
                say(&metric.lines());
                report.metrics.push(metric);
            }
        }
        // One that cannot be taken leaves the others.
        Err(e) => say(&format!("\n{what}: not measured: {e:#}\n")),
    };
    keep("login", login::to_command(&place, Start::Bare, rounds.login).map(|m| vec![m]));
    keep("login through Xsession", login::to_command(&place, Start::Xsession, rounds.login).map(|m| vec![m]));
    keep("round trips", login::round_trips(&place, rounds.slope).map(Vec::from));
    keep("window", login::to_window(&place, rounds.window).map(|m| vec![m]));
    keep("drawing", drawing::all(&place, rounds.drawing));
    keep("greeter", greeter::all(&place, rounds.greeter).map(Vec::from));
    report.write(&file)?;
    say(&format!("\nRaw numbers: {}\n", file.display()));
    Ok(())
}

struct Rounds {
    login: usize,
    slope: usize,
    window: usize,
    drawing: usize,
    greeter: usize,
}

/// A closed pipe is the reader's wish, not a failure.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
