//! Names of secrets and of namespaces (API contract, "Secrets" and "Namespaces").
//!
//! Invariant: a [`Key`] matches `^[A-Z0-9_]+$` and a [`Namespace`] its pattern; both are short and ASCII.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a secret: `^[A-Z0-9_]+$`, at most 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// The text is not a secret's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid key format. Use uppercase letters, numbers, and underscores only (e.g., STRIPE_API_KEY)")]
pub struct InvalidKey;

impl Key {
    /// Longest name, in characters.
    pub const MAX_LENGTH: usize = 255;
    /// The pattern that names follow.
    pub const PATTERN: &str = "^[A-Z0-9_]+$";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err(InvalidKey);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Where a name lives: up to eight parts divided by `/`, at most 128 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

/// The text is not a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid namespace. Use up to 8 parts divided by '/', each of lowercase letters, numbers, '.', '_' and '-', \
     starting with a letter or number (e.g., shop/dev)"
)]
pub struct InvalidNamespace;

impl Namespace {
    /// Longest namespace, in characters.
    pub const MAX_LENGTH: usize = 128;
    /// Most parts of a namespace.
    pub const MAX_PARTS: usize = 8;
    /// The pattern that namespaces follow.
    pub const PATTERN: &str = "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,7}$";
    /// The namespace of whoever names none.
    pub const DEFAULT: &str = "default";

    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for Namespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, InvalidNamespace> {
        let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let rest = |byte: u8| first(byte) || matches!(byte, b'.' | b'_' | b'-');
        let part = |part: &str| part.bytes().next().is_some_and(first) && part.bytes().all(rest);
        if text.len() > Self::MAX_LENGTH || text.split('/').count() > Self::MAX_PARTS || !text.split('/').all(part) {
            return Err(InvalidNamespace);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_their_pattern() {
        for good in ["A", "0", "_", "STRIPE_API_KEY", &"A".repeat(255)] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        for bad in ["", "a", "A-B", "A B", "Ä", "A\n", &"A".repeat(256)] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn namespaces_follow_their_pattern() {
        for good in ["default", "shop/dev", "a/b/c/d/e/f/g/h", "0.a_b-c", &"a".repeat(128)] {
            assert!(good.parse::<Namespace>().is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", ".a", "A", "a/..", "a/b/c/d/e/f/g/h/i", &"a".repeat(129)] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
    }
}
