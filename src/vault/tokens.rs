//! Access tokens: issued with a scope, counted, revoked, and swept when they have expired.
//!
//! Invariants: changes of tokens are serial; a token is known, and shown, only after it is durable; a use is durable
//! before anything is done with it; what was revoked is refused before that is answered.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::audit;
use crate::auth::{Action, AuthError, Caller, Principal, Rule, StoredJwt, StoredToken, Target, TokenDraft};
use crate::clock::Timestamp;
use crate::model::SecretValue;
use crate::store::{Batch, Table};
use crate::vault::commit::{crypto, undecodable};
use crate::vault::{Vault, VaultError, record, to_the_end};

/// Longest life of a token, in seconds: a year.
const MAX_TTL_SECONDS: i64 = 31_536_000;
/// Most tokens at a time.
const MAX_TOKENS: usize = 100_000;
/// Most uses that are counted.
const MAX_USES: u32 = 1_000_000;
/// Records that are swept at a time.
const SWEPT: usize = 512;

/// How long a token is valid, within what is allowed.
#[derive(Clone, Copy, Debug)]
pub struct TokenLife(Duration);

impl TokenLife {
    /// A life of so many seconds.
    ///
    /// # Errors
    /// [`VaultError::InvalidInput`] when it is out of range.
    pub fn seconds(seconds: i64) -> Result<Self, VaultError> {
        let within = u64::try_from(seconds).ok().filter(|_| (1..=MAX_TTL_SECONDS).contains(&seconds));
        within
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| invalid(format!("ttlSeconds must be an integer from 1 to {MAX_TTL_SECONDS}")))
    }
}

/// A token that was made, to be shown once.
#[derive(Debug)]
pub struct NewToken {
    /// The token.
    pub token: SecretValue,
    /// Its identifier.
    pub id: Uuid,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

impl Vault {
    /// Issues a token that is limited to a scope.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`]; [`VaultError::InvalidInput`]; [`VaultError::TooManyTokens`]; errors of the store.
    pub async fn issue_token(
        self: &Arc<Self>,
        caller: &Caller,
        draft: TokenDraft,
        life: TokenLife,
    ) -> Result<NewToken, VaultError> {
        let permit = self.permit(caller, Action::Mint, Target::Vault)?;
        if draft.scope.texts().is_empty() {
            return Err(invalid("scope must have at least one rule, such as \"read shop/**\"".to_owned()));
        }
        if draft.uses.is_some_and(|uses| !(1..=MAX_USES).contains(&uses)) {
            return Err(invalid(format!("uses must be an integer from 1 to {MAX_USES}")));
        }
        printable("reason", draft.reason.as_deref(), 256)?;
        let verb = "issue a token";
        let recorded = self.entry(caller, &permit, audit::Action::MintToken);
        let (vault, by) = (Arc::clone(self), caller.principal.to_string());
        let request_id = caller.request_id.clone();
        to_the_end(verb, async move {
            let _one = vault.tokens.lock().await;
            vault.check_room()?;
            let now = vault.clock.now();
            let expires_at = now.plus(life.0);
            let (token, stored) = StoredToken::generate(draft, by, now, expires_at)
                .map_err(|error| VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() })?;
            let id = stored.id;
            let recorded = named(recorded, &id, permit.rule());
            vault.put(verb, record::token_key(id), &stored, Some(recorded)).await?;
            // Not the scope, which may name a secret.
            tracing::info!(principal = stored.created_by, %request_id, token = %id, "a token was issued");
            vault.authenticator.change_tokens(|book| book.insert(stored));
            Ok(NewToken { token, id, expires_at })
        })
        .await
    }

