//! The service manager's watchdog (sd_notify(3), `WATCHDOG=1`): a daemon that is stuck is ended and started anew.
//!
//! Invariant: it is told by the thread that accepts connections and handles signals, so that when that one hangs nobody tells.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::daemon::notify;

/// Tells the watchdog that the daemon lives, twice as often as it asks for; where there is none, nothing.
pub(super) async fn feed() -> Infallible {
    let Some(within) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}
