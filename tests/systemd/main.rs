//! hushd under a real systemd: a Debian that debootstrap made, booted by systemd-nspawn, with the package installed.
//!
//! Invariants: each machine is a layer over the same Debian and gone afterwards; the program is the one that is tested, in
//! a package that is built of `[package.metadata.deb]`. The tests need root, debootstrap, systemd-nspawn and dpkg-deb; where
//! that is missing they say `skipped`, and fail when `CI` is set.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "the figures, and the journal of a machine whose test fails, are shown")]
#![expect(clippy::disallowed_methods, reason = "tests set the scene: they write files, wait, and read the environment")]

#[path = "../faults/needs.rs"]
#[allow(dead_code, reason = "another test uses all of it")]
mod needs;
#[path = "../values.rs"]
mod values;

mod files;
mod kills;
mod machine;
mod package;
mod packages;
mod refusals;
mod service;
mod units;
mod user;
