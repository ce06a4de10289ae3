//! Issued tokens: `hushd_` and 64 hexadecimal digits, of which a digest is kept.
//!
//! Invariants: a token is 256 random bits and shown once; it is found by its digest, whatever the number of tokens; one
//! that is bound to a user or a unit is worthless elsewhere. What was revoked is refused from the moment on at which the
//! book knows it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::keys::{self, digest, hex_for_people};
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
        let text = keys::random(TOKEN_PREFIX)?;
        let stored = Self {
            id: Uuid::new_v4(),
            digest: digest(text.expose_secret()),
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
        Ok((text, stored))
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
        let issued = self.by_digest.get(&digest(text)).ok_or(AuthError::InvalidToken)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Decision, admit};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const ENDS: Timestamp = Timestamp::from_millis(1_800_000_060_000);

    fn issue(draft: TokenDraft) -> (SecretValue, StoredToken) {
        let scope = Scope::parse(&["read shop/**"]).unwrap();
        StoredToken::generate(TokenDraft { scope, ..draft }, "me".to_owned(), NOW, ENDS).unwrap()
    }

    fn ask(book: &TokenBook, text: &SecretValue, peer: Option<&Peer>, now: Timestamp) -> Result<Principal, AuthError> {
        book.authenticate(text.expose_secret(), peer, &Policy::default(), now)
    }

    #[test]
    fn a_token_is_256_random_bits_that_nothing_shows() {
        let (text, stored) = issue(TokenDraft::default());
        let digits = text.expose_secret().strip_prefix(TOKEN_PREFIX).unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
        let shown = format!("{stored:?}");
        assert!(
            shown.contains("read shop/**") && !shown.contains("digest") && !shown.contains(&digits[..8]),
            "{shown}"
        );
    }

    #[test]
    fn a_token_is_taken_until_it_ends_is_used_up_or_is_forgotten() {
        let mut book = TokenBook::default();
        assert!(book.is_empty());
        let (text, mut stored) = issue(TokenDraft { uses: Some(2), ..TokenDraft::default() });
        let id = stored.id;
        book.insert(stored.clone());
        let Ok(Principal::Granted(granted)) = ask(&book, &text, None, NOW) else { panic!("it is refused") };
        assert_eq!(granted.counted, Some(id));
        assert_eq!(ask(&book, &SecretValue::new("hushd_0".to_owned()), None, NOW), Err(AuthError::InvalidToken));
        assert!(ask(&book, &text, None, Timestamp::from_millis(ENDS.as_millis() - 1)).is_ok());
        assert_eq!(ask(&book, &text, None, ENDS), Err(AuthError::TokenExpired));
        stored.uses_left = Some(0);
        book.insert(stored.clone());
        assert_eq!(ask(&book, &text, None, NOW), Err(AuthError::InvalidToken));
        assert_eq!((book.len(), book.is_empty(), book.tokens().count()), (1, false, 1));
        assert!(book.get(id).is_some_and(|found| *found == stored) && book.get(Uuid::nil()).is_none());
        book.remove(Uuid::nil());
        assert_eq!(book.len(), 1);
        book.remove(id);
        assert!(book.is_empty() && book.get(id).is_none());
        assert_eq!(ask(&book, &text, None, NOW), Err(AuthError::InvalidToken));
    }

    #[test]
    fn a_token_of_which_a_part_cannot_be_read_allows_nothing() {
        let (text, stored) = issue(TokenDraft::default());
        let mut book = TokenBook::default();
        book.insert(StoredToken { scope: vec!["read shop/**".to_owned(), "read ../**".to_owned()], ..stored });
        let who = ask(&book, &text, None, NOW).unwrap();
        assert!(matches!(admit(&who), Decision::Deny { .. }));
    }

    #[test]
    fn a_token_that_is_bound_is_taken_from_that_user_and_unit_alone() {
        let unit = |name: &str| Peer { unit: Some(name.parse().unwrap()), ..Peer::new(1000, 1000) };
        let (ours, other) = (unit("shop.service"), unit("other.service"));
        let (same, stranger) = (Peer::new(1000, 1000), Peer::new(1001, 1001));
        let of_user = TokenDraft { bind_uid: Some(1000), ..TokenDraft::default() };
        let of_unit = TokenDraft { bind_unit: Some("shop.service".to_owned()), ..TokenDraft::default() };
        let of_both = TokenDraft { bind_uid: Some(1001), ..of_unit.clone() };
        for (draft, taken) in [
            (TokenDraft::default(), [true, true, true, true, true]),
            (of_user, [true, true, true, false, false]),
            (of_unit, [true, false, false, false, false]),
            (of_both, [false; 5]),
        ] {
            let (text, stored) = issue(draft.clone());
            let mut book = TokenBook::default();
            book.insert(stored);
            let peers = [Some(&ours), Some(&other), Some(&same), Some(&stranger), None];
            assert_eq!(peers.map(|peer| ask(&book, &text, peer, NOW).is_ok()), taken, "{draft:?}");
        }
    }

    #[test]
    fn a_jwt_is_refused_once_it_is_noted_as_revoked() {
        let mut book = TokenBook::default();
        let jwt = |id: &str, revoked| StoredJwt {
            id: id.to_owned(),
            subject: "me".to_owned(),
            created_at: NOW,
            created_by: "me".to_owned(),
            expires_at: ENDS,
            revoked,
        };
        book.insert_jwt(jwt("a", true));
        book.insert_jwt(jwt("b", false));
        assert_eq!((book.is_revoked("a"), book.is_revoked("b"), book.is_revoked("c")), (true, false, false));
        assert_eq!((book.len(), book.jwts().count()), (2, 2));
        assert!(book.jwt("a").is_some_and(|found| found.revoked) && book.jwt("c").is_none());
        book.remove_jwt("a");
        assert!(!book.is_revoked("a") && book.jwt("a").is_none() && book.len() == 1);
    }
}
