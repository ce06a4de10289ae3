//! "`rotate data-key` (new epoch; old records are re-encrypted in the background with progress and can be interrupted)"

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::{hushd, rekey};
use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Transport, Vault};

/// Whatever the records were under, they read the same, and the old key is gone.
#[test]
fn all_that_was_there_is_there_under_the_new_key() {
    let api = Api::start(Transport::Unix);
    let large = "x".repeat(200_000);
    for number in 0..40 {
        api.create(&format!("K{number}"), &format!("v{number}"));
    }
    api.create("LARGE", &large);
    api.put(&secret("K0"), json!({"value": "newer"})).is(200);
    api.delete(&secret("K1")).is(200);
    let output = hushd(&api, &["rotate", "data-key", "--json"]);
    assert_eq!(output.json(), json!({"epoch": 2, "done": true}));
    assert_eq!(rekey(&api), json!(null));
    let look = |api: &Api| {
        assert_eq!(api.value("K0"), "newer");
        assert_eq!(api.get(&format!("{}?revision=1", secret("K0"))).is(200).json()["value"], "v0");
        assert_eq!(api.value("LARGE"), large);
        for number in 2..40 {
            assert_eq!(api.value(&format!("K{number}")), format!("v{number}"));
        }
        api.put(&secret("K1"), json!({"isActive": true})).is(200);
        assert_eq!(api.value("K1"), "v1");
        api.delete(&secret("K1")).is(200);
    };
    look(&api);
    // Writes go on with what the re-encryption left in the index.
    api.put(&secret("K2"), json!({"value": "after"})).is(200);
    api.put(&secret("K2"), json!({"value": "v2"})).is(200);
    let check = api.vault.sandbox.run(&["check", "--json"]).json();
    assert!(!check["findings"].to_string().contains("problem"), "{check}");
    let api = api.restart();
    look(&api);
    assert_eq!(rekey(&api), json!(null));
    // Only the new key is in the keyring: another rotation starts from it.
    assert_eq!(hushd(&api, &["rotate", "data-key", "--json"]).json()["epoch"], 3);
    look(&api);
}

/// Writers go on during rotations, and each finds what it wrote.
#[test]
fn writers_during_rotations_lose_nothing() {
    let api = Api::start(Transport::Unix);
    for writer in 0..4 {
        api.create(&format!("W{writer}"), "0");
    }
    let stop = AtomicBool::new(false);
    let writes = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (api, stop, writes) = (&api, &stop, &writes);
            scope.spawn(move || {
                let key = format!("W{writer}");
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    api.put(&secret(&key), json!({"value": number.to_string()})).is(200);
                    assert_eq!(api.value(&key), number.to_string());
                    writes.fetch_add(1, Ordering::Relaxed);
                }
                api.create(&format!("LAST{writer}"), &number.to_string());
            });
        }
        // The writers end however this ends.
        let _end = End(&stop);
        for _ in 0..3 {
            hushd(&api, &["rotate", "data-key"]);
        }
    });
    assert!(writes.load(Ordering::Relaxed) > 0);
    let api = api.restart();
    for writer in 0..4 {
        assert_eq!(api.value(&format!("W{writer}")), api.value(&format!("LAST{writer}")));
    }
}

/// Sets the flag when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// "resumable after a kill"
#[test]
fn a_rotation_that_was_killed_goes_on_after_the_start() {
    let api = Api::start(Transport::Unix);
    for number in 0..200 {
        api.create(&format!("K{number}"), &format!("v{number}"));
    }
    assert_eq!(api.post("/api/rotate/data-key", json!({})).is(202).json()["epoch"], 2);
    let vault = api.kill();
    let api = Api::serve(vault, Transport::Unix);
    // Waits until it is done.
    assert_eq!(hushd(&api, &["rotate", "data-key", "--json"]).json()["epoch"], 3);
    assert_eq!(rekey(&api), json!(null));
    for number in 0..200 {
        assert_eq!(api.value(&format!("K{number}")), format!("v{number}"));
    }
}

/// "backups taken in the middle are right"
#[test]
fn a_backup_during_a_rotation_is_whole() {
    let api = Api::start(Transport::Unix);
    for number in 0..100 {
        api.create(&format!("K{number}"), &format!("v{number}"));
    }
    thread::scope(|scope| {
        let rotations = scope.spawn(|| {
            for _ in 0..3 {
                hushd(&api, &["rotate", "data-key"]);
            }
        });
        let mut number = 0;
        while !rotations.is_finished() || number == 0 {
            let file = api.vault.sandbox.path(&format!("keys/backup-{number}.age"));
            api.vault.sandbox.run(&["backup", "-o", file.to_str().unwrap()]).exits(0);
            api.vault.sandbox.run(&["backup", "verify", file.to_str().unwrap()]).exits(0);
            number += 1;
        }
    });
}

/// "Both over the API and (where it makes sense) offline"
#[test]
fn a_vault_that_nobody_serves_is_rotated_in_place() {
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    let vault = api.stop();
    vault.sandbox.run(&["rotate", "data-key"]).exits(0);
    assert_eq!(vault.sandbox.run(&["rotate", "data-key", "--json"]).exits(0).json()["epoch"], 3);
    vault.sandbox.run(&["check"]);
    let api = Api::serve(vault, Transport::Unix);
    assert_eq!(api.value("A"), "1");
}

#[test]
fn who_mints_nothing_rotates_nothing() {
    let api = Api::start(Transport::Tcp);
    let old = api.vault.api_key.clone();
    api.post("/api/secrets/api-key/rotate", json!({})).is(200);
    for (method, target) in [
        ("POST", "/api/rotate/data-key"),
        ("POST", "/api/rotate/jwt-secret"),
        ("POST", "/api/recipients"),
        ("DELETE", "/api/recipients?recipient=age1x"),
    ] {
        api.bare(method, target).send().refuses(401, "AUTH_INVALID_CREDENTIALS");
        api.bare(method, target).header("x-api-key", &old).send().refuses(403, "FORBIDDEN");
    }
}

/// A vault of the first format is brought to the newest, and what it was is kept.
#[test]
fn the_keyring_names_its_recipients_and_the_list_follows() {
    let vault = Vault::init();
    let list = vault.sandbox.data().join("recipients.txt");
    std::fs::write(&list, "").unwrap();
    Daemon::start(&vault).stop_cleanly();
    let text = std::fs::read_to_string(&list).unwrap();
    assert!(text.starts_with("age1") && text.lines().count() == 1, "{text:?}");
}
