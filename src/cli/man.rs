//! `hushd man`: manual pages, from the grammar itself.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::error::kind_of_io;
use crate::cli::install::place;
use crate::cli::{Cli, CliError, ErrorKind, Globals};

/// Print the manual page, or write those of all verbs
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ManArgs {
    /// Write hushd.1 and a page for each verb (hushd-get.1) into this directory
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// The verb whose page is printed
    #[arg(conflicts_with = "directory")]
    verb: Option<String>,
}

const AFTER_HELP: &str = "\
To read one: hushd man get | man -l -
For all users: hushd man --directory /usr/local/share/man/man1";

/// Prints a page or writes all.
///
/// # Errors
///
/// Where there is no such verb, and where a page cannot be written.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ManArgs, globals: &Globals) -> Result<(), CliError> {
    let mut program = Cli::command();
    program.build();
    if let Some(directory) = &args.directory {
        return write_all(&program, directory, globals);
    }
    let command = match args.verb.as_deref() {
        None => &program,
        Some(verb) => program.find_subcommand(verb).ok_or_else(|| {
            CliError::new(ErrorKind::Usage, format!("there is no verb {verb:?}")).hint("see: hushd --help")
        })?,
    };
    globals.output.data(&page(command)?)
}

fn write_all(program: &Command, directory: &Path, globals: &Globals) -> Result<(), CliError> {
    let failed = |error: &std::io::Error| {
        let message = format!("cannot make {}: {error}", directory.display());
        CliError::new(kind_of_io(error), message)
    };
    fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        place(&directory.join(format!("{name}.1")), &page(command)?)?;
        let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
        commands.extend(command.get_subcommands().filter(shown));
    }
    globals.output.note(format_args!("the pages are in {}", directory.display()));
    Ok(())
}

/// A page; those of verbs are titled as their files are, `hushd-get(1)`.
fn page(command: &Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let rendered = Man::new(command.clone()).title(title.to_uppercase()).render(&mut page);
    rendered.and_then(|()| page.flush()).map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    Ok(page)
}
