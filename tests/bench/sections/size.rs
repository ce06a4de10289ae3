//! What the number of secrets costs: the start, the memory, and a GET.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Caller, Scratch, Vault, seed};
use crate::limit::server;
use crate::load::Request;
use crate::measure::{Spread, Transport, asking, by_turns};
use crate::report::{Section, Sense, number};
use crate::sections::{apart, megabytes, shown};
use crate::system::{Counters, Process};

/// The size that others are compared with.
const SMALL: u32 = 1000;

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "Growth with the number of secrets",
        "One vault, grown through the API. Start: from exec to READY=1; memory: resident when ready; GET: one at a time \
         over the Unix socket by the peer, of any secret, beside a vault of 1,000.",
        &[
            "secrets",
            "start ms",
            "±",
            "memory MB",
            "bytes each",
            "disk MB",
            "created/s",
            "GET p50 µs",
            "of 1,000",
            "p99 of 1,000",
        ],
    );
    let mut sizes = arguments.pick(vec![SMALL, 10_000], vec![SMALL, 10_000, 100_000]);
    if arguments.million {
        sizes.push(1_000_000);
    }
    let small = Vault::create(arguments)?;
    let small_daemon = small.serve()?;
    seed(&small_daemon, "default", 0..SMALL)?;
    tell_bare_start(&mut section, arguments)?;
    let vault = Vault::create(arguments)?;
    let mut base = 0.0;
    let mut filled = 0;
    for size in sizes {
        let daemon = vault.serve()?;
        if filled == 0 {
            base = megabytes(Counters::of(daemon.pid())?.resident);
        }
        let created = seed(&daemon, "default", filled..size)?;
        filled = size;
        daemon.stop()?;
        let (start, memory, daemon) = starts(&vault, if size > 100_000 { 3 } else { arguments.pick(3, 7) })?;
        let request = || Request::get(&vault.credentials, Caller::Peer);
        let window = arguments.window();
        let mut turns = [
            asking(&small_daemon, Transport::Unix, 1, request(), SMALL, window),
            asking(&daemon, Transport::Unix, 1, request(), size, window),
        ];
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        drop(turns);
        daemon.stop()?;
        let p50 = Spread::over(&samples[1], |sample| sample.p50);
        let ratio = Spread::ratio(&samples[1], &samples[0], |sample| sample.p50);
        let tail = Spread::ratio(&samples[1], &samples[0], |sample| sample.p99);
        let each = (memory.median - base) * 1e6 / f64::from(size);
        let disk = megabytes(disk_usage(&vault)?);
        let mut row = vec![number(f64::from(size)), shown(start), apart(start), shown(memory)];
        row.extend([each, disk, created, p50.median, ratio.median, tail.median].map(number));
        section.row(row);
        section.figure(format!("size/{size}/start"), "ms", start);
        section.figure(format!("size/{size}/memory"), "MB", memory);
        section.figure(format!("size/{size}/created"), "1/s", Spread::one(created));
        section.figure(format!("size/{size}/get-p50"), "µs", p50);
        section.figure(format!("size/{size}/get-p50-of-1000"), "", ratio);
        section.figure(format!("size/{size}/get-p99-of-1000"), "", tail);
        add_bars(&mut section, size, [start, memory, ratio]);
    }
    small_daemon.stop()?;
    Ok(section)
}

/// Starts a vault's daemon several times; says how long it took in milliseconds, what memory it then had in megabytes,
/// and leaves the last one running.
fn starts(vault: &Vault, times: usize) -> Result<(Spread, Spread, Process)> {
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    loop {
        let daemon = vault.serve()?;
        took.push(daemon.start.as_secs_f64() * 1000.0);
        memory.push(megabytes(Counters::of(daemon.pid())?.resident));
        if took.len() >= times {
            return Ok((Spread::of(took), Spread::of(memory), daemon));
        }
        daemon.stop()?;
    }
}

fn tell_bare_start(section: &mut Section, arguments: &Arguments) -> Result<()> {
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    let scratch = Scratch::new()?;
    for _ in 0..arguments.pick(3, 7) {
        let bare = server::start(&scratch)?;
        took.push(bare.start.as_secs_f64() * 1000.0);
        memory.push(megabytes(Counters::of(bare.pid())?.resident));
    }
    let (start, memory) = (Spread::of(took), Spread::of(memory));
    let rest = std::iter::repeat_n(String::new(), section.columns.len() - 4);
    section.row(["bare server".to_owned(), shown(start), apart(start), shown(memory)].into_iter().chain(rest));
    section.figure("size/bare/start", "ms", start);
    section.figure("size/bare/memory", "MB", memory);
    Ok(())
}

fn add_bars(section: &mut Section, size: u32, [start, memory, ratio]: [Spread; 3]) {
    let what = |what: &str| format!("{what} with {} secrets", number(f64::from(size)));
    let seconds = |millis: f64| millis / 1000.0;
    let start = (Spread { median: seconds(start.median), low: seconds(start.low), high: seconds(start.high) }, "s");
    let memory = (memory, "MB");
    let ratio = (ratio, "of 1,000");
    match size {
        10_000 => section.bar(what("start to ready"), start, Sense::AtMost, 0.1, Some(0.025)),
        100_000 => {
            section.bar(what("start to ready"), start, Sense::AtMost, 0.8, Some(0.3));
            section.bar(what("memory"), memory, Sense::AtMost, 120.0, None);
            section.bar(what("GET p50"), ratio, Sense::AtMost, 1.25, Some(1.2));
        }
        1_000_000 => {
            section.bar(what("start to ready"), start, Sense::AtMost, 8.0, None);
            section.bar(what("memory"), memory, Sense::AtMost, 900.0, None);
            section.bar(what("GET p50"), ratio, Sense::AtMost, 1.25, None);
        }
        _ => {}
    }
}

/// Bytes of all files of the vault's store.
fn disk_usage(vault: &Vault) -> Result<u64> {
    let mut total = 0;
    let mut directories = vec![vault.directory().join("data")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                total += metadata.len();
            }
        }
    }
    Ok(total)
}
