//! Where things are: directories, the socket, and files that are born with their mode.
//!
//! Invariants: nothing here trusts a directory that others can write or a private file that others can read; the
//! environment is read once. It does not create anything unless asked.

mod accounts;
mod environment;
mod error;
mod private;
mod rendered;
mod runtime;
mod scrub;
mod unwritten;

pub use accounts::group_id;
pub use environment::{Environment, UserDirectories};
pub use error::PathsError;
pub use private::{
    PrivateFile, create_private_dir_all, ensure_private_dir, is_unfinished, read_private, replace_private,
    sync_directory, write_private_new,
};
pub use rendered::{Ownership, replace_rendered};
pub use runtime::{SOCKET_PATH_MAX, check_socket_path};
pub use scrub::{manager_bus_address, program_directories, scrub_environment, system_bus_address};
pub use unwritten::forget_unwritten;

use std::path::{Path, PathBuf};

/// The socket of a daemon that runs for the whole machine.
pub const SYSTEM_SOCKET: &str = "/run/hushd/hushd.sock";

/// Who asks for the directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The daemon, and verbs that work on its files: the service manager's directories decide where they are set.
    Daemon,
    /// A client: the service manager's variables are those of the service that calls it, and say nothing about hushd.
    Client,
}

/// The directories of hushd. Nothing says that they exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// For `config.toml` and `identity.txt`.
    pub config_dir: PathBuf,
    /// For the vault.
    pub data_dir: PathBuf,
    /// For the socket.
    pub runtime_dir: PathBuf,
    /// For what is neither.
    pub state_dir: PathBuf,
    /// Why `XDG_RUNTIME_DIR` was not taken, where it is set and was not.
    pub runtime_note: Option<String>,
}

impl Paths {
    /// Finds the directories: the service manager's (systemd.exec(5): `CONFIGURATION_DIRECTORY`, `STATE_DIRECTORY`,
    /// `RUNTIME_DIRECTORY`, the first of each), else the system's for a system service, else the user's (XDG).
    ///
    /// # Errors
    ///
    /// [`PathsError::NoHome`] where the user's directories are needed and there is no home.
    pub fn resolve(environment: &Environment, role: Role) -> Result<Self, PathsError> {
        if role == Role::Client {
            return Self::of_user(environment);
        }
        let config = first_directory(environment, "CONFIGURATION_DIRECTORY");
        let state = first_directory(environment, "STATE_DIRECTORY");
        let runtime = first_directory(environment, "RUNTIME_DIRECTORY");
        let base = if environment.is_system_service() {
            Self::system()
        } else if let (Some(config), Some(state), Some(runtime)) = (&config, &state, &runtime) {
            // Nothing is left to ask the user's home for, which a service's user may not have.
            return Ok(Self {
                config_dir: config.clone(),
                data_dir: state.clone(),
                runtime_dir: runtime.clone(),
                state_dir: state.clone(),
                runtime_note: None,
            });
        } else {
            Self::of_user(environment)?
        };
        Ok(Self {
            config_dir: config.unwrap_or(base.config_dir),
            data_dir: state.clone().unwrap_or(base.data_dir),
            state_dir: state.unwrap_or(base.state_dir),
            runtime_note: if runtime.is_some() { None } else { base.runtime_note },
            runtime_dir: runtime.unwrap_or(base.runtime_dir),
        })
    }

    /// The directories of a daemon that runs for the whole machine.
    pub fn system() -> Self {
        Self {
            config_dir: "/etc/hushd".into(),
            data_dir: "/var/lib/hushd".into(),
            runtime_dir: "/run/hushd".into(),
            state_dir: "/var/lib/hushd".into(),
            runtime_note: None,
        }
    }

    /// The configuration file that is read where none is named.
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The master key, where the configuration names no other file.
    pub fn identity_file(&self) -> PathBuf {
        self.config_dir.join("identity.txt")
    }

    /// The daemon's socket. Check it with [`check_socket_path`] before it is bound.
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir.join("hushd.sock")
    }

    fn of_user(environment: &Environment) -> Result<Self, PathsError> {
        let user = environment.user_directories().ok_or(PathsError::NoHome)?;
        let runtime = runtime::choose(environment, &user.state);
        Ok(Self {
            config_dir: user.config.clone(),
            data_dir: user.data.clone(),
            state_dir: user.state.clone(),
            runtime_dir: runtime.directory,
            runtime_note: runtime.note,
        })
    }
}

/// The first of the directories that the service manager made for the service: absolute paths with `:` between them.
fn first_directory(environment: &Environment, name: &str) -> Option<PathBuf> {
    let list = environment.get(name)?;
    std::env::split_paths(list).next().filter(|path| Path::is_absolute(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let user = UserDirectories {
            config: "/home/a/.config/hushd".into(),
            data: "/home/a/.local/share/hushd".into(),
            state: "/home/a/.local/state/hushd".into(),
        };
        Environment::new(Some(user), 42, variables.iter().map(|(name, value)| (*name, *value)))
    }

    #[test]
    fn the_directories_are_the_users_by_default() {
        let paths = Paths::resolve(&environment(&[]), Role::Daemon).unwrap();
        assert_eq!(paths.config_file(), Path::new("/home/a/.config/hushd/config.toml"));
        assert_eq!(paths.identity_file(), Path::new("/home/a/.config/hushd/identity.txt"));
        assert_eq!(paths.data_dir, Path::new("/home/a/.local/share/hushd"));
    }

    #[test]
    fn a_system_service_gets_the_systems_directories() {
        let paths = Paths::resolve(&environment(&[("SYSTEMD_EXEC_PID", "42")]), Role::Daemon).unwrap();
        assert_eq!(paths, Paths::system());
        assert_eq!(paths.socket(), Path::new(SYSTEM_SOCKET));
    }

    #[test]
    fn the_service_managers_directories_decide_and_the_first_of_a_list_is_taken() {
        let variables = [
            ("CONFIGURATION_DIRECTORY", "/etc/hushd-test"),
            ("STATE_DIRECTORY", "/var/lib/hushd-test:/var/lib/other"),
            ("RUNTIME_DIRECTORY", "/run/hushd-test"),
        ];
        let without_home = Environment::new(None, 42, variables);
        for environment in [environment(&variables), without_home] {
            let paths = Paths::resolve(&environment, Role::Daemon).unwrap();
            assert_eq!(paths.config_dir, Path::new("/etc/hushd-test"));
            assert_eq!(paths.data_dir, Path::new("/var/lib/hushd-test"));
            assert_eq!(paths.runtime_dir, Path::new("/run/hushd-test"));
        }
    }

    #[test]
    fn a_client_within_another_service_does_not_take_that_services_directories() {
        let paths = Paths::resolve(&environment(&[("CONFIGURATION_DIRECTORY", "/etc/shop")]), Role::Client).unwrap();
        assert_eq!(paths.config_dir, Path::new("/home/a/.config/hushd"));
    }

    #[test]
    fn without_a_home_there_is_an_error() {
        let environment = Environment::new(None, 42, [("STATE_DIRECTORY", "/var/lib/hushd")]);
        assert!(matches!(Paths::resolve(&environment, Role::Daemon), Err(PathsError::NoHome)));
    }
}
