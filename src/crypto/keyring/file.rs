//! The keyring's file: JSON inside an age file.
//!
//! Invariant: what was read fulfils the keyring's invariants. It knows no path: whoever has the bytes writes the file.
//!
//! Format 2 names its own recipients, so that there is one file to replace when they change, and nobody who can write
//! beside it can slip another one in. Format 1 did not.

use std::io::Read as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::jwt::JwtSecrets;
use crate::crypto::key::SecretKey;
use crate::crypto::{CryptoError, Identities, Keyring, Recipient, decrypt_stream};

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u64 = 2;
/// The oldest that it reads.
const OLDEST: u64 = 1;

/// The plaintext of the file. A clone shares its keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) format: u64,
    pub(super) vault_id: Uuid,
    pub(super) created_at: Timestamp,
    pub(super) data_keys: Vec<DataKey>,
    pub(super) name_key: Arc<SecretKey>,
    pub(super) head_key: Arc<SecretKey>,
    pub(super) audit_key: Arc<SecretKey>,
    pub(super) jwt: JwtSecrets,
    /// Whom the file is encrypted to; none in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub(super) recipients: Option<Vec<Recipient>>,
}

/// A data key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DataKey {
    pub(super) epoch: u32,
    pub(super) created_at: Timestamp,
    pub(super) key: Arc<SecretKey>,
}

impl Keyring {
    /// Encrypts the keyring to recipients, each of which alone can open it; the result is an ordinary age file.
    ///
    /// # Errors
    /// [`CryptoError::NoRecipients`], [`CryptoError::EncryptionFailed`].
    pub fn encrypt_to(&self, recipients: &[Recipient]) -> Result<Vec<u8>, CryptoError> {
        let mut draft = self.draft();
        draft.set_recipients(recipients.to_vec());
        Ok(draft.seal()?.into_bytes())
    }

    /// Opens what [`Keyring::encrypt_to`] made, or what the stock `age` made of the same plaintext.
    ///
    /// # Errors
    /// [`CryptoError::NoMatchingIdentity`], [`CryptoError::KeyringDamaged`], [`CryptoError::UnsupportedFormat`].
    pub fn decrypt(file: &[u8], identities: &Identities) -> Result<Self, CryptoError> {
        // These two are all that it fails with; of a keyring they have names of their own.
        let mut reader = decrypt_stream(file, identities).map_err(|error| {
            if let CryptoError::AgeFileDamaged { message } = error {
                CryptoError::KeyringDamaged { message }
            } else {
                CryptoError::NoMatchingIdentity
            }
        })?;
        // Room for all of it from the start: a growing vector would leave copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
        reader.read_to_end(&mut plain).map_err(|_| damaged("it is cut or was changed"))?;
        Ok(Self::of(Contents::from_json(&plain)?))
    }
}

impl Contents {
    pub(super) fn to_json(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let secrets = self.jwt.previous.iter().map(|previous| &previous.secret).chain([&self.jwt.current]);
        let length: usize = secrets.map(|secret| secret.expose_secret().len()).sum();
        let recipients: usize = self.recipients.iter().flatten().map(|one| 2 * one.to_string().len() + 8).sum();
        // Room for all of it from the start: a growing vector would leave copies behind.
        let room = 2048 + 256 * (self.data_keys.len() + self.jwt.previous.len()) + 2 * length + recipients;
        let mut json = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *json, self)?;
        Ok(json)
    }

    pub(super) fn from_json(json: &[u8]) -> Result<Self, CryptoError> {
        /// The one field that every format has.
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }

        // serde_json's messages repeat what they stumble over, which may be a key: only the place is told.
        let misread = |error: serde_json::Error| {
            damaged(&format!("its plaintext is not a keyring (line {}, column {})", error.line(), error.column()))
        };
        let Format { format } = serde_json::from_slice(json).map_err(misread)?;
        if format > FORMAT {
            return Err(CryptoError::UnsupportedFormat { found: format, supported: FORMAT });
        }
        if format < OLDEST {
            return Err(damaged("its plaintext has no valid format number"));
        }
        let contents: Self = serde_json::from_slice(json).map_err(misread)?;
        let listed = contents.recipients.as_ref().map(|recipients| !recipients.is_empty());
        if listed != (format > 1).then_some(true) {
            return Err(damaged("its recipients are missing, or stand where none can"));
        }
        let epochs = || contents.data_keys.iter().map(|key| key.epoch);
        if epochs().next().unwrap_or(0) == 0 || !epochs().is_sorted_by(|earlier, later| earlier < later) {
            return Err(damaged("its data keys are missing or not in order"));
        }
        Ok(contents)
    }
}

/// Recipients are stored as text, and are checked when they are read.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::crypto::Recipient;

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        recipients: &Option<Vec<Recipient>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(recipients.iter().flatten().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Recipient>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parsed: Result<Vec<Recipient>, _> = texts.iter().map(|text| text.parse()).collect();
        parsed.map(Some).map_err(de::Error::custom)
    }
}

pub(super) fn damaged(message: &str) -> CryptoError {
    CryptoError::KeyringDamaged { message: message.to_owned() }
}
