//! The one place of the bench that reads the time and that waits.

use std::time::{Duration, Instant};

/// This moment.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since the epoch, for a token's `exp`.
#[expect(clippy::disallowed_methods, reason = "a token is issued in real time")]
pub fn epoch_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Lets time go by, where that is what is measured.
#[expect(clippy::disallowed_methods, reason = "what an idle daemon does is measured by leaving it alone")]
pub fn rest(duration: Duration) {
    std::thread::sleep(duration);
}
