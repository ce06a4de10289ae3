//! Many changes of one namespace at once: what would change, and the changing.
//!
//! Invariants: what is planned is looked at without revealing a value; a change is made only where the secret is as it was
//! planned from; what fails midway says how far it came. It is not one transaction: the daemon commits secret by secret.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{CreateSecretRequest, UpdateSecretRequest};
use crate::cli::formats::Values;
use crate::cli::{CliError, Globals, Session, Style, Unit};
use crate::client::ClientError;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::model::{Key, SecretValue};

/// What becomes of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new, or comes back.
    Create,
    /// It gets another value.
    Update,
    /// It is deleted; its revisions stay.
    Delete,
    /// It has this value already.
    Unchanged,
    /// It has another value, and keeps it.
    Skip,
}

/// The change of one secret.
pub struct Change {
    /// Its name.
    pub key: Key,
    /// What becomes of it.
    pub action: Action,
    /// The new value.
    value: Option<SecretValue>,
    /// The revision that it has.
    revision: Option<u64>,
    /// From when on a new one can no longer be read.
    pub expires_at: Option<Timestamp>,
}

impl Action {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Unchanged => "unchanged",
            Self::Skip => "skip",
        }
    }

    /// Whether something is written.
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

/// What is there: the revision of each secret, and whether it can be read.
pub type Present = BTreeMap<String, (u64, bool)>;

/// Looks at what is there.
///
/// # Errors
///
/// Those of every call to the daemon.
pub fn present(session: &mut Session) -> Result<Present, CliError> {
    let now = SystemClock.now();
    let listed = session.client.list_secrets(&session.namespace).map_err(|error| session.explain(error))?;
    let seen = listed.secrets.into_iter().map(|secret| {
        let readable = secret.is_active && secret.expires_at.is_none_or(|at| at > now);
        (secret.key, (secret.revision, readable))
    });
    Ok(seen.collect())
}

/// Compares what is wanted with what is there, by asking whether it matches.
///
/// # Errors
///
/// Those of every call to the daemon.
pub fn plan(session: &mut Session, wanted: Values, globals: &Globals) -> Result<Vec<Change>, CliError> {
    let present = present(session)?;
    let bar = globals.output.bar("comparing", Unit::Things);
    let (progress, total) = (bar.progress(Unit::Things), wanted.len() as u64);
    let mut changes = Vec::with_capacity(wanted.len());
    for (done, (key, value)) in wanted.into_iter().enumerate() {
        progress.tell(done as u64, total);
        let there = present.get(key.as_str()).copied();
        let action = match there {
            Some((_, true)) => {
                let answer = session.client.verify_secret(&session.namespace, &key, value.clone());
                if answer.map_err(|error| session.explain(error))?.matches { Action::Unchanged } else { Action::Update }
            }
            Some((_, false)) | None => Action::Create,
        };
        changes.push(Change::new(key, action, Some(value), there.map(|(revision, _)| revision)));
    }
    Ok(changes)
}

/// Makes the changes; says how many.
///
/// # Errors
///
/// Those of every call to the daemon; [`ErrorKind::Conflict`](crate::cli::ErrorKind::Conflict) where a secret was changed
/// since.
pub fn apply(session: &mut Session, changes: &[Change], globals: &Globals) -> Result<usize, CliError> {
    let writing: Vec<&Change> = changes.iter().filter(|change| change.action.writes()).collect();
    let bar = globals.output.bar("writing", Unit::Things);
    let progress = bar.progress(Unit::Things);
    for (done, change) in writing.iter().enumerate() {
        progress.tell(done as u64, writing.len() as u64);
        change.make(session).map_err(|error| {
            let error = session.explain(error);
            let so_far = format!("{done} of {} changes were made before {} failed", writing.len(), change.key);
            if done > 0 { error.hint(so_far) } else { error }
        })?;
    }
    Ok(writing.len())
}

/// One line for each, without values.
pub fn text(changes: &[Change], globals: &Globals) -> String {
    let line = |change: &Change| {
        let style = if change.action.writes() { Style::Warning } else { Style::Plain };
        format!("{} {}\n", globals.output.styled(style, &format!("{:<9}", change.action.name())), change.key)
    };
    changes.iter().map(line).collect()
}

/// The same for programs.
pub fn document(changes: &[Change], session: &Session, dry_run: bool) -> serde_json::Value {
    let each = |change: &Change| serde_json::json!({ "key": change.key.as_str(), "action": change.action });
    let changes: Vec<serde_json::Value> = changes.iter().map(each).collect();
    serde_json::json!({ "namespace": session.namespace.as_str(), "dryRun": dry_run, "changes": changes })
}

impl Change {
    /// A change of a secret that has this revision.
    pub fn new(key: Key, action: Action, value: Option<SecretValue>, revision: Option<u64>) -> Self {
        Self { key, action, value, revision, expires_at: None }
    }

    fn make(&self, session: &mut Session) -> Result<(), ClientError> {
        let namespace = session.namespace.clone();
        let (client, key) = (&mut session.client, &self.key);
        match (self.action, &self.value) {
            (Action::Create, Some(value)) if value.is_empty() => {
                // What is created has a value (API contract), and nobody may see the one that is in between.
                let gone = Some(SystemClock.now());
                let value = Some(SecretValue::new("-".to_owned()));
                let request = CreateSecretRequest {
                    key: Some(key.to_string()),
                    value,
                    is_reserved: None,
                    is_template: None,
                    expires_at: gone,
                };
                let created = client.create_secret(&namespace, &request)?;
                let value = Some(SecretValue::new(String::new()));
                let request =
                    UpdateSecretRequest { value, expires_at: Some(self.expires_at), ..UpdateSecretRequest::default() };
                client.update_secret(&namespace, key, &request, created.revision).map(drop)
            }
            (Action::Create, Some(value)) => {
                let request = CreateSecretRequest {
                    key: Some(key.to_string()),
                    value: Some(value.clone()),
                    is_reserved: None,
                    is_template: None,
                    expires_at: self.expires_at,
                };
                client.create_secret(&namespace, &request).map(drop)
            }
            (Action::Update, Some(value)) => {
                let request = UpdateSecretRequest { value: Some(value.clone()), ..UpdateSecretRequest::default() };
                client.update_secret(&namespace, key, &request, self.revision).map(drop)
            }
            (Action::Delete, _) => client.delete_secret(&namespace, key, false).map(drop),
            (Action::Create | Action::Update | Action::Unchanged | Action::Skip, _) => Ok(()),
        }
    }
}
