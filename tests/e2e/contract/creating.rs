//! "Secrets": `POST /api/secrets`, reviving among it.

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, time_in};

over_both!(
    a_new_secret_is_201_with_its_id,
    a_missing_or_empty_key_or_value_is_400,
    an_existing_secret_is_409,
    reserved_and_expiry_are_taken,
    an_inactive_secret_is_revived,
    an_expired_secret_is_revived,
    an_inactive_reserved_secret_is_not_revived,
);

/// "201 `{"success":true,"message":"Secret KEY has been created successfully","id":UUID}`"
fn a_new_secret_is_201_with_its_id(api: &Api) {
    let created = api.post("/api/secrets", json!({"key": "STRIPE_API_KEY", "value": "sk_live_1"})).is(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(id.parse::<uuid::Uuid>().unwrap().to_string(), id);
    let message = "Secret STRIPE_API_KEY has been created successfully";
    assert_eq!(created.json(), json!({"success": true, "message": message, "id": id}));
    assert_eq!(api.value("STRIPE_API_KEY"), "sk_live_1");
    assert_eq!(api.metadata("STRIPE_API_KEY")["id"], json!(id));
    assert_ne!(api.create("ANOTHER", "1"), id);
}

/// "400 `Both key and value are required` (missing or empty)"
fn a_missing_or_empty_key_or_value_is_400(api: &Api) {
    for body in [
        json!({}),
        json!({"key": "A"}),
        json!({"value": "1"}),
        json!({"key": "", "value": "1"}),
        json!({"key": "A", "value": ""}),
        json!({"key": "", "value": ""}),
        json!({"key": "lower"}),
        json!({"isReserved": true, "expiresAt": null}),
    ] {
        api.post("/api/secrets", body).fails(400, "INVALID_INPUT", "Both key and value are required");
    }
    for body in [json!({"key": null, "value": "1"}), json!({"key": "A", "value": null})] {
        api.post("/api/secrets", body).refuses(400, "INVALID_INPUT");
    }
    api.call("POST", "/api/secrets").raw_json("").send().refuses(400, "INVALID_INPUT");
    api.call("POST", "/api/secrets").send().refuses(400, "INVALID_INPUT");
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
}

/// "409 `Secret already exists: KEY`"
fn an_existing_secret_is_409(api: &Api) {
    api.create("A", "1");
    let before = api.metadata("A");
    let answer = api.post("/api/secrets", json!({"key": "A", "value": "2", "isReserved": true}));
    answer.fails(409, "SECRET_ALREADY_EXISTS", "Secret already exists: A");
    assert_eq!(api.metadata("A"), before);
    assert_eq!(api.value("A"), "1");
}

/// "`{key, value, isReserved?, expiresAt?}`"
fn reserved_and_expiry_are_taken(api: &Api) {
    let expires = time_in(3600);
    let body = json!({"key": "A", "value": "1", "isReserved": true, "expiresAt": expires});
    api.post("/api/secrets", body).is(201);
    let metadata = api.metadata("A");
    assert_eq!((&metadata["isReserved"], &metadata["expiresAt"]), (&json!(true), &json!(expires)));
    let body = json!({"key": "B", "value": "1", "isReserved": false, "expiresAt": null});
    api.post("/api/secrets", body).is(201);
    let metadata = api.metadata("B");
    assert_eq!((&metadata["isReserved"], &metadata["expiresAt"]), (&json!(false), &Value::Null));
}

/// "POST on an inactive or expired key revives it: same `id` and `createdAt`, a new revision, `isReserved` and
/// `expiresAt` as this request says (absent: false, null)."
fn an_inactive_secret_is_revived(api: &Api) {
    let id = api.create("A", "old");
    api.put(&secret("A"), json!({"expiresAt": time_in(3600)})).is(200);
    let before = api.metadata("A");
    api.delete(&secret("A")).is(200);
    assert_eq!(api.create("A", "new"), id);
    is_revived(api, &before, false, &Value::Null);

    let expires = time_in(7200);
    api.delete(&secret("A")).is(200);
    let body = json!({"key": "A", "value": "new", "isReserved": true, "expiresAt": expires});
    let revived = api.post("/api/secrets", body).is(201).json();
    assert_eq!(revived["id"], json!(id));
    assert_eq!(revived["message"], "Secret A has been created successfully");
    is_revived(api, &before, true, &json!(expires));
}

fn an_expired_secret_is_revived(api: &Api) {
    let id = api.create_expired("A", "old");
    let before = api.metadata("A");
    assert_eq!(before["isActive"], json!(true));
    assert_eq!(api.create("A", "new"), id);
    is_revived(api, &before, false, &Value::Null);
}

#[track_caller]
fn is_revived(api: &Api, before: &Value, reserved: bool, expires: &Value) {
    let after = api.metadata("A");
    for same in ["id", "createdAt", "key", "namespace"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert!(after["revision"].as_u64() > before["revision"].as_u64(), "{after}");
    assert!(after["updatedAt"].as_str() >= before["updatedAt"].as_str(), "{after}");
    assert_eq!(after["isActive"], json!(true));
    assert_eq!(after["isReserved"], json!(reserved));
    assert_eq!(&after["expiresAt"], expires);
    assert_eq!(api.value("A"), "new");
}

/// "An inactive reserved key cannot be revived without an administrator's PUT."
fn an_inactive_reserved_secret_is_not_revived(api: &Api) {
    api.create("A", "old");
    api.put(&secret("A"), json!({"isActive": false})).is(200);
    api.put(&secret("A"), json!({"isReserved": true})).is(200);
    let answer = api.post("/api/secrets", json!({"key": "A", "value": "new"}));
    answer.fails(403, "FORBIDDEN", "Cannot revive reserved secret: A");
    api.get(&secret("A")).is(404);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    assert_eq!(api.value("A"), "old");
}
