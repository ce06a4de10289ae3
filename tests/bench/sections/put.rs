//! Durable PUT beside a plain append and `fdatasync` on the same disk.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Caller, Vault, seed};
use crate::limit::disk::{Reading, append};
use crate::load::Request;
use crate::measure::{Sample, Spread, Transport, Turn, asking, by_turns, cpu_each};
use crate::report::{Section, Sense};
use crate::sections::{CONCURRENCY, apart, shown};

/// Few, so that all have as many revisions as are kept and each write drops one, as it is in the long run.
const SECRETS: u32 = 128;

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "Durable PUT",
        "Answered after fdatasync, each with another value. Prepared: as many threads, each writing 1 KiB into zeroed space \
         of one file and syncing it; growing: the same by appending; raw: the faster of the two in each round; serial: \
         growing, under a mutex. Latencies in µs.",
        &["writers, by", "PUT/s", "±", "p50", "p99", "CPU", "prepared/s", "growing/s", "serial/s", "of raw", "±"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..SECRETS)?;
    let window = arguments.window();
    let put = |transport, caller| (transport, Request::put(&vault.credentials, caller));
    let kinds = [put(Transport::Unix, Caller::Peer), put(Transport::Tcp, Caller::Jwt)];
    for writers in CONCURRENCY.into_iter().rev() {
        let mut turns: Vec<Turn<'_>> = vec![
            Box::new(|| append(vault.directory(), Reading::Prepared, writers, window)),
            Box::new(|| append(vault.directory(), Reading::Growing, writers, window)),
            Box::new(|| append(vault.directory(), Reading::Serial, writers, window)),
        ];
        for (transport, request) in kinds.clone() {
            turns.push(asking(&daemon, transport, writers, request, SECRETS, window));
        }
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        let [prepared, growing, serial, ours @ ..] = samples.as_slice() else {
            return Err("not all were measured".into());
        };
        for ((transport, _), ours) in kinds.iter().zip(ours) {
            tell(&mut section, writers, *transport, ours, [prepared, growing, serial]);
        }
    }
    daemon.stop()?;
    section.rows.reverse();
    section.bars.reverse();
    Ok(section)
}

fn tell(section: &mut Section, writers: usize, transport: Transport, ours: &[Sample], limits: [&Vec<Sample>; 3]) {
    let what = format!("{writers} {}", transport.name());
    let rate = Spread::over(ours, |sample| sample.rate);
    let [p50, p99] = [|s: &Sample| s.p50, |s: &Sample| s.p99].map(|figure| Spread::over(ours, figure));
    let cpu = Spread::one(cpu_each(ours));
    let raw = limits.map(|limit| Spread::over(limit, |sample| sample.rate));
    let [prepared, growing, _] = limits;
    let faster = prepared.iter().zip(growing).map(|(one, other)| if one.rate > other.rate { *one } else { *other });
    let of_raw = Spread::ratio(ours, &faster.collect::<Vec<_>>(), |sample| sample.rate);
    let mut row = vec![what.clone(), shown(rate), apart(rate)];
    row.extend([p50, p99, cpu, raw[0], raw[1], raw[2], of_raw].map(shown));
    row.push(apart(of_raw));
    section.row(row);
    let name = |figure: &str| format!("put/{}/{writers}/{figure}", transport.name());
    section.figure(name("rate"), "1/s", rate);
    section.figure(name("p50"), "µs", p50);
    section.figure(name("p99"), "µs", p99);
    section.figure(name("cpu"), "µs", cpu);
    for (limit, rate) in ["prepared", "growing", "serial"].into_iter().zip(raw) {
        section.figure(name(&format!("{limit}-rate")), "1/s", rate);
    }
    section.figure(name("of-raw"), "", of_raw);
    let (bar, aim) = match writers {
        1 => (0.5, 0.6),
        8 => (0.4, 0.6),
        _ => (0.3, 0.5),
    };
    section.bar(format!("durable PUT, {what}"), (of_raw, "of raw"), Sense::AtLeast, bar, Some(aim));
    // A writer alone shares its sync with nobody, so it cannot beat the bare sync: then the limit was disturbed.
    if writers == 1 && of_raw.median > 1.0 {
        section.doubt_last_bar();
    }
}
