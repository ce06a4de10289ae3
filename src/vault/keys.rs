//! The vault's own keys: rotation of the API keys, and minting of administrators' tokens.
//!
//! Invariants: rotations are serial; a new key is current, and shown, only after it is durable.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{ApiKey, KeyKind, Principal};
use crate::clock::Timestamp;
use crate::model::SecretValue;
use crate::store::{Batch, Table};
use crate::vault::commit::{crypto, undecodable};
use crate::vault::{Vault, VaultError, record, to_the_end};

/// Longest life of a minted token, in seconds: a year.
const MAX_TTL_SECONDS: i64 = 31_536_000;

/// Most keys of a kind that are in their grace period at once: they share a record, and each is compared.
const MAX_IN_GRACE: usize = 512;

impl Vault {
    /// Replaces the current key of a kind; the old one stays valid for the grace period. Gives the new key, which is
    /// kept nowhere, and the end of the old one.
    ///
    /// # Errors
    /// [`VaultError::InvalidInput`] when the grace period is out of range; [`VaultError::TooManyRotations`]; errors of
    /// the store.
    pub async fn rotate_key(
        self: &Arc<Self>,
        by: &Principal,
        kind: KeyKind,
        grace_hours: Option<i64>,
    ) -> Result<(SecretValue, Timestamp), VaultError> {
        let max = kind.max_grace_hours();
        let hours = grace_hours.unwrap_or(kind.default_grace_hours());
        let grace = u64::try_from(hours).ok().filter(|_| hours <= max).map(Duration::from_hours).ok_or_else(|| {
            VaultError::InvalidInput {
                message: format!("gracePeriodHours must be an integer from 0 to {max}"),
                next: None,
            }
        })?;
        let (vault, by) = (Arc::clone(self), by.clone());
        let verb = match kind {
            KeyKind::Api => "rotate the API key",
            KeyKind::Anon => "rotate the anon key",
        };
        to_the_end(verb, async move {
            let _one = vault.rotation.lock().await;
            let now = vault.clock.now();
            let new = ApiKey::generate(kind)
                .map_err(|error| VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() })?;
            if vault.authenticator.keys(kind).in_grace(now) >= MAX_IN_GRACE {
                return Err(VaultError::TooManyRotations { limit: MAX_IN_GRACE });
            }
            let ring = vault.authenticator.keys(kind).rotated(new.to_stored(now), now, grace);
            let plain = record::encode(&ring).map_err(|error| undecodable(verb, error))?;
            let key = record::api_key_key(kind);
            let bytes =
                vault.keyring.encrypt_record(Table::ApiKey, &key, &plain).map_err(|source| crypto(verb, source))?;
            let mut batch = Batch::default();
            batch.put(Table::ApiKey, key, bytes);
            vault.submit(verb, batch).await?;
            vault.authenticator.replace_keys(kind, ring);
            tracing::info!(principal = %by, ?kind, "a key was rotated");
            Ok((new.text().clone(), now.plus(grace)))
        })
        .await
    }

    /// Mints an administrator's token, and says until when it is valid.
    ///
    /// # Errors
    /// [`VaultError::InvalidInput`] when its life or subject is out of range; [`VaultError::Internal`].
    pub fn mint_token(
        &self,
        by: &Principal,
        subject: Option<&str>,
        ttl_seconds: i64,
    ) -> Result<(SecretValue, Timestamp), VaultError> {
        let invalid = |message: &str| VaultError::InvalidInput { message: message.to_owned(), next: None };
        let ttl = u64::try_from(ttl_seconds)
            .ok()
            .filter(|_| (1..=MAX_TTL_SECONDS).contains(&ttl_seconds))
            .map(Duration::from_secs)
            .ok_or_else(|| invalid("ttlSeconds must be an integer from 1 to 31536000"))?;
        let caller = by.subject();
        let subject = subject.unwrap_or(&caller);
        if subject.is_empty() || subject.chars().count() > 128 || subject.chars().any(char::is_control) {
            return Err(invalid("subject must be 1 to 128 printable characters"));
        }
        let minted = self.authenticator.signing_secrets().mint(subject, self.clock.now(), ttl);
        let (token, expires_at) = minted
            .map_err(|error| VaultError::Internal { verb: "mint a token".to_owned(), detail: error.to_string() })?;
        tracing::info!(principal = %by, %expires_at, "an administrator's token was minted");
        Ok((token, expires_at))
    }
}
