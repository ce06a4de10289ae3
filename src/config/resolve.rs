//! Which layer decides: flag, environment, file, default.
//!
//! Invariant: every key of the file is taken apart here by name, so that none can be added without its place, its default
//! and its line in `config show`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::config::file::{
    self, BackupSection, ClientSection, ConfigFile, HttpSection, LogSection, StoreSection, VaultSection,
};
use crate::config::types::{AbsolutePath, Maybe};
use crate::config::{
    BackupConfig, ClientAddress, ClientConfig, Config, ConfigError, HttpConfig, ListenAddress, LogConfig, LogFilter,
    StoreConfig, TokenSource, VaultConfig,
};
use crate::model::{Namespace, SecretValue};
use crate::paths::{Environment, Paths, Role};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--addr`
    pub addr: Option<ClientAddress>,
    /// `--namespace`
    pub namespace: Option<Namespace>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// What the daemon logs, with the flag that says so.
    pub log: Option<(LogFilter, &'static str)>,
    /// `--listen`; empty where there is none.
    pub listen: Vec<ListenAddress>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A configuration file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One effective value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its key with its section, as in `vault.revisions`.
    pub key: &'static str,
    /// The value; null for none. A token is never in here.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub source: Source,
}

/// The configuration, and what it was made of.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// Each value with its source, in the order of the file.
    pub settings: Vec<Setting>,
    /// The directories.
    pub paths: Paths,
    /// The file that was read; `None` where there is none.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Reads the configuration for this role. A file that is named (`--config`, `HUSHD_CONFIG`) must be there; the user's
    /// own may be missing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; whether the daemon can use the listeners is only checked by [`Config::check_listeners`].
    pub fn load(environment: &Environment, flags: &Flags, role: Role) -> Result<Self, ConfigError> {
        let paths = Paths::resolve(environment, role)?;
        let named = flags.config.clone().or_else(|| environment.get("HUSHD_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| paths.config_file());
        let contents = match file::read(&path) {
            Ok(contents) => Some(contents),
            Err(ConfigError::Unreadable { source, .. })
                if named.is_none() && source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let file = contents.is_some().then_some(path);
        let from_environment = FromEnvironment::read(environment)?;
        let (config, settings) =
            resolve(contents.unwrap_or_default(), file.as_deref(), flags, &from_environment, &paths);
        Ok(Self { config, settings, paths, file })
    }
}

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct FromEnvironment {
    addr: Option<ClientAddress>,
    namespace: Option<Namespace>,
    token: Option<SecretValue>,
    token_file: Option<PathBuf>,
    log: Option<LogFilter>,
}

impl FromEnvironment {
    fn read(environment: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            addr: variable(environment, "HUSHD_ADDR")?,
            namespace: variable(environment, "HUSHD_NAMESPACE")?,
            token: environment.text("HUSHD_TOKEN")?.map(|token| SecretValue::new(token.to_owned())),
            token_file: environment.get("HUSHD_TOKEN_FILE").map(PathBuf::from),
            log: variable(environment, "HUSHD_LOG")?,
        })
    }
}

fn variable<T: FromStr<Err: std::fmt::Display>>(
    environment: &Environment,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    let value = environment.text(name)?.map(str::parse).transpose();
    value.map_err(|error: T::Err| ConfigError::Setting { name, message: error.to_string() })
}

/// Picks each value from the first layer that has it.
pub(super) fn resolve(
    file: ConfigFile,
    path: Option<&Path>,
    flags: &Flags,
    environment: &FromEnvironment,
    paths: &Paths,
) -> (Config, Vec<Setting>) {
    let default = Config::defaults(paths);
    let ConfigFile { listen, allow_non_loopback, vault, store, http, backup, log, client } = file;
    let VaultSection { data_dir, identity, passphrase_file, max_value_size, revisions } = vault;
    let StoreSection { cache_capacity } = store;
    let HttpSection { allowed_hosts, workers, request_timeout_seconds, shutdown_timeout_seconds } = http;
    let BackupSection { every, keep, directory } = backup;
    let LogSection { level, format } = log;
    let ClientSection { addr, namespace, token_file } = client;

    let mut layers = Layers { path, settings: Vec::new() };
    let data = data_dir.as_ref().map(|path| path.0.clone());
    let snapshots = data.map_or(default.backup.directory, |data| data.join("backups"));
    let listen_flag = Some(flags.listen.clone()).filter(|listen| !listen.is_empty());
    let config = Config {
        listen: layers.pick("listen", [flag("--listen", listen_flag), None], listen, default.listen),
        allow_non_loopback: layers.file("allow-non-loopback", allow_non_loopback, default.allow_non_loopback),
        vault: VaultConfig {
            data_dir: layers.file("vault.data-dir", data_dir.map(|path| path.0), default.vault.data_dir),
            identity: layers.file("vault.identity", identity.map(|path| path.0), default.vault.identity),
            passphrase_file: layers.file(
                "vault.passphrase-file",
                passphrase_file.map(|file| file.0.map(|path| path.0)),
                default.vault.passphrase_file,
            ),
            max_value_size: layers.file("vault.max-value-size", size(max_value_size), default.vault.max_value_size),
            revisions: layers.file("vault.revisions", size(revisions), default.vault.revisions),
        },
        store: StoreConfig {
            cache_capacity: layers.file("store.cache-capacity", cache_capacity, default.store.cache_capacity),
        },
        http: HttpConfig {
            allowed_hosts: layers.file("http.allowed-hosts", allowed_hosts, default.http.allowed_hosts),
            workers: layers.file("http.workers", size(workers), default.http.workers),
            request_timeout: layers.seconds(
                "http.request-timeout-seconds",
                request_timeout_seconds,
                default.http.request_timeout,
            ),
            shutdown_timeout: layers.seconds(
                "http.shutdown-timeout-seconds",
                shutdown_timeout_seconds,
                default.http.shutdown_timeout,
            ),
        },
        backup: BackupConfig {
            every: layers.file("backup.every", every.map(|every| every.0), default.backup.every),
            keep: layers.file("backup.keep", size(keep), default.backup.keep),
            directory: layers.file("backup.directory", directory.map(|path| path.0), snapshots),
        },
        log: LogConfig {
            level: layers.pick(
                "log.level",
                [
                    flags.log.clone().map(|(filter, name)| (filter, Source::Flag(name))),
                    variable_layer("HUSHD_LOG", environment.log.clone()),
                ],
                level,
                default.log.level,
            ),
            format: layers.file("log.format", format, default.log.format),
        },
        client: ClientConfig {
            addr: layers.pick(
                "client.addr",
                [
                    flag("--addr", flags.addr.clone().map(Some)),
                    variable_layer("HUSHD_ADDR", environment.addr.clone().map(Some)),
                ],
                addr.map(|addr| addr.0),
                default.client.addr,
            ),
            namespace: layers.namespace(flags, environment, namespace, default.client.namespace),
            token: layers.token(flags, environment, token_file),
        },
    };
    (config, layers.settings)
}

/// A value with where it comes from.
type Layer<T> = Option<(T, Source)>;

struct Layers<'a> {
    path: Option<&'a Path>,
    settings: Vec<Setting>,
}

impl Layers<'_> {
    /// The first that is there of: the layers above (flag, environment), the user's file, the default. A project's file
    /// will have its place between the layers above and the user's file.
    fn pick<T: Serialize>(&mut self, key: &'static str, above: [Layer<T>; 2], file: Option<T>, default: T) -> T {
        let (value, source) = self.choose(above, file, default);
        self.record(key, &value, source);
        value
    }

    fn choose<T>(&self, above: [Layer<T>; 2], file: Option<T>, default: T) -> (T, Source) {
        let file = file.map(|value| (value, self.file_source()));
        let [first, second] = above;
        first.or(second).or(file).unwrap_or((default, Source::Default))
    }

    fn file<T: Serialize>(&mut self, key: &'static str, file: Option<T>, default: T) -> T {
        self.pick(key, [None, None], file, default)
    }

    fn seconds(&mut self, key: &'static str, file: Option<u64>, default: Duration) -> Duration {
        Duration::from_secs(self.file(key, file, default.as_secs()))
    }

    fn namespace(
        &mut self,
        flags: &Flags,
        environment: &FromEnvironment,
        file: Option<Namespace>,
        default: Namespace,
    ) -> Namespace {
        let above = [
            flag("--namespace", flags.namespace.clone()),
            variable_layer("HUSHD_NAMESPACE", environment.namespace.clone()),
        ];
        let (namespace, source) = self.choose(above, file, default);
        self.record("client.namespace", &namespace.as_str(), source);
        namespace
    }

    /// The credential: of the two variables the file wins, since a token in the environment is the one easily forgotten.
    fn token(
        &mut self,
        flags: &Flags,
        environment: &FromEnvironment,
        file: Option<Maybe<AbsolutePath>>,
    ) -> Option<TokenSource> {
        let named = flag("--token-file", flags.token_file.clone())
            .or_else(|| variable_layer("HUSHD_TOKEN_FILE", environment.token_file.clone()));
        if named.is_none()
            && let Some(token) = &environment.token
        {
            self.record("client.token-file", &"(a token)", Source::Environment("HUSHD_TOKEN"));
            return Some(TokenSource::Environment(token.clone()));
        }
        let named = named.map(|(path, source)| (Some(path), source));
        let file = file.map(|path| path.0.map(|path| path.0));
        self.pick("client.token-file", [named, None], file, None).map(TokenSource::File)
    }

    fn file_source(&self) -> Source {
        self.path.map_or(Source::Default, |path| Source::File(path.to_owned()))
    }

    fn record<T: Serialize>(&mut self, key: &'static str, value: &T, source: Source) {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.settings.push(Setting { key, value, source });
    }
}

fn flag<T>(name: &'static str, value: Option<T>) -> Layer<T> {
    value.map(|value| (value, Source::Flag(name)))
}

fn variable_layer<T>(name: &'static str, value: Option<T>) -> Layer<T> {
    value.map(|value| (value, Source::Environment(name)))
}

/// Numbers of the file are in a range that fits.
fn size(number: Option<u64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}

#[cfg(test)]
mod tests;
