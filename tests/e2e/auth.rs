//! "Nobody gets in": what guards the listeners beside credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use serde_json::json;

use crate::harness::api::secret;
use crate::harness::{Api, Transport, cli};

over_both!(forwarded_hosts_do_not_open_anything, two_credentials_that_disagree_let_nobody_in,);

const FOREIGN_HOSTS: [&str; 10] = [
    "evil.example",
    "evil.example:4874",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example#localhost",
    "user@localhost",
    "0.0.0.0",
    "192.168.0.1",
    "[::2]",
    "xn--lcalhost-54a",
];

/// "a `Host` from the loopback list"
#[test]
fn tcp_takes_only_loopback_hosts() {
    let api = Api::start(Transport::Tcp);
    let port = api.daemon().port;
    for host in ["127.0.0.1", "localhost", "[::1]", "LocalHost"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            api.call("GET", "/api/secrets").header("Host", &host).send().is(200);
        }
    }
    for host in FOREIGN_HOSTS {
        for path in ["/api/secrets", "/api/health", "/api/nothing"] {
            let answer = api.call("GET", path).header("Host", host).send();
            answer.refuses(403, "FORBIDDEN");
        }
        // Without a credential it is refused all the same, and nothing is written.
        api.bare("GET", "/api/secrets").header("Host", host).send().refuses(403, "FORBIDDEN");
        let write = api.call("POST", "/api/secrets").header("Host", host);
        write.json(json!({"key": "A", "value": "1"})).send().refuses(403, "FORBIDDEN");
    }
    for host in ["", " "] {
        let status = api.call("GET", "/api/secrets").header("Host", host).send().status;
        assert!(matches!(status, 400 | 403), "an empty Host got {status}");
    }
    api.get("/api/secrets/A").is(404);
    api.stop();
}

/// "no foreign `Origin`"
#[test]
fn tcp_takes_no_foreign_origin() {
    let api = Api::start(Transport::Tcp);
    for origin in ["https://evil.example", "http://127.0.0.1.evil.example", "null", "file://", "x", ""] {
        for path in ["/api/secrets", "/api/health"] {
            let answer = api.call("GET", path).header("Origin", origin).send();
            answer.refuses(403, "FORBIDDEN");
        }
        let preflight = api.bare("OPTIONS", "/api/secrets").header("Origin", origin);
        let answer = preflight.header("Access-Control-Request-Method", "POST").send();
        answer.refuses(403, "FORBIDDEN");
        let write = api.call("POST", "/api/secrets").header("Origin", origin);
        write.json(json!({"key": "A", "value": "1"})).send().refuses(403, "FORBIDDEN");
    }
    api.get("/api/secrets/A").is(404);
    api.stop();
}

/// "(the Unix socket has no such check)"
#[test]
fn the_unix_socket_takes_any_host() {
    let api = Api::start(Transport::Unix);
    for host in FOREIGN_HOSTS.into_iter().filter(|host| !host.contains(['#', '@'])) {
        api.call("GET", "/api/secrets").header("Host", host).send().is(200);
    }
    let other = api.call("GET", "/api/secrets").header("Origin", "https://evil.example");
    other.header("Sec-Fetch-Site", "cross-site").send().is(200);
    api.stop();
}

/// "JSON only": what a form or a script can send across origins without being asked is no body.
#[test]
fn tcp_takes_no_body_that_a_foreign_form_could_send() {
    let api = Api::start(Transport::Tcp);
    let body = json!({"key": "A", "value": "1"}).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"] {
        let post = api.call("POST", "/api/secrets").header("Content-Type", kind).body(body.clone());
        post.send().refuses(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    api.call("POST", "/api/secrets").body(body).send().refuses(415, "UNSUPPORTED_MEDIA_TYPE");
    let answer = api.get("/api/health").is(200);
    assert_eq!(answer.header("set-cookie"), None, "no cookies");
    api.get("/api/secrets/A").is(404);
    api.stop();
}

fn forwarded_hosts_do_not_open_anything(api: &Api) {
    if api.transport == Transport::Tcp {
        let call = api.call("GET", "/api/secrets").header("Host", "evil.example");
        call.header("X-Forwarded-Host", "localhost").header("Forwarded", "host=localhost").send().is(403);
    }
    let call = api.bare("GET", "/api/secrets").bearer("x");
    call.header("X-Forwarded-User", "root").header("X-Remote-User", "root").send().is(401);
}

fn two_credentials_that_disagree_let_nobody_in(api: &Api) {
    let good = format!("Bearer {}", api.vault.admin_token());
    for (first, second) in [(&*good, "Bearer x"), ("Bearer x", &*good)] {
        let call = api.bare("GET", "/api/secrets").header("Authorization", first);
        let status = call.header("Authorization", second).send().status;
        assert!(matches!(status, 400 | 401), "two Authorization headers got {status}");
    }
    let keys = api.bare("GET", "/api/secrets").header("x-api-key", &api.vault.api_key).header("x-api-key", "ik_bad");
    let status = keys.send().status;
    assert!(matches!(status, 400 | 401), "two x-api-key headers got {status}");
}

/// A peer on the Unix socket who is not the daemon's own user and sends nothing is 401.
///
/// Only root can become somebody else; as another user this says so and tests nothing.
#[test]
fn a_foreign_peer_is_nobody() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can connect as another user");
        return;
    }
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    // The modes would keep a stranger out; what is tested is the door behind them.
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let socket = api.daemon().socket.clone();
    for directory in socket.ancestors().skip(1).take(3) {
        open(directory, 0o755);
    }
    open(&socket, 0o666);
    let program = r"
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.argv[2].encode())
print(connection.recv(65536).decode())
";
    let ask = |request: &str| {
        let mut command = api.vault.sandbox.command(Path::new("/usr/bin/python3"));
        command.args(["-c", program]).arg(&socket).arg(request).current_dir("/").uid(65534).gid(65534);
        cli::run(&mut command, b"").exits(0).stdout
    };
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
    let answer = ask(&format!("{}\r\n", head("GET /api/secrets/A")));
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer}");
    let answer = ask(&format!("{}\r\n", head("GET /api/health")));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // With a credential he is whom it says.
    let token = api.vault.admin_token();
    let answer = ask(&format!("{}Authorization: Bearer {token}\r\n\r\n", head("GET /api/secrets/A")));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(api.bare("GET", &secret("A")).send().status, 200, "our own user is an administrator");
    api.stop();
}
