//! The one place that prints: values and data on stdout, everything else on stderr.
//!
//! Invariants: a reader of stdout that has gone ends the program quietly; any other failure to write is an error, so that
//! nothing half-written counts as done; nobody is asked anything without a terminal.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::tcgetwinsize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::error::io_message;
use crate::cli::{Bar, CliError, ErrorKind, Unit};
use crate::paths::Environment;

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    json: bool,
    verbosity: Verbosity,
    color: bool,
    /// Columns of the terminal; `None` where stdout is none.
    width: Option<usize>,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What was done.
    #[default]
    Normal,
    /// How it was done, too.
    Verbose,
}

/// What is emphasised on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// A heading.
    Heading,
    /// Something to look at.
    Warning,
}

impl Output {
    /// Looks at the terminal and at what the environment says of it (`NO_COLOR`, `TERM`, `COLUMNS`).
    pub fn new(environment: &Environment, json: bool, verbosity: Verbosity) -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let color = terminal && !dumb && environment.get("NO_COLOR").is_none();
        let named = || environment.get("COLUMNS")?.to_str()?.parse().ok();
        let asked = || tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
        let width = if terminal { named().or_else(asked).or(Some(80)) } else { None };
        Self { json, verbosity, color, width }
    }

    /// Whether `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether `-v` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Columns of the terminal; `None` where stdout is none.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// The text as the terminal shows it in this style.
    pub fn styled(&self, style: Style, text: &str) -> String {
        match style {
            Style::Heading if self.color => format!("\x1b[1m{text}\x1b[0m"),
            Style::Warning if self.color => format!("\x1b[33m{text}\x1b[0m"),
            Style::Plain | Style::Heading | Style::Warning => text.to_owned(),
        }
    }

    /// Prints data exactly as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ClosedPipe`] where the reader has gone, [`ErrorKind::Other`] where it cannot be written.
    pub fn data(&self, data: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(data).and_then(|()| stdout.flush()).map_err(|error| unwritten(&error))
    }

    /// Prints a line of data.
    ///
    /// # Errors
    ///
    /// As [`Output::data`].
    pub fn line(&self, text: impl fmt::Display) -> Result<(), CliError> {
        self.data(Zeroizing::new(format!("{text}\n")).as_bytes())
    }

    /// Prints data as JSON.
    ///
    /// # Errors
    ///
    /// As [`Output::data`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let internal = |error: serde_json::Error| CliError::from_error(ErrorKind::Internal, &error);
        let mut text = Zeroizing::new(serde_json::to_vec_pretty(value).map_err(internal)?);
        text.push(b'\n');
        self.data(&text)
    }

    /// Prints data as JSON, on one line.
    ///
    /// # Errors
    ///
    /// As [`Output::data`].
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        let internal = |error: serde_json::Error| CliError::from_error(ErrorKind::Internal, &error);
        let mut text = Zeroizing::new(serde_json::to_vec(value).map_err(internal)?);
        text.push(b'\n');
        self.data(&text)
    }

    /// Says what was done, or what is worth knowing; not with `--quiet`.
    pub fn note(&self, text: impl fmt::Display) {
        if self.verbosity != Verbosity::Quiet {
            say(format_args!("hushd: {text}"));
        }
    }

    /// Shows how far long work is, on a terminal only, and neither with `--quiet` nor with `--json`.
    pub fn bar(&self, what: &str, unit: Unit) -> Bar {
        Bar::new(self.verbosity != Verbosity::Quiet && !self.json, what, unit)
    }

    /// Says how it is done; only with `-v`.
    pub fn detail(&self, text: impl fmt::Display) {
        if self.verbosity == Verbosity::Verbose {
            say(format_args!("hushd: {text}"));
        }
    }

    /// Whether there is a terminal to ask on.
    pub fn can_confirm(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question on the terminal that is answered with yes or no; anything but a yes is a no.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] where there is no terminal, [`ErrorKind::Other`] where it cannot be read.
    pub fn confirm(&self, question: impl fmt::Display) -> Result<bool, CliError> {
        if !self.can_confirm() {
            return Err(CliError::new(
                ErrorKind::Usage,
                "this needs a confirmation, and there is no terminal to ask on",
            ));
        }
        let mut stderr = io::stderr().lock();
        drop(write!(stderr, "hushd: {question} [y/N] ").and_then(|()| stderr.flush()));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(|error| CliError::from_error(ErrorKind::Other, &error))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Says why the verb failed and what to do.
    pub fn failure(error: &CliError) {
        if matches!(error.kind(), ErrorKind::ClosedPipe | ErrorKind::Ended(_)) {
            return;
        }
        say(format_args!("hushd: error: {}", error.message()));
        for hint in error.hints() {
            say(format_args!("hushd: hint: {hint}"));
        }
    }
}

/// Writes a line to stderr. Where that fails there is nobody left to tell.
fn say(line: fmt::Arguments<'_>) {
    drop(io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
}

fn unwritten(error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return CliError::new(ErrorKind::ClosedPipe, "the reader has gone");
    }
    CliError::new(ErrorKind::Other, format!("cannot write to standard output: {}", io_message(error).to_lowercase()))
}
