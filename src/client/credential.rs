//! The credential a client sends.
//!
//! Invariants: a file with it is private; it is sent in a header marked as sensitive and is never part of an error.

use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::client::ClientError;
use crate::config::TokenSource;
use crate::paths::{PathsError, read_private};

/// Reads the credential as the header that carries it: a JWT, an API key (`ik_…`) or the anon key (`anon_…`).
pub(super) fn authorization(token: &TokenSource) -> Result<HeaderValue, ClientError> {
    match token {
        TokenSource::File(path) => {
            let contents = read_private(path).map_err(|source| ClientError::TokenFile { source })?;
            header(&contents, || path.display().to_string())
        }
        TokenSource::Environment(token) => header(token.expose_secret().as_bytes(), || "HUSHD_TOKEN".to_owned()),
    }
}

fn header(token: &[u8], origin: impl Fn() -> String) -> Result<HeaderValue, ClientError> {
    let token = token.trim_ascii();
    // RFC 6750, section 2.1: b64token.
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(allowed) {
        return Err(ClientError::InvalidToken { origin: origin() });
    }
    let text = Zeroizing::new([b"Bearer ", token].concat());
    let mut header = HeaderValue::from_bytes(&text).map_err(|_| ClientError::InvalidToken { origin: origin() })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Whether the error says that a token file is missing.
pub(super) fn is_missing(error: &PathsError) -> bool {
    matches!(error, PathsError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}
