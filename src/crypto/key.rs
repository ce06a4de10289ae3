//! A key of 32 bytes.
//!
//! Invariants: it lives in the memory for keys, so that moving it leaves no copy behind, and wipes itself when dropped; in
//! JSON it is base64 text, and only the keyring's own encrypted file ever holds that.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::CryptoError;
use crate::crypto::locked::LockedBytes;
use crate::crypto::primitives::fill_random;

/// A key of 32 bytes.
pub(super) struct SecretKey(LockedBytes);

impl SecretKey {
    /// Length in bytes.
    pub(super) const LENGTH: usize = 32;

    /// A new random key.
    pub(super) fn generate() -> Result<Self, CryptoError> {
        let mut key = Self(LockedBytes::zeroed(Self::LENGTH));
        fill_random(&mut key.0)?;
        Ok(key)
    }

    /// The key itself, of [`SecretKey::LENGTH`] bytes.
    #[expect(clippy::expect_used, reason = "every constructor gives it its length")]
    pub(super) fn expose_secret(&self) -> &[u8; Self::LENGTH] {
        self.0.first_chunk().expect("every constructor gives it its length")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl serde::Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize_bytes(deserializer)?;
        if bytes.len() != Self::LENGTH {
            return Err(D::Error::custom("a key of another length"));
        }
        Ok(Self(LockedBytes::copy_of(&bytes)))
    }
}

/// Writes secret bytes as base64 text, leaving no copy of the text.
pub(super) fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Zeroizing::new(STANDARD.encode(bytes)))
}

/// Reads secret bytes from base64 text; an error does not repeat the text.
pub(super) fn deserialize_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
    /// Borrows the text where the input allows it, so that it is not copied.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let text = match Text::deserialize(deserializer)?.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let decoded = STANDARD.decode(&text).map(Zeroizing::new);
    if let Cow::Owned(mut copy) = text {
        copy.zeroize();
    }
    decoded.map_err(|_| D::Error::custom("a key that is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_text_and_shown_nowhere_else() {
        let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_ne!(key.expose_secret(), other.expose_secret());
        assert_eq!(format!("{key:?}"), "SecretKey(…)");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{}\"", STANDARD.encode(key.expose_secret())));
        let read = |text: &str| serde_json::from_str::<SecretKey>(text).map(|key| *key.expose_secret());
        assert_eq!(read(&text).unwrap(), *key.expose_secret());
        // Text that cannot be borrowed is read as well: an escape is one of JSON's own.
        assert_eq!(
            read(&text.replacen(&text[1..2], &format!("\\u{:04x}", text.as_bytes()[1]), 1)).unwrap(),
            *key.expose_secret()
        );
        for (wrong, said) in [("\"AAAA\"", "another length"), ("\"A?AA\"", "not base64"), ("7", "invalid type")] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("A?AA"), "{error}");
        }
    }
}
