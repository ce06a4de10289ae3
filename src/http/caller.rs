//! Who asks, as an extractor: a handler that takes one of these runs only for those who may.
//!
//! Invariant: authentication reads headers and the peer only, so it comes before the body is read.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};

use crate::auth::{Action, Credential, Principal};
use crate::http::State;
use crate::http::connection::Connection;
use crate::http::error::HttpError;

/// Somebody who may administer secrets.
#[derive(Debug)]
pub(super) struct Administrator(pub(super) Principal);

/// Somebody who may make new credentials.
#[derive(Debug)]
pub(super) struct Minter(pub(super) Principal);

impl FromRequest for Administrator {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request, Action::Administer).map(Self))
    }
}

impl FromRequest for Minter {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request, Action::MintCredential).map(Self))
    }
}

fn caller(request: &HttpRequest, action: Action) -> Result<Principal, HttpError> {
    let state = request.app_data::<web::Data<State>>().ok_or(HttpError::UnknownPath)?;
    let principal = state.vault.authenticate(credential(request.headers()), Connection::of(request).peer())?;
    state.vault.authorize(&principal, action)?;
    Ok(principal)
}

/// The credential of a request: `x-api-key` decides where it is there, then `Authorization: Bearer`.
fn credential(headers: &HeaderMap) -> Credential<'_> {
    let one = |name| {
        let mut values = headers.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    match one("x-api-key") {
        Ok(None) => {}
        Ok(Some(key)) => return Credential::ApiKey(key.trim()),
        Err(()) => return Credential::ApiKey(""),
    }
    match one(AUTHORIZATION.as_str()) {
        Ok(None) => Credential::None,
        Ok(Some(text)) => match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Credential::Bearer(token.trim()),
            Some(_) | None => Credential::Malformed,
        },
        Err(()) => Credential::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn an_api_key_header_decides_and_two_of_a_kind_are_none() {
        let find = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
            format!("{:?}", credential(request.to_http_request().headers()))
        };
        assert_eq!(find(&[]), "None");
        assert_eq!(find(&[("authorization", "Bearer a")]), "Bearer(…)");
        assert_eq!(find(&[("authorization", "bearer a")]), "Bearer(…)");
        assert_eq!(find(&[("authorization", "Basic a")]), "Malformed");
        assert_eq!(find(&[("authorization", "Bearer")]), "Malformed");
        assert_eq!(find(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), "Malformed");
        assert_eq!(find(&[("authorization", "Bearer a"), ("x-api-key", "b")]), "ApiKey(…)");
    }
}
