//! The audit trail over HTTP: pages of it, its verification, and who reads a secret.
//!
//! Invariant: the trail's files are read on threads that serve nobody, a bounded part at a time.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::{ListAuditResponse, ListConsumersResponse, SecretConsumer, VerifyAuditResponse};
use crate::audit::Numbered;
use crate::clock::Timestamp;
use crate::http::State;
use crate::http::caller::Administrator;
use crate::http::error::HttpError;
use crate::http::openapi::{Missing, Refused};
use crate::http::query::{MOST, Query, key};
use crate::vault::VaultError;

type Answer = Result<HttpResponse, HttpError>;

/// Lists entries of the audit trail, the newest first
#[utoipa::path(get, path = "/api/audit", operation_id = "list_audit", tag = "Audit",
    params(("actor" = Option<String>, Query, description = "A principal, a systemd unit or an executable"),
        ("action" = Option<String>, Query, description = "Such as `reveal` or `update`"),
        ("key" = Option<String>, Query, description = "Name of a secret"),
        ("namespace" = Option<String>, Query, description = "All of them when absent"),
        ("since" = Option<String>, Query, description = "Not before this time (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Before this time (RFC 3339)"),
        ("limit" = Option<u64>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "Where the page before ended"),
        ("after" = Option<u64>, Query, description = "The entries after this number, the oldest first")),
    responses((status = 200, description = "Entries", body = ListAuditResponse), Missing, Refused))]
pub(super) async fn list(state: web::Data<State>, caller: Administrator, request: HttpRequest) -> Answer {
    let query = Query::of(&request)?;
    let filter = query.audit()?;
    let limit = usize::try_from(query.number("limit", 1, 1000)?.unwrap_or(100)).unwrap_or(100);
    let (before, after) = (query.number("cursor", 1, MOST)?, query.number("after", 0, MOST)?);
    let vault = state.vault()?;
    let page = off_thread(move || vault.audit_page(&caller.0, &filter, before, after, limit)).await?;
    let cursor = page.next.map(|next| next.to_string());
    Ok(HttpResponse::Ok()
        .json(ListAuditResponse { entries: page.entries.iter().map(Numbered::to_api).collect(), cursor }))
}

/// Verifies the whole audit trail; takes its time
#[utoipa::path(get, path = "/api/audit/verify", operation_id = "verify_audit", tag = "Audit",
    params(("anchor" = Option<Vec<String>>, Query,
        description = "What the daemon told outside of the vault, NUMBER:DIGEST; repeatable")),
    responses((status = 200, description = "What was found", body = VerifyAuditResponse), Missing, Refused))]
pub(super) async fn verify(state: web::Data<State>, caller: Administrator, request: HttpRequest) -> Answer {
    let anchors = Query::of(&request)?.anchors()?;
    let vault = state.vault()?;
    let report = off_thread(move || vault.verify_trail(&caller.0, &anchors)).await?;
    Ok(HttpResponse::Ok().json(report.to_api()))
}

/// Lists who read a secret, which revision and when
#[utoipa::path(get, path = "/api/secrets/{key}/consumers", tag = "Audit",
    params(("key" = String, Path, description = "Name of the secret", pattern = "^[A-Z0-9_]+$", max_length = 255),
        ("namespace" = Option<String>, Query, description = "Namespace, `default` when absent")),
    responses((status = 200, description = "As far as the audit trail goes back", body = ListConsumersResponse),
        Missing, Refused))]
pub(super) async fn consumers(state: web::Data<State>, caller: Administrator, request: HttpRequest) -> Answer {
    let (key, namespace) = (key(&request)?, Query::of(&request)?.namespace()?);
    let (vault, name, place) = (state.vault()?, key.to_string(), namespace.to_string());
    let readers = off_thread(move || vault.consumers(&caller.0, &namespace, &key)).await?;
    let newest = readers.revision;
    let consumers = readers.consumers.into_iter().map(|consumer| SecretConsumer {
        principal: consumer.actor.principal.to_string(),
        uid: consumer.actor.uid,
        unit: consumer.actor.unit.as_deref().map(str::to_owned),
        executable: consumer.actor.executable.as_deref().map(str::to_owned),
        revision: consumer.revision,
        is_current: consumer.revision == newest,
        last_read_at: Timestamp::from_millis(consumer.time),
        reads: consumer.reads,
    });
    let consumers = consumers.collect();
    Ok(HttpResponse::Ok().json(ListConsumersResponse { key: name, namespace: place, revision: newest, consumers }))
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, HttpError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| {
        Err(VaultError::Internal { verb: "read the audit trail".to_owned(), detail: error.to_string() })
    });
    Ok(done?)
}
