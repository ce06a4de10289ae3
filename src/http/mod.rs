//! The HTTP API: routes, extractors, guards, and the one mapping to statuses. It holds no business rules.
//!
//! Invariants: a handler decodes, makes one call, and encodes; the same API is served on every listener; nothing that a
//! client sends stops the daemon.

mod backup;
mod body;
mod caller;
mod common;
mod connection;
mod error;
mod keys;
mod openapi;
mod operations;
mod query;
mod routes;
mod secrets;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, middleware, web};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::api::{BackupStatus, CheckResponse};
use crate::crypto::Recipient;
use crate::vault::Vault;

/// What is known of automatic snapshots, kept by whoever takes them.
pub type SnapshotReport = Arc<RwLock<Option<BackupStatus>>>;

/// Checks the vault and what is around it; one check at a time.
#[derive(Clone)]
pub struct Checker(Arc<tokio::sync::Mutex<Box<dyn Fn() -> CheckResponse + Send + Sync>>>);

impl Checker {
    /// Takes in how it is done.
    pub fn new(check: impl Fn() -> CheckResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Box::new(check))))
    }

    /// Does it, on the calling thread.
    fn run(&self) -> CheckResponse {
        self.0.blocking_lock()()
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checker")
    }
}

/// What the handlers share.
#[derive(Debug)]
pub struct State {
    vault: Arc<Vault>,
    allowed_hosts: Vec<String>,
    listeners: Vec<String>,
    data_directory: String,
    recipients: Vec<Recipient>,
    snapshots: SnapshotReport,
    backups: Arc<Semaphore>,
    checker: Checker,
}

impl State {
    /// Takes in what the handlers share. `allowed_hosts` are names beside the loopback's that the `Host` of a request
    /// over TCP may have; `listeners` and `data_directory` are shown to administrators; `recipients` open the keyring,
    /// and the backups that name no others; `snapshots` is what the status says of them.
    pub fn new(
        vault: Arc<Vault>,
        allowed_hosts: Vec<String>,
        listeners: Vec<String>,
        data_directory: String,
        recipients: Vec<Recipient>,
        snapshots: SnapshotReport,
        checker: Checker,
    ) -> Self {
        let backups = Arc::new(Semaphore::new(backup::AT_ONCE));
        Self { vault, allowed_hosts, listeners, data_directory, recipients, snapshots, backups, checker }
    }

    /// Longest body in bytes: a value may be written with six bytes for each (`\u0000`).
    fn body_limit(&self) -> usize {
        self.vault.limits().max_value_size.saturating_mul(6).saturating_add(64 * 1024)
    }

    /// Whether a `Host` is this machine's, whatever the port.
    fn is_allowed_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
            Some(_) | None => host,
        };
        let known = ["localhost", "127.0.0.1", "[::1]"];
        known.iter().any(|known| name.eq_ignore_ascii_case(known))
            || self.allowed_hosts.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

/// How the server runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that serve.
    pub workers: usize,
    /// How long a client may take for the head of a request.
    pub request_timeout: Duration,
    /// How long requests in flight may take when the server stops.
    pub shutdown_timeout: Duration,
}

/// Sockets to serve on, bound already.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Loopback.
    pub tcp: Vec<TcpListener>,
    /// Unix sockets.
    pub unix: Vec<UnixListener>,
}

/// Makes the server; it runs when it is awaited, and handles no signals itself.
///
/// # Errors
/// When a listener cannot be used.
pub fn server(state: State, listeners: Listeners, options: Options) -> io::Result<Server> {
    let state = web::Data::new(state);
    let mut server = HttpServer::new(move || {
        App::new().app_data(state.clone()).wrap(middleware::from_fn(common::common)).configure(routes::routes)
    })
    .workers(options.workers)
    .client_request_timeout(options.request_timeout)
    .shutdown_timeout(options.shutdown_timeout.as_secs())
    .disable_signals()
    .on_connect(connection::Connection::note);
    for listener in listeners.tcp {
        server = server.listen(listener)?;
    }
    for listener in listeners.unix {
        // Not `bind_uds`: that one skips `on_connect`, and with it the peer's credentials.
        server = server.listen_uds(listener)?;
    }
    Ok(server.run())
}
