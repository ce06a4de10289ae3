//! Somebody whose rules decide.

use uuid::Uuid;

use crate::auth::policy::{Rules, Scope};

/// Somebody whose rules decide: the bearer of a token with a scope, or whom a policy is for.
///
/// Two are the same where they have the same name: the rules are those of the moment at which they were recognised.
#[derive(Debug)]
pub struct Granted {
    /// As it stands in revisions, logs and the trail: `token:ID`, `uid:1000`, `unit:shop.service`.
    pub name: Box<str>,
    /// What it may.
    pub rules: Rules,
    /// The issued token, where its uses are counted.
    pub counted: Option<Uuid>,
}

impl Granted {
    /// Somebody whose uses are not counted.
    pub(in crate::auth) fn new(name: impl Into<Box<str>>, rules: Rules) -> Self {
        Self { name: name.into(), rules, counted: None }
    }

    /// The bearer of a token with a scope; of a policy for it only what it denies counts.
    pub(in crate::auth) fn scoped(name: impl Into<Box<str>>, scope: &Scope, limits: Option<&Rules>) -> Self {
        let mut rules = scope.rules().clone();
        if let Some(limits) = limits {
            rules.extend_denials(limits);
        }
        Self::new(name, rules)
    }

    /// Whom a token is for that it mints for itself.
    pub(in crate::auth) fn subject(&self) -> &str {
        self.name.strip_prefix("token:").unwrap_or(&self.name)
    }
}

impl PartialEq for Granted {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Granted {}
