//! `hushd copy` and `hushd rename`: a secret under another name, or in another namespace.
//!
//! Invariant: what is renamed is gone only after it is there under its new name.

use clap::Args;

use crate::api::{CreateSecretRequest, SecretMetadata, UpdateSecretRequest};
use crate::cli::{CliError, ErrorKind, Globals, Session, Unit, parse};
use crate::client::ClientError;
use crate::clock::{Clock as _, SystemClock};
use crate::model::{Key, Namespace};

/// Copy a secret, with its expiry and protection, to another name or namespace
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct CopyArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key, required_unless_present = "all")]
    key: Option<Key>,
    /// Its name there [default: the same]
    #[arg(value_name = "NEW", value_parser = parse::key)]
    new: Option<Key>,
    /// The namespace that it is copied to [default: the same]
    #[arg(long, value_name = "NS", value_parser = parse::namespace)]
    to: Option<Namespace>,
    /// Copy every secret of the namespace
    #[arg(long, conflicts_with_all = ["key", "new"], requires = "to")]
    all: bool,
    /// Give what is there a new value
    #[arg(long)]
    force: bool,
}

/// Give a secret another name
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_RENAME)]
pub struct RenameArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key)]
    key: Key,
    /// Its new name
    #[arg(value_name = "NEW", value_parser = parse::key)]
    new: Key,
    /// The namespace that it goes to [default: the same]
    #[arg(long, value_name = "NS", value_parser = parse::namespace)]
    to: Option<Namespace>,
}

const AFTER_HELP: &str = "\
The newest revision is copied; its history stays where it is.

