//! The vault's keys: who may open it, what is in the keyring, and how a record is encrypted.
//!
//! Invariants: everything this layer writes is an age v1 file (C2SP age specification); every key lives in locked memory
//! that wipes itself, and none is in an error or a `Debug` text. It reads and writes no file and knows no HTTP.

pub mod error;
pub mod identity;
pub mod keyring;
pub mod record;

mod audit;
mod head;
mod jwt;
mod key;
mod locked;
mod passphrase;
mod plugin;
mod primitives;
mod recipient;
mod stream;

pub use audit::{AUDIT_TAG_LENGTH, AuditKeys, SegmentCipher};
pub use error::CryptoError;
pub use identity::{GeneratedIdentity, Identities};
pub use jwt::{JwtSecret, JwtSecrets};
pub use keyring::{Keyring, KeyringDraft, SealedKeyring};
pub use locked::KeyMemory;
pub use passphrase::Passphrase;
pub use recipient::Recipient;
pub use record::epoch_of;
pub use stream::{EncryptedWriter, decrypt_stream};
