//! The command line: `hushd get` and `hushd run -- true` beside `true`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::arguments::Arguments;
use crate::fixture::{Vault, seed};
use crate::measure::{Spread, Turn, by_turns, repeating};
use crate::report::{Section, Sense, number};
use crate::sections::{apart, shown};

/// Measures and tells.
pub fn measure(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::new(
        "The command line",
        "From fork to exit, over the Unix socket by the peer; run gives five secrets. In ms.",
        &["command", "ms", "±", "p99", "over true"],
    );
    let vault = Vault::create(arguments)?;
    let daemon = vault.serve()?;
    seed(&daemon, "default", 0..5)?;
    let nothing = find_true()?;
    let mut get = vault.hushd(&["get", "KEY_0000000"]);
    let mut run = vault.hushd(&["run", "--"]);
    run.arg(&nothing);
    for command in [&mut get, &mut run] {
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    let mut version = vault.hushd(&["--version"]);
    let mut alone = Command::new(&nothing);
    alone.env_clear();
    let commands = [
        ("true", &mut alone),
        ("hushd --version", &mut version),
        ("hushd get KEY", &mut get),
        ("hushd run -- true", &mut run),
    ];
    let names = commands.each_ref().map(|(name, _)| *name);
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (_, command) in commands {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        turns.push(repeating(arguments.window(), move || {
            if command.status()?.success() { Ok(()) } else { Err("a command failed".into()) }
        }));
    }
    let samples = by_turns(arguments.rounds(), &mut turns)?;
    drop(turns);
    for (name, samples_of_it) in names.into_iter().zip(&samples) {
        let took = Spread::over(samples_of_it, |sample| sample.p50 / 1000.0);
        let tail = Spread::over(samples_of_it, |sample| sample.p99 / 1000.0);
        let over = Spread::of(samples_of_it.iter().zip(&samples[0]).map(|(one, none)| (one.p50 - none.p50) / 1000.0));
        section.row([name.to_owned(), shown(took), apart(took), shown(tail), number(over.median)]);
        section.figure(format!("client/{name}"), "ms", took);
        section.figure(format!("client/{name}/over-true"), "ms", over);
        let bar = match name {
            "hushd get KEY" => "get, over true",
            "hushd run -- true" => "run -- true with five secrets, over true",
            _ => continue,
        };
        section.bar(bar, (over, "ms"), Sense::AtMost, 1.5, Some(1.0));
    }
    daemon.stop()?;
    Ok(section)
}

fn find_true() -> Result<PathBuf> {
    let places = ["/usr/bin/true", "/bin/true", "/run/current-system/sw/bin/true"];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    Ok(found.ok_or("there is no true(1)")?.to_owned())
}
