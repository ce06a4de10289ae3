//! The log: how it is written, that each line of a request names it, and what it never holds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Api, Daemon, Sandbox, Transport, Vault, api::secret};

/// A daemon with these options and this level.
fn start(level: &str, arguments: &[&str]) -> Api {
    let vault = Vault::init();
    let mut command = Daemon::command(&vault.sandbox);
    command.args(arguments).env("HUSHD_LOG", level);
    let daemon = Daemon::launch(&vault.sandbox, command).unwrap_or_else(|failure| panic!("{failure:?}"));
    Api::adopt(daemon, vault, Transport::Unix)
}

/// Does something of everything, each request with its own id. Gives the ids.
fn everything(api: &Api) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut call = |method: &str, target: &str, body: Option<Value>| {
        let id = format!("request-{}", ids.len());
        let call = api.call(method, target).header("X-Request-Id", &id);
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        call.send();
        ids.insert(id);
    };
    call("POST", "/api/secrets", Some(json!({"key": "NAMED_SECRET", "value": "value-of-log-1"})));
    call("GET", "/api/secrets/NAMED_SECRET", None);
    call("GET", "/api/environment", None);
    call("PUT", "/api/secrets/NAMED_SECRET", Some(json!({"value": "value-of-log-2"})));
    call("POST", "/api/secrets/NAMED_SECRET/rollback", Some(json!({"revision": 1})));
    call("POST", "/api/secrets/NAMED_SECRET/verify", Some(json!({"value": "value-of-log-3"})));
    call("GET", "/api/secrets/MISSING_SECRET", None);
    call("PUT", "/api/secrets/NAMED_SECRET", Some(json!({"isActive": "value-of-log-4"})));
    call("DELETE", "/api/secrets/NAMED_SECRET?purge=true", None);
    call("POST", "/api/secrets/api-key/rotate", Some(json!({})));
    call("POST", "/api/tokens", Some(json!({"admin": true, "ttlSeconds": 60})));
    call(
        "POST",
        "/api/tokens",
        Some(json!({"scope": ["read NAMED_SECRET", "list default/NAMED_SECRET"], "ttlSeconds": 60})),
    );
    ids
}

fn lines(api: &Api) -> Vec<Value> {
    let log = api.daemon().log();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// "request id on every line"
#[test]
fn every_line_of_a_request_names_it() {
    let api = start("hushd=debug", &["--log-format", "json"]);
    let begun = lines(&api).len();
    let ids = everything(&api);
    let lines = lines(&api);
    let mut named = BTreeSet::new();
    for line in &lines[begun..] {
        let fields = &line["fields"];
        if fields["message"].as_str().is_some_and(|message| message.starts_with("last uses stored")) {
            continue;
        }
        let id = fields["request_id"].as_str().unwrap_or_else(|| panic!("it names no request: {line}"));
        assert!(ids.contains(id), "{line}");
        named.insert(id.to_owned());
        assert!(!line.to_string().contains("value-of-log"), "{line}");
    }
    assert_eq!(named, ids, "each is answered with a line");
    api.stop();
}

/// "never a value, token or name of a key at info level"
#[test]
fn no_name_stands_in_the_log_from_info_on() {
    let api = start("info", &[]);
    everything(&api);
    let log = api.daemon().log();
    assert!(log.contains("a secret was purged") && log.contains("a key was rotated"), "{log}");
    assert!(log.contains("request_id=request-"), "{log}");
    for name in ["NAMED_SECRET", "MISSING_SECRET", "value-of-log"] {
        assert!(!log.contains(name), "{log}");
    }
    assert!(!log.contains('\u{1b}'), "no colours where there is no terminal: {log}");
    api.stop();
}

#[test]
fn a_format_that_is_not_known_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.run(&["serve", "--log-format", "xml"]).fails(2, "expected auto, human, json or journald", "");
}

/// Under systemd the log goes to the journal; where that cannot be reached it is standard error.
#[test]
fn a_journal_that_is_not_there_is_no_reason_to_be_silent() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        eprintln!("skipped: there is a journal here");
        return;
    }
    let api = start("info", &["--log-format", "journald"]);
    let log = api.daemon().log();
    assert!(log.contains("the journal cannot be reached") && log.contains("ready"), "{log}");
    api.create("A", "x");
    api.get(&secret("A")).is(200);
    api.stop();
}
