//! What is measured, one file each.

mod audit;
mod client;
mod encryption;
mod get;
mod idle;
mod list;
mod mixed;
mod put;
mod size;
mod weight;
mod whole;

use crate::Result;
use crate::arguments::Arguments;
use crate::measure::Spread;
use crate::report::Section;

/// Measures and tells.
pub type Measure = fn(&Arguments) -> Result<Section>;

/// All sections, by name, in the order in which they are measured.
pub const ALL: [(&str, Measure); 11] = [
    ("get", get::measure),
    ("audit", audit::measure),
    ("put", put::measure),
    ("mixed", mixed::measure),
    ("list", list::measure),
    ("size", size::measure),
    ("whole", whole::measure),
    ("client", client::measure),
    ("idle", idle::measure),
    ("encryption", encryption::measure),
    ("weight", weight::measure),
];

/// Connections at once.
const CONCURRENCY: [usize; 3] = [1, 8, 64];
/// Secrets in the vaults of the sections that are not about size.
const SECRETS: u32 = 1000;

/// A figure as it stands in a table.
fn shown(spread: Spread) -> String {
    crate::report::number(spread.median)
}

/// How far the rounds were apart, as it stands in a table.
fn apart(spread: Spread) -> String {
    format!("{:.0} %", spread.percent())
}

/// Bytes as megabytes (10^6).
#[expect(clippy::cast_precision_loss, reason = "sizes of files and memory")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
