//! Age files of any length, encrypted and decrypted as they pass: what backups are made of.
//!
//! Invariants: what is written is an ordinary binary age v1 file to recipients; what is read is authentic piece by piece,
//! and whole only when its end was reached. It knows nothing of what is inside.

use std::io::{self, BufRead, Read, Write};

use age::armor::ArmoredReader;
use age::stream::StreamWriter;
use age::{DecryptError, Decryptor, Encryptor};

use crate::crypto::{CryptoError, Identities, Recipient};

/// An age file that is being written.
pub struct EncryptedWriter<W: Write>(StreamWriter<W>);

impl<W: Write> EncryptedWriter<W> {
    /// Writes the header of an age file to these recipients, each of which alone can open it.
    ///
    /// # Errors
    /// [`CryptoError::NoRecipients`], [`CryptoError::EncryptionFailed`].
    pub fn new(recipients: &[Recipient], output: W) -> Result<Self, CryptoError> {
        if recipients.is_empty() {
            return Err(CryptoError::NoRecipients);
        }
        let failed = |source| CryptoError::EncryptionFailed { source };
        let encryptor = Encryptor::with_recipients(recipients.iter().map(Recipient::as_age)).map_err(failed)?;
        encryptor.wrap_output(output).map(Self).map_err(|error| failed(error.into()))
    }

    /// Writes the end, without which the file counts as cut.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> std::fmt::Debug for EncryptedWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptedWriter(…)")
    }
}

impl<W: Write> Write for EncryptedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Opens an age file, armored or not. What is read fails with [`io::ErrorKind::InvalidData`] or
/// [`io::ErrorKind::UnexpectedEof`] where the file was changed or cut.
///
/// # Errors
/// [`CryptoError::NotForIdentity`], [`CryptoError::AgeFileDamaged`].
pub fn decrypt_stream<'a>(file: impl BufRead + 'a, identities: &Identities) -> Result<Box<dyn Read + 'a>, CryptoError> {
    let damaged = |message: &str| CryptoError::AgeFileDamaged { message: message.to_owned() };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| {
        damaged(if matches!(error, DecryptError::UnknownFormat) {
            "its age format is not v1"
        } else {
            "it does not start with the whole header of an age file"
        })
    })?;
    if decryptor.is_scrypt() {
        return Err(damaged("it is encrypted to a passphrase instead of recipients"));
    }
    let reader = decryptor.decrypt(identities.as_age()).map_err(|error| {
        if matches!(error, DecryptError::NoMatchingKeys) {
            CryptoError::NotForIdentity
        } else {
            damaged("its header was changed")
        }
    })?;
    Ok(Box::new(reader))
}
