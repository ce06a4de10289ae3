//! The bodies of requests and answers of the HTTP API, shared by server and client (API contract).
//!
//! Invariants: field names are the contract's; unknown fields are ignored; a field that is present has its type, and
//! `null` is only accepted where the contract gives it a meaning.

mod events;
mod vault_keys;

pub use events::{EventKind, EventMessage};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::model::SecretValue;

pub use vault_keys::{
    AddRecipientRequest, AddRecipientResponse, RecipientsResponse, RekeyStatus, RemoveRecipientResponse,
    RotateDataKeyResponse, RotateJwtSecretRequest, RotateJwtSecretResponse, SealResponse, UnsealRequest,
};

/// The body of every error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorResponse {
    /// Error code for programs.
    pub error: String,
    /// What went wrong, for people.
    pub message: String,
    /// The HTTP status.
    pub status_code: u16,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_actions: Option<String>,
}

/// Answer of a change that has nothing more to tell.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SuccessResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
}

/// Body of `POST /api/secrets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSecretRequest {
    /// Name of the secret.
    #[serde(default)]
    #[schema(required, nullable = false, pattern = "^[A-Z0-9_]+$", min_length = 1, max_length = 255)]
    pub key: Option<String>,
    /// Its value; not empty.
    #[serde(default, serialize_with = "expose")]
    #[schema(required, nullable = false, value_type = String, min_length = 1)]
    pub value: Option<SecretValue>,
    /// Whether it is protected from deletion; false when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub is_reserved: Option<bool>,
    /// Whether the value refers to other secrets by `${NAME}`, for clients to put in; false when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub is_template: Option<bool>,
    /// From when on it can no longer be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// Answer of `POST /api/secrets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateSecretResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Identifier of the secret.
    pub id: Uuid,
}

/// Answer of `GET /api/secrets/{key}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretResponse {
    /// Name of the secret.
    pub key: String,
    /// Its value.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub value: SecretValue,
}

/// Body of `PUT /api/secrets/{key}`; an absent field is left alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSecretRequest {
    /// New value; may be empty.
    #[serde(default, deserialize_with = "present", serialize_with = "expose", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub value: Option<SecretValue>,
    /// Whether the secret can be read.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub is_active: Option<bool>,
    /// Whether it is protected from deletion.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub is_reserved: Option<bool>,
    /// Whether the value refers to other secrets by `${NAME}`, for clients to put in.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub is_template: Option<bool>,
    /// From when on it can no longer be read; null removes the expiry.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<Timestamp>>,
}

/// What is known of a secret beside its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretMetadata {
    /// Identifier of the secret.
    pub id: Uuid,
    /// Its name.
    pub key: String,
    /// Where its name lives.
    pub namespace: String,
    /// Whether it can be read.
    pub is_active: bool,
    /// Whether it is protected from deletion.
    pub is_reserved: bool,
    /// Whether the value refers to other secrets by `${NAME}`, for clients to put in; absent where it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_template: bool,
    /// When it was last revealed.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// From when on it can no longer be read.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The revision that is read.
    pub revision: u64,
}

/// Answer of `GET /api/secrets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListSecretsResponse {
    /// Newest `createdAt` first.
    pub secrets: Vec<SecretMetadata>,
}

/// One revision of a secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionMetadata {
    /// Its number.
    pub revision: u64,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who wrote it.
    pub created_by: String,
}

/// Answer of `GET /api/secrets/{key}/revisions`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListRevisionsResponse {
    /// Newest first.
    pub revisions: Vec<RevisionMetadata>,
}

/// Body of `POST /api/secrets/{key}/rollback`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct RollbackRequest {
    /// The revision whose value becomes the newest one.
    #[schema(minimum = 1)]
    pub revision: u64,
}

/// Answer of `POST /api/secrets/{key}/rollback`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RollbackResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// The new revision.
    pub revision: u64,
}

/// Body of `POST /api/secrets/{key}/verify`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifyRequest {
    /// What to compare with.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub value: SecretValue,
}

/// Answer of `POST /api/secrets/{key}/verify`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifyResponse {
    /// Whether the secret has that value.
    pub matches: bool,
}

