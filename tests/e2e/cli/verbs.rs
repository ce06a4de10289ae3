//! The verbs that are clients of the daemon: what they print, how they fail, and with which exit code.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::cli::{self, Output};
use crate::harness::{Api, Sandbox, Transport, jwt};

fn start() -> Api {
    Api::start(Transport::Unix)
}

#[track_caller]
fn run(api: &Api, arguments: &[&str]) -> Output {
    api.vault.sandbox.run(arguments)
}

#[track_caller]
fn set(api: &Api, arguments: &[&str], value: &str) -> Output {
    let arguments: Vec<_> = ["set"].iter().chain(arguments).copied().collect();
    api.vault.sandbox.run_with(&arguments, value)
}

/// "value from standard input, `--file F`, `--generate[=LENGTH]` (`--charset`) …; never from an argument; creates or
/// updates"
#[test]
fn set_takes_a_value_and_creates_or_updates() {
    let api = start();
    for value in ["first", "second", "two\nlines", "ü\0x"] {
        set(&api, &["A"], value).exits(0);
        assert_eq!(api.value("A"), value);
    }
    let file = api.vault.sandbox.key_file("value", "from a file");
    run(&api, &["set", "B", "--file", file.to_str().unwrap()]).exits(0);
    assert_eq!(api.value("B"), "from a file");
    run(&api, &["set", "C", "--generate"]).exits(0);
    let generated = api.value("C");
    assert!(generated.len() >= 24, "{generated}");
    run(&api, &["set", "C", "--generate=57"]).exits(0);
    assert_eq!(api.value("C").chars().count(), 57);
    assert_ne!(api.value("C")[..24], generated[..24]);
    let argument = run(&api, &["set", "D", "sk_live_argument"]).exits(2);
    assert!(!argument.stdout.contains("sk_live_argument"));
    api.get(&secret("D")).is(404);
    // A secret that was deleted comes back with its new value.
    api.delete(&secret("A")).is(200);
    set(&api, &["A"], "back").exits(0);
    assert_eq!(api.value("A"), "back");
    api.stop();
}

#[test]
fn set_takes_expiry_reservation_and_conditions() {
    let api = start();
    set(&api, &["A", "--expires", "2036-07-15T12:00:00Z", "--reserved"], "1").exits(0);
    let metadata = api.metadata("A");
    assert_eq!((&metadata["expiresAt"], &metadata["isReserved"]), (&json!("2036-07-15T12:00:00.000Z"), &json!(true)));
    set(&api, &["A", "--expires", "never", "--reserved=false"], "2").exits(0);
    let metadata = api.metadata("A");
    assert_eq!((&metadata["expiresAt"], &metadata["isReserved"]), (&Value::Null, &json!(false)));
    set(&api, &["A", "--expires", "30d"], "3").exits(0);
    let expires: jiff::Timestamp = api.metadata("A")["expiresAt"].as_str().unwrap().parse().unwrap();
    assert!((expires.as_second() - crate::harness::now() - 30 * 86_400).abs() < 5);
    set(&api, &["A", "--create-only"], "4").fails(73, "already exists: A", "");
    set(&api, &["A", "--if-revision", "1"], "4").fails(73, "", "");
    assert_eq!(api.value("A"), "3");
    set(&api, &["A", "--if-revision", "3"], "4").exits(0);
    set(&api, &["B", "--create-only"], "1").exits(0);
    assert_eq!((api.value("A"), api.value("B")), ("4".to_owned(), "1".to_owned()));
    api.stop();
}

/// "prints the value (`--raw`: no newline added; `--revision N`)"
#[test]
fn get_prints_the_value_and_nothing_else() {
    let api = start();
    api.create("A", "one\ntwo");
    api.put(&secret("A"), json!({"value": "three"})).is(200);
    let output = run(&api, &["get", "A"]).exits(0);
    assert_eq!((&*output.stdout, &*output.stderr), ("three\n", ""));
    assert_eq!(run(&api, &["get", "A", "--raw"]).exits(0).stdout, "three");
    assert_eq!(run(&api, &["get", "A", "--revision", "1", "--raw"]).exits(0).stdout, "one\ntwo");
    let output = run(&api, &["get", "A", "--json"]).exits(0).json();
    assert_eq!((&output["key"], &output["value"]), (&json!("A"), &json!("three")));
    api.stop();
}