    /// Mints an administrator's JWT, and notes its identifier, so that it can be revoked.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`]; [`VaultError::InvalidInput`] when its subject is out of range;
    /// [`VaultError::TooManyTokens`]; [`VaultError::Internal`]; errors of the store.
    pub async fn mint_token(
        self: &Arc<Self>,
        caller: &Caller,
        subject: Option<String>,
        life: TokenLife,
    ) -> Result<NewToken, VaultError> {
        let permit = self.permit(caller, Action::Mint, Target::Vault)?;
        let subject = subject.unwrap_or_else(|| caller.principal.subject());
        if subject.is_empty() {
            return Err(invalid("subject must be 1 to 128 printable characters".to_owned()));
        }
        printable("subject", Some(&subject), 128)?;
        let verb = "mint a token";
        let recorded = self.entry(caller, &permit, audit::Action::MintToken);
        let (vault, by) = (Arc::clone(self), caller.principal.to_string());
        let request_id = caller.request_id.clone();
        to_the_end(verb, async move {
            let _one = vault.tokens.lock().await;
            vault.check_room()?;
            let now = vault.clock.now();
            let minted = vault.authenticator.signing_secrets().mint(&subject, now, life.0);
            let minted =
                minted.map_err(|error| VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() })?;
            let (id, expires_at) = (minted.id.to_string(), minted.expires_at);
            let stored = StoredJwt { id, subject, created_at: now, created_by: by, expires_at, revoked: false };
            let recorded = named(recorded, &stored.id, permit.rule());
            vault.put(verb, record::jwt_key(&stored.id), &stored, Some(recorded)).await?;
            tracing::info!(principal = stored.created_by, %request_id, %expires_at, "an administrator's token was minted");
            vault.authenticator.change_tokens(|book| book.insert_jwt(stored));
            Ok(NewToken { token: minted.token, id: minted.id, expires_at })
        })
        .await
    }

    /// All tokens that have not expired, the newest first: the issued ones, and the JWTs that were minted here or revoked.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub fn tokens(&self, caller: &Caller) -> Result<(Vec<StoredToken>, Vec<StoredJwt>), VaultError> {
        let permit = self.permit(caller, Action::Admin, Target::Vault)?;
        self.record_use(caller, &permit, audit::Action::Admin, None, None)?;
        let now = self.clock.now();
        let book = self.authenticator.tokens();
        let mut tokens: Vec<StoredToken> = book.tokens().filter(|token| token.expires_at > now).cloned().collect();
        let mut jwts: Vec<StoredJwt> = book.jwts().filter(|jwt| jwt.expires_at > now).cloned().collect();
        drop(book);
        tokens.sort_by_key(|token| std::cmp::Reverse((token.created_at, token.id)));
        jwts.sort_by(|one, other| (other.created_at, &other.id).cmp(&(one.created_at, &one.id)));
        Ok((tokens, jwts))
    }

    /// Revokes a token by its identifier: an issued one, or a JWT by its `jti`. It is refused from then on.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`]; [`VaultError::TokenNotFound`]; errors of the store.
    pub async fn revoke_token(self: &Arc<Self>, caller: &Caller, id: &str) -> Result<(), VaultError> {
        let permit = self.permit(caller, Action::Admin, Target::Vault)?;
        let verb = "revoke a token";
        let recorded = named(self.entry(caller, &permit, audit::Action::RevokeToken), &id, permit.rule());
        let (vault, by, id) = (Arc::clone(self), caller.principal.to_string(), id.to_owned());
        let request_id = caller.request_id.clone();
        to_the_end(verb, async move {
            let _one = vault.tokens.lock().await;
            let now = vault.clock.now();
            let issued = Uuid::try_parse(&id).ok().filter(|id| vault.authenticator.tokens().get(*id).is_some());
            if let Some(id) = issued {
                let mut batch = Batch::default();
                batch.delete(Table::ApiKey, record::token_key(id));
                vault.submit_recorded(verb, batch, recorded).await?;
                vault.authenticator.change_tokens(|book| book.remove(id));
            } else {
                let known = vault.authenticator.tokens().jwt(&id).filter(|jwt| jwt.expires_at > now).cloned();
                let stored = match known {
                    Some(jwt) => StoredJwt { revoked: true, ..jwt },
                    // One that somebody else signed can be revoked when it has been seen.
                    None => vault
                        .authenticator
                        .remembered_jwt(&id)
                        .map(|(subject, expires_at)| StoredJwt {
                            id: id.clone(),
                            subject: subject.to_string(),
                            created_at: now,
                            created_by: by.clone(),
                            expires_at,
                            revoked: true,
                        })
                        .ok_or(VaultError::TokenNotFound)?,
                };
                vault.put(verb, record::jwt_key(&id), &stored, Some(recorded)).await?;
                vault.authenticator.change_tokens(|book| book.insert_jwt(stored));
                vault.authenticator.forget_jwt(&id);
            }
            tracing::info!(principal = by, %request_id, token = id, "a token was revoked");
            Ok(())
        })
        .await
    }

    /// Counts a use of a token whose uses are counted. It is durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::Unauthenticated`] when there is none left, or it was revoked meanwhile; errors of the store.
    pub async fn count_use(self: &Arc<Self>, principal: &Principal) -> Result<(), VaultError> {
        let Principal::Granted(granted) = principal else { return Ok(()) };
        let Some(id) = granted.counted else { return Ok(()) };
        let verb = "count the use of a token";
        let vault = Arc::clone(self);
        to_the_end(verb, async move {
            let _one = vault.tokens.lock().await;
            let spent = VaultError::from(AuthError::InvalidToken);
            let Some(mut stored) = vault.authenticator.tokens().get(id).cloned() else { return Err(spent) };
            let Some(left) = stored.uses_left.unwrap_or(0).checked_sub(1) else { return Err(spent) };
            stored.uses_left = Some(left);
            vault.put(verb, record::token_key(id), &stored, None).await?;
            vault.authenticator.change_tokens(|book| book.insert(stored));
            Ok(())
        })
        .await
    }

    /// Forgets tokens that have expired. Says how many.
    pub async fn sweep_tokens(self: &Arc<Self>) -> usize {
        if !self.is_writable() {
            return 0;
        }
        let _one = self.tokens.lock().await;
        let now = self.clock.now();
        let (tokens, jwts) = {
            let book = self.authenticator.tokens();
            let tokens: Vec<Uuid> =
                book.tokens().filter(|token| token.expires_at <= now).take(SWEPT).map(|token| token.id).collect();
            let jwts: Vec<String> =
                book.jwts().filter(|jwt| jwt.expires_at <= now).take(SWEPT).map(|jwt| jwt.id.clone()).collect();
            (tokens, jwts)
        };
        let mut batch = Batch::default();
        let keys = tokens.iter().map(|id| record::token_key(*id)).chain(jwts.iter().map(|id| record::jwt_key(id)));
        for key in keys {
            batch.delete(Table::ApiKey, key);
        }
        if tokens.is_empty() && jwts.is_empty() {
            return 0;
        }
        if let Err(error) = self.submit("sweep the tokens", batch).await {
            tracing::warn!(%error, "expired tokens were not swept");
            return 0;
        }
        self.authenticator.change_tokens(|book| {
            for id in &tokens {
                book.remove(*id);
            }
            for id in &jwts {
                book.remove_jwt(id);
            }
        });
        tokens.len() + jwts.len()
    }

    fn check_room(&self) -> Result<(), VaultError> {
        if self.authenticator.tokens().len() >= MAX_TOKENS {
            return Err(VaultError::TooManyTokens { limit: MAX_TOKENS });
        }
        Ok(())
    }

    /// Writes a record, with the entry of the trail that tells of it.
    async fn put<T: serde::Serialize>(
        &self,
        verb: &str,
        key: Vec<u8>,
        content: &T,
        recorded: Option<audit::Entry>,
    ) -> Result<(), VaultError> {
        let plain = record::encode(content).map_err(|error| undecodable(verb, error))?;
        let bytes = self.keyring.encrypt_record(Table::ApiKey, &key, &plain).map_err(|source| crypto(verb, source))?;
        let mut batch = Batch::default();
        batch.put(Table::ApiKey, key, bytes);
        match recorded {
            Some(entry) => self.submit_recorded(verb, batch, entry).await,
            None => self.submit(verb, batch).await,
        }
    }
}

/// An entry that names the token which it is about.
fn named(entry: audit::Entry, token: &dyn std::fmt::Display, rule: &Rule) -> audit::Entry {
    audit::Entry { rule: Some(format!("token {token}; {rule}").into()), ..entry }
}

fn invalid(message: String) -> VaultError {
    VaultError::InvalidInput { message, next: None }
}

fn printable(field: &str, text: Option<&str>, most: usize) -> Result<(), VaultError> {
    if text.is_some_and(|text| text.chars().count() > most || text.chars().any(char::is_control)) {
        return Err(invalid(format!("{field} must be 1 to {most} printable characters")));
    }
    Ok(())
}