/// Answer of `GET /api/environment`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentResponse {
    /// Values by name.
    #[serde(serialize_with = "expose_all")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub environment: BTreeMap<String, SecretValue>,
    /// Which of them refer to other secrets by `${NAME}`, for clients to put in; absent where none does.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub templates: BTreeSet<String>,
    /// Moves whenever a secret of the namespace changes; never moves back.
    pub revision: u64,
}

/// One namespace.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NamespaceSummary {
    /// Its name.
    pub namespace: String,
    /// Secrets that can be read.
    pub active: u64,
    /// All secrets, inactive and expired ones too.
    pub total: u64,
}

/// Answer of `GET /api/namespaces`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListNamespacesResponse {
    /// In the order of their names.
    pub namespaces: Vec<NamespaceSummary>,
}

/// Body of the two `rotate` calls; may be left out.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateKeyRequest {
    /// How long the old key remains valid, in hours: up to 168 for the API key, up to 720 for the anon key.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub grace_period_hours: Option<i64>,
}

/// Answer of `POST /api/secrets/api-key/rotate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateApiKeyResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// The new key; it is not shown again.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub api_key: SecretValue,
    /// Until when the old key remains valid.
    #[schema(value_type = String, format = DateTime)]
    pub old_key_expires_at: Timestamp,
}

/// Answer of `POST /api/secrets/anon-key/rotate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateAnonKeyResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// The new key; it is not shown again.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub anon_key: SecretValue,
    /// Until when the old key remains valid.
    #[schema(value_type = String, format = DateTime)]
    pub old_key_expires_at: Timestamp,
}

/// Body of `POST /api/tokens`: issues a token with a scope, or mints an administrator's JWT.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenRequest {
    /// Whether to mint an administrator's JWT; then there is no scope, and nothing below `subject`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub admin: Option<bool>,
    /// The rules that the token is limited to, such as `read shop/**`: a list, or one text with `;` or newlines between.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scope: Option<ScopeText>,
    /// How long it is valid, in seconds: 1 to 31,536,000 (a year).
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub ttl_seconds: i64,
    /// Whom a JWT is for (`sub`); the caller when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    pub subject: Option<String>,
    /// The user from whose processes alone the token is taken, over the Unix socket.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bind_uid: Option<u32>,
    /// The systemd unit from whose processes alone the token is taken, over the Unix socket.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bind_unit: Option<String>,
    /// How many requests the token is good for.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    pub uses: Option<u32>,
    /// What it is for.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256)]
    pub reason: Option<String>,
}

/// The rules of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ScopeText {
    /// A list of rules.
    Rules(Vec<String>),
    /// Rules with `;` or newlines between.
    Text(String),
}

/// Answer of `POST /api/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenResponse {
    /// The token; it is not shown again.
    #[serde(serialize_with = "expose_one")]
    #[schema(value_type = String)]
    pub token: SecretValue,
    /// Its identifier, by which it is revoked.
    pub id: Uuid,
    /// Until when it is valid.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenKind {
    /// Issued with a scope.
    Scoped,
    /// A JWT that was minted here, or one of others that was revoked.
    Jwt,
}

/// What is known of a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenMetadata {
    /// Its identifier: for a JWT its `jti`.
    pub id: String,
    /// Its kind.
    pub kind: TokenKind,
    /// Whom a JWT is for.
    #[schema(required)]
    pub subject: Option<String>,
    /// The rules that it is limited to; null for a JWT.
    #[schema(required)]
    pub scope: Option<Vec<String>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is refused.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The user that it is bound to.
    #[schema(required)]
    pub bind_uid: Option<u32>,
    /// The unit that it is bound to.
    #[schema(required)]
    pub bind_unit: Option<String>,
    /// How many requests it was good for.
    #[schema(required)]
    pub uses: Option<u32>,
    /// How many requests it is still good for.
    #[schema(required)]
    pub uses_left: Option<u32>,
    /// What it is for.
    #[schema(required)]
    pub reason: Option<String>,
    /// Whether it is refused already.
    pub revoked: bool,
}

