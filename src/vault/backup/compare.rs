//! The drill's second half: everything in a vault against everything in the backup that it was restored from.
//!
//! Invariant: it looks at the vault as it was opened from its store, not at what was handed to it.

use crate::vault::Vault;
use crate::vault::backup::format::KeysLine;
use crate::vault::backup::restore::to_record;
use crate::vault::backup::{BackupError, BackupReader, Contents};

impl Vault {
    /// Compares all metadata, values, revisions, API keys and signing secrets with a backup, which is read to its end.
    ///
    /// # Errors
    /// [`BackupError::Differs`] with what differs, and those of reading the backup.
    pub fn compare_with(&self, mut backup: BackupReader<'_>) -> Result<Contents, BackupError> {
        let differs = |message: String| Err(BackupError::Differs { message });
        if let Some(problem) = self.problems().first() {
            return differs(problem.clone());
        }
        if KeysLine::of(&self.authenticator) != backup.keys().sorted() {
            return differs("the digests of the API keys or of the tokens".to_owned());
        }
        if backup.take_signing_secrets() != Some(self.keyring.signing_secrets()) {
            return differs("the signing secrets".to_owned());
        }
        let mut contents = Contents::default();
        while let Some(secret) = backup.next_secret()? {
            contents.add(&secret);
            let expected = to_record(&secret)?;
            let entry = self.index.read().get(&expected.namespace, &expected.key).cloned();
            let Some(entry) = entry.filter(|entry| entry.record == expected) else {
                return differs(format!("the metadata of the secret {}", secret.id));
            };
            for (kept, backed_up) in entry.record.revisions.iter().zip(&secret.revisions) {
                if self.decrypt_value(&entry, kept)? != backed_up.value {
                    return differs(format!("revision {} of the secret {}", kept.revision, secret.id));
                }
            }
        }
        let found = self.overview().total;
        if found != contents.secrets {
            return differs(format!("{found} secrets instead of {}", contents.secrets));
        }
        Ok(contents)
    }
}
