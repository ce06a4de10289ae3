//! What the configuration says of the audit trail.
//!
//! Invariant: a scope that is read is one that can match: a mistyped one is an error with its place in the file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether what is done is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// It is; what cannot be recorded is not revealed.
    #[default]
    On,
    /// Nothing is. `hushd status` says so.
    Off,
}

/// Secrets by their path, which is the namespace, `/` and the key: `shop/prod/**`, `shop/*/DB_URL`, `shop/prod/DB_*`. A
/// namespace alone stands for all its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditScope(String);

/// The text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a scope: {text:?}; expected a path such as shop/prod/** or shop/prod/DB_*, for require-reason after \"read \""
)]
pub struct InvalidAuditScope {
    /// What was given.
    pub text: String,
}

impl AuditScope {
    /// Whether a secret is in it.
    pub fn covers(&self, namespace: &str, key: &str) -> bool {
        let pattern: Vec<&str> = self.path().split('/').collect();
        let place: Vec<&str> = namespace.split('/').chain([key]).collect();
        matches(&pattern, &place) || matches(&pattern, &place[..place.len() - 1])
    }

    fn path(&self) -> &str {
        self.0.strip_prefix("read ").unwrap_or(&self.0).trim_start()
    }
}

fn matches(pattern: &[&str], place: &[&str]) -> bool {
    match (pattern.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=place.len()).any(|skipped| matches(rest, &place[skipped..])),
        (Some((part, rest)), Some((name, further))) => {
            let same = part.strip_suffix('*').map_or(part == name, |start| name.starts_with(start));
            same && matches(rest, further)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl FromStr for AuditScope {
    type Err = InvalidAuditScope;

    fn from_str(text: &str) -> Result<Self, InvalidAuditScope> {
        let scope = Self(text.trim().to_owned());
        let part = |part: &str| {
            let bare = part.strip_suffix('*').unwrap_or(part);
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            !part.is_empty() && (part == "**" || bare.chars().all(known))
        };
        if !scope.path().split('/').all(part) {
            return Err(InvalidAuditScope { text: text.to_owned() });
        }
        Ok(scope)
    }
}

impl fmt::Display for AuditScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AuditScope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the entries are sent as JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditExport {
    /// The system's journal, through its native socket.
    Journald,
    /// A file, to whose end they are written.
    File(std::path::PathBuf),
}

impl FromStr for AuditExport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "journald" => Ok(Self::Journald),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(format!("not a place to export to: {text:?}; expected journald or an absolute path")),
        }
    }
}

impl Serialize for AuditExport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Journald => serializer.serialize_str("journald"),
            Self::File(path) => path.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_say() {
        for (scope, namespace, key, covers) in [
            ("read shop/prod/**", "shop/prod", "DB", true),
            ("shop/prod/**", "shop/prod/eu", "DB", true),
            ("shop/prod/**", "shop/product", "DB", false),
            ("shop/prod", "shop/prod", "DB", true),
            ("shop/prod", "shop/prod/eu", "DB", false),
            ("shop/*/DB_*", "shop/dev", "DB_URL", true),
            ("shop/*/DB_*", "shop/dev", "API", false),
            ("**", "default", "A", true),
        ] {
            assert_eq!(
                scope.parse::<AuditScope>().unwrap().covers(namespace, key),
                covers,
                "{scope} {namespace} {key}"
            );
        }
        for bad in ["", "/a", "a//b", "write a b"] {
            assert!(bad.parse::<AuditScope>().is_err(), "{bad:?}");
        }
    }
}
