//! What a value that is a template refers to: `${NAME}`.
//!
//! Invariant: `$$` is a dollar sign, and a dollar sign before anything else stays as it is.

use crate::model::Key;

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
