//! "Check without revealing": `POST /api/secrets/{key}/verify`.

use serde_json::{Value, json};

use crate::harness::Api;
use crate::harness::api::secret;

over_both!(it_says_whether_the_value_matches, it_reveals_nothing, what_cannot_be_read_cannot_be_verified,);

/// "`POST /api/secrets/{key}/verify {"value":"…"}` → `{"matches":bool}`"
fn it_says_whether_the_value_matches(api: &Api) {
    let value = "pässword\0\n";
    api.create("A", value);
    for (guess, matches) in [
        (value, true),
        ("", false),
        ("pässword", false),
        ("pässword\0", false),
        ("pässword\0\n ", false),
        ("PÄSSWORD\0\n", false),
        (&"x".repeat(1 << 20), false),
    ] {
        let answer = api.post("/api/secrets/A/verify", json!({"value": guess})).is(200);
        assert_eq!(answer.json(), json!({"matches": matches}), "{guess:?}");
    }
    let large = "y".repeat(1 << 20);
    api.put(&secret("A"), json!({"value": large})).is(200);
    assert_eq!(api.post("/api/secrets/A/verify", json!({"value": large})).is(200).json(), json!({"matches": true}));
    assert_eq!(api.post("/api/secrets/A/verify", json!({"value": value})).is(200).json(), json!({"matches": false}));
    api.put(&secret("A"), json!({"value": ""})).is(200);
    assert_eq!(api.post("/api/secrets/A/verify", json!({"value": ""})).is(200).json(), json!({"matches": true}));
}

fn it_reveals_nothing(api: &Api) {
    api.create("A", "a-marked-value");
    let answer = api.post("/api/secrets/A/verify", json!({"value": "guess"})).is(200);
    assert!(!format!("{answer:?}").contains("marked"));
    assert_eq!(api.metadata("A")["lastUsedAt"], Value::Null);
}

fn what_cannot_be_read_cannot_be_verified(api: &Api) {
    api.create("INACTIVE", "1");
    api.delete(&secret("INACTIVE")).is(200);
    api.create_expired("EXPIRED", "1");
    for key in ["UNKNOWN", "INACTIVE", "EXPIRED"] {
        let answer = api.post(&format!("/api/secrets/{key}/verify"), json!({"value": "1"}));
        answer.fails(404, "NOT_FOUND", &format!("Secret not found: {key}"));
    }
    for body in [json!({}), json!({"value": null}), json!({"value": 1}), json!(["1"]), json!("1")] {
        api.post("/api/secrets/INACTIVE/verify", body).refuses(400, "INVALID_INPUT");
    }
}
