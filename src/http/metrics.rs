//! `GET /metrics`: the process, its requests and the vault in numbers.
//!
//! Invariants: it takes an administrator's credential unless the configuration makes it public; it answers while the vault
//! is sealed, with what is known then; looking costs the readers of secrets nothing but the look itself.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::auth::{Action, Target};
use crate::clock::Timestamp;
use crate::http::caller::recognise;
use crate::http::error::HttpError;
use crate::http::exposition::{Format, Labels, Page};
use crate::http::openapi::Refused;
use crate::http::{State, connection::Connection};
use crate::metrics::{COUNTS, Process};
use crate::vault::{Measures, VaultError};

/// Problems that are told by their text; more are told as one.
const TOLD: usize = 20;

/// The daemon and the vault in numbers, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "Operations",
    responses((status = 200, description = "Prometheus text format 0.0.4, or OpenMetrics where `Accept` asks for it",
        content_type = "text/plain"), Refused))]
pub(super) async fn metrics(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let config = state.setting.metrics;
    if !config.public {
        authorize(&state, &request)?;
    }
    let format = Format::of(request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    // It looks at every entry of the index: on a thread that serves nobody.
    let text = tokio::task::spawn_blocking(move || page(&state).text(format)).await;
    let failed =
        |detail: String| HttpError::Vault(VaultError::Internal { verb: "show the metrics".to_owned(), detail });
    let text = text.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, format.media_type())).body(text))
}

/// While the vault is sealed nobody can be recognised by a credential: then it is for the daemon's own user.
fn authorize(state: &State, request: &HttpRequest) -> Result<(), HttpError> {
    match state.vault() {
        Ok(vault) => {
            let caller = recognise(request, state, &vault)?;
            Ok(vault.permit(&caller, Action::Admin, Target::Vault).map(drop)?)
        }
        Err(sealed) => {
            let own = rustix::process::geteuid().as_raw();
            let peer = Connection::of(request).peer();
            if peer.is_some_and(|peer| peer.uid == own) { Ok(()) } else { Err(sealed.into()) }
        }
    }
}

fn page(state: &State) -> Page {
    let mut page = Page::default();
    let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauges("hushd_build_info", "The program; always 1.", vec![(build, 1.0)]);
    requests(state, &mut page);
    security(&mut page);
    commits(&mut page);
    let vault = state.vault();
    page.gauge("hushd_sealed", "1 while the vault is sealed.", flag(vault.is_err()));
    if let Ok(vault) = vault {
        let ahead: Vec<_> = state.setting.expiry_warnings.iter().map(|(_, ahead)| *ahead).collect();
        contents(state, &vault.measure(&ahead, state.setting.metrics.key_labels), &mut page);
    }
    backups(state, &mut page);
    events(&mut page);
    process(&mut page);
    page
}

fn requests(state: &State, page: &mut Page) {
    let (mut counts, mut latencies) = (Vec::new(), Vec::new());
    for ((route, method), served) in state.requests.served() {
        let labels = || -> Labels { vec![("route", route.to_owned()), ("method", method.to_owned())] };
        for (status, count) in served.statuses {
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            counts.push(([labels(), vec![("status", status)]].concat(), count));
        }
        latencies.push((labels(), served.latency));
    }
    page.counters("hushd_http_requests", "Requests that were answered.", counts);
    page.histograms(
        "hushd_http_request_duration_seconds",
        "Time from a request's head to the head of its answer.",
        latencies,
    );
}

fn security(page: &mut Page) {
    page.counter("hushd_reveals", "Values that were given out.", COUNTS.reveals.get());
    page.counter("hushd_refusals", "Requests that the policy refused.", COUNTS.refusals.get());
    let failures = [
        ("missing", &COUNTS.authentication_missing),
        ("token", &COUNTS.authentication_token),
        ("api_key", &COUNTS.authentication_key),
        ("expired", &COUNTS.authentication_expired),
    ];
    let failures = failures.map(|(reason, count)| (vec![("reason", reason.to_owned())], count.get()));
    page.counters("hushd_authentication_failures", "Requests whose sender was not recognised.", failures.into());
    page.counter(
        "hushd_foreign_requests",
        "Requests over TCP that were refused because a foreign web page may have made them.",
        COUNTS.foreign_requests.get(),
    );
}

fn commits(page: &mut Page) {
    let one = |histogram: &crate::metrics::Histogram| vec![(Vec::new(), histogram.observed())];
    page.histograms("hushd_commit_group_size", "Writes that were committed together.", one(&COUNTS.commit_group));
    page.histograms(
        "hushd_commit_duration_seconds",
        "Time that a commit took, with its fdatasync.",
        one(&COUNTS.commit_latency),
    );
    page.counter("hushd_commit_failures", "Commits that failed.", COUNTS.commit_failures.get());
}

