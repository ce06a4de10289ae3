//! "Secrets": `PUT /api/secrets/{key}`.

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::{Api, time_in};

over_both!(
    a_new_value_is_200,
    an_unknown_secret_is_404,
    nothing_to_update_is_400,
    an_absent_field_is_left_alone,
    null_removes_the_expiry,
    a_null_flag_is_400,
    an_empty_value_is_allowed,
    it_reaches_inactive_and_expired_secrets_too,
    a_reserved_secret_can_be_updated,
    a_reserved_secret_cannot_be_deactivated,
    a_duplicate_field_is_400,
);

/// "200 `{"success":true,"message":"Secret KEY has been updated successfully"}`"
fn a_new_value_is_200(api: &Api) {
    let id = api.create("STRIPE_API_KEY", "1");
    let message = "Secret STRIPE_API_KEY has been updated successfully";
    let answer = api.put("/api/secrets/STRIPE_API_KEY", json!({"value": "2"})).is(200);
    assert_eq!(answer.json(), json!({"success": true, "message": message}));
    assert_eq!(api.value("STRIPE_API_KEY"), "2");
    assert_eq!(api.metadata("STRIPE_API_KEY")["id"], json!(id));
    let everything = json!({"value": "3", "isActive": true, "isReserved": true, "expiresAt": time_in(60)});
    let answer = api.put("/api/secrets/STRIPE_API_KEY", everything).is(200);
    assert_eq!(answer.json(), json!({"success": true, "message": message}));
    assert_eq!(api.value("STRIPE_API_KEY"), "3");
}

/// "404 `NOT_FOUND`", with the message of the original document: `Secret not found: INVALID_KEY`.
fn an_unknown_secret_is_404(api: &Api) {
    let answer = api.put("/api/secrets/INVALID_KEY", json!({"value": "2"}));
    answer.fails(404, "NOT_FOUND", "Secret not found: INVALID_KEY");
    assert_eq!(api.get("/api/secrets").json(), json!({"secrets": []}));
}

/// "400 nothing to update"
fn nothing_to_update_is_400(api: &Api) {
    api.create("A", "1");
    let before = api.metadata("A");
    for body in [json!({}), json!({"key": "B"}), json!({"Value": "2"}), json!({"unknown": 1})] {
        api.put(&secret("A"), body).refuses(400, "INVALID_INPUT");
    }
    api.call("PUT", &secret("A")).raw_json("").send().refuses(400, "INVALID_INPUT");
    api.call("PUT", &secret("A")).send().refuses(400, "INVALID_INPUT");
    assert_eq!(api.metadata("A"), before);
}

/// "an absent field is left alone"
fn an_absent_field_is_left_alone(api: &Api) {
    let expires = time_in(3600);
    api.post("/api/secrets", json!({"key": "A", "value": "1", "isReserved": true, "expiresAt": expires})).is(201);
    let is = |value: &str, reserved: bool, expires: &Value| {
        let metadata = api.metadata("A");
        assert_eq!(metadata["isActive"], json!(true));
        assert_eq!(metadata["isReserved"], json!(reserved));
        assert_eq!(&metadata["expiresAt"], expires);
        assert_eq!(api.value("A"), value);
    };
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    is("2", true, &json!(expires));
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    is("2", true, &json!(expires));
    api.put(&secret("A"), json!({"isReserved": false})).is(200);
    is("2", false, &json!(expires));
    api.put(&secret("A"), json!({"expiresAt": null})).is(200);
    is("2", false, &Value::Null);
}

/// "`expiresAt: null` removes the expiry"
fn null_removes_the_expiry(api: &Api) {
    api.create_expired("A", "1");
    api.get(&secret("A")).is(404);
    api.put(&secret("A"), json!({"expiresAt": null})).is(200);
    assert_eq!(api.metadata("A")["expiresAt"], Value::Null);
    assert_eq!(api.value("A"), "1");
}

