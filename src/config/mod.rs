//! The effective configuration: what flags, environment and file say, and where each value comes from.
//!
//! Invariants: flag beats environment beats (a project's file, once there is one) beats the user's file beats default; a
//! [`Config`] holds only values that are in their range. It opens none of the files that it names.

mod address;
mod error;
mod file;
mod resolve;
mod types;

pub use address::{ClientAddress, InvalidAddress, ListenAddress};
pub use error::ConfigError;
pub use resolve::{Flags, Loaded, Setting, Source};
pub use types::{HostName, Interval, InvalidHostName, InvalidLogFilter, LogFilter, LogFormat, duration};

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
    /// `[vault]`
    pub vault: VaultConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[backup]`
    pub backup: BackupConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[client]`
    pub client: ClientConfig,
}

/// Where the vault is and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultConfig {
    /// Its directory.
    pub data_dir: PathBuf,
    /// The file with the master key.
    pub identity: PathBuf,
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
            vault: VaultConfig {
                data_dir: paths.data_dir.clone(),
                identity: paths.identity_file(),
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
            log: LogConfig { level: LogFilter::default(), format: LogFormat::default() },
            client: ClientConfig { addr: None, namespace: Namespace::default(), token: None },
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
