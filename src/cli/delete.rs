//! `hushd delete`: takes a secret out of use, or destroys it.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::{CliError, ErrorKind, Globals, Session, complete, parse};
use crate::model::Key;

/// Delete a secret; hushd undelete brings it back
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct DeleteArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key, add = ArgValueCompleter::new(complete::keys))]
    key: Key,
    /// Destroy the secret and all its revisions for good; asks first
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long, requires = "purge")]
    yes: bool,
}

const AFTER_HELP: &str = "With --json: {\"namespace\", \"key\", \"action\": \"deleted\"|\"purged\"}.";

/// Deletes the secret.
///
/// # Errors
///
/// [`ErrorKind::Usage`] where it would have to ask and there is no terminal, [`ErrorKind::NotFound`],
/// [`ErrorKind::NotPermitted`] for a reserved secret.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: DeleteArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    // The question comes first, so that no connection waits for the answer.
    if args.purge && !args.yes {
        let question = format!("destroy {} and all its revisions for good?", args.key);
        let confirmed = output.confirm(question).map_err(|error| {
            if error.kind() == ErrorKind::Usage { error.hint("add --yes to purge without being asked") } else { error }
        })?;
        if !confirmed {
            return Err(CliError::new(ErrorKind::Other, "nothing was purged"));
        }
    }
    let mut session = Session::open(globals)?;
    let answer = session.client.delete_secret(&session.namespace, &args.key, args.purge);
    answer.map_err(|error| session.explain(error))?;
    let action = if args.purge { "purged" } else { "deleted" };
    let namespace = session.namespace.as_str();
    if output.is_json() {
        return output.json(&serde_json::json!({ "namespace": namespace, "key": args.key.as_str(), "action": action }));
    }
    output.note(format_args!("{action} {} in {namespace}", args.key));
    Ok(())
}
