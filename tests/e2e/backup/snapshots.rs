//! "Automatic snapshots (`[backup] every = "1d"`, `keep = 14`, directory, drill after each), their age and last drill in `status`."

use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use super::{mode, verify};
use crate::harness::{Api, Transport, Vault, files};

/// A vault whose daemon takes snapshots as often as it can.
fn vault(directory: Option<&str>) -> Vault {
    let vault = Vault::init();
    let directory = directory.map(|name| format!("directory = \"{}\"\n", vault.sandbox.path(name).display()));
    let text = format!("[backup]\nevery = \"1s\"\nkeep = 2\n{}", directory.unwrap_or_default());
    fs::write(vault.sandbox.config().join("config.toml"), text).unwrap();
    vault
}

/// Waits until what the status says of snapshots is as it should be.
fn until(api: &Api, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let status = api.get("/api/status").is(200).json();
        if wanted(&status["backup"]) {
            return status["backup"].clone();
        }
        thread::yield_now();
    }
}

fn snapshots(vault: &Vault) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(vault.sandbox.data().join("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "age"));
    found.sort();
    found
}

#[test]
fn snapshots_are_taken_proven_and_dropped() {
    let vault = vault(None);
    let leftover = vault.sandbox.data().join("backups/.hushd-drill-left");
    super::private_directory(&leftover);
    let api = Api::serve(vault, Transport::Unix);
    assert!(!leftover.exists(), "what a killed daemon left is cleared away");
    let first = until(&api, |backup| backup["kept"] == 1);
    assert_eq!(
        (&first["every"], &first["lastDrillPassed"], &first["problem"]),
        (&json!("1s"), &json!(true), &json!(null))
    );
    api.create("A", "value");
    let made = api.metadata("A")["createdAt"].as_str().unwrap().to_owned();
    let later = until(&api, |backup| backup["kept"] == 2 && backup["lastAt"].as_str().unwrap() > made.as_str());
    let text = api.vault.sandbox.run(&["status"]).exits(0).stdout;
    assert!(
        text.contains("snapshot ") && text.contains("every 1s, 2 kept") && text.contains("last drill   passed"),
        "{text}"
    );
    until(&api, |backup| backup["lastAt"].as_str() > later["lastAt"].as_str());
    let vault = api.stop();
    let kept = snapshots(&vault);
    assert!((2..=3).contains(&kept.len()), "{kept:?}");
    let directory = vault.sandbox.data().join("backups");
    assert_eq!((mode(&directory), mode(&kept[0])), (0o700, 0o600));
    let report = verify(&vault, kept.last().unwrap()).exits(0).json();
    assert_eq!(report["secrets"], 1);
}

#[test]
fn a_snapshot_that_cannot_be_taken_is_told() {
    let api = Api::serve(vault(Some("other")), Transport::Unix);
    until(&api, |backup| backup["kept"] == 1);
    let directory = api.vault.sandbox.path("other");
    assert!(files::tree(&directory).len() > 1);
    let gone = api.vault.sandbox.path("gone");
    fs::rename(&directory, &gone).unwrap();
    let backup = until(&api, |backup| backup["problem"].is_string());
    assert!(backup["problem"].as_str().unwrap().contains("cannot create a file in"), "{backup}");
    api.vault.sandbox.run(&["status"]).fails(1, "no snapshot of the vault could be taken", "hushd backup -o");
    // When the cause is gone it goes on by itself.
    fs::rename(&gone, &directory).unwrap();
    until(&api, |backup| backup["problem"].is_null());
    // Another directory in its place is none of those that the daemon confined itself to.
    fs::rename(&directory, &gone).unwrap();
    super::private_directory(&directory);
    let backup = until(&api, |backup| backup["problem"].is_string());
    assert!(backup["problem"].as_str().unwrap().contains("restart the daemon"), "{backup}");
    let vault = api.stop();
    let api = Api::serve(vault, Transport::Unix);
    until(&api, |backup| backup["kept"] == 1 && backup["problem"].is_null());
    api.stop();
}

#[test]
fn without_being_told_to_none_is_taken() {
    let api = Api::start(Transport::Unix);
    assert_eq!(api.get("/api/status").is(200).json()["backup"], json!(null));
    assert!(!api.vault.sandbox.data().join("backups").exists());
    api.stop();
}
