//! Who asks, and whether they may: principals, credentials, keys, tokens, and the decision.
//!
//! Invariants: a credential that is sent decides, whatever the peer is; comparisons of keys are constant-time on digests
//! of fixed length; only digests of keys are kept; every check ends in a [`Decision`] that must be looked at.
//! It does not know HTTP: where a credential stood in a request is the caller's business.

mod authenticator;
mod caller;
mod guessing;
mod issued;
mod keys;
mod peer;
mod policy;
mod principal;
mod tokens;

pub use authenticator::{AuthError, Authenticator, Credential};
pub use caller::Caller;
pub use guessing::{Guesser, Guessing};
pub use issued::{StoredJwt, StoredToken, TOKEN_PREFIX, TokenBook, TokenDraft};
pub use keys::{ApiKey, InvalidApiKey, KeyKind, KeyRing, StoredKey};
pub use peer::{InvalidUnit, Peer, PeerView, Unit, view as view_of_peers};
pub use policy::{
    Accounts, Action, Affected, CredentialGrant, CredentialRefusal, Credentials, Decision, Granted, Policies, Policy,
    PolicyError, PolicyWarning, Refusal, Rule, Rules, Scope, ScopeError, Target, admit, decide, may_see,
};
pub use principal::Principal;
pub use tokens::{MintError, Minted, SigningSecrets, TokenError};
