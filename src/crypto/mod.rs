//! The vault's keys: who may open it, what is in the keyring, and how a record is encrypted.
//!
//! Invariants: everything this layer writes is an age v1 file (C2SP age specification); every key lives in boxed memory
//! that wipes itself, and none is in an error or a `Debug` text. It reads and writes no file and knows no HTTP.

pub mod error;
pub mod identity;
pub mod keyring;
pub mod record;

mod head;
mod jwt;
mod key;
mod passphrase;
mod primitives;
mod recipient;
mod stream;

pub use error::CryptoError;
pub use identity::{GeneratedIdentity, Identities};
pub use jwt::{JwtSecret, JwtSecrets};
pub use keyring::Keyring;
pub use passphrase::Passphrase;
pub use recipient::Recipient;
pub use stream::{EncryptedWriter, decrypt_stream};
