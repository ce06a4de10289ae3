//! The command with its environment, ready to be run.
//!
//! Invariants: files of secrets are sealed memory without a name; what keeps a command from being run has the exit codes of
//! a shell.

use std::ffi::{OsStr, OsString};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::cli::environment::{Environment, Variable};
use crate::cli::error::io_message;
use crate::cli::{CliError, ErrorKind};
use crate::model::CREDENTIAL_VARIABLES;

/// What a pristine environment still has.
const BASIC: [&str; 15] = [
    "COLORTERM",
    "COLUMNS",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOGNAME",
    "PATH",
    "PWD",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// A command that has its environment.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) command: Command,
    /// The files of its secrets, which must be open when it starts.
    _files: Vec<OwnedFd>,
}

/// Prepares the command.
///
/// # Errors
///
/// [`ErrorKind::BadData`] for a value that no variable can have.
pub(super) fn prepare(words: &[OsString], environment: &Environment, pristine: bool) -> Result<Prepared, CliError> {
    let (program, arguments) = words.split_first().ok_or_else(no_words)?;
    let mut command = Command::new(program);
    command.args(arguments);
    if pristine {
        command.env_clear();
        let basic = |name: &OsStr| name.to_str().is_some_and(|name| BASIC.contains(&name) || name.starts_with("LC_"));
        command.envs(std::env::vars_os().filter(|(name, _)| basic(name)));
    }
    for name in CREDENTIAL_VARIABLES {
        command.env_remove(name);
    }
    let mut files = Vec::new();
    for variable in &environment.variables {
        if variable.file {
            let file = sealed_file(variable)
                .map_err(|error| problem(variable, &format!("cannot be made a file: {}", io_message(&error))))?;
            command.env(&variable.name, format!("/proc/self/fd/{}", file.as_raw_fd()));
            files.push(file);
        } else if variable.value.expose_secret().contains('\0') {
            return Err(problem(variable, "has a NUL character, which no variable can have").hint(format!(
                "give it as a file: --file {}={}",
                variable.name,
                key_of(variable)
            )));
        } else {
            command.env(&variable.name, variable.value.expose_secret());
        }
    }
    Ok(Prepared { command, _files: files })
}

impl Prepared {
    /// Becomes the command. It returns only where that failed.
    pub(super) fn become_it(&mut self, words: &[OsString]) -> CliError {
        let error = self.command.exec();
        failure(words, &error)
    }
}

/// Why the command could not be run.
pub(super) fn failure(words: &[OsString], error: &io::Error) -> CliError {
    let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        return CliError::new(ErrorKind::NoCommand, format!("command not found: {program}"));
    }
    let failure =
        CliError::new(ErrorKind::NotExecutable, format!("cannot run {program}: {}", io_message(error).to_lowercase()));
    if kind == io::ErrorKind::ArgumentListTooLong {
        return failure.hint("give long values as files: --file ENV=KEY").hint("or fewer: --only A,B");
    }
    failure
}

/// A file in memory that has no name, cannot be changed, and is inherited by the command.
fn sealed_file(variable: &Variable) -> io::Result<OwnedFd> {
    // The name is only for people who look into /proc; without CLOEXEC it outlives execve(2).
    let mut file = std::fs::File::from(memfd_create("hushd", MemfdFlags::ALLOW_SEALING)?);
    file.write_all(variable.value.expose_secret().as_bytes())?;
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

fn key_of(variable: &Variable) -> &str {
    variable.secret.as_ref().map_or("KEY", |(_, key)| key.as_str())
}

fn problem(variable: &Variable, what: &str) -> CliError {
    CliError::new(ErrorKind::BadData, format!("the value of {} {what}", variable.name))
}

fn no_words() -> CliError {
    CliError::new(ErrorKind::Usage, "no command was given").hint("usage: hushd run -- CMD")
}
