//! The bodies about the daemon's own state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::{CheckFinding, RekeyStatus};
use crate::clock::Timestamp;

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
    /// The same, and what could be better, each with what mends it.
    #[serde(default)]
    #[schema(required)]
    pub findings: Vec<CheckFinding>,
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
    /// The files that the daemon keeps rendered, as `[[render]]` says.
    #[serde(default)]
    #[schema(required)]
    pub renders: Vec<RenderStatus>,
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

/// A file that the daemon keeps rendered, in `GET /api/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenderStatus {
    /// The file.
    pub output: String,
    /// Where its secrets are.
    pub namespace: String,
    /// When it was last found to be as it should be, or made so.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub rendered_at: Option<Timestamp>,
    /// When it was last written.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub changed_at: Option<Timestamp>,
    /// Why it is not as it should be, or what its command did not do.
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
