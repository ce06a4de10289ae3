//! Seal and unseal over HTTP.
//!
//! Invariants: an administrator seals. While the vault is sealed no credential can be verified, so that it is unsealed by
//! the daemon's own user over the Unix socket, or by whoever knows the passphrase.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{SealResponse, UnsealRequest};
use crate::crypto::Passphrase;
use crate::http::caller::Administrator;
use crate::http::connection::Connection;
use crate::http::error::HttpError;
use crate::http::openapi::{BadBody, Refused, TooMany};
use crate::http::{State, body};

/// Longest body of these calls, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

type Answer = Result<HttpResponse, HttpError>;

/// Wipes the vault's keys from memory; until it is unsealed no value can be read
#[utoipa::path(post, path = "/api/seal", tag = "Operations",
    responses((status = 200, description = "It is sealed", body = SealResponse), Refused))]
pub(super) async fn seal(state: web::Data<State>, caller: Administrator) -> Answer {
    let wiped = state.sealing.seal(caller.0.principal.to_string()).await;
    let message = if wiped {
        "The vault is sealed, and its keys are wiped."
    } else {
        "The vault is sealed. A request that takes long is still at work; the keys are wiped when it ends."
    };
    Ok(HttpResponse::Ok().json(SealResponse { success: true, message: message.to_owned() }))
}

/// Takes the vault's keys into memory again; by the passphrase, or as the daemon's own user over its Unix socket
#[utoipa::path(post, path = "/api/unseal", tag = "Operations", security(()), request_body = Option<UnsealRequest>,
    responses((status = 200, description = "It is unsealed", body = SealResponse), TooMany, BadBody, Refused,
        (status = 401, description = "Wrong passphrase, or none", body = crate::api::ErrorResponse)))]
pub(super) async fn unseal(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> Answer {
    let uid = Connection::of(&request).peer().map(|peer| peer.uid);
    let sent: UnsealRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let passphrase = sent.passphrase.map(|text| Passphrase::new(text.expose_secret().to_owned()));
    let already = state.vault().is_ok();
    if !already {
        state.sealing.unseal(uid, passphrase).await?;
    }
    let message = if already { "The vault is not sealed." } else { "The vault is unsealed." };
    Ok(HttpResponse::Ok().json(SealResponse { success: true, message: message.to_owned() }))
}
