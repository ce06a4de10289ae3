//! `hushd answer`: holds a connection for a credential; systemd starts it (`hushd-credentials@.service`), nobody types it.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, Globals};
use crate::daemon;

/// Answer the connection that is standard input with the credential that it asks for
///
/// The unit hushd-credentials@.service runs it.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The socket on which the daemon says what the credential is
    #[arg(long, value_name = "SOCKET", default_value = "/run/hushd/answers.sock")]
    daemon: PathBuf,
}

/// Answers, and makes the unit that asks fail where there is no answer.
///
/// # Errors
///
/// [`ErrorKind::TryAgain`](crate::cli::ErrorKind::TryAgain) where the daemon gave none.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: AnswerArgs, _: &Globals) -> Result<(), CliError> {
    Ok(daemon::answer(&args.daemon)?)
}
