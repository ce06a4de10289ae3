//! A keyring that is not in force yet: what a change of keys is made in, and the file that it becomes.
//!
//! Invariants: a draft keeps the keyring's invariants; what is sealed names its recipients and is encrypted to exactly
//! these; a file that was written can be read back without any identity, because who sealed it knows its file key.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use age::{Decryptor, Encryptor};
use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::key::SecretKey;
use crate::crypto::keyring::file::{Contents, DataKey, FORMAT, damaged};
use crate::crypto::{CryptoError, Recipient};

/// Length of an age file key in bytes.
const FILE_KEY_LENGTH: usize = 16;

/// A keyring that is being changed.
pub struct KeyringDraft {
    contents: Contents,
}

impl KeyringDraft {
    pub(super) fn new(contents: Contents) -> Self {
        Self { contents }
    }

    pub(super) fn into_contents(self) -> Contents {
        self.contents
    }

    /// Adds a data key, under which new records are encrypted from the draft's installation on. Says its epoch.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn add_data_key(&mut self, now: Timestamp) -> Result<u32, CryptoError> {
        let epoch = self.contents.data_keys.last().map_or(1, |newest| newest.epoch.saturating_add(1));
        let key = Arc::new(SecretKey::generate()?);
        self.contents.data_keys.push(DataKey { epoch, created_at: now, key });
        Ok(epoch)
    }

    /// Drops all data keys but the current one. What is encrypted under them is lost with them.
    pub fn drop_old_data_keys(&mut self) {
        let old = self.contents.data_keys.len().saturating_sub(1);
        self.contents.data_keys.drain(..old);
    }

    /// Replaces the secret that signs tokens; the old one verifies them for the grace period.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn rotate_jwt_secret(&mut self, now: Timestamp, grace: Duration) -> Result<(), CryptoError> {
        self.contents.jwt.rotate(now, grace)
    }

    /// Says whom the keyring is to be encrypted to.
    pub fn set_recipients(&mut self, recipients: Vec<Recipient>) {
        self.contents.recipients = Some(recipients);
    }

    /// Whom the keyring is to be encrypted to.
    pub fn recipients(&self) -> &[Recipient] {
        self.contents.recipients.as_deref().unwrap_or_default()
    }

    /// Encrypts the draft to its recipients, each of which alone can open it; the result is an ordinary age file.
    ///
    /// # Errors
    /// [`CryptoError::NoRecipients`], [`CryptoError::EncryptionFailed`].
    pub fn seal(&mut self) -> Result<SealedKeyring, CryptoError> {
        self.contents.format = FORMAT;
        let recipients = self.recipients();
        if recipients.is_empty() {
            return Err(CryptoError::NoRecipients);
        }
        let file_key = Mutex::new(Zeroizing::new([0; FILE_KEY_LENGTH]));
        let noting: Vec<Noting<'_>> =
            recipients.iter().map(|recipient| Noting { recipient: recipient.as_age(), file_key: &file_key }).collect();
        let failed = |source| CryptoError::EncryptionFailed { source };
        let encryptor = Encryptor::with_recipients(noting.iter().map(|one| one as &dyn age::Recipient));
        let encryptor = encryptor.map_err(failed)?;
        let plain = self.contents.to_json().map_err(|error| failed(std::io::Error::from(error).into()))?;
        let write = || {
            let mut writer = encryptor.wrap_output(Vec::new())?;
            writer.write_all(&plain)?;
            writer.finish()
        };
        let bytes = write().map_err(|error: std::io::Error| failed(error.into()))?;
        drop(noting);
        Ok(SealedKeyring { bytes, plain, file_key: file_key.into_inner() })
    }
}

impl fmt::Debug for KeyringDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringDraft").field("recipients", &self.recipients()).finish_non_exhaustive()
    }
}

/// The file of a keyring, and what it takes to read it back.
pub struct SealedKeyring {
    bytes: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    file_key: Zeroizing<[u8; FILE_KEY_LENGTH]>,
}

impl SealedKeyring {
    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file alone.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads what was written: whole, authentic, and the same keys. Needs no identity.
    ///
    /// # Errors
    /// [`CryptoError::KeyringDamaged`].
    pub fn read_back(&self, written: &[u8]) -> Result<(), CryptoError> {
        let unreadable = |_| damaged("what was written cannot be read back");
        let witness: &dyn age::Identity = &Witness(&self.file_key);
        let decryptor = Decryptor::new_buffered(written).map_err(unreadable)?;
        let mut reader = decryptor.decrypt(std::iter::once(witness)).map_err(unreadable)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(written.len()));
        reader.read_to_end(&mut plain).map_err(|_| damaged("what was written cannot be read back"))?;
        if bool::from(plain.ct_eq(&self.plain)) { Ok(()) } else { Err(damaged("what was written is something else")) }
    }
}

impl fmt::Debug for SealedKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedKeyring(…)")
    }
}

/// A recipient that notes the file key that it wraps.
struct Noting<'a> {
    recipient: &'a dyn age::Recipient,
    file_key: &'a Mutex<Zeroizing<[u8; FILE_KEY_LENGTH]>>,
}

impl age::Recipient for Noting<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        self.file_key.lock().copy_from_slice(file_key.expose_secret());
        self.recipient.wrap_file_key(file_key)
    }
}

/// Opens a file whose key is known.
struct Witness<'a>(&'a [u8; FILE_KEY_LENGTH]);

impl age::Identity for Witness<'_> {
    fn unwrap_stanza(&self, _stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        Some(Ok(FileKey::new(Box::new(*self.0))))
    }
}
