//! The client against a server that says what it is told to say.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use super::*;
use crate::model::SecretValue;

/// A daemon that reads one request, answers what it was told, and gives back what it read.
struct FakeDaemon {
    directory: tempfile::TempDir,
    request: JoinHandle<String>,
}

impl FakeDaemon {
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("hushd.sock")).unwrap();
        let request = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&request) {
                let length = stream.read(&mut buffer).unwrap();
                if length == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..length]);
            }
            stream.write_all(&answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        Self { directory, request }
    }

    fn json(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::answering(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"))
    }

    fn client(&self, token: Option<&TokenSource>) -> Client {
        Client::connect(&[socket(self.directory.path())], token, Duration::from_secs(10)).unwrap()
    }

    fn request(self, client: Client) -> String {
        drop(client);
        self.request.join().unwrap()
    }
}

/// Whether head and body have arrived.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    body.len() >= length
}

fn socket(directory: &Path) -> ClientAddress {
    ClientAddress::Unix(directory.join("hushd.sock"))
}

fn key() -> Key {
    "STRIPE_KEY".parse().unwrap()
}

fn namespace() -> Namespace {
    "shop/dev".parse().unwrap()
}

fn connect(addresses: &[ClientAddress]) -> Result<Client, ClientError> {
    Client::connect(addresses, None, Duration::from_secs(10))
}

