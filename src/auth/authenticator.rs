//! From a credential to a principal.
//!
//! Invariants: a verified token is cached by its digest, never by itself, until it expires or a secret is rotated;
//! nothing here writes to the store, so that a wrong key costs no write.

use std::collections::HashMap;

use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use crate::auth::tokens::{TokenError, Verified};
use crate::auth::{KeyKind, KeyRing, Peer, Principal, SigningSecrets};
use crate::clock::Timestamp;

/// Tokens that are remembered at most.
const CACHED_TOKENS: usize = 4096;
/// Longest credential that is looked at, in bytes.
const MAX_CREDENTIAL: usize = 8192;

/// What a client sent to show who it is.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`.
    Bearer(&'a str),
    /// `x-api-key: …`.
    ApiKey(&'a str),
    /// Something that is no credential of ours.
    Malformed,
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::ApiKey(_) => "ApiKey(…)",
            Self::Malformed => "Malformed",
        })
    }
}

/// Why nobody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Nothing was sent, and the peer is nobody.
    #[error("no credential was sent")]
    Missing,
    /// A token that is not ours, or something that is no credential.
    #[error("the token is not valid")]
    InvalidToken,
    /// A key that is not ours, or not any more.
    #[error("the API key is not valid")]
    InvalidApiKey,
    /// A token of ours past its time.
    #[error("the token has expired")]
    TokenExpired,
}

/// Recognises principals.
#[derive(Debug)]
pub struct Authenticator {
    secrets: SigningSecrets,
    api_keys: RwLock<KeyRing>,
    anon_keys: RwLock<KeyRing>,
    verified: RwLock<HashMap<[u8; 32], Verified>>,
    owner: u32,
}

impl Authenticator {
    /// Takes in what credentials are checked against; `owner` is the user that is an administrator on the Unix socket.
    pub fn new(secrets: SigningSecrets, api_keys: KeyRing, anon_keys: KeyRing, owner: u32) -> Self {
        Self {
            secrets,
            api_keys: RwLock::new(api_keys),
            anon_keys: RwLock::new(anon_keys),
            verified: RwLock::default(),
            owner,
        }
    }

    /// Finds out who asks. A credential that was sent decides; only where none was sent does the peer count.
    ///
    /// # Errors
    /// [`AuthError`] when nobody is recognised.
    pub fn authenticate(
        &self,
        credential: Credential<'_>,
        peer: Option<Peer>,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        match credential {
            Credential::None => match peer {
                Some(peer) if peer.uid == self.owner => Ok(Principal::Owner(peer)),
                Some(_) | None => Err(AuthError::Missing),
            },
            Credential::Malformed => Err(AuthError::InvalidToken),
            Credential::ApiKey(text) => self.api_key(text, now),
            Credential::Bearer(text) if text.len() > MAX_CREDENTIAL => Err(AuthError::InvalidToken),
            Credential::Bearer(text) if text.starts_with(KeyKind::Api.prefix()) => self.api_key(text, now),
            Credential::Bearer(text) if text.starts_with(KeyKind::Anon.prefix()) => {
                let known = self.anon_keys.read().check(text, now);
                known.map(|_| Principal::AnonKey).ok_or(AuthError::InvalidApiKey)
            }
            Credential::Bearer(text) => self.token(text, now).map_err(|error| match error {
                TokenError::Invalid => AuthError::InvalidToken,
                TokenError::Expired => AuthError::TokenExpired,
            }),
        }
    }

    /// The keys of one kind, as they are now.
    pub fn keys(&self, kind: KeyKind) -> KeyRing {
        self.ring(kind).read().clone()
    }

    /// Replaces the keys of one kind, after a rotation has become durable.
    pub fn replace_keys(&self, kind: KeyKind, keys: KeyRing) {
        *self.ring(kind).write() = keys;
    }

    /// The secrets that sign tokens.
    pub fn signing_secrets(&self) -> &SigningSecrets {
        &self.secrets
    }

    fn ring(&self, kind: KeyKind) -> &RwLock<KeyRing> {
        match kind {
            KeyKind::Api => &self.api_keys,
            KeyKind::Anon => &self.anon_keys,
        }
    }

    fn api_key(&self, text: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let known = self.api_keys.read().check(text, now);
        known.map(|in_grace| Principal::ApiKey { in_grace }).ok_or(AuthError::InvalidApiKey)
    }

    fn token(&self, text: &str, now: Timestamp) -> Result<Principal, TokenError> {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(verified) = self.verified.read().get(&digest) {
            verified.check(now)?;
            return Ok(verified.principal.clone());
        }
        let verified = self.secrets.verify(text)?;
        verified.check(now)?;
        let principal = verified.principal.clone();
        let mut cache = self.verified.write();
        if cache.len() >= CACHED_TOKENS {
            cache.retain(|_, old| old.expires_at > now);
        }
        if cache.len() >= CACHED_TOKENS {
            cache.clear();
        }
        cache.insert(digest, verified);
        Ok(principal)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::ApiKey;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn authenticator() -> (Authenticator, ApiKey, ApiKey) {
        let (api, anon) = (ApiKey::generate(KeyKind::Api).unwrap(), ApiKey::generate(KeyKind::Anon).unwrap());
        let rings = (KeyRing::new(api.to_stored(NOW)), KeyRing::new(anon.to_stored(NOW)));
        let secrets = SigningSecrets::new(&[7; 32], []);
        (Authenticator::new(secrets, rings.0, rings.1, 1000), api, anon)
    }

    #[test]
    fn a_bad_credential_never_falls_back_to_the_peer() {
        let (auth, api, anon) = authenticator();
        let owner = Some(Peer { uid: 1000, gid: 1000, pid: None });
        let ask = |credential| auth.authenticate(credential, owner, NOW);
        assert!(matches!(ask(Credential::None), Ok(Principal::Owner(_))));
        assert_eq!(ask(Credential::Malformed), Err(AuthError::InvalidToken));
        assert_eq!(ask(Credential::Bearer("ey.ey.ey")), Err(AuthError::InvalidToken));
        assert_eq!(ask(Credential::Bearer("ik_1")), Err(AuthError::InvalidApiKey));
        assert_eq!(ask(Credential::ApiKey(anon.text().expose_secret())), Err(AuthError::InvalidApiKey));
        assert_eq!(ask(Credential::ApiKey(api.text().expose_secret())), Ok(Principal::ApiKey { in_grace: false }));
        assert_eq!(ask(Credential::Bearer(anon.text().expose_secret())), Ok(Principal::AnonKey));
        let stranger = Some(Peer { uid: 1001, gid: 1001, pid: None });
        assert_eq!(auth.authenticate(Credential::None, stranger, NOW), Err(AuthError::Missing));
    }

    #[test]
    fn a_cached_token_ends_when_it_expires() {
        let (auth, ..) = authenticator();
        let (token, expires_at) = auth.signing_secrets().mint("me", NOW, Duration::from_mins(1)).unwrap();
        let ask = |now| auth.authenticate(Credential::Bearer(token.expose_secret()), None, now);
        assert!(ask(NOW).is_ok());
        assert!(ask(NOW.plus(Duration::from_secs(59))).is_ok());
        assert_eq!(ask(expires_at), Err(AuthError::TokenExpired));
    }
}
