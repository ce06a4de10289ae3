//! The vault's own keys over HTTP: rotation.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{RotateAnonKeyResponse, RotateApiKeyResponse, RotateKeyRequest};
use crate::auth::KeyKind;
use crate::http::caller::Minter;
use crate::http::error::HttpError;
use crate::http::openapi::{BadBody, Refused, TooMany};
use crate::http::{State, body};

/// Longest body of these calls, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

type Answer = Result<HttpResponse, HttpError>;

/// Replaces the admin API key; the old one stays valid for the grace period
#[utoipa::path(post, path = "/api/secrets/api-key/rotate", tag = "Keys", request_body = Option<RotateKeyRequest>,
    responses((status = 200, description = "The new key", body = RotateApiKeyResponse), TooMany, BadBody, Refused))]
pub(super) async fn rotate_api_key(
    state: web::Data<State>,
    caller: Minter,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let sent: RotateKeyRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let (api_key, old_key_expires_at) =
        state.vault()?.rotate_key(&caller.0, KeyKind::Api, sent.grace_period_hours).await?;
    let message = "API key rotated successfully. Old key will remain valid during grace period.".to_owned();
    Ok(HttpResponse::Ok().json(RotateApiKeyResponse { success: true, message, api_key, old_key_expires_at }))
}

/// Replaces the anon key; the old one stays valid for the grace period
#[utoipa::path(post, path = "/api/secrets/anon-key/rotate", tag = "Keys", request_body = Option<RotateKeyRequest>,
    responses((status = 200, description = "The new key", body = RotateAnonKeyResponse), TooMany, BadBody, Refused))]
pub(super) async fn rotate_anon_key(
    state: web::Data<State>,
    caller: Minter,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let sent: RotateKeyRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let (anon_key, old_key_expires_at) =
        state.vault()?.rotate_key(&caller.0, KeyKind::Anon, sent.grace_period_hours).await?;
    let message = "Anon key rotated successfully. Old key will remain valid during grace period.".to_owned();
    Ok(HttpResponse::Ok().json(RotateAnonKeyResponse { success: true, message, anon_key, old_key_expires_at }))
}
