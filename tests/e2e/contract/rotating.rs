//! "Secrets": `POST /api/secrets/api-key/rotate` and `POST /api/secrets/anon-key/rotate`.

use serde_json::{Value, json};

use crate::harness::{Answer, Api};

over_both!(
    a_rotation_is_200_with_the_new_key,
    the_grace_period_has_a_default_and_bounds,
    a_grace_period_out_of_range_is_400,
    a_body_may_be_left_out,
    the_old_key_remains_valid_during_its_grace_period,
    a_key_without_grace_is_invalid_at_once,
    a_key_in_its_grace_period_cannot_rotate_or_mint_anything,
);

const API_KEY: &str = "/api/secrets/api-key/rotate";
const ANON_KEY: &str = "/api/secrets/anon-key/rotate";

fn hours_until(answer: &Answer) -> f64 {
    let time: jiff::Timestamp = answer.json()["oldKeyExpiresAt"].as_str().unwrap().parse().unwrap();
    (time - jiff::Timestamp::now()).total(jiff::Unit::Hour).unwrap()
}

fn status_with(api: &Api, key: &str) -> u16 {
    api.bare("GET", "/api/secrets").bearer(key).send().status
}

/// "200 `{"success":true,"message":"API key rotated successfully. Old key will remain valid during grace period.",
/// "apiKey":"ik_…","oldKeyExpiresAt":TIME}`", "the same with `anonKey":"anon_…"`"
fn a_rotation_is_200_with_the_new_key(api: &Api) {
    for (path, field, prefix, name) in
        [(API_KEY, "apiKey", "ik_", "API key"), (ANON_KEY, "anonKey", "anon_", "Anon key")]
    {
        let body = api.post(path, json!({"gracePeriodHours": 1})).is(200).json();
        let key = body[field].as_str().unwrap();
        let digits = key.strip_prefix(prefix).unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
        let message = format!("{name} rotated successfully. Old key will remain valid during grace period.");
        let expires = &body["oldKeyExpiresAt"];
        assert!(expires.is_string());
        assert_eq!(body, json!({"success": true, "message": message, field: key, "oldKeyExpiresAt": expires}));
        assert_eq!(status_with(api, key), if field == "apiKey" { 200 } else { 403 });
        let another = api.post(path, json!({})).is(200).json();
        assert_ne!(another[field], key);
    }
}

/// "`{gracePeriodHours?}` 0–168, default 24"; "0–720, default 168"
fn the_grace_period_has_a_default_and_bounds(api: &Api) {
    for (path, default, most) in [(API_KEY, 24, 168), (ANON_KEY, 168, 720)] {
        for (body, hours) in [
            (json!({}), default),
            (json!({"gracePeriodHours": 0}), 0),
            (json!({"gracePeriodHours": 1}), 1),
            (json!({"gracePeriodHours": most}), most),
        ] {
            let answer = api.post(path, body).is(200);
            assert!((hours_until(&answer) - f64::from(hours)).abs() < 0.02, "{hours} {answer:?}");
        }
    }
}

/// "400 out of range or not an integer"
fn a_grace_period_out_of_range_is_400(api: &Api) {
    for (path, most) in [(API_KEY, 168), (ANON_KEY, 720)] {
        for hours in [
            json!(-1),
            json!(most + 1),
            json!(1_000_000),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1.5),
            json!(1e300),
            json!("24"),
            json!(""),
            json!(true),
            json!(null),
            json!([]),
            json!({}),
        ] {
            let answer = api.post(path, json!({"gracePeriodHours": hours})).refuses(400, "INVALID_INPUT");
            assert!(answer.message().contains("gracePeriodHours"), "{answer:?}");
        }
        for body in ["[]", "[24]", "1", "\"x\"", "{", "{} {}"] {
            api.call("POST", path).raw_json(body).send().refuses(400, "INVALID_INPUT");
        }
    }
    assert_eq!(status_with(api, &api.vault.api_key), 200);
    rotate_with(api, API_KEY, &api.vault.api_key).is(200);
}

/// The whole body is optional: nothing but the request, or a type without a body, is fine.
fn a_body_may_be_left_out(api: &Api) {
    for path in [API_KEY, ANON_KEY] {
        for call in [
            api.call("POST", path),
            api.call("POST", path).body(""),
            api.call("POST", path).header("Content-Type", "application/json"),
            api.call("POST", path).raw_json(""),
        ] {
            call.send().is(200);
        }
    }
}

/// "Old key will remain valid during grace period."
fn the_old_key_remains_valid_during_its_grace_period(api: &Api) {
    let mut keys = vec![api.vault.api_key.clone()];
    for _ in 0..3 {
        let answer = api.post(API_KEY, json!({"gracePeriodHours": 1})).is(200);
        keys.push(answer.json()["apiKey"].as_str().unwrap().to_owned());
    }
    for key in &keys {
        assert_eq!(status_with(api, key), 200, "each of the old keys and the new one");
        api.bare("GET", "/api/secrets").header("x-api-key", key).send().is(200);
        let write = api.bare("POST", "/api/secrets").header("x-api-key", key);
        let name = format!("K{}", keys.iter().position(|other| other == key).unwrap());
        write.json(json!({"key": name, "value": "1"})).send().is(201);
    }
    let first = api.anon_key();
    let second = api.anon_key();
    assert_eq!((status_with(api, &first), status_with(api, &second)), (403, 403));
}

fn a_key_without_grace_is_invalid_at_once(api: &Api) {
    let old = api.vault.api_key.clone();
    let answer = rotate_with(api, API_KEY, &old).is(200);
    let current = answer.json()["apiKey"].as_str().unwrap().to_owned();
    let answer = api.post(API_KEY, json!({"gracePeriodHours": 0})).is(200);
    assert_eq!(status_with(api, &current), 401);
    assert_eq!(status_with(api, &old), 200, "the grace period of an older one is its own");
    assert_eq!(status_with(api, answer.json()["apiKey"].as_str().unwrap()), 200);

    let anon = api.anon_key();
    api.post(ANON_KEY, json!({"gracePeriodHours": 0})).is(200);
    assert_eq!(status_with(api, &anon), 401);
}

/// "A rotated key that is in its grace period authenticates, but cannot rotate or mint anything."
fn a_key_in_its_grace_period_cannot_rotate_or_mint_anything(api: &Api) {
    let old = api.vault.api_key.clone();
    let answer = rotate_with(api, API_KEY, &old).is(200);
    let current = answer.json()["apiKey"].as_str().unwrap().to_owned();
    for path in [API_KEY, ANON_KEY] {
        rotate_with(api, path, &old).refuses(403, "FORBIDDEN");
    }
    mint_with(api, &old).refuses(403, "FORBIDDEN");
    assert_eq!(status_with(api, &old), 200);
    assert_eq!(status_with(api, &current), 200);
    mint_with(api, &current).is(201);
    rotate_with(api, ANON_KEY, &current).is(200);
    rotate_with(api, API_KEY, &current).is(200);
}

fn rotate_with(api: &Api, path: &str, key: &str) -> Answer {
    api.bare("POST", path).header("x-api-key", key).send()
}

fn mint_with(api: &Api, key: &str) -> Answer {
    let body: Value = json!({"admin": true, "ttlSeconds": 60});
    api.bare("POST", "/api/tokens").header("x-api-key", key).json(body).send()
}
