//! What can go wrong with keys and records.
//!
//! Invariant: no variant holds a key, a passphrase, a plaintext or a piece of one. Each is told apart because whoever
//! shows it has another advice for it.

/// An error of identities, recipients, the keyring or a record.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are neither an age identity file nor an SSH private key.
    #[error("this is not an age identity file or an SSH private key")]
    NotAnIdentity,
    /// The program of an age plugin is not there.
    #[error("the age plugin {name} is not installed")]
    PluginMissing {
        /// Which one.
        name: String,
    },
    /// The file is an identity of a kind that cannot be used.
    #[error("this kind of identity is not supported: {kind}")]
    UnsupportedIdentity {
        /// Which kind, in words.
        kind: String,
    },
    /// The identity file is recognised, but cut or changed.
    #[error("the identity file is damaged")]
    IdentityDamaged,
    /// The identity is encrypted and no passphrase was given.
    #[error("the identity is encrypted and needs its passphrase")]
    PassphraseNeeded,
    /// The identity is encrypted to another passphrase.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The identity's passphrase was stretched more than this program is willing to compute.
    #[error("the identity's scrypt work factor is {found}, over the limit of {limit}")]
    ExcessiveWork {
        /// The file's work factor, as a power of two.
        found: u8,
        /// The highest accepted one.
        limit: u8,
    },
    /// The text is no recipient that can be used.
    #[error("not a usable recipient: {text:?} ({reason})")]
    InvalidRecipient {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text given as a recipient is a private key, which is not repeated here.
    #[error("this is a private key where a recipient, the public half, was expected")]
    PrivateKeyAsRecipient,
    /// A keyring needs at least one recipient.
    #[error("a keyring needs at least one recipient")]
    NoRecipients,
    /// The keyring was made for other identities.
    #[error("the identity does not match any recipient of the keyring")]
    NoMatchingIdentity,
    /// An age file was made for other identities.
    #[error("the identity does not open it: it was encrypted to others, or its header was changed")]
    NotForIdentity,
    /// An age file is cut, changed, or none at all.
    #[error("it is no whole age file: {message}")]
    AgeFileDamaged {
        /// What was found.
        message: String,
    },
    /// The keyring is cut, changed, or no keyring at all.
    #[error("the keyring is damaged: {message}")]
    KeyringDamaged {
        /// What was found.
        message: String,
    },
    /// The keyring was written by a newer program.
    #[error("the keyring has format {found}, and this program knows formats up to {supported}")]
    UnsupportedFormat {
        /// The format's number.
        found: u64,
        /// The newest that is known.
        supported: u64,
    },
    /// A signing secret is too short (RFC 7518, section 3.2: at least 256 bits for HS256).
    #[error("the secret has {length} bytes, and HS256 needs at least {minimum}")]
    WeakSecret {
        /// Its length in bytes.
        length: usize,
        /// The least length in bytes.
        minimum: usize,
    },
    /// The record is not authentic where it stands: cut, changed, moved, or not a record.
    #[error("the record is damaged")]
    RecordDamaged,
    /// The record names a data key that the keyring does not have.
    #[error("the record is encrypted under data key {epoch}, which is not in the keyring")]
    UnknownEpoch {
        /// The data key's number.
        epoch: u32,
    },
    /// A record holds at most 64 KiB.
    #[error("{size} bytes are over the limit of a record")]
    RecordTooLarge {
        /// The plaintext's size in bytes.
        size: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness {
        /// What it said.
        #[source]
        source: getrandom::Error,
    },
    /// Writing an age file failed.
    #[error("an age file could not be written")]
    EncryptionFailed {
        /// What age said.
        #[source]
        source: age::EncryptError,
    },
}
