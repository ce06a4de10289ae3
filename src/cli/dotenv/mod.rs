//! The `.env` files of three libraries, which look alike and are not: node's dotenv, python-dotenv and docker compose.
//!
//! Invariants: a file is read as its dialect's own library reads it, beside two things: a variable that is referred to is
//! looked for in the file and never in the environment, and what a library skips in silence is told. Neither a note nor an error repeats what may be a value.

mod compose;
mod node;
mod python;
mod write;

use std::collections::BTreeMap;

use clap::ValueEnum;

pub use write::quote;

/// Whose rules a dotenv file follows
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    // The default: the one that most files are written for, and the only one that never changes a `$` in a password.
    /// dotenv of npm: no variables are expanded
    #[default]
    Node,
    /// python-dotenv: ${NAME} is expanded, everywhere
    Python,
    /// docker compose: $NAME and ${NAME} are expanded, but not in single quotes
    Compose,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Node, Self::Python, Self::Compose];
}

/// What a file says.
#[derive(Default)]
pub struct Read {
    /// Values by name; of a name that comes twice the last one.
    pub values: BTreeMap<String, String>,
    /// What is worth knowing: lines that say nothing, references to what the file does not set.
    pub notes: Vec<String>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a file as its dialect's library does.
///
/// # Errors
///
/// What the library fails over; two of them never fail.
pub fn read(text: &str, dialect: Dialect) -> Result<Read, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match dialect {
        Dialect::Node => Ok(node::read(text)),
        Dialect::Python => Ok(python::read(text)),
        Dialect::Compose => compose::read(text),
    }
}

#[expect(clippy::expect_used, reason = "the patterns are constants, and every one is tested")]
fn pattern(text: &str) -> regex::Regex {
    regex::Regex::new(text).expect("the pattern is sound")
}

/// The line, from 1 on, that the byte at `offset` is in.
fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn nothing_said(line: usize) -> String {
    format!("line {line} is no assignment that this dialect knows, and is left out")
}

fn no_value(line: usize) -> String {
    format!("line {line} names a variable without a value, and is left out")
}

fn unset(name: &str) -> String {
    format!("{name} refers to a variable that the file does not set: it is taken as empty")
}

#[cfg(test)]
mod tests;
