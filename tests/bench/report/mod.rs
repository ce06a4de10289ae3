//! What the bench says: tables and bars on standard output, all figures as JSON, a plot as SVG.

mod plot;
mod section;
mod text;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
pub use section::{Bar, Section, Sense, Verdict};
pub use text::number;

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    quick: bool,
    machine: Vec<(&'static str, String)>,
    sections: Vec<Section>,
}

impl Report {
    /// An empty one.
    pub fn new(quick: bool) -> Self {
        Self { quick, machine: machine(), sections: Vec::new() }
    }

    /// Takes in a section, and prints its table.
    pub fn add(&mut self, section: Section) -> Result<()> {
        print(&text::section(&section))?;
        self.sections.push(section);
        Ok(())
    }

    /// Prints the bars, and what they were measured on.
    pub fn finish(&self, elapsed: Duration) -> Result<()> {
        print(&text::bars(&self.bars()))?;
        let machine: Vec<String> = self.machine.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let load = load();
        let kind = if self.quick { "a quick look, figures are rough; " } else { "" };
        print(&format!("\n{kind}{:.0} s; {}; load after: {load}\n", elapsed.as_secs_f64(), machine.join("; ")))
    }

    /// All figures as JSON.
    pub fn json(&self) -> Result<String> {
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let figures = self.sections.iter().flat_map(|section| &section.figures);
        let figures: Vec<Value> = figures
            .map(|(name, unit, spread)| {
                json!({"name": name, "unit": unit, "median": spread.median, "low": spread.low, "high": spread.high})
            })
            .collect();
        let bars: Vec<Value> = self
            .bars()
            .iter()
            .map(|bar| {
                json!({"what": bar.what, "figure": bar.figure.median, "low": bar.figure.low, "high": bar.figure.high, "unit": bar.unit, "sense": bar.sense.sign(),
                    "bar": bar.required, "aim": bar.aim, "met": bar.verdict().text()})
            })
            .collect();
        let all = json!({"quick": self.quick, "machine": machine, "figures": figures, "bars": bars});
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }

    /// The bars as a plot.
    pub fn svg(&self) -> String {
        plot::bars(&self.bars())
    }

    fn bars(&self) -> Vec<&Bar> {
        self.sections.iter().flat_map(|section| &section.bars).collect()
    }
}

/// Says what is going on, beside the results.
pub fn note(text: &str) {
    // Nobody may be listening.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Saves a result in a file, in the place of an older one.
pub fn save(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn machine() -> Vec<(&'static str, String)> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("processor", model.map_or("unknown", |(_, name)| name).to_owned()),
        ("cores", std::thread::available_parallelism().map_or(0, usize::from).to_string()),
        ("kernel", kernel.trim().to_owned()),
        // Whether the machine had something else to do.
        ("load before", load()),
    ]
}

/// How busy the machine was in the last minute (proc(5)).
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
