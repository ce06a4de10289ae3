//! A vault with its daemon, called over one transport; every answer is held against the contract's common rules.

use std::fmt;
use std::ops::Deref;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::http::{Address, Connection, Request, Response};
use super::sandbox::Vault;

/// How the daemon is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over its Unix socket.
    Unix,
    /// Over loopback TCP.
    Tcp,
}

/// A vault with its daemon, called over one transport.
pub struct Api {
    // Stopped before the directories go.
    daemon: Daemon,
    /// The vault.
    pub vault: Vault,
    /// How the daemon is called.
    pub transport: Transport,
    token: String,
}

/// Runs a test with a daemon of its own, which must then stop cleanly.
pub fn over(transport: Transport, test: fn(&Api)) {
    let api = Api::start(transport);
    test(&api);
    api.stop();
}

impl Api {
    /// Creates a vault and serves it.
    pub fn start(transport: Transport) -> Self {
        Self::serve(Vault::init(), transport)
    }

    /// Serves a vault.
    pub fn serve(vault: Vault, transport: Transport) -> Self {
        Self::adopt(Daemon::start(&vault), vault, transport)
    }

    /// Calls a daemon that is there already.
    pub fn adopt(daemon: Daemon, vault: Vault, transport: Transport) -> Self {
        Self { daemon, token: vault.admin_token(), vault, transport }
    }

    /// The daemon.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Stops the daemon as it should stop and leaves the vault.
    pub fn stop(self) -> Vault {
        self.daemon.stop_cleanly();
        self.vault
    }

    /// The daemon and the vault, to go on with each by itself.
    pub fn into_parts(self) -> (Daemon, Vault) {
        (self.daemon, self.vault)
    }

    /// Ends the daemon by SIGKILL and leaves the vault.
    pub fn kill(self) -> Vault {
        self.daemon.kill();
        self.vault
    }

    /// Stops the daemon and serves the vault again.
    pub fn restart(self) -> Self {
        let transport = self.transport;
        Self::serve(self.stop(), transport)
    }

    /// Where the daemon is called.
    pub fn address(&self) -> Address {
        match self.transport {
            Transport::Unix => self.daemon.unix(),
            Transport::Tcp => self.daemon.tcp(),
        }
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address()).unwrap()
    }

    /// A call with an administrator's token.
    pub fn call(&self, method: &str, target: &str) -> Call {
        self.bare(method, target).bearer(&self.token)
    }

    /// A call without any credential.
    pub fn bare(&self, method: &str, target: &str) -> Call {
        let request = Request { method: method.to_owned(), target: target.to_owned(), ..Request::default() };
        Call { address: self.address(), request }
    }

    /// `GET` as an administrator.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.call("GET", target).send()
    }

    /// `POST` as an administrator.
    #[track_caller]
    pub fn post(&self, target: &str, body: Value) -> Answer {
        self.call("POST", target).json(body).send()
    }

    /// `PUT` as an administrator.
    #[track_caller]
    pub fn put(&self, target: &str, body: Value) -> Answer {
        self.call("PUT", target).json(body).send()
    }

    /// `DELETE` as an administrator.
    #[track_caller]
    pub fn delete(&self, target: &str) -> Answer {
        self.call("DELETE", target).send()
    }

    /// Creates a secret in the default namespace and answers its identifier.
    #[track_caller]
    pub fn create(&self, key: &str, value: &str) -> String {
        let answer = self.post("/api/secrets", json!({"key": key, "value": value}));
        answer.is(201).json()["id"].as_str().unwrap().to_owned()
    }

    /// Creates a secret in the default namespace that has expired.
    #[track_caller]
    pub fn create_expired(&self, key: &str, value: &str) -> String {
        let id = self.create(key, value);
        self.put(&secret(key), json!({"expiresAt": "2020-01-01T00:00:00Z"})).is(200);
        id
    }

    /// The value of a secret in the default namespace.
    #[track_caller]
    pub fn value(&self, key: &str) -> String {
        self.get(&secret(key)).is(200).json()["value"].as_str().unwrap().to_owned()
    }

    /// The metadata of a secret in the default namespace.
    #[track_caller]
    pub fn metadata(&self, key: &str) -> Value {
        let list = self.get("/api/secrets").is(200).json();
        let found = list["secrets"].as_array().unwrap().iter().find(|secret| secret["key"] == key);
        found.unwrap_or_else(|| panic!("{key} is not in {list}")).clone()
    }

    /// Makes a new anon key.
    #[track_caller]
    pub fn anon_key(&self) -> String {
        let answer = self.post("/api/secrets/anon-key/rotate", json!({}));
        answer.is(200).json()["anonKey"].as_str().unwrap().to_owned()
    }
}

