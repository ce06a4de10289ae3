//! What a verb fails with: a closed kind for the exit code, a message, and hints on what to do.
//!
//! Invariants: messages are lower case and without a full stop; no secret is part of one.

use std::error::Error;
use std::io;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::crypto::CryptoError;
use crate::daemon::DaemonError;
use crate::paths::PathsError;
use crate::store::StoreError;
use crate::vault::backup::BackupError;
use crate::vault::{self, VaultError};

/// What kind of failure it is; each has one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// None of the others.
    Other,
    /// The command line is wrong.
    Usage,
    /// The input is wrong.
    BadData,
    /// What was asked for is not there.
    NotFound,
    /// The daemon cannot be reached.
    Unreachable,
    /// A defect, here or in the daemon.
    Internal,
    /// It exists already, or has moved on.
    Conflict,
    /// Sealed, overloaded or full: later it may work.
    TryAgain,
    /// The operating system or the daemon does not let it happen.
    NotPermitted,
    /// The configuration is wrong.
    Configuration,
    /// The reader of the output has gone, which is no failure at all.
    ClosedPipe,
    /// The command to run cannot be executed.
    NotExecutable,
    /// There is no such command to run.
    NoCommand,
    /// The command that was run ended so, and has said why itself.
    Ended(u8),
}

/// Why a verb failed.
#[derive(Debug)]
pub struct CliError {
    kind: ErrorKind,
    message: String,
    hints: Vec<String>,
}

impl CliError {
    /// A failure with this message.
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: plain(message.as_ref()), hints: Vec::new() }
    }

    /// A failure with the messages of the error and of all its sources.
    pub fn from_error(kind: ErrorKind, error: &dyn Error) -> Self {
        let mut message = plain(&error.to_string());
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.downcast_ref::<io::Error>().map_or_else(|| error.to_string(), io_message);
            message = format!("{message}: {}", plain(&text));
            source = error.source();
        }
        Self { kind, message, hints: Vec::new() }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hints.push(plain(hint.as_ref()));
        self
    }

    /// Says what to do about it, in place of what was said before.
    #[must_use]
    pub fn only_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hints.clear();
        self.hint(hint)
    }

    /// Adds what to do about it, where that is known.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<impl AsRef<str>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl From<PathsError> for CliError {
    fn from(error: PathsError) -> Self {
        Self::from_error(kind_of_path(&error), &error).maybe_hint(error.hint())
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::from_error(ErrorKind::Configuration, &error).maybe_hint(error.hint())
    }
}

impl From<DaemonError> for CliError {
    fn from(error: DaemonError) -> Self {
        Self::from_error(kind_of_daemon(&error), &error).maybe_hint(error.hint())
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let fail = |kind| Self::from_error(kind, &error);
        match &error {
            ClientError::NotRunning { .. } => fail(ErrorKind::Unreachable).hint("start it: hushd serve"),
            ClientError::NotPermitted { path } => fail(ErrorKind::NotPermitted)
                .hint(format!("see who may: ls -l {}", path.display()))
                .hint("or use TCP with a token: --addr http://127.0.0.1:4874 --token-file FILE"),
            ClientError::Connect { .. } | ClientError::Broken { .. } | ClientError::TimedOut { .. } => {
                fail(ErrorKind::Unreachable).hint("see how it is: hushd status")
            }
            ClientError::Sealed { next_actions } => {
                let hint = next_actions.as_deref().unwrap_or("unseal it, or restart the daemon with its master key");
                fail(ErrorKind::TryAgain).hint(hint)
            }
            ClientError::Api { status, code, next_actions, .. } => {
                fail(kind_of_code(code, *status)).maybe_hint(next_actions.as_ref())
            }
            ClientError::BadAnswer { .. } => {
                fail(ErrorKind::Internal).hint("compare: hushd --version, and the version that hushd status tells")
            }
            ClientError::TokenFile { source } => fail(kind_of_path(source)).maybe_hint(source.hint()),
            ClientError::InvalidToken { .. } => {
                fail(ErrorKind::BadData).hint("it holds one line: a token, or a key that starts with ik_ or anon_")
            }
            ClientError::Unwritten { source } => fail(kind_of_io(source)),
            ClientError::Setup { .. } => fail(ErrorKind::Other),
        }
    }
}

