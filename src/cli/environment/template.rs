//! What the command line says of values that refer to others.

use std::collections::BTreeMap;

use crate::cli::{CliError, ErrorKind};
use crate::model::reference::{self, ReferenceError};
use crate::model::{Key, SecretValue};

pub(super) use crate::model::reference::Stored;

/// The secrets that a template refers to.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a template that is malformed.
pub(super) fn references(key: &Key, template: &SecretValue) -> Result<Vec<Key>, CliError> {
    reference::keys(template.expose_secret()).map_err(|what| told(&ReferenceError::Malformed(vec![key.clone()], what)))
}

/// The value of a secret with what it refers to put in.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a template that is malformed, refers to itself or grows too large; [`ErrorKind::NotFound`] for
/// one that refers to what is not there.
pub(super) fn resolve(key: &Key, stored: &BTreeMap<Key, Stored>) -> Result<SecretValue, CliError> {
    reference::resolve(key, stored).map_err(|error| told(&error))
}

fn told(error: &ReferenceError) -> CliError {
    let last = |way: &[Key]| way.last().map(Key::to_string).unwrap_or_default();
    let (kind, hint) = match error {
        ReferenceError::Cycle(way) => {
            (ErrorKind::BadData, Some(format!("change one of them: hushd set {} --template", last(way))))
        }
        ReferenceError::Missing(way) => (ErrorKind::NotFound, Some(format!("set it: hushd set {}", last(way)))),
        ReferenceError::TooLarge(_) => (ErrorKind::BadData, None),
        ReferenceError::Malformed(..) => {
            (ErrorKind::BadData, Some("a reference is ${NAME}, and $$ a dollar sign".to_owned()))
        }
    };
    let told = CliError::new(kind, error.to_string());
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
