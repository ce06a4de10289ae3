//! Records: what the store keeps, each a genuine age file that is bound to its place.
//!
//! The file key is wrapped with XChaCha20-Poly1305 under a data key of the keyring, with the record's place (table, key,
//! epoch) as associated data; the rest is age v1: HKDF-SHA256, the header's MAC, the payload as STREAM.
//! Our own code writes and reads it: a general age implementation takes half as long again and a buffer of 64 KiB for
//! each small record, and accepts more than the one way to write one.
//!
//! Invariants: a record opens only where it was written for, whole and unchanged; a record is one chunk of the payload,
//! at most 64 KiB. That a record is the newest at its place is not known here: the store's head vouches for that.

mod layout;
#[cfg(test)]
mod stanza;
#[cfg(test)]
mod tests;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, XChaCha20Poly1305};
use hmac::Mac as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::key::SecretKey;
use crate::crypto::primitives::{fill_random, hkdf_sha256, hmac_sha256};
use crate::crypto::{CryptoError, Keyring};
use crate::store::Table;
use layout::{Layout, MAX_HEADER_LENGTH, PAYLOAD_NONCE_LENGTH, TAG_LENGTH, WRAP_NONCE_LENGTH, WRAPPED_LENGTH};

/// Longest plaintext of a record in bytes: one chunk of an age payload.
pub const MAX_PLAIN_LENGTH: usize = 64 * 1024;

/// Length of an age file key in bytes.
const FILE_KEY_LENGTH: usize = 16;
/// The STREAM nonce of a payload's only chunk: counter 0, and the flag of the last chunk.
const ONLY_CHUNK: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Keeps the wrapping of file keys apart from whatever else a data key may come to be used for.
const WRAP_DOMAIN: &[u8] = b"hushd/v1";

/// The number of the data key that a record says it is encrypted under; none where it is no record. It is not verified.
pub fn epoch_of(record: &[u8]) -> Option<u32> {
    Layout::parse(record).map(|layout| layout.epoch)
}

impl Keyring {
    /// Encrypts a record for one place in the store, under the current data key.
    ///
    /// # Errors
    /// [`CryptoError::RecordTooLarge`] over [`MAX_PLAIN_LENGTH`]; [`CryptoError::NoRandomness`].
    pub fn encrypt_record(&self, table: Table, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.encrypt_with_seed(&Seed::random()?, table, key, plain)
    }

    /// Opens what [`Keyring::encrypt_record`] made for the same place.
    ///
    /// # Errors
    /// [`CryptoError::RecordDamaged`] when the record is not authentic at this place;
    /// [`CryptoError::UnknownEpoch`] when the keyring has no such data key.
    pub fn decrypt_record(&self, table: Table, key: &[u8], record: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let layout = Layout::parse(record).ok_or(CryptoError::RecordDamaged)?;
        if layout.ciphertext.len() > MAX_PLAIN_LENGTH {
            return Err(CryptoError::RecordDamaged);
        }
        let place = Place { table, key, epoch: layout.epoch };
        let data_key = self.data_key(layout.epoch).ok_or(CryptoError::UnknownEpoch { epoch: layout.epoch })?;
        let file_key = unwrap_file_key(&data_key, &place, &layout.wrap_nonce, &layout.wrapped)?;
        let header_key = hkdf_sha256(&[], b"header", &*file_key);
        // In constant time, as `subtle` compares.
        hmac_sha256(&*header_key)
            .chain_update(layout.covered)
            .verify_slice(&layout.mac)
            .map_err(|_| CryptoError::RecordDamaged)?;
        let mut plain = Zeroizing::new(layout.ciphertext.to_vec());
        payload_cipher(&file_key, layout.payload_nonce)
            .decrypt_in_place_detached(&ONLY_CHUNK.into(), &[], &mut plain, layout.tag.into())
            .map_err(|_| CryptoError::RecordDamaged)?;
        Ok(plain)
    }

    /// Encrypts a record under the current data key that is under another one: the same plaintext, a new file key.
    ///
    /// # Errors
    /// As those of decrypting and encrypting it.
    pub fn reencrypt_record(&self, table: Table, key: &[u8], record: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.encrypt_record(table, key, &self.decrypt_record(table, key, record)?)
    }

