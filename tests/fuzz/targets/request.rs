//! Requests through the real application, over a real socket, to a vault in memory: every one gets an answer, none of them a
//! failure of the daemon's. The input: which call, its query, its body.
#![no_main]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushd::api::PeerVisibility;
use hushd::auth::{ApiKey, KeyKind, Policies, Policy};
use hushd::clock::{Clock, ManualClock, Timestamp};
use hushd::config::MetricsConfig;
use hushd::crypto::{Keyring, Passphrase};
use hushd::http::{self, Checker, Listeners, Options, Setting, State};
use hushd::store::{MemoryStore, Store};
use hushd::vault::{Gate, Limits, NewVault, Sealing, UnsealError, Vault, VaultError};
use tempfile::TempDir;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const CALLS: [(&str, &str); 19] = [
    ("GET", "/api/secrets"),
    ("POST", "/api/secrets"),
    ("GET", "/api/secrets/A"),
    ("PUT", "/api/secrets/A"),
    ("DELETE", "/api/secrets/B"),
    ("GET", "/api/secrets/A/revisions"),
    ("POST", "/api/secrets/A/rollback"),
    ("POST", "/api/secrets/A/verify"),
    ("POST", "/api/secrets/api-key/rotate"),
    ("POST", "/api/secrets/anon-key/rotate"),
    ("GET", "/api/environment"),
    ("GET", "/api/namespaces"),
    ("GET", "/api/tokens"),
    ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/1"),
    ("GET", "/api/report"),
    ("GET", "/api/audit"),
    ("POST", "/api/unseal"),
    ("GET", "/api/status"),
];

#[derive(Debug)]
struct NeverSealed;

impl Sealing for NeverSealed {
    fn seal(&self, _: String) -> BoxFuture<'static, bool> {
        Box::pin(async { true })
    }

    fn unseal(&self, _: Option<u32>, _: Option<Passphrase>) -> BoxFuture<'static, Result<(), UnsealError>> {
        Box::pin(async { Ok(()) })
    }
}

static PLACE: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::Builder::new().prefix("hushd-fuzz-").tempdir_in("/dev/shm").expect("there is room"));

static SOCKET: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = PLACE.path().join("socket");
    let listener = UnixListener::bind(&path).expect("it is bound");
    thread::spawn(move || serve(listener));
    path
});

fn serve(listener: UnixListener) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
    let keyring = Arc::new(Keyring::generate(START, None).expect("it is made"));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(keyring.head_seal()));
    let key = |kind| ApiKey::generate(kind).expect("it is made");
    let first = NewVault { api_key: key(KeyKind::Api), anon_key: key(KeyKind::Anon) };
    Vault::create_records(&*store, &keyring, &*clock, &first).expect("it is created");
    let owner = rustix::process::geteuid().as_raw();
    let vault = Vault::open(store, keyring, Arc::clone(&clock), Limits::default(), owner).expect("it opens");
    let gate = Arc::new(Gate::sealed(clock));
    gate.put(vault);
    let setting = Setting {
        limits: Limits::default(),
        allowed_hosts: Vec::new(),
        listeners: Vec::new(),
        data_directory: String::new(),
        metrics: MetricsConfig { public: false, key_labels: false },
        expiry_warnings: Vec::new(),
        policies: Arc::new(Policies::new(Policy::default())),
        renders: Arc::default(),
        hardening: Vec::new(),
        peers: PeerVisibility::default(),
    };
    let checker = Checker::new(|| Err(VaultError::Sealed));
    let state = State::new(gate, Arc::new(NeverSealed), setting, Arc::default(), checker);
    let listeners = Listeners { tcp: Vec::new(), unix: vec![listener] };
    let options =
        Options { workers: 1, request_timeout: Duration::from_secs(5), shutdown_timeout: Duration::from_secs(1) };
    actix_web::rt::System::new()
        .block_on(async { http::server(state, listeners, options).expect("it is made").await })
        .expect("it serves");
}

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (call, query, body) = input;
    let (method, path) = CALLS[usize::from(call) % CALLS.len()];
    let query: String = query
        .iter()
        .map(|byte| match byte {
            b'!'..=b'~' if *byte != b'#' => char::from(*byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let mut request =
        format!("{method} {path}?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    request += &format!("Content-Length: {}\r\n\r\n", body.len());
    thread_local! { static CONNECTION: std::cell::RefCell<Option<BufReader<UnixStream>>> = const { std::cell::RefCell::new(None) } }
    CONNECTION.with_borrow_mut(|connection| {
        let open = || BufReader::new(UnixStream::connect(&*SOCKET).expect("it is connected"));
        let kept = connection.take();
        let was_kept = kept.is_some();
        let mut stream = kept.unwrap_or_else(open);
        let mut read = ask(&mut stream, &request, body);
        if was_kept && read.is_err() {
            // The server may have hung up after it refused the request before this one: nothing of this one was read.
            stream = open();
            read = ask(&mut stream, &request, body);
        }
        let line = read.unwrap_or_else(|error| panic!("{method} {path}?{query}: {error}"));
        let status: u16 = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!((200..500).contains(&status) || status == 503, "{method} {path}?{query}: {line:?}");
        let (mut length, mut closes) = (0, false);
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).expect("there is a header");
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(number) = header.strip_prefix("content-length: ") {
                length = number.parse().expect("it is a number");
            }
            assert!(!header.starts_with("transfer-encoding"), "{method} {path} is answered in chunks");
            closes |= header == "connection: close";
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).expect("there is a body");
        if !closes {
            *connection = Some(stream);
        }
    });
});

/// Sends a request, and gives the first line of the answer.
fn ask(stream: &mut BufReader<UnixStream>, request: &str, body: &[u8]) -> io::Result<String> {
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(20)))?;
    // What was said before the server hung up is there all the same.
    let sent = stream.get_mut().write_all(request.as_bytes()).and_then(|()| stream.get_mut().write_all(body));
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(line),
    }
}
