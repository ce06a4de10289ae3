//! A second copy of the sealed head, outside of sled's log.
//!
//! sled takes damage near the end of its log for a torn write and silently goes back to the commit before it, where
//! records and head agree again. So each commit, once it is durable, leaves its sealed head here too: a head in sled
//! that is older than this one means that acknowledged commits were lost.
//!
//! Invariants: the copy is never ahead of what is durable in sled, so a power cut cannot make it lie; it is written
//! without a sync, because an older copy is only a weaker witness. Two slots, written in turn, so that a torn write
//! leaves the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::store::{Head, HeadSeal, StoreError};

const NAME: &str = "head";
const SLOT: usize = 4096;
const SLOTS: u64 = 2;

/// The file with the copy.
#[derive(Debug)]
pub(super) struct HeadCopy(File);

impl HeadCopy {
    /// Creates the file with `sealed` in all slots, durably but for its name.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`].
    pub(super) fn create(dir: &Path, sealed: &[u8]) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(dir.join(NAME))?;
        let copy = Self(file);
        copy.write_all(sealed)?;
        copy.0.sync_all()?;
        Ok(copy)
    }

    /// Opens the file and gives the newest authentic head in it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing or holds none, [`StoreError::Io`].
    pub(super) fn open(dir: &Path, seal: &dyn HeadSeal) -> Result<(Self, Head), StoreError> {
        let file = match OpenOptions::new().read(true).write(true).open(dir.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::damaged(format!("its file {NAME} is missing")));
            }
            Err(error) => return Err(error.into()),
        };
        let mut newest: Option<Head> = None;
        for slot in 0..SLOTS {
            let head = read(&file, slot).and_then(|sealed| Head::unseal(&sealed, seal).ok());
            newest = newest.into_iter().chain(head).max_by_key(|head| head.generation);
        }
        let head = newest.ok_or_else(|| StoreError::damaged(format!("its file {NAME} holds no authentic head")))?;
        Ok((Self(file), head))
    }

    /// Leaves the sealed head of a commit that is durable.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`].
    pub(super) fn write(&self, generation: u64, sealed: &[u8]) -> Result<(), StoreError> {
        let mut slot = vec![0; SLOT];
        let length = u32::try_from(sealed.len()).ok().filter(|_| sealed.len() <= SLOT - 4);
        let length = length.ok_or_else(|| StoreError::refused("the sealed head is too large"))?;
        slot[..4].copy_from_slice(&length.to_le_bytes());
        slot[4..4 + sealed.len()].copy_from_slice(sealed);
        Ok(self.0.write_all_at(&slot, generation % SLOTS * SLOT as u64)?)
    }

    /// Writes the same sealed head into all slots, one after the other.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`].
    pub(super) fn write_all(&self, sealed: &[u8]) -> Result<(), StoreError> {
        (0..SLOTS).try_for_each(|slot| self.write(slot, sealed))
    }

    /// Makes the copy survive a power cut; used when there is time for it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        Ok(self.0.sync_data()?)
    }
}

fn read(file: &File, slot: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; SLOT];
    file.read_exact_at(&mut bytes, slot * SLOT as u64).ok()?;
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?).map(<[u8]>::to_vec)
}
