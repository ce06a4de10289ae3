//! Tells of secrets that expire, when their time comes.
//!
//! Invariant: it looks when the next thing is due, when a secret is given a new time, and each minute in any case, because
//! the clock may be set and the machine may sleep.

use std::sync::Arc;
use std::time::Duration;

use crate::config::ExpiryConfig;
use crate::vault::{Vault, Warning};

/// Longest time without a look.
const GLANCE: Duration = Duration::from_mins(1);
/// Shortest time between two looks, each of which is at every secret.
const REST: Duration = Duration::from_millis(100);

/// The warnings that the configuration asks for.
pub(super) fn warnings(config: &ExpiryConfig) -> Vec<Warning> {
    let warning = |ahead: &crate::config::Interval| Warning { text: ahead.to_string().into(), ahead: ahead.duration() };
    config.warn.iter().map(warning).collect()
}

/// Tells what is due, for ever.
pub(super) async fn announce(vault: Arc<Vault>, warnings: Vec<Warning>) {
    loop {
        let next = vault.announce_expiry(&warnings).await.unwrap_or(GLANCE);
        tokio::time::sleep(REST).await;
        // Something new may be due before the next thing; either way it is looked anew.
        drop(tokio::time::timeout(next.min(GLANCE), vault.expiry_changed()).await);
    }
}
