//! From an error to an answer: the one mapping to statuses and error codes (API contract, "Common to every answer").
//!
//! Invariant: the message is for the client and holds no value, token or path; the cause goes to the log with the
//! request's id, which a 500 names.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::api::ErrorResponse;
use crate::vault::{ErrorKind, UnsealError, VaultError};

/// An error of a request: the vault's, or one of HTTP itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The vault said no.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault stays sealed.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    /// The request makes no sense.
    #[error("{message}")]
    InvalidInput { message: String },
    /// No such path.
    #[error("There is nothing at this path")]
    UnknownPath,
    /// A known path, but not by this method.
    #[error("This path does not take this method")]
    MethodNotAllowed { allow: String },
    /// The body is over the limit.
    #[error("The body is over the limit of {limit} bytes")]
    BodyTooLarge { limit: usize },
    /// The body is of a type that is not taken.
    #[error("{message}")]
    UnsupportedMediaType { message: &'static str },
    /// A request that a web page of somebody else may have made.
    #[error("{message}")]
    ForeignRequest { message: &'static str },
    /// As many backups as may be are being written.
    #[error("Too many backups are being made at once")]
    TooManyBackups,
    /// As many readers of events as may be are connected.
    #[error("Too many readers of events at once")]
    TooManyReaders,
    /// Wrong credentials came again and again.
    #[error("Too many wrong credentials: wait {} seconds", seconds(*wait))]
    TooManyGuesses { wait: Duration },
    /// The vault cannot serve now.
    #[error("The vault is not ready: {reason}")]
    NotReady { reason: String },
}

impl HttpError {
    /// The status and the error code.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Vault(error) => match error.kind() {
                ErrorKind::InvalidInput => (StatusCode::BAD_REQUEST, "INVALID_INPUT"),
                ErrorKind::InvalidCredentials => (StatusCode::UNAUTHORIZED, "AUTH_INVALID_CREDENTIALS"),
                ErrorKind::InvalidApiKey => (StatusCode::UNAUTHORIZED, "AUTH_INVALID_API_KEY"),
                ErrorKind::TokenExpired => (StatusCode::UNAUTHORIZED, "AUTH_TOKEN_EXPIRED"),
                ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN"),
                ErrorKind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
                ErrorKind::AlreadyExists => (StatusCode::CONFLICT, "SECRET_ALREADY_EXISTS"),
                ErrorKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED"),
                ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
                ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
                ErrorKind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "STORAGE_FULL"),
                ErrorKind::Sealed => (StatusCode::SERVICE_UNAVAILABLE, "VAULT_SEALED"),
                ErrorKind::Unrecorded => (StatusCode::SERVICE_UNAVAILABLE, "INTERNAL_ERROR"),
                ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
            },
            Self::Unseal(error) => match error {
                UnsealError::NotAllowed | UnsealError::WrongPassphrase => {
                    (StatusCode::UNAUTHORIZED, "AUTH_INVALID_CREDENTIALS")
                }
                UnsealError::PassphraseNeeded => (StatusCode::BAD_REQUEST, "INVALID_INPUT"),
                UnsealError::TooSoon { .. } => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
                UnsealError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
            },
            Self::InvalidInput { .. } => (StatusCode::BAD_REQUEST, "INVALID_INPUT"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::UnsupportedMediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
            Self::ForeignRequest { .. } => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::TooManyBackups | Self::TooManyReaders | Self::TooManyGuesses { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
            }
            Self::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, "INTERNAL_ERROR"),
        }
    }

    fn next_actions(&self, request_id: Option<&dyn fmt::Display>) -> Option<String> {
        let next = match self {
            Self::Vault(error) => error.next_actions(),
            Self::Unseal(UnsealError::TooSoon { .. }) => Some("Wait as long as Retry-After says, and try again"),
            Self::Unseal(UnsealError::Failed { .. }) => Some("See the daemon's log"),
            Self::Unseal(_) => {
                Some("Send the master key's passphrase, or ask as the daemon's own user over its Unix socket")
            }
            Self::InvalidInput { .. } => Some("Correct the request; GET /api/openapi.json describes the API"),
            Self::UnknownPath => Some("GET /api/openapi.json lists the paths"),
            Self::MethodNotAllowed { .. } => Some("Use one of the methods in the Allow header"),
            Self::BodyTooLarge { .. } => Some("Send a shorter body"),
            Self::UnsupportedMediaType { .. } => Some("Send JSON with Content-Type: application/json"),
            Self::ForeignRequest { .. } => {
                Some("Use a loopback address as host, or add the name to allowed-hosts in the configuration")
            }
            Self::TooManyReaders => Some("Close streams of GET /api/events that are not needed"),
            Self::TooManyGuesses { .. } => Some("Wait as long as Retry-After says, and check the credential"),
            Self::TooManyBackups => Some("Wait until one of them is done"),
            Self::NotReady { .. } => Some("See the daemon's log and GET /api/status"),
        };
        match (self.status_and_code().0, request_id) {
            (StatusCode::INTERNAL_SERVER_ERROR, Some(id)) => {
                Some(format!("{} (request {id})", next.unwrap_or("See the daemon's log")))
            }
            _ => next.map(str::to_owned),
        }
    }

    /// The answer; `request_id` is named where the log has more to say.
    pub(super) fn to_response(&self, request_id: Option<&dyn fmt::Display>) -> HttpResponse {
        let (status, code) = self.status_and_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not worth waiting for.
            response.force_close();
        }
        if let Self::Unseal(UnsealError::TooSoon { wait }) = self {
            response.insert_header((RETRY_AFTER, seconds(*wait).to_string()));
        }
        if let Self::TooManyGuesses { wait } = self {
            response.insert_header((RETRY_AFTER, seconds(*wait).to_string()));
        }
        if let Self::MethodNotAllowed { allow } = self {
            response.insert_header((ALLOW, allow.as_str()));
        }
        response.json(ErrorResponse {
            error: code.to_owned(),
            message: self.to_string(),
            status_code: status.as_u16(),
            next_actions: self.next_actions(request_id),
        })
    }

    /// Writes the cause to the log: errors of ours loudly, of clients quietly.
    pub(super) fn log(&self, request_id: &dyn fmt::Display) {
        let (status, code) = self.status_and_code();
        if status.is_server_error() {
            let cause = match self {
                Self::Vault(VaultError::Damaged { detail, .. } | VaultError::Internal { detail, .. })
                | Self::Unseal(UnsealError::Failed { detail }) => detail.clone(),
                Self::Vault(error) => std::error::Error::source(error).map(ToString::to_string).unwrap_or_default(),
                Self::Unseal(_)
                | Self::InvalidInput { .. }
                | Self::UnknownPath
                | Self::MethodNotAllowed { .. }
                | Self::BodyTooLarge { .. }
                | Self::UnsupportedMediaType { .. }
                | Self::ForeignRequest { .. }
                | Self::TooManyBackups
                | Self::TooManyReaders
                | Self::TooManyGuesses { .. }
                | Self::NotReady { .. } => self.to_string(),
            };
            tracing::error!(%request_id, status = status.as_u16(), code, cause, "request failed");
        } else {
            tracing::debug!(%request_id, status = status.as_u16(), code, "request refused");
        }
    }
}

/// Whole seconds, after which the wait is over.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        self.status_and_code().0
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response(None)
    }
}
