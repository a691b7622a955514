//! The table that is printed, and the raw numbers that are kept.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use ldm_protocol::text;
use serde::Serialize;

use crate::stats::{self, Summary};

/// The samples of one peer.
#[derive(Debug, Serialize)]
pub struct Series {
    /// Who.
    pub peer: String,
    /// In the order in which they were taken.
    pub samples: Vec<f64>,
    /// What they say together.
    pub summary: Option<Summary>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub struct Metric {
    /// What.
    pub name: String,
    /// In which unit.
    pub unit: &'static str,
    /// The target as a sentence, `ratio ≤ 0.6` and the like.
    pub target: &'static str,
    /// How many of the first series the others are compared to.
    pub bases: usize,
    /// The bases first.
    pub series: Vec<Series>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

impl Metric {
    /// A metric with no samples yet.
    pub fn new(name: impl Into<String>, unit: &'static str, target: &'static str) -> Self {
        Self { name: name.into(), unit, target, bases: 1, series: Vec::new(), missing: Vec::new() }
    }

    /// Compares to that many of the first series.
    #[must_use]
    pub fn bases(mut self, bases: usize) -> Self {
        self.bases = bases;
        self
    }

    /// Adds a sample of a peer, or why there is none.
    pub fn add(&mut self, peer: &str, sample: Result<f64>) {
        match sample {
            Ok(sample) => {
                if let Some(series) = self.series.iter_mut().find(|s| s.peer == peer) {
                    series.samples.push(sample);
                } else {
                    self.series.push(Series { peer: peer.to_owned(), samples: vec![sample], summary: None });
                }
            }
            Err(e) => {
                let text = format!("{peer}: {}", text::sanitise_line(&format!("{e:#}"), 300));
                if !self.missing.contains(&text) {
                    self.missing.push(text);
                }
            }
        }
    }

    /// Sums up.
    #[must_use]
    pub fn done(mut self) -> Self {
        for series in &mut self.series {
            series.summary = stats::summary(&series.samples);
        }
        self
    }

    /// The lines of the table.
    pub fn lines(&self) -> String {
        let mut out = format!("\n{} [{}]   target: {}\n", self.name, self.unit, self.target);
        let medians = || self.series.iter().take(self.bases).filter_map(|s| Some(s.summary?.median));
        for (index, series) in self.series.iter().enumerate() {
            let Some(Summary { median, min, max }) = series.summary else { continue };
            let ratios: Vec<_> = medians().map(|base| format!("{:.2}", median / base)).collect();
            let ratio = if index < self.bases || ratios.is_empty() {
                String::new()
            } else {
                format!("   ratio {}", ratios.join(" and "))
            };
            let (n, peer) = (series.samples.len(), &series.peer);
            let _ =
                writeln!(out, "  {peer:<38} {:>10}  ({} – {}, n={n}){ratio}", short(median), short(min), short(max));
        }
        for missing in &self.missing {
            let _ = writeln!(out, "  not measured: {missing}");
        }
        out
    }
}

/// Three significant digits, or whole numbers.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What the numbers were taken on.
#[derive(Debug, Serialize)]
pub struct Machine {
    processors: usize,
    model: String,
    kernel: String,
    ssh: String,
    /// Load average before the first measurement: on a machine that does something else the numbers mean little.
    load: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let model = read("/proc/cpuinfo");
        let model = model.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
        let ssh = std::process::Command::new("ssh").arg("-V").output().map(|o| o.stderr).unwrap_or_default();
        Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            model: model.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            ssh: String::from_utf8_lossy(&ssh).trim().to_owned(),
        }
    }
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What.
    pub metrics: Vec<Metric>,
}

impl Report {
    /// Writes the raw numbers.
    pub fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, serde_json::to_string_pretty(self)? + "\n").with_context(|| format!("{}", file.display()))
    }
}
