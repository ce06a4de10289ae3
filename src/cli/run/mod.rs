//! `hushd run`: a command with secrets in its environment.
//!
//! Invariants: a value is never an argument and never in a file that has a name; the command does not get hushd's own
//! credential. Without `--watch` and `--redact` hushd becomes the command (execve(2)), so that signals, terminal and exit
//! code are its own.

mod command;
pub(super) mod mask;
mod screen;
pub mod session;
mod supervise;
mod watcher;

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use rustix::process::Signal;
use supervise::{Plan, Watch};

use crate::cli::environment::{self, Mapping, Required, Selection};
use crate::cli::{CliError, Globals, Session, complete, parse};
use crate::model::VariableName;

/// Run a command with the secrets of the namespace in its environment
///
/// In a project, the command gets what its file (.hushd.toml) names; elsewhere every secret of the namespace under its own
/// name.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct RunArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Give the command a secret as a file, whose path is in this variable
    #[arg(long = "file", value_name = "ENV=KEY", value_parser = parse::mapping, value_delimiter = ',')]
    files: Vec<Mapping>,
    /// Give it nothing else of this environment but PATH, HOME, TERM, the language and the like
    #[arg(long)]
    pristine: bool,
    /// Stay, and start the command again when its secrets change
    #[arg(long)]
    watch: bool,
    /// With --watch: send the command this signal instead, such as HUP
    #[arg(long, value_name = "NAME", requires = "watch", value_parser = parse::signal)]
    signal: Option<Signal>,
    /// With --watch: how long the command has to end before it is killed
    #[arg(long, value_name = "DURATION", requires = "watch", default_value = "10s", value_parser = parse::duration)]
    grace: Duration,
    /// Mask the values in what the command writes
    #[arg(long)]
    redact: bool,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Which variables are wanted, for the verbs that make an environment.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Only these variables; each must be there
    #[arg(long, value_name = "A,B", value_parser = parse::variable, value_delimiter = ',', add = ArgValueCompleter::new(complete::keys))]
    only: Vec<VariableName>,
    /// Only variables that begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Give a secret under this name instead of its own
    #[arg(long = "map", value_name = "ENV=KEY", value_parser = parse::mapping, value_delimiter = ',')]
    maps: Vec<Mapping>,
    /// What must be there beside what the project's file says [without names: all that it names]
    #[arg(
        long,
        value_name = "A,B",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    required: Option<String>,
}

const AFTER_HELP: &str = "\
Signals, terminal and exit code are the command's own: hushd run becomes the command. It ends with
126 where the command cannot be executed and with 127 where there is none; what goes wrong before
has hushd's own exit codes. The command does not get HUSHD_TOKEN and HUSHD_TOKEN_FILE.

A file of --file is in memory only and lasts as long as whoever has it open; its path is
/proc/self/fd/N, so that only the command and what it starts can read it.

With --watch and --redact hushd stays beside the command, hands signals on to it and ends with its
exit code (128 + the signal that ended it). --watch needs the daemon only at the start; one that was
away is found again. --redact masks values of at least 4 bytes, wherever the output is cut; on a
terminal the command has one too. It cannot know a value that the command encodes.";

impl SelectionArgs {
    /// What is wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::cli::ErrorKind::Usage) for a name that is none.
    pub fn selection(self, files: Vec<Mapping>) -> Result<Selection, CliError> {
        let required = match self.required.as_deref() {
            None => Required::AsDeclared,
            Some("") => Required::Declared,
            Some(names) => {
                let names = names.split(',').map(parse::variable).collect::<Result<_, _>>();
                Required::Named(names.map_err(|message| CliError::new(crate::cli::ErrorKind::Usage, message))?)
            }
        };
        Ok(Selection { only: self.only, prefix: self.prefix, maps: self.maps, files, required })
    }
}

/// Becomes the command.
///
/// # Errors
///
/// Those of reading the environment, and [`ErrorKind::NotExecutable`](crate::cli::ErrorKind::NotExecutable) and
/// [`ErrorKind::NoCommand`](crate::cli::ErrorKind::NoCommand).
pub fn run(args: RunArgs, globals: &Globals) -> Result<(), CliError> {
    let selection = args.selection.selection(args.files)?;
    if args.watch || args.redact {
        let watch = args.watch.then_some(Watch { signal: args.signal, grace: args.grace });
        let (words, pristine, redact) = (args.command, args.pristine, args.redact);
        return supervise::run(Plan { words, selection, pristine, redact, watch }, globals);
    }
    let mut session = Session::of_project(globals)?;
    let environment = environment::read(&mut session, &selection)?;
    if environment.variables.is_empty() {
        globals.output.note(format_args!("no secrets in the namespace {}", session.namespace));
    }
    drop(session);
    let mut prepared = command::prepare(&args.command, &environment, args.pristine)?;
    Err(prepared.become_it(&args.command))
}
