//! `[[render]]` as it stands in the file: a file that the daemon keeps rendered.
//!
//! Invariant: paths are absolute. Whether there is such a user, and whether the directory is fit for secrets, is for whoever
//! renders.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::config::FileMode;
use crate::model::Namespace;

/// A `[[render]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RenderConfig {
    /// Its line, from 1 on.
    #[serde(skip)]
    pub line: usize,
    /// The template, with `{{ KEY }}` where a value belongs.
    pub template: PathBuf,
    /// The file that is written.
    pub output: PathBuf,
    /// Where the secrets are.
    #[serde(serialize_with = "as_text")]
    pub namespace: Namespace,
    /// Its mode; `None`: as it is, or 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// Its owner; `None`: as it is, or the daemon's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its group, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What is run after it has changed, without a shell; empty: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<String>,
}

fn as_text<S: Serializer>(namespace: &Namespace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(namespace)
}
