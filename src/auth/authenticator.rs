//! From a credential to a principal.
//!
//! Invariants: a verified token is cached by its digest, never by itself, until it expires or a secret is rotated;
//! nothing here writes to the store, so that a wrong key costs no write.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use crate::auth::keys;
use crate::auth::tokens::{TokenError, Verified};
use crate::auth::{Granted, KeyKind, KeyRing, Peer, Policy, Principal, SigningSecrets, TOKEN_PREFIX, TokenBook};
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

/// A token that was found authentic before.
#[derive(Debug)]
struct Remembered {
    verified: Verified,
    principal: Principal,
    /// The policy that made it this principal.
    policy: Arc<Policy>,
}

impl AuthError {
    /// Whether somebody may have guessed: not who sent nothing, and not who had a token of ours.
    pub fn is_wrong_credential(self) -> bool {
        match self {
            Self::InvalidToken | Self::InvalidApiKey => true,
            Self::Missing | Self::TokenExpired => false,
        }
    }
}

/// Recognises principals.
#[derive(Debug)]
pub struct Authenticator {
    secrets: RwLock<Arc<SigningSecrets>>,
    api_keys: RwLock<KeyRing>,
    anon_keys: RwLock<KeyRing>,
    tokens: RwLock<TokenBook>,
    verified: RwLock<HashMap<[u8; 32], Remembered>>,
    owner: u32,
}

