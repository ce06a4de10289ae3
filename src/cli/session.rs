//! A verb's connection to the daemon, and the words for why there is none.
//!
//! Invariant: a daemon that does not run, a socket that may not be opened, a sealed vault and a missing one are told apart,
//! each with what to do next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{CliError, ErrorKind, Globals, autostart, project};
use crate::client::{Client, ClientError, REQUEST_TIMEOUT};
use crate::config::{ClientAddress, ListenAddress, Loaded, Project, Source};
use crate::model::Namespace;
use crate::paths::SYSTEM_SOCKET;

/// A connection to the daemon, in a namespace.
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub client: Client,
    /// Where names live.
    pub namespace: Namespace,
    /// The project that the command is typed in, where it matters.
    pub project: Option<Project>,
}

impl Session {
    /// Connects to the daemon that the configuration names, else to the user's, else to the system's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`], [`ErrorKind::Unreachable`], [`ErrorKind::NotPermitted`].
    pub fn open(globals: &Globals) -> Result<Self, CliError> {
        Self::patient(globals, REQUEST_TIMEOUT)
    }

    /// The same, with more patience for each request.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub fn patient(globals: &Globals, limit: Duration) -> Result<Self, CliError> {
        // Where the namespace is named, nothing else that the project's file says matters.
        let project = if globals.names_namespace() { None } else { project::trusted(globals)? };
        Self::connect(globals, project, limit)
    }

    /// The same for what a project's commands get: its file matters also where the namespace is named.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub fn of_project(globals: &Globals) -> Result<Self, CliError> {
        let mut project = project::trusted(globals)?;
        if let Some(project) = project.as_mut().filter(|_| globals.names_namespace()) {
            project.inherit.clear();
        }
        Self::connect(globals, project, REQUEST_TIMEOUT)
    }

    fn connect(globals: &Globals, project: Option<Project>, limit: Duration) -> Result<Self, CliError> {
        let loaded = globals.load_in(project.as_ref())?;
        let addresses = addresses(&loaded);
        let client = Client::connect(&addresses, loaded.config.client.token.as_ref(), limit);
        let mut client = match client {
            Err(ClientError::NotRunning { .. }) if globals.autostart && may_start(&loaded) => {
                autostart::connect(&loaded, &addresses, limit, globals)?
            }
            Err(ClientError::NotRunning { tried }) => return Err(not_running(&loaded, &tried)),
            client => client?,
        };
        if let Some(reason) = globals.environment.text("HUSHD_REASON")? {
            client.set_reason(reason);
        }
        globals.output.detail(format_args!("connected to {}", client.address()));
        Ok(Self { client, namespace: loaded.config.client.namespace, project })
    }

    /// The namespace, then those that it inherits from, the nearest first.
    pub fn namespaces(&self) -> Vec<Namespace> {
        let mut namespaces = vec![self.namespace.clone()];
        for inherited in self.project.iter().flat_map(|project| &project.inherit) {
            if !namespaces.contains(inherited) {
                namespaces.push(inherited.clone());
            }
        }
        namespaces
    }

    /// The words for a call that failed, with the next command to type.
    pub fn explain(&self, error: ClientError) -> CliError {
        let ClientError::Api { code, .. } = &error else { return error.into() };
        let hint = match code.as_str() {
            "NOT_FOUND" => format!("see what there is: hushd list --all{}", self.option()),
            "PRECONDITION_FAILED" => format!("see the present revision: hushd list{}", self.option()),
            _ => return error.into(),
        };
        CliError::from(error).only_hint(hint)
    }

    /// The option that a command needs to be in the same namespace.
    fn option(&self) -> String {
        if self.namespace == Namespace::default() { String::new() } else { format!(" --namespace {}", self.namespace) }
    }
}