With --json: {\"copied\": [{\"from\": {\"namespace\", \"key\"}, \"to\": {\"namespace\", \"key\"}}]}.";

const AFTER_RENAME: &str = "\
The newest revision gets the new name; under the old one the secret is deleted, with its history, and
hushd undelete brings that back.

With --json: {\"from\": {\"namespace\", \"key\"}, \"to\": {\"namespace\", \"key\"}}.";

/// Copies.
///
/// # Errors
///
/// [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] where there is a secret of that name.
pub fn run(args: CopyArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let (from, to) = (session.namespace.clone(), args.to.clone().unwrap_or_else(|| session.namespace.clone()));
    let listed = list(&mut session)?;
    let keys: Vec<Key> = match args.key {
        Some(key) => vec![key],
        None => {
            listed.iter().filter(|secret| is_readable(secret)).filter_map(|secret| secret.key.parse().ok()).collect()
        }
    };
    if args.all && !args.force {
        all_free(&mut session, &keys, &to)?;
    }
    let bar = globals.output.bar("copying", Unit::Things);
    let progress = bar.progress(Unit::Things);
    let mut copied = Vec::with_capacity(keys.len());
    for (done, key) in keys.iter().enumerate() {
        progress.tell(done as u64, keys.len() as u64);
        let new = args.new.as_ref().unwrap_or(key);
        copy(&mut session, &listed, key, (&to, new), args.force)?;
        copied.push(pair((&from, key), (&to, new)));
    }
    drop(bar);
    if globals.output.is_json() {
        return globals.output.json(&serde_json::json!({ "copied": copied }));
    }
    match (keys.as_slice(), &args.new) {
        ([key], new) => {
            let new = new.as_ref().unwrap_or(key);
            globals.output.note(format_args!("copied {key} of {from} to {new} in {to}"));
        }
        (keys, _) => globals.output.note(format_args!("copied {} secrets of {from} to {to}", keys.len())),
    }
    Ok(())
}

/// Renames.
///
/// # Errors
///
/// As [`run`]; [`ErrorKind::NotPermitted`] for a reserved secret.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn rename(args: RenameArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let (from, to) = (session.namespace.clone(), args.to.clone().unwrap_or_else(|| session.namespace.clone()));
    let listed = list(&mut session)?;
    if listed.iter().any(|secret| secret.key == args.key.as_str() && secret.is_reserved) {
        let error = CliError::new(ErrorKind::NotPermitted, format!("cannot rename reserved secret: {}", args.key));
        return Err(error.hint(format!("copy it instead: hushd copy {} {}", args.key, args.new)));
    }
    copy(&mut session, &listed, &args.key, (&to, &args.new), false)?;
    let gone = session.client.delete_secret(&from, &args.key, false);
    gone.map_err(|error| {
        session.explain(error).hint(format!("it is there under both names now; hushd delete {} ends it", args.key))
    })?;
    let pair = pair((&from, &args.key), (&to, &args.new));
    if globals.output.is_json() {
        return globals.output.json(&pair);
    }
    globals.output.note(format_args!("{} of {from} is {} in {to} now", args.key, args.new));
    Ok(())
}

fn list(session: &mut Session) -> Result<Vec<SecretMetadata>, CliError> {
    Ok(session.client.list_secrets(&session.namespace).map_err(|error| session.explain(error))?.secrets)
}

fn is_readable(secret: &SecretMetadata) -> bool {
    secret.is_active && secret.expires_at.is_none_or(|at| at > SystemClock.now())
}

/// That nothing of this is there already: all is copied, or nothing.
fn all_free(session: &mut Session, keys: &[Key], to: &Namespace) -> Result<(), CliError> {
    let there = session.client.list_secrets(to).map_err(|error| session.explain(error))?.secrets;
    let taken = keys.iter().find(|key| there.iter().any(|secret| secret.key == key.as_str() && is_readable(secret)));
    taken.map_or(Ok(()), |key| Err(exists(key, to)))
}

fn exists(key: &Key, namespace: &Namespace) -> CliError {
    CliError::new(ErrorKind::Conflict, format!("secret already exists: {key} in {namespace}"))
        .hint("nothing was copied; to give it a new value: hushd copy --force")
}

fn copy(
    session: &mut Session,
    listed: &[SecretMetadata],
    key: &Key,
    (namespace, new): (&Namespace, &Key),
    force: bool,
) -> Result<(), CliError> {
    if (&session.namespace, key) == (namespace, new) {
        return Err(CliError::new(ErrorKind::Usage, "this is where it is already").hint("name another key, or --to NS"));
    }
    let answer = session.client.read_secret(&session.namespace, key, None);
    let value = answer.map_err(|error| session.explain(error))?.body.value;
    let known = listed.iter().find(|secret| secret.key == key.as_str());
    let (is_reserved, is_template, expires_at) =
        known.map_or((false, false, None), |secret| (secret.is_reserved, secret.is_template, secret.expires_at));
    let update = UpdateSecretRequest {
        value: Some(value.clone()),
        is_active: None,
        is_reserved: Some(is_reserved),
        is_template: Some(is_template),
        expires_at: Some(expires_at),
    };
    // An empty value cannot be created; it is put in the place of another one that nobody could read.
    let (first, gone) = if value.is_empty() {
        (crate::model::SecretValue::new("-".to_owned()), Some(SystemClock.now()))
    } else {
        (value.clone(), expires_at)
    };
    let request = CreateSecretRequest {
        key: Some(new.to_string()),
        value: Some(first),
        is_reserved: Some(is_reserved),
        is_template: Some(is_template),
        expires_at: gone,
    };
    let created = session.client.create_secret(namespace, &request);
    let needs_update = match created {
        Ok(_) => value.is_empty(),
        Err(ClientError::Api { status: 409, .. }) if force => true,
        Err(ClientError::Api { status: 409, .. }) => return Err(exists(new, namespace)),
        Err(error) => return Err(session.explain(error)),
    };
    if needs_update {
        let updated = session.client.update_secret(namespace, new, &update, None);
        updated.map_err(|error| session.explain(error))?;
    }
    Ok(())
}

fn pair(from: (&Namespace, &Key), to: (&Namespace, &Key)) -> serde_json::Value {
    let place = |(namespace, key): (&Namespace, &Key)| serde_json::json!({ "namespace": namespace.as_str(), "key": key.as_str() });
    serde_json::json!({ "from": place(from), "to": place(to) })
}
