//! hushd keeps one machine's secrets: an encrypted vault, an HTTP API on a Unix socket and on loopback, and the command
//! line for both.
//!
//! The layers, from the top; imports point downward only, and `tests/e2e/layers.rs` enforces it:
//! `cli`, `daemon`, `client`, `http`, `vault`, `auth`, `audit`, `crypto`, `store`, `api`, `config`, `paths`, `model`, `clock`,
//! `metrics`.

pub mod api;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod http;
pub mod metrics;
pub mod model;
pub mod paths;
pub mod store;
pub mod vault;
