//! "`hushd backup` while serving, one consistent point in time, without stopping writers; `backup verify` is a drill; `hushd
//! restore` into a new vault, or selected keys into a running one."

mod consistency;
mod damage;
mod interruption;
mod keys;
mod round_trip;
mod snapshots;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::cli::Output;
use crate::harness::{Api, Sandbox, Transport, Vault, cli, files};

/// Writes a backup with the command line.
fn back_up(api: &Api) -> PathBuf {
    let path = api.vault.sandbox.path("backup.age");
    back_up_to(api, &path, &[]).exits(0);
    path
}

fn back_up_to(api: &Api, path: &Path, arguments: &[&str]) -> Output {
    let mut command = api.vault.sandbox.hushd(&["backup", "-o"]);
    cli::run(command.arg(path).args(arguments), b"")
}

/// `hushd backup verify` with the identity of the vault that was backed up. Its scratch directory must be gone afterwards.
fn verify(vault: &Vault, path: &Path) -> Output {
    let scratch = vault.sandbox.path("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let mut command = vault.sandbox.hushd(&["backup", "verify", "--json"]);
    let output = cli::run(command.arg(path).env("TMPDIR", &scratch), b"");
    assert_eq!(files::tree(&scratch).len(), 1, "the drill left something: {output:?}");
    output
}

/// Restores a backup into a vault of a user who has none; tokens and keys are those of the old vault.
fn restore(old: &Vault, path: &Path) -> Vault {
    let sandbox = Sandbox::new();
    restore_in(&sandbox, old, path).exits(0);
    Vault { sandbox, jwt_secret: old.jwt_secret.clone(), api_key: old.api_key.clone() }
}

fn restore_in(sandbox: &Sandbox, old: &Vault, path: &Path) -> Output {
    let mut command = sandbox.hushd(&["restore", "--same-identity", "--identity"]);
    cli::run(command.arg(old.sandbox.identity()).arg(path), b"")
}

/// All metadata of a vault, in the order of the namespaces.
fn metadata(api: &Api) -> Value {
    let namespaces = api.get("/api/namespaces").is(200).json();
    let namespaces = namespaces["namespaces"].as_array().unwrap().iter();
    let lists = namespaces.map(|summary| {
        let namespace = summary["namespace"].as_str().unwrap();
        json!([summary, api.get(&format!("/api/secrets?namespace={namespace}")).is(200).json()])
    });
    lists.collect()
}

/// All values that can be read of a vault, and all revisions.
fn values(api: &Api, metadata: &Value) -> Vec<(String, u16, Value)> {
    let mut found = Vec::new();
    for list in metadata.as_array().unwrap() {
        for secret in list[1]["secrets"].as_array().unwrap() {
            let (key, namespace) = (secret["key"].as_str().unwrap(), secret["namespace"].as_str().unwrap());
            let revisions = api.get(&format!("/api/secrets/{key}/revisions?namespace={namespace}")).is(200).json();
            for revision in revisions["revisions"].as_array().unwrap() {
                let number = &revision["revision"];
                let path = format!("/api/secrets/{key}?namespace={namespace}&revision={number}");
                let answer = api.get(&path);
                found.push((path, answer.status, answer.json()["value"].clone()));
            }
            found.push((format!("{namespace} {key}"), 0, revisions));
        }
    }
    found
}

/// The stock `age`; none, with a reason, where it is not installed and this is not the gate.
fn age() -> Option<&'static Path> {
    let path = Path::new("/usr/bin/age");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "the gate needs the stock age: apt-get install age");
    eprintln!("skipped: the stock age is not installed");
    None
}

/// The lines of a backup, as the stock `age` shows them.
fn lines(age: &Path, vault: &Vault, path: &Path) -> Vec<Value> {
    let mut command = vault.sandbox.command(age);
    let output = cli::run(command.arg("-d").arg("-i").arg(vault.sandbox.identity()).arg(path), b"").exits(0);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A directory that only we can look into.
fn private_directory(path: &Path) {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(path).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A vault with a bit of everything.
fn with_everything() -> Api {
    let api = Api::start(Transport::Unix);
    api.create("PLAIN", "value");
    api.create_expired("EXPIRED", "expired");
    api.create("INACTIVE", "inactive");
    api.delete("/api/secrets/INACTIVE").is(200);
    api.create("EMPTY", "x");
    api.put("/api/secrets/EMPTY", json!({"value": ""})).is(200);
    api.create("TEXT", "line\nline \u{0} \"quoted\" \\ \u{1f511} \u{7f}");
    api.create("LARGE", &"0123456789abcdef".repeat(64 * 1024));
    api.create("CHUNKS", &"x".repeat(64 * 1024 + 1));
    let body =
        json!({"key": "RESERVED", "value": "reserved", "isReserved": true, "expiresAt": "2099-01-02T03:04:05.678Z"});
    api.post("/api/secrets", body).is(201);
    api.create("RESERVED_INACTIVE", "both");
    api.delete("/api/secrets/RESERVED_INACTIVE").is(200);
    api.put("/api/secrets/RESERVED_INACTIVE", json!({"isReserved": true})).is(200);
    api.create("MANY", "1");
    for number in 2..=13 {
        api.put("/api/secrets/MANY", json!({"value": number.to_string()})).is(200);
    }
    api.create("PURGED", "purged");
    api.delete("/api/secrets/PURGED?purge=true").is(200);
    for namespace in ["shop/dev", "shop/prod", "a/b/c/d/e/f/g/h"] {
        let path = format!("/api/secrets?namespace={namespace}");
        api.post(&path, json!({"key": "PLAIN", "value": namespace})).is(201);
    }
    api.get("/api/secrets/PLAIN").is(200);
    api
}
