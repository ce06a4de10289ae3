//! `hushd completions`: completion scripts, from the grammar itself.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, CliError, Globals};

/// Print the completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

const AFTER_HELP: &str = "\
For bash: hushd completions bash > ~/.local/share/bash-completion/completions/hushd
For zsh, into a directory of $fpath: hushd completions zsh > ~/.zfunc/_hushd
For fish: hushd completions fish > ~/.config/fish/completions/hushd.fish";

/// Prints the script.
///
/// # Errors
///
/// Only where it cannot be written.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: CompletionsArgs, globals: &Globals) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hushd", &mut script);
    globals.output.data(&script)
}
