//! The limits that hushd is held against.

pub mod disk;
pub mod server;
