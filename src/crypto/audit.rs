//! The audit trail's keys: what encrypts a segment of it, and what chains its frames.
//!
//! Invariants: both are derived from the keyring's audit key, and what decrypts is wiped when dropped; a segment's key is bound to the random
//! salt in its header, so that a number is never used twice under one key. It knows nothing of files and entries.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::crypto::key::SecretKey;
use crate::crypto::primitives::{fill_random, hkdf_sha256, hmac_sha256};
use crate::crypto::{CryptoError, Keyring};

/// Length of the tag of an encrypted frame, in bytes.
pub const AUDIT_TAG_LENGTH: usize = 16;

const CHAIN_DOMAIN: &[u8] = b"hushd/v1 audit chain";
const SEGMENT_DOMAIN: &[u8] = b"hushd/v1 audit segment";

/// The keys of one vault's audit trail.
pub struct AuditKeys {
    /// The audit key itself, in the keyring's locked memory.
    key: Arc<SecretKey>,
    /// Has taken in the chain's key, and is cloned for each digest.
    chain: Hmac<Sha256>,
}

/// Encrypts and decrypts the frames of one segment.
pub struct SegmentCipher(ChaCha20Poly1305);

impl Keyring {
    /// The keys of the audit trail.
    pub fn audit_keys(&self) -> AuditKeys {
        let key = self.audit_key();
        let chain = hmac_sha256(&*hkdf_sha256(&[], CHAIN_DOMAIN, key.expose_secret()));
        AuditKeys { key, chain }
    }
}

impl AuditKeys {
    /// The chain's keyed digest (HMAC-SHA256) of `parts`, one after the other.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let digest = parts.iter().fold(self.chain.clone(), Hmac::chain_update);
        digest.finalize().into_bytes().into()
    }

    /// The cipher of the segment that has this salt.
    pub fn segment(&self, salt: &[u8; 32]) -> SegmentCipher {
        let key = hkdf_sha256(salt, SEGMENT_DOMAIN, self.key.expose_secret());
        SegmentCipher(ChaCha20Poly1305::new((&*key).into()))
    }

    /// The salt of a new segment.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn new_salt(&self) -> Result<[u8; 32], CryptoError> {
        let mut salt = [0; 32];
        fill_random(&mut salt)?;
        Ok(salt)
    }
}

impl SegmentCipher {
    /// Encrypts `bytes` in place and gives the tag. `number` must never have been used for this segment before.
    ///
    /// # Errors
    /// [`CryptoError::RecordTooLarge`] over 256 GiB.
    pub fn seal(
        &self,
        number: u32,
        associated: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; AUDIT_TAG_LENGTH], CryptoError> {
        let too_large = CryptoError::RecordTooLarge { size: bytes.len() };
        let sealed = self.0.encrypt_in_place_detached(&nonce(number).into(), associated, bytes);
        sealed.map(Into::into).map_err(|_| too_large)
    }

    /// Decrypts `bytes` in place; nothing when they are not authentic.
    #[must_use]
    pub fn open(&self, number: u32, associated: &[u8], bytes: &mut [u8], tag: &[u8; AUDIT_TAG_LENGTH]) -> Option<()> {
        self.0.decrypt_in_place_detached(&nonce(number).into(), associated, bytes, tag.into()).ok()
    }
}

fn nonce(number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    nonce
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKeys(…)")
    }
}

impl fmt::Debug for SegmentCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentCipher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keyring::tests::fixed_keyring;

    #[test]
    fn the_chains_digest_is_of_all_parts_under_a_key_of_its_own() {
        let keys = fixed_keyring().audit_keys();
        let key = hkdf_sha256(&[], b"hushd/v1 audit chain", &[0x0c; 32]);
        let expected: [u8; 32] = hmac_sha256(&*key).chain_update("one two").finalize().into_bytes().into();
        assert_eq!(keys.digest(&[b"one", b" ", b"two"]), expected);
        assert_ne!(keys.digest(&[b"one", b"two"]), expected);
    }

    #[test]
    fn a_frame_opens_in_its_place_only() {
        let keys = fixed_keyring().audit_keys();
        let (salt, other) = (keys.new_salt().unwrap(), keys.new_salt().unwrap());
        assert!(salt != other && salt != [0; 32] && salt != [1; 32]);
        let cipher = keys.segment(&salt);
        let seal = |number| {
            let mut bytes = *b"an entry";
            let tag = cipher.seal(number, b"associated", &mut bytes).unwrap();
            (bytes, tag)
        };
        let open = |cipher: &SegmentCipher, number, associated: &[u8], (mut bytes, tag): ([u8; 8], [u8; 16])| {
            cipher.open(number, associated, &mut bytes, &tag).map(|()| bytes)
        };
        let sealed = seal(7);
        assert!(sealed.0 != *b"an entry" && sealed != seal(8));
        assert_eq!(open(&cipher, 7, b"associated", sealed), Some(*b"an entry"));
        assert_eq!(open(&cipher, 8, b"associated", sealed), None);
        assert_eq!(open(&cipher, 7, b"elsewhere", sealed), None);
        assert_eq!(open(&keys.segment(&other), 7, b"associated", sealed), None);
        assert_eq!(open(&cipher, 7, b"associated", (sealed.0, [0; 16])), None);
        assert_eq!(nonce(0x0403_0201), [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(format!("{keys:?} {cipher:?}"), "AuditKeys(…) SegmentCipher(…)");
    }
}
