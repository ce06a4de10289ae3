//! A passphrase as a person types it.
//!
//! Invariant: it wipes itself when dropped and has no `Debug` that shows it.

use age::secrecy::SecretString;

/// A passphrase.
#[derive(Clone, Debug)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes the text in.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The passphrase in the form that age takes.
    pub(super) fn to_secret(&self) -> SecretString {
        self.0.clone()
    }
}
