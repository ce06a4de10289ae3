//! The promises of the design, tested against the real program: each module is one of them.
//!
//! Invariants: every test has a vault, a daemon and directories of its own; nothing sleeps and no port is fixed; every
//! daemon that was started is reaped. Nothing here looks into the library: what is tested is what a user meets.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test shows the log of its daemon")]
#![expect(clippy::disallowed_methods, reason = "tests set the scene: they write files and read the machine's clock")]
#![expect(clippy::needless_pass_by_value, reason = "a test reads better when it passes `json!(…)` as it is")]

#[macro_use]
mod harness;

mod access;
mod at_rest;
mod attacks;
mod audit;
mod auth;
mod backup;
mod bad_input;
mod check;
mod cli;
mod compact;
mod concurrency;
mod contract;
mod daily;
mod damage;
mod described;
mod durability;
mod events;
mod formats;
mod keys;
mod layers;
mod logs;
mod metrics;
mod process;
mod progress;
mod readme;
mod rendering;
mod report;
mod run;
mod seal;
mod shell;
mod supply_chain;
mod suspend;