/// "a table (key, revision, updated, expires, last used, flags); `--all` with inactive ones"
#[test]
fn list_shows_what_there_is_without_values() {
    let api = start();
    assert_eq!(run(&api, &["list", "--json"]).exits(0).json()["secrets"], json!([]));
    api.create("ACTIVE", "a-marked-value");
    api.create("GONE", "a-marked-value");
    api.delete(&secret("GONE")).is(200);
    let plain = run(&api, &["list"]).exits(0);
    assert!(plain.stdout.contains("ACTIVE") && !plain.stdout.contains("GONE"), "{}", plain.stdout);
    let all = run(&api, &["list", "--all"]).exits(0);
    assert!(all.stdout.contains("ACTIVE") && all.stdout.contains("GONE"), "{}", all.stdout);
    assert!(!all.stdout.contains("marked"));
    let listed = run(&api, &["list", "--json"]).exits(0).json();
    assert_eq!(listed["secrets"], json!([api.metadata("ACTIVE")]));
    api.stop();
}

/// "soft delete, and back; `--purge` asks first"
#[test]
fn delete_and_undelete() {
    let api = start();
    api.create("A", "1");
    run(&api, &["delete", "A"]).exits(0);
    run(&api, &["get", "A"]).fails(66, "secret not found: A", "");
    run(&api, &["delete", "A"]).exits(0);
    run(&api, &["undelete", "A"]).exits(0);
    assert_eq!(api.value("A"), "1");
    // "No prompt without a terminal": it asks nobody, and so does nothing.
    run(&api, &["delete", "A", "--purge"]).fails(2, "", "--yes");
    assert_eq!(api.value("A"), "1");
    run(&api, &["delete", "A", "--purge", "--yes"]).exits(0);
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
    run(&api, &["delete", "A"]).fails(66, "secret not found: A", "");
    run(&api, &["undelete", "A"]).fails(66, "secret not found: A", "");
    api.stop();
}

/// "Exit codes (published, never renumbered)", "Errors: `hushd: error: secret not found: STRIPE_KEY` and `hushd: hint: …`"
#[test]
fn failures_have_their_exit_code_and_a_hint() {
    let api = start();
    api.create("TAKEN", "1");
    api.put(&secret("TAKEN"), json!({"isReserved": true})).is(200);
    run(&api, &["get", "STRIPE_KEY"]).fails(66, "secret not found: STRIPE_KEY", "hushd list");
    run(&api, &["delete", "TAKEN"]).fails(77, "reserved", "");
    set(&api, &["TAKEN", "--create-only"], "2").fails(73, "already exists", "");
    run(&api, &["get", "TAKEN", "--revision", "7"]).fails(66, "", "");
    set(&api, &["TAKEN"], &"x".repeat((1 << 20) + 1)).fails(65, "", "");
    for arguments in [
        &["get", "lower"][..],
        &["get"],
        &["list", "--no-such-flag"],
        &["no-such-verb"],
        &["--namespace", "..", "list"],
    ] {
        let output = run(&api, arguments);
        assert!(matches!(output.code, 2 | 65), "{arguments:?}: {output:?}");
        assert_eq!(output.stdout, "");
    }
    let bad_value = cli::run(&mut api.vault.sandbox.hushd(&["set", "A"]), b"\xff\xfe");
    bad_value.fails(65, "UTF-8", "");
    api.get(&secret("A")).is(404);
    assert_eq!(api.value("TAKEN"), "1");
    api.stop();
}

/// "The daemon not running is told apart from a socket that may not be opened, … and from a missing vault; each with its
/// own hint."
#[test]
fn a_daemon_that_cannot_be_reached_is_69() {
    let nowhere = Sandbox::new();
    for arguments in [&["list"][..], &["get", "A"], &["status"], &["api-key", "rotate"]] {
        nowhere.run(arguments).fails(69, "", "hushd serve --init");
    }
    let vault = crate::harness::Vault::init();
    vault.sandbox.run(&["list"]).fails(69, "", "hushd serve");
    vault.sandbox.run(&["--addr", "http://127.0.0.1:1", "list"]).fails(69, "127.0.0.1:1", "");
    vault.sandbox.run(&["--addr", "unix:///nonexistent/hushd.sock", "list"]).fails(69, "/nonexistent/hushd.sock", "");
    vault.sandbox.run(&["--addr", "gopher://x", "list"]).exits(2);
}

