//! Secrets over HTTP: each handler decodes, makes one call, and encodes.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{
    CreateSecretRequest, CreateSecretResponse, EnvironmentResponse, ListNamespacesResponse, ListRevisionsResponse,
    ListSecretsResponse, NamespaceSummary, RevisionMetadata, RollbackRequest, RollbackResponse, SecretResponse,
    SuccessResponse, UpdateSecretRequest, VerifyRequest, VerifyResponse,
};
use crate::http::caller::Known;
use crate::http::error::HttpError;
use crate::http::openapi::{AlreadyExists, BadBody, Conflict, Missing, Refused};
use crate::http::query::{Query, key, precondition};
use crate::http::{State, body, listing};
use crate::model::Key;
use crate::vault::{Create, Update};

type Answer = Result<HttpResponse, HttpError>;

/// Lists the metadata of all secrets of a namespace, never values
#[utoipa::path(get, path = "/api/secrets", operation_id = "list_secrets", tag = "Secrets",
    params(("namespace" = Option<String>, Query, description = "Namespace, `default` when absent")),
    responses((status = 200, description = "Newest first", body = ListSecretsResponse), Refused))]
pub(super) async fn list(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let namespace = Query::of(&request)?.namespace()?;
    let found = state.vault()?.list(&caller.0, &namespace)?;
    Ok(listing::answer(state, found))
}

/// Creates a secret, or revives an inactive or expired one
#[utoipa::path(post, path = "/api/secrets", operation_id = "create_secret", tag = "Secrets", request_body = CreateSecretRequest,
    params(("namespace" = Option<String>, Query, description = "Namespace, `default` when absent")),
    responses((status = 201, description = "Created", body = CreateSecretResponse), AlreadyExists, BadBody, Refused))]
pub(super) async fn create(
    state: web::Data<State>,
    caller: Known,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let namespace = Query::of(&request)?.namespace()?;
    let sent: CreateSecretRequest = body::json(&request, payload, state.body_limit()).await?;
    let (Some(key), Some(value)) =
        (sent.key.filter(|key| !key.is_empty()), sent.value.filter(|value| !value.is_empty()))
    else {
        return Err(HttpError::InvalidInput { message: "Both key and value are required".to_owned() });
    };
    let key: Key = parse(&key)?;
    let create = Create {
        value,
        is_reserved: sent.is_reserved.unwrap_or_default(),
        is_template: sent.is_template.unwrap_or_default(),
        expires_at: sent.expires_at,
    };
    let id = state.vault()?.create(&caller.0, &namespace, &key, create).await?;
    let message = format!("Secret {key} has been created successfully");
    Ok(HttpResponse::Created().json(CreateSecretResponse { success: true, message, id }))
}

/// Reveals the value of a secret
#[utoipa::path(get, path = "/api/secrets/{key}", operation_id = "get_secret", tag = "Secrets",
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent"),
        ("revision" = Option<u64>, Query, description = "An older revision", minimum = 1)),
    responses((status = 200, description = "The value", body = SecretResponse,
        headers(("ETag" = String, description = "The revision, in quotes"))), Missing, Refused))]
pub(super) async fn get(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let (key, query) = (key(&request)?, Query::of(&request)?);
    let (value, revision) = state.vault()?.get(&caller.0, &query.namespace()?, &key, query.revision()?).await?;
    let secret = SecretResponse { key: key.as_str().to_owned(), value };
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{revision}\""))).json(secret))
}

/// Updates the value or the metadata of a secret
#[utoipa::path(put, path = "/api/secrets/{key}", operation_id = "update_secret", tag = "Secrets", request_body = UpdateSecretRequest,
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent"),
        ("If-Match" = Option<String>, Header, description = "The revision that is expected, in quotes")),
    responses((status = 200, description = "Updated", body = SuccessResponse,
        headers(("ETag" = String, description = "The revision, in quotes"))), Missing, Conflict, BadBody, Refused))]
pub(super) async fn update(
    state: web::Data<State>,
    caller: Known,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (key, namespace, precondition) = (key(&request)?, Query::of(&request)?.namespace()?, precondition(&request)?);
    let sent: UpdateSecretRequest = body::json(&request, payload, state.body_limit()).await?;
    let update = Update {
        value: sent.value,
        is_active: sent.is_active,
        is_reserved: sent.is_reserved,
        is_template: sent.is_template,
        expires_at: sent.expires_at,
    };
    let revision = state.vault()?.update(&caller.0, &namespace, &key, precondition, update).await?;
    let done = success(format!("Secret {key} has been updated successfully"));
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{revision}\""))).json(done))
}

/// Deletes a secret: its revisions are kept, unless it is purged
#[utoipa::path(delete, path = "/api/secrets/{key}", operation_id = "delete_secret", tag = "Secrets",
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent"),
        ("purge" = Option<bool>, Query, description = "Whether to destroy every revision and the metadata for good"),
        ("If-Match" = Option<String>, Header, description = "The revision that is expected, in quotes")),
    responses((status = 200, description = "Deleted", body = SuccessResponse), Missing, Conflict, Refused,
        (status = 507, description = "The disk is full", body = crate::api::ErrorResponse)))]