#[test]
fn a_read_names_namespace_key_and_revision_and_sends_the_token() {
    let daemon = FakeDaemon::json("200 OK", "etag: \"7\"\r\n", r#"{"key":"STRIPE_KEY","value":"a\u0000ü"}"#);
    let token = TokenSource::Environment(SecretValue::new("ik_1\n".to_owned()));
    let mut client = daemon.client(Some(&token));
    let answer = client.read_secret(&namespace(), &key(), Some(7)).unwrap();
    assert_eq!((answer.body.value.expose_secret(), answer.revision), ("a\0ü", Some(7)));
    let request = daemon.request(client);
    assert!(request.starts_with("GET /api/secrets/STRIPE_KEY?namespace=shop/dev&revision=7 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer ik_1\r\n") && request.contains("host: localhost\r\n"), "{request}");
}

#[test]
fn a_conditional_update_sends_if_match_and_only_what_changes() {
    let daemon = FakeDaemon::json("200 OK", "", r#"{"success":true,"message":"done"}"#);
    let mut client = daemon.client(None);
    let value = Some(SecretValue::new("line\n\"2\"".to_owned()));
    let request = UpdateSecretRequest { value, expires_at: Some(None), ..UpdateSecretRequest::default() };
    client.update_secret(&namespace(), &key(), &request, Some(3)).unwrap();
    let request = daemon.request(client);
    assert!(request.starts_with("PUT /api/secrets/STRIPE_KEY?namespace=shop/dev HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("if-match: \"3\"\r\n") && request.contains("content-type: application/json\r\n"));
    assert!(request.ends_with("\r\n\r\n{\"value\":\"line\\n\\\"2\\\"\",\"expiresAt\":null}"), "{request}");
    assert!(!request.contains("authorization"));
}

#[test]
fn a_purge_says_so() {
    let daemon = FakeDaemon::json("200 OK", "", r#"{"success":true,"message":"done"}"#);
    let mut client = daemon.client(None);
    client.delete_secret(&namespace(), &key(), true).unwrap();
    let request = daemon.request(client);
    assert!(
        request.starts_with("DELETE /api/secrets/STRIPE_KEY?namespace=shop/dev&purge=true HTTP/1.1\r\n"),
        "{request}"
    );
}

#[test]
fn a_refusal_keeps_its_code_its_message_and_what_to_do() {
    let body = r#"{"error":"NOT_FOUND","message":"Secret not found: K","statusCode":404,"nextActions":"Create it."}"#;
    let daemon = FakeDaemon::json("404 Not Found", "", body);
    let error = daemon.client(None).read_secret(&namespace(), &key(), None).unwrap_err();
    let ClientError::Api { status, code, message, next_actions } = error else { panic!("{error:?}") };
    assert_eq!((status, code.as_str(), message.as_str()), (404, "NOT_FOUND", "Secret not found: K"));
    assert_eq!(next_actions.unwrap(), "Create it.");
}

#[test]
fn a_sealed_vault_is_told_apart() {
    let body = r#"{"error":"VAULT_SEALED","message":"The vault is sealed","statusCode":503}"#;
    let daemon = FakeDaemon::json("503 Service Unavailable", "", body);
    let error = daemon.client(None).list_secrets(&namespace()).unwrap_err();
    assert!(matches!(error, ClientError::Sealed { next_actions: None }), "{error:?}");
}

#[test]
fn what_is_not_the_api_is_told_without_quoting_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"value\":[\"sk_live_marker\"]}",
        "HTTP/1.1 200 OK\r\ncontent-length: 35\r\n\r\n{\"key\":\"K\",\"value\":sk_live_marker,}",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 14\r\n\r\nsk_live_marker",
        "SSH-2.0-OpenSSH_9.2\r\nsk_live_marker",
    ] {
        let daemon = FakeDaemon::answering(answer);
        let error = daemon.client(None).read_secret(&namespace(), &key(), None).unwrap_err();
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{answer}: {error:?}");
        assert!(!format!("{error:?}").contains("sk_live_marker"), "{error:?}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_a_broken_connection() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"key\""] {
        let daemon = FakeDaemon::answering(answer);
        let error = daemon.client(None).read_secret(&namespace(), &key(), None).unwrap_err();
        assert!(matches!(error, ClientError::Broken { .. }), "{answer}: {error:?}");
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(directory.path().join("hushd.sock")).unwrap();
    let mut client = Client::connect(&[socket(directory.path())], None, Duration::from_millis(50)).unwrap();
    assert!(matches!(client.health(), Err(ClientError::TimedOut { .. })));
}

#[test]
fn a_missing_socket_and_one_that_nobody_listens_on_mean_that_the_daemon_is_not_running() {
    let (missing, stale) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(UnixListener::bind(stale.path().join("hushd.sock")).unwrap());
    let addresses = [socket(missing.path()), socket(stale.path())];
    let error = connect(&addresses).unwrap_err();
    assert!(matches!(&error, ClientError::NotRunning { tried } if *tried == addresses), "{error:?}");
}

#[test]
fn the_second_address_is_tried_when_nobody_is_at_the_first() {
    let missing = tempfile::tempdir().unwrap();
    let daemon = FakeDaemon::json("200 OK", "", r#"{"secrets":[]}"#);
    let addresses = [socket(missing.path()), socket(daemon.directory.path())];
    let mut client = connect(&addresses).unwrap();
    assert_eq!(client.address(), &addresses[1]);
    assert!(client.list_secrets(&namespace()).unwrap().secrets.is_empty());
    assert!(daemon.request(client).starts_with("GET /api/secrets?namespace=shop/dev HTTP/1.1\r\n"));
}

#[test]
fn a_socket_that_may_not_be_opened_is_told_apart_from_one_that_is_missing() {
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let address = ClientAddress::Unix("/run/hushd/hushd.sock".into());
    let error = connection::describe(&address, denied).unwrap();
    assert!(matches!(error, ClientError::NotPermitted { .. }), "{error:?}");
}

#[test]
fn a_token_file_must_be_private_and_hold_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let token = TokenSource::File(path.clone());
    let connect = || Client::connect(&[socket(directory.path())], Some(&token), Duration::from_secs(1)).unwrap_err();
    assert!(connect().is_missing_token_file());

    crate::paths::write_private_new(&path, b"anon_1\n").unwrap();
    assert!(matches!(connect(), ClientError::NotRunning { .. }));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = connect();
    assert!(
        matches!(&error, ClientError::TokenFile { source } if source.to_string().contains("chmod 600")),
        "{error:?}"
    );

    for contents in ["", "\n", "two words", "line\nline", "tökén"] {
        crate::paths::replace_private(&path, contents.as_bytes()).unwrap();
        let error = connect();
        assert!(matches!(error, ClientError::InvalidToken { .. }), "{contents:?}: {error:?}");
    }
}
