//! What went into a backup comes out of it.

use std::fs;

use serde_json::{Value, json};

use super::{age, back_up, back_up_to, lines, metadata, mode, restore, restore_in, values, verify, with_everything};
use crate::harness::{Api, Sandbox, Transport, cli};

#[test]
fn a_restored_vault_is_the_old_one_with_new_keys() {
    let api = with_everything();
    // A key in its grace period goes on being one.
    let rotated = api.post("/api/secrets/api-key/rotate", json!({"gracePeriodHours": 100})).is(200).json();
    let new_key = rotated["apiKey"].as_str().unwrap();
    let before = metadata(&api);
    let path = back_up(&api);
    assert_eq!(mode(&path), 0o600);
    let old = values(&api, &before);
    let status = api.get("/api/status").is(200).json();
    let environment = api.get("/api/environment").is(200).json();
    let vault = api.stop();

    let report = verify(&vault, &path).exits(0).json();
    assert_eq!(report["verified"], true);
    assert_eq!(report["vaultId"], status["vaultId"]);
    assert_eq!(report["secrets"], status["total"]);

    let restored = restore(&vault, &path);
    let read = |vault: &crate::harness::Vault, name: &str| fs::read(vault.sandbox.data().join(name)).unwrap();
    assert_eq!(read(&vault, "recipients.txt"), read(&restored, "recipients.txt"));
    assert_ne!(read(&vault, "keyring.age"), read(&restored, "keyring.age"));
    let api = Api::serve(restored, Transport::Unix);
    assert_eq!(metadata(&api), before);
    assert_eq!(values(&api, &before), old);
    let new_status = api.get("/api/status").is(200).json();
    assert_ne!(new_status["vaultId"], status["vaultId"]);
    assert_eq!(new_status["problems"], json!([]));
    // "never moves back"
    let revision = |environment: &Value| environment["revision"].as_u64().unwrap();
    assert!(revision(&api.get("/api/environment").is(200).json()) >= revision(&environment));
    // Tokens (which the calls above used) and both API keys go on working, in their roles.
    for key in [new_key, &api.vault.api_key] {
        api.bare("GET", "/api/secrets").header("x-api-key", key).send().is(200);
    }
    api.put("/api/secrets/PLAIN", json!({"value": "new"})).is(200);
    let second = back_up(&api);
    verify(&api.vault, &second).exits(0);
    api.stop();
}

#[test]
fn the_stock_age_gives_the_secrets_back() {
    let Some(age) = age() else { return };
    let api = with_everything();
    let path = back_up(&api);
    let lines = lines(age, &api.vault, &path);
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["header", "signing", "keys"]);
    assert_eq!(kinds.last(), Some(&"trailer"));
    assert_eq!(lines[0]["format"], 1);
    assert_eq!(lines[0]["secrets"], (lines.len() - 4) as u64);
    let find = |namespace: &str, key: &str| {
        let mut secrets = lines.iter().filter(|line| line["namespace"] == namespace && line["key"] == key);
        secrets.next().unwrap_or_else(|| panic!("{key} is not in the backup"))
    };
    let newest = |namespace: &str, key: &str| {
        find(namespace, key)["revisions"].as_array().unwrap().last().unwrap()["value"].clone()
    };
    assert_eq!(newest("default", "PLAIN"), "value");
    assert_eq!(newest("shop/dev", "PLAIN"), "shop/dev");
    assert_eq!(newest("default", "EMPTY"), "");
    assert_eq!(newest("default", "LARGE"), "0123456789abcdef".repeat(64 * 1024));
    assert_eq!(newest("default", "TEXT"), "line\nline \u{0} \"quoted\" \\ \u{1f511} \u{7f}");
    assert_eq!(find("default", "INACTIVE")["isActive"], false);
    assert_eq!(find("default", "RESERVED")["expiresAt"], "2099-01-02T03:04:05.678Z");
    let many = find("default", "MANY")["revisions"].as_array().unwrap();
    let numbers: Vec<u64> = many.iter().map(|revision| revision["revision"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (4..=13).collect::<Vec<u64>>());
    assert!(!lines.iter().any(|line| line["key"] == "PURGED"));
    api.stop();
}

#[test]
fn a_backup_is_for_administrators_and_to_recipients_of_their_choice() {
    let api = Api::start(Transport::Tcp);
    api.create("A", "value");
    api.bare("GET", "/api/backup").send().refuses(401, "AUTH_INVALID_CREDENTIALS");
    let anon = api.anon_key();
    api.bare("GET", "/api/backup").bearer(&anon).send().refuses(403, "FORBIDDEN");
    api.get("/api/backup?recipient=age1nonsense").refuses(400, "INVALID_INPUT");

    let other = Sandbox::new();
    other.run(&["init"]).exits(0);
    let recipient = fs::read_to_string(other.data().join("recipients.txt")).unwrap();
    let path = api.vault.sandbox.path("other.age");
    back_up_to(&api, &path, &["--recipient", recipient.trim()]).exits(0);
    verify(&api.vault, &path).fails(77, "the identity does not open it", "--identity");
    let mut command = api.vault.sandbox.hushd(&["backup", "verify", "--identity"]);
    cli::run(command.arg(other.identity()).arg(&path), b"").exits(0);
    // A vault with a master key of its own, from a backup that another identity opens.
    let third = Sandbox::new();
    let mut command = third.hushd(&["restore", "--identity"]);
    cli::run(command.arg(other.identity()).arg(&path), b"").exits(0);
    let own = fs::read_to_string(third.data().join("recipients.txt")).unwrap();
    assert_ne!(own, recipient);
    assert!(fs::read_to_string(third.identity()).unwrap().contains(own.trim()));
    api.stop();
}

#[test]
fn a_vault_that_exists_is_never_restored_over() {
    let api = Api::start(Transport::Unix);
    api.create("A", "value");
    let path = back_up(&api);
    restore_in(&api.vault.sandbox, &api.vault, &path).fails(73, "a vault exists already", "");
    assert_eq!(api.value("A"), "value");
    let vault = api.stop();
    restore_in(&vault.sandbox, &vault, &path).fails(73, "a vault exists already", "");
}
