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
