//! The decision: may this principal do that?
//!
//! Invariant: what no rule allows is denied.

use crate::auth::Principal;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reveal, list, verify or change secrets; see the daemon's state.
    Administer,
    /// Make a new credential: rotate a key, mint a token.
    MintCredential,
}

/// The answer, with the rule that gave it.
#[must_use = "a decision that nobody looks at protects nothing"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow {
        /// The rule, for the log.
        rule: &'static str,
    },
    /// It may not.
    Deny {
        /// The rule, for the log and never for the client.
        rule: &'static str,
        /// What the client is told.
        message: &'static str,
    },
}

const ADMIN_REQUIRED: &str = "Admin access required";

/// Decides whether `principal` may do `action`.
pub fn decide(principal: &Principal, action: Action) -> Decision {
    match (principal, action) {
        (Principal::Token { is_admin: true, .. }, _) => Decision::Allow { rule: "administrator's token" },
        (Principal::ApiKey { in_grace: false }, _) => Decision::Allow { rule: "current API key" },
        (Principal::Owner(_), _) => Decision::Allow { rule: "the daemon's own user" },
        (Principal::Vault, _) => Decision::Allow { rule: "the vault itself" },
        (Principal::ApiKey { in_grace: true }, Action::Administer) => {
            Decision::Allow { rule: "rotated API key in its grace period" }
        }
        (Principal::ApiKey { in_grace: true }, Action::MintCredential) => Decision::Deny {
            rule: "a rotated key mints nothing",
            message: "A rotated API key cannot rotate keys or mint tokens",
        },
        (Principal::Token { is_admin: false, .. }, _) => {
            Decision::Deny { rule: "token without the role project_admin", message: ADMIN_REQUIRED }
        }
        (Principal::AnonKey, _) => Decision::Deny { rule: "anon key", message: ADMIN_REQUIRED },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_administrators_are_allowed_and_a_key_in_grace_mints_nothing() {
        let allowed = |principal: &Principal, action| matches!(decide(principal, action), Decision::Allow { .. });
        let token = |is_admin| Principal::Token { subject: "a".into(), is_admin };
        for (principal, administer, mint) in [
            (token(true), true, true),
            (token(false), false, false),
            (Principal::ApiKey { in_grace: false }, true, true),
            (Principal::ApiKey { in_grace: true }, true, false),
            (Principal::AnonKey, false, false),
        ] {
            assert_eq!(allowed(&principal, Action::Administer), administer, "{principal}");
            assert_eq!(allowed(&principal, Action::MintCredential), mint, "{principal}");
        }
    }
}
