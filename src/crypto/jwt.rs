//! The secrets that sign administrators' tokens.
//!
//! Invariants: at least 256 bits (RFC 7518, section 3.2); wiped when dropped; never shown by `Debug`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::key::{deserialize_bytes, serialize_bytes};
use crate::crypto::primitives::fill_random;

/// A secret that signs tokens with HS256.
pub struct JwtSecret(Zeroizing<Vec<u8>>);

impl JwtSecret {
    /// The least length in bytes.
    pub const MIN_LENGTH: usize = 32;

    /// A new random secret of 32 bytes.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new(vec![0; Self::MIN_LENGTH]);
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Takes over a secret that tokens were signed with elsewhere.
    ///
    /// # Errors
    /// [`CryptoError::WeakSecret`] when it has less than [`JwtSecret::MIN_LENGTH`] bytes.
    pub fn import(bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() < Self::MIN_LENGTH {
            return Err(CryptoError::WeakSecret { length: bytes.len(), minimum: Self::MIN_LENGTH });
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// The secret itself.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for JwtSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for JwtSecret {}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(…)")
    }
}

/// All signing secrets of a vault. Its JSON shows them, and belongs into encrypted files only: the keyring and backups.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtSecrets {
    /// Signs new tokens.
    #[serde(with = "as_text")]
    pub(super) current: JwtSecret,
    /// Still verify older ones, the newest first.
    pub(super) previous: Vec<PreviousJwtSecret>,
}

/// A signing secret in its grace period.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PreviousJwtSecret {
    #[serde(with = "as_text")]
    pub(super) secret: JwtSecret,
    /// From when on it verifies nothing any more.
    pub(super) valid_until: Timestamp,
}

/// Not an implementation on the type, so that no one outside of the keyring can write a secret out by accident.
mod as_text {
    use super::{Deserializer, JwtSecret, Serializer, deserialize_bytes, serialize_bytes};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(secret: &JwtSecret, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&secret.0, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JwtSecret, D::Error> {
        let bytes = deserialize_bytes(deserializer)?;
        JwtSecret::import(&bytes).map_err(|_| D::Error::custom("a signing secret that is too short"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_under_256_bits_is_refused() {
        assert!(matches!(JwtSecret::import(&[7; 31]), Err(CryptoError::WeakSecret { length: 31, minimum: 32 })));
        assert_eq!(JwtSecret::import(&[7; 32]).unwrap().expose_secret(), [7; 32]);
    }

    #[test]
    fn generated_secrets_differ() {
        assert_ne!(JwtSecret::generate().unwrap().expose_secret(), JwtSecret::generate().unwrap().expose_secret());
    }
}
