//! Power cuts, kills at chosen moments, full and failing disks, limits, and clients that behave badly, met by the real
//! program.
//!
//! Invariants: every fault is a real one, made from outside: a file system that is shut down, a system call that fails,
//! a limit of the kernel's; the program knows nothing of being tested. What was acknowledged is held against what is
//! found afterwards. The tests need root, strace, e2fsprogs and mount; where that is missing they say `skipped`, and
//! fail when `CI` is set.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "the figures, and the log of a daemon whose test fails, are shown")]
#![expect(clippy::disallowed_methods, reason = "tests set the scene: they write files and read the environment")]
#![expect(clippy::needless_pass_by_value, reason = "a test reads better when it passes `json!(…)` as it is")]

#[path = "../e2e/harness/mod.rs"]
#[allow(dead_code, unused_macros, unused_imports, reason = "the harness serves another test too, which uses all of it")]
mod harness;

mod abuse;
mod browser;
mod chosen_kills;
mod disk;
mod failing_disk;
mod full_disk;
mod hardening;
mod journal;
mod key_kills;
mod limits;
mod load;
mod machine;
mod memory;
mod needs;
mod power_cuts;
mod rules;
mod soak;
mod strace;
mod units;
mod usage;
mod users;
