//! The bodies about what could be tidied up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// What kind of finding it is, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReportKind {
    /// A value that cannot be read.
    Damaged,
    /// It has expired, and is still there.
    Expired,
    /// It expires soon.
    Expiring,
    /// A template that refers to what is not there.
    MissingReference,
    /// Several secrets with one value.
    Duplicate,
    /// Nobody has read it, or for long.
    Unread,
    /// Its value has not been changed for long.
    Old,
}

impl ReportKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Damaged,
        Self::Expired,
        Self::Expiring,
        Self::MissingReference,
        Self::Duplicate,
        Self::Unread,
        Self::Old,
    ];

    /// What it is, as a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::MissingReference => "missing reference",
            Self::Duplicate => "duplicate",
            Self::Unread => "unread",
            Self::Old => "old",
        }
    }

    /// The anchor of the heading in the README that explains it.
    pub const fn see(self) -> &'static str {
        match self {
            Self::Damaged => "backups",
            Self::MissingReference => "running-commands",
            Self::Expired | Self::Expiring | Self::Duplicate | Self::Unread | Self::Old => "tidying-up",
        }
    }
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: String,
}

/// One thing that could be tidied up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportFinding {
    /// What kind of thing.
    pub kind: ReportKind,
    /// The secrets that it is about: one, or several with one value.
    pub secrets: Vec<SecretName>,
    /// When it expires or has expired, was read last (absent: never) or written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// What a template refers to that is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What mends it.
    pub hint: String,
    /// Where that is explained: a heading of the README.
    pub see: String,
}

/// Answer of `GET /api/report`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportResponse {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// Secrets that were looked at: those that the caller may list.
    pub secrets: u64,
    /// Secrets whose values were compared: those of them that the caller may read.
    pub compared: u64,
    /// What was found, by its kind and then by name.
    pub findings: Vec<ReportFinding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_explained_in_the_readme() {
        let readme = include_str!("../../README.md");
        let headings: Vec<String> = readme
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace(' ', "-"))
            .collect();
        for kind in ReportKind::ALL {
            assert!(headings.iter().any(|heading| heading == kind.see()), "{kind:?}");
        }
    }
}
