//! Events as they are sent (`GET /api/events`, Server-Sent Events).
//!
//! Invariant: an event never holds a value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A secret can be read that could not be read before: it is new, or it came back.
    Created,
    /// A secret has a new value, or other metadata.
    Updated,
    /// A secret was deleted or purged.
    Deleted,
    /// A secret's time is over.
    Expired,
    /// A secret's time will be over soon.
    Expiring,
    /// One of the vault's own keys was rotated: `api-key` or `anon-key`.
    Rotated,
    /// Events may have been missed: what is known has to be read anew.
    Reset,
    /// The stream ends here; the reason says why, and a client may connect again.
    End,
}

impl EventKind {
    /// Its name, which is the type of the event in the stream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::Rotated => "rotated",
            Self::Reset => "reset",
            Self::End => "end",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventMessage {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The secret's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The secret, or the key of the vault that was rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The secret's newest revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When the secret expires or expired, where that is what the event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The warning of the configuration that is due, such as `14d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Why events may be missing (`restarted`, `reopened`, `backlog`) or the stream ends (`stopping`, `sealed`, `credential`, `slow`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EventMessage {
    /// An event of the stream itself.
    pub fn of_stream(kind: EventKind, reason: &str, at: Timestamp) -> Self {
        let reason = Some(reason.to_owned());
        Self { kind, namespace: None, key: None, revision: None, at, expires_at: None, within: None, reason }
    }
}
