//! The one place that asks the policy.
//!
//! Invariants: every verb asks here before it looks at anything; only what was allowed has a [`Permit`], which revealing
//! and committing demand; the rule that said no goes to the log and never to the client.

use crate::audit;
use crate::auth::{Action, Caller, Decision, Refusal, Rule, Target, admit, decide};
use crate::metrics::COUNTS;
use crate::vault::{Vault, VaultError};

/// Proof that the policy said yes, for one thing.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    rule: Rule,
}

impl Permit {
    /// The rule that said yes.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
}

impl Vault {
    /// Asks the policy.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub fn permit(&self, caller: &Caller, action: Action, target: Target<'_>) -> Result<Permit, VaultError> {
        self.look_at(decide(&caller.principal, action, target), caller, action, target)
    }

    /// Whether the policy would say yes, for what is shown or left out without a word.
    pub fn may(&self, caller: &Caller, action: Action, target: Target<'_>) -> bool {
        matches!(decide(&caller.principal, action, target), Decision::Allow { .. })
    }

    /// Asks whether somebody may do anything at all, before a request is read.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub fn admit(&self, caller: &Caller) -> Result<(), VaultError> {
        self.look_at(admit(&caller.principal), caller, Action::List, Target::Vault).map(|_| ())
    }

    fn look_at(
        &self,
        decision: Decision,
        caller: &Caller,
        action: Action,
        target: Target<'_>,
    ) -> Result<Permit, VaultError> {
        match decision {
            Decision::Allow { rule } => Ok(Permit { rule }),
            Decision::Deny { rule, refusal } => {
                COUNTS.refusals.increment();
                tracing::info!(principal = %caller.principal, %rule, ?action, request_id = %caller.request_id, "request refused");
                let (namespace, key) = match target {
                    Target::Secret(namespace, key) => (Some(namespace), Some(key)),
                    Target::Namespace(namespace) => (Some(namespace), None),
                    Target::Vault => (None, None),
                };
                self.refused(caller, recorded(action), namespace, key, &rule.to_string());
                Err(refused(refusal, action, target))
            }
        }
    }
}

/// What the trail calls something that was asked for, and refused before more was known of it.
fn recorded(action: Action) -> audit::Action {
    match action {
        Action::Read => audit::Action::Reveal,
        Action::Write => audit::Action::Update,
        Action::List => audit::Action::List,
        Action::Verify => audit::Action::Verify,
        Action::Admin => audit::Action::Admin,
        Action::Mint => audit::Action::MintToken,
    }
}

/// The client learns what it lacks, whatever there is; the rule stays in the log.
fn refused(refusal: Refusal, action: Action, target: Target<'_>) -> VaultError {
    let administrator = Some("Use an administrator's token or the current API key");
    let (message, next) = match refusal {
        Refusal::AdminRequired => ("Admin access required".to_owned(), administrator),
        Refusal::RotatedKey => ("A rotated API key cannot rotate keys or mint tokens".to_owned(), administrator),
        Refusal::OutOfScope => (
            format!("Missing scope: {}", missing(action, target)),
            Some(
                "Ask an administrator for a token or a policy with this scope; `hushd policy check` says what decides",
            ),
        ),
    };
    VaultError::Forbidden { message, next }
}

/// The scope that a request needs.
fn missing(action: Action, target: Target<'_>) -> String {
    let verb = match action {
        Action::Read => "read",
        Action::Write => "write",
        Action::List => "list",
        Action::Verify => "verify",
        Action::Admin | Action::Mint => return "admin".to_owned(),
    };
    match target {
        Target::Secret(namespace, key) => format!("{verb} {namespace}/{key}"),
        Target::Namespace(namespace) => format!("{verb} {namespace}/*"),
        Target::Vault => verb.to_owned(),
    }
}
