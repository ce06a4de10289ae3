//! The bodies of requests and answers of the HTTP API, shared by server and client (API contract).
//!
//! Invariants: field names are the contract's; unknown fields are ignored; a field that is present has its type, and
//! `null` is only accepted where the contract gives it a meaning.

mod audit;
mod check;
mod events;
mod operations;
mod report;
mod tokens;
mod vault_keys;

pub use audit::{
    AuditEntry, AuditFault, ListAuditResponse, ListConsumersResponse, SecretConsumer, VerifyAuditResponse,
};
pub use check::{CheckCounts, CheckFinding, CheckResponse, DiskReport, Severity, Topic};
pub use events::{EventKind, EventMessage};
pub use operations::{
    BackupStatus, HealthResponse, PeerVisibility, PolicyStatus, Protection, ReadyResponse, RenderStatus, StatusResponse,
};
pub use report::{ReportFinding, ReportKind, ReportResponse, SecretName};
pub use tokens::{CreateTokenRequest, CreateTokenResponse, ListTokensResponse, ScopeText, TokenKind, TokenMetadata};

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
    #[schema(nullable = false, minimum = 0, maximum = 720)]
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
