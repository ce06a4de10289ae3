//! The daemon's own state over HTTP: health, readiness, status, and the description of the API.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};

use crate::api::{CheckResponse, HealthResponse, PolicyStatus, ReadyResponse, RekeyStatus, StatusResponse};
use crate::http::caller::Administrator;
use crate::http::error::HttpError;
use crate::http::openapi::Refused;
use crate::http::{State, openapi};
use crate::vault::VaultError;

const VERSION: &str = env!("CARGO_PKG_VERSION");

type Answer = Result<HttpResponse, HttpError>;

/// Says that the daemon is there; takes no credential
#[utoipa::path(get, path = "/api/health", tag = "Operations", security(()),
    responses((status = 200, description = "It is", body = HealthResponse)))]
pub(super) async fn health(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(HealthResponse {
        status: if state.vault().is_ok() { "ok" } else { "sealed" }.to_owned(),
        service: "hushd".to_owned(),
        version: VERSION.to_owned(),
        timestamp: state.gate.clock().now(),
    })
}

/// Says whether the daemon serves and takes writes; takes no credential
#[utoipa::path(get, path = "/api/ready", tag = "Operations", security(()),
    responses((status = 200, description = "It does", body = ReadyResponse),
        (status = 503, description = "It does not", body = crate::api::ErrorResponse)))]
pub(super) async fn ready(state: web::Data<State>) -> Answer {
    let vault = state.vault()?;
    if !vault.is_recording() {
        return Err(HttpError::NotReady { reason: "the audit trail cannot be written".to_owned() });
    }
    if vault.is_writable() {
        Ok(HttpResponse::Ok().json(ReadyResponse { ready: true }))
    } else {
        Err(HttpError::NotReady { reason: "it takes no writes".to_owned() })
    }
}

/// Describes the daemon and the vault
#[utoipa::path(get, path = "/api/status", tag = "Operations",
    responses((status = 200, description = "The status", body = StatusResponse), Refused))]
pub(super) async fn status(state: web::Data<State>, _caller: Administrator) -> Answer {
    let vault = state.vault()?;
    let overview = vault.overview();
    Ok(HttpResponse::Ok().json(StatusResponse {
        status: "ok".to_owned(),
        version: VERSION.to_owned(),
        vault_id: vault.id(),
        data_directory: state.setting.data_directory.clone(),
        listeners: state.setting.listeners.clone(),
        active: overview.active,
        total: overview.total,
        next_expiry: overview.next_expiry,
        writable: vault.is_writable(),
        problems: vault.problems(),
        audit: if vault.trail().is_some() { "on" } else { "off" }.to_owned(),
        backup: state.snapshots.read().clone(),
        rekey: vault.rekey_progress().map(|progress| RekeyStatus {
            epoch: progress.epoch,
            done: progress.done,
            total: progress.total,
            problem: progress.problem,
        }),
        policy: PolicyStatus {
            policies: state.setting.policies.current().count() as u64,
            problem: state.setting.policies.problem(),
        },
        hardening: state.setting.hardening.clone(),
        peers: state.setting.peers.clone(),
    }))
}

/// Reads every record and looks at every file of the vault, beside the daemon's work; takes its time
#[utoipa::path(get, path = "/api/check", tag = "Operations",
    responses((status = 200, description = "What was found", body = CheckResponse), Refused))]
pub(super) async fn check(state: web::Data<State>, _caller: Administrator) -> Answer {
    let checker = state.checker.clone();
    // It reads the whole store: on a thread that serves nobody.
    let report = tokio::task::spawn_blocking(move || checker.run()).await;
    let report = report
        .map_err(|error| VaultError::Internal { verb: "check the vault".to_owned(), detail: error.to_string() })??;
    Ok(HttpResponse::Ok().json(report))
}

/// Describes the API; takes no credential
#[utoipa::path(get, path = "/api/openapi.json", tag = "Operations", security(()),
    responses((status = 200, description = "An OpenAPI 3 document", content_type = "application/json")))]
pub(super) async fn describe() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(openapi::document())
}
