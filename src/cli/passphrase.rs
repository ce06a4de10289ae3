//! Passphrases of master keys: from a private file, or asked for on the terminal.
//!
//! Invariant: nobody is asked without a terminal, and what is typed is not shown.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::init::without_newline;
use crate::cli::{CliError, ErrorKind};
use crate::config::VaultConfig;
use crate::crypto::Passphrase;
use crate::model::SecretValue;
use crate::paths::read_private;

/// Reads the passphrase in a private file, without the newline at its end.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for one that is empty or not UTF-8, and what [`read_private`] refuses.
pub fn from_file(path: &Path) -> Result<Passphrase, CliError> {
    let bytes = read_private(path)?;
    match std::str::from_utf8(without_newline(&bytes)) {
        Ok(text) if !text.is_empty() => Ok(Passphrase::new(text.to_owned())),
        Ok(_) | Err(_) => {
            Err(CliError::new(ErrorKind::BadData, format!("there is no passphrase in {}", path.display())))
        }
    }
}

/// The same as text, for the daemon.
///
/// # Errors
///
/// As [`from_file`].
pub fn text_from_file(path: &Path) -> Result<SecretValue, CliError> {
    from_file(path)?;
    let bytes = read_private(path)?;
    Ok(SecretValue::new(String::from_utf8_lossy(without_newline(&bytes)).into_owned()))
}

/// Asks for the passphrase of a master key that exists; none without a terminal.
pub fn ask_once() -> Option<SecretValue> {
    let typed = is_there_a_terminal().then(|| prompt("passphrase of the master key: ").ok()).flatten()?;
    Some(SecretValue::new(typed.to_string()))
}

/// Asks for a new passphrase, twice.
///
/// # Errors
///
/// [`ErrorKind::Usage`] without a terminal, [`ErrorKind::BadData`] where the two differ or are empty.
pub fn ask_for_new() -> Result<Passphrase, CliError> {
    if !is_there_a_terminal() {
        return Err(CliError::new(ErrorKind::Usage, "a passphrase is asked for on a terminal, and there is none")
            .hint("give it in a private file: --passphrase-file FILE"));
    }
    let first = prompt("passphrase for the master key: ")?;
    if first.is_empty() {
        return Err(CliError::new(ErrorKind::BadData, "the passphrase is empty"));
    }
    if first != prompt("the same again: ")? {
        return Err(CliError::new(ErrorKind::BadData, "the passphrases differ"));
    }
    Ok(Passphrase::new(first.to_string()))
}

/// Gives the passphrase of a master key that exists, when it needs one: the configured file's, or what is typed.
///
/// # Errors
///
/// Those of [`from_file`].
pub fn asker(config: &VaultConfig) -> Result<impl FnMut() -> Option<Passphrase>, CliError> {
    let mut configured = config.passphrase_file.as_deref().map(from_file).transpose()?;
    Ok(move || {
        configured.take().or_else(|| {
            let typed = is_there_a_terminal().then(|| prompt("passphrase of the master key: ").ok()).flatten()?;
            Some(Passphrase::new(typed.to_string()))
        })
    })
}

fn prompt(question: &str) -> Result<Zeroizing<String>, CliError> {
    let typed = rpassword::prompt_password(question);
    typed.map(Zeroizing::new).map_err(|error| CliError::from_error(ErrorKind::Other, &error))
}

fn is_there_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
