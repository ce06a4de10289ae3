//! What lies on disk: nothing in the clear, nothing open to others, and nothing that can be tampered with unnoticed.

mod damage;
pub mod records;

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::harness::http::{Connection, Request};
use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, cli, files};

/// Stands in every name, value, namespace and token, in the one or the other case.
const MARKERS: [&str; 2] = ["q7marker", "Q7MARKER"];

/// "after 1,000 secrets whose names, values, namespaces and tokens carry a marker, no byte of any file under the
/// configuration, data and runtime directories holds it"
#[test]
fn no_file_holds_a_name_a_value_a_namespace_or_a_token() {
    let api = Api::start(Transport::Unix);
    let mut secrets = vec![api.vault.api_key.clone(), api.vault.jwt_secret.clone()];
    thread::scope(|scope| {
        for worker in 0..8 {
            let api = &api;
            scope.spawn(move || write_marked(api, (worker..1_000).step_by(8)));
        }
    });
    for path in ["/api/secrets/api-key/rotate", "/api/secrets/anon-key/rotate"] {
        let body = api.post(path, json!({})).is(200).json();
        let key = body.get("apiKey").or_else(|| body.get("anonKey")).and_then(Value::as_str).unwrap().to_owned();
        api.bare("GET", "/api/secrets").bearer(&key).send();
        secrets.push(key);
    }
    let body = json!({"admin": true, "ttlSeconds": 600, "subject": "q7marker"});
    let token = api.post("/api/tokens", body).is(201).json()["token"].as_str().unwrap().to_owned();
    api.call("GET", "/api/secrets").bearer(&token).send().is(200);
    api.call("GET", "/api/secrets").bearer(&format!("q7marker.{token}")).send().is(401);
    secrets.push(token);
    let daemons_log = api.daemon().log();
    assert!(!MARKERS.iter().any(|marker| daemons_log.contains(marker)), "the log holds one: {daemons_log}");

    nothing_in_the_clear(&api.vault, &secrets);
    let vault = api.stop();
    nothing_in_the_clear(&vault, &secrets);
}

/// Creates secrets; updates, deletes, brings back, purges and reads some of them.
fn write_marked(api: &Api, numbers: impl Iterator<Item = usize>) {
    let mut connection = api.connect();
    for number in numbers {
        let namespace = format!("q7marker{}/x", number % 10);
        let key = format!("Q7MARKER_{number}");
        let one = format!("/api/secrets/{key}?namespace={namespace}");
        let value = |n: usize| "q7marker ".repeat(1 + n % 3 * 10 + number / 990 * 10_000);
        let create = json!({"key": key, "value": value(0)});
        let mut send = |request: Request, status: u16| {
            let answer = connection.send(&request).unwrap();
            assert_eq!(answer.status, status, "{} {}", request.method, request.target);
        };
        let create_at = format!("/api/secrets?namespace={namespace}");
        send(api.call("POST", &create_at).json(create).request(), 201);
        match number % 5 {
            0 => send(api.call("PUT", &one).json(json!({"value": value(1)})).request(), 200),
            1 => send(api.call("GET", &one).request(), 200),
            2 => send(api.call("DELETE", &one).request(), 200),
            3 => send(api.call("DELETE", &format!("{one}&purge=true")).request(), 200),
            _ => send(api.call("PUT", &one).json(json!({"isReserved": true})).request(), 200),
        }
    }
}

