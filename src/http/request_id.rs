//! The identifier of a request.
//!
//! Invariant: what a client sent is taken only where it is short and plain, so that it can stand in any log.

use std::cell::{Cell, RefCell};

use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::http::measure::RouteCounts;
use crate::model::RequestId;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Identifiers that one call of the system's randomness is enough for.
const AT_ONCE: usize = 64;

thread_local! {
    /// Randomness that has not been used.
    static UNUSED: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// What is kept beside each request.
#[derive(Debug)]
pub(super) struct Noted {
    /// Its identifier.
    pub(super) id: RequestId,
    /// The route that took it.
    pub(super) route: Cell<Option<&'static RouteCounts>>,
}

/// Gives a request its identifier: the client's where it sent a sane one, otherwise a new one.
pub(super) fn assign(request: &ServiceRequest) -> RequestId {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=128).contains(&bytes.len()) && bytes.iter().all(allowed)
    };
    let sent = request.headers().get(REQUEST_ID).filter(sane).and_then(|sent| sent.to_str().ok());
    let id = sent.map_or_else(|| RequestId::Made(make()), |sent| RequestId::Sent(sent.into()));
    request.extensions_mut().insert(Noted { id: id.clone(), route: Cell::new(None) });
    id
}

/// The identifier that a request was given.
pub(super) fn of(request: &HttpRequest) -> RequestId {
    request.extensions().get::<Noted>().map(|noted| noted.id.clone()).unwrap_or_default()
}

/// The header that tells it.
pub(super) fn header(id: &RequestId) -> HeaderValue {
    let value = match id {
        RequestId::Made(id) => HeaderValue::from_str(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())),
        RequestId::Sent(id) => HeaderValue::from_str(id),
        RequestId::None => return HeaderValue::from_static("unknown"),
    };
    value.unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// A random identifier (RFC 9562 §5.4). It names a request and guards nothing.
fn make() -> Uuid {
    UNUSED.with_borrow_mut(|unused| {
        if unused.is_empty() {
            let mut bytes = [0; 16 * AT_ONCE];
            // Without randomness each identifier is made on its own, by whatever the library falls back to.
            if getrandom::fill(&mut bytes).is_err() {
                return Uuid::new_v4();
            }
            unused.extend(bytes.as_chunks::<16>().0);
        }
        let bytes = unused.pop().unwrap_or_default();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    })
}
