//! When the vault is sealed by itself: after some time without use.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Interval;
use crate::vault::{Gate, Sealing};

/// How often the clock is looked at: it may be set, and the machine may sleep.
const GLANCE: Duration = Duration::from_secs(30);

/// Seals the vault whenever nobody who may has used it for so long.
pub(super) async fn when_idle(after: Option<Interval>, gate: Arc<Gate>, sealing: impl Sealing) {
    let Some(after) = after else { return };
    loop {
        let (now, due) = (gate.clock().now(), gate.last_used().plus(after.duration()));
        if now < due {
            tokio::time::sleep(due.since(now).min(GLANCE)).await;
            continue;
        }
        if gate.vault().is_ok() {
            sealing.seal(format!("nothing was asked for {after}")).await;
        }
        tokio::time::sleep(GLANCE.min(after.duration())).await;
    }
}