/// Answer of `GET /api/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ListTokensResponse {
    /// The issued ones, then the JWTs, each newest first.
    pub tokens: Vec<TokenMetadata>,
}

/// Answer of `GET /api/health`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthResponse {
    /// `ok` or `sealed`.
    pub status: String,
    /// Always `hushd`.
    pub service: String,
    /// Version of the daemon.
    pub version: String,
    /// The daemon's time.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
}

/// Answer of `GET /api/ready`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyResponse {
    /// Always true: what is not ready is answered as an error.
    pub ready: bool,
}

/// Answer of `GET /api/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusResponse {
    /// `ok` or `sealed`.
    pub status: String,
    /// Version of the daemon.
    pub version: String,
    /// Identifier of the vault.
    pub vault_id: Uuid,
    /// Directory of the vault.
    pub data_directory: String,
    /// Addresses the daemon listens on, as `--addr` takes them.
    pub listeners: Vec<String>,
    /// Secrets that can be read.
    pub active: u64,
    /// All secrets.
    pub total: u64,
    /// The next expiry that is still to come.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub next_expiry: Option<Timestamp>,
    /// Whether the store takes writes.
    pub writable: bool,
    /// What is wrong with the vault, each in a sentence; empty when nothing is.
    pub problems: Vec<String>,
    /// Whether what is done is recorded in the audit trail: `on` or `off`.
    #[serde(default)]
    pub audit: String,
    /// Automatic snapshots; null where there are none.
    #[serde(default)]
    #[schema(required)]
    pub backup: Option<BackupStatus>,
    /// A rotation of the data key that is under way; null where there is none.
    #[serde(default)]
    #[schema(required)]
    pub rekey: Option<RekeyStatus>,
    /// The policies of the configuration.
    #[serde(default)]
    pub policy: PolicyStatus,
    /// What protects the process, and whether it holds.
    #[serde(default)]
    #[schema(required)]
    pub hardening: Vec<Protection>,
    /// What the daemon can see of its peers.
    #[serde(default)]
    #[schema(required)]
    pub peers: PeerVisibility,
}

/// One thing that protects the daemon's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Protection {
    /// What it is: `not-dumpable`, `no-core`, `environment-scrubbed`, `keys-locked`, `no-new-privileges`, `files`
    /// (Landlock) or `system-calls` (seccomp).
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// How it holds, or why it does not.
    #[schema(required)]
    pub note: Option<String>,
}

/// What the daemon can see of the processes that call it over the Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerVisibility {
    /// Whether users and groups have the numbers that the rest of the machine knows them by.
    pub users: bool,
    /// Whether the units of other users' processes are in sight.
    pub units: bool,
    /// What is hidden and what to do about it, each in a sentence.
    pub notes: Vec<String>,
}

/// The policies in `GET /api/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyStatus {
    /// How many are in force.
    pub policies: u64,
    /// Why the newest configuration is not in force, where it is not.
    #[schema(required)]
    pub problem: Option<String>,
}

/// Automatic snapshots in `GET /api/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// How often one is taken.
    pub every: String,
    /// The instant that the newest one shows.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
    /// Whether the last drill passed; null where none was tried since the daemon started and no snapshot is there.
    #[schema(required)]
    pub last_drill_passed: Option<bool>,
    /// When the last drill was held; null as above.
    #[serde(default)]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_drill_at: Option<Timestamp>,
    /// How many snapshots there are, each of which passed its drill.
    pub kept: u64,
    /// Why the last attempt failed.
    #[schema(required)]
    pub problem: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something is lost, broken or open to others.
    Problem,
    /// Something that may be as it is meant to be.
    Warning,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckFinding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `secret NAMESPACE/KEY`, a file, a table of the store, the disk.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
}

/// What a check counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckCounts {
    /// Secrets whose metadata can be read.
    pub secrets: u64,
    /// Their revisions.
    pub revisions: u64,
    /// Records of any kind that were decrypted.
    pub records: u64,
    /// Bytes of the values.
    pub bytes: u64,
    /// Files whose mode and owner were looked at.
    pub files: u64,
}

