//! The bodies about what is wrong with a vault.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// What mends it: a command, or what to do.
    #[serde(default)]
    pub hint: String,
    /// Where that is explained: a heading of the README.
    #[serde(default)]
    pub see: String,
}

impl CheckFinding {
    /// A finding, with what its topic says about mending it.
    pub fn new(severity: Severity, topic: Topic, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (hint, see) = topic.advice();
        let see = format!("README.md#{see}");
        Self { severity, subject: subject.into(), message: message.into(), hint: hint.to_owned(), see }
    }
}

/// What a finding is about, and so what mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A secret's records are broken or lost.
    Records,
    /// A file of the vault is broken, or of another vault.
    Vault,
    /// The keyring, or the master key.
    Keyring,
    /// The list of recipients.
    Recipients,
    /// The audit trail was changed.
    Tampering,
    /// The audit trail cannot be written.
    Trail,
    /// The audit trail is off.
    NoTrail,
    /// Mode or owner of a file.
    Files,
    /// Space.
    Space,
    /// A disk that fails.
    Disk,
    /// A disk that does not keep what it was given.
    Durability,
    /// Snapshots are not taken.
    Snapshots,
    /// A configuration that is not in force.
    Configuration,
    /// What protects the process does not hold.
    Hardening,
    /// A rotation of the data key does not go on.
    Rotation,
    /// A file that the daemon should render.
    Rendering,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Records,
        Self::Vault,
        Self::Keyring,
        Self::Recipients,
        Self::Tampering,
        Self::Trail,
        Self::NoTrail,
        Self::Files,
        Self::Space,
        Self::Disk,
        Self::Durability,
        Self::Snapshots,
        Self::Configuration,
        Self::Hardening,
        Self::Rotation,
        Self::Rendering,
    ];

    /// What mends it, and the anchor of a heading in the README.
    pub const fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::Records => ("take them from a backup: hushd restore FILE --keys KEY,…", "backups"),
            Self::Vault => ("restore the vault from a backup: hushd restore FILE", "backups"),
            Self::Keyring => {
                ("name the identity that it was made with: hushd serve --identity FILE", "the-vaults-own-keys")
            }
            Self::Recipients => {
                ("see hushd recipient list; a start of the daemon writes the list anew", "the-vaults-own-keys")
            }
            Self::Tampering => ("see what: hushd audit verify", "who-read-this-key"),
            Self::Trail => {
                ("free space or mend the disk of the vault; the daemon tries by itself", "who-read-this-key")
            }
            Self::NoTrail => ("set mode = \"on\" under [audit] in the configuration", "who-read-this-key"),
            Self::Files => {
                ("give it to the daemon's user, and take it from the others: chmod go= FILE", "where-things-are")
            }
            Self::Space => ("free space on the disk of the vault, or: hushd compact", "when-something-is-wrong"),
            Self::Disk => ("see the daemon's log and the disk; the daemon tries by itself", "when-something-is-wrong"),
            Self::Durability => {
                ("move the vault to a disk that keeps what it is given: --data-dir DIR", "what-it-promises")
            }
            Self::Snapshots => ("see the daemon's log; take one: hushd backup -o FILE", "backups"),
            Self::Configuration => {
                ("correct it, see hushd config check, and send the daemon SIGHUP", "who-may-do-what")
            }
            Self::Hardening => (
                "see what the kernel lacks, or demand it: require-hardening = true",
                "who-can-reach-it-and-what-protects-it",
            ),
            Self::Rendering => (
                "correct what it says; it is tried again with the next change, SIGHUP, or in a minute",
                "files-that-the-daemon-renders",
            ),
            Self::Rotation => (
                "see the daemon's log; it goes on with the next start, or: hushd rotate data-key",
                "the-vaults-own-keys",
            ),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The anchors of a page's headings, as forges make them.
    pub(in crate::api) fn anchors(page: &str) -> Vec<String> {
        let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
        let anchor = |heading: &str| {
            let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        headings.map(anchor).collect()
    }

    #[test]
    fn each_advice_is_explained_in_the_readme() {
        let anchors = anchors(include_str!("../../README.md"));
        for topic in Topic::ALL {
            let (hint, see) = topic.advice();
            assert!(anchors.iter().any(|anchor| anchor == see), "{topic:?}: no heading for {see} among {anchors:?}");
            assert!(!hint.is_empty());
        }
    }
}
