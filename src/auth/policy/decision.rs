//! The decision: may this principal do that?
//!
//! Invariant: what no rule allows is denied.

use std::fmt;
use std::sync::Arc;

use crate::auth::Principal;
use crate::auth::policy::{ADMIN_TOKEN, OWNER};
use crate::model::{Key, Namespace};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reveal a value.
    Read,
    /// Create, change or delete a secret.
    Write,
    /// See that a secret is there, and its metadata.
    List,
    /// Learn whether a secret has a value, without its being revealed.
    Verify,
    /// See and change the daemon's own state.
    Admin,
    /// Make a new credential: rotate a key, mint a token.
    Mint,
}

/// What it is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A secret, whether there is one of that name or not.
    Secret(&'a Namespace, &'a Key),
    /// Whatever is in a namespace.
    Namespace(&'a Namespace),
    /// The vault and the daemon.
    Vault,
}

/// The name of the rule that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One that is always there.
    BuiltIn(&'static str),
    /// One of the configuration, or of a token's scope, as it is written there.
    Written(Arc<str>),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => f.write_str(name),
            Self::Written(text) => f.write_str(text),
        }
    }
}

/// The answer, with the rule that gave it.
#[must_use = "a decision that nobody looks at protects nothing"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow {
        /// The rule, for the log and the audit trail.
        rule: Rule,
    },
    /// It may not.
    Deny {
        /// The rule, for the log and never for the client.
        rule: Rule,
        /// What the client is told.
        refusal: Refusal,
    },
}

/// What a client is told of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// That it takes an administrator.
    AdminRequired,
    /// That a rotated key makes no credentials.
    RotatedKey,
    /// Which scope is missing.
    OutOfScope,
}

/// Decides whether `principal` may do `action` to `target`.
pub fn decide(principal: &Principal, action: Action, target: Target<'_>) -> Decision {
    let allow = |rule| Decision::Allow { rule: Rule::BuiltIn(rule) };
    let deny = |rule, refusal| Decision::Deny { rule: Rule::BuiltIn(rule), refusal };
    match (principal, action) {
        (Principal::Token { is_admin: true, .. }, _) => allow(ADMIN_TOKEN),
        (Principal::ApiKey { in_grace: false }, _) => allow("current API key"),
        (Principal::Owner { .. }, _) => allow(OWNER),
        (Principal::Granted(granted), _) => granted.rules.decide(action, target),
        (Principal::Vault, _) => allow("the vault itself"),
        (Principal::ApiKey { in_grace: true }, Action::Mint) => {
            deny("a rotated key mints nothing", Refusal::RotatedKey)
        }
        (Principal::ApiKey { in_grace: true }, _) => allow("rotated API key in its grace period"),
        (Principal::Token { is_admin: false, .. }, _) => {
            deny("token without the role project_admin", Refusal::AdminRequired)
        }
        (Principal::AnonKey, _) => deny("anon key", Refusal::AdminRequired),
    }
}

/// Decides whether `principal` may do anything at all; what it may do is decided once its request has been read.
pub fn admit(principal: &Principal) -> Decision {
    match principal {
        Principal::Granted(granted) if granted.rules.allow_nothing() => {
            Decision::Deny { rule: Rule::BuiltIn("no rule allows anything"), refusal: Refusal::AdminRequired }
        }
        Principal::Granted(_) => Decision::Allow { rule: Rule::BuiltIn("some rule allows something") },
        Principal::Token { .. }
        | Principal::ApiKey { .. }
        | Principal::AnonKey
        | Principal::Owner { .. }
        | Principal::Vault => decide(principal, Action::List, Target::Vault),
    }
}

/// Whether `principal` may know of this secret: what lists, events and the trail show of it goes by this.
pub fn may_see(principal: &Principal, namespace: &Namespace, key: &Key) -> bool {
    matches!(decide(principal, Action::List, Target::Secret(namespace, key)), Decision::Allow { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_administrators_are_allowed_and_a_key_in_grace_mints_nothing() {
        let allowed =
            |principal: &Principal, action| matches!(decide(principal, action, Target::Vault), Decision::Allow { .. });
        let token = |is_admin| Principal::Token { subject: "a".into(), is_admin };
        for (principal, administer, mint) in [
            (token(true), true, true),
            (token(false), false, false),
            (Principal::ApiKey { in_grace: false }, true, true),
            (Principal::ApiKey { in_grace: true }, true, false),
            (Principal::AnonKey, false, false),
        ] {
            assert_eq!(allowed(&principal, Action::Admin), administer, "{principal}");
            assert_eq!(allowed(&principal, Action::Mint), mint, "{principal}");
        }
    }
}
