//! `hushd get`: prints a value.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use crate::cli::{CliError, Globals, Session, clipboard, complete, parse};
use crate::model::{Key, SecretValue};

/// Print the value of a secret
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct GetArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key, add = ArgValueCompleter::new(complete::keys))]
    key: Key,
    /// Add no newline to the value
    #[arg(long)]
    raw: bool,
    /// Print this revision instead of the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
    /// Copy it to the clipboard (Wayland, X11, macOS) instead, and clear that afterwards
    #[arg(long, conflicts_with = "raw")]
    clip: bool,
    /// After how many seconds the clipboard is cleared
    #[arg(long, value_name = "SECONDS", requires = "clip", default_value_t = 30)]
    clear_after: u64,
}

const AFTER_HELP: &str = "\
With --json: {\"namespace\", \"key\", \"value\", \"revision\"}; with --clip, \"clearedAfter\" in the place of
the value.";

#[derive(Serialize)]
struct Document<'a> {
    namespace: &'a str,
    key: &'a str,
    value: &'a str,
    revision: Option<u64>,
}

/// Prints the value.
///
/// # Errors
///
/// [`ErrorKind::NotFound`](crate::cli::ErrorKind::NotFound) where there is none that can be read.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: GetArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let answer = session.client.read_secret(&session.namespace, &args.key, args.revision);
    let answer = answer.map_err(|error| session.explain(error))?;
    if args.clip {
        return to_clipboard(&answer.body.value, &args, &session, globals);
    }
    let value = answer.body.value.expose_secret();
    if globals.output.is_json() {
        let (namespace, key) = (session.namespace.as_str(), args.key.as_str());
        return globals.output.json(&Document { namespace, key, value, revision: args.revision.or(answer.revision) });
    }
    globals.output.data(value.as_bytes())?;
    if args.raw { Ok(()) } else { globals.output.data(b"\n") }
}

fn to_clipboard(value: &SecretValue, args: &GetArgs, session: &Session, globals: &Globals) -> Result<(), CliError> {
    let (key, seconds) = (args.key.as_str(), args.clear_after);
    clipboard::copy(value, seconds, globals)?;
    if globals.output.is_json() {
        let namespace = session.namespace.as_str();
        return globals
            .output
            .json(&serde_json::json!({ "namespace": namespace, "key": key, "clearedAfter": seconds }));
    }
    globals.output.note(format_args!("{key} is on the clipboard for {seconds} seconds"));
    Ok(())
}
