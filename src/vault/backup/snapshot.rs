//! One instant of the vault, and how it is written out while writers go on.
//!
//! Invariants: the index shows only what is durable and everything that was answered, so a copy of its entries is one
//! instant; values are write-once, and those that are dropped meanwhile are kept aside; memory holds one value at a time.
//!
//! A backup reveals everything to whoever may open it. It is recorded as one act of its principal, not as a use of each
//! secret: `lastUsedAt` tells who needs a secret, and a backup does not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::ser::{Error as _, SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::audit;
use crate::auth::{Action, Caller, Target};
use crate::clock::Timestamp;
use crate::crypto::{EncryptedWriter, JwtSecrets, Recipient};
use crate::vault::backup::BackupError;
use crate::vault::backup::format::{
    FORMAT, HEADER, Header, KEYS, KeysLine, SECRET, SIGNING, Signing, TRAILER, Trailer, Typed,
};
use crate::vault::backup::pins::Kept;
use crate::vault::index::Entry;
use crate::vault::record::RevisionRecord;
use crate::vault::{Vault, VaultError};

/// One instant of the vault.
#[derive(Debug)]
pub struct Snapshot {
    vault: Arc<Vault>,
    kept: Arc<Kept>,
    entries: Vec<Arc<Entry>>,
    keys: KeysLine,
    signing: JwtSecrets,
    created_at: Timestamp,
    change: u64,
}

impl Vault {
    /// Takes a snapshot. Values that writers drop until it is written are kept in `aside`, encrypted and without a name.
    ///
    /// # Errors
    /// [`VaultError::ReadOnly`] where the vault is damaged: a backup that lacks secrets would pass for a whole one.
    pub async fn snapshot(self: &Arc<Self>, caller: &Caller, aside: &Path) -> Result<Snapshot, VaultError> {
        let permit = self.permit(caller, Action::Admin, Target::Vault)?;
        self.record_use(caller, &permit, audit::Action::Backup, None, None)?;
        if !self.damage.read().problems.is_empty() {
            return Err(VaultError::ReadOnly { verb: "back up".to_owned() });
        }
        // Between a rotation that was answered and one that was not there is no third state.
        let _rotation = self.rotation.lock().await;
        let _token = self.tokens.lock().await;
        let kept = self.pins.pin(aside).await;
        let signing = self.keyring.signing_secrets();
        let (mut entries, keys, change) = {
            let index = self.index.read();
            let entries: Vec<Arc<Entry>> = index.entries().cloned().collect();
            let keys = KeysLine::of(&self.authenticator);
            (entries, keys, self.changes.load(Ordering::Relaxed))
        };
        kept.want(entries.iter().map(|entry| (entry.record.id, entry.revision())).collect::<HashMap<_, _>>());
        let name = |entry: &Arc<Entry>| (entry.record.namespace.clone(), entry.record.key.clone());
        entries.sort_by_cached_key(name);
        tracing::info!(principal = %caller.principal, request_id = %caller.request_id, secrets = entries.len(), "a backup begins");
        Ok(Snapshot { vault: Arc::clone(self), kept, entries, keys, signing, created_at: self.clock.now(), change })
    }
}

impl Snapshot {
    /// The instant that it shows.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// About how long it will be, in bytes; what has to be escaped makes it longer.
    pub fn expected_length(&self) -> u64 {
        /// A line's, and a revision's, beside what is in it.
        const FRAME: u64 = 110;
        let of = |revision: &RevisionRecord| u64::from(revision.size) + FRAME;
        self.entries.iter().map(|entry| 3 * FRAME + entry.record.revisions.iter().map(of).sum::<u64>()).sum()
    }

    /// Writes the snapshot as an age file to `recipients`; `keyring` are the recipients of the vault itself. It blocks.
    ///
    /// # Errors
    /// [`BackupError::Write`], [`BackupError::Keep`], [`BackupError::Crypto`], and [`BackupError::Vault`] for a value that
    /// cannot be read.
    pub fn write<W: Write>(self, recipients: &[Recipient], keyring: &[Recipient], output: W) -> Result<W, BackupError> {
        let output = EncryptedWriter::new(recipients, output).map_err(|source| BackupError::Crypto { source })?;
        let mut lines = Lines { output, digest: Sha256::new(), count: 0 };
        lines.write(HEADER, &self.header(keyring))?;
        lines.write(SIGNING, &Signing { jwt: &self.signing })?;
        lines.write(KEYS, &self.keys)?;
        for entry in &self.entries {
            if self.vault.is_closing() {
                return Err(VaultError::Sealed.into());
            }
            let secret = Secret { snapshot: &self, entry, failure: RefCell::default() };
            let written = lines.write(SECRET, &secret);
            if let Some(failure) = secret.failure.into_inner() {
                return Err(failure);
            }
            written?;
            self.kept.done(entry.record.id);
        }
        let output = lines.finish()?;
        tracing::info!(secrets = self.entries.len(), "a backup was written");
        Ok(output)
    }

