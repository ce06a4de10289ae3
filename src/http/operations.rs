//! The daemon's own state over HTTP: health, readiness, status, and the description of the API.

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::runtime::Handle;

use crate::api::{
    CheckFinding, CheckResponse, HealthResponse, PolicyStatus, ReadyResponse, RekeyStatus, ReportResponse, Severity,
    StatusResponse, Topic,
};
use crate::http::caller::{Administrator, Known};
use crate::http::error::HttpError;
use crate::http::openapi::Refused;
use crate::http::query::Query;
use crate::http::{State, openapi};
use crate::vault::{ReportLimits, Vault, VaultError};

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
    let findings = findings(&state, &vault);
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
        findings,
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
        renders: state.setting.renders.read().clone(),
        hardening: state.setting.hardening.clone(),
        peers: state.setting.peers.clone(),
    }))
}

/// What is wrong with the vault and around it, problems first, and what could be better.
fn findings(state: &State, vault: &Vault) -> Vec<CheckFinding> {
    use Severity::{Problem, Warning};
    let mut findings = vault.findings();
    let snapshots = state.snapshots.read().as_ref().and_then(|backup| backup.problem.clone());
    findings.extend(snapshots.map(|what| CheckFinding::new(Problem, Topic::Snapshots, "snapshots", what)));
    let rotation = vault.rekey_progress().and_then(|progress| progress.problem);
    findings.extend(rotation.map(|what| CheckFinding::new(Problem, Topic::Rotation, "rotation", what)));
    let policies = state.setting.policies.problem();
    findings.extend(policies.map(|what| CheckFinding::new(Problem, Topic::Configuration, "configuration", what)));
    for render in state.setting.renders.read().iter() {
        let problem = render.problem.clone();
        findings.extend(problem.map(|what| CheckFinding::new(Problem, Topic::Rendering, render.output.clone(), what)));
    }
    if vault.trail().is_none() {
        let what = "it is off: nothing that is done is recorded";
        findings.push(CheckFinding::new(Warning, Topic::NoTrail, "audit trail", what));
    }
    for missing in state.setting.hardening.iter().filter(|protection| !protection.holds) {
        let what = missing.note.clone().unwrap_or_else(|| "it does not hold".to_owned());
        findings.push(CheckFinding::new(Warning, Topic::Hardening, missing.name.clone(), what));
    }
    findings
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

/// Tells what could be tidied up, of what the caller may list; takes its time
#[utoipa::path(get, path = "/api/report", tag = "Operations",
    params(("namespace" = Option<String>, Query, description = "All of them when absent"),
        ("expiringDays" = Option<u32>, Query, description = "What expires within; 30 when absent", maximum = 36500),
        ("unreadDays" = Option<u32>, Query, description = "What nobody has read for as long; 90 when absent", maximum = 36500),
        ("oldDays" = Option<u32>, Query, description = "What nobody has written for as long; 365 when absent",
            maximum = 36500)),
    responses((status = 200, description = "What was found", body = ReportResponse), Refused))]
pub(super) async fn report(state: web::Data<State>, caller: Known, request: HttpRequest) -> Answer {
    let query = Query::of(&request)?;
    let namespace = query.optional_namespace()?;
    let days = |name: &str, otherwise: u32| {
        let days = query.number(name, 0, 36500)?;
        Ok::<_, HttpError>(days.and_then(|days| u32::try_from(days).ok()).unwrap_or(otherwise))
    };
    let usual = ReportLimits::default();
    let limits = ReportLimits {
        expiring: days("expiringDays", usual.expiring)?,
        unread: days("unreadDays", usual.unread)?,
        old: days("oldDays", usual.old)?,
    };
    // One after the other: it is much work, and not only administrators may ask for it.
    let _turn = state.reports.acquire().await;
    let (vault, runtime) = (state.vault()?, Handle::current());
    // It decrypts every value: on a thread that serves nobody.
    let report =
        tokio::task::spawn_blocking(move || runtime.block_on(vault.report(&caller.0, namespace.as_ref(), limits)))
            .await;
    let report = report
        .map_err(|error| VaultError::Internal { verb: "make a report".to_owned(), detail: error.to_string() })??;
    Ok(HttpResponse::Ok().json(report))
}

/// Describes the API; takes no credential
#[utoipa::path(get, path = "/api/openapi.json", tag = "Operations", security(()),
    responses((status = 200, description = "An OpenAPI 3 document", content_type = "application/json")))]
pub(super) async fn describe() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(openapi::document())
}