/// The path of a secret.
pub fn secret(key: &str) -> String {
    format!("/api/secrets/{key}")
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub struct Call {
    address: Address,
    request: Request,
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Presents this token or key, and only this.
    pub fn bearer(mut self, credential: &str) -> Self {
        self.request.headers.retain(|(name, _)| name != "Authorization");
        self.header("Authorization", &format!("Bearer {credential}"))
    }

    /// Sends a body as it is, without a type.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// Sends JSON.
    pub fn json(self, body: Value) -> Self {
        self.raw_json(body.to_string())
    }

    /// Sends these bytes as JSON.
    pub fn raw_json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// The request, to be sent over a connection that is already there.
    pub fn request(self) -> Request {
        self.request
    }

    /// Sends it over a connection of its own and checks what every answer must be.
    #[track_caller]
    pub fn send(self) -> Answer {
        let response = Connection::open(&self.address).and_then(|mut connection| connection.send(&self.request));
        let request = format!("{} {}", self.request.method, self.request.target);
        let response = response.unwrap_or_else(|error| panic!("{request}: {error}"));
        Answer::new(request, response)
    }
}

/// An answer that follows the common rules.
#[derive(Clone)]
pub struct Answer {
    request: String,
    response: Response,
}

impl Deref for Answer {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.chars().take(600).collect();
        write!(f, "{} answered {} {:?} {text}", self.request, self.status, self.headers)
    }
}

impl Answer {
    /// Takes an answer and checks what every answer must be.
    #[track_caller]
    pub fn new(request: String, response: Response) -> Self {
        let answer = Self { request, response };
        answer.follows_the_common_rules();
        answer
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails unless it is this error, with exactly this message.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str, message: &str) -> Self {
        let answer = self.refuses(status, code);
        assert_eq!(answer.message(), message, "{answer:?}");
        answer
    }

    /// Fails unless it is this error.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.json()["error"], code, "{answer:?}");
        answer
    }

    /// The message of an error.
    #[track_caller]
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header that is there at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {self:?}");
        first
    }

    #[track_caller]
    fn follows_the_common_rules(&self) {
        // "Headers: `Cache-Control: no-store`, `X-Request-Id` …, no CORS headers, no `Server`."
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "{self:?}");
        let unwanted = |(name, _): &(String, String)| name == "server" || name.starts_with("access-control-");
        assert!(!self.headers.iter().any(unwanted), "{self:?}");
        if !self.request.starts_with("HEAD ") {
            // "JSON in, JSON out, UTF-8."
            let media_type = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
            assert!(matches!(&*media_type, "application/json" | "application/json; charset=utf-8"), "{self:?}");
            self.json();
        }
        if self.status >= 400 {
            self.is_an_error();
        }
    }

    /// "An error is `{"error": CODE, "message": TEXT, "statusCode": N, "nextActions": TEXT?}`."
    #[track_caller]
    fn is_an_error(&self) {
        if self.status == 401 {
            assert_eq!(self.header("www-authenticate"), Some("Bearer"), "{self:?}");
        }
        if self.request.starts_with("HEAD ") {
            return;
        }
        let codes: &[&str] = match self.status {
            400 => &["INVALID_INPUT"],
            401 => &["AUTH_INVALID_CREDENTIALS", "AUTH_INVALID_API_KEY", "AUTH_TOKEN_EXPIRED"],
            403 => &["FORBIDDEN"],
            404 => &["NOT_FOUND"],
            405 => &["METHOD_NOT_ALLOWED"],
            409 => &["SECRET_ALREADY_EXISTS"],
            412 => &["PRECONDITION_FAILED"],
            413 => &["PAYLOAD_TOO_LARGE"],
            415 => &["UNSUPPORTED_MEDIA_TYPE"],
            429 => &["RATE_LIMITED"],
            500 => &["INTERNAL_ERROR"],
            503 => &["VAULT_SEALED", "INTERNAL_ERROR"],
            507 => &["STORAGE_FULL"],
            status => panic!("{status} is not in the contract: {self:?}"),
        };
        let body = self.json();
        let mut body = body.as_object().unwrap().clone();
        let code = body.remove("error").unwrap_or_default();
        assert!(codes.iter().any(|known| code == *known), "{self:?}");
        assert_eq!(body.remove("statusCode"), Some(json!(self.status)), "{self:?}");
        let message = body.remove("message").unwrap_or_default();
        assert!(message.as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        let actions = body.remove("nextActions");
        assert!(actions.is_none_or(|actions| actions.as_str().is_some_and(|text| !text.is_empty())), "{self:?}");
        assert!(body.is_empty(), "an error has no other fields: {self:?}");
    }
}
