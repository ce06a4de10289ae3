//! "`rotate jwt-secret --grace-hours`": the old secret verifies tokens in its grace period, and not after it.

use serde_json::json;

use super::hushd;
use crate::harness::{Api, Transport};

#[test]
fn tokens_of_the_old_secret_are_valid_in_its_grace_period_only() {
    let api = Api::start(Transport::Tcp);
    let before = api.vault.admin_token();
    let ask = |api: &Api, token: &str| api.bare("GET", "/api/secrets").bearer(token).send();
    ask(&api, &before).is(200);
    let answer = api.post("/api/rotate/jwt-secret", json!({"gracePeriodHours": 1})).is(200).json();
    assert!(answer["oldSecretExpiresAt"].is_string(), "{answer}");
    ask(&api, &before).is(200);
    let minted = api.bare("POST", "/api/tokens").bearer(&before).json(json!({"admin": true, "ttlSeconds": 60})).send();
    let after = minted.is(201).json()["token"].as_str().unwrap().to_owned();
    let api = api.restart();
    ask(&api, &before).is(200);
    ask(&api, &after).is(200);
    // Without a grace period nothing older is left, that of the first rotation neither.
    let key = api.vault.api_key.clone();
    api.bare("POST", "/api/rotate/jwt-secret").bearer(&key).json(json!({"gracePeriodHours": 0})).send().is(200);
    for token in [&before, &after] {
        ask(&api, token).refuses(401, "AUTH_INVALID_CREDENTIALS");
    }
    let vault = api.kill();
    let api = Api::serve(vault, Transport::Tcp);
    for token in [&before, &after] {
        ask(&api, token).refuses(401, "AUTH_INVALID_CREDENTIALS");
    }
}

#[test]
fn a_grace_period_out_of_range_is_refused() {
    let api = Api::start(Transport::Unix);
    for hours in [json!(-1), json!(721), json!(1.5), json!("1"), json!(null)] {
        api.post("/api/rotate/jwt-secret", json!({ "gracePeriodHours": hours })).refuses(400, "INVALID_INPUT");
    }
    hushd(&api, &["rotate", "jwt-secret", "--grace-hours", "0"]);
    api.vault.sandbox.run(&["rotate", "jwt-secret", "--grace-hours", "721"]).exits(2);
}
