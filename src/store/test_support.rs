//! A head's seal for tests: keyed, authentic, not secret.
//!
//! It stands in for the one of the crypto layer, which the store does not know.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::store::{HeadSeal, Table};

/// A seal of `mac || plain`.
#[derive(Clone, Debug)]
pub(crate) struct TestSeal(pub(crate) [u8; 32]);

impl TestSeal {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).unwrap();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap().to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl HeadSeal for TestSeal {
    fn digest(&self, table: Table, key: &[u8], record: &[u8]) -> [u8; 32] {
        self.mac(&[b"record", &[table.tag()], key, record])
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        [self.mac(&[b"head", plain]).as_slice(), plain].concat()
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (mac, plain) = sealed.split_first_chunk::<32>()?;
        (*mac == self.mac(&[b"head", plain])).then(|| plain.to_vec())
    }
}
