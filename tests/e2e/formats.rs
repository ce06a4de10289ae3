//! "a vault and a backup of each released format live under `tests/data` and are opened by every later build".
//!
//! `HUSHD_MAKE_VAULT=1` makes the files of the present formats, where there are none; what was released is never made
//! anew. They hold a master key that was made for them alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::released::{API_KEY, JWT_SECRET, archive, backup, large, unpack};
use crate::harness::{Api, Sandbox, Transport, Vault, cli};

/// Makes a vault and a backup of the present formats with all that a vault can hold, where there are none.
fn make(format: u32) {
    if std::env::var_os("HUSHD_MAKE_VAULT").is_none() || archive(format).exists() {
        return;
    }
    let sandbox = Sandbox::new();
    let jwt_secret = sandbox.key_file("jwt-secret", JWT_SECRET);
    let api_key = sandbox.key_file("api-key", API_KEY);
    let mut init = sandbox.hushd(&["init"]);
    init.arg("--jwt-secret-file").arg(jwt_secret).arg("--api-key-file").arg(api_key);
    cli::run(&mut init, b"").exits(0);
    let vault = Vault { sandbox, jwt_secret: JWT_SECRET.to_owned(), api_key: API_KEY.to_owned() };
    let api = Api::serve(vault, Transport::Unix);
    api.create("PLAIN", "a value");
    api.create("TWICE", "the first value");
    api.put(&secret("TWICE"), json!({"value": "the second value"})).is(200);
    api.create("EMPTY", "not empty yet");
    api.put(&secret("EMPTY"), json!({"value": ""})).is(200);
    api.create("LARGE", &large());
    api.create("DELETED", "deleted");
    api.delete(&secret("DELETED")).is(200);
    api.create_expired("EXPIRED", "expired");
    let body =
        json!({"key": "RESERVED", "value": "grüße\u{0}\n", "isReserved": true, "expiresAt": "2999-01-01T00:00:00Z"});
    api.post("/api/secrets?namespace=shop/dev", body).is(201);
    api.create("PURGED", "purged");
    api.delete(&format!("{}?purge=true", secret("PURGED"))).is(200);
    let token = json!({"scope": ["read shop/**"], "ttlSeconds": 86_400 * 365, "reason": "released"});
    api.post("/api/tokens", token).is(201);
    fs::create_dir_all(archive(format).parent().unwrap()).unwrap();
    api.vault.sandbox.run(&["backup", "-o", backup(format).to_str().unwrap()]).exits(0);
    let vault = api.stop();
    let mut tar = vault.sandbox.command(Path::new("tar"));
    tar.arg("--create").arg("--gzip").arg("--sparse").arg("--exclude=reserve").arg("--owner=0").arg("--group=0");
    tar.arg("--numeric-owner").arg("--file").arg(archive(format)).arg("--directory").arg(vault.sandbox.path(""));
    cli::run(tar.args(["config", "data"]), b"").exits(0);
}

/// What is wrong with a vault that no daemon serves, and what it counts.
#[track_caller]
fn is_well(vault: &Vault) {
    let report = vault.sandbox.run(&["check", "--json"]).json();
    let problems = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "problem");
    assert_eq!(problems.count(), 0, "{report}");
    assert_eq!((&report["counts"]["secrets"], &report["counts"]["revisions"]), (&json!(7), &json!(9)), "{report}");
}

