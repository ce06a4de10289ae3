//! A typed client of the HTTP API (API contract), for the command line.
//!
//! Invariants: it blocks, on a runtime of its own with one thread; names are checked before they become part of a path,
//! so nothing has to be escaped. It prints nothing and decides nothing about exit codes.

mod connection;
mod credential;
mod environment;
mod error;
mod events;
mod vault_keys;

pub use environment::ForeignSecret;
pub use error::ClientError;

use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::api::{
    CheckResponse, CreateSecretRequest, CreateSecretResponse, CreateTokenRequest, CreateTokenResponse, ErrorResponse,
    EventMessage, HealthResponse, ListAuditResponse, ListConsumersResponse, ListNamespacesResponse,
    ListRevisionsResponse, ListSecretsResponse, ListTokensResponse, ReportResponse, RollbackRequest, RollbackResponse,
    RotateAnonKeyResponse, RotateApiKeyResponse, RotateKeyRequest, SecretResponse, StatusResponse, SuccessResponse,
    UpdateSecretRequest, VerifyAuditResponse, VerifyRequest, VerifyResponse,
};
pub use crate::client::connection::Sink;
use crate::client::connection::{Answer, Connection, Extras};
use crate::config::{ClientAddress, TokenSource};
use crate::model::{Key, Namespace, SecretValue};

/// How long a request may take before the daemon counts as unreachable.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a request may take that reads the whole vault.
pub const CHECK_TIMEOUT: Duration = Duration::from_hours(6);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    connection: Connection,
}

/// An answer with the revision that it is about.
#[derive(Debug)]
pub struct Revised<T> {
    /// The answer.
    pub body: T,
    /// The revision; `None` where the daemon does not say.
    pub revision: Option<u64>,
}

impl Client {
    /// Connects to the first of the addresses where a daemon answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::TokenFile`] and [`ClientError::InvalidToken`] before anything is opened;
    /// [`ClientError::NotRunning`], [`ClientError::NotPermitted`], [`ClientError::Connect`], [`ClientError::TimedOut`].
    pub fn connect(
        addresses: &[ClientAddress],
        token: Option<&TokenSource>,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let authorization = token.map(credential::authorization).transpose()?;
        let setup = |source| ClientError::Setup { source };
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(setup)?;
        let connection = runtime.block_on(Connection::open(addresses, authorization, limit))?;
        Ok(Self { runtime, connection })
    }

    /// Says why the requests are made (`X-Reason`). Control characters have no place in a header and are left out.
    pub fn set_reason(&mut self, reason: &str) {
        let printable: String = reason.chars().filter(|character| !character.is_control()).collect();
        self.connection.reason = HeaderValue::from_bytes(printable.as_bytes()).ok();
    }

    /// Where the daemon was found.
    pub fn address(&self) -> &ClientAddress {
        &self.connection.address
    }

    /// `GET /api/health`; needs no credential.
    ///
    /// # Errors
    ///
    /// As every call: [`ClientError::Sealed`], [`ClientError::Api`], [`ClientError::BadAnswer`],
    /// [`ClientError::Broken`], [`ClientError::TimedOut`].
    pub fn health(&mut self) -> Result<HealthResponse, ClientError> {
        self.get("/api/health")
    }

