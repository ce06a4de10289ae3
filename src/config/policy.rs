//! `[[policy]]` as it stands in the file: whom it is for, and its rules as texts.
//!
//! Invariant: each text knows its place, so that whoever reads the rules can say where one is wrong. It looks up no user
//! and knows no rule.

use serde::{Serialize, Serializer};

/// A text with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Line, from 1 on.
    pub line: usize,
    /// Column of its first character, from 1 on.
    pub column: usize,
}

impl Serialize for Placed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// A `[[policy]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyConfig {
    /// Its line, from 1 on.
    #[serde(skip)]
    pub line: usize,
    /// The name of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Placed>,
    /// The name of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Placed>,
    /// The number of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// A unit of the service manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Placed>,
    /// The id of a token, or the `sub` of a JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Placed>,
    /// What it allows.
    pub allow: Vec<Placed>,
    /// What it denies.
    pub deny: Vec<Placed>,
}