fn contents(state: &State, measures: &Measures, page: &mut Page) {
    let labelled = |name: &'static str, value: &str| -> Labels { vec![(name, value.to_owned())] };
    let states = measures.states;
    let states = [
        ("active", states.active),
        ("inactive", states.inactive),
        ("expired", states.expired),
        ("reserved", states.reserved),
    ];
    let states = states.map(|(state, count)| (labelled("state", state), float(count)));
    page.gauges("hushd_secrets", "Secrets by state; reserved ones are also in one of the others.", states.into());
    page.gauge("hushd_namespaces", "Namespaces that hold a secret.", float(measures.namespaces));
    page.gauge("hushd_revisions", "Revisions that are kept.", float(measures.revisions));
    let expiring = state.setting.expiry_warnings.iter().zip(&measures.expiring);
    let expiring = expiring.map(|((text, _), count)| (labelled("within", text), float(*count))).collect();
    page.gauges("hushd_secrets_expiring", "Readable secrets that expire within this time.", expiring);
    page.known(
        "hushd_next_expiry_seconds",
        "Time to the next expiry; absent where none is to come.",
        measures.next_expiry.map(|left| left.as_secs_f64()),
    );
    page.known("hushd_store_size_bytes", "Bytes that the store takes on disk.", measures.store_bytes.map(float));
    page.known(
        "hushd_store_waste_bytes",
        "About how many of them hold nothing that is in use.",
        measures.store_bytes.map(|size| float(size.saturating_sub(measures.live_bytes))),
    );
    page.gauge("hushd_writable", "1 while writes are taken.", flag(measures.writable));
    page.gauge("hushd_problems", "Things that are wrong with the vault.", float(measures.problems.values().sum()));
    let mut problems: Vec<(Labels, f64)> = Vec::new();
    for (number, (problem, count)) in measures.problems.iter().enumerate() {
        if number < TOLD {
            problems.push((labelled("problem", problem), float(*count)));
        } else if number == TOLD {
            let rest = measures.problems.values().skip(TOLD).sum();
            problems.push((labelled("problem", "others"), float(rest)));
        }
    }
    page.gauges("hushd_problem", "Each thing that is wrong, with how often it was found.", problems);
    page.counter("hushd_damaged_reads", "Reads that met a damaged record.", COUNTS.damaged_reads.get());
    if let Some(audit) = measures.audit {
        page.counter("hushd_audit_entries", "Entries that were written to the audit trail.", audit.entries);
        page.counter("hushd_audit_failures", "Entries that could not be written to the audit trail.", audit.failures);
        page.gauge(
            "hushd_audit_queue",
            "Entries of changes that are durable and not in the audit trail's files yet.",
            float(audit.queue),
        );
    }
    named(measures, page);
}

/// Only where the configuration allows names.
fn named(measures: &Measures, page: &mut Page) {
    let (mut revisions, mut expiries, mut uses) = (Vec::new(), Vec::new(), Vec::new());
    for secret in &measures.named {
        let labels =
            || -> Labels { vec![("namespace", secret.namespace.to_string()), ("key", secret.key.to_string())] };
        revisions.push((labels(), float(secret.revision)));
        expiries.extend(secret.expires_at.map(|at| (labels(), seconds(at))));
        uses.extend(secret.last_used_at.map(|at| (labels(), seconds(at))));
    }
    page.gauges("hushd_secret_revision", "The newest revision of a secret.", revisions);
    page.gauges("hushd_secret_expires_timestamp_seconds", "When a secret expires.", expiries);
    page.gauges("hushd_secret_last_used_timestamp_seconds", "When a secret was last revealed.", uses);
}

fn backups(state: &State, page: &mut Page) {
    if let Some(snapshots) = &*state.snapshots.read() {
        page.known(
            "hushd_snapshot_last_timestamp_seconds",
            "The instant that the newest snapshot shows.",
            snapshots.last_at.map(seconds),
        );
        page.gauge("hushd_snapshots", "Snapshots that are kept.", float(snapshots.kept));
        page.gauge(
            "hushd_snapshot_failed",
            "1 while the last attempt to take a snapshot has failed.",
            flag(snapshots.problem.is_some()),
        );
        page.known(
            "hushd_drill_last_timestamp_seconds",
            "When it was last tried whether a snapshot restores.",
            snapshots.last_drill_at.map(seconds),
        );
        page.known("hushd_drill_last_passed", "1 where the last drill passed.", snapshots.last_drill_passed.map(flag));
    }
    let sent = i64::try_from(COUNTS.backup_sent.get()).ok().filter(|at| *at > 0).map(Timestamp::from_millis);
    page.known(
        "hushd_backup_last_timestamp_seconds",
        "When a backup was last sent whole to whoever asked for it; absent where none was since the start.",
        sent.map(seconds),
    );
    page.counter("hushd_backup_failures", "Backups that were not sent whole.", COUNTS.backup_failures.get());
    page.counter("hushd_renders", "Files that were rendered and written.", COUNTS.renders.get());
    page.counter(
        "hushd_render_failures",
        "Files that could not be rendered, and commands that failed after one was.",
        COUNTS.render_failures.get(),
    );
}

fn events(page: &mut Page) {
    page.counter("hushd_events", "Events that were published.", COUNTS.events.get());
    page.gauge("hushd_event_readers", "Readers of events that are connected.", float(COUNTS.event_readers.get()));
    page.counter(
        "hushd_slow_event_readers",
        "Readers of events that were dropped because they were too slow.",
        COUNTS.slow_readers.get(),
    );
}

fn process(page: &mut Page) {
    let process = Process::look();
    page.seconds("process_cpu_seconds", "Processor time, in seconds.", process.cpu_seconds);
    page.known("process_open_fds", "Open file descriptors.", process.open_fds.map(float));
    page.known("process_max_fds", "How many may be open.", process.max_fds.map(float));
    page.known("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes.map(float));
    page.known("process_virtual_memory_bytes", "Address space.", process.virtual_bytes.map(float));
    page.known("process_threads", "Threads.", process.threads.map(float));
    page.known(
        "process_start_time_seconds",
        "When the process started, in seconds since the Unix epoch.",
        process.start_seconds,
    );
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since the Unix epoch are far below 2^52")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