    /// `GET /api/status`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn status(&mut self) -> Result<StatusResponse, ClientError> {
        self.get("/api/status")
    }

    /// `GET /api/check`; takes as long as it takes to read the whole vault.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn check(&mut self) -> Result<CheckResponse, ClientError> {
        self.get("/api/check")
    }

    /// `GET /api/report` with these parameters.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn report(&mut self, parameters: &[(&str, String)]) -> Result<ReportResponse, ClientError> {
        let text: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.get(&format!("/api/report?{}", text.join("&")))
    }

    /// `GET /api/audit` with these parameters.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_audit(&mut self, parameters: &[(&str, String)]) -> Result<ListAuditResponse, ClientError> {
        self.get(&target("/api/audit", parameters))
    }

    /// `GET /api/audit/verify` with these anchors.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn verify_audit(&mut self, anchors: &[String]) -> Result<VerifyAuditResponse, ClientError> {
        let parameters: Vec<_> = anchors.iter().map(|anchor| ("anchor", anchor.clone())).collect();
        self.get(&target("/api/audit/verify", &parameters))
    }

    /// `GET /api/secrets/{key}/consumers`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_consumers(&mut self, namespace: &Namespace, key: &Key) -> Result<ListConsumersResponse, ClientError> {
        self.get(&secret(namespace, key, "/consumers"))
    }

    /// `GET /api/secrets`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_secrets(&mut self, namespace: &Namespace) -> Result<ListSecretsResponse, ClientError> {
        self.get(&format!("/api/secrets?namespace={namespace}"))
    }

    /// `GET /api/secrets/{key}`, the newest revision or the one that is named.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn read_secret(
        &mut self,
        namespace: &Namespace,
        key: &Key,
        revision: Option<u64>,
    ) -> Result<Revised<SecretResponse>, ClientError> {
        let revision = revision.map_or(String::new(), |revision| format!("&revision={revision}"));
        let target = secret(namespace, key, "") + &revision;
        self.call(Method::GET, &target, Extras::default())
    }

    /// `POST /api/secrets`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn create_secret(
        &mut self,
        namespace: &Namespace,
        request: &CreateSecretRequest,
    ) -> Result<Revised<CreateSecretResponse>, ClientError> {
        let room = request.value.as_ref().map_or(0, SecretValue::len);
        self.call(Method::POST, &format!("/api/secrets?namespace={namespace}"), self.json(request, room)?)
    }

    /// `PUT /api/secrets/{key}`, only where the secret has the revision that is named.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn update_secret(
        &mut self,
        namespace: &Namespace,
        key: &Key,
        request: &UpdateSecretRequest,
        if_revision: Option<u64>,
    ) -> Result<Revised<SuccessResponse>, ClientError> {
        let room = request.value.as_ref().map_or(0, SecretValue::len);
        let extras = Extras { if_revision, ..self.json(request, room)? };
        self.call(Method::PUT, &secret(namespace, key, ""), extras)
    }

    /// `DELETE /api/secrets/{key}`; with `purge` for good.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn delete_secret(
        &mut self,
        namespace: &Namespace,
        key: &Key,
        purge: bool,
    ) -> Result<SuccessResponse, ClientError> {
        let target = secret(namespace, key, "") + if purge { "&purge=true" } else { "" };
        self.call(Method::DELETE, &target, Extras::default()).map(|answer| answer.body)
    }

    /// `GET /api/namespaces`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_namespaces(&mut self) -> Result<ListNamespacesResponse, ClientError> {
        self.get("/api/namespaces")
    }

    /// `GET /api/secrets/{key}/revisions`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_revisions(&mut self, namespace: &Namespace, key: &Key) -> Result<ListRevisionsResponse, ClientError> {
        self.get(&secret(namespace, key, "/revisions"))
    }

    /// `POST /api/secrets/{key}/rollback`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn roll_back(
        &mut self,
        namespace: &Namespace,
        key: &Key,
        revision: u64,
    ) -> Result<RollbackResponse, ClientError> {
        self.post(&secret(namespace, key, "/rollback"), &RollbackRequest { revision })
    }

    /// `POST /api/secrets/{key}/verify`: whether the secret has this value.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn verify_secret(
        &mut self,
        namespace: &Namespace,
        key: &Key,
        value: SecretValue,
    ) -> Result<VerifyResponse, ClientError> {
        let room = value.len();
        let extras = self.json(&VerifyRequest { value }, room)?;
        self.call(Method::POST, &secret(namespace, key, "/verify"), extras).map(|answer| answer.body)
    }

    /// `POST /api/secrets/api-key/rotate`; without hours, the daemon's default grace period.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn rotate_api_key(&mut self, grace_period_hours: Option<i64>) -> Result<RotateApiKeyResponse, ClientError> {
        self.post("/api/secrets/api-key/rotate", &RotateKeyRequest { grace_period_hours })
    }

    /// `POST /api/secrets/anon-key/rotate`; without hours, the daemon's default grace period.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn rotate_anon_key(&mut self, grace_period_hours: Option<i64>) -> Result<RotateAnonKeyResponse, ClientError> {
        self.post("/api/secrets/anon-key/rotate", &RotateKeyRequest { grace_period_hours })
    }

    /// `POST /api/tokens`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn create_token(&mut self, request: &CreateTokenRequest) -> Result<CreateTokenResponse, ClientError> {
        self.post("/api/tokens", request)
    }

    /// `GET /api/tokens`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn list_tokens(&mut self) -> Result<ListTokensResponse, ClientError> {
        self.get("/api/tokens")
    }

    /// `DELETE /api/tokens/{id}`.
    ///
    /// # Errors
    ///
    /// As [`Client::health`].
    pub fn revoke_token(&mut self, id: &str) -> Result<SuccessResponse, ClientError> {
        let target = format!("/api/tokens/{}", utf8_percent_encode(id, NON_ALPHANUMERIC));
        self.call(Method::DELETE, &target, Extras::default()).map(|answer| answer.body)
    }

    /// `GET /api/backup`, to the vault's recipients or to those that are named; `sink` takes the file piece by piece, with the length that is expected of
    /// the whole. Only
    /// where this returns `Ok` was it whole.
    ///
    /// # Errors
    ///
    /// As [`Client::health`], and [`ClientError::Unwritten`] with what `sink` failed with.
    pub fn backup(&mut self, recipients: &[String], sink: Sink<'_>) -> Result<(), ClientError> {
        let escaped = |text: &String| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query: Vec<String> = recipients.iter().map(|text| format!("recipient={}", escaped(text))).collect();
        let target =
            if query.is_empty() { "/api/backup".to_owned() } else { format!("/api/backup?{}", query.join("&")) };
        match self.runtime.block_on(self.connection.stream(&target, Extras::default(), sink))? {
            None => Ok(()),
            Some(refusal) => Err(self.refusal(&refusal)),
        }
    }

    /// `GET /api/events`, of one namespace or of all: gives each event to `sink` until the stream ends. `last` is the id of
    /// the event to go on after, and is kept up to date.
    ///
    /// # Errors
    ///
    /// As [`Client::health`], and [`ClientError::Unwritten`] with what `sink` failed with.
    pub fn events(
        &mut self,
        namespace: Option<&Namespace>,
        last: &mut Option<String>,
        sink: &mut dyn FnMut(EventMessage) -> std::io::Result<()>,
    ) -> Result<(), ClientError> {
        self.follow(namespace, last, &mut || {}, sink)
    }

    /// The same; `opened` is called once the daemon listens for us: what changes from then on is told.
    ///
    /// # Errors
    ///
    /// As [`Client::events`].
    pub fn follow(
        &mut self,
        namespace: Option<&Namespace>,
        last: &mut Option<String>,
        opened: &mut dyn FnMut(),
        sink: &mut dyn FnMut(EventMessage) -> std::io::Result<()>,
    ) -> Result<(), ClientError> {
        let mut is_open = false;
        let target = namespace.map_or("/api/events".to_owned(), |name| format!("/api/events?namespace={name}"));
        let extras = Extras { last_event_id: last.clone(), ..Extras::default() };
        let mut reader = events::Reader::default();
        reader.last_id.clone_from(last);
        let mut strange = false;
        let done = self.runtime.block_on(self.connection.stream(&target, extras, &mut |piece, _| {
            if !std::mem::replace(&mut is_open, true) {
                opened();
            }
            reader.take(piece, sink).unwrap_or_else(|events::NoEvents| {
                strange = true;
                Err(std::io::ErrorKind::InvalidData.into())
            })
        }));
        *last = reader.last_id;
        if strange {
            return Err(self.connection.bad_answer("the answer is no stream of events".to_owned()));
        }
        match done? {
            None => Ok(()),
            Some(refusal) => Err(self.refusal(&refusal)),
        }
    }

    fn get<T: DeserializeOwned>(&mut self, target: &str) -> Result<T, ClientError> {
        self.call(Method::GET, target, Extras::default()).map(|answer| answer.body)
    }

    fn post<B: Serialize, T: DeserializeOwned>(&mut self, target: &str, body: &B) -> Result<T, ClientError> {
        self.call(Method::POST, target, self.json(body, 0)?).map(|answer| answer.body)
    }

    /// The body, in a buffer with room for a value of this length, so that growing leaves no copies behind.
    fn json<B: Serialize>(&self, body: &B, length: usize) -> Result<Extras, ClientError> {
        let mut buffer = Zeroizing::new(Vec::with_capacity(length + length / 4 + 512));
        serde_json::to_writer(&mut *buffer, body).map_err(|error| self.connection.bad_answer(error.to_string()))?;
        Ok(Extras { body: Some(buffer), ..Extras::default() })
    }

    fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &str,
        extras: Extras,
    ) -> Result<Revised<T>, ClientError> {
        let answer = self.runtime.block_on(self.connection.send(method, target, extras))?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        // serde_json's messages quote what they read, which may be a value: only the place is told.
        let body = serde_json::from_slice(&answer.body).map_err(|error| {
            self.connection.bad_answer(format!("the answer is not the expected JSON (column {})", error.column()))
        })?;
        Ok(Revised { body, revision: answer.revision })
    }

    fn refusal(&self, answer: &Answer) -> ClientError {
        let status = answer.status.as_u16();
        match serde_json::from_slice::<ErrorResponse>(&answer.body) {
            Ok(error) if answer.status == StatusCode::SERVICE_UNAVAILABLE && error.error == "VAULT_SEALED" => {
                ClientError::Sealed { next_actions: error.next_actions }
            }
            Ok(ErrorResponse { error: code, message, next_actions, .. }) => {
                ClientError::Api { status, code, message, next_actions }
            }
            Err(_) => self.connection.bad_answer(format!("status {status} without an error that hushd sends")),
        }
    }
}

impl ClientError {
    /// Whether a token file is named that does not exist.
    pub fn is_missing_token_file(&self) -> bool {
        matches!(self, Self::TokenFile { source } if credential::is_missing(source))
    }
}

/// A path with its parameters, which are escaped.
fn target(path: &str, parameters: &[(&str, String)]) -> String {
    let escaped = |(name, value): &(&str, String)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    let parameters: Vec<String> = parameters.iter().map(escaped).collect();
    if parameters.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) }
}

/// The path of a secret, or of something below it, in its namespace; both are of characters that need no escaping.
fn secret(namespace: &Namespace, key: &Key, below: &str) -> String {
    format!("/api/secrets/{key}{below}?namespace={namespace}")
}

#[cfg(test)]
mod tests;
