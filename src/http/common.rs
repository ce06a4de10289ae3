//! What every request goes through: its id, the guard of the TCP socket, and the headers and log of every answer.
//!
//! Invariants: every answer has `X-Request-Id` and `Cache-Control: no-store`; over TCP a request that a foreign web page
//! may have made is refused before anything else looks at it; a 500 names its request.

use std::fmt;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HOST, HeaderName, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::http::State;
use crate::http::connection::Connection;
use crate::http::error::HttpError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware.
pub(super) async fn common(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    let id = request_id(&request);
    let mut response = match guard(&request) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(refused) => {
            tracing::warn!(request_id = %Text(&id), reason = %refused, "request refused");
            request.error_response(refused).map_into_right_body()
        }
    };
    let error = response.response().error().and_then(|error| error.as_error::<HttpError>());
    let replacement = error.and_then(|error| {
        error.log(&Text(&id));
        response.status().is_server_error().then(|| error.to_response(Some(&Text(&id))))
    });
    if let Some(replacement) = replacement {
        response = response.into_response(replacement.map_into_boxed_body()).map_into_right_body();
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, id);
    Ok(response)
}

/// The client's id where it sent a sane one, otherwise a new one.
fn request_id(request: &ServiceRequest) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=128).contains(&bytes.len()) && bytes.iter().all(allowed)
    };
    if let Some(sent) = request.headers().get(REQUEST_ID).filter(sane) {
        return sent.clone();
    }
    let id = uuid::Uuid::new_v4();
    HeaderValue::from_str(id.as_hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Refuses what a page of a foreign origin could send to loopback: DNS rebinding shows in `Host`, cross-site requests
/// in `Origin` and `Sec-Fetch-Site`. The Unix socket has no such check: no browser reaches it.
fn guard(request: &ServiceRequest) -> Result<(), HttpError> {
    match Connection::of(request.request()) {
        Connection::Unix(_) => return Ok(()),
        Connection::Tcp => {}
    }
    let state = request.app_data::<web::Data<State>>().ok_or(HttpError::UnknownPath)?;
    let foreign_host = HttpError::ForeignRequest { message: "The Host of the request is not this machine's loopback" };
    let mut hosts = request.headers().get_all(HOST);
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return Err(foreign_host);
    };
    if !state.is_allowed_host(host) || request.uri().host().is_some_and(|host| !state.is_allowed_host(host)) {
        return Err(foreign_host);
    }
    if let Some(origin) = request.headers().get(ORIGIN) {
        let ours = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if !ours.is_some_and(|origin| origin.eq_ignore_ascii_case(host)) {
            return Err(HttpError::ForeignRequest { message: "The Origin of the request is foreign" });
        }
    }
    let site = request.headers().get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return Err(HttpError::ForeignRequest { message: "The request comes from another site" });
    }
    Ok(())
}

/// A header's value as text.
struct Text<'a>(&'a HeaderValue);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or("unknown"))
    }
}
