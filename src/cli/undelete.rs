//! `hushd undelete`: brings a deleted secret back.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::api::UpdateSecretRequest;
use crate::cli::{CliError, Globals, Session, complete, parse};
use crate::model::Key;

/// Bring a deleted secret back, with its value
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct UndeleteArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key, add = ArgValueCompleter::new(complete::deleted_keys))]
    key: Key,
}

const AFTER_HELP: &str = "With --json: {\"namespace\", \"key\", \"action\": \"undeleted\"}.";

/// Brings the secret back.
///
/// # Errors
///
/// [`ErrorKind::NotFound`](crate::cli::ErrorKind::NotFound) where it was purged or never there.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: UndeleteArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let request = UpdateSecretRequest { is_active: Some(true), ..UpdateSecretRequest::default() };
    let answer = session.client.update_secret(&session.namespace, &args.key, &request, None);
    answer.map_err(|error| session.explain(error))?;
    let namespace = session.namespace.as_str();
    if output.is_json() {
        let document = serde_json::json!({ "namespace": namespace, "key": args.key.as_str(), "action": "undeleted" });
        return output.json(&document);
    }
    output.note(format_args!("undeleted {} in {namespace}", args.key));
    Ok(())
}