    fn encrypt_with_seed(&self, seed: &Seed, table: Table, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let too_large = CryptoError::RecordTooLarge { size: plain.len() };
        if plain.len() > MAX_PLAIN_LENGTH {
            return Err(too_large);
        }
        let Seed { file_key, wrap_nonce, payload_nonce } = seed;
        let (epoch, data_key) = self.current_data_key();
        let wrapped = wrap_file_key(&data_key, &Place { table, key, epoch }, wrap_nonce, file_key)?;
        let mut record = Vec::with_capacity(MAX_HEADER_LENGTH + plain.len() + TAG_LENGTH);
        layout::write_covered(&mut record, epoch, wrap_nonce, &wrapped);
        let header_key = hkdf_sha256(&[], b"header", file_key);
        let mac = hmac_sha256(&*header_key).chain_update(&record).finalize().into_bytes();
        layout::write_mac(&mut record, &mac);
        record.extend_from_slice(payload_nonce);
        let payload = record.len();
        record.extend_from_slice(plain);
        let tag = payload_cipher(file_key, payload_nonce)
            .encrypt_in_place_detached(&ONLY_CHUNK.into(), &[], &mut record[payload..])
            .map_err(|_| too_large)?;
        record.extend_from_slice(&tag);
        Ok(record)
    }
}

/// The random bytes of a record.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Seed {
    file_key: [u8; FILE_KEY_LENGTH],
    wrap_nonce: [u8; WRAP_NONCE_LENGTH],
    payload_nonce: [u8; PAYLOAD_NONCE_LENGTH],
}

impl Seed {
    /// All of them from one call to the system.
    fn random() -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new([0; FILE_KEY_LENGTH + WRAP_NONCE_LENGTH + PAYLOAD_NONCE_LENGTH]);
        fill_random(&mut *bytes)?;
        let (file_key, nonces) = bytes.split_at(FILE_KEY_LENGTH);
        let (wrap_nonce, payload_nonce) = nonces.split_at(WRAP_NONCE_LENGTH);
        let mut seed = Self {
            file_key: [0; FILE_KEY_LENGTH],
            wrap_nonce: [0; WRAP_NONCE_LENGTH],
            payload_nonce: [0; PAYLOAD_NONCE_LENGTH],
        };
        seed.file_key.copy_from_slice(file_key);
        seed.wrap_nonce.copy_from_slice(wrap_nonce);
        seed.payload_nonce.copy_from_slice(payload_nonce);
        Ok(seed)
    }
}

/// Where a record stands, and under which data key.
struct Place<'a> {
    table: Table,
    key: &'a [u8],
    epoch: u32,
}

impl Place<'_> {
    /// The associated data of the wrapping; the key's length makes it unambiguous for whatever may come to follow.
    fn associated_data(&self) -> Vec<u8> {
        let length = u32::try_from(self.key.len()).unwrap_or(u32::MAX);
        [WRAP_DOMAIN, &[self.table.tag()], &self.epoch.to_be_bytes(), &length.to_be_bytes(), self.key].concat()
    }
}

fn wrap_file_key(
    data_key: &SecretKey,
    place: &Place<'_>,
    nonce: &[u8; WRAP_NONCE_LENGTH],
    file_key: &[u8; FILE_KEY_LENGTH],
) -> Result<[u8; WRAPPED_LENGTH], CryptoError> {
    let mut wrapped = [0; WRAPPED_LENGTH];
    let (key, tag) = wrapped.split_at_mut(FILE_KEY_LENGTH);
    key.copy_from_slice(file_key);
    let sealed = XChaCha20Poly1305::new(data_key.expose_secret().into())
        .encrypt_in_place_detached(nonce.into(), &place.associated_data(), key)
        .map_err(|_| CryptoError::RecordTooLarge { size: place.key.len() })?;
    tag.copy_from_slice(&sealed);
    Ok(wrapped)
}

fn unwrap_file_key(
    data_key: &SecretKey,
    place: &Place<'_>,
    nonce: &[u8; WRAP_NONCE_LENGTH],
    wrapped: &[u8; WRAPPED_LENGTH],
) -> Result<Zeroizing<[u8; FILE_KEY_LENGTH]>, CryptoError> {
    let (sealed, tag) = wrapped.split_at(FILE_KEY_LENGTH);
    let mut file_key = Zeroizing::new([0; FILE_KEY_LENGTH]);
    file_key.copy_from_slice(sealed);
    XChaCha20Poly1305::new(data_key.expose_secret().into())
        .decrypt_in_place_detached(nonce.into(), &place.associated_data(), &mut *file_key, tag.into())
        .map_err(|_| CryptoError::RecordDamaged)?;
    Ok(file_key)
}

fn payload_cipher(file_key: &[u8; FILE_KEY_LENGTH], nonce: &[u8; PAYLOAD_NONCE_LENGTH]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&*hkdf_sha256(nonce, b"payload", file_key)).into())
}
