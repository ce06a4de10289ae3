//! Values that refer to others: `postgres://u:${DB_PASSWORD}@h/db`.
//!
//! Invariants: only a value that was stored as a template is looked into; an error shows the way to what is wrong, and no
//! value.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::cli::{CliError, ErrorKind};
use crate::model::reference::{self, Piece};
use crate::model::{Key, SecretValue};

/// Largest value that comes out of a template, in bytes: what refers to itself many times over grows without end.
const LARGEST: usize = 16 * 1024 * 1024;
/// Most references that one value is made of, empty ones too.
const MOST: usize = 100_000;

/// The way to the reference that is being put in.
#[derive(Debug, Default)]
struct Way {
    keys: Vec<Key>,
    steps: usize,
}

/// A value that was read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: SecretValue,
    pub(super) is_template: bool,
}

/// The secrets that a template refers to.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a template that is malformed.
pub(super) fn references(key: &Key, template: &SecretValue) -> Result<Vec<Key>, CliError> {
    reference::keys(template.expose_secret()).map_err(|message| malformed(std::slice::from_ref(key), message))
}

/// The value of a secret with what it refers to put in.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a template that is malformed, refers to itself or grows too large; [`ErrorKind::NotFound`] for
/// one that refers to what is not there.
pub(super) fn resolve(key: &Key, stored: &BTreeMap<Key, Stored>) -> Result<SecretValue, CliError> {
    let mut text = Zeroizing::new(String::new());
    expand(key, stored, &mut Way::default(), &mut text)?;
    Ok(SecretValue::new(std::mem::take(&mut text)))
}

fn expand(key: &Key, stored: &BTreeMap<Key, Stored>, way: &mut Way, text: &mut String) -> Result<(), CliError> {
    let cycle = way.keys.contains(key);
    way.keys.push(key.clone());
    way.steps += 1;
    if cycle {
        return Err(CliError::new(ErrorKind::BadData, format!("a template refers to itself: {}", shown(&way.keys)))
            .hint(format!("change one of them: hushd set {key} --template")));
    }
    let Some(found) = stored.get(key) else {
        return Err(CliError::new(
            ErrorKind::NotFound,
            format!("a template refers to what is not there: {}", shown(&way.keys)),
        )
        .hint(format!("set it: hushd set {key}")));
    };
    let pieces = if found.is_template {
        reference::pieces(found.value.expose_secret()).map_err(|message| malformed(&way.keys, message))?
    } else {
        vec![Piece::Text(found.value.expose_secret())]
    };
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Reference(other) => expand(&other, stored, way, text)?,
        }
        if text.len() > LARGEST || way.steps > MOST {
            let message = format!("a template grows too large: {}", shown(&way.keys));
            return Err(CliError::new(ErrorKind::BadData, message));
        }
    }
    way.keys.pop();
    Ok(())
}

fn shown(way: &[Key]) -> String {
    way.iter().map(Key::as_str).collect::<Vec<_>>().join(" -> ")
}

fn malformed(way: &[Key], message: &str) -> CliError {
    CliError::new(ErrorKind::BadData, format!("the template {} {message}", shown(way)))
        .hint("a reference is ${NAME}, and $$ a dollar sign")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(secrets: &[(&str, &str, bool)]) -> BTreeMap<Key, Stored> {
        let one = |(key, value, is_template): &(&str, &str, bool)| {
            let value = SecretValue::new((*value).to_owned());
            (key.parse().unwrap(), Stored { value, is_template: *is_template })
        };
        secrets.iter().map(one).collect()
    }

    fn value(key: &str, secrets: &[(&str, &str, bool)]) -> Result<String, String> {
        let value = resolve(&key.parse().unwrap(), &stored(secrets));
        value.map(|value| value.expose_secret().to_owned()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn references_are_put_in_also_through_other_templates() {
        let secrets = [
            ("URL", "pg://u:${PASSWORD}@${HOST}/db?a=$$1&b=$c${PASSWORD}", true),
            ("HOST", "${NAME}.local$", true),
            ("NAME", "db", false),
            ("PASSWORD", "p$${NAME}", false),
        ];
        assert_eq!(value("URL", &secrets).unwrap(), "pg://u:p$${NAME}@db.local$/db?a=$1&b=$cp$${NAME}");
        assert_eq!(value("PASSWORD", &secrets).unwrap(), "p$${NAME}", "a value that is no template stays as it is");
    }

    #[test]
    fn what_is_wrong_is_told_with_the_way_to_it() {
        let circle = [("A", "${B}", true), ("B", "x${C}", true), ("C", "${A}", true)];
        assert_eq!(value("A", &circle).unwrap_err(), "a template refers to itself: A -> B -> C -> A");
        assert_eq!(value("S", &[("S", "${S}", true)]).unwrap_err(), "a template refers to itself: S -> S");
        let missing = [("A", "${B}", true), ("B", "${C}", true)];
        assert_eq!(value("A", &missing).unwrap_err(), "a template refers to what is not there: A -> B -> C");
        assert_eq!(value("A", &[("A", "x${B", true)]).unwrap_err(), "the template A has a ${ without its }");
        assert_eq!(value("A", &[("A", "${b}", true)]).unwrap_err(), "the template A has a ${…} that names no secret");
    }

    #[test]
    fn one_that_grows_without_end_is_stopped() {
        let names: Vec<String> = (0..40).map(|number| format!("L{number}")).collect();
        let values: Vec<String> = (1..=40).map(|number| format!("${{L{number}}}${{L{number}}}")).collect();
        let mut secrets: Vec<(&str, &str, bool)> =
            names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str(), true)).collect();
        secrets.push(("L40", "", false));
        assert!(value("L0", &secrets).unwrap_err().starts_with("a template grows too large: L0 -> L1 -> "));
        secrets[40] = ("L40", "0123456789abcdef0123456789abcdef", false);
        assert!(value("L20", &secrets).unwrap_err().starts_with("a template grows too large: L20 -> L21 -> "));
    }
}
