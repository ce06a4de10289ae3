//! The keyring: all keys of a vault, in one age file to the vault's recipients.
//!
//! Invariants: there is at least one data key, epochs are ascending and the highest is current; every key is wiped when
//! the keyring is dropped. The stock `age` opens the file; its plaintext is JSON whose `format` says how to read it.

mod file;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::sync::Arc;

use hmac::Mac as _;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::crypto::head::KeyringSeal;
use crate::crypto::jwt::JwtSecrets;
use crate::crypto::key::SecretKey;
use crate::crypto::primitives::{fill_random, hmac_sha256};
use crate::crypto::{CryptoError, JwtSecret};
use crate::model::{Key, Namespace};
use crate::store::HeadSeal;
use file::{Contents, DataKey};

/// The keys of an unsealed vault.
pub struct Keyring {
    contents: Contents,
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
        Ok(Self {
            contents: Contents {
                format: file::FORMAT,
                vault_id: uuid::Builder::from_random_bytes(id).into_uuid(),
                created_at: now,
                data_keys: vec![DataKey { epoch: 1, created_at: now, key: SecretKey::generate()? }],
                name_key: SecretKey::generate()?,
                head_key: SecretKey::generate()?,
                audit_key: SecretKey::generate()?,
                jwt,
            },
        })
    }

    /// Which vault the keys belong to.
    pub fn vault_id(&self) -> Uuid {
        self.contents.vault_id
    }

    /// The number of the data key that new records are encrypted under.
    pub fn current_epoch(&self) -> u32 {
        self.current_data_key().0
    }

    /// All signing secrets, for a backup.
    pub fn signing_secrets(&self) -> &JwtSecrets {
        &self.contents.jwt
    }

    /// The secret that signs new tokens.
    pub fn current_jwt_secret(&self) -> &JwtSecret {
        &self.contents.jwt.current
    }

    /// The secrets that tokens are verified with at `now`: the current one first, then those in their grace period.
    pub fn jwt_secrets(&self, now: Timestamp) -> Vec<&JwtSecret> {
        let jwt = &self.contents.jwt;
        let previous = jwt.previous.iter().filter(|previous| now < previous.valid_until);
        std::iter::once(&jwt.current).chain(previous.map(|previous| &previous.secret)).collect()
    }

    /// What stands for a secret's name in the store: HMAC-SHA256 over the namespace, a zero byte and the key.
    pub fn name_tag(&self, namespace: &Namespace, key: &Key) -> [u8; 32] {
        hmac_sha256(self.contents.name_key.expose_secret())
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
    pub(super) fn current_data_key(&self) -> (u32, &SecretKey) {
        let newest = &self.contents.data_keys[self.contents.data_keys.len() - 1];
        (newest.epoch, &newest.key)
    }

    /// The data key of one epoch.
    pub(super) fn data_key(&self, epoch: u32) -> Option<&SecretKey> {
        self.contents.data_keys.iter().rev().find(|key| key.epoch == epoch).map(|key| &key.key)
    }

    /// The key that digests records for the head.
    pub(super) fn head_key(&self) -> &SecretKey {
        &self.contents.head_key
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("vault_id", &self.vault_id())
            .field("current_epoch", &self.current_epoch())
            .finish_non_exhaustive()
    }
}
