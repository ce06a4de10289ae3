//! The policy: rules such as `read shop/prod/STRIPE_*`, whom they are for, and the decision.
//!
//! A rule is a verb (or several, with commas) and a pattern. A pattern is `NAMESPACE/KEY`: its last part is the key, the
//! rest the namespace. `*` stands for any characters within a part, `**` as a part of the namespace for any number of
//! parts, none included; `**` as the last part is every key of the namespace and of those below it: `shop/**` is all of
//! `shop`, `shop/dev`, `shop/dev/eu`. `**` alone is everything.
//!
//! What no rule allows is denied, and a rule that denies beats all that allow. Then:
//! - `read` reveals a value. It comes with `list` and `verify`: who may read a secret sees that it is there.
//! - `list` alone shows that a secret is there, with its metadata, and not its value. A secret that may not be read is
//!   shown only where a rule allows `list` by that name; one that may not be listed cannot be read either. So a listing
//!   shows exactly what may be read, and what `list` was given for beyond that.
//! - `verify` alone tells whether a secret has a value that the asker already knows.
//! - `write` creates, changes and deletes; it reveals nothing.
//! - `admin` is for the daemon itself: status, check, backup, tokens, rotations. It has no pattern, and whoever has it can
//!   come by everything else, because a backup holds all values, and a new key is an administrator's.
//!
//! Invariants: patterns are matched against names that were parsed, which have no wildcards in them; matching takes no
//! longer than the lengths of pattern and name multiplied, and allocates nothing.

mod credentials;
mod decision;
mod grant;
mod pattern;
mod peers;
mod rule;
mod rules;
#[cfg(test)]
mod tests;

pub use credentials::{Affected, CredentialGrant, CredentialRefusal, Credentials};
pub use decision::{Action, Decision, Refusal, Rule, Target, admit, decide, may_see};
pub use grant::Granted;
pub use peers::{Accounts, Policies, Policy, PolicyError, PolicyWarning};
pub use rule::ScopeError;
pub use rules::{Rules, Scope};

/// Names of rules that are always there.
const ADMIN_TOKEN: &str = "administrator's token";
const OWNER: &str = "the daemon's own user";
