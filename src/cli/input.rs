//! Where a value comes from: standard input, a file, a prompt without echo, or randomness; never an argument.
//!
//! Invariants: bytes of standard input and of files are kept exactly as they are; a value is UTF-8; nothing is asked without
//! a terminal.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::error::kind_of_io;
use crate::cli::{CliError, ErrorKind, Output};
use crate::config::MAX_VALUE_SIZE_LIMIT;
use crate::model::{Key, SecretValue};

/// Reads the value from standard input; on a terminal it is asked for, and what is typed is not shown.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for one that is empty, too long or not UTF-8.
pub fn from_stdin(key: &Key, output: &Output) -> Result<SecretValue, CliError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return prompt(key);
    }
    let value = read(stdin.lock(), "standard input")?;
    // What `echo` leaves behind is part of the value, as everywhere where bytes are kept; but it is rarely meant.
    let text = value.expose_secret();
    if text.ends_with('\n') && text.matches('\n').count() == 1 {
        output.note("the value ends with a newline; to leave it out: printf %s VALUE | hushd set KEY");
    }
    Ok(value)
}

/// Reads the value from a file; `-` is standard input.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] and [`ErrorKind::NotPermitted`] for the file, [`ErrorKind::BadData`] for what is in it.
pub fn from_file(path: &Path, key: &Key, output: &Output) -> Result<SecretValue, CliError> {
    if path == Path::new("-") {
        return from_stdin(key, output);
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
    read(file, &name)
}

fn prompt(key: &Key) -> Result<SecretValue, CliError> {
    let value = rpassword::prompt_password(format!("value of {key}: "));
    let value = value.map_err(|error| unreadable("the terminal", &error))?;
    check(SecretValue::new(value), "what was typed")
}

fn read(source: impl Read, name: &str) -> Result<SecretValue, CliError> {
    // Room for most values at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    source.take(MAX_VALUE_SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > MAX_VALUE_SIZE_LIMIT {
        let message =
            format!("the value in {name} is longer than the {MAX_VALUE_SIZE_LIMIT} bytes that any vault takes");
        return Err(CliError::new(ErrorKind::BadData, message));
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        drop(Zeroizing::new(error.into_bytes()));
        CliError::new(ErrorKind::BadData, format!("the value in {name} is not UTF-8: byte {} is wrong", at + 1))
            .hint("values are text; for other bytes: base64 -w0 FILE | hushd set KEY")
    })?;
    check(SecretValue::new(text), name)
}

fn check(value: SecretValue, name: &str) -> Result<SecretValue, CliError> {
    if value.is_empty() {
        return Err(CliError::new(ErrorKind::BadData, format!("the value is empty: nothing came from {name}"))
            .hint("to take a secret out of use: hushd delete KEY"));
    }
    Ok(value)
}

fn unreadable(name: &str, error: &io::Error) -> CliError {
    let message = super::error::io_message(error).to_lowercase();
    CliError::new(kind_of_io(error), format!("cannot read the value from {name}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_exactly_as_they_are() {
        for text in ["v", "v\n", "\n", "a\r\nb\n\n", "\0", "ü", "\u{feff}bom "] {
            assert_eq!(read(text.as_bytes(), "x").unwrap().expose_secret(), text);
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_without_repeating_it() {
        let error = read(&b"sk_live\xff"[..], "x").unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::BadData, "the value in x is not UTF-8: byte 8 is wrong")
        );
    }

    #[test]
    fn an_empty_value_and_an_endless_one_are_refused() {
        assert_eq!(read(&b""[..], "x").unwrap_err().kind(), ErrorKind::BadData);
        assert_eq!(read(io::repeat(b'a'), "x").unwrap_err().kind(), ErrorKind::BadData);
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let key = "K".parse().unwrap();
        let error = from_file(Path::new("/nonexistent/value"), &key, &Output::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
