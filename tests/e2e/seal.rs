//! Promise: while the vault is sealed its keys are not in memory and no value can be read; it is unsealed by who may.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Transport, Vault, until};

over_both!(a_sealed_vault_answers_nothing_but_that);

/// "`POST /api/seal`: keys are wiped, values unreachable (503 `VAULT_SEALED` with the next step), health says `sealed`."
fn a_sealed_vault_answers_nothing_but_that(api: &Api) {
    api.create("A", "1");
    api.bare("POST", "/api/seal").header("x-api-key", "ik_nonsense").send().refuses(401, "AUTH_INVALID_API_KEY");
    api.post("/api/seal", json!({})).is(200);
    for (method, target) in [
        ("GET", secret("A")),
        ("PUT", secret("A")),
        ("GET", "/api/secrets".to_owned()),
        ("GET", "/api/environment".to_owned()),
        ("GET", "/api/status".to_owned()),
        ("GET", "/api/check".to_owned()),
        ("GET", "/api/backup".to_owned()),
        ("POST", "/api/rotate/data-key".to_owned()),
        ("GET", "/api/ready".to_owned()),
        ("POST", "/api/seal".to_owned()),
    ] {
        let answer = api.call(method, &target).send().refuses(503, "VAULT_SEALED");
        assert!(answer.json()["nextActions"].as_str().unwrap().contains("hushd unseal"), "{method} {target}");
    }
    let health = api.bare("GET", "/api/health").send().is(200).json();
    assert_eq!(health["status"], "sealed");
    let unseal = api.bare("POST", "/api/unseal").json(json!({})).send();
    if api.transport == Transport::Unix {
        unseal.is(200);
        assert_eq!(api.value("A"), "1");
        api.create("B", "2");
    } else {
        // Over TCP nobody is the daemon's own user, and a passphrase proves nothing where the key has none.
        unseal.refuses(401, "AUTH_INVALID_CREDENTIALS");
        api.bare("POST", "/api/unseal")
            .json(json!({"passphrase": "guess"}))
            .send()
            .refuses(401, "AUTH_INVALID_CREDENTIALS");
    }
}

fn with_passphrase(passphrase: &str) -> Vault {
    let vault = Vault::unborn(crate::harness::Sandbox::new());
    let file = vault.sandbox.key_file("passphrase", passphrase);
    vault.try_init(&["--passphrase-file", file.to_str().unwrap()]).exits(0);
    vault
}

/// "a passphrase vault without a terminal starts sealed"
#[test]
fn a_vault_with_a_passphrase_starts_sealed_and_is_unsealed_by_it() {
    let vault = with_passphrase("correct horse");
    let api = Api::serve(vault, Transport::Tcp);
    assert_eq!(api.bare("GET", "/api/health").send().is(200).json()["status"], "sealed");
    let sandbox = &api.vault.sandbox;
    let status = sandbox.run(&["status"]).exits(75);
    assert!(status.stdout.contains("sealed"), "{status:?}");
    sandbox.run(&["get", "A"]).fails(75, "sealed", "hushd unseal");
    sandbox.run(&["unseal"]).fails(77, "the passphrase of the master key is needed", "--passphrase-file");
    // Whoever knows the passphrase may, over TCP too; who guesses has to wait.
    let unseal = |passphrase: &str| api.bare("POST", "/api/unseal").json(json!({ "passphrase": passphrase })).send();
    unseal("wrong").fails(401, "AUTH_INVALID_CREDENTIALS", "Wrong passphrase");
    let refused = unseal("correct horse").refuses(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let mut answer = unseal("correct horse");
    while answer.status == 429 {
        std::thread::yield_now();
        answer = unseal("correct horse");
    }
    answer.is(200);
    api.create("A", "1");
    unseal("anything").is(200);
    let sandbox = &api.vault.sandbox;
    sandbox.run(&["seal"]).exits(0);
    sandbox.run(&["seal"]).exits(0);
    let file = sandbox.path("keys/passphrase");
    sandbox.run(&["unseal", "--passphrase-file", file.to_str().unwrap()]).exits(0);
    assert_eq!(api.value("A"), "1");
}

fn configured(vault: &Vault, text: &str) -> Daemon {
    let config = vault.sandbox.key_file("config.toml", text);
    let mut command = Daemon::command(&vault.sandbox);
    command.arg("--config").arg(config);
    Daemon::launch(&vault.sandbox, command).unwrap_or_else(|failure| panic!("{failure:#?}"))
}

/// Waits until the daemon says that it is sealed.
fn wait_until_sealed(api: &Api) {
    until("sealed", || api.bare("GET", "/api/health").send().is(200).json()["status"] == "sealed");
}

/// "on SIGUSR1"
#[test]
fn a_signal_seals() {
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    api.daemon().signal(Signal::USR1);
    wait_until_sealed(&api);
    api.vault.sandbox.run(&["unseal"]).exits(0);
    assert_eq!(api.value("A"), "1");
}

/// "`[seal] idle = "30m"`"
#[test]
fn a_vault_that_nobody_uses_is_sealed() {
    let vault = Vault::init();
    let daemon = configured(&vault, "[seal]\nidle = \"1s\"\n");
    let api = Api::adopt(daemon, vault, Transport::Unix);
    wait_until_sealed(&api);
    api.vault.sandbox.run(&["unseal"]).exits(0);
}

/// The own user unseals without a passphrase where the daemon finds it in a file.
#[test]
fn a_passphrase_in_a_file_is_taken_for_the_own_user_alone() {
    let vault = with_passphrase("correct horse");
    let file = vault.sandbox.path("keys/passphrase");
    let daemon = configured(&vault, &format!("[vault]\npassphrase-file = {file:?}\n"));
    let api = Api::adopt(daemon, vault, Transport::Tcp);
    api.create("A", "1");
    api.post("/api/seal", json!({})).is(200);
    api.bare("POST", "/api/unseal").json(json!({})).send().refuses(401, "AUTH_INVALID_CREDENTIALS");
    api.vault.sandbox.run(&["unseal"]).exits(0);
    assert_eq!(api.value("A"), "1");
}

/// Whoever is at work when the vault is sealed finishes; nothing that was acknowledged is lost.
#[test]
fn sealing_among_writers_loses_nothing() {
    let api = Api::start(Transport::Unix);
    let acknowledged = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (api, acknowledged) = (&api, &acknowledged);
            scope.spawn(move || {
                for number in 0..60 {
                    let key = format!("W{writer}_{number}");
                    let answer = api.post("/api/secrets", json!({"key": key, "value": key}));
                    match answer.status {
                        201 => acknowledged.lock().unwrap().push(key),
                        status => assert_eq!(status, 503, "{key}"),
                    }
                }
            });
        }
        for _ in 0..5 {
            api.vault.sandbox.run(&["seal"]).exits(0);
            api.vault.sandbox.run(&["unseal"]).exits(0);
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    for key in &acknowledged {
        assert_eq!(api.value(key), *key);
    }
    assert!(Path::new(&api.vault.sandbox.data()).exists() && !acknowledged.is_empty());
}
