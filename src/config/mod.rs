//! The effective configuration: what flags, environment and file say, and where each value comes from.
//!
//! Invariants: flag beats environment beats a project's file beats the user's file beats default; a
//! [`Config`] holds only values that are in their range. It opens none of the files that it names.

mod address;
mod audit;
mod credential;
mod error;
mod file;
mod policy;
mod project;
mod render;
mod resolve;
mod types;

pub use address::{ClientAddress, InvalidAddress, ListenAddress};
pub use audit::{AuditExport, AuditMode, AuditScope, InvalidAuditScope};
pub use credential::{CredentialConfig, OnChange};
pub use error::ConfigError;
pub use policy::{Placed, PolicyConfig};
pub use project::{PROJECT_FILE, Project, ProjectText, ProjectVariable};
pub use render::RenderConfig;
pub use resolve::{Flags, Loaded, Setting, Source};
pub use types::{
    FileMode, HostName, Interval, InvalidHostName, InvalidLogFilter, LogFilter, LogFormat, SocketMode, duration,
};

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Namespace, SecretValue};
use crate::paths::Paths;

/// Most that `vault.max-value-size` can be set to, in bytes.
pub const MAX_VALUE_SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// The port on loopback that the daemon listens on by default.
pub const DEFAULT_PORT: u16 = 4874;

/// The effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the daemon listens; checked by [`Config::check_listeners`].
    pub listen: Vec<ListenAddress>,
    /// Whether a listener may be reached from other machines (once there is TLS).
    pub allow_non_loopback: bool,
    /// Whether the daemon serves only where all of its hardening holds.
    pub require_hardening: bool,
    /// `[socket]`
    pub socket: SocketConfig,
    /// `[vault]`
    pub vault: VaultConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[backup]`
    pub backup: BackupConfig,
    /// `[seal]`
    pub seal: SealConfig,
    /// `[expiry]`
    pub expiry: ExpiryConfig,
    /// `[events]`
    pub events: EventsConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[audit]`
    pub audit: AuditConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[client]`
    pub client: ClientConfig,
    /// Each `[[policy]]`, whose rules are read by whoever goes by them.
    pub policies: Vec<PolicyConfig>,
    /// Each `[[credential]]`, likewise.
    pub credentials: Vec<CredentialConfig>,
    /// Each `[[render]]`.
    pub renders: Vec<RenderConfig>,
}

/// Who may connect to the Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketConfig {
    /// Their group, by name or number; `None`: the process's own.
    pub group: Option<String>,
    /// Their mode.
    pub mode: SocketMode,
}

/// Where the vault is and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultConfig {
    /// Its directory.
    pub data_dir: PathBuf,
    /// The file with the master key.
    pub identity: PathBuf,
    /// More files with master keys, which are tried in this order when that one does not open the vault.
    pub more_identities: Vec<PathBuf>,
    /// A master key that the service manager gives (systemd.exec(5), `LoadCredential=hushd.identity`); it is tried first.
    pub credential: Option<PathBuf>,
    /// The file with the passphrase of the master key; `None` where it has none or it is asked for.
    pub passphrase_file: Option<PathBuf>,
    /// Largest value, in bytes.
    pub max_value_size: usize,
    /// Revisions kept of each secret.
    pub revisions: usize,
}

/// The store's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Its cache, in bytes.
    pub cache_capacity: u64,
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Names, beside the loopback ones, that the `Host` header may have over TCP.
    pub allowed_hosts: Vec<HostName>,
    /// Worker threads; 0 is one for each core. See [`HttpConfig::worker_threads`].
    pub workers: usize,
    /// How long a request may take to arrive.
    pub request_timeout: Duration,
    /// How long requests in flight may take when the daemon stops.
    pub shutdown_timeout: Duration,
}

impl HttpConfig {
    /// The number of worker threads.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            workers => workers,
        }
    }
}

/// Automatic snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupConfig {
    /// How often; `None`: never.
    pub every: Option<Interval>,
    /// How many are kept.
    pub keep: usize,
    /// Where they are.
    pub directory: PathBuf,
}

/// When the vault is sealed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealConfig {
    /// After how long without a request of somebody who may; `None`: never.
    pub idle: Option<Interval>,
    /// Before the machine sleeps, where there is a logind.
    pub suspend: bool,
}

/// Expiry of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryConfig {
    /// How long ahead a warning is given; several times for several warnings.
    pub warn: Vec<Interval>,
}

/// Events for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// How many are kept for readers that come back.
    pub backlog: usize,
}

/// What a monitoring system is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether it needs no credential.
    pub public: bool,
    /// Whether secrets are told by their names.
    pub key_labels: bool,
}

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Whether anything is recorded.
    pub mode: AuditMode,
    /// Bytes of all of it.
    pub max_size: u64,
    /// How long it is kept.
    pub max_age: Interval,
    /// Bytes of one of its files.
    pub segment_size: u64,
    /// What is revealed only to who says why.
    pub require_reason: Vec<AuditScope>,
    /// What is revealed also when it cannot be recorded.
    pub best_effort: Vec<AuditScope>,
    /// The file that anchors are written to.
    pub anchor_file: Option<PathBuf>,
    /// The command that gets anchors on its standard input.
    pub anchor_command: Vec<String>,
    /// How often an anchor is told.
    pub anchor_every: Interval,
    /// Where the entries are sent.
    pub export: Option<AuditExport>,
    /// The command that gets the entries on its standard input.
    pub export_command: Vec<String>,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged.
    pub level: LogFilter,
    /// How.
    pub format: LogFormat,
}

/// What clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Where the daemon is; `None`: the user's socket, then the system's.
    pub addr: Option<ClientAddress>,
    /// The namespace of whoever names none.
    pub namespace: Namespace,
    /// Whether a client that finds no daemon starts the user's own.
    pub autostart: bool,
    /// The credential; `None`: the daemon asks the kernel who calls.
    pub token: Option<TokenSource>,
}

/// Where a client's credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// In a private file.
    File(PathBuf),
    /// In `HUSHD_TOKEN`.
    Environment(SecretValue),
}

impl Config {
    /// What holds where nothing is said, for these directories.
    pub fn defaults(paths: &Paths) -> Self {
        Self {
            listen: vec![
                ListenAddress::Unix(paths.socket()),
                ListenAddress::Tcp((std::net::Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()),
            ],
            allow_non_loopback: false,
            require_hardening: false,
            socket: SocketConfig::default(),
            vault: VaultConfig {
                data_dir: paths.data_dir.clone(),
                identity: paths.identity_file(),
                more_identities: Vec::new(),
                credential: None,
                passphrase_file: None,
                max_value_size: 1024 * 1024,
                revisions: 10,
            },
            store: StoreConfig { cache_capacity: 16 * 1024 * 1024 },
            http: HttpConfig {
                allowed_hosts: Vec::new(),
                workers: 0,
                request_timeout: Duration::from_secs(30),
                shutdown_timeout: Duration::from_secs(10),
            },
            backup: BackupConfig { every: None, keep: 14, directory: paths.data_dir.join("backups") },
            seal: SealConfig { idle: None, suspend: false },
            expiry: ExpiryConfig { warn: vec![Interval::days(14), Interval::days(1)] },
            events: EventsConfig { backlog: 16_384 },
            metrics: MetricsConfig { public: false, key_labels: false },
            audit: AuditConfig {
                mode: AuditMode::On,
                max_size: 256 * 1024 * 1024,
                max_age: Interval::days(400),
                segment_size: 8 * 1024 * 1024,
                require_reason: Vec::new(),
                best_effort: Vec::new(),
                anchor_file: None,
                anchor_command: Vec::new(),
                anchor_every: Interval::minutes(1),
                export: None,
                export_command: Vec::new(),
            },
            log: LogConfig { level: LogFilter::default(), format: LogFormat::default() },
            client: ClientConfig { addr: None, namespace: Namespace::default(), autostart: false, token: None },
            policies: Vec::new(),
            credentials: Vec::new(),
            renders: Vec::new(),
        }
    }

    /// Checks the listeners as the daemon needs them: there is one, none is named twice, and all are on this machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoListener`], [`ConfigError::SameListener`], [`ConfigError::NotLoopback`], and
    /// [`ConfigError::Paths`] for a socket whose path is too long.
    pub fn check_listeners(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListener);
        }
        for (index, address) in self.listen.iter().enumerate() {
            if !address.is_local() {
                return Err(ConfigError::NotLoopback {
                    address: address.to_string(),
                    allowed: self.allow_non_loopback,
                });
            }
            let chosen_by_the_system = matches!(address, ListenAddress::Tcp(address) if address.port() == 0);
            if !chosen_by_the_system && self.listen[..index].contains(address) {
                return Err(ConfigError::SameListener { address: address.to_string() });
            }
            if let ListenAddress::Unix(path) = address {
                crate::paths::check_socket_path(path)?;
            }
        }
        Ok(())
    }
}

