//! The bodies about the audit trail.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;

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