/// "`--token-file F`", "`HUSHD_TOKEN`", "Flag beats environment"
#[test]
fn credentials_come_from_flags_and_the_environment() {
    let api = start();
    api.create("A", "1");
    let tcp = format!("http://127.0.0.1:{}", api.daemon().port);
    let good = api.vault.sandbox.key_file("good", &format!("{}\n", api.vault.admin_token()));
    let key = api.vault.sandbox.key_file("key", &api.vault.api_key);
    let bad = api.vault.sandbox.key_file("bad", "x.y.z");
    let get = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = api.vault.sandbox.hushd(arguments);
        command.args(["get", "A"]).envs(variables.iter().copied());
        cli::run(&mut command, b"")
    };
    let (good, key, bad) = (good.to_str().unwrap(), key.to_str().unwrap(), bad.to_str().unwrap());
    let token = api.vault.admin_token();
    get(&["--addr", &tcp], &[]).fails(77, "", "");
    for output in [
        get(&["--addr", &tcp, "--token-file", good], &[]),
        get(&["--addr", &tcp, "--token-file", key], &[]),
        get(&["--addr", &tcp], &[("HUSHD_TOKEN", &token)]),
        get(&["--addr", &tcp], &[("HUSHD_TOKEN_FILE", good)]),
        get(&[], &[("HUSHD_TOKEN", &token), ("HUSHD_ADDR", &tcp)]),
        get(&["--addr", &tcp, "--token-file", good], &[("HUSHD_TOKEN", "x.y.z")]),
        get(&[], &[]),
    ] {
        assert_eq!(output.exits(0).stdout, "1\n");
    }
    let refused = get(&["--addr", &tcp, "--token-file", bad], &[("HUSHD_TOKEN", &token)]).fails(77, "", "");
    assert!(!refused.stderr.contains("x.y.z"));
    get(&["--token-file", bad], &[]).fails(77, "", "");
    let expired = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"exp": 1})));
    get(&[], &[("HUSHD_TOKEN", &expired)]).fails(77, "expired", "hushd token create");
    let open = api.vault.sandbox.key_file("open", &token);
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = get(&["--token-file", open.to_str().unwrap()], &[]);
    assert!(output.code != 0 && output.stderr.contains("chmod 600"), "{output:?}");
    api.stop();
}

#[test]
fn namespaces_come_from_flag_and_environment() {
    let api = start();
    set(&api, &["A", "--namespace", "shop/dev"], "shop").exits(0);
    set(&api, &["A"], "default").exits(0);
    let get = |arguments: &[&str], namespace: Option<&str>| {
        let mut command = api.vault.sandbox.hushd(arguments);
        command.args(["get", "A"]);
        if let Some(namespace) = namespace {
            command.env("HUSHD_NAMESPACE", namespace);
        }
        cli::run(&mut command, b"").exits(0).stdout
    };
    assert_eq!(get(&[], None), "default\n");
    assert_eq!(get(&["--namespace", "shop/dev"], None), "shop\n");
    assert_eq!(get(&[], Some("shop/dev")), "shop\n");
    assert_eq!(get(&["--namespace", "default"], Some("shop/dev")), "default\n");
    api.stop();
}

