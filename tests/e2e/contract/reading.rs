//! "Secrets": `GET /api/secrets` and `GET /api/secrets/{key}`.

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, time_in};

over_both!(
    the_list_is_newest_first,
    the_list_has_inactive_expired_and_reserved_ones_too,
    the_list_never_has_values,
    metadata_has_these_fields,
    last_used_at_is_when_the_value_was_revealed,
    updated_at_moves_on_writes_not_on_reads,
    a_value_is_200,
    unknown_inactive_and_expired_are_404,
    a_secret_expires_while_the_daemon_runs,
);

fn keys(list: &Value) -> Vec<&str> {
    list["secrets"].as_array().unwrap().iter().map(|secret| secret["key"].as_str().unwrap()).collect()
}

/// "newest `createdAt` first"
fn the_list_is_newest_first(api: &Api) {
    for key in ["B", "A", "D", "C"] {
        api.create(key, "1");
    }
    assert_eq!(keys(&api.get("/api/secrets").json()), ["C", "D", "A", "B"]);
    // Neither an update nor a revival makes a secret newer.
    api.put(&secret("B"), json!({"value": "2"})).is(200);
    api.delete(&secret("A")).is(200);
    api.create("A", "2");
    assert_eq!(keys(&api.get("/api/secrets").json()), ["C", "D", "A", "B"]);
}

/// "inactive and reserved ones too"
fn the_list_has_inactive_expired_and_reserved_ones_too(api: &Api) {
    api.create("ACTIVE", "1");
    api.create("INACTIVE", "1");
    api.delete(&secret("INACTIVE")).is(200);
    api.post("/api/secrets", json!({"key": "RESERVED", "value": "1", "isReserved": true})).is(201);
    api.create_expired("EXPIRED", "1");
    assert_eq!(keys(&api.get("/api/secrets").json()), ["EXPIRED", "RESERVED", "INACTIVE", "ACTIVE"]);
    assert_eq!(api.metadata("INACTIVE")["isActive"], json!(false));
    assert_eq!(api.metadata("RESERVED")["isReserved"], json!(true));
    assert_eq!(api.metadata("EXPIRED")["expiresAt"], "2020-01-01T00:00:00.000Z");
}

/// "never values"
fn the_list_never_has_values(api: &Api) {
    api.create("A", "a-marked-value");
    api.value("A");
    for path in ["/api/secrets", "/api/secrets/A/revisions", "/api/namespaces", "/api/status"] {
        let answer = api.get(path).is(200);
        assert!(!String::from_utf8_lossy(&answer.body).contains("marked"), "{answer:?}");
    }
}

/// "Metadata: `id` (UUID), `key`, `isActive`, `isReserved`, `lastUsedAt` (null or time), `expiresAt` (null or time),
/// `createdAt`, `updatedAt`; ours adds `revision` (integer) and `namespace`."
fn metadata_has_these_fields(api: &Api) {
    let id = api.create("A", "1");
    let metadata = api.metadata("A");
    let created = metadata["createdAt"].clone();
    assert!(created.is_string());
    let fields = json!({
        "id": id, "key": "A", "isActive": true, "isReserved": false, "lastUsedAt": null, "expiresAt": null,
        "createdAt": created, "updatedAt": created, "revision": 1, "namespace": "default",
    });
    assert_eq!(metadata, fields);
}

fn last_used_at_is_when_the_value_was_revealed(api: &Api) {
    api.create("A", "1");
    api.create("B", "1");
    assert_eq!(api.metadata("A")["lastUsedAt"], Value::Null, "listing reveals nothing");
    api.value("A");
    let used = api.metadata("A")["lastUsedAt"].clone();
    assert!(used.as_str().unwrap() >= api.metadata("A")["createdAt"].as_str().unwrap());
    assert_eq!(api.metadata("B")["lastUsedAt"], Value::Null);
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    assert_eq!(api.metadata("A")["lastUsedAt"], used, "writing reveals nothing");
    api.get("/api/environment?keys=B").is(200);
    assert!(api.metadata("B")["lastUsedAt"].is_string());
}

/// "`updatedAt` moves on writes, not on reads."
fn updated_at_moves_on_writes_not_on_reads(api: &Api) {
    api.create("A", "1");
    let updated = || api.metadata("A")["updatedAt"].as_str().unwrap().to_owned();
    let mut before = updated();
    api.value("A");
    api.get("/api/environment").is(200);
    api.post("/api/secrets/A/verify", json!({"value": "1"})).is(200);
    assert_eq!(updated(), before);
    for body in [json!({"value": "2"}), json!({"isReserved": true}), json!({"expiresAt": time_in(60)})] {
        until_the_clock_moves(api);
        api.put(&secret("A"), body).is(200);
        let after = updated();
        assert!(after > before, "{after} is not after {before}");
        before = after;
    }
}

/// Asks for the time until the daemon's clock shows another millisecond.
fn until_the_clock_moves(api: &Api) {
    let time = || api.bare("GET", "/api/health").send().json()["timestamp"].clone();
    let start = time();
    while time() == start {}
}

/// "200 `{"key","value"}`"
fn a_value_is_200(api: &Api) {
    api.create("A", "one\ntwo");
    assert_eq!(api.get(&secret("A")).is(200).json(), json!({"key": "A", "value": "one\ntwo"}));
}

/// "404 `NOT_FOUND` `Secret not found: KEY` when unknown, inactive or expired"
fn unknown_inactive_and_expired_are_404(api: &Api) {
    api.create("INACTIVE", "1");
    api.delete(&secret("INACTIVE")).is(200);
    api.create_expired("EXPIRED", "1");
    for key in ["UNKNOWN", "INACTIVE", "EXPIRED"] {
        api.get(&secret(key)).fails(404, "NOT_FOUND", &format!("Secret not found: {key}"));
    }
}

fn a_secret_expires_while_the_daemon_runs(api: &Api) {
    api.post("/api/secrets", json!({"key": "A", "value": "1", "expiresAt": time_in(3)})).is(201);
    api.get(&secret("A")).is(200);
    let mut connection = api.connect();
    let call = api.call("GET", &secret("A"));
    while connection.send(&call.clone().request()).unwrap().status == 200 {
        assert!(api.metadata("A")["expiresAt"].as_str().unwrap() > &*time_in(-2), "it should have expired");
    }
    call.send().fails(404, "NOT_FOUND", "Secret not found: A");
}
