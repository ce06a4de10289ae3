//! Issued tokens: `hushd_` and 64 hexadecimal digits, of which a digest is kept.
//!
//! Invariants: a token is 256 random bits and shown once; it is found by its digest, whatever the number of tokens; one
//! that is bound to a user or a unit is worthless elsewhere. What was revoked is refused from the moment on at which the
//! book knows it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::auth::keys::hex_for_people;
use crate::auth::policy::{Granted, Rules, Scope};
use crate::auth::{AuthError, Peer, Policy, Principal};
use crate::clock::Timestamp;
use crate::model::SecretValue;

/// How issued tokens begin.
pub const TOKEN_PREFIX: &str = "hushd_";

/// What is kept of an issued token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    /// Its identifier.
    pub id: Uuid,
    #[serde(with = "hex_for_people")]
    digest: [u8; 32],
    /// The rules that it is limited to.
    pub scope: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// The user from whose processes alone it is taken.
    pub bind_uid: Option<u32>,
    /// The unit from whose processes alone it is taken.
    pub bind_unit: Option<String>,
    /// How often it could be used when it was made; none: as often as one likes.
    pub uses: Option<u32>,
    /// How often it can still be used.
    pub uses_left: Option<u32>,
    /// What it is for, in the words of whoever made it.
    pub reason: Option<String>,
}

/// What is kept of a JWT: one that was minted here, or one of others that was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredJwt {
    /// Its `jti`.
    pub id: String,
    /// Its `sub`.
    pub subject: String,
    /// When it was minted, or was revoked.
    pub created_at: Timestamp,
    /// Who minted it, or revoked it.
    pub created_by: String,
    /// From when on it is refused by itself.
    pub expires_at: Timestamp,
    /// Whether it is refused already.
    pub revoked: bool,
}

impl fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredToken").field("id", &self.id).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What a new token is to be.
#[derive(Clone, Debug, Default)]
pub struct TokenDraft {
    /// The rules that it is limited to.
    pub scope: Scope,
    /// The user from whose processes alone it is taken.
    pub bind_uid: Option<u32>,
    /// The unit from whose processes alone it is taken.
    pub bind_unit: Option<String>,
    /// How often it can be used; none: as often as one likes.
    pub uses: Option<u32>,
    /// What it is for.
    pub reason: Option<String>,
}

impl StoredToken {
    /// Makes a token. Gives it with what is kept of it.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(
        draft: TokenDraft,
        created_by: String,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(SecretValue, Self), getrandom::Error> {
        let mut random = zeroize::Zeroizing::new([0_u8; 32]);
        getrandom::fill(random.as_mut())?;
        let mut text = String::with_capacity(TOKEN_PREFIX.len() + 64);
        text.push_str(TOKEN_PREFIX);
        for byte in random.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
            }
        }
        let stored = Self {
            id: Uuid::new_v4(),
            digest: Sha256::digest(text.as_bytes()).into(),
            scope: draft.scope.texts().to_vec(),
            created_at,
            created_by,
            expires_at,
            bind_uid: draft.bind_uid,
            bind_unit: draft.bind_unit,
            uses: draft.uses,
            uses_left: draft.uses,
            reason: draft.reason,
        };
        Ok((SecretValue::new(text), stored))
    }

    /// Whether this peer may present it.
    fn is_bound_to(&self, peer: Option<&Peer>) -> bool {
        let uid = self.bind_uid.is_none_or(|uid| peer.is_some_and(|peer| peer.uid == uid));
        let unit =
            |bound: &str| peer.and_then(|peer| peer.unit.as_ref()).is_some_and(|unit| unit.to_string() == *bound);
        uid && self.bind_unit.as_deref().is_none_or(unit)
    }
}

/// A token that can be presented.
#[derive(Debug)]
struct Issued {
    stored: StoredToken,
    scope: Scope,
    granted: Arc<Granted>,
}

/// All tokens that are known.
#[derive(Debug, Default)]
pub struct TokenBook {
    by_digest: HashMap<[u8; 32], Issued>,
    digests: HashMap<Uuid, [u8; 32]>,
    jwts: HashMap<String, StoredJwt>,
}

impl TokenBook {
    /// Takes a token in, or what has become of it.
    pub fn insert(&mut self, stored: StoredToken) {
        let scope = Scope::parse(&stored.scope).unwrap_or_else(|error| {
            // It was checked when the token was made: a token of which a part cannot be read allows nothing.
            tracing::warn!(token = %stored.id, %error, "the scope of a token cannot be read");
            Scope::default()
        });
        let granted = granted(&stored, &scope, None);
        self.digests.insert(stored.id, stored.digest);
        self.by_digest.insert(stored.digest, Issued { stored, scope, granted: Arc::new(granted) });
    }

    /// Takes a JWT in, or what has become of it.
    pub fn insert_jwt(&mut self, stored: StoredJwt) {
        self.jwts.insert(stored.id.clone(), stored);
    }

    /// Forgets a token.
    pub fn remove(&mut self, id: Uuid) {
        if let Some(digest) = self.digests.remove(&id) {
            self.by_digest.remove(&digest);
        }
    }

    /// Forgets a JWT.
    pub fn remove_jwt(&mut self, id: &str) {
        self.jwts.remove(id);
    }

    /// A token by its identifier.
    pub fn get(&self, id: Uuid) -> Option<&StoredToken> {
        self.by_digest.get(self.digests.get(&id)?).map(|issued| &issued.stored)
    }

    /// A JWT by its `jti`.
    pub fn jwt(&self, id: &str) -> Option<&StoredJwt> {
        self.jwts.get(id)
    }

    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &StoredToken> {
        self.by_digest.values().map(|issued| &issued.stored)
    }

    /// All JWTs.
    pub fn jwts(&self) -> impl Iterator<Item = &StoredJwt> {
        self.jwts.values()
    }

    /// How many of both there are.
    pub fn len(&self) -> usize {
        self.by_digest.len() + self.jwts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_revoked(&self, jti: &str) -> bool {
        self.jwts.get(jti).is_some_and(|jwt| jwt.revoked)
    }

    /// Who presents this token.
    pub(super) fn authenticate(
        &self,
        text: &str,
        peer: Option<&Peer>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let issued = self.by_digest.get(&digest).ok_or(AuthError::InvalidToken)?;
        let stored = &issued.stored;
        if !stored.is_bound_to(peer) {
            tracing::info!(token = %stored.id, "a token was refused: it is bound to another user or unit");
            return Err(AuthError::InvalidToken);
        }
        if now >= stored.expires_at {
            return Err(AuthError::TokenExpired);
        }
        if stored.uses_left == Some(0) {
            tracing::info!(token = %stored.id, "a token was refused: it is used up");
            return Err(AuthError::InvalidToken);
        }
        let granted = match policy.has_tokens().then(|| policy.limits(&stored.id.to_string())).flatten() {
            None => Arc::clone(&issued.granted),
            limits @ Some(_) => Arc::new(granted(stored, &issued.scope, limits)),
        };
        Ok(Principal::Granted(granted))
    }
}

/// The bearer of a token, whom a policy may deny something.
fn granted(stored: &StoredToken, scope: &Scope, limits: Option<&Rules>) -> Granted {
    let counted = stored.uses.map(|_| stored.id);
    Granted { counted, ..Granted::scoped(format!("token:{}", stored.id), scope, limits) }
}