/// "`isActive`/`isReserved` null is 400"
fn a_null_flag_is_400(api: &Api) {
    api.create("A", "1");
    for field in ["isActive", "isReserved"] {
        let answer = api.put(&secret("A"), json!({field: null, "value": "2"})).refuses(400, "INVALID_INPUT");
        assert!(answer.message().contains(field), "{answer:?}");
    }
    assert_eq!(api.value("A"), "1");
}

/// "`value: ""` is allowed."
fn an_empty_value_is_allowed(api: &Api) {
    api.create("A", "1");
    api.put(&secret("A"), json!({"value": ""})).is(200);
    assert_eq!(api.get(&secret("A")).is(200).json(), json!({"key": "A", "value": ""}));
}

/// "It reaches inactive and expired secrets too (that is how they come back)."
fn it_reaches_inactive_and_expired_secrets_too(api: &Api) {
    api.create("A", "1");
    api.delete(&secret("A")).is(200);
    api.put(&secret("A"), json!({"value": "2"})).is(200);
    api.get(&secret("A")).is(404);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    assert_eq!(api.value("A"), "2");

    api.create_expired("B", "1");
    api.put(&secret("B"), json!({"value": "2"})).is(200);
    api.get(&secret("B")).is(404);
    api.put(&secret("B"), json!({"expiresAt": time_in(60)})).is(200);
    assert_eq!(api.value("B"), "2");

    api.put(&secret("B"), json!({"isActive": false})).is(200);
    api.get(&secret("B")).is(404);
    api.put(&secret("B"), json!({"isActive": true, "value": "3"})).is(200);
    assert_eq!(api.value("B"), "3");
}

/// "A reserved secret can be updated, only not be deleted"
fn a_reserved_secret_can_be_updated(api: &Api) {
    api.post("/api/secrets", json!({"key": "A", "value": "1", "isReserved": true})).is(201);
    for body in [
        json!({"value": "2"}),
        json!({"expiresAt": time_in(60)}),
        json!({"isActive": true}),
        json!({"isReserved": true}),
        json!({"value": "3", "isActive": true, "isReserved": true, "expiresAt": null}),
    ] {
        api.put(&secret("A"), body).is(200);
    }
    assert_eq!(api.value("A"), "3");
    api.delete(&secret("A")).fails(403, "FORBIDDEN", "Cannot delete reserved secret: A");
}

/// "`isActive:false` on it is deletion and so 403, unless the same request sets `isReserved:false`."
fn a_reserved_secret_cannot_be_deactivated(api: &Api) {
    api.post("/api/secrets", json!({"key": "A", "value": "1", "isReserved": true})).is(201);
    for body in [
        json!({"isActive": false}),
        json!({"isActive": false, "isReserved": true}),
        json!({"isActive": false, "value": "2", "expiresAt": time_in(60)}),
    ] {
        api.put(&secret("A"), body).refuses(403, "FORBIDDEN");
    }
    let metadata = api.metadata("A");
    assert_eq!((&metadata["revision"], &metadata["expiresAt"]), (&json!(1), &Value::Null), "nothing was changed");
    assert_eq!(api.value("A"), "1");
    // Making it reserved in the request that deactivates it asks for what cannot be, too.
    api.put(&secret("A"), json!({"isActive": false, "isReserved": false})).is(200);
    api.get(&secret("A")).is(404);
}

fn a_duplicate_field_is_400(api: &Api) {
    api.create("A", "1");
    for body in [
        r#"{"value": "2", "value": "3"}"#,
        r#"{"value": "2", "isReserved": true, "isReserved": false}"#,
        r#"{"expiresAt": null, "expiresAt": null}"#,
    ] {
        api.call("PUT", &secret("A")).raw_json(body).send().refuses(400, "INVALID_INPUT");
    }
    let body = r#"{"key": "B", "key": "C", "value": "3"}"#;
    api.call("POST", "/api/secrets").raw_json(body).send().refuses(400, "INVALID_INPUT");
    assert_eq!(api.value("A"), "1");
    assert_eq!(api.get("/api/secrets").json()["secrets"].as_array().unwrap().len(), 1);
}
