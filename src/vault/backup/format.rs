//! The lines of a backup, format 1: JSON, one document on each line, in this order: `header`, `signing`, `keys`, a `secret`
//! for each, `trailer`.
//!
//! Invariants: every line begins with its `type`; times are RFC 3339 in UTC; the trailer tells the number of lines before it
//! and the SHA-256 of them all, newlines included. A field that is not known is ignored, a line that is not known is damage.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::{Authenticator, KeyKind, KeyRing, StoredJwt, StoredToken};
use crate::clock::Timestamp;
use crate::crypto::JwtSecrets;
use crate::model::{SecretId, SecretValue};

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u64 = 1;

pub(super) const HEADER: &str = "header";
pub(super) const SIGNING: &str = "signing";
pub(super) const KEYS: &str = "keys";
pub(super) const SECRET: &str = "secret";
pub(super) const TRAILER: &str = "trailer";

/// A line with its type before its fields.
#[derive(Serialize)]
pub(super) struct Typed<'a, T> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) fields: &'a T,
}

/// What kind of line it is.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: std::borrow::Cow<'a, str>,
}

/// The number that every format has in its header.
#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format: u64,
}

/// The first line: what this is a backup of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The format's number.
    pub format: u64,
    /// What wrote it.
    pub program: String,
    /// The vault.
    pub vault_id: Uuid,
    /// The instant that it shows.
    pub created_at: Timestamp,
    /// The vault's change counter, which does not move back in a vault that is restored.
    pub change: u64,
    /// How many secrets follow.
    pub secrets: u64,
    /// How many values they have.
    pub revisions: u64,
    /// The recipients of the vault's keyring, for `--same-identity`.
    pub recipients: Vec<String>,
}

/// The secrets that sign administrators' tokens, so that tokens go on working in a vault that is restored.
#[derive(Debug, Deserialize)]
pub(super) struct SigningLine {
    pub(super) jwt: JwtSecrets,
}

/// The same, to be written.
#[derive(Debug, Serialize)]
pub(super) struct Signing<'a> {
    pub(super) jwt: &'a JwtSecrets,
}

/// The digests of the vault's API keys and access tokens; the keys themselves are kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeysLine {
    pub(super) api: KeyRing,
    pub(super) anon: KeyRing,
    /// Access tokens, which backups of older programs do not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<StoredToken>,
    /// JWTs that were minted or revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) jwts: Vec<StoredJwt>,
}

impl KeysLine {
    /// The same, in the order of [`KeysLine::of`].
    pub(super) fn sorted(&self) -> Self {
        let mut line = self.clone();
        line.tokens.sort_by_key(|token| token.id);
        line.jwts.sort_by(|one, other| one.id.cmp(&other.id));
        line
    }

    /// The keys and the tokens that hold now.
    pub(super) fn of(authenticator: &Authenticator) -> Self {
        let book = authenticator.tokens();
        let mut tokens: Vec<StoredToken> = book.tokens().cloned().collect();
        tokens.sort_by_key(|token| token.id);
        let mut jwts: Vec<StoredJwt> = book.jwts().cloned().collect();
        jwts.sort_by(|one, other| one.id.cmp(&other.id));
        drop(book);
        Self { api: authenticator.keys(KeyKind::Api), anon: authenticator.keys(KeyKind::Anon), tokens, jwts }
    }
}

/// A secret with all its values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretLine {
    /// Its identifier.
    pub id: SecretId,
    /// Where its name lives.
    pub namespace: String,
    /// Its name.
    pub key: String,
    /// Whether it can be read.
    pub is_active: bool,
    /// Whether it is protected from deletion.
    pub is_reserved: bool,
    /// Whether its value refers to other secrets.
    #[serde(default)]
    pub is_template: bool,
    /// From when on it can no longer be read.
    pub expires_at: Option<Timestamp>,
    /// When it was last revealed.
    pub last_used_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The vault's change counter when it was last written.
    pub change: u64,
    /// Its values, the oldest first; the last one is read.
    pub revisions: Vec<RestoredRevision>,
}

/// One of a secret's values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredRevision {
    /// Its number.
    pub revision: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// Who wrote it.
    pub created_by: String,
    /// The value.
    pub value: SecretValue,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trailer {
    pub(super) lines: u64,
    pub(super) sha256: String,
}