    fn header(&self, keyring: &[Recipient]) -> Header {
        Header {
            format: FORMAT,
            program: concat!("hushd ", env!("CARGO_PKG_VERSION")).to_owned(),
            vault_id: self.vault.id(),
            created_at: self.created_at,
            change: self.change,
            secrets: self.entries.len() as u64,
            revisions: self.entries.iter().map(|entry| entry.record.revisions.len() as u64).sum(),
            recipients: keyring.iter().map(ToString::to_string).collect(),
        }
    }

    /// A record of a value: from the store, or kept aside since a writer dropped it.
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackupError> {
        let found = self.vault.store.get(crate::store::Table::Value, key);
        match found.map_err(|source| VaultError::Store { verb: "back up".to_owned(), source })? {
            Some(record) => Ok(Some(record)),
            None => self.kept.get(key).map_err(|source| BackupError::Keep { source }),
        }
    }
}

/// The lines on their way into the file.
struct Lines<W: Write> {
    output: EncryptedWriter<W>,
    digest: Sha256,
    count: u64,
}

impl<W: Write> Lines<W> {
    fn write<T: Serialize>(&mut self, kind: &'static str, fields: &T) -> Result<(), BackupError> {
        let write = |source: io::Error| BackupError::Write { source };
        serde_json::to_writer(&mut *self, &Typed { kind, fields }).map_err(|error| write(error.into()))?;
        self.write_all(b"\n").map_err(write)?;
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<W, BackupError> {
        let trailer = Trailer { lines: self.count, sha256: format!("{:x}", self.digest.clone().finalize()) };
        self.write(TRAILER, &trailer)?;
        self.output.finish().map_err(|source| BackupError::Write { source })
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.output.write(bytes)?;
        self.digest.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A secret, whose values are read when it is their turn.
struct Secret<'a> {
    snapshot: &'a Snapshot,
    entry: &'a Entry,
    /// Why a value could not be read; JSON's own errors have no room for it.
    failure: RefCell<Option<BackupError>>,
}

impl Serialize for Secret<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.entry.metadata();
        let mut line = serializer.serialize_struct("Secret", 12)?;
        line.serialize_field("id", &metadata.id)?;
        line.serialize_field("namespace", metadata.namespace.as_str())?;
        line.serialize_field("key", metadata.key.as_str())?;
        line.serialize_field("isActive", &metadata.is_active)?;
        line.serialize_field("isReserved", &metadata.is_reserved)?;
        // Where it is not there it is none: so were those written before there were templates.
        if metadata.is_template {
            line.serialize_field("isTemplate", &true)?;
        } else {
            line.skip_field("isTemplate")?;
        }
        line.serialize_field("expiresAt", &metadata.expires_at)?;
        line.serialize_field("lastUsedAt", &metadata.last_used_at)?;
        line.serialize_field("createdAt", &metadata.created_at)?;
        line.serialize_field("updatedAt", &metadata.updated_at)?;
        line.serialize_field("change", &self.entry.record.change)?;
        line.serialize_field("revisions", &Revisions(self))?;
        line.end()
    }
}

struct Revisions<'a>(&'a Secret<'a>);

impl Serialize for Revisions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = &self.0.entry.record.revisions;
        let mut list = serializer.serialize_seq(Some(kept.len()))?;
        for revision in kept {
            list.serialize_element(&Revision(self.0, revision))?;
        }
        list.end()
    }
}

struct Revision<'a>(&'a Secret<'a>, &'a RevisionRecord);

impl Serialize for Revision<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(secret, kept) = self;
        let snapshot = secret.snapshot;
        let value = snapshot.vault.decrypt_chunks(secret.entry, kept, |key| snapshot.record(key));
        let value = value.map_err(|failure| {
            *secret.failure.borrow_mut() = Some(failure);
            S::Error::custom("a value cannot be read")
        })?;
        let mut line = serializer.serialize_struct("Revision", 4)?;
        line.serialize_field("revision", &kept.revision)?;
        line.serialize_field("createdAt", &Timestamp::from_millis(kept.created_at))?;
        line.serialize_field("createdBy", &*kept.created_by)?;
        line.serialize_field("value", value.expose_secret())?;
        line.end()
    }
}
