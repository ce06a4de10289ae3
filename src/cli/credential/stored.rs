//! Credentials as they are stored: one secret each, whose value is a JSON object and whose name tells whom it is for.
//!
//! Invariant: the name is only a way to find it; what counts is what the value says.

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::api::{CreateSecretRequest, UpdateSecretRequest};
use crate::cli::error::{io_message, kind_of_io};
use crate::cli::{CliError, ErrorKind, Globals, Session};
use crate::client::ClientError;
use crate::model::{Key, Namespace, SecretValue};

/// Where they are, unless `--namespace` says otherwise.
const NAMESPACE: &str = "credentials";
/// Longest request of a program, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// A credential.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    /// `https`; docker's have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// The host with its port, or docker's whole URL.
    pub host: String,
    /// The path, where git is told to tell them apart (`credential.useHttpPath`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Who logs in.
    pub username: String,
    /// The password, or a token.
    pub password: String,
    /// Until when it is valid, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_expiry_utc: Option<i64>,
    /// What a new one is got with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_refresh_token: Option<String>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.password);
        zeroize::Zeroize::zeroize(&mut self.oauth_refresh_token);
    }
}

/// The daemon, in the namespace of credentials.
pub(super) fn open(globals: &Globals) -> Result<Session, CliError> {
    let mut session = Session::open(globals)?;
    if globals.flags.namespace.is_none() {
        session.namespace =
            NAMESPACE.parse::<Namespace>().map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    }
    Ok(session)
}

/// What every name of a credential for this place begins with: `GIT_HTTPS_EXAMPLE_ORG_`.
pub(super) fn prefix(kind: &str, place: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let place: String = place.chars().take(128).map(tame).collect();
    format!("{kind}_{place}_")
}

/// The name of a credential: the prefix, and what tells two with the same one apart.
pub(super) fn key(prefix: &str, identity: &[&str]) -> Result<Key, CliError> {
    let digest = format!("{:X}", Sha256::digest(identity.join("\0")));
    format!("{prefix}{digest:.12}").parse().map_err(|error| CliError::from_error(ErrorKind::Internal, &error))
}

/// Those whose names begin so.
pub(super) fn find(session: &mut Session, prefix: &str) -> Result<Vec<(Key, Stored)>, CliError> {
    let answer = session.client.environment(&session.namespace, None, Some(prefix));
    let found = answer.map_err(|error| session.explain(error))?.environment.into_iter();
    // What somebody else put under such a name is none.
    Ok(found
        .filter_map(|(name, value)| Some((name.parse().ok()?, serde_json::from_str(value.expose_secret()).ok()?)))
        .collect())
}

/// Stores one, unless it is there already.
pub(super) fn store(session: &mut Session, key: &Key, stored: &Stored) -> Result<(), CliError> {
    let text = serde_json::to_string(stored).map_err(|error| CliError::from_error(ErrorKind::Internal, &error))?;
    let value = SecretValue::new(text);
    let namespace = session.namespace.clone();
    // git stores what it was just given, after every use; that is not worth a revision.
    if session.client.verify_secret(&namespace, key, value.clone()).is_ok_and(|answer| answer.matches) {
        return Ok(());
    }
    let create = CreateSecretRequest {
        key: Some(key.to_string()),
        value: Some(value.clone()),
        is_reserved: None,
        expires_at: None,
        is_template: None,
    };
    let written = match session.client.create_secret(&namespace, &create) {
        Err(ClientError::Api { status: 409, .. }) => {
            let update = UpdateSecretRequest { value: Some(value), ..UpdateSecretRequest::default() };
            session.client.update_secret(&namespace, key, &update, None).map(drop)
        }
        other => other.map(drop),
    };
    written.map_err(|error| session.explain(error))
}

/// Deletes one; that there is none is fine.
pub(super) fn erase(session: &mut Session, key: &Key) -> Result<(), CliError> {
    match session.client.delete_secret(&session.namespace, key, false) {
        Ok(_) | Err(ClientError::Api { status: 404, .. }) => Ok(()),
        Err(error) => Err(session.explain(error)),
    }
}

/// What the program asks, from standard input.
pub(super) fn request() -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    std::io::stdin().lock().take(LIMIT).read_to_string(&mut text).map_err(|error| {
        let kind =
            if error.kind() == std::io::ErrorKind::InvalidData { ErrorKind::BadData } else { kind_of_io(&error) };
        CliError::new(kind, format!("cannot read the request: {}", io_message(&error).to_lowercase()))
    })?;
    Ok(text)
}
