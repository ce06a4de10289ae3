//! `hushd config`: validates a configuration, and shows the effective one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals};
use crate::config::{Flags, Loaded, Setting};
use crate::daemon::{self, Reread};
use crate::paths::Role;

/// Validate a configuration, or show the effective one
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    Check(CheckArgs),
    Show(ShowArgs),
}

/// Validate a configuration file: its keys, its values, its listeners and its policies
#[derive(Debug, Args)]
#[command(
    after_long_help = "With --json: {\"path\", \"valid\": true, \"warnings\": [{\"line\", \"column\", \"message\"}]}; an error is told by exit code 78."
)]
struct CheckArgs {
    /// The file; without one, what the daemon would read
    file: Option<PathBuf>,
}

/// Show the effective configuration, and where each value comes from
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: {\"settings\": [{\"key\", \"value\", \"source\"}]}.")]
struct ShowArgs {}

const COLUMNS: [Column; 3] =
    [Column { title: "KEY", spare: 0 }, Column { title: "VALUE", spare: 0 }, Column { title: "SOURCE", spare: 1 }];

/// Runs the verb below `config`.
///
/// # Errors
///
/// [`ErrorKind::Configuration`](crate::cli::ErrorKind::Configuration) where it is not valid.
pub fn run(args: ConfigArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        ConfigVerb::Check(args) => check(args, globals),
        ConfigVerb::Show(ShowArgs {}) => show(globals),
    }
}

fn check(args: CheckArgs, globals: &Globals) -> Result<(), CliError> {
    let flags = Flags { config: args.file.or_else(|| globals.flags.config.clone()), ..globals.flags.clone() };
    let loaded = Loaded::load(&globals.environment, &flags, Role::Daemon)?;
    loaded.config.check_listeners()?;
    let path = loaded.file.clone().unwrap_or_else(|| loaded.paths.config_file());
    let read = || Ok(loaded.config.clone());
    let (_, warnings) = daemon::policy(&loaded.config, &Reread { read: &read, file: Some(&path) })?;
    daemon::check_rendered(&loaded.config, &Reread { read: &read, file: Some(&path) })?;
    if globals.output.is_json() {
        let warnings: Vec<Value> = warnings
            .iter()
            .map(|warning| json!({ "line": warning.line, "column": warning.column, "message": warning.message }))
            .collect();
        return globals.output.json(&json!({ "path": loaded.file, "valid": true, "warnings": warnings }));
    }
    for warning in &warnings {
        globals.output.note(format_args!("warning: {}:{warning}", path.display()));
    }
    match loaded.file {
        Some(path) => globals.output.line(format_args!("{}: valid", path.display())),
        None => {
            globals.output.line(format_args!("{}: not there, the defaults hold", loaded.paths.config_file().display()))
        }
    }
}

fn show(globals: &Globals) -> Result<(), CliError> {
    let settings = globals.load(Role::Daemon)?.settings;
    if globals.output.is_json() {
        let settings: Vec<Value> = settings
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "source": setting.source.to_string() }))
            .collect();
        return globals.output.json(&json!({ "settings": settings }));
    }
    let rows: Vec<Vec<Cell>> = settings.iter().map(row).collect();
    globals.output.data(table::render(&globals.output, &COLUMNS, &rows).as_bytes())
}

/// The value is shown as the file would say it.
fn row(setting: &Setting) -> Vec<Cell> {
    let value = if setting.value.is_null() { "\"\"".to_owned() } else { setting.value.to_string() };
    vec![setting.key.into(), value.into(), setting.source.to_string().into()]
}
