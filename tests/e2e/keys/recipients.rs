//! "`recipient add|remove|list` (rewrap `keyring.age`; removing rotates the keyring's inner keys and says what that means)"

use std::fs;

use serde_json::json;

use super::{hushd, identity, rekey};
use crate::harness::{Api, Daemon, Transport, Vault};

/// Starts a daemon of the vault with another master key.
fn opens_with(vault: &Vault, identity: &std::path::Path) -> Result<Daemon, crate::harness::Failure> {
    let config = vault.sandbox.key_file("other.toml", &format!("[vault]\nidentity = \"{}\"\n", identity.display()));
    let mut command = Daemon::command(&vault.sandbox);
    command.arg("--config").arg(config);
    Daemon::launch(&vault.sandbox, command)
}

#[test]
fn a_second_recipient_opens_the_vault_until_it_is_removed() {
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    let (second, recipient) = identity(&api.vault.sandbox, "second.txt");
    let copy = |api: &Api| fs::read(api.vault.sandbox.data().join("keyring.age")).unwrap();
    let first = hushd(&api, &["recipient", "list", "--json"]).json()["recipients"][0].as_str().unwrap().to_owned();
    let added = hushd(&api, &["recipient", "add", &recipient, "--json"]).json();
    assert_eq!(added, json!({"recipients": [first, recipient]}));
    // Once more changes nothing.
    hushd(&api, &["recipient", "add", &recipient]);
    let list = fs::read_to_string(api.vault.sandbox.data().join("recipients.txt")).unwrap();
    assert_eq!(list, format!("{first}\n{recipient}\n"));
    let token = api.vault.admin_token();
    let with_second = copy(&api);

    let vault = api.stop();
    let daemon = opens_with(&vault, &second).unwrap();
    let api = Api::adopt(daemon, vault, Transport::Unix);
    assert_eq!(api.value("A"), "1");
    let api = Api::serve(api.stop(), Transport::Unix);

    let removed = hushd(&api, &["recipient", "remove", &recipient]);
    assert!(removed.stderr.contains("copies of the vault and backups from before"), "{removed:?}");
    assert_eq!(rekey(&api), json!(null));
    // The token was signed by a secret that the removed one may know.
    api.bare("GET", "/api/secrets").bearer(&token).send().refuses(401, "AUTH_INVALID_CREDENTIALS");
    assert_ne!(copy(&api), with_second);
    let key = api.vault.api_key.clone();
    let value = api.bare("GET", &crate::harness::api::secret("A")).bearer(&key).send();
    assert_eq!(value.is(200).json()["value"], "1");
    let vault = api.stop();
    let failure = opens_with(&vault, &second).err().unwrap();
    assert_eq!(failure.code, 77, "{failure:?}");
    // Nor does the keyring that he kept open what is written now.
    fs::write(vault.sandbox.data().join("keyring.age"), with_second).unwrap();
    let failure = opens_with(&vault, &second).err().unwrap();
    assert!(failure.stderr.contains("its head is not authentic"), "{failure:?}");
}

#[test]
fn what_would_lock_everybody_out_is_refused() {
    let api = Api::start(Transport::Unix);
    let (_, other) = identity(&api.vault.sandbox, "second.txt");
    let own = hushd(&api, &["recipient", "list"]).stdout.trim().to_owned();
    let run = |arguments: &[&str]| api.vault.sandbox.run(arguments);
    run(&["recipient", "remove", &own]).fails(77, "the last recipient cannot be removed", "hushd recipient add");
    run(&["recipient", "remove", &other]).fails(65, "no recipient of the vault", "");
    run(&["recipient", "add", "age1nonsense"]).fails(2, "age1nonsense", "");
    run(&["recipient", "add", "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33"]);
    hushd(&api, &["recipient", "add", &other]);
    run(&["recipient", "remove", &own]).fails(77, "the daemon itself opens the vault", "vault.identity");
    api.post("/api/recipients", json!({"recipient": "age1nonsense"})).refuses(400, "INVALID_INPUT");
    api.post("/api/recipients", json!({"recipient": 1})).refuses(400, "INVALID_INPUT");
    api.post("/api/recipients", json!({})).refuses(400, "INVALID_INPUT");
    api.delete("/api/recipients").refuses(400, "INVALID_INPUT");
    // And the same where nobody serves it.
    let vault = api.stop();
    let run = |arguments: &[&str]| vault.sandbox.run(arguments);
    run(&["recipient", "remove", &own]).fails(77, "the daemon itself opens the vault", "vault.identity");
    run(&["recipient", "remove", &other]).exits(0);
    run(&["recipient", "remove", &own]).fails(77, "the last recipient cannot be removed", "hushd recipient add");
    assert_eq!(run(&["recipient", "list"]).exits(0).stdout.trim(), own);
    Daemon::start(&vault).stop_cleanly();
}

/// A backup after the removal is not for the one that was removed.
#[test]
fn backups_follow_the_recipients() {
    let api = Api::start(Transport::Unix);
    let (second, recipient) = identity(&api.vault.sandbox, "second.txt");
    let sandbox = &api.vault.sandbox;
    let file = sandbox.path("keys/backup.age");
    let verify = |code| {
        sandbox.run(&["backup", "-o", file.to_str().unwrap()]).exits(0);
        sandbox.run(&["backup", "verify", file.to_str().unwrap(), "--identity", second.to_str().unwrap()]).exits(code);
    };
    verify(77);
    hushd(&api, &["recipient", "add", &recipient]);
    verify(0);
    hushd(&api, &["recipient", "remove", &recipient]);
    verify(77);
}