impl Authenticator {
    /// Takes in what credentials are checked against; `owner` is the user that is an administrator on the Unix socket.
    pub fn new(secrets: SigningSecrets, api_keys: KeyRing, anon_keys: KeyRing, owner: u32) -> Self {
        Self {
            secrets: RwLock::new(Arc::new(secrets)),
            api_keys: RwLock::new(api_keys),
            anon_keys: RwLock::new(anon_keys),
            tokens: RwLock::default(),
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
        peer: Option<&Peer>,
        policy: &Arc<Policy>,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        match credential {
            Credential::None => peer.and_then(|peer| policy.peer(peer, self.owner)).ok_or(AuthError::Missing),
            Credential::Malformed => Err(AuthError::InvalidToken),
            Credential::ApiKey(text) => self.api_key(text, now),
            Credential::Bearer(text) if text.len() > MAX_CREDENTIAL => Err(AuthError::InvalidToken),
            Credential::Bearer(text) if text.starts_with(KeyKind::Api.prefix()) => self.api_key(text, now),
            Credential::Bearer(text) if text.starts_with(KeyKind::Anon.prefix()) => {
                let known = self.anon_keys.read().check(text, now);
                known.map(|_| Principal::AnonKey).ok_or(AuthError::InvalidApiKey)
            }
            Credential::Bearer(text) if text.starts_with(TOKEN_PREFIX) => {
                self.tokens.read().authenticate(text, peer, policy, now)
            }
            Credential::Bearer(text) => self.token(text, policy, now).map_err(|error| match error {
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
    pub fn signing_secrets(&self) -> Arc<SigningSecrets> {
        Arc::clone(&self.secrets.read())
    }

    /// Replaces the secrets that sign tokens, after a rotation has become durable; what was verified before counts no more.
    pub fn replace_signing_secrets(&self, secrets: SigningSecrets) {
        let mut verified = self.verified.write();
        *self.secrets.write() = Arc::new(secrets);
        verified.clear();
    }

    /// Looks at the tokens.
    pub fn tokens(&self) -> RwLockReadGuard<'_, TokenBook> {
        self.tokens.read()
    }

    /// Changes what is known of tokens, after the change has become durable.
    pub fn change_tokens<T>(&self, change: impl FnOnce(&mut TokenBook) -> T) -> T {
        change(&mut self.tokens.write())
    }

    /// Forgets that a JWT was found authentic, after it was noted as revoked.
    pub fn forget_jwt(&self, jti: &str) {
        self.verified.write().retain(|_, known| known.verified.jti.as_deref() != Some(jti));
    }

    /// Until when a JWT is valid that was found authentic lately, and whom it is from.
    pub fn remembered_jwt(&self, jti: &str) -> Option<(Arc<str>, Timestamp)> {
        let cache = self.verified.read();
        let known = cache.values().find(|known| known.verified.jti.as_deref() == Some(jti))?;
        Some((Arc::clone(&known.verified.subject), known.verified.expires_at))
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

    fn token(&self, text: &str, policy: &Arc<Policy>, now: Timestamp) -> Result<Principal, TokenError> {
        let digest = keys::digest(text);
        if let Some(known) = self.verified.read().get(&digest) {
            known.verified.check(now)?;
            if Arc::ptr_eq(&known.policy, policy) {
                return Ok(known.principal.clone());
            }
        }
        let secrets = self.signing_secrets();
        let verified = secrets.verify(text)?;
        verified.check(now)?;
        let principal = principal(&verified, policy);
        let mut cache = self.verified.write();
        // One that was verified by secrets that are gone by now is not remembered.
        if !Arc::ptr_eq(&secrets, &self.secrets.read()) {
            return Ok(principal);
        }
        // Under the lock: whoever revokes notes it first and then clears what is remembered.
        if verified.jti.as_ref().is_some_and(|jti| self.tokens.read().is_revoked(jti)) {
            tracing::info!(%principal, "a token was refused: it is revoked");
            return Err(TokenError::Invalid);
        }
        if cache.len() >= CACHED_TOKENS {
            cache.retain(|_, old| old.verified.expires_at > now);
        }
        if cache.len() >= CACHED_TOKENS {
            cache.clear();
        }
        let policy = Arc::clone(policy);
        cache.insert(digest, Remembered { verified, principal: principal.clone(), policy });
        Ok(principal)
    }
}

/// Whom a token is from.
fn principal(verified: &Verified, policy: &Policy) -> Principal {
    let Verified { subject, is_admin, scope, .. } = verified;
    let granted = match scope {
        Some(scope) => Some(Granted::scoped(format!("token:{subject}"), scope, policy.limits(subject))),
        None => policy.token(subject, *is_admin),
    };
    match granted {
        Some(granted) => Principal::Granted(Arc::new(granted)),
        None => Principal::Token { subject: Arc::clone(subject), is_admin: *is_admin },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{ApiKey, Minted, StoredToken, TokenDraft};
    use crate::model::SecretValue;

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
        let policy = Arc::default();
        let owner = Some(Peer::new(1000, 1000));
        let ask = |credential| auth.authenticate(credential, owner.as_ref(), &policy, NOW);
        assert!(matches!(ask(Credential::None), Ok(Principal::Owner { .. })));
        assert_eq!(ask(Credential::Malformed), Err(AuthError::InvalidToken));
        assert_eq!(ask(Credential::Bearer("ey.ey.ey")), Err(AuthError::InvalidToken));
        assert_eq!(ask(Credential::Bearer("ik_1")), Err(AuthError::InvalidApiKey));
        assert_eq!(ask(Credential::ApiKey(anon.text().expose_secret())), Err(AuthError::InvalidApiKey));
        assert_eq!(ask(Credential::ApiKey(api.text().expose_secret())), Ok(Principal::ApiKey { in_grace: false }));
        assert_eq!(ask(Credential::Bearer(anon.text().expose_secret())), Ok(Principal::AnonKey));
        let stranger = Some(Peer::new(1001, 1001));
        assert_eq!(auth.authenticate(Credential::None, stranger.as_ref(), &policy, NOW), Err(AuthError::Missing));
    }

    #[test]
    fn a_cached_token_ends_when_it_expires() {
        let (auth, ..) = authenticator();
        let policy = Arc::default();
        let Minted { token, expires_at, .. } = auth.signing_secrets().mint("me", NOW, Duration::from_mins(1)).unwrap();
        let ask = |now| auth.authenticate(Credential::Bearer(token.expose_secret()), None, &policy, now);
        assert!(ask(NOW).is_ok());
        assert!(ask(NOW.plus(Duration::from_secs(59))).is_ok());
        assert_eq!(ask(expires_at), Err(AuthError::TokenExpired));
    }

    #[test]
    fn only_what_may_be_a_guess_is_a_wrong_credential_and_none_is_shown() {
        for (error, guessed) in [
            (AuthError::InvalidToken, true),
            (AuthError::InvalidApiKey, true),
            (AuthError::Missing, false),
            (AuthError::TokenExpired, false),
        ] {
            assert_eq!(error.is_wrong_credential(), guessed, "{error}");
        }
        let shown = [Credential::Bearer("sk"), Credential::ApiKey("sk")].map(|credential| format!("{credential:?}"));
        assert_eq!(shown, ["Bearer(…)", "ApiKey(…)"]);
    }

    #[test]
    fn what_was_rotated_counts_no_more_and_a_jwt_is_forgotten_by_its_name() {
        let (auth, api, anon) = authenticator();
        let policy = Arc::default();
        let ask = |text: &SecretValue, now| {
            auth.authenticate(Credential::Bearer(text.expose_secret()), None, &policy, now).map(drop)
        };
        for (kind, old) in [(KeyKind::Api, &api), (KeyKind::Anon, &anon)] {
            let new = ApiKey::generate(kind).unwrap();
            let rotated = auth.keys(kind).rotated(new.to_stored(NOW), NOW, Duration::from_secs(9));
            assert_eq!((ask(old.text(), NOW), ask(new.text(), NOW)), (Ok(()), Err(AuthError::InvalidApiKey)));
            auth.replace_keys(kind, rotated);
            assert_eq!((ask(old.text(), NOW), ask(new.text(), NOW)), (Ok(()), Ok(())));
            assert_eq!(ask(old.text(), NOW.plus(Duration::from_secs(9))), Err(AuthError::InvalidApiKey));
        }
        let minted = |ttl| auth.signing_secrets().mint("me", NOW, Duration::from_secs(ttl)).unwrap();
        let (one, other) = (minted(60), minted(90));
        for token in [&one, &other] {
            ask(&token.token, NOW).unwrap();
        }
        let (id, other_id) = (one.id.to_string(), other.id.to_string());
        assert_eq!(auth.remembered_jwt(&other_id), Some((Arc::from("me"), other.expires_at)));
        auth.forget_jwt(&id);
        assert!(auth.remembered_jwt(&id).is_none() && auth.remembered_jwt(&other_id).is_some());
        auth.replace_signing_secrets(SigningSecrets::new(&[8; 32], []));
        assert_eq!((ask(&other.token, NOW), auth.remembered_jwt(&other_id)), (Err(AuthError::InvalidToken), None));
    }

    #[test]
    fn an_issued_token_is_looked_for_among_those_and_a_jwt_elsewhere() {
        let (auth, ..) = authenticator();
        let draft = TokenDraft { uses: Some(1), ..TokenDraft::default() };
        let ends = NOW.plus(Duration::from_mins(1));
        let (text, stored) = StoredToken::generate(draft, "me".to_owned(), NOW, ends).unwrap();
        let ask = || auth.authenticate(Credential::Bearer(text.expose_secret()), None, &Arc::default(), NOW);
        assert_eq!(ask(), Err(AuthError::InvalidToken));
        let id = stored.id;
        auth.change_tokens(|tokens| tokens.insert(stored));
        assert!(auth.tokens().get(id).is_some());
        assert!(matches!(ask(), Ok(Principal::Granted(granted)) if granted.counted == Some(id)));
    }

    #[test]
    fn as_many_tokens_are_remembered_as_there_is_room_for_and_no_long_ones() {
        let (auth, ..) = authenticator();
        let policy = Arc::default();
        let ask = |token: &str, now| auth.authenticate(Credential::Bearer(token), None, &policy, now);
        let mint = |subject: &str, seconds| auth.signing_secrets().mint(subject, NOW, Duration::from_secs(seconds));
        let ends = NOW.plus(Duration::from_mins(1));
        let lives = mint("me", 90).unwrap();
        ask(lives.token.expose_secret(), NOW).unwrap();
        for _ in 1..CACHED_TOKENS {
            ask(mint("me", 60).unwrap().token.expose_secret(), NOW).unwrap();
        }
        assert_eq!(auth.verified.read().len(), CACHED_TOKENS);
        // Those that end at this very moment make room for the next one, and the others stay.
        ask(mint("me", 90).unwrap().token.expose_secret(), ends).unwrap();
        assert_eq!(auth.verified.read().len(), 2);
        assert!(auth.remembered_jwt(&lives.id.to_string()).is_some());

        let tokens = (MAX_CREDENTIAL / 2..MAX_CREDENTIAL).map(|length| mint(&"s".repeat(length), 60).unwrap().token);
        let mut long = tokens.skip_while(|token| token.expose_secret().len() < MAX_CREDENTIAL);
        let (longest, longer) = (long.next().unwrap(), long.nth(1).unwrap());
        assert_eq!(longest.expose_secret().len(), MAX_CREDENTIAL);
        assert!(ask(longest.expose_secret(), NOW).is_ok());
        assert_eq!(ask(longer.expose_secret(), NOW), Err(AuthError::InvalidToken));
    }
}
