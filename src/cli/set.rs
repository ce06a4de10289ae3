//! `hushd set`: creates a secret or updates it.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use crate::api::{CreateSecretRequest, UpdateSecretRequest};
use crate::cli::generate::{Charset, generate};
use crate::cli::parse::{self, Expiry};
use crate::cli::{CliError, ErrorKind, Globals, Session, complete, input};
use crate::client::ClientError;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::model::{Key, SecretValue};

/// Create a secret, or give it a new value
///
/// The value is read from standard input, where every byte counts (printf %s VALUE | hushd set KEY), from a file, or from a
/// prompt that does not show it; it is never an argument. A deleted or expired secret is brought back.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct SetArgs {
    // Not yet a key: KEY=VALUE is a slip that must not be repeated in an error.
    /// Name of the secret
    #[arg(value_name = "KEY", value_parser = typed, add = ArgValueCompleter::new(complete::keys))]
    key: SecretValue,
    #[arg(hide = true, value_name = "VALUE", value_parser = typed)]
    stray: Vec<SecretValue>,
    /// Read the value from this file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    file: Option<PathBuf>,
    /// Make a random value of so many characters [without a number: 32]
    #[arg(
        long,
        value_name = "LENGTH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "32",
        value_parser = clap::value_parser!(u16).range(1..=4096)
    )]
    generate: Option<u16>,
    /// What the random value is made of
    #[arg(long, value_name = "SET", requires = "generate", default_value = "alnum")]
    charset: Charset,
    /// From when on it can no longer be read: 30d, a time, or never
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    /// Protect it from deletion, or with =false no longer
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    reserved: Option<bool>,
    /// Its value refers to others by ${NAME}, which run, env and render put in; with =false no longer
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    template: Option<bool>,
    /// Update it only where this is its revision
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "create_only")]
    if_revision: Option<u64>,
    /// Fail where it exists
    #[arg(long)]
    create_only: bool,
}

const AFTER_HELP: &str = "\
When a secret is updated, what is not named stays as it is: its expiry, its protection, whether it
is a template. A random value is not printed; hushd get KEY does that.

With --json: {\"namespace\", \"key\", \"action\": \"created\"|\"updated\", \"revision\"}; the revision is null
where the daemon does not tell it.";

/// How often it is tried when another client creates and purges the same secret at the same time.
const ROUNDS: usize = 3;

#[derive(Serialize)]
struct Document<'a> {
    namespace: &'a str,
    key: &'a str,
    action: &'a str,
    revision: Option<u64>,
}

/// What is to be written.
struct Change {
    key: Key,
    value: SecretValue,
    is_reserved: Option<bool>,
    is_template: Option<bool>,
    expires: Expires,
}

/// From when on it can no longer be read.
#[derive(Clone, Copy)]
enum Expires {
    /// As it is.
    Unchanged,
    /// Never, or from this moment on.
    Set(Option<Timestamp>),
}

/// Creates or updates the secret.
///
/// # Errors
///
/// [`ErrorKind::Usage`] for a value as an argument, [`ErrorKind::BadData`] for one that cannot be stored,
/// [`ErrorKind::Conflict`] with `--create-only` and `--if-revision`.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: SetArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let key = key(&args)?;
    let value = match (&args.file, args.generate) {
        (_, Some(length)) => generate(usize::from(length), args.charset)?,
        (Some(file), None) => input::from_file(file, &key, output)?,
        (None, None) => input::from_stdin(&key, output)?,
    };
    let expires = args.expires.map_or(Expires::Unchanged, |expiry| Expires::Set(expiry.moment(SystemClock.now())));
    let change = Change { key, value, is_reserved: args.reserved, is_template: args.template, expires };

    let mut session = Session::open(globals)?;
    let written = write(&mut session, &change, &args).map_err(|error| {
        let exists = matches!(&error, ClientError::Api { status: 409, .. }) && args.create_only;
        let error = session.explain(error);
        if exists { error.only_hint("leave out --create-only to give it a new value") } else { error }
    });
    let (action, revision) = written?;
    let (namespace, key) = (session.namespace.as_str(), change.key.as_str());
    if output.is_json() {
        return output.json(&Document { namespace, key, action, revision });
    }
    let revision = revision.map_or(String::new(), |revision| format!(" (revision {revision})"));
    output.note(format_args!("{action} {key} in {namespace}{revision}"));
    Ok(())
}

/// Creates first, which brings a deleted secret back; what exists is updated.
fn write(session: &mut Session, change: &Change, args: &SetArgs) -> Result<(&'static str, Option<u64>), ClientError> {
    if args.if_revision.is_some() {
        return update(session, change, args.if_revision);
    }
    for _ in 1..ROUNDS {
        match create(session, change) {
            Err(ClientError::Api { status: 409, .. }) if !args.create_only => {}
            result => return result,
        }
        match update(session, change, None) {
            // Purged in between.
            Err(ClientError::Api { status: 404, .. }) => {}
            result => return result,
        }
    }
    create(session, change)
}

fn create(session: &mut Session, change: &Change) -> Result<(&'static str, Option<u64>), ClientError> {
    let request = CreateSecretRequest {
        key: Some(change.key.as_str().to_owned()),
        value: Some(change.value.clone()),
        is_reserved: change.is_reserved,
        is_template: change.is_template,
        expires_at: match change.expires {
            Expires::Unchanged => None,
            Expires::Set(moment) => moment,
        },
    };
    let answer = session.client.create_secret(&session.namespace, &request)?;
    Ok(("created", answer.revision))
}

fn update(
    session: &mut Session,
    change: &Change,
    if_revision: Option<u64>,
) -> Result<(&'static str, Option<u64>), ClientError> {
    let request = UpdateSecretRequest {
        value: Some(change.value.clone()),
        is_active: None,
        is_reserved: change.is_reserved,
        is_template: change.is_template,
        expires_at: match change.expires {
            Expires::Unchanged => None,
            Expires::Set(moment) => Some(moment),
        },
    };
    let answer = session.client.update_secret(&session.namespace, &change.key, &request, if_revision)?;
    Ok(("updated", answer.revision))
}

/// The key, unless a value was typed beside it.
fn key(args: &SetArgs) -> Result<Key, CliError> {
    let typed = args.key.expose_secret();
    let name = typed.split_once('=').map(|(name, _)| name);
    if !args.stray.is_empty() || name.is_some() {
        let shown = parse::key(name.unwrap_or(typed)).map_or("KEY".to_owned(), |key| key.to_string());
        return Err(CliError::new(ErrorKind::Usage, "a value is never taken from the command line")
            .hint(format!("it is read from standard input: printf %s VALUE | hushd set {shown}"))
            .hint(
                "what was typed is in the shell's history and was visible in the list of processes: take it as leaked",
            ));
    }
    parse::key(typed)
        .map_err(|message| CliError::new(ErrorKind::Usage, message).hint("usage: hushd set [OPTIONS] <KEY>"))
}

#[expect(clippy::unnecessary_wraps, reason = "clap's signature")]
fn typed(text: &str) -> Result<SecretValue, Infallible> {
    Ok(SecretValue::new(text.to_owned()))
}
