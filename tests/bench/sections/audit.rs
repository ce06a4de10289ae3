//! What the audit trail costs a read: the same GET from two daemons in the same rounds, one with the trail and one without.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Caller, Vault, seed};
use crate::load::Request;
use crate::measure::{Spread, Transport, Turn, asking, by_turns, cpu_each};
use crate::report::{Section, Sense, number};
use crate::sections::{CONCURRENCY, SECRETS, shown};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "GET of a secret with and without the audit trail",
        "By TCP and a token, any of 1,000 secrets of 64 bytes; without: `[audit] mode = \"off\"`. CPU: µs of the server's \
         time for each request.",
        &["at once", "req/s", "without", "CPU", "without", "CPU of without"],
    );
    let vaults = [Vault::create(arguments)?, Vault::create_with(arguments, "[audit]\nmode = \"off\"\n")?];
    let daemons = [vaults[0].serve()?, vaults[1].serve()?];
    for daemon in &daemons {
        seed(daemon, "default", 0..SECRETS)?;
    }
    for connections in CONCURRENCY {
        let mut turns: Vec<Turn<'_>> = daemons
            .iter()
            .zip(&vaults)
            .map(|(daemon, vault)| {
                let request = Request::get(&vault.credentials, Caller::Jwt);
                asking(daemon, Transport::Tcp, connections, request, SECRETS, arguments.window())
            })
            .collect();
        let samples = by_turns(arguments.rounds(), &mut turns)?;
        let [with, without] = [&samples[0], &samples[1]];
        let [cpu, cpu_without] = [with, without].map(|samples| cpu_each(samples));
        let ratio = Spread::one(cpu / cpu_without);
        section.row(vec![
            connections.to_string(),
            shown(Spread::over(with, |sample| sample.rate)),
            shown(Spread::over(without, |sample| sample.rate)),
            number(cpu),
            number(cpu_without),
            shown(ratio),
        ]);
        section.figure(format!("audit/{connections}/cpu"), "µs", Spread::one(cpu));
        section.figure(format!("audit/{connections}/cpu-of-without"), "", ratio);
        if connections == 64 {
            let what = "GET, recorded in the audit trail: CPU per request".to_owned();
            section.bar(what, (ratio, "of one that is not"), Sense::AtMost, 1.25, None);
        }
    }
    for daemon in daemons {
        daemon.stop()?;
    }
    Ok(section)
}
