//! The HTTP API: routes, extractors, guards, and the one mapping to statuses. It holds no business rules.
//!
//! Invariants: a handler decodes, makes one call, and encodes; the same API is served on every listener; nothing that a
//! client sends stops the daemon.

mod audit;
mod backup;
mod body;
mod caller;
mod common;
mod connection;
mod error;
mod events;
mod exposition;
mod keys;
mod listing;
mod measure;
mod metrics;
mod openapi;
mod operations;
mod query;
mod request_id;
mod routes;
mod seal;
mod secrets;
mod tokens;
mod vault_keys;

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

use crate::api::{BackupStatus, CheckResponse, PeerVisibility, Protection, RenderStatus};
use crate::auth::{Guessing, Policies};
use crate::config::MetricsConfig;
use crate::vault::{Gate, Limits, Sealing, Vault, VaultError};

/// What is known of the files that the daemon keeps rendered, kept by whoever renders them.
pub type RenderReport = Arc<RwLock<Vec<RenderStatus>>>;

/// What is known of automatic snapshots, kept by whoever takes them.
pub type SnapshotReport = Arc<RwLock<Option<BackupStatus>>>;

/// Checks the vault and what is around it; one check at a time.
#[derive(Clone)]
pub struct Checker(Arc<tokio::sync::Mutex<Check>>);

type Check = Box<dyn Fn() -> Result<CheckResponse, VaultError> + Send + Sync>;

impl Checker {
    /// Takes in how it is done.
    pub fn new(check: impl Fn() -> Result<CheckResponse, VaultError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Box::new(check))))
    }

    /// Does it, on the calling thread.
    fn run(&self) -> Result<CheckResponse, VaultError> {
        self.0.blocking_lock()()
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checker")
    }
}

/// What the daemon knows of itself, for the handlers.
#[derive(Debug)]
pub struct Setting {
    /// What the vault is limited to.
    pub limits: Limits,
    /// Names beside the loopback's that the `Host` of a request over TCP may have.
    pub allowed_hosts: Vec<String>,
    /// Shown to administrators.
    pub listeners: Vec<String>,
    /// Shown to administrators.
    pub data_directory: String,
    /// What a monitoring system is told.
    pub metrics: MetricsConfig,
    /// How long before a secret expires a warning is given, as it is written and as it is.
    pub expiry_warnings: Vec<(String, Duration)>,
    /// Who may do what, beside administrators and tokens.
    pub policies: Arc<Policies>,
    /// The files that are kept rendered.
    pub renders: RenderReport,
    /// What protects the process.
    pub hardening: Vec<Protection>,
    /// What can be seen of peers.
    pub peers: PeerVisibility,
}

/// What the handlers share.
#[derive(Debug)]
pub struct State {
    gate: Arc<Gate>,
    sealing: Arc<dyn Sealing>,
    setting: Setting,
    snapshots: SnapshotReport,
    backups: Arc<Semaphore>,
    /// One report is made at a time.
    reports: Semaphore,
    checker: Checker,
    requests: measure::Requests,
    event_readers: Arc<Semaphore>,
    guessing: Guessing,
}

impl State {
    /// Takes in what the handlers share. `snapshots` is what the status says of them.
    pub fn new(
        gate: Arc<Gate>,
        sealing: Arc<dyn Sealing>,
        setting: Setting,
        snapshots: SnapshotReport,
        checker: Checker,
    ) -> Self {
        let backups = Arc::new(Semaphore::new(backup::AT_ONCE));
        let (requests, reports) = (measure::Requests::default(), Semaphore::new(1));
        let event_readers = Arc::new(Semaphore::new(events::AT_ONCE));
        let guessing = Guessing::default();
        Self { gate, sealing, setting, snapshots, backups, reports, checker, requests, event_readers, guessing }
    }

    /// The open vault.
    fn vault(&self) -> Result<Arc<Vault>, VaultError> {
        self.gate.vault()
    }

    /// Longest body in bytes: a value may be written with six bytes for each (`\u0000`).
    fn body_limit(&self) -> usize {
        self.setting.limits.max_value_size.saturating_mul(6).saturating_add(64 * 1024)
    }

    /// Whether a `Host` is this machine's, whatever the port.
    fn is_allowed_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
            Some(_) | None => host,
        };
        let known = ["localhost", "127.0.0.1", "[::1]"];
        known.iter().any(|known| name.eq_ignore_ascii_case(known))
            || self.setting.allowed_hosts.iter().any(|known| name.eq_ignore_ascii_case(known))
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
        let requests = state.requests.clone();
        App::new()
            .app_data(state.clone())
            .app_data(measure::NoRoute(requests.route(measure::NO_ROUTE)))
            .wrap(middleware::from_fn(common::common))
            .configure(|app| routes::routes(app, &requests))
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
