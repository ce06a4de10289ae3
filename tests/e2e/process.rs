//! The life of the daemon's process: what it refuses to start on, what it shares with nobody, how it stops.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::api::secret;
use crate::harness::http::{Address, Connection};
use crate::harness::{Answer, Api, Daemon, Failure, Sandbox, Transport, Vault, cli, files};

impl Failure {
    /// Fails unless the daemon ended with one of these codes, an error with these words and a hint with those.
    #[track_caller]
    fn says(&self, codes: &[i32], error: &str, hint: &str) {
        let line = |prefix: &str, words: &str| {
            let words = words.to_lowercase();
            self.stderr.lines().any(|line| line.starts_with(prefix) && line.to_lowercase().contains(&words))
        };
        assert!(codes.contains(&self.code), "not one of {codes:?}: {self:#?}");
        assert!(line("hushd: error: ", error), "no error with {error:?}: {self:#?}");
        assert!(hint.is_empty() || line("hushd: hint: ", hint), "no hint with {hint:?}: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

/// Serves on a socket and a port of its own, which must not work.
#[track_caller]
fn refused(sandbox: &Sandbox) -> Failure {
    refused_with(sandbox, Daemon::command(sandbox))
}

#[track_caller]
fn refused_with(sandbox: &Sandbox, command: Command) -> Failure {
    match Daemon::launch(sandbox, command) {
        Ok(_) => panic!("it should not have started"),
        Err(failure) => failure,
    }
}

/// The command that serves a sandbox on nothing but these listeners.
fn listening(sandbox: &Sandbox, listeners: &[&str]) -> Command {
    let mut command = sandbox.hushd(&["serve"]);
    for listener in listeners {
        command.args(["--listen", listener]);
    }
    command
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// "Stop the daemon, start it, and everything is there."
#[test]
fn everything_is_there_after_a_restart() {
    let everything = |api: &Api| {
        let paths = ["/api/secrets", "/api/secrets?namespace=shop/dev", "/api/namespaces", "/api/secrets/A/revisions"];
        paths.map(|path| api.get(path).is(200).json())
    };
    let api = Api::start(Transport::Tcp);
    api.create("A", "1");
    api.put(&secret("A"), json!({"value": "2", "isReserved": true, "expiresAt": "2036-07-15T12:00:00Z"})).is(200);
    api.value("A");
    api.create("B", &"large ".repeat(100_000));
    api.create("C", "1");
    api.delete(&secret("C")).is(200);
    api.post("/api/secrets?namespace=shop/dev", json!({"key": "A", "value": "elsewhere"})).is(201);
    let rotated = api.post("/api/secrets/api-key/rotate", json!({})).is(200).json();
    let anon = api.anon_key();
    let before = everything(&api);

    let api = api.restart();
    assert_eq!(everything(&api), before);
    assert_eq!(api.value("A"), "2");
    assert_eq!(api.get("/api/secrets/A?revision=1").is(200).json()["value"], "1");
    assert_eq!(api.value("B"), "large ".repeat(100_000));
    assert_eq!(api.get("/api/secrets/A?namespace=shop/dev").is(200).json()["value"], "elsewhere");
    for key in [rotated["apiKey"].as_str().unwrap(), &api.vault.api_key] {
        api.bare("GET", "/api/secrets").bearer(key).send().is(200);
    }
    api.bare("GET", "/api/secrets").bearer(&anon).send().is(403);
    let old = api.bare("POST", "/api/secrets/api-key/rotate").header("x-api-key", &api.vault.api_key).send();
    old.refuses(403, "FORBIDDEN");
    api.stop();
}

/// "graceful shutdown (requests in flight finish, the store is flushed)"
#[test]
fn requests_in_flight_finish_when_it_is_asked_to_stop() {
    for (transport, signal) in
        [(Transport::Unix, Signal::TERM), (Transport::Tcp, Signal::TERM), (Transport::Unix, Signal::INT)]
    {
        let vault = Vault::init();
        let mut daemon = Daemon::start(&vault);
        let address = if transport == Transport::Unix { daemon.unix() } else { daemon.tcp() };
        let mut in_flight = Connection::open(&address).unwrap();
        let mut idle = Connection::open(&address).unwrap();
        let body = json!({"key": "A", "value": "in flight"}).to_string();
        let (first, rest) = body.split_at(10);
        let head = format!(
            "POST /api/secrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            vault.admin_token(),
            body.len()
        );
        in_flight.write(head.as_bytes()).unwrap();
        assert!(in_flight.is_asked_to_continue().unwrap());
        in_flight.write(first.as_bytes()).unwrap();
        idle.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_eq!(idle.read("GET").unwrap().status, 200);
        daemon.signal(signal);
        while Connection::open(&address).is_ok() {}
        in_flight.write(rest.as_bytes()).unwrap();
        let answer = Answer::new("POST".to_owned(), in_flight.read("POST").unwrap());
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(in_flight.is_closed() && idle.is_closed());
        assert!(daemon.wait().success());
        assert!(!daemon.socket.exists(), "the socket is gone");
        let api = Api::serve(vault, transport);
        assert_eq!(api.value("A"), "in flight");
        api.stop();
    }
}

/// "a second daemon on the same vault is refused with a clear message."
#[test]
fn a_second_daemon_on_the_same_vault_is_refused() {
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    let sandbox = &api.vault.sandbox;
    let other_socket = unix(&sandbox.path("runtime/other.sock"));
    let failure = refused_with(sandbox, listening(sandbox, &[&other_socket, "127.0.0.1:0"]));
    failure.says(&[1, 73, 75], "another", "");
    refused(sandbox).says(&[1, 73, 75], "", "");
    assert_eq!(api.value("A"), "1");
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    let vault = api.stop();
    let api = Api::serve(vault, Transport::Unix);
    assert_eq!(api.value("A"), "2");
    api.stop();
}

/// "A stale socket file of a dead daemon is replaced"
#[test]
fn a_stale_socket_is_replaced() {
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    let socket = api.daemon().socket.clone();
    let vault = api.kill();
    assert!(socket.exists(), "kill -9 leaves the file");
    let api = Api::serve(vault, Transport::Unix);
    assert_eq!((&api.daemon().socket, api.value("A")), (&socket, "1".to_owned()));
    api.stop();
}

/// "a live one is refused"; and what is no socket is not removed.
#[test]
fn a_live_socket_is_refused_and_another_file_is_left_alone() {
    let vault = Vault::init();
    let taken = vault.sandbox.path("runtime/taken.sock");
    let owner = UnixListener::bind(&taken).unwrap();
    let inode = fs::metadata(&taken).unwrap().ino();
    let failure = refused_with(&vault.sandbox, listening(&vault.sandbox, &[&unix(&taken)]));
    failure.says(&[1, 69, 73, 75, 78], "taken.sock", "");
    assert_eq!(fs::metadata(&taken).unwrap().ino(), inode, "the socket was replaced");
    drop(owner);

    let file = vault.sandbox.path("runtime/file");
    fs::write(&file, "precious").unwrap();
    let failure = refused_with(&vault.sandbox, listening(&vault.sandbox, &[&unix(&file)]));
    failure.says(&[1, 73, 78], "not a socket", "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    // Nothing of this has harmed the vault.
    Api::serve(vault, Transport::Unix).stop();
}

/// "a port in use"
#[test]
fn a_port_in_use_is_refused() {
    let vault = Vault::init();
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = owner.local_addr().unwrap().to_string();
    let failure = refused_with(&vault.sandbox, listening(&vault.sandbox, &[&unix(&vault.sandbox.socket()), &address]));
    failure.says(&[1, 69, 73, 75, 78], &address, "--listen");
    assert!(!vault.sandbox.socket().exists(), "a daemon that does not start leaves no socket");
    drop(owner);
    let daemon = Daemon::launch(&vault.sandbox, listening(&vault.sandbox, &[&address])).unwrap();
    assert_eq!(format!("127.0.0.1:{}", daemon.port), address);
    daemon.stop_cleanly();
}

/// "A listener that is not loopback is refused"
#[test]
fn a_listener_that_others_could_reach_is_refused() {
    let vault = Vault::init();
    for listener in ["0.0.0.0:0", "[::]:0", "192.0.2.1:4874"] {
        let failure = refused_with(&vault.sandbox, listening(&vault.sandbox, &[listener]));
        failure.says(&[78], "loopback", "127.0.0.1");
    }
    for listener in ["", "localhost", "4874", "tcp:1", "unix:", "127.0.0.1:99999", "127.0.0.1"] {
        let failure = refused_with(&vault.sandbox, listening(&vault.sandbox, &[listener]));
        failure.says(&[2, 78], "", "");
    }
    let long = vault.sandbox.path(&format!("runtime/{}", "s".repeat(100)));
    refused_with(&vault.sandbox, listening(&vault.sandbox, &[&unix(&long)])).says(&[2, 78], "bytes long", "");
}

/// "a missing runtime directory": the socket then is in one of ours that nobody else can write, and clients find it.
#[test]
fn a_missing_or_open_runtime_directory_is_passed_over() {
    let vault = Vault::init();
    let open = vault.sandbox.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let missing = vault.sandbox.path("missing");
    for runtime in [None, Some(&missing), Some(&open)] {
        let with_runtime = |mut command: Command| {
            match runtime {
                Some(runtime) => command.env("XDG_RUNTIME_DIR", runtime),
                None => command.env_remove("XDG_RUNTIME_DIR"),
            };
            command
        };
        fs::create_dir_all(vault.sandbox.config()).unwrap();
        let serve = with_runtime(vault.sandbox.hushd(&["serve"]));
        // The configured port is everybody's on this machine, so that only the socket is listened on.
        let found = with_runtime(vault.sandbox.hushd(&["config", "show", "--json"]));
        let found = cli::run(&mut { found }, b"").exits(0);
        let socket = socket_in(&found.stdout);
        assert!(!socket.starts_with(&open) && !socket.starts_with(&missing), "{}", socket.display());
        let mut serve = serve;
        serve.args(["--listen", &unix(&socket)]);
        let daemon = Daemon::launch(&vault.sandbox, serve).unwrap();
        let directory = fs::metadata(daemon.socket.parent().unwrap()).unwrap();
        assert_eq!((directory.mode() & 0o7777, directory.uid()), (0o700, rustix::process::geteuid().as_raw()));
        let status = cli::run(&mut with_runtime(vault.sandbox.hushd(&["status"])), b"");
        assert_eq!(status.code, 0, "the client does not find it: {status:?}");
        daemon.stop_cleanly();
    }
}

/// The path of the first Unix socket that a text names.
fn socket_in(text: &str) -> PathBuf {
    let start = text.find("unix:").unwrap_or_else(|| panic!("no socket in {text}")) + "unix:".len();
    let path: String = text[start..].chars().take_while(|letter| !matches!(letter, '"' | '\n' | ' ' | ',')).collect();
    PathBuf::from(path.replacen("///", "/", 1))
}

/// "a vault of a newer format": refused with a clear message, and untouched.
#[test]
fn a_vault_of_a_newer_format_is_refused() {
    let vault = Vault::init();
    let marker = vault.sandbox.data().join("hushd-vault");
    let text = fs::read_to_string(&marker).unwrap();
    assert!(text.contains("hushd vault format 1"), "{text}");
    fs::write(&marker, text.replacen('1', "99", 1)).unwrap();
    let before = files::contents(&vault.sandbox.data());
    refused(&vault.sandbox).says(&[65, 78], "99", "");
    assert_eq!(files::contents(&vault.sandbox.data()), before);
    // What is no format at all is refused too.
    for nonsense in ["", "hushd vault format", "hushd vault format x", "\0\u{1}"] {
        fs::write(&marker, nonsense).unwrap();
        refused(&vault.sandbox).says(&[65, 70, 78], "", "");
    }
    fs::write(&marker, text).unwrap();
    Api::serve(vault, Transport::Unix).stop();
}

/// "an unreadable, foreign or corrupt keyring"
#[test]
fn a_foreign_or_corrupt_keyring_is_refused() {
    let vault = Vault::init();
    let keyring = vault.sandbox.data().join("keyring.age");
    let good = fs::read(&keyring).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut other_header = good.clone();
    other_header[30] ^= 1;
    let foreign = fs::read(Vault::init().sandbox.data().join("keyring.age")).unwrap();
    for (what, bytes) in [
        ("flipped", &flipped[..]),
        ("flipped in the header", &other_header),
        ("cut", &good[..good.len() - 1]),
        ("cut in half", &good[..good.len() / 2]),
        ("empty", b""),
        ("no age file", b"{\"epoch\": 1}"),
        ("foreign", &foreign),
    ] {
        fs::write(&keyring, bytes).unwrap();
        let failure = refused(&vault.sandbox);
        failure.says(&[65, 70, 77, 78], "keyring", "");
        assert_eq!(fs::read(&keyring).unwrap(), bytes, "{what}: it was changed");
    }
    fs::write(&keyring, good).unwrap();
    Api::serve(vault, Transport::Unix).stop();
}

/// "an identity file that others can read is refused with the command that mends it."
#[test]
fn an_identity_that_others_can_read_is_refused() {
    let vault = Vault::init();
    let identity = vault.sandbox.identity();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o666, 0o777] {
        fs::set_permissions(&identity, fs::Permissions::from_mode(mode)).unwrap();
        let failure = refused(&vault.sandbox);
        let mend = format!("chmod 600 {}", identity.display());
        assert!(failure.stderr.contains(&mend), "{mode:o}: {failure:#?}");
        failure.says(&[77, 78], "identity", "");
    }
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o400)).unwrap();
    Daemon::start(&vault).stop_cleanly();
    // And one that is missing, empty or somebody else's.
    let good = fs::read(&identity).unwrap();
    let put = |bytes: &[u8]| {
        fs::remove_file(&identity).unwrap();
        fs::write(&identity, bytes).unwrap();
        fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    };
    for bytes in
        [b"".to_vec(), b"AGE-SECRET-KEY-1NONSENSE\n".to_vec(), fs::read(Vault::init().sandbox.identity()).unwrap()]
    {
        put(&bytes);
        refused(&vault.sandbox).says(&[65, 70, 77, 78], "", "");
    }
    fs::remove_file(&identity).unwrap();
    refused(&vault.sandbox).says(&[66, 77, 78], "identity", "");
    fs::write(&identity, "").unwrap();
    put(&good);
    Daemon::start(&vault).stop_cleanly();
}

/// "a wrong passphrase"
#[test]
fn a_wrong_passphrase_is_refused() {
    let sandbox = Sandbox::new();
    let passphrase = sandbox.key_file("passphrase", "correct horse battery staple\n");
    let wrong = sandbox.key_file("wrong", "incorrect horse\n");
    let mut init = sandbox.hushd(&["init", "--passphrase-file"]);
    cli::run(init.arg(&passphrase), b"").exits(0);
    let identity = fs::read(sandbox.identity()).unwrap();
    assert!(!files::holds(&identity, b"AGE-SECRET-KEY"), "the master key is encrypted");
    let serve = |file: Option<&Path>| {
        let text = file.map_or_else(String::new, |file| format!("[vault]\npassphrase-file = \"{}\"\n", file.display()));
        fs::write(sandbox.config().join("config.toml"), text).unwrap();
        Daemon::command(&sandbox)
    };
    let failure = refused_with(&sandbox, serve(Some(&wrong)));
    failure.says(&[65, 77, 78], "wrong passphrase", "");
    assert!(!failure.stderr.contains("incorrect horse"));
    // "a passphrase vault without a terminal starts sealed"
    let sealed = Daemon::launch(&sandbox, serve(None)).unwrap();
    assert!(sealed.log().contains("sealed"), "{}", sealed.log());
    sealed.stop_cleanly();
    Daemon::launch(&sandbox, serve(Some(&passphrase))).unwrap().stop_cleanly();
}

/// "unknown configuration keys"
#[test]
fn an_unknown_configuration_key_is_refused() {
    let vault = Vault::init();
    let file = vault.sandbox.config().join("config.toml");
    let original = fs::read(&file).ok();
    for (text, word) in [
        ("no-such-key = 1\n", "no-such-key"),
        ("[vault]\nno-such-key = 1\n", "no-such-key"),
        ("[no-such-table]\n", "no-such-table"),
        ("[http]\nworkers = \"many\"\n", "workers"),
        ("[vault\n", ""),
    ] {
        fs::write(&file, text).unwrap();
        refused(&vault.sandbox).says(&[78], word, "");
    }
    match original {
        Some(original) => fs::write(&file, original).unwrap(),
        None => fs::remove_file(&file).unwrap(),
    }
    Daemon::start(&vault).stop_cleanly();
}

/// "`serve --init` under a service manager puts none into a log"
#[test]
fn serve_init_creates_the_vault_once_and_logs_no_key() {
    let sandbox = Sandbox::new();
    let mut command = Daemon::command(&sandbox);
    command.arg("--init");
    let daemon = Daemon::launch(&sandbox, command).unwrap();
    let log = daemon.log();
    assert!(!log.contains("ik_") && !log.contains("anon_") && !log.contains("AGE-SECRET-KEY"), "{log}");
    let rotated = sandbox.run(&["api-key", "rotate"]).exits(0);
    assert!(rotated.stdout.contains("ik_"), "`hushd api-key rotate` gets one: {rotated:?}");
    sandbox.run_with(&["set", "A"], "1").exits(0);
    daemon.stop_cleanly();
    let identity = fs::read(sandbox.identity()).unwrap();
    let mut command = Daemon::command(&sandbox);
    command.arg("--init");
    let daemon = Daemon::launch(&sandbox, command).unwrap();
    assert_eq!(fs::read(sandbox.identity()).unwrap(), identity, "the vault that is there is served");
    assert_eq!(sandbox.run(&["get", "A"]).exits(0).stdout, "1\n");
    daemon.stop_cleanly();
}

#[test]
fn serving_without_a_vault_says_how_to_create_one() {
    let sandbox = Sandbox::new();
    refused(&sandbox).says(&[66, 78], "no vault", "hushd init");
    assert!(!sandbox.data().exists() || files::contents(&sandbox.data()).is_empty(), "nothing was created");
}

/// A peer that goes away in the middle harms nobody.
#[test]
fn connections_that_break_are_forgotten() {
    let api = Api::start(Transport::Unix);
    for address in [api.daemon().unix(), api.daemon().tcp()] {
        for bytes in [
            &b""[..],
            b"G",
            b"GET /api/secrets HTTP/1.1\r\n",
            b"POST /api/secrets HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
        ] {
            for _ in 0..50 {
                broken(&address, bytes);
            }
        }
    }
    api.create("A", "1");
    assert_eq!(api.value("A"), "1");
    api.stop();
}

fn broken(address: &Address, bytes: &[u8]) {
    Connection::open(address).unwrap().write(bytes).ok();
}
