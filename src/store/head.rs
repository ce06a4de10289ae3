//! The authenticated head: what the store says of all its records together.
//!
//! Invariants: the digest of a table is the sum, modulo 2^256, of a keyed digest of each of its records, so that it is
//! kept up to date by one subtraction and one addition a change; the head changes in the same batch as the records.
//! Nothing here wraps to "right" by accident: what was taken away from a table unseen stays in its sum for ever.

use crate::store::{StoreError, Table};

/// First byte of an encoded head.
const VERSION: u8 = 1;
/// Bytes of one table in an encoded head: its tag, its count, its digest.
const TABLE_LEN: usize = 1 + 8 + 32;
/// Bytes of an encoded head: the version, the generation, the tables.
const LEN: usize = 1 + 8 + TABLE_LEN * Table::ALL.len();

/// What the head says of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableHead {
    /// Number of records.
    pub count: u64,
    /// Sum of the records' keyed digests modulo 2^256, little-endian.
    pub digest: [u8; 32],
}

/// What the store says of all its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of commits since the store was created.
    pub generation: u64,
    /// One entry for each of [`Table::ALL`], in that order.
    pub tables: [TableHead; Table::ALL.len()],
}

/// The keys behind the head: what digests a record, and what seals the head itself.
///
/// The store knows no keys; whoever opens it brings this.
pub trait HeadSeal: Send + Sync + std::fmt::Debug {
    /// A keyed digest (a pseudo-random function) of a record and where it stands.
    fn digest(&self, table: Table, key: &[u8], record: &[u8]) -> [u8; 32];

    /// Encrypts and authenticates the head's bytes, giving a record.
    fn seal(&self, plain: &[u8]) -> Vec<u8>;

    /// Opens what [`HeadSeal::seal`] made; `None` when it is not authentic.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>>;
}

impl TableHead {
    /// Counts a record in.
    pub fn add(&mut self, digest: &[u8; 32]) {
        self.count = self.count.wrapping_add(1);
        let mut carry = false;
        for (sum, byte) in self.digest.iter_mut().zip(digest) {
            let (partial, first) = sum.overflowing_add(*byte);
            let (total, second) = partial.overflowing_add(u8::from(carry));
            *sum = total;
            carry = first || second;
        }
    }

    /// Counts a record out.
    pub fn remove(&mut self, digest: &[u8; 32]) {
        self.count = self.count.wrapping_sub(1);
        let mut borrow = false;
        for (sum, byte) in self.digest.iter_mut().zip(digest) {
            let (partial, first) = sum.overflowing_sub(*byte);
            let (total, second) = partial.overflowing_sub(u8::from(borrow));
            *sum = total;
            borrow = first || second;
        }
    }
}

impl Head {
    /// What the head says of `table`; `None` for [`Table::Head`], which is not vouched for by itself.
    pub fn table(&self, table: Table) -> Option<&TableHead> {
        Table::ALL.iter().position(|each| *each == table).map(|index| &self.tables[index])
    }

    /// Replaces what the head counts for a record: its digest `before` and its digest `after` the change.
    pub fn change(&mut self, table: Table, before: Option<&[u8; 32]>, after: Option<&[u8; 32]>) {
        let Some(index) = Table::ALL.iter().position(|each| *each == table) else { return };
        if let Some(digest) = before {
            self.tables[index].remove(digest);
        }
        if let Some(digest) = after {
            self.tables[index].add(digest);
        }
    }

    /// The head as bytes: version, generation, and each table's tag, count and digest; numbers little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        for (table, head) in Table::ALL.iter().zip(&self.tables) {
            bytes.push(table.tag());
            bytes.extend_from_slice(&head.count.to_le_bytes());
            bytes.extend_from_slice(&head.digest);
        }
        bytes
    }

    /// Reads what [`Head::encode`] wrote.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is of another version or shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let malformed = || StoreError::damaged("its head is malformed");
        let (version, rest) = bytes.split_first().ok_or_else(malformed)?;
        if *version != VERSION {
            return Err(StoreError::damaged(format!("its head has version {version}, this program knows {VERSION}")));
        }
        let (generation, mut rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let mut head = Self { generation: u64::from_le_bytes(*generation), ..Self::default() };
        for (table, entry) in Table::ALL.iter().zip(&mut head.tables) {
            let (tag, after_tag) = rest.split_first().ok_or_else(malformed)?;
            let (count, after_count) = after_tag.split_first_chunk().ok_or_else(malformed)?;
            let (digest, after_digest) = after_count.split_first_chunk().ok_or_else(malformed)?;
            if *tag != table.tag() {
                return Err(malformed());
            }
            *entry = TableHead { count: u64::from_le_bytes(*count), digest: *digest };
            rest = after_digest;
        }
        if rest.is_empty() { Ok(head) } else { Err(malformed()) }
    }

    /// Opens a sealed head and reads it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not authentic, or as [`Head::decode`].
    pub fn unseal(sealed: &[u8], seal: &dyn HeadSeal) -> Result<Self, StoreError> {
        let plain = seal.open(sealed).ok_or_else(|| StoreError::damaged("its head is not authentic"))?;
        Self::decode(&plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(low: u8, high: u8) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[0] = low;
        digest[31] = high;
        digest
    }

    #[test]
    fn sums_carry_and_wrap_and_are_undone_in_any_order() {
        let mut head = TableHead::default();
        head.add(&[255; 32]);
        head.add(&digest(1, 0));
        assert_eq!(head, TableHead { count: 2, digest: [0; 32] }, "the carry runs through and out at the top");
        head.add(&digest(7, 9));
        head.remove(&[255; 32]);
        head.remove(&digest(1, 0));
        assert_eq!(head, TableHead { count: 1, digest: digest(7, 9) });
    }

    #[test]
    fn a_head_is_read_back_and_other_shapes_are_refused() {
        let mut head = Head { generation: 77, ..Head::default() };
        head.change(Table::Metadata, None, Some(&[3; 32]));
        head.change(Table::Value, None, Some(&[4; 32]));
        let bytes = head.encode();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Head::decode(&bytes).unwrap(), head);
        for cut in 0..bytes.len() {
            assert!(matches!(Head::decode(&bytes[..cut]), Err(StoreError::Damaged { .. })), "{cut}");
        }
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert!(Head::decode(&newer).unwrap_err().to_string().contains("version 2"));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(Head::decode(&longer), Err(StoreError::Damaged { .. })));
    }
}
