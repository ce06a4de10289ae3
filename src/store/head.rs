//! The authenticated head: what the store says of all its records together.
//!
//! Invariants: the digest of a table is the sum, modulo 2^256, of a keyed digest of each of its records, so that it is
//! kept up to date by one subtraction and one addition a change; the head changes in the same batch as the records.

use crate::store::Table;

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
