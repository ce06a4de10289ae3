//! What becomes a command on a terminal of its own: it takes the terminal over, and then runs the command.
//!
//! It is a step of `hushd run --redact`, since only a process itself can begin a session (setsid(2)).

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Args;
use rustix::process::{ioctl_tiocsctty, setsid};

use super::command::failure;
use crate::cli::{CliError, ErrorKind};

/// The name of the verb.
pub(in crate::cli) const VERB: &str = "run-on-terminal";

/// Run a command on the terminal that it is given, as a session of its own
#[derive(Debug, Args)]
pub struct SessionArgs {
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Becomes the command.
///
/// # Errors
///
/// Those of running it.
pub fn run(args: &SessionArgs) -> Result<(), CliError> {
    let other = |error: rustix::io::Errno| CliError::from_error(ErrorKind::Other, &io::Error::from(error));
    setsid().map_err(other)?;
    if io::stdin().is_terminal() {
        ioctl_tiocsctty(io::stdin()).map_err(other)?;
    } else if io::stdout().is_terminal() {
        ioctl_tiocsctty(io::stdout()).map_err(other)?;
    } else if io::stderr().is_terminal() {
        ioctl_tiocsctty(io::stderr()).map_err(other)?;
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(CliError::new(ErrorKind::Usage, "no command was given"));
    };
    Err(failure(&args.command, &Command::new(program).args(arguments).exec()))
}
