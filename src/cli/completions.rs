//! `hushd completions`: completion scripts. They ask hushd itself what could be meant, so that they know the names of the
//! secrets and namespaces that there are.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::cli::{Cli, CliError, ErrorKind, Globals};

/// The variable by which a script asks.
const VARIABLE: &str = "HUSHD_COMPLETE";

/// Print the completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// A shell that has completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    Power,
    Zsh,
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
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Power => &Powershell,
        Shell::Zsh => &Zsh,
    };
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, "hushd", "hushd", "hushd", &mut script);
    written.map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    globals.output.data(&script)
}

/// Answers a script that asks what could be meant. Says whether one did.
///
/// # Errors
///
/// What clap has to say of the question.
pub(super) fn answer() -> Result<bool, clap::Error> {
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(std::env::args_os(), directory.as_deref())
}
