//! What can be wrong with the configuration; no token is ever part of it.

use std::io;
use std::path::PathBuf;

use crate::paths::PathsError;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A directory or the environment is wrong.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Any user can write the file.
    #[error("any user can write the configuration {}", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1 on.
        line: usize,
        /// Column, from 1 on.
        column: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// An environment variable or a flag is not what it should be.
    #[error("{name}: {message}")]
    Setting {
        /// The variable or the flag.
        name: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A listener would be reached from other machines.
    #[error("not a loopback address: {address}")]
    NotLoopback {
        /// The listener.
        address: String,
        /// Whether the configuration allows it, which is not enough without TLS.
        allowed: bool,
    },
    /// There is nothing to listen on.
    #[error("the list of listeners is empty")]
    NoListener,
    /// Two listeners are the same.
    #[error("the listener is named twice: {address}")]
    SameListener {
        /// The listener.
        address: String,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Paths(error) => error.hint(),
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("leave out --config and HUSHD_CONFIG to use the defaults".to_owned())
            }
            Self::Unreadable { path, .. } => Some(format!("see who may: ls -l {}", path.display())),
            Self::Writable { path } => Some(format!("chmod o-w {}", path.display())),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Setting { .. } => None,
            Self::NotLoopback { allowed: false, .. } => {
                Some("listen on 127.0.0.1, [::1] or a Unix socket: this version has no TLS".to_owned())
            }
            Self::NotLoopback { allowed: true, .. } => Some(
                "allow-non-loopback is not enough: such a listener needs TLS, which this version does not have"
                    .to_owned(),
            ),
            Self::NoListener => Some("name one: listen = [\"127.0.0.1:4874\"], or leave listen out".to_owned()),
            Self::SameListener { .. } => Some("name it once".to_owned()),
        }
    }
}
