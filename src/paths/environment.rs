//! What the process was started with: the environment variables that hushd knows, and the user's directories.
//!
//! Invariant: the environment is read here and nowhere else, once; an empty variable counts as one that is not set.
//! It does not decide anything: [`Paths`](super::Paths) and the configuration do.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroize as _;

use crate::paths::PathsError;

/// Every variable that is looked at.
const KNOWN: [&str; 24] = [
    "COLUMNS",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "DISPLAY",
    "EDITOR",
    "HUSHD_ADDR",
    "HUSHD_CONFIG",
    "HUSHD_HOOK",
    "HUSHD_LOG",
    "HUSHD_REASON",
    "HUSHD_NAMESPACE",
    "HUSHD_PROFILE",
    "HUSHD_TOKEN",
    "HUSHD_TOKEN_FILE",
    "JOURNAL_STREAM",
    "MANAGERPID",
    "NO_COLOR",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "VISUAL",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
];

/// A snapshot of the environment.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    user: Option<UserDirectories>,
    process: u32,
}

/// The user's directories for hushd, by the XDG Base Directory Specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDirectories {
    /// For configuration.
    pub config: PathBuf,
    /// For data.
    pub data: PathBuf,
    /// For state.
    pub state: PathBuf,
}

impl Environment {
    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        let user = directories::ProjectDirs::from("", "", "hushd").map(|project| UserDirectories {
            config: project.config_dir().to_owned(),
            data: project.data_dir().to_owned(),
            state: project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned(),
        });
        let known = KNOWN.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        Self::new(user, std::process::id(), known)
    }

    /// An environment of exactly these variables.
    pub fn new<N, V>(user: Option<UserDirectories>, process: u32, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { variables: variables.filter(|(_, value)| !value.is_empty()).collect(), user, process }
    }

    /// The environment without the credential of a client, which is wiped: a daemon has no use for it.
    #[must_use]
    pub fn without_credential(mut self) -> Self {
        if let Some(token) = self.variables.remove("HUSHD_TOKEN") {
            token.into_encoded_bytes().zeroize();
        }
        self
    }

    /// The variable's value; `None` where it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// The variable's value as text.
    ///
    /// # Errors
    ///
    /// [`PathsError::NotText`] where it is not UTF-8.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, PathsError> {
        self.get(name).map(|value| value.to_str().ok_or(PathsError::NotText { name })).transpose()
    }

    /// The user's directories; `None` where the user has no home.
    pub fn user_directories(&self) -> Option<&UserDirectories> {
        self.user.as_ref()
    }

    /// Whether the system's service manager itself started this process, systemd.exec(5): `SYSTEMD_EXEC_PID` names it, and
    /// no user's manager (`MANAGERPID`) is in between. A child of a service only inherits the variables.
    pub fn is_system_service(&self) -> bool {
        self.is_service() && self.get("MANAGERPID").is_none()
    }

    /// Whether a service manager started this process; one from before `SYSTEMD_EXEC_PID` does not say.
    fn is_service(&self) -> bool {
        let process = self.process.to_string();
        self.get("SYSTEMD_EXEC_PID").is_some_and(|id| id == process.as_str())
    }
}

impl fmt::Debug for Environment {
    /// Names only: a value may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::new(None, 1, [("HUSHD_ADDR", ""), ("HUSHD_NAMESPACE", "shop/dev")]);
        assert_eq!(environment.get("HUSHD_ADDR"), None);
        assert_eq!(environment.text("HUSHD_NAMESPACE").unwrap(), Some("shop/dev"));
    }

    #[test]
    fn a_token_is_never_printed() {
        let environment = Environment::new(None, 1, [("HUSHD_TOKEN", "ik_marker")]);
        assert!(!format!("{environment:?}").contains("ik_marker"));
    }

    #[test]
    fn only_the_process_that_the_system_manager_started_is_a_system_service() {
        let started = |variables: &[(&str, &str)]| {
            Environment::new(None, 42, variables.iter().map(|(name, value)| (*name, *value))).is_system_service()
        };
        assert!(started(&[("SYSTEMD_EXEC_PID", "42")]));
        assert!(!started(&[("SYSTEMD_EXEC_PID", "41")]));
        assert!(!started(&[("SYSTEMD_EXEC_PID", "42"), ("MANAGERPID", "7")]));
        assert!(!started(&[]));
    }
}