/// What a check measured of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskReport {
    /// Bytes that are free for the vault.
    pub free_bytes: u64,
    /// How long a small write with its fdatasync takes, in microseconds: the median of some.
    #[schema(required, nullable = true)]
    pub sync_microseconds: Option<u64>,
}

/// Answer of `GET /api/check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckResponse {
    /// Whether nothing was found.
    pub ok: bool,
    /// What was looked at.
    pub counts: CheckCounts,
    /// What was measured.
    pub disk: DiskReport,
    /// What was found, problems first.
    pub findings: Vec<CheckFinding>,
}

/// One entry of the audit trail. Never a value or a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number in the trail, from 1 on and without a gap.
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Who: `token:SUBJECT`, `api-key`, `uid:N`; empty for somebody who was not recognised.
    pub principal: String,
    /// The user at the other end of the Unix socket.
    #[schema(required)]
    pub uid: Option<u32>,
    /// Its process.
    #[schema(required)]
    pub pid: Option<i32>,
    /// Its systemd unit.
    #[schema(required)]
    pub unit: Option<String>,
    /// The name of its executable.
    #[schema(required)]
    pub executable: Option<String>,
    /// What: `reveal`, `create`, `update`, `delete`, …
    pub action: String,
    /// In which namespace.
    #[schema(required)]
    pub namespace: Option<String>,
    /// Of which secret.
    #[schema(required)]
    pub key: Option<String>,
    /// Which revision.
    #[schema(required)]
    pub revision: Option<u64>,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    /// The rule that decided.
    #[schema(required)]
    pub rule: Option<String>,
    /// The request.
    #[schema(required)]
    pub request_id: Option<String>,
    /// Why, in the client's words.
    #[schema(required)]
    pub reason: Option<String>,
    /// How often: repeats of a refusal share an entry.
    pub count: u32,
}

/// Answer of `GET /api/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAuditResponse {
    /// The newest first; with `after` the oldest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; null at the end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// Something in the audit trail that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditFault {
    /// In which segment.
    pub segment: u64,
    /// At which byte of its file.
    pub offset: u64,
    /// The last entry that stands before it.
    pub after: u64,
    /// What is wrong.
    pub message: String,
}

/// Answer of `GET /api/audit/verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyAuditResponse {
    /// Whether everything stands as it was written.
    pub ok: bool,
    /// Files that were read.
    pub segments: u64,
    /// Entries that stand as they were written.
    pub entries: u64,
    /// The oldest one.
    #[schema(required)]
    pub first: Option<u64>,
    /// The newest one.
    #[schema(required)]
    pub last: Option<u64>,
    /// Bytes at the end that a kill or a power cut tore.
    pub torn_bytes: u64,
    /// Anchors that were found, the vault's own among them.
    pub anchors: u64,
    /// What is wrong.
    pub faults: Vec<AuditFault>,
}

/// Who reads a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretConsumer {
    /// Who.
    pub principal: String,
    /// The user at the other end of the Unix socket.
    #[schema(required)]
    pub uid: Option<u32>,
    /// Its systemd unit.
    #[schema(required)]
    pub unit: Option<String>,
    /// The name of its executable.
    #[schema(required)]
    pub executable: Option<String>,
    /// The revision that it read last.
    pub revision: u64,
    /// Whether that is the newest one.
    pub is_current: bool,
    /// When it read it.
    #[schema(value_type = String, format = DateTime)]
    pub last_read_at: Timestamp,
    /// How often it read the secret, as far as the trail goes back.
    pub reads: u64,
}

/// Answer of `GET /api/secrets/{key}/consumers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListConsumersResponse {
    /// The secret.
    pub key: String,
    /// Its namespace.
    pub namespace: String,
    /// Its newest revision.
    pub revision: u64,
    /// Who read it, the last one first.
    pub consumers: Vec<SecretConsumer>,
}

/// Reads a field that may be absent but, when present, has its type: a plain `null` is refused.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn expose<S: Serializer>(value: &Option<SecretValue>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(SecretValue::expose_secret).serialize(serializer)
}

fn expose_one<S: Serializer>(value: &SecretValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.expose_secret())
}

fn expose_all<S: Serializer>(values: &BTreeMap<String, SecretValue>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(key, value)| (key, value.expose_secret())))
}
