//! The HTTP contract: every row and every sentence is a test named after it, run over the Unix socket and over TCP.
//!
//! One file a section; the quoted sentences are the contract's own.

mod authentication;
mod common;
mod creating;
mod deleting;
mod environment;
mod headers;
mod names_and_values;
mod namespaces;
mod operations;
mod preconditions;
mod reading;
mod revisions;
mod rotating;
mod updating;
mod verify;
