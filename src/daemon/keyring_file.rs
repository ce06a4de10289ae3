//! `keyring.age` on the disk: how it is replaced, and how an older format becomes the newest.
//!
//! Invariants: killed at any point there is the old keyring or the new one under its name, whole; the old one is kept
//! beside it until the new one was read back; before a format is migrated, the file as it was is put aside for good.
//! `recipients.txt` is a copy for people: the keyring itself says whom it is for.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::crypto::{CryptoError, Identities, Keyring, Recipient, SealedKeyring};
use crate::daemon::directory::VaultDirectory;
use crate::daemon::{DaemonError, check::full_text};
use crate::paths::{PathsError, PrivateFile, is_unfinished, read_private, replace_private, sync_directory};
use crate::vault::{KeyringFile, KeyringFileError};

/// The keyring's file in a vault's directory.
#[derive(Debug)]
pub(super) struct KeyringInDirectory(pub(super) Arc<VaultDirectory>);

impl KeyringFile for KeyringInDirectory {
    fn replace(&self, sealed: &SealedKeyring, recipients: &[Recipient]) -> Result<(), KeyringFileError> {
        self.put(sealed).map_err(ReplaceError::into_keyring_error)?;
        self.list(recipients);
        Ok(())
    }
}

/// Why the keyring could not be replaced.
#[derive(Debug, thiserror::Error)]
enum ReplaceError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("cannot {doing}")]
    Io { doing: &'static str, source: io::Error },
    #[error("the new keyring cannot be read back; the old one is in its place again")]
    ReadBack { source: CryptoError },
}

impl ReplaceError {
    fn into_keyring_error(self) -> KeyringFileError {
        let source = match &self {
            Self::Paths(PathsError::Io { source, .. }) | Self::Io { source, .. } => Some(source.kind()),
            Self::Paths(_) | Self::ReadBack { .. } => None,
        };
        match source {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => KeyringFileError::Full,
            Some(_) | None => KeyringFileError::Failed { message: full_text(&self) },
        }
    }
}

impl KeyringInDirectory {
    /// Removes the old keyring that a change which was interrupted left beside the new one.
    pub(super) fn clear_leftover(&self) {
        if let Err(error) = fs::remove_file(self.old())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the keyring that an interrupted change left cannot be removed");
        }
    }

    /// Removes the files beside it that whoever was killed had begun to write.
    pub(super) fn clear_unfinished(&self) {
        let Ok(entries) = fs::read_dir(self.0.path()) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(is_unfinished)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "a file that was begun and never finished cannot be removed");
            }
        }
    }

    /// Brings a keyring that was just opened to the newest format, and the list for people in step with it.
    ///
    /// # Errors
    /// [`DaemonError::Keyring`] and those of writing; then the keyring is as it was.
    pub(super) fn migrate(&self, keyring: &Keyring, identities: &Identities) -> Result<(), DaemonError> {
        if let Some(recipients) = keyring.recipients() {
            if self.listed().ok().is_none_or(|listed| !same(&listed, &recipients)) {
                self.list(&recipients);
            }
            return Ok(());
        }
        let listed = match self.listed() {
            Ok(listed) if !listed.is_empty() => listed,
            Ok(_) => return unlisted("it is empty"),
            Err(reason) => return unlisted(&reason),
        };
        let path = self.0.keyring();
        let bytes = read_private(&path)?;
        if stanzas(&bytes) != listed.len() || !identities.recipients().iter().any(|own| listed.contains(own)) {
            return unlisted("it is not whom the keyring is encrypted to");
        }
        let aside = self.0.path().join("keyring.age.format-1");
        replace_private(&aside, &bytes)?;
        let failed = |source| DaemonError::Keyring { path: path.clone(), source };
        let mut draft = keyring.draft();
        draft.set_recipients(listed);
        let sealed = draft.seal().map_err(failed)?;
        self.put(&sealed)
            .map_err(|error| DaemonError::io("migrate the keyring")(io::Error::other(full_text(&error))))?;
        keyring.install(draft);
        tracing::info!(kept = %aside.display(), "the keyring was brought to format 2; the old file is kept");
        Ok(())
    }

    fn put(&self, sealed: &SealedKeyring) -> Result<(), ReplaceError> {
        let (path, old) = (self.0.keyring(), self.old());
        let io = |doing| move |source| ReplaceError::Io { doing, source };
        let read_back = |written: &[u8]| sealed.read_back(written).map_err(|source| ReplaceError::ReadBack { source });
        let mut file = PrivateFile::create(&path)?;
        file.write_all(sealed.bytes()).map_err(io("write the new keyring"))?;
        file.sync()?;
        read_back(&read_private(file.partial_path())?)?;
        self.clear_leftover();
        fs::hard_link(&path, &old).map_err(io("keep the old keyring"))?;
        file.keep()?;
        if let Err(error) = read_private(&path).map_err(ReplaceError::from).and_then(|written| read_back(&written)) {
            fs::rename(&old, &path).map_err(io("put the old keyring back"))?;
            sync_directory(self.0.path())?;
            return Err(error);
        }
        self.clear_leftover();
        // What is not removed yet when the power fails is at the next start.
        drop(sync_directory(self.0.path()));
        Ok(())
    }

    /// Writes the list for people. That it cannot be written changes nothing: the next start writes it.
    fn list(&self, recipients: &[Recipient]) {
        let mut text = recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        text.push('\n');
        if let Err(error) = replace_private(&self.0.recipients(), text.as_bytes()) {
            tracing::warn!(reason = full_text(&error), "recipients.txt is not in step with the keyring");
        }
    }

    fn listed(&self) -> Result<Vec<Recipient>, String> {
        let text = read_private(&self.0.recipients()).map_err(|error| full_text(&error))?;
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::parse).collect::<Result<_, CryptoError>>().map_err(|error| error.to_string())
    }

    fn old(&self) -> PathBuf {
        self.0.path().join("keyring.age.old")
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what the keyring's migration ends with")]
fn unlisted(reason: &str) -> Result<(), DaemonError> {
    tracing::warn!(
        reason,
        "recipients.txt cannot be believed; backups are encrypted to the master key, and no key can be changed"
    );
    Ok(())
}

fn same(one: &[Recipient], other: &[Recipient]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.to_string() == other.to_string())
}

/// To how many recipients an age file is encrypted: the stanzas of its header that are not there to confuse.
pub(super) fn stanzas(file: &[u8]) -> usize {
    let lines = file.split(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"---"));
    let kinds = lines.filter_map(|line| line.strip_prefix(b"-> "));
    kinds.filter(|kind| !kind.split(|byte| *byte == b' ').next().is_some_and(|kind| kind.ends_with(b"-grease"))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_counted_without_those_that_confuse() {
        let file =
            b"age-encryption.org/v1\n-> X25519 abc\nbody\n-> q-grease x\n\n-> ssh-ed25519 a b\nbody\n--- mac\n-> x\n";
        assert_eq!(stanzas(file), 2);
        assert_eq!(stanzas(b""), 0);
    }
}
