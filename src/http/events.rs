//! `GET /api/events`: changes as they happen, as Server-Sent Events (WHATWG HTML, "Server-sent events").
//!
//! Invariants: a reader is told only of what it may list, and is recognised anew before each batch of events, so that a
//! credential that is no longer valid ends its stream; a reader costs a position and no queue; one that fell behind what is
//! kept is told so, and so is one that may have missed something. A stream never holds an open vault.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::api::{EventKind, EventMessage};
use crate::auth::{Action, Caller, Target};
use crate::http::State;
use crate::http::caller::{Known, recognise};
use crate::http::error::HttpError;
use crate::http::openapi::Refused;
use crate::http::query::Query;
use crate::metrics::COUNTS;
use crate::model::Namespace;
use crate::vault::{Begin, Event, Events, Found, Position, Vault};

/// Readers at once.
pub(super) const AT_ONCE: usize = 1024;
/// How long a stream is silent at most; what keeps proxies and clients from taking it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon a client comes back, in milliseconds.
const RETRY: u32 = 1000;
/// Events that are looked at together.
const BATCH: usize = 256;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells of changes as they happen, never of values
///
/// `reset` says that events may have been missed, because the daemon was restarted or the reader was away for too long:
/// read anew what you know. `end` is the last event of a stream, with the reason.
#[utoipa::path(get, path = "/api/events", tag = "Events",
    params(("namespace" = Option<String>, Query, description = "Only this namespace; all that may be listed when absent"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event")),
    responses((status = 200, description = "Server-Sent Events; the data of each is an `EventMessage`",
        content_type = "text/event-stream", body = EventMessage), Refused,
        (status = 429, description = "Too many readers at once", body = crate::api::ErrorResponse)))]
pub(super) async fn events(
    state: web::Data<State>,
    _caller: Known,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let namespace = Query::of(&request)?.optional_namespace()?;
    let wanted = match request.headers().get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().trim()) {
        None | Some("") => None,
        Some(id) => Some(id.parse::<Position>().map_err(|()| HttpError::InvalidInput {
            message: "Last-Event-ID must be the id of an event of this stream".to_owned(),
        })?),
    };
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream");
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let place = state.event_readers.clone().try_acquire_owned().map_err(|_| HttpError::TooManyReaders)?;
    let events = Arc::clone(state.vault()?.events());
    let (position, reset) = match events.begin(wanted) {
        Begin::At(position) => (position, None),
        Begin::Restarted(position) => (position, Some("restarted")),
        Begin::TooOld(position) => (position, Some("backlog")),
    };
    let mut first = format!("retry: {RETRY}\n");
    match reset {
        Some(reason) => {
            first.push('\n');
            let message = EventMessage::of_stream(EventKind::Reset, reason, state.gate.clock().now());
            write(&mut first, Some(position), &message);
        }
        None => first.extend(["id: ", &position.to_string(), "\n\n"]),
    }
    COUNTS.event_readers.rise();
    let newest = events.watch();
    let reader =
        Reader { state, request, namespace, events, newest, position, first: Some(first), done: false, _place: place };
    Ok(answer.streaming(stream::unfold(reader, Reader::next)))
}

/// Somebody who reads events.
struct Reader {
    state: web::Data<State>,
    /// Kept to recognise its sender anew.
    request: HttpRequest,
    namespace: Option<Namespace>,
    events: Arc<Events>,
    newest: watch::Receiver<u64>,
    position: Position,
    first: Option<String>,
    done: bool,
    _place: OwnedSemaphorePermit,
}

impl Drop for Reader {
    fn drop(&mut self) {
        COUNTS.event_readers.fall();
    }
}

impl Reader {
    /// The next piece of the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.done {
            return None;
        }
        let text = match self.first.take() {
            Some(first) => first,
            None => self.wait().await,
        };
        Some((Ok(Bytes::from(text)), self))
    }

    async fn wait(&mut self) -> String {
        loop {
            self.newest.mark_unchanged();
            match self.events.read(self.position, BATCH) {
                Found::Gone => {
                    COUNTS.slow_readers.increment();
                    tracing::warn!("a reader of events was dropped: it was too slow");
                    return self.end("slow");
                }
                Found::Renewed(position) => {
                    self.position = position;
                    let now = self.state.gate.clock().now();
                    let mut text = String::new();
                    write(&mut text, Some(position), &EventMessage::of_stream(EventKind::Reset, "reopened", now));
                    return text;
                }
                Found::Ended(reason) => return self.end(reason),
                Found::Events(found) if found.is_empty() => {
                    if timeout(HEARTBEAT, self.newest.changed()).await.is_err() {
                        return match self.look() {
                            Ok(_) => format!(": heartbeat\nid: {}\n\n", self.position),
                            Err(reason) => self.end(reason),
                        };
                    }
                }
                Found::Events(found) => match self.look() {
                    Ok((vault, caller)) => {
                        let text = self.show(&vault, &caller, &found);
                        if !text.is_empty() {
                            return text;
                        }
                    }
                    Err(reason) => return self.end(reason),
                },
            }
        }
    }

    /// Finds out who reads, now.
    fn look(&self) -> Result<(Arc<Vault>, Caller), &'static str> {
        let vault = self.state.vault().map_err(|_| "sealed")?;
        if !Arc::ptr_eq(vault.events(), &self.events) {
            return Err("sealed");
        }
        let caller = recognise(&self.request, &self.state, &vault).map_err(|_| "credential")?;
        Ok((vault, caller))
    }

    /// What of these the reader may know of.
    fn show(&mut self, vault: &Vault, caller: &Caller, found: &[(Position, Arc<Event>)]) -> String {
        let mut text = String::new();
        for (after, event) in found {
            self.position = *after;
            let visible = match &**event {
                Event::Secret { namespace, key, .. } => {
                    self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
                        && vault.may(caller, Action::List, Target::Secret(namespace, key))
                }
                Event::Rotated { .. } => self.namespace.is_none() && vault.may(caller, Action::Admin, Target::Vault),
            };
            if visible {
                write(&mut text, Some(*after), &message(event));
            }
        }
        text
    }

    fn end(&mut self, reason: &'static str) -> String {
        self.done = true;
        let mut text = String::new();
        write(&mut text, None, &EventMessage::of_stream(EventKind::End, reason, self.state.gate.clock().now()));
        text
    }
}

fn message(event: &Event) -> EventMessage {
    match event {
        Event::Secret { kind, namespace, key, revision, at, expires_at, within } => EventMessage {
            kind: *kind,
            namespace: Some(namespace.to_string()),
            key: Some(key.to_string()),
            revision: Some(*revision),
            at: *at,
            expires_at: *expires_at,
            within: within.as_ref().map(ToString::to_string),
            reason: None,
        },
        Event::Rotated { key, at } => EventMessage {
            kind: EventKind::Rotated,
            namespace: None,
            key: Some((*key).to_owned()),
            revision: None,
            at: *at,
            expires_at: None,
            within: None,
            reason: None,
        },
    }
}

fn write(text: &mut String, id: Option<Position>, message: &EventMessage) {
    if let Some(id) = id {
        // Writing to a string does not fail.
        let _written = writeln!(text, "id: {id}");
    }
    // JSON has no line break in it.
    let data = serde_json::to_string(message).unwrap_or_default();
    let _written = write!(text, "event: {}\ndata: {data}\n\n", message.kind.name());
}
