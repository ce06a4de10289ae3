//! The audit trail: an encrypted, chained record of who did what, kept in segments of files.
//!
//! # What stands when
//!
//! - The entry of a reveal is written to the file before the value leaves: it survives kill -9. It is brought to the disk
//!   about a second later, so a power cut may take the last ones.
//! - The entry of a change rides in the change's own batch in the store (the *outbox*), so that neither exists without the
//!   other, whatever happens. It is then appended here, under an identifier of its own, and taken out of the outbox by a
//!   later batch, which also notes the trail's position (the [`Mark`]) once that position is on the disk. After a crash the
//!   outbox holds at most what was committed since the mark; those that do not stand in the trail after the mark are
//!   appended then: each exactly once.
//! - Refusals and failed authentications are recorded at once; repeats of the same within a minute share one entry with a
//!   count, and so do all those beyond a limit, so that nobody can fill the disk with them.
//!
//! # What is found
//!
//! Each frame is encrypted, authenticates its place, and names the keyed digest of the frame before it; the vault's mark
//! and anchors outside name a digest near the end. So an entry that was changed, removed, put elsewhere or doubled is
//! found anywhere, and a cut-off end up to the last mark or anchor. Marks and anchors only name positions that are on the
//! disk, so that neither a kill nor a power cut looks like tampering.
//!
//! Invariants: no value and no credential ever gets here; nothing on the path of a read waits for the disk; a vault that is
//! restored from a backup begins a new trail. It knows nothing of policies, secrets' values and HTTP.

mod consumers;
mod entry;
mod error;
mod frame;
mod outside;
mod reader;
mod refusals;
mod resume;
mod segment;
mod trail;
mod verify;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

pub use consumers::{Consumer, Consumers};
pub use entry::{Action, Actor, Entry, Numbered, Outcome};
pub use error::AuditError;
pub use frame::Link;
pub use outside::{JOURNAL, Outlet};
pub use reader::{Filter, Page};
pub use refusals::Refusals;
pub use resume::Mark;
pub use trail::{Counters, Opened, Trail, TrailOptions, Unsynced};
pub use verify::{Anchor, Fault, InvalidAnchor, Report, verify};
