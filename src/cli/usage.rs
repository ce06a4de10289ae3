//! What clap has to say, in the words and with the exit codes of hushd.

use clap::error::ErrorKind as ClapKind;

use crate::cli::{CliError, ErrorKind};

/// Prints what was asked for (help, version), or turns the error into ours.
pub(super) fn answer(error: &clap::Error) -> Result<(), CliError> {
    if matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion) {
        // clap knows whether colours are wanted; a closed pipe is no failure of ours.
        drop(error.print());
        return Ok(());
    }
    if error.kind() == ClapKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let help = error.render().to_string();
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("hushd <COMMAND>");
        let parent = usage.split(" [").next().unwrap_or("hushd");
        return Err(CliError::new(ErrorKind::Usage, "no command was given")
            .hint(format!("usage: {usage}"))
            .hint(format!("see all of them: {parent} --help")));
    }
    let text = error.render().to_string();
    if error.kind() == ClapKind::UnknownArgument && text.contains("\nUsage: hushd set ") {
        // It may be a value that starts with a dash, so it is not repeated.
        return Err(CliError::new(ErrorKind::Usage, "hushd set does not have this option")
            .hint("a value is never an argument: printf %s VALUE | hushd set KEY")
            .hint("see its options: hushd set --help"));
    }
    Err(translate(&text))
}

/// Takes clap's text apart: the first paragraph is the error, then come tips and the usage.
fn translate(text: &str) -> CliError {
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let mut error = CliError::new(ErrorKind::Usage, message);
    for line in rest.lines() {
        if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            error = error.hint(tip);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            error = error.hint(format!("usage: {usage}"));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claps_texts_become_ours() {
        let error = translate(
            "error: the following required arguments were not provided:\n  <KEY>\n\nUsage: hushd get <KEY>\n\nFor more \
             information, try '--help'.\n",
        );
        assert_eq!(error.message(), "the following required arguments were not provided: <KEY>");
        assert_eq!(error.hints(), ["usage: hushd get <KEY>"]);
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
