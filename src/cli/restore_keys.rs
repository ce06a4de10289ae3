//! `hushd restore --keys`: single secrets of a backup into the running vault, through its API.
//!
//! Invariants: the whole backup was read before the first change; a secret that moved since it was looked at is not
//! overwritten; no value is shown.

use serde_json::json;

use crate::api::{CreateSecretRequest, SecretMetadata, UpdateSecretRequest};
use crate::cli::restore::RestoreArgs;
use crate::cli::{CliError, ErrorKind, Globals, Session, Unit, passphrase};
use crate::client::ClientError;
use crate::daemon;
use crate::model::{Key, SecretValue};
use crate::paths::Role;
use crate::vault::backup::SecretLine;

/// What is to be done with one secret.
struct Plan {
    key: Key,
    secret: SecretLine,
    value: SecretValue,
    /// What there is now.
    current: Option<SecretMetadata>,
    changes: Vec<&'static str>,
}

impl Plan {
    fn action(&self) -> &'static str {
        match &self.current {
            None => "create",
            Some(_) if self.changes.is_empty() => "unchanged",
            Some(_) => "update",
        }
    }
}

/// Restores the named secrets.
pub(super) fn run(args: &RestoreArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let config = globals.load(Role::Daemon)?.config.vault;
    let mut session = Session::open(globals)?;
    let namespace = session.namespace.clone();
    let wanted = |secret: &SecretLine| {
        secret.namespace == namespace.as_str() && args.keys.iter().any(|key| key.as_str() == secret.key)
    };
    let ask = &mut passphrase::asker(&config)?;
    let bar = output.bar("reading", Unit::Bytes);
    let progress = bar.progress(Unit::Bytes);
    let found = daemon::pick(&config, &args.file, args.identity.as_deref(), ask, &progress, wanted)?;
    drop(bar);
    let missing = |key: &&Key| !found.iter().any(|secret| secret.key == key.as_str());
    let missing: Vec<&str> = args.keys.iter().filter(missing).map(Key::as_str).collect();
    if !missing.is_empty() {
        let message = format!("not in the backup, in namespace {namespace}: {}", missing.join(", "));
        return Err(CliError::new(ErrorKind::NotFound, message).hint("name the namespace with --namespace NS"));
    }
    let listed = session.client.list_secrets(&namespace).map_err(|error| session.explain(error))?.secrets;
    let mut plans = Vec::new();
    for secret in found {
        plans.push(plan(&mut session, secret, &listed)?);
    }
    for plan in plans.iter().filter(|_| !args.dry_run) {
        apply(&mut session, plan).map_err(|error| session.explain(error))?;
    }
    if output.is_json() {
        let secrets: Vec<_> = plans
            .iter()
            .map(|plan| json!({ "key": plan.key.as_str(), "action": plan.action(), "changes": plan.changes }))
            .collect();
        let document = json!({ "namespace": namespace.as_str(), "dryRun": args.dry_run, "secrets": secrets });
        return output.json(&document);
    }
    for plan in &plans {
        let changes = if plan.changes.is_empty() { String::new() } else { format!(" ({})", plan.changes.join(", ")) };
        output.line(format_args!("{:<9} {}{changes}", plan.action(), plan.key))?;
    }
    if args.dry_run {
        output.note("nothing was changed: --dry-run");
    }
    Ok(())
}

fn plan(session: &mut Session, mut secret: SecretLine, listed: &[SecretMetadata]) -> Result<Plan, CliError> {
    let damaged = || CliError::new(ErrorKind::BadData, "the backup holds a secret without a value or a name");
    let key: Key = secret.key.parse().map_err(|_| damaged())?;
    let value = secret.revisions.pop().ok_or_else(damaged)?.value;
    let current = listed.iter().find(|known| known.key == secret.key).cloned();
    let mut changes = Vec::new();
    if let Some(current) = &current {
        let same = match session.client.verify_secret(&session.namespace, &key, value.clone()) {
            Ok(answer) => answer.matches,
            // It is inactive, or damaged, which is what a backup is for: nobody can tell, so it is written.
            Err(ClientError::Api { status: 404 | 500, .. }) => false,
            Err(error) => return Err(error.into()),
        };
        for (name, differs) in [
            ("value", !same),
            ("isActive", current.is_active != secret.is_active),
            ("isReserved", current.is_reserved != secret.is_reserved),
            ("isTemplate", current.is_template != secret.is_template),
            ("expiresAt", current.expires_at != secret.expires_at),
        ] {
            if differs {
                changes.push(name);
            }
        }
    }
    Ok(Plan { key, secret, value, current, changes })
}

fn apply(session: &mut Session, plan: &Plan) -> Result<(), ClientError> {
    let Plan { key, secret, value, .. } = plan;
    // An inactive secret can be reserved, but a reserved one cannot be made inactive.
    let reserved_first = secret.is_reserved && secret.is_active;
    let (namespace, client) = (&session.namespace, &mut session.client);
    if let Some(current) = &plan.current {
        if plan.changes.is_empty() {
            return Ok(());
        }
        let update = UpdateSecretRequest {
            value: plan.changes.contains(&"value").then(|| value.clone()),
            is_active: Some(secret.is_active),
            is_reserved: Some(reserved_first),
            is_template: Some(secret.is_template),
            expires_at: Some(secret.expires_at),
        };
        client.update_secret(namespace, key, &update, Some(current.revision))?;
    } else {
        // The API creates no empty secret, but makes one empty.
        let placeholder = || SecretValue::new("-".to_owned());
        let create = CreateSecretRequest {
            key: Some(key.to_string()),
            value: Some(if value.is_empty() { placeholder() } else { value.clone() }),
            is_reserved: Some(reserved_first),
            is_template: Some(secret.is_template),
            expires_at: secret.expires_at,
        };
        client.create_secret(namespace, &create)?;
        if value.is_empty() || !secret.is_active {
            let update = UpdateSecretRequest {
                value: value.is_empty().then(|| value.clone()),
                is_active: Some(secret.is_active),
                ..UpdateSecretRequest::default()
            };
            client.update_secret(namespace, key, &update, Some(1))?;
        }
    }
    if secret.is_reserved && !reserved_first {
        let update = UpdateSecretRequest { is_reserved: Some(true), ..UpdateSecretRequest::default() };
        client.update_secret(namespace, key, &update, None)?;
    }
    Ok(())
}
