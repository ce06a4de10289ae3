//! A user's directories in a temporary place, and a vault in them whose keys the test chose.
//!
//! Invariant: no program started here sees the environment or the home of whoever runs the tests.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cli::{self, Output};
use super::{jwt, leaks};

/// Directories of a user who has never run hushd.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// Creates the directories, each 0700.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("hushd-").tempdir().unwrap();
        for name in ["home", "config", "data", "runtime", "state", "keys"] {
            fs::DirBuilder::new().mode(0o700).create(root.path().join(name)).unwrap();
        }
        Self { root }
    }

    /// A path inside.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The directory of the configuration, as the design has it.
    pub fn config(&self) -> PathBuf {
        self.path("config/hushd")
    }

    /// The directory of the vault.
    pub fn data(&self) -> PathBuf {
        self.path("data/hushd")
    }

    /// The master key.
    pub fn identity(&self) -> PathBuf {
        self.config().join("identity.txt")
    }

    /// The socket of a daemon that was told nothing else.
    pub fn socket(&self) -> PathBuf {
        self.path("runtime/hushd/hushd.sock")
    }

    /// The program with the sandbox's environment and these arguments.
    pub fn hushd(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_hushd")));
        command.args(arguments);
        command
    }

    /// Any program with the sandbox's environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(self.path("home"));
        command.env("HOME", self.path("home"));
        for (variable, directory) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_RUNTIME_DIR", "runtime"),
            ("XDG_STATE_HOME", "state"),
        ] {
            command.env(variable, self.path(directory));
        }
        command
    }

    /// Runs the program to its end, with nothing on its standard input.
    pub fn run(&self, arguments: &[&str]) -> Output {
        cli::run(&mut self.hushd(arguments), b"")
    }

    /// Runs the program to its end, with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        leaks::value(input.trim_end());
        cli::run(&mut self.hushd(arguments), input.as_bytes())
    }

    /// Writes a file that only its owner can read, beside the directories of hushd.
    pub fn key_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path("keys").join(name);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        path
    }
}

/// A vault that took over a signing secret and an API key of the test's own.
pub struct Vault {
    /// Where it is.
    pub sandbox: Sandbox,
    /// The secret that administrators' tokens are signed with.
    pub jwt_secret: String,
    /// The API key of the beginning.
    pub api_key: String,
}

impl Vault {
    /// Creates it with `hushd init`.
    pub fn init() -> Self {
        Self::init_with(&[])
    }

    /// Creates it with `hushd init` and more arguments.
    pub fn init_with(arguments: &[&str]) -> Self {
        let vault = Self::unborn(Sandbox::new());
        let output = vault.try_init(arguments);
        assert_eq!(output.code, 0, "hushd init failed: {output:?}");
        vault
    }

    /// Directories and keys for a vault that is not there yet.
    pub fn unborn(sandbox: Sandbox) -> Self {
        let vault = Self { sandbox, jwt_secret: random_hex(), api_key: format!("ik_{}", random_hex()) };
        leaks::credential(&vault.jwt_secret);
        leaks::credential(&vault.api_key);
        vault
    }

    /// Runs `hushd init` with more arguments.
    pub fn try_init(&self, arguments: &[&str]) -> Output {
        cli::run(&mut self.init_command(arguments), b"")
    }

    /// The command that [`Vault::try_init`] runs.
    pub fn init_command(&self, arguments: &[&str]) -> Command {
        let jwt_secret = self.sandbox.key_file("jwt-secret", &self.jwt_secret);
        let api_key = self.sandbox.key_file("api-key", &self.api_key);
        let mut command = self.sandbox.hushd(&["init"]);
        command.arg("--jwt-secret-file").arg(jwt_secret).arg("--api-key-file").arg(api_key).args(arguments);
        command
    }

    /// An administrator's token, as other software that has the signing secret would make it.
    pub fn admin_token(&self) -> String {
        jwt::hs256(&self.jwt_secret, &jwt::admin_claims())
    }
}

/// 64 random hexadecimal digits.
pub fn random_hex() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
