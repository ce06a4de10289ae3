//! A backup, read line by line.
//!
//! Invariants: what comes before the secrets is read when it is opened; the end is reached only where the trailer fits what
//! was read and nothing follows it, so whoever got the end has read a whole backup.

use std::io::{self, BufRead};

use sha2::{Digest as _, Sha256};

use crate::crypto::{Identities, JwtSecrets, decrypt_stream};
use crate::vault::backup::BackupError;
use crate::vault::backup::format::{
    FORMAT, Format, HEADER, Header, KEYS, KeysLine, Kind, SECRET, SIGNING, SecretLine, SigningLine, TRAILER, Trailer,
};
use crate::vault::backup::lines::Lines;

/// A backup that is being read.
pub struct BackupReader<'a> {
    lines: Lines<'a>,
    digest: Sha256,
    count: u64,
    header: Header,
    signing: Option<JwtSecrets>,
    keys: KeysLine,
    secrets: u64,
    revisions: u64,
}

impl<'a> BackupReader<'a> {
    /// Opens a backup and reads what comes before the secrets.
    ///
    /// # Errors
    /// [`BackupError::Open`], [`BackupError::UnsupportedFormat`], [`BackupError::Damaged`], [`BackupError::Read`].
    pub fn open(file: impl BufRead + 'a, identities: &Identities) -> Result<Self, BackupError> {
        let plain = decrypt_stream(file, identities).map_err(|source| BackupError::Open { source })?;
        let mut lines = Lines::new(plain);
        let mut digest = Sha256::new();
        let header = first(&mut lines, &mut digest, 1, HEADER, |line| {
            let Format { format } = parse(line, 1)?;
            if format > FORMAT {
                return Err(BackupError::UnsupportedFormat { found: format, supported: FORMAT });
            }
            parse(line, 1)
        })?;
        let signing: SigningLine = first(&mut lines, &mut digest, 2, SIGNING, |line| parse(line, 2))?;
        let keys = first(&mut lines, &mut digest, 3, KEYS, |line| parse(line, 3))?;
        Ok(Self { lines, digest, count: 3, header, signing: Some(signing.jwt), keys, secrets: 0, revisions: 0 })
    }

    /// What this is a backup of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The signing secrets, once.
    pub fn take_signing_secrets(&mut self) -> Option<JwtSecrets> {
        self.signing.take()
    }

    pub(super) fn keys(&self) -> &KeysLine {
        &self.keys
    }

    /// The next secret; none when all were read and the backup is whole.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Read`].
    pub fn next_secret(&mut self) -> Result<Option<SecretLine>, BackupError> {
        let number = self.count + 1;
        let line = next(&mut self.lines, number)?;
        let Kind { kind } = parse(line, number)?;
        if kind == SECRET {
            self.digest.update(line);
            self.digest.update(b"\n");
            self.count = number;
            let secret: SecretLine = parse(line, number)?;
            self.secrets += 1;
            self.revisions += secret.revisions.len() as u64;
            return Ok(Some(secret));
        }
        if kind != TRAILER {
            return Err(BackupError::damaged(format!("line {number} is of a kind that is not known")));
        }
        let trailer: Trailer = parse(line, number)?;
        if (trailer.lines, trailer.sha256) != (self.count, format!("{:x}", self.digest.clone().finalize())) {
            return Err(BackupError::damaged("its trailer does not fit its lines"));
        }
        if (self.secrets, self.revisions) != (self.header.secrets, self.header.revisions) {
            return Err(BackupError::damaged("it has not as many secrets or revisions as its header says"));
        }
        match self.lines.next() {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err(BackupError::damaged("something follows its trailer")),
            Err(error) => Err(unreadable(error, number + 1)),
        }
    }
}

impl std::fmt::Debug for BackupReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupReader").field("header", &self.header).finish_non_exhaustive()
    }
}

fn first<T>(
    lines: &mut Lines<'_>,
    digest: &mut Sha256,
    number: u64,
    expected: &str,
    parsed: impl FnOnce(&[u8]) -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    let line = next(lines, number)?;
    let Kind { kind } = parse(line, number)?;
    if kind != expected {
        return Err(BackupError::damaged(format!("line {number} is not its {expected}")));
    }
    digest.update(line);
    digest.update(b"\n");
    parsed(line)
}

fn next<'a>(lines: &'a mut Lines<'_>, number: u64) -> Result<&'a [u8], BackupError> {
    match lines.next() {
        Ok(Some(line)) => Ok(line),
        Ok(None) => Err(BackupError::damaged(format!("it ends before line {number}, without a trailer"))),
        Err(error) => Err(unreadable(error, number)),
    }
}

/// An error of the age file is damage, one of the disk is not.
fn unreadable(source: io::Error, number: u64) -> BackupError {
    if matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
        BackupError::damaged(format!("it was changed or cut at or before line {number}"))
    } else {
        BackupError::Read { source }
    }
}

/// serde_json's messages repeat what they stumble over, which may be a value: only the place is told.
fn parse<'de, T: serde::Deserialize<'de>>(line: &'de [u8], number: u64) -> Result<T, BackupError> {
    serde_json::from_slice(line).map_err(|_| misread(number))
}

fn misread(number: u64) -> BackupError {
    BackupError::damaged(format!("line {number} is not what it should be"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::{EncryptedWriter, GeneratedIdentity};

    /// What comes of a file with these lines.
    fn open(lines: &str) -> Result<(), BackupError> {
        let identity = GeneratedIdentity::generate(Timestamp::from_millis(0));
        let mut writer = EncryptedWriter::new(&[identity.recipient()], Vec::new()).unwrap();
        writer.write_all(lines.as_bytes()).unwrap();
        let file = writer.finish().unwrap();
        let identities = Identities::parse(identity.file_text().as_bytes(), &mut || None).unwrap();
        BackupReader::open(&*file, &identities).map(|_| ())
    }

    #[test]
    fn a_newer_format_is_refused_whatever_it_holds() {
        let error = open("{\"type\":\"header\",\"format\":2,\"novel\":true}\n{\"type\":\"novel\"}\n").unwrap_err();
        assert!(matches!(error, BackupError::UnsupportedFormat { found: 2, supported: 1 }), "{error}");
        assert_eq!(error.to_string(), "the backup has format 2, and this program knows formats up to 1");
    }

    #[test]
    fn what_is_no_backup_is_said_to_be_none() {
        for lines in ["", "secret\n", "{}\n", "{\"type\":\"header\",\"format\":1}\n", "{\"type\":\"keys\"}\n"] {
            let error = open(lines).unwrap_err();
            assert!(matches!(error, BackupError::Damaged { .. }), "{lines}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
