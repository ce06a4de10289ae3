//! 95 reads and 5 writes of a hundred requests, beside reads alone.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Caller, Vault, seed};
use crate::load::{Keys, Load, Request, Work};
use crate::measure::{Sample, Spread, Transport, Turn, by_turns, under_load};
use crate::report::Section;
use crate::sections::{CONCURRENCY, SECRETS, apart, shown};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "95 reads and 5 durable writes of a hundred",
        "Over TCP, by JWT. Latencies in µs; reads alone: the same without writes.",
        &["at once", "req/s", "±", "read p50", "read p99", "write p50", "write p99", "reads alone p50", "p99"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..SECRETS)?;
    let (caller, target) = (Caller::Jwt, Transport::Tcp.target(&daemon.addresses));
    for connections in CONCURRENCY {
        let read = Request::get(&vault.credentials, caller);
        let write = Request::put(&vault.credentials, caller);
        let load = |work| {
            let target = target.clone();
            Load { target, connections, work, keys: Keys::Random(SECRETS), window: Some(arguments.window()) }
        };
        let alone = load(Work::One(read.clone()));
        let mixed = load(Work::Mixed { read, write, writes_of_hundred: 5 });
        let mut writes = Vec::new();
        let mut turns: [Turn<'_>; 2] = [
            Box::new(|| {
                let (outcome, cpu) = under_load(&daemon, &alone)?;
                Ok(Sample::new(outcome.reads, outcome.elapsed, cpu))
            }),
            Box::new(|| {
                let (outcome, cpu) = under_load(&daemon, &mixed)?;
                writes.push(Sample::new(outcome.writes, outcome.elapsed, cpu));
                Ok(Sample::new(outcome.reads, outcome.elapsed, cpu))
            }),
        ];
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        drop(turns);
        let (alone, reads, writes) = (&samples[0], &samples[1], &writes[1..]);
        let rate = Spread::of(reads.iter().zip(writes).map(|(reads, writes)| reads.rate + writes.rate));
        let mut row = vec![connections.to_string(), shown(rate), apart(rate)];
        section.figure(format!("mixed/{connections}/rate"), "1/s", rate);
        for (what, samples) in [("read", reads.as_slice()), ("write", writes), ("alone", alone.as_slice())] {
            for (name, figure) in [("p50", (|s| s.p50) as fn(&Sample) -> f64), ("p99", |s| s.p99)] {
                let spread = Spread::over(samples, figure);
                row.push(shown(spread));
                section.figure(format!("mixed/{connections}/{what}-{name}"), "µs", spread);
            }
        }
        section.row(row);
    }
    daemon.stop()?;
    Ok(section)
}
