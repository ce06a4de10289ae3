//! The bench: hushd beside the limit of this machine, in one run. `cargo bench`, and `cargo bench -- --quick` for a look.
//!
//! The limit is actix-web itself with a handler that answers a constant, a plain append and `fdatasync` on the same disk,
//! and a bare `execve`. Ours and the limit take turns, so that the machine's drift falls on both; what counts are the
//! ratios. It asserts no figure: a bar that is missed is shown as missed.

mod arguments;
mod fixture;
mod limit;
mod load;
mod measure;
mod report;
mod sections;
mod stopwatch;
mod system;

use std::process::ExitCode;

use arguments::{Arguments, Mode};
use report::Report;

/// What can go wrong is told and ends the run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = match Arguments::read() {
        Ok(Mode::Limit { socket }) => limit::server::serve(&socket),
        Ok(Mode::Bench(arguments)) => bench(&arguments),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(&format!("bench: error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    let started = stopwatch::now();
    let mut report = Report::new(arguments.quick);
    for (name, section) in sections::ALL {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            report::note(&format!("{:>5.0} s  {name}", started.elapsed().as_secs_f64()));
            report.add(section(arguments).map_err(|error| format!("{name}: {error}"))?)?;
        }
    }
    report.finish(started.elapsed())?;
    if let Some(path) = &arguments.json {
        report::save(path, &report.json()?)?;
    }
    if let Some(path) = &arguments.svg {
        report::save(path, &report.svg())?;
    }
    Ok(())
}
