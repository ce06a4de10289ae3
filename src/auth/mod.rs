//! Who asks, and whether they may: principals, credentials, keys, tokens, and the decision.
//!
//! Invariants: a credential that is sent decides, whatever the peer is; comparisons of keys are constant-time on digests
//! of fixed length; only digests of keys are kept; every check ends in a [`Decision`] that must be looked at.
//! It does not know HTTP: where a credential stood in a request is the caller's business.

mod authenticator;
mod keys;
mod policy;
mod principal;
mod tokens;

pub use authenticator::{AuthError, Authenticator, Credential};
pub use keys::{ApiKey, InvalidApiKey, KeyKind, KeyRing, StoredKey};
pub use policy::{Action, Decision, decide};
pub use principal::{Peer, Principal};
pub use tokens::{MintError, SigningSecrets, TokenError};
