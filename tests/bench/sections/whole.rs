//! What is done to the vault as a whole: seal and unseal, backup, drill and restore.

use std::path::Path;
use std::process::Command;

use crate::arguments::Arguments;
use crate::fixture::{Vault, seed};
use crate::measure::Spread;
use crate::report::Section;
use crate::sections::{apart, megabytes, shown};
use crate::{Result, stopwatch};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let secrets: u32 = arguments.pick(2000, 100_000);
    let mut section = Section::new(
        "The vault as a whole",
        "100,000 secrets of 64 bytes (2,000 for a look); each by its command, from fork to exit. Backup is taken of a daemon \
         that serves; verify restores into a scratch vault and compares; restore makes a new vault.",
        &["command", "ms", "±", "secrets/s"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..secrets)?;
    let file = vault.directory().join("backup.age");
    let times = arguments.pick(2, 5);
    let mut took: [Vec<f64>; 5] = Default::default();
    for time in 0..times {
        took[0].push(millis(vault.hushd(&["seal"]))?);
        took[1].push(millis(vault.hushd(&["unseal"]))?);
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        took[2].push(millis(with(vault.hushd(&["backup", "-o"]), &file))?);
        took[3].push(millis(with(vault.hushd(&["backup", "verify"]), &file))?);
        let place = vault.directory().join(format!("restored-{time}"));
        let mut restore = with(vault.hushd(&["restore"]), &file);
        restore.arg("--same-identity").arg("--identity").arg(vault.directory().join("config/hushd/identity.txt"));
        restore.env("XDG_DATA_HOME", place.join("data")).env("XDG_CONFIG_HOME", place.join("config"));
        took[4].push(millis(restore)?);
        std::fs::remove_dir_all(&place)?;
    }
    daemon.stop()?;
    for (name, took) in ["seal", "unseal", "backup", "backup verify", "restore"].into_iter().zip(took) {
        let each = name.starts_with("backup") || name == "restore";
        let took = Spread::of(took);
        let rate = Spread::one(f64::from(secrets) * 1000.0 / took.median);
        let rate_shown = if each { shown(rate) } else { String::new() };
        section.row([name.to_owned(), shown(took), apart(took), rate_shown]);
        section.figure(format!("whole/{name}"), "ms", took);
        if each {
            section.figure(format!("whole/{name}/rate"), "1/s", rate);
        }
    }
    section.figure("whole/backup/size", "MB", Spread::one(megabytes(std::fs::metadata(&file)?.len())));
    Ok(section)
}

fn with(mut command: Command, file: &Path) -> Command {
    command.arg(file);
    command
}

/// How long a command took, in milliseconds.
fn millis(mut command: Command) -> Result<f64> {
    let started = stopwatch::now();
    let output = command.output()?;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    if output.status.success() {
        return Ok(took);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
