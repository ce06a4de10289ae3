//! What the tests stand on: directories, a vault, the real daemon, a raw HTTP client and forged tokens.

pub mod api;
pub mod cli;
pub mod daemon;
pub mod files;
pub mod http;
pub mod jwt;
pub mod leaks;
pub mod programs;
pub mod released;
pub mod sandbox;
pub mod terminal;

use std::thread;
use std::time::{Duration, Instant};

use cli::PATIENCE;

pub use api::{Answer, Api, Transport};
pub use daemon::{Daemon, Failure};
pub use sandbox::{Sandbox, Vault};

/// Runs each of the functions named once over the Unix socket and once over TCP, each time with a daemon of its own.
///
/// A function that is not named anywhere is dead code, and the build fails.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn over_unix() {
                crate::harness::api::over(crate::harness::Transport::Unix, super::$name);
            }

            #[test]
            fn over_tcp() {
                crate::harness::api::over(crate::harness::Transport::Tcp, super::$name);
            }
        }
    )+};
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A time `seconds` from now, as the contract writes times.
pub fn time_in(seconds: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_second(now() + seconds).unwrap())
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
