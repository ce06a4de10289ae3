//! Backups: one instant of the vault as an age file of JSON lines, read back, compared, and made a vault again.
//!
//! Invariants: a backup holds what was acknowledged when it began, all of it and of one instant, while writers go on; one
//! that cannot be whole is not finished; nothing of a backup is believed before it was authentic, and nothing is done with it
//! before its trailer was. The format is described in the README, so that `age -d` alone gives the secrets back.
//!
//! An age file to recipients does not say who wrote it: whoever restores one trusts the place where it was kept.

mod compare;
mod error;
mod format;
mod lines;
mod pins;
mod read;
mod restore;
mod snapshot;

pub use error::BackupError;
pub use format::{Header, RestoredRevision, SecretLine};
pub(in crate::vault) use pins::Pins;
pub use read::BackupReader;
pub use restore::{Contents, restore_records};
pub use snapshot::Snapshot;