/// Every key of the configuration file, with its section.
fn known_keys() -> Vec<&'static str> {
    let nothing = file::ConfigFile::default();
    let settings =
        resolve::resolve(nothing, None, &Flags::default(), &resolve::FromEnvironment::default(), &Paths::system()).1;
    settings.into_iter().map(|setting| setting.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(listen: &[&str], allow_non_loopback: bool) -> Result<(), String> {
        let listen = listen.iter().map(|text| text.parse().unwrap()).collect();
        let config = Config { listen, allow_non_loopback, ..Config::defaults(&Paths::system()) };
        config.check_listeners().map_err(|error| format!("{error}; {}", error.hint().unwrap()))
    }

    #[test]
    fn only_loopback_is_listened_on_even_where_more_is_allowed() {
        listening_on(&["unix:/x", "127.0.0.1:0", "[::1]:1"], false).unwrap();
        assert!(listening_on(&["0.0.0.0:4874"], false).unwrap_err().contains("not a loopback address: 0.0.0.0:4874"));
        assert!(listening_on(&["192.0.2.1:4874"], true).unwrap_err().contains("needs TLS"));
    }

    #[test]
    fn there_is_a_listener_and_none_twice() {
        assert!(listening_on(&[], false).is_err());
        assert!(listening_on(&["unix:/x", "unix:/x"], false).is_err());
        listening_on(&["127.0.0.1:0", "127.0.0.1:0"], false).unwrap();
    }

    #[test]
    fn a_socket_whose_path_is_too_long_is_refused_before_it_is_bound() {
        let paths = Paths { runtime_dir: format!("/{}", "r".repeat(100)).into(), ..Paths::system() };
        let error = Config::defaults(&paths).check_listeners().unwrap_err();
        assert!(error.to_string().contains("112 bytes long"), "{error}");
    }
}
