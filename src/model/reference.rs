//! Values that refer to others: `postgres://u:${DB_PASSWORD}@h/db`.
//!
//! Invariants: only a value that was stored as a template is looked into; `$$` is a dollar sign, and a dollar sign before
//! anything else stays as it is; an error shows the way to what is wrong, and no value.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::model::{Key, SecretValue};

/// Largest value that comes out of a template, in bytes: what refers to itself many times over grows without end.
const LARGEST: usize = 16 * 1024 * 1024;
/// Most references that one value is made of, empty ones too.
const MOST: usize = 100_000;

/// Why a template has no value; each shows the way to what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A circle.
    #[error("a template refers to itself: {}", shown(.0))]
    Cycle(Vec<Key>),
    /// The last of them is not there.
    #[error("a template refers to what is not there: {}", shown(.0))]
    Missing(Vec<Key>),
    /// It has more than 16 MiB, or 100,000 references.
    #[error("a template grows too large: {}", shown(.0))]
    TooLarge(Vec<Key>),
    /// The last of them is not written as a template is.
    #[error("the template {} {}", shown(.0), .1)]
    Malformed(Vec<Key>, &'static str),
}

fn shown(way: &[Key]) -> String {
    way.iter().map(Key::as_str).collect::<Vec<_>>().join(" -> ")
}

/// A value that was read.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The value.
    pub value: SecretValue,
    /// Whether it refers to others.
    pub is_template: bool,
}

/// The way to the reference that is being put in.
#[derive(Debug, Default)]
struct Way {
    keys: Vec<Key>,
    steps: usize,
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// It stays as it is.
    Text(&'a str),
    /// The value of this secret takes its place.
    Reference(Key),
}

/// The secrets that a template refers to, in the order in which they stand there.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence.
pub fn keys(template: &str) -> Result<Vec<Key>, &'static str> {
    let keys = pieces(template)?.into_iter().filter_map(|piece| match piece {
        Piece::Reference(key) => Some(key),
        Piece::Text(_) => None,
    });
    Ok(keys.collect())
}

/// The value of a secret with what it refers to put in.
///
/// # Errors
///
/// [`ReferenceError`].
pub fn resolve(key: &Key, stored: &BTreeMap<Key, Stored>) -> Result<SecretValue, ReferenceError> {
    let mut text = Zeroizing::new(String::new());
    expand(key, stored, &mut Way::default(), &mut text)?;
    Ok(SecretValue::new(std::mem::take(&mut text)))
}

fn expand(key: &Key, stored: &BTreeMap<Key, Stored>, way: &mut Way, text: &mut String) -> Result<(), ReferenceError> {
    let cycle = way.keys.contains(key);
    way.keys.push(key.clone());
    way.steps += 1;
    if cycle {
        return Err(ReferenceError::Cycle(way.keys.clone()));
    }
    let found = stored.get(key).ok_or_else(|| ReferenceError::Missing(way.keys.clone()))?;
    let pieces = if found.is_template {
        pieces(found.value.expose_secret()).map_err(|what| ReferenceError::Malformed(way.keys.clone(), what))?
    } else {
        vec![Piece::Text(found.value.expose_secret())]
    };
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Reference(other) => expand(&other, stored, way, text)?,
        }
        if text.len() > LARGEST || way.steps > MOST {
            return Err(ReferenceError::TooLarge(way.keys.clone()));
        }
    }
    way.keys.pop();
    Ok(())
}

/// Takes a template apart.
///
/// # Errors
///
/// As [`keys`].
pub fn pieces(template: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        if let Some(behind) = after.strip_prefix("$$") {
            pieces.push(Piece::Text("$"));
            rest = behind;
        } else if let Some(behind) = after.strip_prefix("${") {
            let (name, behind) = behind.split_once('}').ok_or("has a ${ without its }")?;
            pieces.push(Piece::Reference(name.parse().map_err(|_| "has a ${…} that names no secret")?));
            rest = behind;
        } else {
            pieces.push(Piece::Text("$"));
            rest = &after[1..];
        }
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
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
        value.map(|value| value.expose_secret().to_owned()).map_err(|error| error.to_string())
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
