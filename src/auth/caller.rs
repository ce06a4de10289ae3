//! One request as the vault sees it.

use std::sync::Arc;

use crate::auth::{Peer, Principal};
use crate::model::RequestId;

/// Who asks, from where, and what is to be said of it in logs and in the audit trail. Holds no credential.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// The process at the other end, where the kernel vouches for it; also beside a credential.
    pub peer: Option<Arc<Peer>>,
    /// The request.
    pub request_id: RequestId,
    /// Why, in the client's words.
    pub reason: Option<Arc<str>>,
}

impl Caller {
    /// The vault itself, for its own work: expiry, snapshots, batches of `lastUsedAt`.
    pub fn vault() -> Self {
        Self::new(Principal::Vault)
    }

    /// Somebody of whom nothing else is known.
    pub fn new(principal: Principal) -> Self {
        Self { principal, peer: None, request_id: RequestId::None, reason: None }
    }
}
