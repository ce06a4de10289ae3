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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::GeneratedIdentity;

    fn identity() -> (Recipient, Identities) {
        let made = GeneratedIdentity::generate(Timestamp::from_millis(0));
        let opened = Identities::parse(made.file_text().as_bytes(), &mut || None).unwrap();
        (made.recipient(), opened)
    }

    fn read(file: &[u8], identities: &Identities) -> Result<Vec<u8>, String> {
        let mut reader = decrypt_stream(file, identities).map_err(|error| error.to_string())?;
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).map(|_| plain).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_whole_and_by_its_recipients_only() {
        let ((recipient, ours), (_, foreign)) = (identity(), identity());
        let plain: Vec<u8> = (0..=u8::MAX).cycle().take(200_000).collect();
        let mut writer = EncryptedWriter::new(&[recipient], Vec::new()).unwrap();
        assert_eq!(format!("{writer:?}"), "EncryptedWriter(…)");
        writer.write_all(&plain).unwrap();
        writer.flush().unwrap();
        let file = writer.finish().unwrap();
        assert!(file.starts_with(b"age-encryption.org/v1\n") && file.len() > plain.len());
        assert_eq!(read(&file, &ours).unwrap(), plain);
        assert!(matches!(decrypt_stream(&*file, &foreign), Err(CryptoError::NotForIdentity)));
        for cut in [file.len() - 1, file.len() - 100_000] {
            assert!(read(&file[..cut], &ours).is_err(), "cut to {cut}");
        }
        let mut changed = file.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(read(&changed, &ours).is_err());
    }

    #[test]
    fn what_cannot_be_written_or_read_is_told_apart() {
        let (recipient, ours) = identity();
        assert!(matches!(EncryptedWriter::new(&[], Vec::new()), Err(CryptoError::NoRecipients)));
        let file = EncryptedWriter::new(&[recipient], Vec::new()).unwrap().finish().unwrap();
        let mut newer = file.clone();
        newer[20] = b'2';
        let text = String::from_utf8_lossy(&file).into_owned();
        let mac = text.find("--- ").unwrap() + 4;
        let mut edited = file.clone();
        edited[mac] = if edited[mac] == b'A' { b'B' } else { b'A' };
        let passphrase = age::encrypt(&age::scrypt::Recipient::new("open sesame".to_owned().into()), b"x").unwrap();
        for (file, message) in [
            (newer, "format is not v1"),
            (file[..mac].to_vec(), "whole header"),
            (edited, "its header was changed"),
            (passphrase, "encrypted to a passphrase"),
        ] {
            let error = read(&file, &ours).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