pub(super) async fn delete(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let (key, query, precondition) = (key(&request)?, Query::of(&request)?, precondition(&request)?);
    let namespace = query.namespace()?;
    let message = if query.purge()? {
        state.vault()?.purge(&caller.0, &namespace, &key, precondition).await?;
        format!("Secret {key} and all its revisions have been purged for good")
    } else {
        state.vault()?.delete(&caller.0, &namespace, &key, precondition).await?;
        format!("Secret {key} has been deleted successfully")
    };
    Ok(HttpResponse::Ok().json(success(message)))
}

/// Lists the revisions of a secret that are kept, without values
#[utoipa::path(get, path = "/api/secrets/{key}/revisions", operation_id = "list_revisions", tag = "Secrets",
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent")),
    responses((status = 200, description = "Newest first", body = ListRevisionsResponse), Missing, Refused))]
pub(super) async fn revisions(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let (key, namespace) = (key(&request)?, Query::of(&request)?.namespace()?);
    let revisions = state.vault()?.revisions(&caller.0, &namespace, &key)?.into_iter().map(|info| RevisionMetadata {
        revision: info.revision,
        created_at: info.created_at,
        created_by: info.created_by.to_string(),
    });
    Ok(HttpResponse::Ok().json(ListRevisionsResponse { revisions: revisions.collect() }))
}

/// Makes the value of an older revision the newest one
#[utoipa::path(post, path = "/api/secrets/{key}/rollback", operation_id = "roll_back_secret", tag = "Secrets", request_body = RollbackRequest,
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent"),
        ("If-Match" = Option<String>, Header, description = "The revision that is expected, in quotes")),
    responses((status = 200, description = "Rolled back", body = RollbackResponse,
        headers(("ETag" = String, description = "The revision, in quotes"))), Missing, Conflict, BadBody, Refused))]
pub(super) async fn rollback(
    state: web::Data<State>,
    caller: Known,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (key, namespace, precondition) = (key(&request)?, Query::of(&request)?.namespace()?, precondition(&request)?);
    let sent: RollbackRequest = body::json(&request, payload, state.body_limit()).await?;
    let revision = state.vault()?.rollback(&caller.0, &namespace, &key, precondition, sent.revision).await?;
    let message = format!("Secret {key} has been rolled back to revision {}", sent.revision);
    let done = RollbackResponse { success: true, message, revision };
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{revision}\""))).json(done))
}

/// Says whether a secret has a value, without revealing it
#[utoipa::path(post, path = "/api/secrets/{key}/verify", operation_id = "verify_secret", tag = "Secrets", request_body = VerifyRequest,
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent")),
    responses((status = 200, description = "The answer", body = VerifyResponse), Missing, BadBody, Refused))]
pub(super) async fn verify(
    state: web::Data<State>,
    caller: Known,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (key, namespace) = (key(&request)?, Query::of(&request)?.namespace()?);
    let sent: VerifyRequest = body::json(&request, payload, state.body_limit()).await?;
    let matches = state.vault()?.verify(&caller.0, &namespace, &key, &sent.value).await?;
    Ok(HttpResponse::Ok().json(VerifyResponse { matches }))
}

/// Reveals what a process needs of a namespace, in one request
#[utoipa::path(get, path = "/api/environment", tag = "Secrets",
    params(("namespace" = Option<String>, Query, description = "Namespace, `default` when absent"),
        ("keys" = Option<String>, Query, description = "Names divided by commas, each of which must be there"),
        ("prefix" = Option<String>, Query, description = "Only names that begin so"),
        ("partial" = Option<bool>, Query, description = "Whether named keys that are missing are left out")),
    responses((status = 200, description = "Values by name", body = EnvironmentResponse), Missing, Refused))]
pub(super) async fn environment(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let query = Query::of(&request)?;
    let found = state.vault()?.environment(&caller.0, &query.namespace()?, &query.selection()?).await?;
    let (environment, templates) = (found.values, found.templates);
    Ok(HttpResponse::Ok().json(EnvironmentResponse { environment, templates, revision: found.revision }))
}

/// Lists the namespaces with their counts
#[utoipa::path(get, path = "/api/namespaces", tag = "Secrets",
    responses((status = 200, description = "In the order of their names", body = ListNamespacesResponse), Refused))]
pub(super) async fn namespaces(state: web::Data<State>, caller: Known) -> Answer {
    let namespaces = state.vault()?.namespaces(&caller.0)?.into_iter().map(|count| NamespaceSummary {
        namespace: count.namespace.to_string(),
        active: count.active,
        total: count.total,
    });
    Ok(HttpResponse::Ok().json(ListNamespacesResponse { namespaces: namespaces.collect() }))
}

fn parse(key: &str) -> Result<Key, HttpError> {
    key.parse().map_err(|error: crate::model::InvalidKey| HttpError::InvalidInput { message: error.to_string() })
}

fn success(message: String) -> SuccessResponse {
    SuccessResponse { success: true, message }
}