/// The kind of an error code of the API contract; a code from a newer daemon goes by its status.
fn kind_of_code(code: &str, status: u16) -> ErrorKind {
    match code {
        "INVALID_INPUT" | "PAYLOAD_TOO_LARGE" => ErrorKind::BadData,
        "AUTH_INVALID_CREDENTIALS" | "AUTH_INVALID_API_KEY" | "AUTH_TOKEN_EXPIRED" | "FORBIDDEN" => {
            ErrorKind::NotPermitted
        }
        "NOT_FOUND" => ErrorKind::NotFound,
        "SECRET_ALREADY_EXISTS" | "PRECONDITION_FAILED" => ErrorKind::Conflict,
        "RATE_LIMITED" | "VAULT_SEALED" | "STORAGE_FULL" => ErrorKind::TryAgain,
        // The client and the daemon do not understand each other.
        "INTERNAL_ERROR" if status == 503 => ErrorKind::TryAgain,
        "METHOD_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE" | "INTERNAL_ERROR" => ErrorKind::Internal,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400 | 413 | 422 => ErrorKind::BadData,
        401 | 403 => ErrorKind::NotPermitted,
        404 | 410 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 | 503 | 507 => ErrorKind::TryAgain,
        500.. => ErrorKind::Internal,
        _ => ErrorKind::Other,
    }
}

fn kind_of_path(error: &PathsError) -> ErrorKind {
    match error {
        PathsError::NoHome
        | PathsError::NotText { .. }
        | PathsError::SocketPathTooLong { .. }
        | PathsError::NotADirectory { .. } => ErrorKind::Configuration,
        PathsError::Exposed { .. } | PathsError::Foreign { .. } | PathsError::OpenDirectory { .. } => {
            ErrorKind::NotPermitted
        }
        PathsError::TooLarge { .. } => ErrorKind::BadData,
        PathsError::Io { source, .. } => kind_of_io(source),
    }
}

