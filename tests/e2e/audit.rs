//! "Nothing is revealed unrecorded": who did what is in the trail, a value that cannot be recorded is not revealed, and
//! whoever touches the trail is found.

mod kills;
mod tampering;
mod unwritable;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Transport, Vault};

/// All entries of the trail, the oldest first.
fn trail(api: &Api) -> Vec<Value> {
    following(api, 0)
}

/// The entries after the one of this number, the oldest first.
fn following(api: &Api, mut after: u64) -> Vec<Value> {
    let mut entries = Vec::new();
    loop {
        let page = api.get(&format!("/api/audit?after={after}&limit=1000")).is(200).json();
        entries.extend(page["entries"].as_array().unwrap().iter().cloned());
        let next: u64 = page["cursor"].as_str().unwrap().parse().unwrap();
        if next == after {
            return entries;
        }
        after = next;
    }
}

/// A daemon whose configuration says this.
fn configured(vault: Vault, config: &str) -> Api {
    fs::write(vault.sandbox.config().join("config.toml"), config).unwrap();
    Api::adopt(Daemon::start(&vault), vault, Transport::Unix)
}

/// The vault and the daemon find nothing wrong with the trail. Says how many entries there are.
#[track_caller]
fn is_whole(api: &Api) -> u64 {
    let report = api.get("/api/audit/verify").is(200).json();
    assert_eq!(report["faults"], json!([]), "{report}");
    assert_eq!(report["ok"], true);
    report["entries"].as_u64().unwrap()
}

/// "Bytes of the whole trail … The oldest part is dropped": within seconds, however much is read.
#[test]
fn the_trail_keeps_to_its_size_while_much_is_read() {
    const MOST: u64 = 1 << 20;
    let api = configured(Vault::init(), "[audit]\nmax-size = 1048576\nsegment-size = 65536\n");
    api.create("A", "value");
    let directory = api.vault.sandbox.data().join("audit");
    let size = || fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>();
    let read = api.call("GET", &secret("A")).header("X-Reason", &"because ".repeat(25)).request();
    let mut connection = api.connect();
    let mut most = 0;
    for number in 0..8000 {
        assert_eq!(connection.send(&read).unwrap().status, 200);
        if number % 100 == 0 {
            most = most.max(size());
        }
    }
    assert!(most > MOST / 2, "{most}");
    let begun = Instant::now();
    while size() > MOST {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} bytes", size());
        thread::sleep(Duration::from_millis(100));
    }
    is_whole(&api);
    api.stop();
}

