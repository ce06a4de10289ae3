//! The verbs that read the audit trail. Who may administer the vault may read it.
//!
//! Invariant: nothing here is on the way of a read, and all of it may take as long as it takes to read files: not for a
//! thread that serves.

use std::path::Path;

use crate::audit::{self, Anchor, AuditError, Consumer, Filter, Mark, Page, Report};
use crate::auth::{Action, Caller, Target};
use crate::crypto::AuditKeys;
use crate::model::{Key, Namespace};
use crate::vault::{Permit, Vault, VaultError};

/// Who reads a secret, and which revision is the newest.
#[derive(Clone, Debug)]
pub struct Readers {
    /// The newest revision.
    pub revision: u64,
    /// Who read it, the last one first.
    pub consumers: Vec<Consumer>,
}

impl Vault {
    /// Entries of the trail: the newest before `before`, the newest first, or those that follow `after`.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`]; [`VaultError::NoTrail`]; [`VaultError::Unreadable`].
    pub fn audit_page(
        &self,
        caller: &Caller,
        filter: &Filter,
        before: Option<u64>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, VaultError> {
        let permit = self.permit_trail(caller)?;
        let trail = self.trail().ok_or(VaultError::NoTrail)?;
        let read = if let Some(after) = after {
            trail.following(filter, after, limit)
        } else {
            if before.is_none() {
                // Who follows or turns pages is recorded once.
                self.record_use(caller, &permit, audit::Action::Admin, None, None)?;
            }
            trail.newest(filter, before, limit)
        };
        read.map_err(unreadable)
    }

    /// Verifies the whole trail, against what the vault remembers and against anchors that were told outside.
    ///
    /// # Errors
    /// As [`Vault::audit_page`].
    pub fn verify_trail(&self, caller: &Caller, anchors: &[Anchor]) -> Result<Report, VaultError> {
        let _permit = self.permit_trail(caller)?;
        let trail = self.trail().ok_or(VaultError::NoTrail)?;
        trail.verify(self.trail_mark().as_ref(), anchors).map_err(unreadable)
    }

    /// Who read a secret, as far as the trail goes back.
    ///
    /// # Errors
    /// As [`Vault::audit_page`]; [`VaultError::NotFound`].
    pub fn consumers(&self, caller: &Caller, namespace: &Namespace, key: &Key) -> Result<Readers, VaultError> {
        let _permit = self.permit_trail(caller)?;
        let audit = self.audit.get().ok_or(VaultError::NoTrail)?;
        let entry = self.find(namespace, key)?;
        let trail = self.trail().ok_or(VaultError::NoTrail)?;
        let consumers = audit.consumers.lock().of(trail, namespace.as_str(), key.as_str()).map_err(unreadable)?;
        Ok(Readers { revision: entry.revision(), consumers })
    }

    /// What it takes to verify the trail of a vault that nobody serves: the keys, and what the vault remembers.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn trail_keys(&self) -> Result<(AuditKeys, Option<Mark>), VaultError> {
        Ok((self.keyring.audit_keys(), self.read_mark()?))
    }

    fn permit_trail(&self, caller: &Caller) -> Result<Permit, VaultError> {
        self.permit(caller, Action::Admin, Target::Vault)
    }
}

/// Verifies a trail that nobody writes.
///
/// # Errors
/// [`VaultError::Unreadable`].
pub fn verify_offline(
    dir: &Path,
    keys: &AuditKeys,
    mark: Option<&Mark>,
    anchors: &[Anchor],
) -> Result<Report, VaultError> {
    audit::verify(dir, keys, mark, anchors).map_err(unreadable)
}

fn unreadable(source: AuditError) -> VaultError {
    VaultError::Unreadable { source }
}
