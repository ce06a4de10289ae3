//! "With the trail's directory made unwritable: no value is received."

use std::fs;

use serde_json::json;

use super::{configured, is_whole, trail};
use crate::harness::{Api, Daemon, Transport, Vault};

#[test]
fn nothing_is_revealed_while_the_trail_cannot_be_written_and_all_is_again_when_it_can() {
    let vault = Vault::init();
    let api = configured(vault, "[audit]\nbest-effort = [\"shop/dev/**\"]\n");
    api.create("A", "value");
    api.post("/api/secrets?namespace=shop/dev", json!({"key": "A", "value": "value"})).is(201);
    api.get("/api/secrets/A").is(200);
    let (dir, elsewhere) = (api.vault.sandbox.data().join("audit"), api.vault.sandbox.data().join("elsewhere"));
    fs::rename(&dir, &elsewhere).unwrap();
    // What is in its way cannot be a trail's directory.
    fs::write(&dir, b"").unwrap();
    for path in ["/api/secrets/A", "/api/environment", "/api/secrets", "/api/namespaces"] {
        let refused = api.get(path).refuses(503, "INTERNAL_ERROR");
        assert!(refused.message().contains("audit trail cannot be written"), "{}", refused.message());
    }
    api.vault.sandbox.run(&["get", "A"]).fails(75, "audit trail cannot be written", "");
    api.get("/api/ready").refuses(503, "INTERNAL_ERROR");
    let problems = api.get("/api/status").is(200).json()["problems"].to_string();
    assert!(problems.contains("nothing is revealed"), "{problems}");
    // Except where somebody decided otherwise; and a change carries its entry with it.
    api.get("/api/secrets/A?namespace=shop/dev").is(200);
    api.get("/api/secrets/A?namespace=shop/dev").is(200);
    api.put("/api/secrets/A", json!({"value": "changed"})).is(200);

    fs::remove_file(&dir).unwrap();
    fs::rename(&elsewhere, &dir).unwrap();
    while api.bare("GET", "/api/ready").send().status != 200 {
        std::thread::yield_now();
    }
    assert_eq!(api.value("A"), "changed");
    let api = api.restart();
    let entries = trail(&api);
    let gap = entries.iter().find(|entry| entry["action"] == "gap").unwrap();
    assert_eq!(gap["count"], 2, "{gap}");
    assert_eq!(entries.iter().filter(|entry| entry["action"] == "update").count(), 1);
    is_whole(&api);
    api.stop();
}

#[test]
fn a_daemon_that_finds_no_place_for_the_trail_starts_and_reveals_nothing() {
    let api = Api::start(Transport::Unix);
    api.create("A", "value");
    let vault = api.stop();
    let dir = vault.sandbox.data().join("audit");
    fs::rename(&dir, vault.sandbox.data().join("elsewhere")).unwrap();
    fs::write(&dir, b"").unwrap();
    let api = Api::adopt(Daemon::start(&vault), vault, Transport::Unix);
    api.get("/api/secrets/A").refuses(503, "INTERNAL_ERROR");
    api.stop();
}

#[test]
fn a_trail_that_is_off_says_so() {
    let api = configured(Vault::init(), "[audit]\nmode = \"off\"\n");
    api.create("A", "value");
    assert_eq!(api.value("A"), "value");
    api.get("/api/audit").refuses(404, "NOT_FOUND");
    assert_eq!(api.get("/api/status").is(200).json()["audit"], "off");
    assert!(!api.vault.sandbox.data().join("audit").exists());
    api.stop();
}
