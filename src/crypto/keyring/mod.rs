//! The keyring: all keys of a vault, in one age file to the vault's recipients.
//!
//! Invariants: there is at least one data key, epochs are ascending and the highest is current; every key is wiped when
//! the keyring is dropped. The stock `age` opens the file; its plaintext is JSON whose `format` says how to read it.
//! Keys change in a [`KeyringDraft`], which comes into force by [`Keyring::install`] only after its file is on the disk.

mod draft;
mod file;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::sync::Arc;

use hmac::Mac as _;
use parking_lot::RwLock;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::crypto::head::KeyringSeal;
use crate::crypto::jwt::JwtSecrets;
use crate::crypto::key::SecretKey;
use crate::crypto::primitives::{fill_random, hmac_sha256};
use crate::crypto::{CryptoError, JwtSecret, Recipient};
use crate::model::{Key, Namespace};
use crate::store::HeadSeal;
use file::{Contents, DataKey};

pub use draft::{KeyringDraft, SealedKeyring};

/// The keys of an unsealed vault.
pub struct Keyring {
    vault_id: Uuid,
    /// These three never change in the life of a vault.
    name_key: Arc<SecretKey>,
    head_key: Arc<SecretKey>,
    audit_key: Arc<SecretKey>,
    contents: RwLock<Arc<Contents>>,
}

impl Keyring {
    /// Makes the keys of a new vault; `jwt_secret` takes over a signing secret instead of making one.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn generate(now: Timestamp, jwt_secret: Option<JwtSecret>) -> Result<Self, CryptoError> {
        let current = jwt_secret.map_or_else(JwtSecret::generate, Ok)?;
        Self::with_signing_secrets(now, JwtSecrets { current, previous: Vec::new() })
    }

    /// Makes the keys of a new vault that takes over all signing secrets of another one.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn with_signing_secrets(now: Timestamp, jwt: JwtSecrets) -> Result<Self, CryptoError> {
        let mut id = [0; 16];
        fill_random(&mut id)?;
        Ok(Self::of(Contents {
            format: file::FORMAT,
            vault_id: uuid::Builder::from_random_bytes(id).into_uuid(),
            created_at: now,
            data_keys: vec![DataKey { epoch: 1, created_at: now, key: Arc::new(SecretKey::generate()?) }],
            name_key: Arc::new(SecretKey::generate()?),
            head_key: Arc::new(SecretKey::generate()?),
            audit_key: Arc::new(SecretKey::generate()?),
            jwt,
            recipients: None,
        }))
    }

    fn of(contents: Contents) -> Self {
        Self {
            vault_id: contents.vault_id,
            name_key: Arc::clone(&contents.name_key),
            head_key: Arc::clone(&contents.head_key),
            audit_key: Arc::clone(&contents.audit_key),
            contents: RwLock::new(Arc::new(contents)),
        }
    }

    /// The keys as they are now.
    fn now(&self) -> Arc<Contents> {
        Arc::clone(&self.contents.read())
    }

    /// A copy to be changed, which shares the keys that it keeps.
    pub fn draft(&self) -> KeyringDraft {
        KeyringDraft::new(Contents::clone(&self.now()))
    }

    /// Lets a draft come into force, after its file has taken the place of the old one.
    pub fn install(&self, draft: KeyringDraft) {
        *self.contents.write() = Arc::new(draft.into_contents());
    }

    /// Whom the keyring's file is encrypted to; none where it was written before keyrings told.
    pub fn recipients(&self) -> Option<Vec<Recipient>> {
        self.now().recipients.clone()
    }

    /// The numbers of all data keys, ascending. More than one: records are still encrypted under an older one.
    pub fn epochs(&self) -> Vec<u32> {
        self.now().data_keys.iter().map(|key| key.epoch).collect()
    }

    /// Which vault the keys belong to.
    pub fn vault_id(&self) -> Uuid {
        self.vault_id
    }

    /// The number of the data key that new records are encrypted under.
    pub fn current_epoch(&self) -> u32 {
        self.current_data_key().0
    }

    /// All signing secrets.
    pub fn signing_secrets(&self) -> JwtSecrets {
        self.now().jwt.clone()
    }

    /// What stands for a secret's name in the store: HMAC-SHA256 over the namespace, a zero byte and the key.
    pub fn name_tag(&self, namespace: &Namespace, key: &Key) -> [u8; 32] {
        hmac_sha256(self.name_key.expose_secret())
            .chain_update(namespace.as_str())
            .chain_update([0])
            .chain_update(key.as_str())
            .finalize()
            .into_bytes()
            .into()
    }

    /// What the store needs for its authenticated head.
    pub fn head_seal(self: &Arc<Self>) -> Box<dyn HeadSeal> {
        Box::new(KeyringSeal::new(Arc::clone(self)))
    }

    /// The data key of new records, with its epoch.
    pub(super) fn current_data_key(&self) -> (u32, Arc<SecretKey>) {
        let contents = self.contents.read();
        let newest = &contents.data_keys[contents.data_keys.len() - 1];
        (newest.epoch, Arc::clone(&newest.key))
    }

    /// The data key of one epoch.
    pub(super) fn data_key(&self, epoch: u32) -> Option<Arc<SecretKey>> {
        let contents = self.contents.read();
        contents.data_keys.iter().rev().find(|key| key.epoch == epoch).map(|key| Arc::clone(&key.key))
    }

    /// The key that the audit trail's keys are derived from.
    pub(super) fn audit_key(&self) -> Arc<SecretKey> {
        Arc::clone(&self.audit_key)
    }

    /// The key that digests records for the head.
    pub(super) fn head_key(&self) -> &SecretKey {
        &self.head_key
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("vault_id", &self.vault_id())
            .field("epochs", &self.epochs())
            .finish_non_exhaustive()
    }
}
