//! What a daemon costs that nobody asks anything.

use std::time::Duration;

use crate::arguments::Arguments;
use crate::fixture::{Scratch, Vault, seed};
use crate::limit::server;
use crate::measure::Spread;
use crate::report::{Section, Sense, number};
use crate::sections::{SECRETS, megabytes};
use crate::system::Counters;
use crate::{Result, stopwatch};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "Idle",
        "1,000 secrets, started afresh, no connections, beside the server that answers a constant. Wake-ups: times \
         that a thread fell asleep again.",
        &["server", "wake-ups a second", "CPU ms a second", "memory MB"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..SECRETS)?;
    daemon.stop()?;
    let (daemon, scratch) = (vault.serve()?, Scratch::new()?);
    let bare = server::start(&scratch)?;
    // What the start leaves to do is no idling.
    stopwatch::rest(Duration::from_secs(1));
    let window = arguments.pick(Duration::from_secs(3), Duration::from_secs(20));
    let both = [daemon.pid(), bare.pid()];
    let before = both.map(Counters::of);
    stopwatch::rest(window);
    let after = both.map(Counters::of);
    daemon.stop()?;
    let mut seen = Vec::new();
    for (name, (before, after)) in ["hushd", "bare"].into_iter().zip(before.into_iter().zip(after)) {
        let (before, after) = (before?, after?);
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
        let a_second = |count: u64| count as f64 / window.as_secs_f64();
        let wakeups = a_second(after.wakeups - before.wakeups);
        let cpu = a_second(after.cpu_micros - before.cpu_micros) / 1000.0;
        let memory = megabytes(after.resident);
        section.row([name.to_owned(), number(wakeups), number(cpu), number(memory)]);
        section.figure(format!("idle/{name}/wakeups"), "1/s", Spread::one(wakeups));
        section.figure(format!("idle/{name}/cpu"), "ms/s", Spread::one(cpu));
        section.figure(format!("idle/{name}/memory"), "MB", Spread::one(memory));
        seen.push((memory, wakeups));
    }
    let (memory, wakeups) = seen[0];
    section.bar("idle with 1,000 secrets: memory", (Spread::one(memory), "MB"), Sense::AtMost, 20.0, None);
    section.bar("idle with 1,000 secrets: wake-ups", (Spread::one(wakeups), "a second"), Sense::AtMost, 1.0, None);
    Ok(section)
}
