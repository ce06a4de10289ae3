//! Bodies about the vault's own keys: recipients, rotation of data key and signing secret, seal and unseal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{expose, present};
use crate::clock::Timestamp;
use crate::model::SecretValue;

/// Answer of `GET /api/recipients`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecipientsResponse {
    /// Whom the keyring is encrypted to: age recipients and SSH public keys.
    pub recipients: Vec<String>,
}

/// Body of `POST /api/recipients`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AddRecipientRequest {
    /// `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
    pub recipient: String,
}

/// Answer of `POST /api/recipients`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AddRecipientResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Whom the keyring is encrypted to now.
    pub recipients: Vec<String>,
}

/// Answer of `DELETE /api/recipients`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveRecipientResponse {
    /// Always true.
    pub success: bool,
    /// What was done, and what it means.
    pub message: String,
    /// Whom the keyring is encrypted to now.
    pub recipients: Vec<String>,
    /// The number of the new data key; the records follow in the background.
    pub epoch: u32,
}

/// Answer of `POST /api/rotate/data-key`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateDataKeyResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// The number of the new data key; `rekey` in `GET /api/status` tells how far the records have come.
    pub epoch: u32,
}

/// Body of `POST /api/rotate/jwt-secret`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateJwtSecretRequest {
    /// For how many hours tokens that are signed with the old secret stay valid: 0 to 720; 24 when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 720)]
    pub grace_period_hours: Option<i64>,
}

/// Answer of `POST /api/rotate/jwt-secret`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateJwtSecretResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Until when tokens that are signed with the old secret are valid.
    #[schema(value_type = String, format = DateTime)]
    pub old_secret_expires_at: Timestamp,
}

/// A rotation of the data key in `GET /api/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RekeyStatus {
    /// The new data key's number.
    pub epoch: u32,
    /// Records that are under it by now.
    pub done: u64,
    /// Records that there were to do.
    pub total: u64,
    /// Why it does not go on; it is tried again.
    #[schema(required)]
    pub problem: Option<String>,
}

/// Body of `POST /api/unseal`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UnsealRequest {
    /// The passphrase of the master key; without one only the daemon's own user may unseal, over the Unix socket.
    #[serde(default, deserialize_with = "present", serialize_with = "expose", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub passphrase: Option<SecretValue>,
}

/// Answer of `POST /api/seal` and `POST /api/unseal`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SealResponse {
    /// Always true.
    pub success: bool,
    /// What was done.
    pub message: String,
}
