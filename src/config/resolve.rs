//! Which layer decides: flag, environment, file, default.
//!
//! Invariant: every key of the file is taken apart here by name, so that none can be added without its place, its default
//! and its line in `config show`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use crate::config::file::{
    self, AuditSection, BackupSection, ClientSection, ConfigFile, CredentialSection, EventsSection, ExpirySection,
    HttpSection, LogSection, MetricsSection, PolicySection, RenderSection, SealSection, SocketSection, StoreSection,
    VaultSection,
};
use crate::config::types::{AbsolutePath, Maybe};
use crate::config::{
    AuditConfig, BackupConfig, ClientAddress, ClientConfig, Config, ConfigError, CredentialConfig, EventsConfig,
    ExpiryConfig, HttpConfig, ListenAddress, LogConfig, LogFilter, LogFormat, MetricsConfig, PolicyConfig,
    RenderConfig, SealConfig, SocketConfig, StoreConfig, TokenSource, VaultConfig,
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
    /// The namespace that a project's file names, with that file.
    pub project: Option<(Namespace, PathBuf)>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// What the daemon logs, with the flag that says so.
    pub log: Option<(LogFilter, &'static str)>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
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
    credentials: Option<PathBuf>,
}

impl FromEnvironment {
    /// A credential of the service manager, where there is one of this name.
    fn credential(&self, name: &str) -> Option<PathBuf> {
        self.credentials.as_ref().map(|directory| directory.join(name)).filter(|path| path.exists())
    }

    fn read(environment: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            addr: variable(environment, "HUSHD_ADDR")?,
            namespace: variable(environment, "HUSHD_NAMESPACE")?,
            token: environment.text("HUSHD_TOKEN")?.map(|token| SecretValue::new(token.to_owned())),
            token_file: environment.get("HUSHD_TOKEN_FILE").map(PathBuf::from),
            log: variable(environment, "HUSHD_LOG")?,
            credentials: environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
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
#[expect(clippy::too_many_lines, reason = "one line for each setting")]
pub(super) fn resolve(
    file: ConfigFile,
    path: Option<&Path>,
    flags: &Flags,
    environment: &FromEnvironment,
    paths: &Paths,
) -> (Config, Vec<Setting>) {
    let default = Config::defaults(paths);
    let ConfigFile {
        listen,
        allow_non_loopback,
        require_hardening,
        socket,
        vault,
        store,
        http,
        backup,
        seal,
        audit,
        expiry,
        events,
        metrics,
        log,
        client,
        policy,
        credential,
        render,
    } = file;
    let SocketSection { group, mode } = socket;
    let VaultSection { data_dir, identity, passphrase_file, max_value_size, revisions } = vault;
    let StoreSection { cache_capacity } = store;
    let BackupSection { every, keep, directory } = backup;
    let SealSection { idle, suspend } = seal;
    let ExpirySection { warn } = expiry;
    let EventsSection { backlog } = events;
    let MetricsSection { public, key_labels } = metrics;
    let ClientSection { addr, namespace, autostart, token_file } = client;

    let mut layers = Layers { path, settings: Vec::new() };
    let data = data_dir.as_ref().map(|path| path.0.clone());
    let snapshots = data.map_or(default.backup.directory, |data| data.join("backups"));
    let (first, more_identities, identities) = master_keys(identity, &default.vault.identity);
    let listen_flag = Some(flags.listen.clone()).filter(|listen| !listen.is_empty());
    let config = Config {
        listen: layers.pick("listen", [flag("--listen", listen_flag), None], listen, default.listen),
        allow_non_loopback: layers.file("allow-non-loopback", allow_non_loopback, default.allow_non_loopback),
        require_hardening: layers.file("require-hardening", require_hardening, default.require_hardening),
        socket: SocketConfig {
            group: layers.file("socket.group", group.map(|group| group.0), default.socket.group),
            mode: layers.file("socket.mode", mode, default.socket.mode),
        },
        vault: VaultConfig {
            data_dir: layers.file("vault.data-dir", data_dir.map(|path| path.0), default.vault.data_dir),
            identity: {
                let default = serde_json::to_value(&first).unwrap_or_default();
                layers.file("vault.identity", identities, default);
                first
            },
            more_identities,
            credential: environment.credential("hushd.identity"),
            passphrase_file: layers.pick(
                "vault.passphrase-file",
                [variable_layer("CREDENTIALS_DIRECTORY", environment.credential("hushd.passphrase").map(Some)), None],
                passphrase_file.map(|file| file.0.map(|path| path.0)),
                default.vault.passphrase_file,
            ),
            max_value_size: layers.file("vault.max-value-size", size(max_value_size), default.vault.max_value_size),
            revisions: layers.file("vault.revisions", size(revisions), default.vault.revisions),
        },
        store: StoreConfig {
            cache_capacity: layers.file("store.cache-capacity", cache_capacity, default.store.cache_capacity),
        },
        http: layers.http(http, default.http),
        backup: BackupConfig {
            every: layers.file("backup.every", every.map(|every| every.0), default.backup.every),
            keep: layers.file("backup.keep", size(keep), default.backup.keep),
            directory: layers.file("backup.directory", directory.map(|path| path.0), snapshots),
        },
        seal: SealConfig {
            idle: layers.file("seal.idle", idle.map(|idle| idle.0), default.seal.idle),
            suspend: layers.file("seal.suspend", suspend, default.seal.suspend),
        },
        expiry: ExpiryConfig { warn: layers.file("expiry.warn", warn, default.expiry.warn) },
        events: EventsConfig { backlog: layers.file("events.backlog", size(backlog), default.events.backlog) },
        metrics: MetricsConfig {
            public: layers.file("metrics.public", public, default.metrics.public),
            key_labels: layers.file("metrics.key-labels", key_labels, default.metrics.key_labels),
        },
        audit: layers.audit(audit, default.audit),
        log: layers.log(flags, environment, log, default.log),
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
            autostart: layers.file("client.autostart", autostart, default.client.autostart),
            token: layers.token(flags, environment, token_file),
        },
        policies: layers.list("policy", policy.into_iter().map(policy_config)),
        credentials: layers.list("credential", credential.into_iter().map(credential_config)),
        renders: layers.list("render", render.into_iter().filter_map(render_config)),
    };
    (config, layers.settings)
}

/// The first master key, those after it, and both as the configuration shows them.
fn master_keys(named: Option<Vec<AbsolutePath>>, default: &Path) -> (PathBuf, Vec<PathBuf>, Option<serde_json::Value>) {
    let Some(named) = named else { return (default.to_owned(), Vec::new(), None) };
    let shown = match &named[..] {
        [one] => serde_json::to_value(&one.0),
        more => serde_json::to_value(more.iter().map(|path| &path.0).collect::<Vec<_>>()),
    };
    let mut paths = named.into_iter().map(|path| path.0);
    let first = paths.next().unwrap_or_else(|| default.to_owned());
    (first, paths.collect(), shown.ok())
}

/// A `[[policy]]`, each text with its place.
fn policy_config(section: PolicySection) -> PolicyConfig {
    let line = section.places.line_of(&section);
    let PolicySection { user, group, uid, unit, token, allow, deny, places } = section;
    let one = |text: Option<Spanned<String>>| text.map(|text| places.of(text));
    let all = |texts: Vec<Spanned<String>>| texts.into_iter().map(|text| places.of(text)).collect();
    let uid = uid.map(Spanned::into_inner);
    let (user, group, unit, token) = (one(user), one(group), one(unit), one(token));
    PolicyConfig { line, user, group, uid, unit, token, allow: all(allow), deny: all(deny) }
}

/// A `[[credential]]`, each text with its place.
fn credential_config(section: CredentialSection) -> CredentialConfig {
    let line = section.places.line_of_credential(&section);
    let CredentialSection { unit, id, secret, on_change, places } = section;
    let one = |text: Option<Spanned<String>>| text.map(|text| places.of(text));
    let on_change = on_change.map(Spanned::into_inner);
    CredentialConfig { line, unit: one(unit), id: one(id), secret: one(secret), on_change }
}

/// A `[[render]]`; it has been looked at whether it is whole.
fn render_config(section: RenderSection) -> Option<RenderConfig> {
    let RenderSection { template, output, namespace, mode, owner, group, then, line } = section;
    let (template, output, namespace) = (template?.0, output?.0, namespace.unwrap_or_default());
    Some(RenderConfig { line, template, output, namespace, mode, owner, group, then })
}

/// A value with where it comes from.
type Layer<T> = Option<(T, Source)>;

struct Layers<'a> {
    path: Option<&'a Path>,
    settings: Vec<Setting>,
}

impl Layers<'_> {
    /// The first that is there of: the layers above (flag, environment), the user's file, the default.
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

    /// What stands in the file as often as it is wanted, and by default not at all.
    fn list<T: Serialize>(&mut self, key: &'static str, file: impl Iterator<Item = T>) -> Vec<T> {
        self.file(key, Some(file.collect::<Vec<_>>()).filter(|all| !all.is_empty()), Vec::new())
    }

    fn seconds(&mut self, key: &'static str, file: Option<u64>, default: Duration) -> Duration {
        Duration::from_secs(self.file(key, file, default.as_secs()))
    }

    fn audit(&mut self, file: AuditSection, default: AuditConfig) -> AuditConfig {
        let anchor_file = file.anchor_file.map(|file| file.0.map(|path| path.0));
        AuditConfig {
            mode: self.file("audit.mode", file.mode, default.mode),
            max_size: self.file("audit.max-size", file.max_size, default.max_size),
            max_age: self.file("audit.max-age", file.max_age, default.max_age),
            segment_size: self.file("audit.segment-size", file.segment_size, default.segment_size),
            require_reason: self.file("audit.require-reason", file.require_reason, default.require_reason),
            best_effort: self.file("audit.best-effort", file.best_effort, default.best_effort),
            anchor_file: self.file("audit.anchor-file", anchor_file, default.anchor_file),
            anchor_command: self.file("audit.anchor-command", file.anchor_command, default.anchor_command),
            anchor_every: self.file("audit.anchor-every", file.anchor_every, default.anchor_every),
            export: self.file("audit.export", file.export.map(|export| export.0), default.export),
            export_command: self.file("audit.export-command", file.export_command, default.export_command),
        }
    }

    fn http(&mut self, file: HttpSection, default: HttpConfig) -> HttpConfig {
        let HttpSection { allowed_hosts, workers, request_timeout_seconds, shutdown_timeout_seconds } = file;
        HttpConfig {
            allowed_hosts: self.file("http.allowed-hosts", allowed_hosts, default.allowed_hosts),
            workers: self.file("http.workers", size(workers), default.workers),
            request_timeout: self.seconds(
                "http.request-timeout-seconds",
                request_timeout_seconds,
                default.request_timeout,
            ),
            shutdown_timeout: self.seconds(
                "http.shutdown-timeout-seconds",
                shutdown_timeout_seconds,
                default.shutdown_timeout,
            ),
        }
    }

    fn log(&mut self, flags: &Flags, environment: &FromEnvironment, file: LogSection, default: LogConfig) -> LogConfig {
        let LogSection { level, format } = file;
        LogConfig {
            level: self.pick(
                "log.level",
                [
                    flags.log.clone().map(|(filter, name)| (filter, Source::Flag(name))),
                    variable_layer("HUSHD_LOG", environment.log.clone()),
                ],
                level,
                default.level,
            ),
            format: self.pick("log.format", [flag("--log-format", flags.log_format), None], format, default.format),
        }
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
        let project = flags.project.clone().map(|(namespace, path)| (namespace, Source::File(path)));
        let (namespace, source) = match (above, project) {
            ([None, None], Some(project)) => project,
            (above, _) => self.choose(above, file, default),
        };
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
