//! The formats that environments are written in and read from.
//!
//! Invariants: what is written is read back as the very same values by whoever the format is for; a format that cannot hold
//! a value refuses it and names its key, never the value.

mod data;
mod lines;

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::cli::dotenv::{self, Dialect};
use crate::cli::{CliError, ErrorKind};
use crate::model::{Key, SecretValue};

/// Values by name.
pub type Values = BTreeMap<Key, SecretValue>;

/// What an environment is written as
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A .env file, which all dialects read alike where that is possible
    Dotenv,
    /// export commands for a POSIX shell
    Shell,
    /// One JSON object
    Json,
    /// A YAML mapping
    Yaml,
    /// For docker run --env-file, which cannot hold newlines
    Docker,
    /// For EnvironmentFile= of systemd
    Systemd,
}

/// What a file of values is
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A .env file, by the rules of --dialect
    Dotenv,
    /// One JSON object
    Json,
    /// A YAML mapping
    Yaml,
    /// What vault kv get -format=json prints
    Vault,
    /// What docker run --env-file takes
    Docker,
}

/// What was read: names as they stand there, in their order, and what is worth knowing.
#[derive(Default)]
pub struct Found {
    /// Values by name.
    pub values: Vec<(String, SecretValue)>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

impl Format {
    /// The format that a file of this name has.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "sh" => Some(Self::Shell),
            "env" => Some(Self::Dotenv),
            _ => None,
        }
    }
}

impl Source {
    /// What a file of this name is; `.env` and everything else that is not told is dotenv.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            Some(_) | None => Self::Dotenv,
        }
    }
}

/// Writes the values.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a value or a name that the format cannot hold.
pub fn write(values: &Values, format: Format, dialect: Dialect) -> Result<Zeroizing<String>, CliError> {
    match format {
        Format::Dotenv => each(values, |key, value| {
            dotenv::quote(value, dialect)
                .map(|quoted| format!("{key}={quoted}\n"))
                .ok_or("this dialect has no quotes for it")
        })
        .map_err(|error| error.hint("compose holds any value: --dialect compose; and so does --format json")),
        Format::Shell => each(values, lines::shell),
        Format::Docker => each(values, lines::docker)
            .map_err(|error| error.hint("pass the names alone: hushd run -- docker run --env NAME …")),
        Format::Systemd => each(values, lines::systemd),
        Format::Json => data::write_json(values),
        Format::Yaml => Ok(data::write_yaml(values)),
    }
}

/// One line for each.
fn each(
    values: &Values,
    line: impl Fn(&Key, &str) -> Result<String, &'static str>,
) -> Result<Zeroizing<String>, CliError> {
    // Room for all of it: a buffer that grows leaves copies behind.
    let room = values.iter().map(|(key, value)| key.as_str().len() + 2 * value.len() + 16).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (key, value) in values {
        match line(key, value.expose_secret()) {
            Ok(line) => text.push_str(&Zeroizing::new(line)),
            Err(why) => {
                return Err(CliError::new(ErrorKind::BadData, format!("this format cannot hold {key}: {why}"))
                    .hint(format!("leave it out with --only, or take another --format; {key} stays as it is")));
            }
        }
    }
    Ok(text)
}

/// Reads values.
///
/// # Errors
///
/// [`ErrorKind::BadData`] with the line that is wrong.
pub fn read(text: &str, source: Source, dialect: Dialect) -> Result<Found, CliError> {
    let wrong = |what: String| CliError::new(ErrorKind::BadData, what);
    match source {
        Source::Dotenv => {
            let read =
                dotenv::read(text, dialect).map_err(|error| wrong(format!("line {}: {}", error.line, error.what)))?;
            let values = read.values.into_iter().map(|(name, value)| (name, SecretValue::new(value)));
            Ok(Found { values: values.collect(), notes: read.notes })
        }
        Source::Json | Source::Vault => data::read_json(text, source == Source::Vault).map_err(wrong),
        Source::Yaml => data::read_yaml(text).map_err(wrong),
        Source::Docker => lines::read_docker(text).map_err(wrong),
    }
}

#[cfg(test)]
mod tests;
