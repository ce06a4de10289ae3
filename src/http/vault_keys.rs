//! Recipients, and the rotation of data key and signing secret, over HTTP.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{
    AddRecipientRequest, AddRecipientResponse, RecipientsResponse, RemoveRecipientResponse, RotateDataKeyResponse,
    RotateJwtSecretRequest, RotateJwtSecretResponse,
};
use crate::crypto::Recipient;
use crate::http::caller::{Administrator, Minter};
use crate::http::error::HttpError;
use crate::http::openapi::{BadBody, Refused, TooMany};
use crate::http::query::Query;
use crate::http::{State, body};

/// Longest body of these calls, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

type Answer = Result<HttpResponse, HttpError>;

/// Lists whom the keyring is encrypted to
#[utoipa::path(get, path = "/api/recipients", operation_id = "list_recipients", tag = "Keys",
    responses((status = 200, description = "The recipients", body = RecipientsResponse), Refused))]
pub(super) async fn list(state: web::Data<State>, _caller: Administrator) -> Answer {
    Ok(HttpResponse::Ok().json(RecipientsResponse { recipients: texts(&state.vault()?.recipients()) }))
}

/// Lets one more identity open the keyring, and the backups to come
#[utoipa::path(post, path = "/api/recipients", operation_id = "add_recipient", tag = "Keys", request_body = AddRecipientRequest,
    responses((status = 200, description = "It can", body = AddRecipientResponse), BadBody, Refused))]
pub(super) async fn add(
    state: web::Data<State>,
    caller: Minter,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let sent: AddRecipientRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let recipient: Recipient =
        sent.recipient.parse().map_err(|error| HttpError::InvalidInput { message: sentence(&error) })?;
    let recipients = state.vault()?.add_recipient(&caller.0, recipient).await?;
    let message = "The recipient can open the keyring and the backups to come.".to_owned();
    Ok(HttpResponse::Ok().json(AddRecipientResponse { success: true, message, recipients: texts(&recipients) }))
}

/// Takes a recipient away, and replaces the keys that it may know: the data key and the secret that signs tokens
#[utoipa::path(delete, path = "/api/recipients", operation_id = "remove_recipient", tag = "Keys",
    params(("recipient" = String, Query, description = "The recipient, as it is listed")),
    responses((status = 200, description = "It is gone", body = RemoveRecipientResponse), Refused))]
pub(super) async fn remove(state: web::Data<State>, caller: Minter, request: HttpRequest) -> Answer {
    let named = Query::of(&request)?.recipients()?;
    let [recipient] = &named[..] else {
        return Err(HttpError::InvalidInput { message: "Name one recipient: ?recipient=…".to_owned() });
    };
    let removal = state.vault()?.remove_recipient(&caller.0, recipient.clone()).await?;
    let message = "The recipient opens no keyring and no backup from now on. The data key and the secret that signs \
                   tokens were replaced: all tokens until now are worthless. Copies of the vault and backups that it \
                   could open before, it still can: rotate the secrets that it must not know."
        .to_owned();
    Ok(HttpResponse::Ok().json(RemoveRecipientResponse {
        success: true,
        message,
        recipients: texts(&removal.recipients),
        epoch: removal.epoch,
    }))
}

/// Makes a new data key; the records follow in the background
#[utoipa::path(post, path = "/api/rotate/data-key", tag = "Keys",
    responses((status = 202, description = "There is a new key", body = RotateDataKeyResponse), TooMany, Refused))]
pub(super) async fn rotate_data_key(state: web::Data<State>, caller: Minter) -> Answer {
    let epoch = state.vault()?.rotate_data_key(&caller.0).await?;
    let message = "There is a new data key. The records are re-encrypted in the background.".to_owned();
    Ok(HttpResponse::Accepted().json(RotateDataKeyResponse { success: true, message, epoch }))
}

/// Makes a new secret that signs administrators' tokens; the old one verifies them for the grace period
#[utoipa::path(post, path = "/api/rotate/jwt-secret", tag = "Keys", request_body = Option<RotateJwtSecretRequest>,
    responses((status = 200, description = "There is a new secret", body = RotateJwtSecretResponse), TooMany, BadBody,
        Refused))]
pub(super) async fn rotate_jwt_secret(
    state: web::Data<State>,
    caller: Minter,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let sent: RotateJwtSecretRequest = body::json(&request, payload, BODY_LIMIT).await?;
    let old_secret_expires_at = state.vault()?.rotate_jwt_secret(&caller.0, sent.grace_period_hours).await?;
    let message = "There is a new signing secret. Tokens that were signed until now are valid during the grace period.";
    let message = message.to_owned();
    Ok(HttpResponse::Ok().json(RotateJwtSecretResponse { success: true, message, old_secret_expires_at }))
}

fn texts(recipients: &[Recipient]) -> Vec<String> {
    recipients.iter().map(ToString::to_string).collect()
}

/// An error's text as a message of the API begins.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
