//! The vault's own keys: rotation of the API keys.
//!
//! Invariants: rotations are serial; a new key is current, and shown, only after it is durable.

use std::sync::Arc;
use std::time::Duration;

use crate::audit;
use crate::auth::{Action, ApiKey, Caller, KeyKind, Target};
use crate::clock::Timestamp;
use crate::model::SecretValue;
use crate::store::{Batch, Table};
use crate::vault::commit::{crypto, undecodable};
use crate::vault::{Vault, VaultError, record, to_the_end};

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
        caller: &Caller,
        kind: KeyKind,
        grace_hours: Option<i64>,
    ) -> Result<(SecretValue, Timestamp), VaultError> {
        let permit = self.permit(caller, Action::Mint, Target::Vault)?;
        let max = kind.max_grace_hours();
        let hours = grace_hours.unwrap_or(kind.default_grace_hours());
        let grace = u64::try_from(hours).ok().filter(|_| hours <= max).map(Duration::from_hours).ok_or_else(|| {
            VaultError::InvalidInput {
                message: format!("gracePeriodHours must be an integer from 0 to {max}"),
                next: None,
            }
        })?;
        let recorded = self.entry(caller, &permit, audit::Action::RotateKey);
        let recorded = audit::Entry { rule: Some(format!("{kind:?} key; {}", permit.rule()).into()), ..recorded };
        let (vault, by, request_id) = (Arc::clone(self), caller.principal.clone(), caller.request_id.clone());
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
            vault.submit_recorded(verb, batch, recorded).await?;
            vault.authenticator.replace_keys(kind, ring);
            vault.publish_rotation(match kind {
                KeyKind::Api => "api-key",
                KeyKind::Anon => "anon-key",
            });
            tracing::info!(principal = %by, %request_id, ?kind, "a key was rotated");
            Ok((new.text().clone(), now.plus(grace)))
        })
        .await
    }
}