#[test]
fn who_did_what_to_which_secret_is_recorded_with_its_request() {
    let api = Api::start(Transport::Unix);
    api.create("DB_URL", "a-value-nobody-may-see");
    api.put(&secret("DB_URL"), json!({"value": "another-value"})).is(200);
    let read = |id: &str, reason: &str| {
        let call = api.call("GET", &secret("DB_URL")).header("X-Request-Id", id);
        if reason.is_empty() { call } else { call.header("X-Reason", reason) }.send().is(200)
    };
    read("the-request", "ticket 42");
    api.bare("GET", &secret("DB_URL")).send().is(200);
    api.get("/api/secrets").is(200);
    api.post("/api/secrets/DB_URL/verify", json!({"value": "x"})).is(200);
    api.get("/api/environment").is(200);
    api.post("/api/secrets/api-key/rotate", json!({})).is(200);
    api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 60})).is(201);
    api.delete(&secret("DB_URL")).is(200);
    let anon = api.anon_key();
    for _ in 0..5 {
        api.bare("GET", &secret("DB_URL")).bearer("no.such.token").send().is(401);
        api.bare("GET", &secret("DB_URL")).bearer(&anon).send().is(403);
    }
    let entries = trail(&api);
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("a-value-nobody-may-see") && !text.contains("another-value"), "a value is in the trail");
    let sequences: Vec<u64> = entries.iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    let of = |action: &str| entries.iter().filter(move |entry| entry["action"] == action).collect::<Vec<_>>();
    let one = of("reveal").into_iter().find(|entry| entry["requestId"] == "the-request").unwrap().clone();
    for (field, expected) in [
        ("key", json!("DB_URL")),
        ("namespace", json!("default")),
        ("revision", json!(2)),
        ("outcome", json!("done")),
        ("reason", json!("ticket 42")),
        ("rule", json!("administrator's token")),
    ] {
        assert_eq!(one[field], expected, "{one}");
    }
    assert!(one["principal"].as_str().unwrap().starts_with("token:"), "{one}");
    assert_eq!(of("reveal").len(), 3, "{entries:#?}");
    let by_peer =
        of("reveal").into_iter().find(|entry| entry["principal"].as_str().unwrap().starts_with("uid:")).unwrap();
    assert_eq!(by_peer["pid"], std::process::id());
    let program = std::env::current_exe().unwrap();
    let (program, told) = (program.file_name().unwrap().to_str().unwrap(), by_peer["executable"].as_str().unwrap());
    // The kernel's short form of it has 15 bytes.
    assert!(told.len() >= 15 && program.starts_with(told), "{by_peer}");
    for action in ["start", "create", "update", "list", "verify", "rotate-key", "mint-token", "delete"] {
        let done = of(action).into_iter().filter(|entry| entry["outcome"] == "done");
        assert_eq!(done.count(), if action == "rotate-key" { 2 } else { 1 }, "{action}: {entries:#?}");
    }
    assert_eq!(of("authenticate").len(), 1, "repeats share an entry: {entries:#?}");
    assert_eq!(is_whole(&api), entries.len() as u64);
    let api = api.restart();
    let later = trail(&api);
    let repeats = later.iter().find(|entry| entry["action"] == "authenticate" && entry["count"] == 4);
    assert!(repeats.is_some(), "{later:#?}");
    is_whole(&api);
    api.stop();
}

#[test]
fn the_command_line_filters_follows_verifies_and_lists_consumers() {
    let api = Api::start(Transport::Unix);
    let run = |arguments: &[&str]| api.vault.sandbox.run(arguments);
    api.vault.sandbox.run_with(&["set", "A"], "one").exits(0);
    let mut command = api.vault.sandbox.hushd(&["get", "A"]);
    crate::harness::cli::run(command.env("HUSHD_REASON", "because"), b"").exits(0);
    run(&["list"]).exits(0);
    let table = run(&["audit", "--action", "reveal", "--key", "A", "--since", "1h"]).exits(0).stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("default/A") && table.contains("because") && table.contains("done"), "{table}");
    assert_eq!(run(&["audit", "--until", "1h", "--json"]).exits(0).json()["entries"], json!([]));
    let page = run(&["audit", "--limit", "2", "--json"]).exits(0).json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 2, "{page}");
    assert!(page["entries"][0]["sequence"].as_u64() > page["entries"][1]["sequence"].as_u64(), "{page}");
    run(&["audit", "--action", "nonsense"]).fails(65, "action must be one of", "");

    let who = run(&["consumers", "A", "--json"]).exits(0).json();
    assert_eq!((&who["revision"], &who["consumers"][0]["revision"]), (&json!(1), &json!(1)), "{who}");
    assert_eq!(who["consumers"][0]["isCurrent"], true);
    run(&["consumers", "A", "--stale"]).exits(0);
    api.vault.sandbox.run_with(&["set", "A"], "two").exits(0);
    let old = run(&["consumers", "A", "--stale"]).exits(0).stdout;
    assert!(old.contains("old"), "{old}");
    run(&["get", "A"]).exits(0);
    assert_eq!(run(&["consumers", "A", "--stale", "--json"]).exits(0).json()["consumers"], json!([]));
    run(&["consumers", "NONE"]).fails(66, "secret not found", "");

    assert_eq!(run(&["audit", "verify", "--json"]).exits(0).json()["ok"], true);
    let vault = api.stop();
    let report = vault.sandbox.run(&["audit", "verify", "--json"]).exits(0).json();
    assert_eq!((&report["ok"], &report["tornBytes"]), (&json!(true), &json!(0)), "{report}");
}

