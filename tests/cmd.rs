//! The command line as it is typed: its texts (the files under `tests/cmd`), what it sends, and its exit codes.
//!
//! The daemon here only says what it is told to say; the real one is in `tests/e2e`. After a change of a text that is
//! meant: `TRYCMD=overwrite cargo test --test cmd`, and read the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

/// What could come from the machine that runs the tests; an empty variable is one that is not set.
const CLEARED: [&str; 14] = [
    "CONFIGURATION_DIRECTORY",
    "HUSHD_ADDR",
    "HUSHD_CONFIG",
    "HUSHD_LOG",
    "HUSHD_NAMESPACE",
    "HUSHD_TOKEN",
    "HUSHD_TOKEN_FILE",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

#[test]
fn texts_are_as_written() {
    let cases = trycmd::TestCases::new();
    cases
        .case("tests/cmd/*.trycmd")
        .case("tests/cmd/help/*.trycmd")
        .env("HOME", "/nonexistent/home")
        .env("COLUMNS", "100");
    for name in CLEARED {
        cases.env(name, "");
    }
}

/// "help texts are snapshots": each verb's, with those of the verbs below it.
#[test]
fn every_verb_has_its_help_among_the_texts() {
    fn look(words: &[&str], file: &str) {
        let help = hushd(&[words, &["--help"]].concat(), b"");
        assert!(
            file.contains(&format!("$ hushd {} --help\n", words.join(" "))),
            "no help of {words:?} in tests/cmd/help"
        );
        for verb in verbs(stdout(&help)) {
            look(&[words, &[verb.as_str()]].concat(), file);
        }
    }
    fn verbs(help: &str) -> Vec<String> {
        let Some((_, rest)) = help.split_once("\nCommands:\n") else { return Vec::new() };
        let lines = rest.lines().take_while(|line| !line.is_empty());
        let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help").map(str::to_owned).collect()
    }
    let verbs = verbs(stdout(&hushd(&["--help"], b"")));
    assert!(verbs.len() > 40, "{verbs:?}");
    for verb in verbs {
        let file = std::fs::read_to_string(format!("tests/cmd/help/{verb}.trycmd"));
        look(&[&verb], &file.unwrap_or_else(|error| panic!("the help of {verb}: {error}")));
    }
}

/// A daemon that gives these answers on one connection and keeps what was asked.
struct FakeDaemon {
    directory: tempfile::TempDir,
    requests: JoinHandle<Vec<String>>,
}

impl FakeDaemon {
    fn answering(answers: &[(&str, &str)]) -> Self {
        let answers: Vec<String> = answers
            .iter()
            .map(|(head, body)| format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("hushd.sock")).unwrap();
        let requests = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut requests = Vec::new();
            for answer in answers {
                let Some(request) = read_request(&mut reader) else { break };
                requests.push(request);
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            requests
        });
        Self { directory, requests }
    }

    /// One that refuses with this status and code.
    fn refusing(status: u16, code: &str, message: &str) -> Self {
        let body =
            format!(r#"{{"error":"{code}","message":"{message}","statusCode":{status},"nextActions":"Do this."}}"#);
        Self::answering(&[(&format!("{status} No"), &body)])
    }

    fn run(self, args: &[&str], stdin: &[u8]) -> (Output, Vec<String>) {
        let address = format!("unix://{}/hushd.sock", self.directory.path().display());
        let output = hushd(&[&["--addr", &address], args].concat(), stdin);
        // Whoever did not connect would let the daemon wait for ever.
        drop(std::os::unix::net::UnixStream::connect(self.directory.path().join("hushd.sock")));
        (output, self.requests.join().unwrap())
    }
}

/// The request line and the body.
fn read_request(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some(number) = line.strip_prefix("content-length: ") {
            length = number.trim().parse().unwrap();
        }
        if first.is_empty() {
            first = line.trim_end().replace(" HTTP/1.1", "");
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some(format!("{first} {}", String::from_utf8(body).unwrap()).trim_end().to_owned())
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hushd"));
    command.env("HOME", "/nonexistent/home").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in CLEARED {
        command.env_remove(name);
    }
    command
}

fn hushd(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = command().args(args).spawn().unwrap();
    // A verb that does not read its standard input is free to close it.
    drop(child.stdin.take().unwrap().write_all(stdin));
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

const DONE: (&str, &str) = ("200 OK\r\netag: \"3\"", r#"{"success":true,"message":"done"}"#);
const CREATED: (&str, &str) =
    ("201 Created", r#"{"success":true,"message":"done","id":"00000000-0000-4000-8000-000000000000"}"#);
const EXISTS: (&str, &str) =
    ("409 No", r#"{"error":"SECRET_ALREADY_EXISTS","message":"Secret already exists: K","statusCode":409}"#);

#[test]
fn get_prints_the_value_and_a_newline_and_raw_prints_the_value() {
    let answer = [("200 OK", r#"{"key":"K","value":"line 1\nline 2"}"#)];
    let (output, requests) = FakeDaemon::answering(&answer).run(&["get", "K"], b"");
    assert_eq!((stdout(&output), stderr(&output), output.status.code()), ("line 1\nline 2\n", "", Some(0)));
    assert_eq!(requests, ["GET /api/secrets/K?namespace=default"]);
    let (output, requests) =
        FakeDaemon::answering(&answer).run(&["get", "K", "--raw", "--revision", "2", "--namespace", "a/b"], b"");
    assert_eq!(stdout(&output), "line 1\nline 2");
    assert_eq!(requests, ["GET /api/secrets/K?namespace=a/b&revision=2"]);
}

#[test]
fn get_as_json_has_the_revision() {
    let answer = [("200 OK\r\netag: \"7\"", r#"{"key":"K","value":"v"}"#)];
    let (output, _) = FakeDaemon::answering(&answer).run(&["get", "K", "--json"], b"");
    let expected = "{\n  \"namespace\": \"default\",\n  \"key\": \"K\",\n  \"value\": \"v\",\n  \"revision\": 7\n}\n";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn set_stores_every_byte_of_standard_input() {
    for (stdin, json) in [("v", "v"), ("a\nb\n", r"a\nb\n"), (" \"ü\" ", r#" \"ü\" "#)] {
        let (output, requests) = FakeDaemon::answering(&[CREATED]).run(&["set", "K"], stdin.as_bytes());
        assert_eq!((stdout(&output), stderr(&output)), ("", "hushd: created K in default\n"));
        assert_eq!(requests, [format!(r#"POST /api/secrets?namespace=default {{"key":"K","value":"{json}"}}"#)]);
    }
}

#[test]
fn set_says_when_a_newline_was_probably_not_meant_and_keeps_it() {
    let (output, requests) = FakeDaemon::answering(&[CREATED]).run(&["set", "K"], b"v\n");
    assert!(stderr(&output).starts_with("hushd: the value ends with a newline"), "{}", stderr(&output));
    assert!(requests[0].contains(r#""value":"v\n""#));
    let (output, _) = FakeDaemon::answering(&[CREATED]).run(&["set", "K", "--quiet"], b"v\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn set_updates_what_exists_and_leaves_alone_what_is_not_named() {
    let (output, requests) = FakeDaemon::answering(&[EXISTS, DONE]).run(&["set", "K"], b"v");
    assert_eq!(stderr(&output), "hushd: updated K in default (revision 3)\n");
    assert_eq!(requests[1], r#"PUT /api/secrets/K?namespace=default {"value":"v"}"#);
    let args = ["set", "K", "--expires", "never", "--reserved=false", "--json"];
    let (output, requests) = FakeDaemon::answering(&[EXISTS, DONE]).run(&args, b"v");
    assert_eq!(requests[0], r#"POST /api/secrets?namespace=default {"key":"K","value":"v","isReserved":false}"#);
    assert_eq!(
        requests[1],
        r#"PUT /api/secrets/K?namespace=default {"value":"v","isReserved":false,"expiresAt":null}"#
    );
    let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(document, serde_json::json!({ "namespace": "default", "key": "K", "action": "updated", "revision": 3 }));
}

#[test]
fn set_starts_anew_when_the_secret_is_purged_in_between() {
    let gone = ("404 No", r#"{"error":"NOT_FOUND","message":"Secret not found: K","statusCode":404}"#);
    let (output, requests) = FakeDaemon::answering(&[EXISTS, gone, CREATED]).run(&["set", "K"], b"v");
    assert_eq!((requests.len(), stderr(&output)), (3, "hushd: created K in default\n"));
}

#[test]
fn set_create_only_and_if_revision_do_one_thing_only() {
    let (output, requests) = FakeDaemon::answering(&[EXISTS]).run(&["set", "K", "--create-only"], b"v");
    assert_eq!((output.status.code(), requests.len()), (Some(73), 1));
    assert_eq!(
        stderr(&output),
        "hushd: error: secret already exists: K\nhushd: hint: leave out --create-only to give it a new value\n"
    );
    let (output, requests) = FakeDaemon::answering(&[DONE]).run(&["set", "K", "--if-revision", "2"], b"v");
    assert_eq!((output.status.code(), requests.len()), (Some(0), 1));
    assert!(requests[0].starts_with("PUT "));
}

#[test]
fn set_generates_and_does_not_show() {
    let args = ["set", "K", "--generate=40", "--charset", "hex"];
    let (output, requests) = FakeDaemon::answering(&[CREATED]).run(&args, b"not read");
    let body = requests[0].split_once(' ').unwrap().1.split_once(' ').unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let value = body["value"].as_str().unwrap();
    assert!(value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
    assert!(!stdout(&output).contains(value) && !stderr(&output).contains(value));
}

#[test]
fn set_reads_a_file_and_its_expiry_is_a_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("value");
    std::fs::copy("tests/cmd.rs", &path).unwrap();
    let args = ["set", "K", "--file", path.to_str().unwrap(), "--expires", "2030-01-01T00:00:00+01:00"];
    let (_, requests) = FakeDaemon::answering(&[CREATED]).run(&args, b"not read");
    assert!(requests[0].contains("//! The command line as it is typed"));
    assert!(requests[0].ends_with(r#""expiresAt":"2029-12-31T23:00:00.000Z"}"#));
}

#[test]
fn bytes_that_are_no_text_are_bad_data_and_nothing_is_sent() {
    for stdin in [&b"\xff\xfe"[..], b""] {
        let (output, requests) = FakeDaemon::answering(&[CREATED]).run(&["set", "K"], stdin);
        assert_eq!((output.status.code(), requests.len()), (Some(65), 0), "{}", stderr(&output));
        assert!(stderr(&output).contains("hushd: hint: "));
    }
}

#[test]
fn list_shows_what_can_be_read_by_key_and_all_shows_the_rest() {
    let secret = |key: &str, active: bool, expires: &str| {
        format!(
            r#"{{"id":"00000000-0000-4000-8000-000000000000","key":"{key}","namespace":"default","isActive":{active},"isReserved":false,"lastUsedAt":null,"expiresAt":{expires},"createdAt":"2020-01-01T00:00:00Z","updatedAt":"2020-01-01T00:00:00Z","revision":1}}"#
        )
    };
    let past = "\"2020-01-01T00:00:00Z\"";
    let secrets =
        [secret("B", true, "null"), secret("A", true, "null"), secret("C", false, "null"), secret("D", true, past)];
    let body = format!(r#"{{"secrets":[{}]}}"#, secrets.join(","));
    let keys = |args: &[&str]| {
        let (output, _) = FakeDaemon::answering(&[("200 OK", &body)]).run(args, b"");
        let keys: Vec<_> = stdout(&output).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        keys
    };
    assert_eq!(keys(&["list"]), ["KEY", "A", "B"]);
    assert_eq!(keys(&["list", "--all"]), ["KEY", "A", "B", "C", "D"]);
    let (output, _) = FakeDaemon::answering(&[("200 OK", &body)]).run(&["list", "--json"], b"");
    let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(document["secrets"].as_array().unwrap().len(), 2);
}

#[test]
fn delete_undelete_and_purge_ask_for_what_they_say() {
    for (args, request, said) in [
        (&["delete", "K"][..], "DELETE /api/secrets/K?namespace=default", "hushd: deleted K in default\n"),
        (
            &["delete", "K", "--purge", "--yes"],
            "DELETE /api/secrets/K?namespace=default&purge=true",
            "hushd: purged K in default\n",
        ),
        (
            &["undelete", "K"],
            r#"PUT /api/secrets/K?namespace=default {"isActive":true}"#,
            "hushd: undeleted K in default\n",
        ),
    ] {
        let (output, requests) = FakeDaemon::answering(&[DONE]).run(args, b"");
        assert_eq!((requests, stderr(&output), stdout(&output)), (vec![request.to_owned()], said, ""));
    }
}

#[test]
fn keys_and_tokens_are_printed_alone_on_standard_output() {
    const ID: &str = "5f0c2bb6-6d2c-4c08-9f11-1f4d6f3f0d53";
    let expiry = r#""2030-01-01T00:00:00Z""#;
    let body = |name: &str, time: &str| {
        format!(r#"{{"success":true,"message":"done","id":"{ID}","{name}":"new","{time}":{expiry}}}"#)
    };
    for (args, name, time, request) in [
        (
            &["api-key", "rotate", "--grace-hours", "1"][..],
            "apiKey",
            "oldKeyExpiresAt",
            r#"POST /api/secrets/api-key/rotate {"gracePeriodHours":1}"#,
        ),
        (
            &["anon-key", "rotate"],
            "anonKey",
            "oldKeyExpiresAt",
            r#"POST /api/secrets/anon-key/rotate {"gracePeriodHours":168}"#,
        ),
        (
            &["token", "create", "--admin", "--ttl", "90m"],
            "token",
            "expiresAt",
            r#"POST /api/tokens {"admin":true,"ttlSeconds":5400}"#,
        ),
    ] {
        let (output, requests) = FakeDaemon::answering(&[("200 OK", &body(name, time))]).run(args, b"");
        assert_eq!((requests, stdout(&output)), (vec![request.to_owned()], "new\n"));
        let json = [args, &["--json"]].concat();
        let (output, _) = FakeDaemon::answering(&[("200 OK", &body(name, time))]).run(&json, b"");
        let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        let mut expected = serde_json::json!({ name: "new", time: "2030-01-01T00:00:00.000Z" });
        if name == "token" {
            expected["id"] = ID.into();
        }
        assert_eq!(document, expected);
    }
}

#[test]
fn every_refusal_has_its_exit_code_its_message_and_a_hint() {
    for (status, code, exit) in [
        (400, "INVALID_INPUT", 65),
        (401, "AUTH_INVALID_CREDENTIALS", 77),
        (401, "AUTH_TOKEN_EXPIRED", 77),
        (403, "FORBIDDEN", 77),
        (404, "NOT_FOUND", 66),
        (409, "SECRET_ALREADY_EXISTS", 73),
        (412, "PRECONDITION_FAILED", 73),
        (413, "PAYLOAD_TOO_LARGE", 65),
        (429, "RATE_LIMITED", 75),
        (500, "INTERNAL_ERROR", 70),
        (507, "STORAGE_FULL", 75),
    ] {
        let (output, _) = FakeDaemon::refusing(status, code, "It is so.").run(&["get", "K"], b"");
        let mut lines = stderr(&output).lines();
        assert_eq!((output.status.code(), lines.next()), (Some(exit), Some("hushd: error: it is so")), "{code}");
        assert!(lines.next().unwrap().starts_with("hushd: hint: "), "{code}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn what_is_not_found_names_the_command_that_lists_the_same_namespace() {
    let daemon = FakeDaemon::refusing(404, "NOT_FOUND", "Secret not found: STRIPE_KEY");
    let (output, _) = daemon.run(&["get", "STRIPE_KEY", "--namespace", "shop/dev"], b"");
    assert_eq!(
        stderr(&output),
        "hushd: error: secret not found: STRIPE_KEY\nhushd: hint: see what there is: hushd list --all --namespace shop/dev\n"
    );
}

#[test]
fn status_of_a_sealed_vault_is_told_by_its_text_and_its_exit_code() {
    let health = r#"{"status":"sealed","service":"hushd","version":"9.9.9","timestamp":"2030-01-01T00:00:00Z"}"#;
    let sealed = r#"{"error":"VAULT_SEALED","message":"The vault is sealed","statusCode":503}"#;
    let answers = [("200 OK", health), ("503 No", sealed)];
    let (output, requests) = FakeDaemon::answering(&answers).run(&["status", "--json"], b"");
    assert_eq!(requests, ["GET /api/health", "GET /api/status"]);
    let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((document["status"].as_str(), document["version"].as_str()), (Some("sealed"), Some("9.9.9")));
    assert_eq!(output.status.code(), Some(75));
    assert!(stderr(&output).starts_with("hushd: error: the vault is sealed\nhushd: hint: "));
}

#[test]
fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
    let mut child = command().args(["completions", "bash"]).spawn().unwrap();
    let mut reader = BufReader::with_capacity(16, child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command().args(["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(stderr(&output), "hushd: error: cannot write to standard output: no space left on device\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_value_that_was_typed_as_an_argument_is_never_repeated() {
    for args in [
        &["set", "K", "sk_live_marker"][..],
        &["set", "K=sk_live_marker"],
        &["set", "k-1=sk_live_marker"],
        &["set", "K", "--sk_live_marker"],
        &["set", "K", "-sk_live_marker"],
    ] {
        let output = hushd(args, b"v");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).contains("sk_live_marker"), "{}", stderr(&output));
        assert!(stderr(&output).contains("printf %s VALUE | hushd set"), "{}", stderr(&output));
    }
}

#[test]
fn a_token_file_that_others_can_read_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::copy("tests/cmd/good.toml", &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = hushd(&["get", "K", "--token-file", path.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(77));
    assert!(stderr(&output).contains(&format!("chmod 600 {}", path.display())), "{}", stderr(&output));
}

#[test]
fn a_socket_that_may_not_be_opened_is_told_apart_from_a_daemon_that_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let _listener = UnixListener::bind(closed.join("hushd.sock")).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();

    let mut command = command();
    if rustix::process::geteuid().is_root() {
        // Nothing is closed to root, so another user asks, with a program within that user's reach.
        let program = directory.path().join("hushd");
        // By another process: a program that is open for writing cannot be run, and what this one has open is inherited by
        // whatever other tests start at the same moment.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_hushd")).arg(&program).status().unwrap().success());
        command = Command::new(program);
        command.env_clear().env("HOME", "/nonexistent/home").uid(65534).gid(65534);
    }
    let address = format!("unix://{}/hushd.sock", closed.display());
    let output = command.current_dir("/").args(["get", "K", "--addr", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", stderr(&output));
    let expected = format!("hushd: error: not permitted to open the daemon's socket {}/hushd.sock\n", closed.display());
    assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
}
