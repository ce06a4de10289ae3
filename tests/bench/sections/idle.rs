//! What a daemon costs that nobody asks anything.

use std::time::Duration;

use crate::arguments::Arguments;
use crate::fixture::{Vault, seed};
use crate::measure::Spread;
use crate::report::{Section, Sense, number};
use crate::sections::{SECRETS, megabytes};
use crate::system::Counters;
use crate::{Result, stopwatch};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "Idle",
        "1,000 secrets, started afresh, no connections. Wake-ups: times that a thread fell asleep again.",
        &["what", "figure"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..SECRETS)?;
    daemon.stop()?;
    let daemon = vault.serve()?;
    // What the start leaves to do is no idling.
    stopwatch::rest(Duration::from_secs(1));
    let window = arguments.pick(Duration::from_secs(3), Duration::from_secs(20));
    let before = Counters::of(daemon.pid())?;
    stopwatch::rest(window);
    let after = Counters::of(daemon.pid())?;
    daemon.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    let a_second = |count: u64| count as f64 / window.as_secs_f64();
    let wakeups = a_second(after.wakeups - before.wakeups);
    let cpu = a_second(after.cpu_micros - before.cpu_micros) / 1000.0;
    let memory = megabytes(after.resident);
    for (what, unit, figure) in [
        ("wake-ups a second", "1/s", wakeups),
        ("CPU, ms a second", "ms/s", cpu),
        ("resident memory, MB", "MB", memory),
    ] {
        section.row([what.to_owned(), number(figure)]);
        section.figure(format!("idle/{what}"), unit, Spread::of([figure]));
    }
    section.bar("idle with 1,000 secrets: memory", (memory, "MB"), Sense::AtMost, 20.0, None);
    section.bar("idle with 1,000 secrets: wake-ups", (wakeups, "a second"), Sense::AtMost, 1.0, None);
    Ok(section)
}