#[test]
fn keys_are_rotated_and_tokens_minted() {
    let api = start();
    for (verb, prefix, status) in [("api-key", "ik_", 200), ("anon-key", "anon_", 403)] {
        let field = if verb == "api-key" { "apiKey" } else { "anonKey" };
        let answer = run(&api, &[verb, "rotate", "--json"]).exits(0).json();
        let key = answer[field].as_str().unwrap();
        assert!(key.starts_with(prefix) && answer["oldKeyExpiresAt"].is_string(), "{answer}");
        api.bare("GET", "/api/secrets").bearer(key).send().is(status);
        let plain = run(&api, &[verb, "rotate", "--grace-hours", "0"]).exits(0);
        let new = plain.stdout.split_whitespace().find(|word| word.starts_with(prefix)).unwrap();
        api.bare("GET", "/api/secrets").bearer(new).send().is(status);
        api.bare("GET", "/api/secrets").bearer(key).send().is(401);
        assert!(!plain.stderr.contains(prefix), "{plain:?}");
        run(&api, &[verb, "rotate", "--grace-hours", "721"]).exits(2);
    }
    let output = run(&api, &["token", "create", "--admin", "--ttl", "1h"]).exits(0);
    let token = output.stdout.trim_end();
    let claims = jwt::read(token);
    assert!((claims["exp"].as_i64().unwrap() - crate::harness::now() - 3600).abs() < 5, "{claims}");
    api.bare("GET", "/api/secrets").bearer(token).send().is(200);
    let answer = run(&api, &["token", "create", "--admin", "--ttl", "30m", "--json"]).exits(0).json();
    api.bare("GET", "/api/secrets").bearer(answer["token"].as_str().unwrap()).send().is(200);
    run(&api, &["token", "create", "--admin", "--ttl", "soon"]).exits(2);
    api.stop();
}

/// "up or not, sealed or not, version, vault, listeners, number of secrets, next expiry; exit code tells"
#[test]
fn status_tells_and_its_exit_code_too() {
    let api = start();
    api.create("A", "1");
    let text = run(&api, &["status"]).exits(0).stdout;
    for part in
        [env!("CARGO_PKG_VERSION"), api.daemon().socket.to_str().unwrap(), api.vault.sandbox.data().to_str().unwrap()]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let answer = run(&api, &["status", "--json"]).exits(0).json();
    assert_eq!((&answer["status"], &answer["total"]), (&json!("ok"), &json!(1)));
    let vault = api.stop();
    vault.sandbox.run(&["status"]).fails(69, "", "hushd serve");
}

/// "validates a file; shows the effective configuration and where each value comes from"
#[test]
fn config_is_checked_and_shown() {
    let sandbox = Sandbox::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/hushd.toml");
    cli::run(sandbox.hushd(&["config", "check", "--config"]).arg(&sample), b"").exits(0);
    for (text, word) in [("no-such-key = 1\n", "no-such-key"), ("[vault]\nrevisions = \"x\"\n", "revisions")] {
        let file = sandbox.key_file("config.toml", text);
        cli::run(sandbox.hushd(&["config", "check", "--config"]).arg(&file), b"").fails(78, word, "");
        cli::run(sandbox.hushd(&["list", "--config"]).arg(&file), b"").fails(78, word, "");
    }
    let shown = run_in(&sandbox, &["config", "show"]).exits(0).stdout;
    assert!(shown.contains("127.0.0.1:4874") && shown.contains("default"), "{shown}");
    let mut command = sandbox.hushd(&["config", "show"]);
    let shown = cli::run(command.env("HUSHD_NAMESPACE", "shop/dev"), b"").exits(0).stdout;
    assert!(shown.lines().any(|line| line.contains("shop/dev") && line.contains("HUSHD_NAMESPACE")), "{shown}");
    run_in(&sandbox, &["config", "show", "--json"]).exits(0).json();
}

fn run_in(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.run(arguments)
}

/// "`--json` on every verb is stable"; what fails says nothing on standard output.
#[test]
fn json_is_on_every_verb() {
    let api = start();
    let stdin = "1";
    for (arguments, field) in [
        (&["set", "A"][..], "key"),
        (&["get", "A"], "value"),
        (&["list"], "secrets"),
        (&["delete", "A"], "key"),
        (&["undelete", "A"], "key"),
        (&["status"], "vaultId"),
        (&["token", "create", "--admin"], "token"),
        (&["api-key", "rotate"], "apiKey"),
        (&["anon-key", "rotate"], "anonKey"),
    ] {
        let arguments: Vec<_> = arguments.iter().chain(&["--json"]).copied().collect();
        let output = api.vault.sandbox.run_with(&arguments, stdin).exits(0);
        assert!(output.json().get(field).is_some(), "{arguments:?}: {output:?}");
    }
    let failed = run(&api, &["get", "UNKNOWN", "--json"]).exits(66);
    assert!(failed.stdout.is_empty() || failed.json()["error"].is_string(), "{failed:?}");
    api.stop();
}
