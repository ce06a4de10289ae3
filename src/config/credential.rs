//! `[[credential]]` as it stands in the file: which secret a unit gets under which id.
//!
//! Invariant: each text knows its place. It knows neither units nor secrets.

use serde::{Deserialize, Serialize};

use crate::config::Placed;

/// What is done to a unit whose credential has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// It is restarted, if it runs.
    Restart,
    /// It is reloaded, if it runs.
    Reload,
}

/// A `[[credential]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialConfig {
    /// Its line, from 1 on.
    #[serde(skip)]
    pub line: usize,
    /// The unit, or all instances of a template: `shop@*.service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Placed>,
    /// The id that `LoadCredential=` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Placed>,
    /// The secret, `NAMESPACE/KEY`, in which `%i` stands for the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Placed>,
    /// What is done when it changes; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
}
