//! Who asks, as an extractor: a handler that takes one of these runs only for those who may.
//!
//! Invariant: authentication reads headers and the peer only, so it comes before the body is read.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture};

use crate::auth::{Action, Caller, Credential, Guesser, Peer, Principal, Target};
use crate::http::connection::Connection;
use crate::http::error::HttpError;
use crate::http::{State, request_id};
use crate::vault::{Vault, VaultError};

const REASON: HeaderName = HeaderName::from_static("x-reason");

/// Longest reason that is taken, in bytes.
const MAX_REASON: usize = 256;

/// Somebody who may do something; what exactly, the vault decides when it knows what is asked for.
#[derive(Debug)]
pub(super) struct Known(pub(super) Caller);

/// Somebody who may see and change the daemon's own state.
#[derive(Debug)]
pub(super) struct Administrator(pub(super) Caller);

/// Somebody who may make new credentials.
#[derive(Debug)]
pub(super) struct Minter(pub(super) Caller);

macro_rules! extractor {
    ($name:ident, $check:expr) => {
        impl FromRequest for $name {
            type Error = HttpError;
            type Future = Either<Ready<Result<Self, HttpError>>, LocalBoxFuture<'static, Result<Self, HttpError>>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                match caller(request, $check) {
                    Ok((caller, None)) => Either::Left(ready(Ok(Self(caller)))),
                    Ok((caller, Some(vault))) => Either::Right(Box::pin(async move {
                        vault.count_use(&caller.principal).await?;
                        Ok(Self(caller))
                    })),
                    Err(error) => Either::Left(ready(Err(error))),
                }
            }
        }
    };
}

extractor!(Known, Vault::admit);
extractor!(Administrator, |vault, caller| vault.permit(caller, Action::Admin, Target::Vault).map(drop));
extractor!(Minter, |vault, caller| vault.permit(caller, Action::Mint, Target::Vault).map(drop));

/// Who asks; with the vault where the use of his token is to be counted before anything else.
fn caller(
    request: &HttpRequest,
    check: impl FnOnce(&Vault, &Caller) -> Result<(), VaultError>,
) -> Result<(Caller, Option<Arc<Vault>>), HttpError> {
    let state = request.app_data::<web::Data<State>>().ok_or(HttpError::UnknownPath)?;
    let vault = state.vault()?;
    let caller = recognise(request, state, &vault)?;
    let counted = matches!(&caller.principal, Principal::Granted(granted) if granted.counted.is_some());
    check(&vault, &caller)?;
    state.gate.touch();
    Ok((caller, counted.then_some(vault)))
}

/// Finds out who asks, whatever he may do. Who sent wrong credentials again and again has to wait.
pub(super) fn recognise(request: &HttpRequest, state: &State, vault: &Vault) -> Result<Caller, HttpError> {
    let peer = Connection::of(request).peer();
    let principal = identify(state, vault, credential(request.headers()), peer.as_deref())?;
    Ok(Caller { principal, peer, request_id: request_id::of(request), reason: reason(request.headers())? })
}

fn identify(
    state: &State,
    vault: &Vault,
    credential: Credential<'_>,
    peer: Option<&Peer>,
) -> Result<Principal, HttpError> {
    let guesser = peer.map_or(Guesser::Anybody, |peer| Guesser::User(peer.uid));
    let now = || state.gate.clock().now();
    if !matches!(credential, Credential::None) {
        state.guessing.may_try(guesser, now()).map_err(|wait| HttpError::TooManyGuesses { wait })?;
    }
    let policy = state.setting.policies.current();
    vault.authenticate(credential, peer, &policy).map_err(|error| {
        let is_wrong = matches!(&error, VaultError::Unauthenticated { source } if source.is_wrong_credential());
        let wait = if is_wrong { state.guessing.was_wrong(guesser, now()) } else { None };
        wait.map_or(HttpError::Vault(error), |wait| HttpError::TooManyGuesses { wait })
    })
}

/// Why somebody asks, where he says so (`X-Reason`).
fn reason(headers: &HeaderMap) -> Result<Option<Arc<str>>, HttpError> {
    let Some(value) = headers.get(REASON) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).ok().map(str::trim);
    match text.filter(|text| text.len() <= MAX_REASON && !text.chars().any(char::is_control)) {
        Some("") => Ok(None),
        Some(text) => Ok(Some(text.into())),
        None => {
            let message = format!("X-Reason must be UTF-8 text of at most {MAX_REASON} bytes");
            Err(HttpError::InvalidInput { message })
        }
    }
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
