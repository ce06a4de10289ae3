//! LIST and `environment` of namespaces of several sizes in one vault.

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Vault, seed};
use crate::load::{Keys, Load, Request, Work};
use crate::measure::{Spread, Transport};
use crate::report::Section;
use crate::sections::{apart, megabytes, shown};
use crate::system::peak_memory;

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "LIST and environment",
        "One request at a time over the Unix socket; all namespaces are in one vault. The peak is the most memory that \
         the daemon had until then.",
        &["what", "ms", "±", "µs for each", "answer MB", "MB/s", "peak MB"],
    );
    let sizes = arguments.pick([10, 1000, 10_000], [10, 1000, 100_000]);
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    for size in sizes {
        seed(&daemon, &format!("of-{size}"), 0..size)?;
    }
    for size in sizes {
        for (what, path) in [("LIST", "/api/secrets"), ("environment", "/api/environment")] {
            let load = Load {
                target: Transport::Unix.target(&daemon.addresses),
                connections: 1,
                work: Work::One(Request::path(&format!("{path}?namespace=of-{size}"))),
                // The request names none: this is how often it is made.
                keys: Keys::Each(0..if size > 10_000 { 5 } else { 20 }),
                window: None,
            };
            let outcome = load.run()?;
            let took = Spread::of(outcome.reads.iter().map(|nanos| f64::from(*nanos) / 1e6));
            #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
            let length = megabytes(outcome.bytes) / outcome.reads.len() as f64;
            let peak = megabytes(peak_memory(daemon.pid())?);
            let each = took.median * 1000.0 / f64::from(size);
            let numbers = [each, length, length / took.median * 1000.0, peak].map(crate::report::number);
            section.row([format!("{what} of {size}"), shown(took), apart(took)].into_iter().chain(numbers));
            section.figure(format!("{what}/{size}"), "ms", took);
            section.figure(format!("{what}/{size}/peak"), "MB", Spread::one(peak));
        }
    }
    daemon.stop()?;
    Ok(section)
}
