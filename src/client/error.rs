//! Why a call failed; no value and no token is ever part of it.

use std::io;
use std::path::PathBuf;

use crate::config::ClientAddress;
use crate::paths::PathsError;

/// A call to the daemon failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No socket is there, or nobody listens on it.
    #[error("the daemon is not running")]
    NotRunning {
        /// Where it was looked for.
        tried: Vec<ClientAddress>,
    },
    /// The socket is there, but may not be opened.
    #[error("not permitted to open the daemon's socket {}", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The connection could not be made for another reason.
    #[error("cannot connect to {address}")]
    Connect {
        /// The daemon's address.
        address: ClientAddress,
        /// Why.
        source: io::Error,
    },
    /// The connection broke before there was a whole answer.
    #[error("the connection to {address} broke")]
    Broken {
        /// The daemon's address.
        address: ClientAddress,
        /// Why.
        source: hyper::Error,
    },
    /// There was no answer in time.
    #[error("no answer from {address} within {seconds} seconds")]
    TimedOut {
        /// The daemon's address.
        address: ClientAddress,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The keys of the vault are not in memory.
    #[error("the vault is sealed")]
    Sealed {
        /// What the daemon says to do.
        next_actions: Option<String>,
    },
    /// The daemon refused.
    #[error("{message}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// The error code of the API contract.
        code: String,
        /// What went wrong.
        message: String,
        /// What to do.
        next_actions: Option<String>,
    },
    /// What answers does not speak the API.
    #[error("what answers at {address} is not hushd, or is another version: {reason}")]
    BadAnswer {
        /// The daemon's address.
        address: ClientAddress,
        /// What is wrong with the answer; none of its contents.
        reason: String,
    },
    /// What was received could not be written.
    #[error("what was received cannot be written")]
    Unwritten {
        /// Why.
        source: io::Error,
    },
    /// The file with the credential cannot be used.
    #[error("cannot use the token file")]
    TokenFile {
        /// Why.
        source: PathsError,
    },
    /// The credential cannot be sent.
    #[error("the token in {origin} is empty or holds characters that no token has")]
    InvalidToken {
        /// Where it was found.
        origin: String,
    },
    /// The client itself could not be set up.
    #[error("cannot set up the client")]
    Setup {
        /// Why.
        source: io::Error,
    },
}