#[test]
fn a_reason_is_required_where_the_configuration_says_so() {
    let api = configured(Vault::init(), "[audit]\nrequire-reason = [\"read shop/prod/**\"]\n");
    for namespace in ["shop/prod", "shop/dev"] {
        let target = format!("/api/secrets?namespace={namespace}");
        api.post(&target, json!({"key": "A", "value": "v"})).is(201);
    }
    api.get("/api/secrets/A?namespace=shop/dev").is(200);
    let refused = api.get("/api/secrets/A?namespace=shop/prod").refuses(403, "FORBIDDEN");
    assert!(refused.json()["nextActions"].as_str().unwrap().contains("X-Reason"));
    api.get("/api/environment?namespace=shop/prod").refuses(403, "FORBIDDEN");
    api.call("GET", "/api/secrets/A?namespace=shop/prod").header("X-Reason", "an incident").send().is(200);
    let run = |reason: &str| {
        let mut command = api.vault.sandbox.hushd(&["get", "A", "--namespace", "shop/prod"]);
        crate::harness::cli::run(command.env("HUSHD_REASON", reason), b"")
    };
    run("").fails(77, "a reason is required", "HUSHD_REASON");
    run("an incident").exits(0);
    let refusals = trail(&api).iter().filter(|entry| entry["outcome"] == "refused").count();
    assert_eq!(refusals, 2, "one of a token, one of the peer");
    api.stop();
}

#[test]
fn only_administrators_read_the_trail() {
    let api = Api::start(Transport::Tcp);
    for path in ["/api/audit", "/api/audit/verify", "/api/secrets/A/consumers"] {
        api.bare("GET", path).send().refuses(401, "AUTH_INVALID_CREDENTIALS");
        api.bare("GET", path).bearer(&api.anon_key()).send().refuses(403, "FORBIDDEN");
    }
    for wrong in ["limit=0", "limit=1001", "cursor=x", "since=yesterday", "action=none", "namespace=A", "after=-1"] {
        api.get(&format!("/api/audit?{wrong}")).refuses(400, "INVALID_INPUT");
    }
    api.get("/api/audit/verify?anchor=1").refuses(400, "INVALID_INPUT");
    api.stop();
}

#[test]
fn the_head_and_the_entries_are_told_outside_and_a_cut_is_found_with_what_was_told() {
    let vault = Vault::init();
    let place = |name: &str| vault.sandbox.path(name);
    let (anchors, export) = (place("anchors"), place("export.json"));
    // A command writes where the daemon may, and nowhere else.
    let copy = vault.sandbox.data().join("copy.json");
    let config = format!(
        "[audit]\nanchor-file = {anchors:?}\nexport = {export:?}\nexport-command = [\"/bin/sh\", \"-c\", \"cat >> {}\"]\n",
        copy.display()
    );
    let api = configured(vault, &config);
    api.create("A", "a-value-nobody-may-see");
    api.value("A");
    let vault = api.stop();
    let lines = fs::read_to_string(&export).unwrap();
    assert_eq!(lines, fs::read_to_string(&copy).unwrap());
    assert!(!lines.contains("a-value-nobody-may-see"));
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Who stops a daemon here looks into its trail first, for values.
    let actions = entries.iter().map(|entry| entry["action"].as_str().unwrap()).filter(|action| *action != "admin");
    let actions: Vec<&str> = actions.collect();
    assert_eq!(actions, ["start", "create", "reveal", "stop"], "{lines}");
    // A second life goes on where the first one ended.
    let vault = Api::adopt(Daemon::start(&vault), vault, Transport::Unix).stop();
    let again = fs::read_to_string(&export).unwrap();
    let numbers: Vec<u64> =
        again.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap()).collect();
    assert!(numbers.len() >= entries.len() + 2, "{again}");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "each once, also after a restart");
    assert!(fs::read_to_string(&anchors).unwrap().lines().count() >= 2);

    let report = vault.sandbox.run(&["audit", "verify", "--json"]).exits(0).json();
    assert!(report["anchors"].as_u64().unwrap() >= 3, "{report}");
    let foreign = "3:".to_owned() + &"0".repeat(64);
    vault.sandbox.run(&["audit", "verify", "--anchor", &foreign]).fails(65, "not as it was written", "");
}
