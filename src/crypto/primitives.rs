//! Random bytes, HMAC-SHA256 and HKDF-SHA256, in the few forms that this layer uses.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::crypto::CryptoError;

/// Fills `bytes` with random bytes of the operating system.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), CryptoError> {
    getrandom::fill(bytes).map_err(|source| CryptoError::NoRandomness { source })
}

/// HMAC-SHA256 (RFC 2104) under `key`, ready to take its message.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(super) fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// HKDF-SHA256 (RFC 5869): 32 bytes from `secret`.
#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
pub(super) fn hkdf_sha256(salt: &[u8], info: &[u8], secret: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut *derived).expect("32 bytes are within HKDF's limit");
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    #[test]
    fn hmac_answers_as_rfc_4231_has_it() {
        let tag = hmac_sha256(b"Jefe").chain_update(b"what do ya want for nothing?").finalize().into_bytes();
        assert_eq!(hex(&tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn hkdf_answers_as_rfc_5869_has_it() {
        let (salt, info): (Vec<u8>, Vec<u8>) = ((0..=0x0c).collect(), (0xf0..=0xf9).collect());
        let derived = hkdf_sha256(&salt, &info, &[0x0b; 22]);
        assert_eq!(hex(&*derived), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }
}
