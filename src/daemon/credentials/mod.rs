//! Credentials for units (systemd.exec(5), `LoadCredential=ID:SOCKET`).
//!
//! To the service manager whatever comes before the end of the connection is the credential, be it nothing or half of it. So the
//! connection is never this daemon's alone, which may be killed at any moment: systemd starts a process for each
//! ([`front`]), which holds the connection, passes a copy of it to the daemon ([`server`]), gets the whole answer in a
//! frame, and only then writes. What is no whole value becomes an answer that systemd refuses, because it is longer than a
//! credential may be: the unit then fails (243/CREDENTIALS).

mod changes;
mod claim;
mod decide;
mod frame;
mod front;
mod server;
mod totals;

pub(super) use changes::follow;
#[cfg(fuzzing)]
pub use claim::claimed;
pub use front::answer;
pub(super) use server::Server;
