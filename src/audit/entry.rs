//! An entry: who did what, when, to what, through what, and what came of it.
//!
//! Invariants: it holds names, never a value or a credential; its encoding is part of the on-disk format: fields are only
//! added at a new format, and an action keeps its number for ever.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::AuditEntry;
use crate::clock::Timestamp;

/// What was done. The number is part of the on-disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A value was revealed.
    Reveal,
    /// A secret was created or revived.
    Create,
    /// A secret was changed.
    Update,
    /// A secret was made inactive.
    Delete,
    /// A secret was destroyed with all its revisions.
    Purge,
    /// An older revision was made the newest.
    Rollback,
    /// Names and metadata were listed.
    List,
    /// A value was compared, without being revealed.
    Verify,
    /// A key of the vault was replaced.
    RotateKey,
    /// A token was made.
    MintToken,
    /// A token was revoked.
    RevokeToken,
    /// The vault's keys left memory.
    Seal,
    /// The vault's keys came into memory.
    Unseal,
    /// The whole vault was read for a backup.
    Backup,
    /// The trail, or the daemon's state, was read.
    Admin,
    /// Somebody was not recognised.
    Authenticate,
    /// The daemon began to write the trail.
    Start,
    /// The daemon stopped writing the trail.
    Stop,
    /// Entries could not be written; `count` says how many are missing.
    Gap,
    /// The end of the trail was torn by a kill or a power cut, and was cut off.
    Torn,
    /// The trail was found broken when it was opened.
    Broken,
    /// The oldest segments were dropped, as the configuration says.
    Trim,
    /// Another operation on the vault's keys: recipients, data keys, signing secrets.
    ManageKeys,
    /// The values of a namespace were compared with one another, without being revealed.
    Compare,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Reveal,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Purge,
        Self::Rollback,
        Self::List,
        Self::Verify,
        Self::RotateKey,
        Self::MintToken,
        Self::RevokeToken,
        Self::Seal,
        Self::Unseal,
        Self::Backup,
        Self::Admin,
        Self::Authenticate,
        Self::Start,
        Self::Stop,
        Self::Gap,
        Self::Torn,
        Self::Broken,
        Self::Trim,
        Self::ManageKeys,
        Self::Compare,
    ];

    /// Its name, as people and programs read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Purge => "purge",
            Self::Rollback => "rollback",
            Self::List => "list",
            Self::Verify => "verify",
            Self::RotateKey => "rotate-key",
            Self::MintToken => "mint-token",
            Self::RevokeToken => "revoke-token",
            Self::Seal => "seal",
            Self::Unseal => "unseal",
            Self::Backup => "backup",
            Self::Admin => "admin",
            Self::Authenticate => "authenticate",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Gap => "gap",
            Self::Torn => "torn",
            Self::Broken => "broken",
            Self::Trim => "trim",
            Self::ManageKeys => "manage-keys",
            Self::Compare => "compare",
        }
    }

    /// The action of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It failed.
    Failed,
}

impl Outcome {
    /// Its name, as people and programs read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The principal's text: `token:ci`, `api-key`, `uid:1000`, or empty for somebody unknown.
    pub principal: Arc<str>,
    /// The user at the other end of a Unix socket.
    pub uid: Option<u32>,
    /// Its process.
    pub pid: Option<i32>,
    /// Its systemd unit.
    pub unit: Option<Arc<str>>,
    /// The name of its executable.
    pub executable: Option<Arc<str>>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// In which namespace.
    pub namespace: Option<Arc<str>>,
    /// Of which secret.
    pub key: Option<Arc<str>>,
    /// Which revision.
    pub revision: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
    /// The rule that decided, or what the vault has to say.
    pub rule: Option<Arc<str>>,
    /// The request.
    pub request_id: Option<Arc<str>>,
    /// Why, in the client's words.
    pub reason: Option<Arc<str>>,
    /// How often: more than 1 where repeats share an entry.
    pub count: u32,
    /// Ties the entry of a change to the record that made it durable together with the change.
    pub change: Option<[u8; 16]>,
}

impl Entry {
    /// An entry of the vault's own.
    pub fn own(time: i64, action: Action, rule: impl Into<Arc<str>>) -> Self {
        let actor = Actor { principal: "vault".into(), ..Actor::default() };
        Self { rule: Some(rule.into()), ..Self::new(time, actor, action, Outcome::Done) }
    }

    /// An entry that says nothing more yet.
    pub fn new(time: i64, actor: Actor, action: Action, outcome: Outcome) -> Self {
        Self {
            time,
            actor,
            action,
            namespace: None,
            key: None,
            revision: None,
            outcome,
            rule: None,
            request_id: None,
            reason: None,
            count: 1,
            change: None,
        }
    }
}

/// An entry with its place in the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Counts from 1 on, without a gap.
    pub sequence: u64,
    /// The entry.
    pub entry: Entry,
}

impl Numbered {
    /// The entry as the API and exports show it.
    pub fn to_api(&self) -> AuditEntry {
        let Self { sequence, entry } = self;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        AuditEntry {
            sequence: *sequence,
            time: Timestamp::from_millis(entry.time),
            principal: entry.actor.principal.to_string(),
            uid: entry.actor.uid,
            pid: entry.actor.pid,
            unit: text(&entry.actor.unit),
            executable: text(&entry.actor.executable),
            action: entry.action.name().to_owned(),
            namespace: text(&entry.namespace),
            key: text(&entry.key),
            revision: entry.revision,
            outcome: entry.outcome.name().to_owned(),
            rule: text(&entry.rule),
            request_id: text(&entry.request_id),
            reason: text(&entry.reason),
            count: entry.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_an_action_never_changes_and_names_are_unique() {
        for (number, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(postcard::to_stdvec(&action).unwrap(), [u8::try_from(number).unwrap()], "{action:?}");
            assert_eq!(Action::from_name(action.name()), Some(action));
        }
    }
}