/// Where the daemon may be: where the configuration says, else at the sockets that the user's daemon listens on, then at the
/// system's. A user's daemon that listens on no socket is found at its ports.
fn addresses(loaded: &Loaded) -> Vec<ClientAddress> {
    if let Some(address) = &loaded.config.client.addr {
        return vec![address.clone()];
    }
    let (sockets, ports): (Vec<_>, Vec<_>) =
        loaded.config.listen.iter().cloned().partition(|address| matches!(address, ListenAddress::Unix(_)));
    let own = if sockets.is_empty() { ports } else { sockets };
    let own = own.into_iter().filter(ListenAddress::is_local).map(ClientAddress::from);
    let system = ClientAddress::Unix(SYSTEM_SOCKET.into());
    let mut addresses = Vec::new();
    for address in own.chain([system]) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Whether the user's own daemon may be started: where there is its vault, and nobody named another place.
fn may_start(loaded: &Loaded) -> bool {
    let client = &loaded.config.client;
    client.autostart && client.addr.is_none() && loaded.config.vault.data_dir.join("keyring.age").exists()
}

fn not_running(loaded: &Loaded, tried: &[ClientAddress]) -> CliError {
    let unreachable = |message: &str| CliError::new(ErrorKind::Unreachable, message);
    if let (Some(address), Some(source)) = (&loaded.config.client.addr, source_of_address(loaded)) {
        return unreachable(&format!("no daemon answers at {address}"))
            .hint(format!("start it there, or check the address; it comes from {source}"));
    }
    let places: Vec<String> = tried.iter().map(ToString::to_string).collect();
    let looked = format!("looked at {}", places.join(" and "));
    if has_vault(&loaded.config.vault.data_dir) || has_vault(&PathBuf::from("/var/lib/hushd")) {
        unreachable("the daemon is not running").hint(format!("start it: hushd serve ({looked})"))
    } else {
        unreachable("the daemon is not running, and there is no vault yet")
            .hint(format!("create one and start it: hushd serve --init ({looked})"))
    }
}

fn source_of_address(loaded: &Loaded) -> Option<&Source> {
    loaded.settings.iter().find(|setting| setting.key == "client.addr").map(|setting| &setting.source)
}

/// Whether there is a vault, or a directory that only its owner can look into.
fn has_vault(directory: &Path) -> bool {
    match std::fs::metadata(directory.join("keyring.age")) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use crate::paths::{Environment, Role, UserDirectories};

    /// What a user of this home has.
    fn loaded(home: &Path, config: &str) -> Loaded {
        let user = UserDirectories { config: home.into(), data: home.join("data"), state: home.join("state") };
        let runtime = home.join("run");
        crate::paths::create_private_dir_all(&runtime).unwrap();
        crate::paths::replace_private(&home.join("config.toml"), config.as_bytes()).unwrap();
        let environment = Environment::new(Some(user), 1, [("XDG_RUNTIME_DIR", runtime)]);
        Loaded::load(&environment, &Flags::default(), Role::Client).unwrap()
    }

    fn tried(home: &Path, config: &str) -> Vec<String> {
        addresses(&loaded(home, config)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_users_socket_is_tried_and_then_the_systems() {
        let home = tempfile::tempdir().unwrap();
        let own = format!("unix://{}/run/hushd/hushd.sock", home.path().display());
        assert_eq!(tried(home.path(), ""), [own.as_str(), "unix:///run/hushd/hushd.sock"]);
    }

    #[test]
    fn a_client_finds_its_daemon_where_their_configuration_says() {
        let home = tempfile::tempdir().unwrap();
        let system = "unix:///run/hushd/hushd.sock";
        assert_eq!(tried(home.path(), "listen = [\"unix:/x/h.sock\", \"127.0.0.1:1\"]"), ["unix:///x/h.sock", system]);
        assert_eq!(tried(home.path(), "listen = [\"127.0.0.1:1\"]"), ["http://127.0.0.1:1", system]);
        assert_eq!(tried(home.path(), "[client]\naddr = \"http://[::1]:1\""), ["http://[::1]:1"]);
    }

    #[test]
    fn a_missing_vault_is_told_apart_from_a_daemon_that_does_not_run() {
        let home = tempfile::tempdir().unwrap();
        let loaded = loaded(home.path(), "");
        let hint = || not_running(&loaded, &[]).hints()[0].clone();
        assert!(hint().contains("hushd serve --init"));
        crate::paths::create_private_dir_all(&loaded.config.vault.data_dir).unwrap();
        crate::paths::write_private_new(&loaded.config.vault.data_dir.join("keyring.age"), b"").unwrap();
        assert!(hint().starts_with("start it: hushd serve ("));
    }
}
