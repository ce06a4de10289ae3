//! GET of a secret beside a constant answer, over either transport and by each kind of caller.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Caller, Scratch, Vault, seed};
use crate::limit::server;
use crate::load::Request;
use crate::measure::{Sample, Spread, Transport, Turn, asking, by_turns, cpu_each};
use crate::report::{Section, Sense, number};
use crate::sections::{CONCURRENCY, SECRETS, apart, shown};

const KINDS: [(Transport, Caller); 5] = [
    (Transport::Tcp, Caller::Jwt),
    (Transport::Tcp, Caller::ApiKey),
    (Transport::Unix, Caller::Jwt),
    (Transport::Unix, Caller::ApiKey),
    (Transport::Unix, Caller::Peer),
];
const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Unix];

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "GET of a secret",
        "Authenticated and decrypted, any of 1,000 secrets of 64 bytes; bare: actix-web with two workers and a constant \
         answer of the same length. Latencies in µs, CPU: µs of the server's time for each request.",
        &["at once, by", "req/s", "±", "p50", "p99", "CPU", "bare req/s", "of bare", "p50", "p99", "CPU"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..SECRETS)?;
    let scratch = Scratch::new()?;
    let bare = server::start(&scratch)?;
    for connections in CONCURRENCY {
        let limits = TRANSPORTS.map(|transport| (&bare, transport, Request::path(server::PATH)));
        let ours = KINDS.map(|(transport, caller)| (&daemon, transport, Request::get(&vault.credentials, caller)));
        let mut turns: Vec<Turn<'_>> = limits
            .into_iter()
            .chain(ours)
            .map(|(process, transport, request)| {
                asking(process, transport, connections, request, SECRETS, arguments.window())
            })
            .collect();
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        let (limits, ours) = samples.split_at(TRANSPORTS.len());
        for ((transport, caller), ours) in KINDS.into_iter().zip(ours) {
            let limit = TRANSPORTS.iter().position(|each| *each == transport).unwrap_or_default();
            tell(&mut section, connections, (transport, caller), ours, &limits[limit]);
        }
    }
    daemon.stop()?;
    Ok(section)
}

fn tell(
    section: &mut Section,
    connections: usize,
    (transport, caller): (Transport, Caller),
    ours: &[Sample],
    limit: &[Sample],
) {
    let what = format!("{connections} {}, {}", transport.name(), caller.name());
    let rate = Spread::over(ours, |sample| sample.rate);
    let ratio = |figure: fn(&Sample) -> f64| Spread::ratio(ours, limit, figure);
    let [cpu, bare_cpu] = [ours, limit].map(cpu_each);
    let of_bare = [ratio(|s| s.rate), ratio(|s| s.p50), ratio(|s| s.p99), Spread::one(cpu / bare_cpu)];
    let mut row = vec![what.clone(), shown(rate), apart(rate)];
    row.extend([|s: &Sample| s.p50, |s: &Sample| s.p99].map(|figure| shown(Spread::over(ours, figure))));
    row.push(number(cpu));
    row.push(shown(Spread::over(limit, |sample| sample.rate)));
    row.extend(of_bare.map(shown));
    section.row(row);
    let name = |figure: &str| format!("get/{}/{}/{connections}/{figure}", transport.name(), caller.name());
    section.figure(name("rate"), "1/s", rate);
    section.figure(name("p50"), "µs", Spread::over(ours, |sample| sample.p50));
    section.figure(name("p99"), "µs", Spread::over(ours, |sample| sample.p99));
    section.figure(name("cpu"), "µs", Spread::one(cpu));
    section.figure(name("bare-rate"), "1/s", Spread::over(limit, |sample| sample.rate));
    section.figure(name("bare-cpu"), "µs", Spread::one(bare_cpu));
    for (figure, spread) in ["rate-of-bare", "p50-of-bare", "p99-of-bare", "cpu-of-bare"].into_iter().zip(of_bare) {
        section.figure(name(figure), "", spread);
    }
    if connections != 64 {
        return;
    }
    let [rate, _, p99, cpu] = of_bare.map(|spread| (spread, "of bare"));
    let (bar, aim) = match transport {
        Transport::Tcp => (0.75, 0.85),
        Transport::Unix => (0.60, 0.75),
    };
    section.bar(format!("GET, {what}: requests a second"), rate, Sense::AtLeast, bar, Some(aim));
    section.bar(format!("GET, {what}: p99"), p99, Sense::AtMost, 1.6, None);
    if transport == Transport::Tcp {
        section.bar(format!("GET, {what}: CPU per request"), cpu, Sense::AtMost, 1.9, None);
    }
}
