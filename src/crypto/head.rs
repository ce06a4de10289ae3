//! The keyring's side of the store's authenticated head.

use std::sync::Arc;

use hmac::Mac as _;

use crate::crypto::Keyring;
use crate::crypto::primitives::hmac_sha256;
use crate::store::{HeadSeal, Table};

/// Where the head stands, for its associated data.
const HEAD_KEY: &[u8] = b"head";

/// Digests records and seals the head with a keyring's keys.
#[derive(Debug)]
pub(super) struct KeyringSeal(Arc<Keyring>);

impl KeyringSeal {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self(keyring)
    }
}

impl HeadSeal for KeyringSeal {
    /// HMAC-SHA256 over the table's tag, the key's length (4 bytes, big-endian), the key and the record.
    fn digest(&self, table: Table, key: &[u8], record: &[u8]) -> [u8; 32] {
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        hmac_sha256(self.0.head_key().expose_secret())
            .chain_update([table.tag()])
            .chain_update(length.to_be_bytes())
            .chain_update(key)
            .chain_update(record)
            .finalize()
            .into_bytes()
            .into()
    }

    #[expect(clippy::expect_used, reason = "a commit without a head would lose the vault: stop before it instead")]
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        self.0.encrypt_record(Table::Head, HEAD_KEY, plain).expect("the system gives random bytes")
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        // The head holds counts and digests, nothing that would have to be wiped.
        self.0.decrypt_record(Table::Head, HEAD_KEY, sealed).ok().map(|plain| plain.to_vec())
    }
}
