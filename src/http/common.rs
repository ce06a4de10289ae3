//! What every request goes through: its id, the guard of the TCP socket, and the headers and log of every answer.
//!
//! Invariants: every answer has `X-Request-Id` and `Cache-Control: no-store`; over TCP a request that a foreign web page
//! may have made is refused before anything else looks at it; a 500 names its request.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HOST, HeaderName, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::clock::Stopwatch;
use crate::http::State;
use crate::http::connection::Connection;
use crate::http::error::HttpError;
use crate::http::measure;
use crate::http::request_id::{self, REQUEST_ID};
use crate::metrics::COUNTS;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware.
pub(super) async fn common(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    let stopwatch = Stopwatch::start();
    let id = request_id::assign(&request);
    let mut response = match guard(&request) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(refused) => {
            COUNTS.foreign_requests.increment();
            tracing::warn!(request_id = %id, reason = %refused, "request refused");
            request.error_response(refused).map_into_right_body()
        }
    };
    let error = response.response().error().and_then(|error| error.as_error::<HttpError>());
    let replacement = error.and_then(|error| {
        error.log(&id);
        response.status().is_server_error().then(|| error.to_response(Some(&id)))
    });
    if let Some(replacement) = replacement {
        response = response.into_response(replacement.map_into_boxed_body()).map_into_right_body();
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, request_id::header(&id));
    let route = measure::note(response.request(), response.status(), stopwatch);
    // The route and not the path: a name of a secret may stand in that.
    tracing::debug!(
        request_id = %id,
        method = %response.request().method(),
        route,
        status = response.status().as_u16(),
        micros = stopwatch.elapsed().as_micros(),
        "answered"
    );
    Ok(response)
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
