//! The secrets that sign administrators' tokens.
//!
//! Invariants: at least 256 bits (RFC 7518, section 3.2); in the memory for keys, wiped when dropped; never shown by
//! `Debug`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;

use crate::clock::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::key::{deserialize_bytes, serialize_bytes};
use crate::crypto::locked::LockedBytes;
use crate::crypto::primitives::fill_random;

/// A secret that signs tokens with HS256. A clone is the same memory.
#[derive(Clone)]
pub struct JwtSecret(Arc<LockedBytes>);

impl JwtSecret {
    /// The least length in bytes.
    pub const MIN_LENGTH: usize = 32;

    /// A new random secret of 32 bytes.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut bytes = LockedBytes::zeroed(Self::MIN_LENGTH);
        fill_random(&mut bytes)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Takes over a secret that tokens were signed with elsewhere.
    ///
    /// # Errors
    /// [`CryptoError::WeakSecret`] when it has less than [`JwtSecret::MIN_LENGTH`] bytes.
    pub fn import(bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() < Self::MIN_LENGTH {
            return Err(CryptoError::WeakSecret { length: bytes.len(), minimum: Self::MIN_LENGTH });
        }
        Ok(Self(Arc::new(LockedBytes::copy_of(bytes))))
    }

    /// The secret itself.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for JwtSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }
}

impl Eq for JwtSecret {}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(…)")
    }
}

/// All signing secrets of a vault. Its JSON shows them, and belongs into encrypted files only: the keyring and backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtSecrets {
    /// Signs new tokens.
    #[serde(with = "as_text")]
    pub(super) current: JwtSecret,
    /// Still verify older ones, the newest first.
    pub(super) previous: Vec<PreviousJwtSecret>,
}

impl JwtSecrets {
    /// The secret that signs new tokens.
    pub fn current(&self) -> &JwtSecret {
        &self.current
    }

    /// Those that still verify older ones, each with its end; whether that has come is for the caller to look at.
    pub fn previous(&self) -> impl Iterator<Item = (&JwtSecret, Timestamp)> {
        self.previous.iter().map(|previous| (&previous.secret, previous.valid_until))
    }

    /// How many of the older ones still verify tokens at `now`.
    pub fn in_grace(&self, now: Timestamp) -> usize {
        self.previous().filter(|(_, valid_until)| now < *valid_until).count()
    }

    /// Puts a new secret first; the current one, and those before it, verify tokens until their grace periods end.
    /// Without a grace period nothing but the new one does: all tokens that were signed until now are worthless.
    pub(super) fn rotate(&mut self, now: Timestamp, grace: Duration) -> Result<(), CryptoError> {
        let old = std::mem::replace(&mut self.current, JwtSecret::generate()?);
        self.previous.retain(|previous| now < previous.valid_until);
        if grace.is_zero() {
            self.previous.clear();
        } else {
            self.previous.insert(0, PreviousJwtSecret { secret: old, valid_until: now.plus(grace) });
        }
        Ok(())
    }
}

/// A signing secret in its grace period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    #[test]
    fn a_secret_is_itself_and_its_file_is_read_back() {
        let (one, other) = (JwtSecret::import(&[7; 32]).unwrap(), JwtSecret::import(&[8; 40]).unwrap());
        assert!(one == one.clone() && one != other && one != JwtSecret::import(&[7; 33]).unwrap());
        assert_eq!(format!("{one:?}"), "JwtSecret(…)");
        let previous = vec![PreviousJwtSecret { secret: other, valid_until: Timestamp::from_millis(5) }];
        let secrets = JwtSecrets { current: one, previous };
        let json = serde_json::to_string(&secrets).unwrap();
        assert!(serde_json::from_str::<JwtSecrets>(&json).unwrap() == secrets);
        let short = json.replace(&json[12..56], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==");
        assert_ne!(short, json);
        assert!(serde_json::from_str::<JwtSecrets>(&short).unwrap_err().to_string().contains("too short"));
    }

    #[test]
    fn an_older_secret_ends_with_its_grace_period() {
        const HOUR: Duration = Duration::from_hours(1);
        let first = JwtSecret::generate().unwrap();
        let mut secrets = JwtSecrets { current: first.clone(), previous: Vec::new() };
        let now = Timestamp::from_millis(1_000);
        secrets.rotate(now, HOUR).unwrap();
        assert!(
            *secrets.current() != first && secrets.previous().all(|(old, end)| *old == first && end == now.plus(HOUR))
        );
        assert_eq!((secrets.in_grace(now), secrets.in_grace(now.plus(HOUR))), (1, 0));
        // One that still verifies stays, behind the newer one.
        let mut early = secrets.clone();
        early.rotate(now.plus(HOUR / 2), HOUR).unwrap();
        assert!(early.previous.len() == 2 && early.previous[1].secret == first);
        // The one that ends now is gone.
        let second = secrets.current().clone();
        secrets.rotate(now.plus(HOUR), HOUR).unwrap();
        assert!(secrets.previous.len() == 1 && secrets.previous[0].secret == second);
        secrets.rotate(now.plus(HOUR), Duration::ZERO).unwrap();
        assert_eq!(secrets.previous.len(), 0);
    }
}
