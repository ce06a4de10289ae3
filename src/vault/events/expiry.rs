//! Expiry as it comes: warnings ahead of time, and the event when a secret's time is over.
//!
//! Invariants: each is told once for each time that is set, in the order of the secret's other events; the log names a
//! secret by its id and never by its name. It changes nothing: a secret expires whether this runs or not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::api::EventKind;
use crate::clock::Timestamp;
use crate::model::{Key, Namespace, SecretId};
use crate::vault::Vault;
use crate::vault::events::Event;
use crate::vault::index::Entry;

/// How long before a secret expires a warning is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// As it is written.
    pub text: Arc<str>,
    /// How long.
    pub ahead: Duration,
}

/// What was told already.
#[derive(Debug, Default)]
pub struct Expiry {
    told: Mutex<Told>,
    /// Something was given a time to expire.
    pub(in crate::vault) changed: Notify,
}

#[derive(Debug, Default)]
struct Told {
    begun: bool,
    /// The time that is over, by secret.
    expired: HashMap<SecretId, i64>,
    /// The time that a warning was given of, and how long ahead.
    warned: HashMap<SecretId, (i64, Duration)>,
}

/// Something to tell of a secret.
struct Due {
    namespace: Namespace,
    key: Key,
    expires_at: i64,
    warning: Option<Warning>,
}

impl Vault {
    /// Tells what is due, and how long it is until something else is; `None` where nothing expires.
    pub async fn announce_expiry(&self, warnings: &[Warning]) -> Option<Duration> {
        let (due, next) = self.due(warnings);
        for due in due {
            let _lock = self.locks.lock(&due.namespace, &due.key).await;
            let entry = self.index.read().get(&due.namespace, &due.key).cloned();
            let Some(entry) = entry.filter(|entry| entry.record.is_active) else { continue };
            if entry.record.expires_at == Some(due.expires_at) {
                self.announce(&entry, &due);
            }
        }
        next
    }

    /// Waits until something is given a time to expire.
    pub async fn expiry_changed(&self) {
        self.expiry.changed.notified().await;
    }

    fn announce(&self, entry: &Entry, due: &Due) {
        let (id, expires_at) = (entry.record.id, Timestamp::from_millis(due.expires_at));
        let mut told = self.expiry.told.lock();
        let kind = if let Some(warning) = &due.warning {
            told.warned.insert(id, (due.expires_at, warning.ahead));
            tracing::warn!(secret = %id, %expires_at, within = &*warning.text, "a secret expires soon");
            EventKind::Expiring
        } else {
            told.expired.insert(id, due.expires_at);
            tracing::info!(secret = %id, %expires_at, "a secret expired");
            EventKind::Expired
        };
        drop(told);
        self.events.publish(Event::Secret {
            kind,
            namespace: due.namespace.clone(),
            key: due.key.clone(),
            revision: entry.revision(),
            at: self.clock.now(),
            expires_at: Some(expires_at),
            within: due.warning.as_ref().map(|warning| Arc::clone(&warning.text)),
        });
    }

    /// Looks at every secret. What was over before the vault was opened is not news.
    fn due(&self, warnings: &[Warning]) -> (Vec<Due>, Option<Duration>) {
        let now = self.clock.now();
        let mut told = self.expiry.told.lock();
        let (mut due, mut next) = (Vec::new(), None::<Duration>);
        let mut expired = HashMap::new();
        let mut warned = HashMap::new();
        let index = self.index.read();
        for entry in index.entries().filter(|entry| entry.record.is_active) {
            let record = &entry.record;
            let Some(expires_at) = record.expires_at else { continue };
            let one =
                |warning| Due { namespace: record.namespace.clone(), key: record.key.clone(), expires_at, warning };
            if entry.is_expired(now) {
                if told.expired.get(&record.id) == Some(&expires_at) || !told.begun {
                    expired.insert(record.id, expires_at);
                } else {
                    due.push(one(None));
                }
                continue;
            }
            let left = Timestamp::from_millis(expires_at).since(now);
            let until = |moment: Duration, next: Option<Duration>| Some(next.map_or(moment, |next| next.min(moment)));
            next = until(left, next);
            for moment in warnings.iter().filter_map(|warning| left.checked_sub(warning.ahead)) {
                next = if moment.is_zero() { next } else { until(moment, next) };
            }
            let current = warnings.iter().filter(|warning| left <= warning.ahead).min_by_key(|warning| warning.ahead);
            let given = told.warned.get(&record.id).filter(|given| given.0 == expires_at).copied();
            if let Some(given) = given {
                warned.insert(record.id, given);
            }
            if let Some(warning) = current.filter(|warning| given.is_none_or(|(_, ahead)| ahead > warning.ahead)) {
                due.push(one(Some(warning.clone())));
            }
        }
        drop(index);
        *told = Told { begun: true, expired, warned };
        (due, next)
    }
}
