//! What can keep the daemon from serving, or a vault from being created, each with the way out.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::crypto::CryptoError;
use crate::paths::PathsError;
use crate::store::StoreError;
use crate::vault::VaultError;
use crate::vault::backup::BackupError;

/// An error of the daemon's start or of a vault's creation.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or directory cannot be used.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// There is no vault.
    #[error("there is no vault in {}", path.display())]
    NoVault {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The creation of the vault was interrupted.
    #[error("the vault in {} was never finished", path.display())]
    Unfinished {
        /// Where it is.
        path: PathBuf,
    },
    /// There is a vault already.
    #[error("a vault exists already in {}", path.display())]
    VaultExists {
        /// Where it is.
        path: PathBuf,
    },
    /// There are files of a vault, but not all of them.
    #[error("the vault in {} lacks its {missing}", path.display())]
    Incomplete {
        /// Where it is.
        path: PathBuf,
        /// Which file is missing.
        missing: &'static str,
    },
    /// The vault was written by a newer program.
    #[error("the vault in {} has a format that this version of hushd does not know: {found}", path.display())]
    UnknownFormat {
        /// Where it is.
        path: PathBuf,
        /// What its marker says.
        found: String,
    },
    /// Another daemon has the vault.
    #[error("another hushd has the vault in {} open", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// There is no master key.
    #[error("there is no master key at {}", path.display())]
    NoIdentity {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The master key cannot be used.
    #[error("the master key in {} cannot be used", path.display())]
    Identity {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: CryptoError,
    },
    /// The keyring cannot be opened.
    #[error("the keyring {} cannot be opened", path.display())]
    Keyring {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: CryptoError,
    },
    /// A key could not be made.
    #[error("a key could not be made")]
    Key {
        /// Why.
        source: CryptoError,
    },
    /// The store cannot be opened.
    #[error("the store in {} cannot be opened", path.display())]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The vault cannot be opened.
    #[error("the vault cannot be opened")]
    Vault {
        /// Why.
        source: VaultError,
    },
    /// The vault is open, and said no.
    #[error(transparent)]
    Refused {
        /// Why.
        source: VaultError,
    },
    /// A backup cannot be used.
    #[error("{}", path.display())]
    Backup {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: BackupError,
    },
    /// Somebody answers on the Unix socket.
    #[error("another program is listening on {}", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else where the socket should be.
    #[error("{} is in the way: it is not a socket", path.display())]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A socket of the service manager's cannot be used.
    #[error("the inherited socket {name:?} cannot be used: {why}")]
    Inherited {
        /// The name that its unit gives it.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Whoever asked for a credential was refused, because the daemon did not say what it is.
    #[error("no credential was given: {why}")]
    NoAnswer {
        /// Why not.
        why: String,
    },
    /// The group of the socket is not there.
    #[error("there is no group {name:?}")]
    NoGroup {
        /// What the configuration says.
        name: String,
    },
    /// The members of the socket's group could not get to it.
    #[error("the group {group} cannot pass {} (mode {mode:04o}), so nobody of it reaches the socket", path.display())]
    ClosedDirectory {
        /// The directory of the socket.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The number of the group.
        group: u32,
    },
    /// Something of the hardening does not hold, and the configuration requires it.
    #[error("the process cannot be hardened as required: {missing}")]
    NotHardened {
        /// What does not hold, and why.
        missing: String,
    },
    /// The system said no.
    #[error("cannot {doing}")]
    Io {
        /// What was to be done.
        doing: String,
        /// Why.
        source: io::Error,
    },
}

impl DaemonError {
    /// Makes an error of the system.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Config(error) => return error.hint(),
            Self::Paths(error) => return error.hint(),
            Self::NoVault { .. } => "create one with `hushd init`, or start with `hushd serve --init`".to_owned(),
            Self::Unfinished { .. } => "run `hushd init` again; nothing in there was ever used".to_owned(),
            Self::VaultExists { .. } => "start it with `hushd serve`, or name another vault.data-dir".to_owned(),
            Self::Incomplete { .. } => "put the missing file back from a backup; nothing was changed".to_owned(),
            Self::UnknownFormat { .. } => "use the version of hushd that wrote it, or a newer one".to_owned(),
            Self::InUse { .. } => {
                "see `hushd status`; stop the other one first, or name another vault.data-dir".to_owned()
            }
            Self::NoIdentity { .. } => {
                "put the age identity there, or name its file as vault.identity in the configuration".to_owned()
            }
            Self::Identity { source: CryptoError::PassphraseNeeded, .. } => {
                "start the daemon on a terminal, or name a vault.passphrase-file in the configuration".to_owned()
            }
            Self::Identity { .. } => "check the file and its passphrase".to_owned(),
            Self::Keyring { source: CryptoError::NoMatchingIdentity, .. } => {
                "use the identity of one of the recipients in recipients.txt".to_owned()
            }
            Self::Keyring { .. } | Self::Store { .. } => "restore it from a backup; nothing was changed".to_owned(),
            Self::Refused { source } => return source.next_actions().map(str::to_owned),
            Self::Vault { .. } => "see the log above; nothing was changed".to_owned(),
            Self::SocketInUse { .. } => {
                "see `hushd status`; stop the other one first, or listen elsewhere with --listen".to_owned()
            }
            Self::NotASocket { path } => format!("look at it and move it away: mv {0} {0}.old", path.display()),
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "choose another port with --listen 127.0.0.1:PORT, or stop the program that has this one".to_owned()
            }
            Self::Inherited { .. } => {
                "compare the socket units with those that come with hushd: systemctl cat hushd.socket".to_owned()
            }
            Self::NoAnswer { .. } => "see what the daemon says: journalctl -u hushd.service".to_owned(),
            Self::NoGroup { name } => {
                format!("create it with `groupadd --system {name}`, or name another socket.group")
            }
            Self::ClosedDirectory { path, group, .. } => format!("chgrp {group} {0} && chmod g+x {0}", path.display()),
            Self::NotHardened { .. } => {
                "mend what is missing, or take require-hardening out of the configuration".to_owned()
            }
            Self::Bind { .. } => "choose another address with --listen".to_owned(),
            Self::Backup { source, .. } => return backup_hint(source),
            Self::Key { .. } | Self::Io { .. } => return None,
        };
        Some(text)
    }
}

fn backup_hint(error: &BackupError) -> Option<String> {
    let text = match error {
        BackupError::Open { source: CryptoError::NotForIdentity } => "name the identity that opens it with --identity",
        BackupError::Open { .. } | BackupError::Damaged { .. } => "use another backup; nothing was changed",
        BackupError::UnsupportedFormat { .. } => "use the version of hushd that wrote it, or a newer one",
        BackupError::Differs { .. } => "make another backup and verify it; tell the authors of hushd",
        BackupError::Read { .. }
        | BackupError::Write { .. }
        | BackupError::Keep { .. }
        | BackupError::Crypto { .. }
        | BackupError::Vault(_) => return None,
    };
    Some(text.to_owned())
}