fn kind_of_daemon(error: &DaemonError) -> ErrorKind {
    match error {
        DaemonError::Config(_)
        | DaemonError::NoGroup { .. }
        | DaemonError::Inherited { .. }
        | DaemonError::ClosedDirectory { .. }
        | DaemonError::NotHardened { .. }
        | DaemonError::NoVault { .. }
        | DaemonError::Unfinished { .. }
        | DaemonError::UnknownFormat { .. }
        | DaemonError::NoIdentity { .. }
        | DaemonError::NotASocket { .. }
        | DaemonError::Keyring { source: CryptoError::UnsupportedFormat { .. }, .. } => ErrorKind::Configuration,
        DaemonError::VaultExists { .. } => ErrorKind::Conflict,
        DaemonError::InUse { .. } | DaemonError::SocketInUse { .. } | DaemonError::NoAnswer { .. } => {
            ErrorKind::TryAgain
        }
        DaemonError::Identity { source: CryptoError::PassphraseNeeded | CryptoError::WrongPassphrase, .. }
        | DaemonError::Keyring { source: CryptoError::NoMatchingIdentity, .. } => ErrorKind::NotPermitted,
        DaemonError::Incomplete { .. } | DaemonError::Identity { .. } | DaemonError::Keyring { .. } => {
            ErrorKind::BadData
        }
        DaemonError::Store { source, .. } => match source {
            StoreError::Full | StoreError::InUse { .. } => ErrorKind::TryAgain,
            StoreError::Damaged { .. } => ErrorKind::BadData,
            StoreError::Conflict
            | StoreError::Io { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Exists { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Closed => ErrorKind::Other,
        },
        DaemonError::Refused { source } => kind_of_vault(source),
        DaemonError::Backup { source, .. } => kind_of_backup(source),
        DaemonError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => ErrorKind::TryAgain,
        DaemonError::Bind { source, .. } | DaemonError::Io { source, .. } => kind_of_io(source),
        DaemonError::Paths(error) => kind_of_path(error),
        DaemonError::Key { .. } | DaemonError::Vault { .. } => ErrorKind::Other,
    }
}

/// The kind of what an open vault said no with.
fn kind_of_vault(error: &VaultError) -> ErrorKind {
    match error.kind() {
        vault::ErrorKind::InvalidInput | vault::ErrorKind::TooLarge => ErrorKind::BadData,
        vault::ErrorKind::InvalidCredentials
        | vault::ErrorKind::InvalidApiKey
        | vault::ErrorKind::TokenExpired
        | vault::ErrorKind::Forbidden => ErrorKind::NotPermitted,
        vault::ErrorKind::NotFound => ErrorKind::NotFound,
        vault::ErrorKind::AlreadyExists | vault::ErrorKind::PreconditionFailed => ErrorKind::Conflict,
        vault::ErrorKind::RateLimited | vault::ErrorKind::Sealed | vault::ErrorKind::StorageFull => ErrorKind::TryAgain,
        vault::ErrorKind::Internal | vault::ErrorKind::Unrecorded => ErrorKind::Other,
    }
}

/// The kind of what the operating system says of a file.
fn kind_of_backup(error: &BackupError) -> ErrorKind {
    match error {
        BackupError::Open { source: CryptoError::NotForIdentity } => ErrorKind::NotPermitted,
        BackupError::Open { .. } | BackupError::Damaged { .. } | BackupError::Differs { .. } => ErrorKind::BadData,
        BackupError::UnsupportedFormat { .. } => ErrorKind::Configuration,
        BackupError::Read { source } | BackupError::Write { source } | BackupError::Keep { source } => {
            kind_of_io(source)
        }
        BackupError::Crypto { .. } | BackupError::Vault(_) => ErrorKind::Other,
    }
}

pub(super) fn kind_of_io(error: &io::Error) -> ErrorKind {
    if error.kind() == io::ErrorKind::NotFound {
        ErrorKind::NotFound
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        ErrorKind::NotPermitted
    } else if error.kind() == io::ErrorKind::AlreadyExists {
        ErrorKind::Conflict
    } else if error.kind() == io::ErrorKind::StorageFull {
        ErrorKind::TryAgain
    } else {
        ErrorKind::Other
    }
}

/// The operating system's words, without the number that follows them.
pub(super) fn io_message(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// The text as the command line says it: lower case at its start, unless that is a name, and without a full stop.
fn plain(text: &str) -> String {
    let text = text.trim_end();
    let text = if text.ends_with("..") { text } else { text.strip_suffix('.').unwrap_or(text) };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && (second.is_lowercase() || second == ' ') => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lower_case_and_without_a_full_stop() {
        for (text, expected) in [
            ("Secret not found: STRIPE_KEY", "secret not found: STRIPE_KEY"),
            ("Check the key name.", "check the key name"),
            ("API key rotated.", "API key rotated"),
            ("JWT", "JWT"),
            ("A value is missing", "a value is missing"),
            ("", ""),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn every_code_of_the_contract_has_its_kind() {
        for (code, status, kind) in [
            ("INVALID_INPUT", 400, ErrorKind::BadData),
            ("AUTH_INVALID_CREDENTIALS", 401, ErrorKind::NotPermitted),
            ("AUTH_INVALID_API_KEY", 401, ErrorKind::NotPermitted),
            ("AUTH_TOKEN_EXPIRED", 401, ErrorKind::NotPermitted),
            ("FORBIDDEN", 403, ErrorKind::NotPermitted),
            ("NOT_FOUND", 404, ErrorKind::NotFound),
            ("METHOD_NOT_ALLOWED", 405, ErrorKind::Internal),
            ("SECRET_ALREADY_EXISTS", 409, ErrorKind::Conflict),
            ("PRECONDITION_FAILED", 412, ErrorKind::Conflict),
            ("PAYLOAD_TOO_LARGE", 413, ErrorKind::BadData),
            ("UNSUPPORTED_MEDIA_TYPE", 415, ErrorKind::Internal),
            ("RATE_LIMITED", 429, ErrorKind::TryAgain),
            ("INTERNAL_ERROR", 500, ErrorKind::Internal),
            ("VAULT_SEALED", 503, ErrorKind::TryAgain),
            ("STORAGE_FULL", 507, ErrorKind::TryAgain),
            ("FROM_A_NEWER_DAEMON", 409, ErrorKind::Conflict),
            ("FROM_A_NEWER_DAEMON", 418, ErrorKind::Other),
        ] {
            assert_eq!(kind_of_code(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn causes_follow_the_message() {
        let source = io::Error::from_raw_os_error(2);
        let error = PathsError::Io { action: "read", path: "/x".into(), source };
        let error = CliError::from(ClientError::TokenFile { source: error });
        assert_eq!(error.message(), "cannot use the token file: cannot read /x: no such file or directory");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
