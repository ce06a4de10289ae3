//! A batch of changes, its conditions, and the answer that is waited for.

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::store::{MAX_KEY, MAX_RECORD, StoreError, Table};

/// Changes that are applied together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What must hold for the batch to be applied.
    pub conditions: Vec<Condition>,
    /// What is done, in this order.
    pub operations: Vec<Operation>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Writes a record, whether there was one or not.
    Put {
        /// Which table.
        table: Table,
        /// Where.
        key: Vec<u8>,
        /// What.
        record: Vec<u8>,
    },
    /// Removes a record; no error when there is none.
    Delete {
        /// Which table.
        table: Table,
        /// Where.
        key: Vec<u8>,
    },
}

/// A claim about the record at a key before the batch is applied.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Which table.
    pub table: Table,
    /// Where.
    pub key: Vec<u8>,
    /// What is expected there.
    pub expected: Expected,
}

/// What a condition expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is no record.
    Absent,
    /// There is a record with this fingerprint.
    Unchanged(Fingerprint),
}

/// Tells a record's revisions apart: the first 16 bytes of the SHA-256 of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a record.
    pub fn of(record: &[u8]) -> Self {
        let digest = Sha256::digest(record);
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }
}

impl Operation {
    /// Bytes that it carries.
    pub fn size(&self) -> usize {
        match self {
            Self::Put { key, record, .. } => key.len() + record.len(),
            Self::Delete { key, .. } => key.len(),
        }
    }
}

impl Batch {
    /// Adds the condition that there is no record at `key`.
    pub fn expect_absent(&mut self, table: Table, key: Vec<u8>) {
        self.conditions.push(Condition { table, key, expected: Expected::Absent });
    }

    /// Adds the condition that the record at `key` is still the one with this fingerprint.
    pub fn expect_unchanged(&mut self, table: Table, key: Vec<u8>, fingerprint: Fingerprint) {
        self.conditions.push(Condition { table, key, expected: Expected::Unchanged(fingerprint) });
    }

    /// Adds a write.
    pub fn put(&mut self, table: Table, key: Vec<u8>, record: Vec<u8>) {
        self.operations.push(Operation::Put { table, key, record });
    }

    /// Adds a removal.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.operations.push(Operation::Delete { table, key });
    }

    /// Holds the batch to the limits of [`crate::store::Store`], for engines to call before anything else.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a key or record over its limit, [`StoreError::Io`] for a write to [`Table::Head`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for Condition { key, .. } in &self.conditions {
            check_key(key)?;
        }
        for operation in &self.operations {
            let (table, key) = match operation {
                Operation::Put { table, key, record } => {
                    if record.len() > MAX_RECORD {
                        return Err(StoreError::TooLarge { size: record.len() });
                    }
                    (table, key)
                }
                Operation::Delete { table, key } => (table, key),
            };
            check_key(key)?;
            if *table == Table::Head {
                return Err(StoreError::refused("the head is written by the store alone"));
            }
        }
        Ok(())
    }
}

fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.len() > MAX_KEY { Err(StoreError::TooLarge { size: key.len() }) } else { Ok(()) }
}

/// The answer to a submitted batch, to be awaited or waited for.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<(), StoreError>>);

impl Pending {
    /// A pending answer and the end that gives it.
    pub fn channel() -> (oneshot::Sender<Result<(), StoreError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// An answer that is there already.
    pub fn ready(answer: Result<(), StoreError>) -> Self {
        let (sender, pending) = Self::channel();
        // The receiver is right here, so that nothing can be lost.
        drop(sender.send(answer));
        pending
    }

    /// Blocks the thread until the answer is there. Not for use on an async runtime's thread.
    ///
    /// # Errors
    /// What the engine answered; [`StoreError::Closed`] when it went away without an answer.
    pub fn wait(self) -> Result<(), StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Waits until the answer is there.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub async fn answer(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }
}
