//! "a vault … of each released format live under `tests/data` and are opened by every later build".
//!
//! `HUSHD_MAKE_VAULT=1` makes the file of the present format, where there is none; one that was released is never made
//! anew. It holds a master key that was made for it alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::released::{API_KEY, JWT_SECRET, archive, large, unpack};
use crate::harness::{Api, Sandbox, Transport, Vault, cli};

/// Makes a vault of the present format with all that a vault can hold.
fn make(format: u32) {
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
    let vault = api.stop();
    fs::create_dir_all(archive(format).parent().unwrap()).unwrap();
    let mut tar = vault.sandbox.command(Path::new("tar"));
    tar.arg("--create").arg("--gzip").arg("--sparse").arg("--exclude=reserve").arg("--owner=0").arg("--group=0");
    tar.arg("--numeric-owner").arg("--file").arg(archive(format)).arg("--directory").arg(vault.sandbox.path(""));
    cli::run(tar.args(["config", "data"]), b"").exits(0);
}

#[test]
fn a_vault_of_format_1_is_read_whole() {
    if std::env::var_os("HUSHD_MAKE_VAULT").is_some() && !archive(1).exists() {
        make(1);
    }
    let vault = unpack(1);
    let report = vault.sandbox.run(&["check", "--json"]).json();
    let problems = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "problem");
    assert_eq!(problems.count(), 0, "{report}");
    assert_eq!((&report["counts"]["secrets"], &report["counts"]["revisions"]), (&json!(7), &json!(9)), "{report}");

    let keyring = vault.sandbox.data().join("keyring.age");
    let kept = vault.sandbox.data().join("keyring.age.format-1");
    let released = fs::read(&keyring).unwrap();
    let api = Api::serve(vault, Transport::Unix);
    assert!(fs::read(&keyring).unwrap() != released, "the keyring is migrated");
    assert!(fs::read(&kept).unwrap() == released, "the keyring as it was is kept");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o7777, 0o600);
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