/// Holds every file, the identity apart, against the markers and secrets: as they are and as they may be written.
#[track_caller]
fn nothing_in_the_clear(vault: &Vault, secrets: &[String]) {
    let secrets = secrets.iter().flat_map(|secret| {
        let digits = secret.rsplit_once('_').map_or(secret.as_str(), |(_, digits)| digits);
        [digits.as_bytes().to_vec(), unhex(digits).unwrap_or_else(|| secret.as_bytes().to_vec())]
    });
    let markers: Vec<Vec<u8>> = MARKERS.iter().map(|marker| marker.as_bytes().to_vec()).chain(secrets).collect();
    let mut seen = 0;
    for directory in ["config", "data", "runtime", "state", "home"] {
        for (path, content) in files::contents(&vault.sandbox.path(directory)) {
            seen += content.len();
            for marker in markers.iter().filter(|_| path != vault.sandbox.identity()) {
                let shown = String::from_utf8_lossy(marker);
                assert!(!files::holds(&content, marker), "{} holds {shown:?}", path.display());
            }
        }
    }
    assert!(seen > 500_000, "only {seen} bytes were looked at");
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect()
}

/// "everything born with its mode (0700/0600), whatever the umask was"
#[test]
fn everything_is_for_its_owner_alone_whatever_the_umask_was() {
    for umask in ["000", "022", "077", "277"] {
        let sandbox = Sandbox::new();
        let with_umask = |arguments: &[&str]| {
            let mut command = sandbox.command(Path::new("/bin/sh"));
            command.arg("-c").arg(format!("umask {umask} && exec \"$@\"")).arg("sh").arg(env!("CARGO_BIN_EXE_hushd"));
            command.args(arguments);
            command
        };
        let output = cli::run(&mut with_umask(&["init"]), b"");
        assert_eq!(output.code, 0, "umask {umask}: {output:?}");
        for_its_owner_alone(&sandbox, false);
        let listen = format!("unix:{}", sandbox.socket().display());
        let serve = with_umask(&["serve", "--listen", &listen]);
        let daemon = Daemon::launch(&sandbox, serve).unwrap();
        let mut connection = Connection::open(&daemon.unix()).unwrap();
        for number in 0..20 {
            let create = json!({"key": format!("KEY_{number}"), "value": "x".repeat(100_000)}).to_string();
            let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            let request =
                Request { method: "POST".into(), target: "/api/secrets".into(), headers, body: Some(create.into()) };
            assert_eq!(connection.send(&request).unwrap().status, 201);
        }
        for_its_owner_alone(&sandbox, true);
        drop(connection);
        daemon.stop_cleanly();
        for_its_owner_alone(&sandbox, false);
    }
}

#[track_caller]
fn for_its_owner_alone(sandbox: &Sandbox, serving: bool) {
    let mut sockets = 0;
    for directory in [sandbox.config(), sandbox.data(), sandbox.path("runtime"), sandbox.path("state")] {
        for (path, metadata) in files::tree(&directory) {
            let kind = metadata.file_type();
            let expected = if kind.is_dir() { 0o700 } else { 0o600 };
            let mode = metadata.mode() & 0o7777;
            assert_eq!(mode, expected, "{} is {mode:o}", path.display());
            assert!(kind.is_dir() || kind.is_file() || kind.is_socket(), "{}", path.display());
            sockets += usize::from(kind.is_socket());
        }
    }
    assert_eq!(sockets, usize::from(serving), "the socket is there while it is served, and only then");
}

/// "`keyring.age` opens with Debian's `age -d`."
#[test]
fn the_keyring_opens_with_the_stock_age_program() {
    let vault = Vault::init();
    let keyring = vault.sandbox.data().join("keyring.age");
    let mut age = vault.sandbox.command(Path::new("age"));
    age.arg("--decrypt").arg("--identity").arg(vault.sandbox.identity()).arg(&keyring);
    if age.output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "this is tested in CI: apt-get install age");
        eprintln!("skipped: the age program is not installed");
        return;
    }
    let output = cli::run(&mut age, b"").exits(0);
    assert!(output.json().is_object());
    // Another identity opens nothing.
    let other = Vault::init();
    let mut age = vault.sandbox.command(Path::new("age"));
    age.arg("--decrypt").arg("--identity").arg(other.sandbox.identity()).arg(&keyring);
    assert_ne!(cli::run(&mut age, b"").code, 0);
}