/// All that was put into it is there, and it takes writes.
#[track_caller]
fn holds_all(api: &Api) {
    assert_eq!(api.value("PLAIN"), "a value");
    assert_eq!(api.value("TWICE"), "the second value");
    let first = api.get("/api/secrets/TWICE?revision=1").is(200).json();
    assert_eq!(first["value"], "the first value");
    assert_eq!(api.value("EMPTY"), "");
    assert_eq!(api.value("LARGE"), large());
    for gone in ["DELETED", "EXPIRED", "PURGED"] {
        api.get(&secret(gone)).is(404);
    }
    let reserved = api.get("/api/secrets/RESERVED?namespace=shop/dev").is(200).json();
    assert_eq!(reserved["value"], "grüße\u{0}\n");
    let listed = api.get("/api/secrets?namespace=shop/dev").is(200).json()["secrets"][0].clone();
    assert_eq!((&listed["isReserved"], &listed["expiresAt"]), (&json!(true), &json!("2999-01-01T00:00:00.000Z")));
    // What is not active has its value still.
    for (name, value) in [("DELETED", "deleted"), ("EXPIRED", "expired")] {
        api.put(&secret(name), json!({"isActive": true, "expiresAt": Value::Null})).is(200);
        assert_eq!(api.value(name), value);
    }
    api.bare("GET", "/api/secrets").header("x-api-key", API_KEY).send().is(200);
    api.create("NEW", "it takes writes");
}

#[test]
fn a_vault_of_format_1_is_read_whole() {
    let vault = unpack(1);
    is_well(&vault);
    let keyring = vault.sandbox.data().join("keyring.age");
    let kept = vault.sandbox.data().join("keyring.age.format-1");
    let released = fs::read(&keyring).unwrap();
    let api = Api::serve(vault, Transport::Unix);
    assert!(fs::read(&keyring).unwrap() != released, "the keyring is migrated");
    assert!(fs::read(&kept).unwrap() == released, "the keyring as it was is kept");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o7777, 0o600);
    holds_all(&api);
    let api = api.restart();
    assert_eq!(api.value("NEW"), "it takes writes");
    let vault = api.stop();
    assert!(fs::read(&kept).unwrap() == released, "the next start does not touch what is kept");
    // It opens the vault still, and is migrated again.
    fs::rename(&kept, &keyring).unwrap();
    let api = Api::serve(vault, Transport::Unix);
    assert_eq!(api.value("NEW"), "it takes writes");
    assert!(fs::read(&kept).unwrap() == released);
    drop(api.stop());
}

#[test]
fn a_vault_of_format_2_is_read_whole_with_its_trail() {
    make(2);
    let vault = unpack(2);
    is_well(&vault);
    vault.sandbox.run(&["audit", "verify"]).exits(0);
    let keyring = vault.sandbox.data().join("keyring.age");
    let released = fs::read(&keyring).unwrap();
    let api = Api::serve(vault, Transport::Unix);
    assert!(fs::read(&keyring).unwrap() == released, "there is nothing to migrate");
    assert_eq!(api.get("/api/status").is(200).json()["problems"], json!([]));
    let created = api.get("/api/audit?action=create").is(200).json();
    assert_eq!(created["entries"].as_array().unwrap().len(), 8, "{created}");
    holds_all(&api);
    let api = api.restart();
    assert_eq!(api.value("NEW"), "it takes writes");
    drop(api.stop());
}

/// A restored vault is held against what was backed up, whatever build made the backup.
#[test]
fn a_backup_of_format_1_is_restored_whole() {
    make(2);
    let old = unpack(2);
    let identity = fs::read_to_string(old.sandbox.config().join("identity.txt")).unwrap();
    let sandbox = Sandbox::new();
    let identity = sandbox.key_file("identity", &identity);
    let file = backup(2).to_str().unwrap().to_owned();
    let mut verify = sandbox.hushd(&["backup", "verify", &file, "--identity"]);
    cli::run(verify.arg(&identity), b"").exits(0);
    let mut restore = sandbox.hushd(&["restore", &file, "--same-identity", "--identity"]);
    cli::run(restore.arg(&identity), b"").exits(0);
    let vault = Vault { sandbox, jwt_secret: JWT_SECRET.to_owned(), api_key: API_KEY.to_owned() };
    is_well(&vault);
    let api = Api::serve(vault, Transport::Unix);
    holds_all(&api);
    drop(api.stop());
}
