//! One HTTP/1.1 connection to the daemon, over its Unix socket or over TCP on this machine.
//!
//! Invariants: one request at a time; each has a time limit; an answer is bounded and wiped after use. It knows nothing of
//! the API's routes.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue, IF_MATCH, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::client::ClientError;
use crate::config::ClientAddress;
use crate::paths::check_socket_path;

/// Largest answer, in bytes: the metadata of a million secrets fit.
const ANSWER_LIMIT: usize = 512 * 1024 * 1024;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// About how long a stream will be, in bytes.
const EXPECTED_LENGTH: HeaderName = HeaderName::from_static("x-expected-length");

/// Takes a piece of a stream, with the length that is expected of the whole.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8], Option<u64>) -> io::Result<()>;

/// What is sent beside method and path.
#[derive(Default)]
pub(super) struct Extras {
    /// A JSON body.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// The revision that the secret must have.
    pub if_revision: Option<u64>,
    /// The event to go on after.
    pub last_event_id: Option<String>,
}

/// What the daemon answered.
pub(super) struct Answer {
    pub status: StatusCode,
    /// The revision in the `ETag`.
    pub revision: Option<u64>,
    pub body: Zeroizing<Vec<u8>>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub address: ClientAddress,
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    /// Why the requests are made.
    pub reason: Option<HeaderValue>,
    limit: Duration,
}

impl Connection {
    /// Connects to the first address that answers.
    pub async fn open(
        addresses: &[ClientAddress],
        authorization: Option<HeaderValue>,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let mut failure = None;
        for address in addresses {
            match timeout(limit, connect(address)).await {
                Ok(Ok(sender)) => {
                    let host = match address {
                        ClientAddress::Unix(_) => HeaderValue::from_static("localhost"),
                        ClientAddress::Tcp(address) => HeaderValue::try_from(address.to_string())
                            .unwrap_or_else(|_| HeaderValue::from_static("localhost")),
                    };
                    return Ok(Self { address: address.clone(), sender, host, authorization, reason: None, limit });
                }
                Ok(Err(error)) => {
                    failure = failure.or(describe(address, error));
                }
                Err(_) => return Err(timed_out(address, limit)),
            }
        }
        Err(failure.unwrap_or_else(|| ClientError::NotRunning { tried: addresses.to_vec() }))
    }

    /// Sends one request and waits for its whole answer.
    pub async fn send(&mut self, method: Method, target: &str, extras: Extras) -> Result<Answer, ClientError> {
        let request = self.request(method, target, extras)?;
        match timeout(self.limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(&self.address, self.limit)),
        }
    }

    /// Sends one request and hands its answer on piece by piece; an answer that is a refusal is given instead. The time
    /// limit holds for the answer's head and for each piece.
    pub async fn stream(
        &mut self,
        target: &str,
        extras: Extras,
        sink: Sink<'_>,
    ) -> Result<Option<Answer>, ClientError> {
        let request = self.request(Method::GET, target, extras)?;
        let limit = self.limit;
        let late = |address: &ClientAddress| timed_out(address, limit);
        let head = timeout(limit, self.sender.send_request(request)).await.map_err(|_| late(&self.address))?;
        let (head, mut body) = head.map_err(|error| self.broken(error))?.into_parts();
        if !head.status.is_success() {
            return timeout(limit, self.collect(&head, body)).await.map_err(|_| late(&self.address))?.map(Some);
        }
        let expected = head.headers.get(EXPECTED_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        while let Some(frame) = timeout(limit, body.frame()).await.map_err(|_| late(&self.address))? {
            if let Ok(data) = frame.map_err(|error| self.broken(error))?.into_data() {
                sink(&data, expected).map_err(|source| ClientError::Unwritten { source })?;
            }
        }
        Ok(None)
    }

    /// What to say of an answer that is not the API's.
    pub fn bad_answer(&self, reason: String) -> ClientError {
        ClientError::BadAnswer { address: self.address.clone(), reason }
    }

    fn request(&self, method: Method, target: &str, extras: Extras) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.host.clone())
            .header(USER_AGENT, concat!("hushd/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-reason", reason.clone());
        }
        if let Some(revision) = extras.if_revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        if let Some(id) = extras.last_event_id {
            request = request.header(LAST_EVENT_ID, id);
        }
        let body = match extras.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from_owner(body)
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body)).map_err(|error| self.bad_answer(error.to_string()))
    }

    fn broken(&self, source: hyper::Error) -> ClientError {
        let address = self.address.clone();
        if source.is_parse() {
            ClientError::BadAnswer { address, reason: "it does not speak HTTP".to_owned() }
        } else {
            ClientError::Broken { address, source }
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let (head, body) = self.sender.send_request(request).await.map_err(|error| self.broken(error))?.into_parts();
        self.collect(&head, body).await
    }

    async fn collect(&self, head: &Parts, body: Incoming) -> Result<Answer, ClientError> {
        let revision = head.headers.get(ETAG).and_then(|tag| tag.to_str().ok()?.trim_matches('"').parse().ok());
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(ANSWER_LIMIT);
        let mut collected = Zeroizing::new(Vec::with_capacity(expected));
        let mut body = Limited::new(body, ANSWER_LIMIT);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(source) => self.broken(*source),
                Err(_) => self.bad_answer("the answer is too long".to_owned()),
            })?;
            if let Ok(data) = frame.into_data() {
                collected.extend_from_slice(&data);
            }
        }
        Ok(Answer { status: head.status, revision, body: collected })
    }
}

async fn connect(address: &ClientAddress) -> io::Result<SendRequest<Full<Bytes>>> {
    match address {
        ClientAddress::Unix(path) => {
            check_socket_path(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
            start(UnixStream::connect(path).await?).await
        }
        ClientAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            start(stream).await
        }
    }
}

async fn start<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // What goes wrong with the connection is told by the request that needed it.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// `None` where nobody is there, which is only an error when it is so everywhere.
pub(super) fn describe(address: &ClientAddress, source: io::Error) -> Option<ClientError> {
    match (source.kind(), address) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused, _) => None,
        (io::ErrorKind::PermissionDenied, ClientAddress::Unix(path)) => {
            Some(ClientError::NotPermitted { path: path.clone() })
        }
        _ => Some(ClientError::Connect { address: address.clone(), source }),
    }
}

fn timed_out(address: &ClientAddress, limit: Duration) -> ClientError {
    ClientError::TimedOut { address: address.clone(), seconds: limit.as_secs() }
}
