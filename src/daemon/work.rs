//! What works on an open vault in the background: it begins when the vault is opened and ends when it is sealed.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::check::full_text;
use crate::vault::Vault;

/// How often the last uses of secrets are stored.
const SWEEP: Duration = Duration::from_mins(1);
/// How often it is tried whether writing works again after it failed.
const RECOVERY: Duration = Duration::from_secs(2);

/// What is done from time to time.
pub(super) async fn sweep(vault: Arc<Vault>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        let stored = vault.store_last_uses().await;
        let swept = vault.sweep_tokens().await;
        tracing::debug!(stored, swept, "last uses stored, expired tokens swept");
    }
}

/// Makes the vault writable again after a failed write, when the disk works again.
pub(super) async fn recover(vault: Arc<Vault>) {
    let mut interval = tokio::time::interval(RECOVERY);
    let (mut last, mut noticed) = (String::new(), false);
    loop {
        interval.tick().await;
        // Not at once: whoever looks at the daemon should see that something failed, and a disk comes back slowly.
        let before = std::mem::replace(&mut noticed, vault.needs_reopening());
        if !(before && noticed) {
            continue;
        }
        let reopening = Arc::clone(&vault);
        let done = tokio::task::spawn_blocking(move || reopening.reopen()).await;
        let reason = match done {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => full_text(&error),
            Err(error) => error.to_string(),
        };
        if !reason.is_empty() && reason != last {
            tracing::warn!(reason, "the store cannot be reopened yet");
        }
        last = reason;
    }
}
